// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_bucket.h"

#include <algorithm>
#include <compare>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace kt::merkle {
namespace {

using base::LogPosition;

constexpr unsigned kKeyBits = 8 * base::kVrfOutputSize;
constexpr base::Hash kEmptyHash;  // all zeros

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
      nodes_[branch].depth = static_cast<uint16_t>(shared);
      nodes_[branch].left = left;
      nodes_[branch].right = leaf;
      nodes_[branch].row_begin = nodes_[left].row_begin;
      if (!edge_.empty()) nodes_[edge_.back()].right = branch;
      edge_.push_back(branch);
    }
    edge_.push_back(leaf);
  }
  root_ = edge_.front();
  hashes_.assign(nodes_.size(), {});
  nodes_[root_].top = id_.depth;
  for (const Node& node : nodes_) {
    if (node.depth == kKeyBits) continue;
    const auto below = static_cast<uint16_t>(node.depth + 1);
    nodes_[node.left].top = below;
    nodes_[node.right].top = below;
  }
}

void Bucket::Plan(LogPosition position, NodeHasher* hasher) {
  if (!nodes_.empty()) PlanNode(root_, position, hasher);
}

// Recursion ends at depth 256 at the latest.
size_t Bucket::PlanNode(uint32_t index, LogPosition position, NodeHasher* hasher) {
  Node& node = nodes_[index];
  if (node.from <= position && position < node.until) return 0;
  if (node.depth == kKeyBits) {
    PlanKey(index, position, hasher);
    return 0;
  }
  size_t level = PlanNode(node.left, position, hasher);
  level = std::max(level, PlanNode(node.right, position, hasher));
  const Node& left = nodes_[node.left];
  const Node& right = nodes_[node.right];
  node.from = std::max(left.from, right.from);
  node.until = std::min(left.until, right.until);
  if (MakesParent(left.kind, right.kind)) return PlanParent(index, level, hasher);
  const Node& lone = left.kind == NodeKind::kEmpty ? right : left;
  node.kind = lone.kind;
  node.hash_of = lone.hash_of;
  return 0;
}

void Bucket::PlanKey(uint32_t index, LogPosition position, NodeHasher* hasher) {
  Node& node = nodes_[index];
  node.kind = NodeKind::kEmpty;
  node.hash_of = index;
  node.from = 0;
  node.until = std::numeric_limits<LogPosition>::max();
  for (uint32_t i = node.row_begin; i < node.row_end; ++i) {
    const LeafRow& row = rows_[i];
    if (position < row.insert_pos) {
      node.until = row.insert_pos;
      break;
    }
    if (position < row.end_pos) {
      node.kind = NodeKind::kLeaf;
      node.alive_row = i;
      node.from = row.insert_pos;
      node.until = row.end_pos;
      hasher->AddLeaf(row.key, row.commitment, &hashes_[index]);
      return;
    }
    node.from = row.end_pos;
  }
  hashes_[index] = {};
}

size_t Bucket::PlanParent(uint32_t index, size_t level, NodeHasher* hasher) {
  Node& node = nodes_[index];
  if (node.depth == kKeyBits - 1) too_deep_ = true;
  node.kind = NodeKind::kParent;
  node.hash_of = index;
  base::Hash* const hash = &hashes_[index];
  hasher->AddParent(level++, HashOf(nodes_[node.left]), HashOf(nodes_[node.right]), hash);
  const base::VrfOutput& key = rows_[node.row_begin].key;
  for (unsigned depth = node.depth; depth > node.top; --depth) {
    const bool is_right = key.bit(depth - 1);
    hasher->AddParent(level++, is_right ? kEmptyHash : *hash, is_right ? *hash : kEmptyHash, hash);
  }
  return level;
}

const Bucket::Node& Bucket::Root() const {
  const Node& node = nodes_[root_];
  KT_CHECK(node.from < node.until);  // it was evaluated
  return node;
}

NodeValue Bucket::root() const {
  if (nodes_.empty()) return {};
  return {Root().kind, HashOf(Root())};
}

PrefixLeaf Bucket::LeafOf(const Node& node) const {
  const LeafRow& row = rows_[nodes_[node.hash_of].alive_row];
  return {row.key, row.commitment};
}

PrefixLeaf Bucket::LoneLeaf() const { return LeafOf(Root()); }

absl::Status Bucket::Search(ProofWriter::Range range, ProofWriter* writer) const {
  if (nodes_.empty()) return writer->EndAtMissing(range, id_.depth);
  return SearchBelow(root_, id_.depth, range, writer);
}

base::Hash Bucket::HashAt(const Node& node, unsigned depth) const {
  if (depth == node.top || node.kind != NodeKind::kParent) return HashOf(node);
  base::Hash hash = ParentNodeHash(HashOf(nodes_[node.left]), HashOf(nodes_[node.right]));
  const base::VrfOutput& key = rows_[node.row_begin].key;
  for (unsigned below = node.depth; below > depth; --below) {
    hash = key.bit(below - 1) ? ParentNodeHash(kEmptyHash, hash) : ParentNodeHash(hash, kEmptyHash);
  }
  return hash;
}

absl::Status Bucket::SearchBelow(uint32_t index, unsigned depth, ProofWriter::Range range,
                                 ProofWriter* writer) const {
  const Node& node = nodes_[index];
  if (range.empty()) {
    writer->AddElement(HashAt(node, depth));
    return absl::OkStatus();
  }
  if (node.kind == NodeKind::kEmpty) return writer->EndAtMissing(range, depth);
  if (node.kind == NodeKind::kLeaf) return writer->EndAtLeaf(range, depth, LeafOf(node));
  const auto [left, right] = writer->Split(range, depth);
  if (depth == node.depth) {
    KT_RETURN_IF_ERROR(SearchBelow(node.left, depth + 1, left, writer));
    return SearchBelow(node.right, depth + 1, right, writer);
  }
  // Above the branch: nothing on the side that the bucket's keys do not take.
  const bool bit = rows_[node.row_begin].key.bit(depth);
  for (const bool side : {false, true}) {
    const ProofWriter::Range entering = side ? right : left;
    if (side == bit) {
      KT_RETURN_IF_ERROR(SearchBelow(index, depth + 1, entering, writer));
    } else if (entering.empty()) {
      writer->AddElement(kEmptyHash);
    } else {
      KT_RETURN_IF_ERROR(writer->EndAtMissing(entering, depth + 1));
    }
  }
  return absl::OkStatus();
}

void Evaluate(LogPosition position, std::span<Bucket* const> buckets, NodeHasher* hasher) {
  for (Bucket* const bucket : buckets) bucket->Plan(position, hasher);
  hasher->Run();
}

}  // namespace kt::merkle
