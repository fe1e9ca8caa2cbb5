// SPDX-License-Identifier: Apache-2.0
//
// Computes the trees that follow from a batch of log entries. Internal to merkle/.
#ifndef MERKLE_PREFIX_STAGE_H_
#define MERKLE_PREFIX_STAGE_H_

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "merkle/prefix_bucket.h"
#include "merkle/prefix_tree.h"
#include "merkle/prefix_version.h"

namespace kt::merkle {

// A leaf added (`commitment` is not null) or removed. In one entry and for one key, the removal
// comes first.
struct LeafChange {
  const base::VrfOutput* key = nullptr;
  const base::Hash* commitment = nullptr;
  base::LogPosition position = 0;
};

// A node at a tile boundary that an entry changes.
struct NodeChange {
  uint32_t bits = 0;
  NodeValue value;
  PrefixLeaf leaf;  // if value.kind is kLeaf
};

// The changes of one bucket.
struct BucketChanges {
  SubtreeId id;
  std::span<const LeafChange> changes;  // ascending by (key, position)
  bool read = false;                    // whether its rows are needed
  NodeValue before;
  PrefixLeaf lone_leaf;                // if before.kind is kLeaf
  std::optional<BucketLeaves> leaves;  // before the changes, if memory keeps them
};

// What a bucket's leaves, which memory keeps, are after the changes.
struct ChangedLeaves {
  SubtreeId id;
  std::optional<OwnedLeaves> leaves;  // nullopt if one has ended
};

// Hashes a range of the buckets that a batch changes, many together, each once for every position
// at which it changes, in one pass over the store. One for each thread.
class BucketReplay {
 public:
  // The batch's first entry is at position `first`.
  BucketReplay(base::LogPosition first, size_t entries) : first_(first), by_entry_(entries) {}

  absl::Status Run(const PrefixStoreReader& reader, std::span<const BucketChanges> buckets);

  // The results: for each entry the bucket roots that it changes, in the order of the buckets; new
  // and changed rows; and the leaves of each bucket whose leaves are kept.
  const std::vector<std::vector<NodeChange>>& by_entry() const { return by_entry_; }
  std::vector<LeafRow>& leaves() { return leaves_; }
  std::vector<ChangedLeaves>& changed_leaves() { return changed_leaves_; }

 private:
  absl::Status ReplaySome(const PrefixStoreReader& reader, std::span<const BucketChanges> changed);
  // The rows of those whose rows are needed, in order.
  absl::StatusOr<std::vector<std::vector<LeafRow>>> Read(const PrefixStoreReader& reader,
                                                         std::span<const BucketChanges> changed);
  // Makes `bucket` the one that is changed, with what memory knows of it or with the rows `read`.
  absl::Status Load(const BucketChanges& changed, std::span<const LeafRow> read, Bucket* bucket);
  // Puts alive_ and the bucket's changes into merged_, ascending; new and changed rows also go to
  // leaves_.
  absl::Status MergeLeaves(const BucketChanges& bucket);
  absl::Status CheckBefore(std::span<const BucketChanges> changed);
  void ReplayChanges(std::span<const BucketChanges> changed);

  const base::LogPosition first_;
  std::vector<std::vector<NodeChange>> by_entry_;
  std::vector<LeafRow> leaves_;
  std::vector<ChangedLeaves> changed_leaves_;
  // Of the buckets at hand; the next ones take over their storage.
  std::vector<Bucket> buckets_;
  std::vector<Bucket*> evaluated_;
  std::vector<std::pair<base::LogPosition, size_t>> changes_at_;  // and the bucket's number
  NodeHasher hasher_;
  // Of one of them.
  std::vector<LeafRow> current_;  // if memory keeps them
  std::vector<LeafRow> alive_;    // before the changes
  std::vector<LeafRow> merged_;
};

// The tile `id` in `version`; null if it is not there.
const LinkedTile* FindTile(const TreeVersion& version, const SubtreeId& id);

// Applies changes to tiles of one depth, entry by entry, in copies of those that change.
class TileReplay {
 public:
  using Tiles = absl::flat_hash_map<uint32_t, std::unique_ptr<LinkedTile>>;  // by bits

  // `base` outlives this. New tiles keep leaves if `keep_leaves`.
  TileReplay(const PrefixTreeLayout& layout, unsigned depth, bool keep_leaves,
             const TreeVersion& base)
      : layout_(layout), depth_(depth), keep_leaves_(keep_leaves), base_(base) {}

  // Applies what the entry at `position` changes among nodes four levels below, ascending by bits;
  // returns the changes of the tiles' roots.
  std::vector<NodeChange> Run(base::LogPosition position, std::span<const NodeChange> changes);

  // The copy that is to change.
  LinkedTile* Mutable(uint32_t bits);

  // The results: the copies, what they are copies of, and their new rows.
  Tiles& tiles() { return tiles_; }
  std::vector<const LinkedTile*>& replaced() { return replaced_; }
  std::vector<BandRow>& rows() { return rows_; }

 private:
  struct Touched {
    SubtreeId id;
    LinkedTile* tile = nullptr;
    uint32_t children = 0;  // bit i: that it changed
  };

  SubtreeId IdOf(uint32_t bits) const { return {static_cast<uint8_t>(depth_), bits}; }
  void SetChildren(std::span<const NodeChange> changes);
  // Of base_'s tile; a new one if there is none (null).
  LinkedTile* Copy(uint32_t bits, const LinkedTile* original);

  const PrefixTreeLayout layout_;
  const unsigned depth_;
  const bool keep_leaves_;
  const TreeVersion& base_;
  Tiles tiles_;
  std::vector<const LinkedTile*> replaced_;
  std::vector<BandRow> rows_;
  std::vector<Touched> touched_;  // by the entry at hand
  NodeHasher hasher_;
};

// Serves one call of Stage. Buckets and the tiles above them come first, in parts of the tree, on
// all processors if they are many. Then, entry by entry, the other tiles up to the root.
class Stager {
 public:
  // `base` outlives the stager. The first entry's position is base.size. Leaves are kept in memory
  // up to so many bytes.
  Stager(const PrefixTreeLayout& layout, size_t max_leaf_bytes, const TreeVersion& base);

  absl::Status Run(const PrefixStoreReader& reader, std::span<const PrefixChanges> entries);

  // The results, once Run has succeeded.
  VersionChange& next() { return next_; }
  std::vector<base::Hash>& roots() { return roots_; }
  PrefixWrites& writes() { return writes_; }

 private:
  // What becomes of a range of the deepest tiles.
  struct Part {
    BucketReplay buckets;
    TileReplay tiles;
    std::vector<std::vector<NodeChange>> by_entry;  // of the tiles' roots
  };

  TileReplay NewReplay(unsigned depth) const;
  void SortChanges(std::span<const PrefixChanges> entries);
  // The first of changes_ from `index` on that is not in the same deepest tile as the one before.
  size_t NextTile(size_t index) const;
  std::vector<BucketChanges> GroupByBucket(std::span<const LeafChange> changes) const;
  absl::Status ReplayDeepest(const PrefixStoreReader& reader);
  absl::Status ReplayPart(const PrefixStoreReader& reader, std::span<const LeafChange> changes,
                          Part* part) const;
  void Take(Part* part);
  void ReplayEntry(base::LogPosition position, std::vector<NodeChange> changes);
  void KeepLeaves();
  void DropLeaves(LinkedTile* tile);
  void LinkTiles();
  void TakeTiles();

  TileReplay& TilesAt(unsigned depth) { return tiles_[depth / kTileLevels]; }

  const PrefixTreeLayout layout_;
  const size_t max_leaf_bytes_;
  const TreeVersion& base_;
  std::vector<LeafChange> changes_;  // ascending by (key, position)
  // Of the deepest tiles' roots; once Take has seen all parts, ascending by bits.
  std::vector<std::vector<NodeChange>> by_entry_;
  std::vector<ChangedLeaves> changed_leaves_;
  std::vector<TileReplay> tiles_;  // by depth / 4
  VersionChange next_;
  base::Hash root_;  // after the last entry
  std::vector<base::Hash> roots_;
  PrefixWrites writes_;
};

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_STAGE_H_
