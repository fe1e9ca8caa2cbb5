// SPDX-License-Identifier: Apache-2.0
//
// The prefix tree as the draft's text describes it, with nothing kept and nothing clever: what the
// real one is compared with. Hashes are spelled out here so that a wrong byte in merkle/ shows.
#ifndef TESTS_SUPPORT_NAIVE_PREFIX_TREE_H_
#define TESTS_SUPPORT_NAIVE_PREFIX_TREE_H_

#include <map>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/types.h"
#include "merkle/prefix_proof.h"

namespace kt::testing {

class NaivePrefixTree {
 public:
  using Leaves = std::map<base::VrfOutput, base::Hash>;  // commitments by key

  NaivePrefixTree() = default;
  explicit NaivePrefixTree(Leaves leaves) : leaves_(std::move(leaves)) {}

  void Set(const base::VrfOutput& key, const base::Hash& commitment) { leaves_[key] = commitment; }
  void Remove(const base::VrfOutput& key) { leaves_.erase(key); }
  const Leaves& leaves() const { return leaves_; }

  base::Hash Root() const { return Value({leaves_.begin(), leaves_.end()}, 0); }

  // Looks up distinct `keys`; results in their order. No keys: the root is the only element.
  merkle::PrefixProof Prove(std::span<const base::VrfOutput> keys) const {
    merkle::PrefixProof proof;
    proof.results.resize(keys.size());
    std::vector<Search> searches;
    for (size_t i = 0; i < keys.size(); ++i) searches.push_back({keys[i], i});
    Descend({leaves_.begin(), leaves_.end()}, searches, 0, &proof);
    return proof;
  }

  // `keys` with the commitments of those that are in the tree, as a verifier would know them.
  std::vector<merkle::PrefixLookup> Lookups(std::span<const base::VrfOutput> keys) const {
    std::vector<merkle::PrefixLookup> lookups;
    for (const base::VrfOutput& key : keys) {
      const auto leaf = leaves_.find(key);
      lookups.push_back({key, std::nullopt});
      if (leaf != leaves_.end()) lookups.back().commitment = leaf->second;
    }
    return lookups;
  }

 private:
  using LeafList = std::vector<std::pair<base::VrfOutput, base::Hash>>;
  struct Search {
    base::VrfOutput key;
    size_t index;  // of its result
  };

  // The leaves in the left (bit false) or right (true) subtree of a node at `depth`.
  static LeafList Child(const LeafList& leaves, unsigned depth, bool bit) {
    LeafList child;
    for (const auto& leaf : leaves) {
      if (leaf.first.bit(depth) == bit) child.push_back(leaf);
    }
    return child;
  }

  static base::Hash Value(const LeafList& leaves, unsigned depth) {
    if (leaves.empty()) return base::Hash{};
    base::Bytes content;
    if (leaves.size() == 1) {
      content = {2};
      base::Append(content, leaves[0].first.view());
      base::Append(content, leaves[0].second.view());
    } else {
      content = {3};
      base::Append(content, Value(Child(leaves, depth, false), depth + 1).view());
      base::Append(content, Value(Child(leaves, depth, true), depth + 1).view());
    }
    return base::Sha256(content);
  }

  static void Descend(const LeafList& leaves, const std::vector<Search>& searches, unsigned depth,
                      merkle::PrefixProof* proof) {
    if (searches.empty()) {
      proof->elements.push_back(Value(leaves, depth));
      return;
    }
    if (leaves.size() > 1) {
      for (bool bit : {false, true}) {
        std::vector<Search> entering;
        for (const Search& search : searches) {
          if (search.key.bit(depth) == bit) entering.push_back(search);
        }
        Descend(Child(leaves, depth, bit), entering, depth + 1, proof);
      }
      return;
    }
    for (const Search& search : searches) {
      merkle::PrefixSearchResult& result = proof->results[search.index];
      result.depth = static_cast<uint8_t>(depth);
      if (leaves.empty()) {
        result.result_type = merkle::PrefixSearchResultType::kNonInclusionParent;
      } else if (leaves[0].first == search.key) {
        result.result_type = merkle::PrefixSearchResultType::kInclusion;
      } else {
        result.result_type = merkle::PrefixSearchResultType::kNonInclusionLeaf;
        result.leaf = {leaves[0].first, leaves[0].second};
      }
    }
  }

  Leaves leaves_;
};

}  // namespace kt::testing
#endif  // TESTS_SUPPORT_NAIVE_PREFIX_TREE_H_
