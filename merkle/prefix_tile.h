// SPDX-License-Identifier: Apache-2.0
//
// A tile: four levels of the prefix tree, from one node down to its sixteen descendants four levels
// below, and the rows that keep its history. Internal to merkle/.
#ifndef MERKLE_PREFIX_TILE_H_
#define MERKLE_PREFIX_TILE_H_

#include <array>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "merkle/node_hasher.h"
#include "merkle/prefix_node.h"
#include "merkle/prefix_store.h"

namespace kt::merkle {

inline constexpr unsigned kTileLevels = 4;
inline constexpr unsigned kTileChildren = 16;

// The subtree of a tile's child.
inline SubtreeId ChildId(const SubtreeId& tile, unsigned child) {
  return {static_cast<uint8_t>(tile.depth + kTileLevels),
          tile.bits | static_cast<uint32_t>(child) << (32 - kTileLevels - tile.depth)};
}
// Which child of the tile at `depth` covers the subtree (or key) that begins with `bits`.
inline unsigned ChildIndex(uint32_t bits, unsigned depth) {
  return bits >> (32 - kTileLevels - depth) & (kTileChildren - 1);
}

// Nodes are numbered as in a heap: the root is 1, the children of node n are 2n and 2n + 1, and the
// tile's children are 16 to 31.
class Tile {
 public:
  static constexpr unsigned kRoot = 1;
  static constexpr unsigned kFirstChild = kTileChildren;

  NodeKind kind(unsigned node) const { return static_cast<NodeKind>(kinds_ >> (2 * node) & 3); }
  const base::Hash& hash(unsigned node) const { return hashes_[node - 1]; }
  NodeValue value(unsigned node) const { return {kind(node), hash(node)}; }
  // The leaf that stands at `node`, whose kind is kLeaf.
  const PrefixLeaf& leaf(unsigned node) const;

  // Changes a child (0..15); `leaf` is used if its kind is kLeaf. The nodes above it are stale
  // until PlanRehash gets its bit (1 << child), and then `hasher` runs.
  void SetChild(unsigned child, const NodeValue& value, const PrefixLeaf& leaf);
  void PlanRehash(uint32_t changed_children, NodeHasher* hasher);

  // Position of the newest row. Unused by an empty tile without rows.
  base::LogPosition last_change() const { return last_change_; }
  unsigned rows_since_snapshot() const { return rows_since_snapshot_; }
  void SetNewestRow(base::LogPosition position, unsigned rows_since_snapshot) {
    last_change_ = position;
    rows_since_snapshot_ = rows_since_snapshot;
  }

 private:
  void SetKind(unsigned node, NodeKind kind) {
    kinds_ = (kinds_ & ~(uint64_t{3} << (2 * node))) | uint64_t{static_cast<uint8_t>(kind)}
                                                           << (2 * node);
  }

  std::array<base::Hash, 2 * kTileChildren - 1> hashes_{};  // all zeros where empty
  uint64_t kinds_ = 0;                                      // two bits a node
  std::vector<PrefixLeaf> leaves_;                          // of the children of kind kLeaf
  base::LogPosition last_change_ = 0;
  unsigned rows_since_snapshot_ = 0;
};

// The row that records `tile`'s state after the children of `changed` changed at `position`, and
// remembers it in the tile. Every `rows_per_snapshot`-th row is a snapshot, and so is one that
// would be no longer as a snapshot (which a tile's first row always is).
BandRow AddRow(const SubtreeId& id, base::LogPosition position, uint32_t changed,
               unsigned rows_per_snapshot, Tile* tile);

// Makes `tile`, which is a new one, what `rows` describe (newest first, ending with a snapshot;
// none for a tile that never had a leaf). kDataLoss unless they are rows of `id`, well-formed and
// complete; the tile is of no use then.
absl::Status DecodeTile(const SubtreeId& id, std::span<const BandRow> rows, NodeHasher* hasher,
                        Tile* tile);

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_TILE_H_
