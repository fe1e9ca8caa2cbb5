// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_bucket.h"

#include <algorithm>
#include <compare>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace kt::merkle {
namespace {

using base::LogPosition;

constexpr unsigned kKeyBits = 8 * base::kVrfOutputSize;

absl::Status Corrupt(const SubtreeId& id, const std::string& what) {
  return absl::DataLossError(absl::StrCat("prefix tree leaves at depth ", unsigned{id.depth},
                                          ", prefix ", id.bits, ": ", what));
}

}  // namespace

absl::Status CheckLeafRows(const SubtreeId& id, std::span<const LeafRow> rows) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const LeafRow& row = rows[i];
    if (!Contains(id, row.key)) return Corrupt(id, "a leaf of another bucket");
    if (row.insert_pos >= row.end_pos) return Corrupt(id, "a leaf that ends before it begins");
    if (i == 0) continue;
    const LeafRow& before = rows[i - 1];
    const auto order = before.key <=> row.key;
    if (std::is_gt(order)) return Corrupt(id, "leaves out of order");
    if (std::is_eq(order) && row.insert_pos < before.end_pos) {
      return Corrupt(id, "a leaf that is there twice");
    }
  }
  return absl::OkStatus();
}

void Bucket::Reset(const SubtreeId& id, std::vector<LeafRow>* rows) {
  id_ = id;
  rows_.swap(*rows);
  nodes_.clear();
  leaf_hashes_.assign(rows_.size(), std::nullopt);
  too_deep_ = false;
  if (!rows_.empty()) Build();
}

// Adds key after key at the right edge of the trie. The edge's nodes are on a stack; a new branch
// goes between those that part above it and those that part below.
void Bucket::Build() {
  nodes_.reserve(2 * rows_.size());
  edge_.clear();
  for (uint32_t row = 0; row < rows_.size(); ++row) {
    if (row > 0 && rows_[row].key == rows_[row - 1].key) {
      ++nodes_[edge_.back()].row_end;
      continue;
    }
    const uint32_t leaf = static_cast<uint32_t>(nodes_.size());
    nodes_.emplace_back();
    nodes_[leaf].depth = kKeyBits;
    nodes_[leaf].row_begin = row;
    nodes_[leaf].row_end = row + 1;
    if (row > 0) {
      const unsigned shared = SharedBits(rows_[row - 1].key, rows_[row].key);
      uint32_t left = edge_.back();
      edge_.pop_back();
      while (!edge_.empty() && nodes_[edge_.back()].depth > shared) {
        left = edge_.back();
        edge_.pop_back();
      }
      const uint32_t branch = static_cast<uint32_t>(nodes_.size());
      nodes_.emplace_back();
      nodes_[branch].depth = shared;
      nodes_[branch].left = left;
      nodes_[branch].right = leaf;
      nodes_[branch].row_begin = nodes_[left].row_begin;
      if (!edge_.empty()) nodes_[edge_.back()].right = branch;
      edge_.push_back(branch);
    }
    edge_.push_back(leaf);
  }
  root_ = edge_.front();
  nodes_[root_].top = id_.depth;
  for (const Node& node : nodes_) {
    if (node.depth == kKeyBits) continue;
    nodes_[node.left].top = node.depth + 1;
    nodes_[node.right].top = node.depth + 1;
  }
}

// Leaves are evaluated in the order of their rows. So whoever needs the hash of one soon needs that
// of the next one that is there, and two at once cost little more than one.
const base::Hash& Bucket::LeafHash(uint32_t row, LogPosition position) {
  if (leaf_hashes_[row].has_value()) return *leaf_hashes_[row];
  const LeafRow& first = rows_[row];
  for (uint32_t next = row + 1; next < rows_.size(); ++next) {
    const LeafRow& second = rows_[next];
    if (leaf_hashes_[next].has_value() || position < second.insert_pos ||
        position >= second.end_pos) {
      continue;
    }
    const auto hashes =
        LeafNodeHashes({first.key, first.commitment}, {second.key, second.commitment});
    leaf_hashes_[next] = hashes[1];
    return leaf_hashes_[row].emplace(hashes[0]);
  }
  return leaf_hashes_[row].emplace(LeafNodeHash(first.key, first.commitment));
}

void Bucket::EvaluateKey(LogPosition position, Node* node) {
  node->value = {};
  node->from = 0;
  node->until = std::numeric_limits<LogPosition>::max();
  for (uint32_t i = node->row_begin; i < node->row_end; ++i) {
    const LeafRow& row = rows_[i];
    if (position < row.insert_pos) {
      node->until = row.insert_pos;
      return;
    }
    if (position < row.end_pos) {
      node->value = {NodeKind::kLeaf, LeafHash(i, position)};
      node->leaf_row = i;
      node->from = row.insert_pos;
      node->until = row.end_pos;
      return;
    }
    node->from = row.end_pos;
  }
}

NodeValue Bucket::Lift(const Node& node, NodeValue value, unsigned from_depth,
                       unsigned to_depth) const {
  if (value.kind != NodeKind::kParent) return value;
  const base::VrfOutput& key = rows_[node.row_begin].key;
  for (unsigned depth = from_depth; depth > to_depth; --depth) {
    value.hash = key.bit(depth - 1) ? ParentNodeHash({}, value.hash)  //
                                    : ParentNodeHash(value.hash, {});
  }
  return value;
}

// Recursion ends at depth 256 at the latest.
const Bucket::Node& Bucket::Evaluate(uint32_t index, LogPosition position) {
  Node& node = nodes_[index];
  if (node.from <= position && position < node.until) return node;
  if (node.depth == kKeyBits) {
    EvaluateKey(position, &node);
    return node;
  }
  const Node& left = Evaluate(node.left, position);
  const Node& right = Evaluate(node.right, position);
  node.from = std::max(left.from, right.from);
  node.until = std::min(left.until, right.until);
  node.leaf_row = left.value.kind == NodeKind::kLeaf ? left.leaf_row : right.leaf_row;
  if (node.depth == kKeyBits - 1 && left.value.kind == NodeKind::kLeaf &&
      right.value.kind == NodeKind::kLeaf) {
    too_deep_ = true;
  }
  node.value = Lift(node, Combine(left.value, right.value), node.depth, node.top);
  return node;
}

NodeValue Bucket::RootAt(LogPosition position) {
  return nodes_.empty() ? NodeValue{} : Evaluate(root_, position).value;
}

PrefixLeaf Bucket::LoneLeafAt(LogPosition position) {
  const LeafRow& row = rows_[Evaluate(root_, position).leaf_row];
  return {row.key, row.commitment};
}

absl::Status Bucket::Search(LogPosition position, ProofWriter::Range range, ProofWriter* writer) {
  if (nodes_.empty()) return writer->EndAtMissing(range, id_.depth);
  return SearchBelow(root_, id_.depth, position, range, writer);
}

NodeValue Bucket::ValueAt(const Node& node, unsigned depth) const {
  if (depth == node.top || node.value.kind != NodeKind::kParent) return node.value;
  return Lift(node, Combine(nodes_[node.left].value, nodes_[node.right].value), node.depth, depth);
}

absl::Status Bucket::SearchBelow(uint32_t index, unsigned depth, LogPosition position,
                                 ProofWriter::Range range, ProofWriter* writer) {
  const Node& node = Evaluate(index, position);
  if (range.empty()) {
    writer->AddElement(ValueAt(node, depth).hash);
    return absl::OkStatus();
  }
  if (node.value.kind == NodeKind::kEmpty) return writer->EndAtMissing(range, depth);
  if (node.value.kind == NodeKind::kLeaf) {
    const LeafRow& row = rows_[node.leaf_row];
    return writer->EndAtLeaf(range, depth, {row.key, row.commitment});
  }
  const auto [left, right] = writer->Split(range, depth);
  if (depth == node.depth) {
    KT_RETURN_IF_ERROR(SearchBelow(node.left, depth + 1, position, left, writer));
    return SearchBelow(node.right, depth + 1, position, right, writer);
  }
  // Above the branch: nothing on the side that the bucket's keys do not take.
  const bool bit = rows_[node.row_begin].key.bit(depth);
  for (const bool side : {false, true}) {
    const ProofWriter::Range entering = side ? right : left;
    if (side == bit) {
      KT_RETURN_IF_ERROR(SearchBelow(index, depth + 1, position, entering, writer));
    } else if (entering.empty()) {
      writer->AddElement(base::Hash{});
    } else {
      KT_RETURN_IF_ERROR(writer->EndAtMissing(entering, depth + 1));
    }
  }
  return absl::OkStatus();
}

}  // namespace kt::merkle
