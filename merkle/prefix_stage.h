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
#include "merkle/prefix_prover.h"
#include "merkle/prefix_tree.h"

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
  std::optional<BucketLeaves> leaves;  // nullopt if one has ended
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
  std::vector<std::vector<NodeChange>>& by_entry() { return by_entry_; }
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

// Serves one call of Stage. First bucket by bucket, on all processors if they are many. Then entry
// by entry, from the buckets up to the root, in copies of the tiles that change.
class Stager {
 public:
  // `base` outlives the stager. The first entry's position is base.size. Leaves are kept in memory
  // up to so many bytes.
  Stager(const PrefixTreeLayout& layout, size_t max_leaf_bytes, const TreeVersion& base)
      : layout_(layout),
        max_leaf_bytes_(max_leaf_bytes),
        base_(base),
        staged_(layout.bucket_depth / kTileLevels) {}

  absl::Status Run(const PrefixStoreReader& reader, std::span<const PrefixChanges> entries);

  // The results, once Run has succeeded.
  TreeVersion version() const { return version_; }
  std::vector<base::Hash>& roots() { return roots_; }
  PrefixWrites& writes() { return writes_; }

 private:
  using StagedTiles = absl::flat_hash_map<uint32_t, std::shared_ptr<Tile>>;

  void SortChanges(std::span<const PrefixChanges> entries);
  std::vector<BucketChanges> GroupByBucket() const;
  absl::Status ReplayBuckets(const PrefixStoreReader& reader);
  void ReplayEntry(base::LogPosition position, std::vector<NodeChange> changes);
  std::vector<NodeChange> ReplayTiles(unsigned depth, base::LogPosition position,
                                      std::span<const NodeChange> changes);
  void KeepLeaves();
  void LinkTiles();

  const Tile* FindTile(const SubtreeId& id) const;  // in base_; null if it is not there
  const Tile* NewestTile(const SubtreeId& id) const;
  Tile* MutableTile(const SubtreeId& id);
  StagedTiles& StagedAt(unsigned depth) { return staged_[depth / kTileLevels]; }

  const PrefixTreeLayout layout_;
  const size_t max_leaf_bytes_;
  const TreeVersion& base_;
  std::vector<LeafChange> changes_;                // ascending by (key, position)
  std::vector<std::vector<NodeChange>> by_entry_;  // bucket roots, ascending by bits
  std::vector<ChangedLeaves> changed_leaves_;
  std::vector<StagedTiles> staged_;  // by depth / 4; by the tile's bits
  TreeVersion version_;
  std::vector<base::Hash> roots_;
  PrefixWrites writes_;
};

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_STAGE_H_
