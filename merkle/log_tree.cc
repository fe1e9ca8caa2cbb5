// SPDX-License-Identifier: Apache-2.0
#include "merkle/log_tree.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"

namespace kt::merkle {
namespace {

using base::Hash;
using base::LogPosition;
using base::TreeSize;

// Value of the parent of two nodes, of which either may be a leaf.
Hash ParentHash(const Hash& left, bool left_is_leaf, const Hash& right, bool right_is_leaf) {
  const uint8_t left_prefix = left_is_leaf ? 0x00 : 0x01;
  const uint8_t right_prefix = right_is_leaf ? 0x00 : 0x01;
  return base::Sha256({{&left_prefix, 1}, left.view(), {&right_prefix, 1}, right.view()});
}

// Value of a balanced subtree of `level` (at least 1) from those of its halves.
Hash BalancedParentHash(uint8_t level, const Hash& left, const Hash& right) {
  return ParentHash(left, level == 1, right, level == 1);
}

size_t CountFullSubtrees(TreeSize size) { return static_cast<size_t>(std::popcount(size)); }

// Whether `node` is one of FullSubtrees(size).
bool IsFullSubtree(const LogNodeId& node, TreeSize size) {
  const uint64_t whole = size >> node.level;
  return whole % 2 == 1 && node.index == whole - 1;
}

LogPosition Begin(const LogNodeId& node) { return node.index << node.level; }

// Whether a tree of `size` leaves ends inside `node`, which is then not a node of that tree.
bool EndsInside(const LogNodeId& node, TreeSize size) {
  return size > Begin(node) && size - Begin(node) < (uint64_t{1} << node.level);
}

absl::Status CheckShape(const LogProofShape& shape) {
  if (shape.size == 0) return absl::InvalidArgumentError("log proof: the tree is empty");
  if (std::adjacent_find(shape.leaves.begin(), shape.leaves.end(), std::greater_equal<>()) !=
      shape.leaves.end()) {
    return absl::InvalidArgumentError("log proof: leaves are not ascending and distinct");
  }
  if (!shape.leaves.empty() && shape.leaves.back() >= shape.size) {
    return absl::InvalidArgumentError("log proof: a leaf is beyond the tree");
  }
  for (const std::optional<TreeSize>& size : {shape.retained, shape.other_size}) {
    if (size.has_value() && (*size == 0 || *size > shape.size)) {
      return absl::InvalidArgumentError("log proof: a second tree is empty or beyond the first");
    }
  }
  return absl::OkStatus();
}

// Goes through the balanced subtrees of a proof, from left to right and children first, and tells
// `visitor` where the value of each comes from: Element, Retained, Leaf or Parent.
//
// A subtree is taken apart exactly if it contains something that must be tied to its value: a known
// leaf, or the right edge of the retained or of the other tree. That gives the fewest elements,
// since whatever has none of these inside is one element, or none if its value is retained.
template <typename Visitor>
class ProofWalk {
 public:
  ProofWalk(const LogProofShape& shape, Visitor* visitor) : shape_(shape), visitor_(visitor) {}

  void Run() {
    std::span<const LogPosition> leaves = shape_.leaves;
    for (const LogNodeId& node : FullSubtrees(shape_.size)) {
      // The last leaf of a full subtree, since one past it need not be representable.
      const LogPosition last = Begin(node) + ((uint64_t{1} << node.level) - 1);
      const auto end = std::upper_bound(leaves.begin(), leaves.end(), last);
      const std::span<const LogPosition> inside(leaves.begin(), end);
      leaves = leaves.subspan(inside.size());
      Visit(node, inside);
    }
  }

 private:
  // `leaves` are those below `node`. The recursion ends at level 0: it is at most 64 deep.
  void Visit(const LogNodeId& node, std::span<const LogPosition> leaves) {
    const bool take_apart = (node.level > 0 && !leaves.empty()) ||
                            (shape_.retained.has_value() && EndsInside(node, *shape_.retained)) ||
                            (shape_.other_size.has_value() && EndsInside(node, *shape_.other_size));
    if (take_apart) {
      const LogNodeId left{static_cast<uint8_t>(node.level - 1), node.index * 2};
      const LogNodeId right{left.level, left.index + 1};
      const auto middle = std::lower_bound(leaves.begin(), leaves.end(), Begin(right));
      Visit(left, {leaves.begin(), middle});
      Visit(right, {middle, leaves.end()});
      visitor_->Parent(node);
    } else if (!leaves.empty()) {
      visitor_->Leaf(node);
    } else if (shape_.retained.has_value() && IsFullSubtree(node, *shape_.retained)) {
      visitor_->Retained(node);
    } else {
      visitor_->Element(node);
    }
  }

  const LogProofShape& shape_;
  Visitor* visitor_;
};

class ElementCollector {
 public:
  void Element(const LogNodeId& node) { nodes_.push_back(node); }
  void Retained(const LogNodeId&) {}
  void Leaf(const LogNodeId&) {}
  void Parent(const LogNodeId&) {}
  std::vector<LogNodeId> Take() && { return std::move(nodes_); }

 private:
  std::vector<LogNodeId> nodes_;
};

// Computes values on a stack: those of finished subtrees, left to right. All three inputs are
// consumed in order, because the walk meets each of their nodes exactly once.
class ValueComputation {
 public:
  ValueComputation(const LogProofShape& shape, std::span<const Hash> leaf_values,
                   std::span<const Hash> retained_heads, std::span<const Hash> elements)
      : shape_(shape), leaves_(leaf_values), retained_(retained_heads), elements_(elements) {}

  void Element(const LogNodeId& node) { Push(node, Next(&elements_)); }
  void Retained(const LogNodeId& node) { Push(node, Next(&retained_)); }
  void Leaf(const LogNodeId& node) {
    Push(node, Next(&leaves_));
    CompareWithRetained(node);
  }
  void Parent(const LogNodeId& node) {
    const Hash right = stack_.back();
    stack_.pop_back();
    const Hash left = stack_.back();
    stack_.pop_back();
    Push(node, BalancedParentHash(node.level, left, right));
    CompareWithRetained(node);
  }

  bool contradicts_retained() const { return contradicts_retained_; }
  const std::vector<Hash>& other_heads() const { return other_heads_; }
  std::vector<Hash> TakeFullSubtrees() { return std::move(stack_); }
  std::vector<std::pair<LogNodeId, Hash>> TakeNodes() { return std::move(nodes_); }

 private:
  static Hash Next(std::span<const Hash>* values) {
    KT_CHECK(!values->empty());
    const Hash value = values->front();
    *values = values->subspan(1);
    return value;
  }

  void Push(const LogNodeId& node, const Hash& value) {
    stack_.push_back(value);
    nodes_.emplace_back(node, value);
    if (shape_.other_size.has_value() && IsFullSubtree(node, *shape_.other_size)) {
      other_heads_.push_back(value);
    }
  }

  // The value on top of the stack was computed without the retained one, which must agree.
  void CompareWithRetained(const LogNodeId& node) {
    if (!shape_.retained.has_value() || !IsFullSubtree(node, *shape_.retained)) return;
    if (Next(&retained_) != stack_.back()) contradicts_retained_ = true;
  }

  const LogProofShape& shape_;
  std::span<const Hash> leaves_;
  std::span<const Hash> retained_;
  std::span<const Hash> elements_;
  std::vector<Hash> stack_;
  std::vector<std::pair<LogNodeId, Hash>> nodes_;
  std::vector<Hash> other_heads_;
  bool contradicts_retained_ = false;
};

}  // namespace

std::vector<LogNodeId> FullSubtrees(TreeSize size) {
  std::vector<LogNodeId> nodes;
  for (int level = static_cast<int>(std::bit_width(size)) - 1; level >= 0; --level) {
    const uint64_t whole = size >> level;
    if (whole % 2 == 1) nodes.push_back({static_cast<uint8_t>(level), whole - 1});
  }
  return nodes;
}

Hash LogRoot(TreeSize size, std::span<const Hash> heads) {
  KT_CHECK(size > 0 && heads.size() == CountFullSubtrees(size));
  // From the right: the last full subtree is a leaf in a tree of odd size, every other node on the
  // way is a parent.
  Hash value = heads.back();
  bool is_leaf = size % 2 == 1;
  for (size_t i = heads.size() - 1; i-- > 0;) {
    value = ParentHash(heads[i], false, value, is_leaf);
    is_leaf = false;
  }
  return value;
}

std::vector<LogNodeId> RequiredNodes(const LogProofShape& shape) {
  KT_CHECK(CheckShape(shape).ok());
  ElementCollector collector;
  ProofWalk<ElementCollector>(shape, &collector).Run();
  return std::move(collector).Take();
}

absl::StatusOr<LogProofResult> EvaluateLogProof(const LogProofShape& shape,
                                                std::span<const Hash> leaf_values,
                                                std::span<const Hash> retained_heads,
                                                std::span<const Hash> elements) {
  KT_RETURN_IF_ERROR(CheckShape(shape));
  if (leaf_values.size() != shape.leaves.size()) {
    return absl::InvalidArgumentError("log proof: not one value for each leaf");
  }
  if (retained_heads.size() != CountFullSubtrees(shape.retained.value_or(0))) {
    return absl::InvalidArgumentError("log proof: not one value for each retained subtree");
  }
  const size_t required = RequiredNodes(shape).size();
  if (elements.size() != required) {
    return base::VerificationFailed(
        "inclusion-proof", "log tree proof has " + std::to_string(elements.size()) +
                               " elements where " + std::to_string(required) + " are required");
  }

  ValueComputation values(shape, leaf_values, retained_heads, elements);
  ProofWalk<ValueComputation>(shape, &values).Run();
  if (values.contradicts_retained()) {
    return base::VerificationFailed("retained-subtree",
                                    "the log's entries are not those that it showed when it had " +
                                        std::to_string(*shape.retained) + " entries");
  }
  LogProofResult result;
  if (shape.other_size.has_value()) {
    result.other_root = LogRoot(*shape.other_size, values.other_heads());
  }
  result.full_subtrees = values.TakeFullSubtrees();
  result.nodes = values.TakeNodes();
  result.root = LogRoot(shape.size, result.full_subtrees);
  return result;
}

LogTreeBuilder::LogTreeBuilder(TreeSize size, std::vector<Hash> heads)
    : size_(size), heads_(std::move(heads)) {
  KT_CHECK(heads_.size() == CountFullSubtrees(size_));
}

void LogTreeBuilder::Append(const Hash& leaf, std::vector<std::pair<LogNodeId, Hash>>* completed) {
  KT_CHECK(size_ < std::numeric_limits<TreeSize>::max());
  LogNodeId node{0, size_};
  Hash value = leaf;
  completed->emplace_back(node, value);
  // As in counting: each full subtree of the same size as the new one is its left sibling.
  while (node.index % 2 == 1) {
    node = {static_cast<uint8_t>(node.level + 1), node.index / 2};
    value = BalancedParentHash(node.level, heads_.back(), value);
    heads_.pop_back();
    completed->emplace_back(node, value);
  }
  heads_.push_back(value);
  ++size_;
}

Hash LogTreeBuilder::Root() const { return LogRoot(size_, heads_); }

}  // namespace kt::merkle
