// SPDX-License-Identifier: Apache-2.0
//
// Makes prefix proofs at any positions with one round of reads. Internal to merkle/.
#ifndef MERKLE_PREFIX_PROVER_H_
#define MERKLE_PREFIX_PROVER_H_

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "merkle/prefix_bucket.h"
#include "merkle/prefix_proof_cache.h"
#include "merkle/prefix_proof_writer.h"
#include "merkle/prefix_tile.h"
#include "merkle/prefix_tile_cache.h"
#include "merkle/prefix_tree.h"
#include "merkle/prefix_version.h"

namespace kt::merkle {

// Where tiles and proofs of earlier calls are found.
struct ProverCaches {
  explicit ProverCaches(size_t proof_bytes) : proofs(proof_bytes) {}
  TileCache tiles;
  ProofCache proofs;
};

// Serves one call. What was proven before is taken from the cache. Plans what each other request
// needs, top down: a tile that has not changed since the position is taken from memory, one that
// was lately decoded from the cache, and leaves from memory if it keeps them; all else is read in
// one round. Nothing found in a row can lead to another read, since a row holds the key and
// commitment of a child that is a lone leaf.
class Prover {
 public:
  // `version` and `caches` outlive the prover.
  Prover(const PrefixTreeLayout& layout, const TreeVersion& version, ProverCaches* caches)
      : layout_(layout), version_(version), caches_(*caches) {}

  absl::StatusOr<std::vector<PrefixProof>> Run(const PrefixStoreReader& reader,
                                               std::span<const PrefixProofRequest> requests);

 private:
  static constexpr size_t kNotHeld = ~size_t{0};

  // A tile that a request's searches may pass.
  struct Step {
    SubtreeId id;
    const Tile* tile = nullptr;                // null until its rows are decoded
    size_t query = 0;                          // of its rows, if `tile` is null
    size_t held = kNotHeld;                    // in held_, if it was decoded and is to be cached
    std::array<int32_t, kTileChildren> below;  // a step, or a bucket; -1 if not needed
    uint32_t buckets = 0;                      // bit i: below[i] is a bucket
  };

  // A request that has to be answered from tiles and buckets.
  struct Search {
    size_t request = 0;
    ProofWriter writer;
    int32_t root = 0;  // the step of the root tile
  };

  int32_t PlanTile(const SubtreeId& id, base::LogPosition position, const LinkedTile* current,
                   ProofWriter::Range range, const ProofWriter& writer);
  // `tile` is the newest one: that the bucket is a child of, or that is read as one.
  int32_t PlanBucket(const SubtreeId& id, const LinkedTile* tile);
  // False, with nothing added to `leaves`, if memory does not keep them.
  bool TakeFromMemory(const SubtreeId& id, const LinkedTile* tile, std::vector<LeafRow>* leaves);
  // Whether a child of a tile is read as one bucket.
  bool IsBucket(const SubtreeId& id, base::LogPosition position, const LinkedTile* current);
  const Tile* KnownTile(const SubtreeId& id, base::LogPosition position, const LinkedTile* current);
  absl::Status ReadAll(const PrefixStoreReader& reader);
  absl::Status Decode(base::LogPosition position, Step* step);
  void Remember(base::LogPosition position, Step* step);
  // All that searches which pass `step` come to, in reached_; decodes the tiles on the way.
  absl::Status ReachBuckets(Step* step, base::LogPosition position);
  absl::Status ReachBucket(const SubtreeId& id, size_t index);

  absl::Status SearchTile(Step* step, unsigned node, base::LogPosition position,
                          ProofWriter::Range range, ProofWriter* writer);
  absl::Status SearchChild(Step* step, unsigned node, base::LogPosition position,
                           ProofWriter::Range range, ProofWriter* writer);

  const PrefixTreeLayout layout_;
  const TreeVersion& version_;
  ProverCaches& caches_;

  std::vector<Step> steps_;
  std::vector<std::shared_ptr<const Tile>> held_;  // what steps_ borrow, beside version_
  // What was decoded, in held_: by tile, position of the newest row, and number of rows.
  absl::flat_hash_map<std::tuple<uint8_t, uint32_t, base::LogPosition, size_t>, size_t> decoded_;
  std::vector<BandQuery> queries_;
  std::vector<std::vector<BandRow>> rows_;
  bool memory_covers_all_ = false;  // no request is for a position that is newer than version_
  absl::flat_hash_map<std::pair<uint8_t, uint32_t>, int32_t> bucket_of_id_;  // by depth and bits
  std::vector<std::vector<LeafRow>> leaves_;                                 // of each bucket
  std::vector<SubtreeId> bucket_ids_;  // of those that memory does not keep
  std::vector<int32_t> to_read_;       // where these are in leaves_
  std::vector<std::optional<Bucket>> buckets_;
  std::vector<Bucket*> reached_;  // by the search at hand
  NodeHasher hasher_;
};

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_PROVER_H_
