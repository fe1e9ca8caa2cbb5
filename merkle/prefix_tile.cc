// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_tile.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace kt::merkle {
namespace {

// An item of a row: (kind << 4 | child), then the leaf's key and commitment, or the parent's hash.
constexpr size_t kItemSizes[] = {1, 1 + base::kVrfOutputSize + base::kHashSize,
                                 1 + base::kHashSize};

size_t EncodedSize(const Tile& tile, uint32_t children) {
  size_t size = 0;
  for (; children != 0; children &= children - 1) {
    const unsigned child = static_cast<unsigned>(std::countr_zero(children));
    size += kItemSizes[static_cast<uint8_t>(tile.kind(Tile::kFirstChild + child))];
  }
  return size;
}

base::Bytes Encode(const Tile& tile, uint32_t children) {
  base::Bytes data;
  data.reserve(EncodedSize(tile, children));
  for (; children != 0; children &= children - 1) {
    const unsigned child = static_cast<unsigned>(std::countr_zero(children));
    const unsigned node = Tile::kFirstChild + child;
    const NodeKind kind = tile.kind(node);
    data.push_back(static_cast<uint8_t>(static_cast<unsigned>(kind) << 4 | child));
    if (kind == NodeKind::kLeaf) {
      base::Append(data, tile.leaf(node).vrf_output.view());
      base::Append(data, tile.leaf(node).commitment.view());
    } else if (kind == NodeKind::kParent) {
      base::Append(data, tile.hash(node).view());
    }
  }
  return data;
}

uint32_t NonEmptyChildren(const Tile& tile) {
  uint32_t children = 0;
  for (unsigned child = 0; child < kTileChildren; ++child) {
    if (tile.kind(Tile::kFirstChild + child) != NodeKind::kEmpty) children |= 1u << child;
  }
  return children;
}

absl::Status Corrupt(const SubtreeId& id, const std::string& what) {
  return absl::DataLossError(absl::StrCat("prefix tree band row at depth ", unsigned{id.depth},
                                          ", prefix ", id.bits, ": ", what));
}

// Sets those children of `tile` that `row` describes and no newer row did (`known`).
absl::Status DecodeRow(const SubtreeId& id, const BandRow& row, uint32_t* known, Tile* tile) {
  base::ByteView rest = row.data;
  int last_child = -1;
  while (!rest.empty()) {
    const unsigned kind_bits = rest[0] >> 4;
    const unsigned child = rest[0] & (kTileChildren - 1);
    if (kind_bits > static_cast<unsigned>(NodeKind::kParent)) return Corrupt(id, "unknown flag");
    if (rest.size() < kItemSizes[kind_bits]) return Corrupt(id, "cut short");
    if (static_cast<int>(child) <= last_child) return Corrupt(id, "children out of order");
    last_child = static_cast<int>(child);

    NodeValue value{static_cast<NodeKind>(kind_bits), {}};
    PrefixLeaf leaf;
    const bool needed = (*known >> child & 1) == 0;
    if (value.kind == NodeKind::kLeaf) {
      std::copy_n(&rest[1], base::kVrfOutputSize, leaf.vrf_output.bytes.begin());
      std::copy_n(&rest[1 + base::kVrfOutputSize], base::kHashSize, leaf.commitment.bytes.begin());
      if (!Contains(ChildId(id, child), leaf.vrf_output)) return Corrupt(id, "a leaf out of place");
      if (needed) value.hash = LeafNodeHash(leaf.vrf_output, leaf.commitment);
    } else if (value.kind == NodeKind::kParent) {
      std::copy_n(&rest[1], base::kHashSize, value.hash.bytes.begin());
    } else if (row.is_snapshot) {
      return Corrupt(id, "an empty child in a snapshot");
    }
    if (needed) tile->SetChild(child, value, leaf);
    *known |= 1u << child;
    rest = rest.subspan(kItemSizes[kind_bits]);
  }
  if (last_child < 0 && !row.is_snapshot) return Corrupt(id, "nothing changed");
  return absl::OkStatus();
}

}  // namespace

const PrefixLeaf& Tile::leaf(unsigned node) const {
  KT_CHECK(kind(node) == NodeKind::kLeaf);
  while (node < kFirstChild) node = 2 * node + (kind(2 * node) == NodeKind::kEmpty ? 1 : 0);
  size_t index = 0;
  for (unsigned other = kFirstChild; other < node; ++other) {
    if (kind(other) == NodeKind::kLeaf) ++index;
  }
  return leaves_[index];
}

void Tile::SetChild(unsigned child, const NodeValue& value, const PrefixLeaf& leaf) {
  const unsigned node = kFirstChild + child;
  ptrdiff_t index = 0;
  for (unsigned other = kFirstChild; other < node; ++other) {
    if (kind(other) == NodeKind::kLeaf) ++index;
  }
  const bool was_leaf = kind(node) == NodeKind::kLeaf;
  if (value.kind == NodeKind::kLeaf) {
    if (was_leaf) {
      leaves_[static_cast<size_t>(index)] = leaf;
    } else {
      leaves_.insert(leaves_.begin() + index, leaf);
    }
  } else if (was_leaf) {
    leaves_.erase(leaves_.begin() + index);
  }
  SetKind(node, value.kind);
  hashes_[node - 1] = value.hash;
}

void Tile::PlanRehash(uint32_t changed_children, NodeHasher* hasher) {
  uint32_t changed = changed_children;
  size_t level = 0;
  for (unsigned first = kTileChildren / 2; first >= kRoot; first /= 2, ++level) {
    uint32_t parents = 0;
    for (unsigned i = 0; i < first; ++i) {
      if ((changed >> (2 * i) & 3) == 0) continue;
      parents |= 1u << i;
      const unsigned node = first + i;
      const unsigned left = 2 * node, right = left + 1;
      if (MakesParent(kind(left), kind(right))) {
        SetKind(node, NodeKind::kParent);
        hasher->AddParent(level, hash(left), hash(right), &hashes_[node - 1]);
      } else {  // nothing, or a lone leaf, whose hash is there
        const NodeValue lone = value(kind(left) == NodeKind::kEmpty ? right : left);
        SetKind(node, lone.kind);
        hashes_[node - 1] = lone.hash;
      }
    }
    changed = parents;
  }
}

BandRow AddRow(const SubtreeId& id, base::LogPosition position, uint32_t changed,
               unsigned rows_per_snapshot, Tile* tile) {
  const uint32_t all = NonEmptyChildren(*tile);
  const bool is_snapshot = tile->rows_since_snapshot() + 1 >= rows_per_snapshot ||
                           EncodedSize(*tile, all) <= EncodedSize(*tile, changed);
  tile->SetNewestRow(position, is_snapshot ? 0 : tile->rows_since_snapshot() + 1);
  return {id, position, is_snapshot, Encode(*tile, is_snapshot ? all : changed)};
}

absl::Status DecodeTile(const SubtreeId& id, std::span<const BandRow> rows, NodeHasher* hasher,
                        Tile* tile) {
  if (rows.empty()) return absl::OkStatus();
  if (!rows.back().is_snapshot) return Corrupt(id, "no snapshot to begin with");
  if (rows.size() > std::numeric_limits<uint8_t>::max()) return Corrupt(id, "too many changes");
  uint32_t known = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const BandRow& row = rows[i];
    if (row.id != id) return Corrupt(id, "a row of another tile");
    if (i > 0 && row.position >= rows[i - 1].position) return Corrupt(id, "rows out of order");
    if (i + 1 < rows.size() && row.is_snapshot) return Corrupt(id, "rows before a snapshot");
    KT_RETURN_IF_ERROR(DecodeRow(id, row, &known, tile));
  }
  tile->PlanRehash((1u << kTileChildren) - 1, hasher);
  hasher->Run();
  tile->SetNewestRow(rows.front().position, static_cast<unsigned>(rows.size() - 1));
  return absl::OkStatus();
}

}  // namespace kt::merkle
