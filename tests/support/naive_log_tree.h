// SPDX-License-Identifier: Apache-2.0
//
// The log tree as the draft's text describes it, with nothing kept and nothing clever: what the
// real one is compared with. Hashes are spelled out here so that a wrong byte in merkle/ shows.
#ifndef TESTS_SUPPORT_NAIVE_LOG_TREE_H_
#define TESTS_SUPPORT_NAIVE_LOG_TREE_H_

#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/types.h"
#include "merkle/log_tree.h"

namespace kt::testing {

class NaiveLogTree {
 public:
  NaiveLogTree() = default;
  // Leaf values are hashes of log entries.
  explicit NaiveLogTree(std::vector<base::Hash> leaves) : leaves_(std::move(leaves)) {}

  void Append(const base::Hash& leaf) { leaves_.push_back(leaf); }
  const std::vector<base::Hash>& leaves() const { return leaves_; }
  base::TreeSize size() const { return leaves_.size(); }

  // The root of the tree over the first `size` leaves.
  base::Hash Root(base::TreeSize size) const { return Value(Leaves(0, size)); }
  base::Hash Root() const { return Root(size()); }

  // Values of balanced subtrees that lie within the tree.
  base::Hash Node(const merkle::LogNodeId& id) const {
    return Value(Leaves(id.index << id.level, uint64_t{1} << id.level));
  }
  std::vector<base::Hash> Nodes(std::span<const merkle::LogNodeId> ids) const {
    std::vector<base::Hash> values;
    for (const merkle::LogNodeId& id : ids) values.push_back(Node(id));
    return values;
  }
  std::vector<base::Hash> LeafValues(std::span<const base::LogPosition> positions) const {
    std::vector<base::Hash> values;
    for (base::LogPosition position : positions) values.push_back(leaves_.at(position));
    return values;
  }

 private:
  std::span<const base::Hash> Leaves(uint64_t first, uint64_t count) const {
    KT_CHECK(first + count <= leaves_.size());
    return std::span(leaves_).subspan(first, count);
  }

  // A tree is a leaf, or its left subtree is the greatest balanced one with leaves left over.
  static base::Hash Value(std::span<const base::Hash> leaves) {
    KT_CHECK(!leaves.empty());
    if (leaves.size() == 1) return leaves[0];
    size_t left = 1;
    while (2 * left < leaves.size()) left *= 2;
    base::Bytes content;
    for (std::span<const base::Hash> child : {leaves.first(left), leaves.subspan(left)}) {
      content.push_back(child.size() == 1 ? 0 : 1);
      base::Append(content, Value(child).view());
    }
    return base::Sha256(content);
  }

  std::vector<base::Hash> leaves_;
};

}  // namespace kt::testing
#endif  // TESTS_SUPPORT_NAIVE_LOG_TREE_H_
