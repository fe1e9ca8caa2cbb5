// SPDX-License-Identifier: Apache-2.0
//
// The prefix tree as the log's operator holds it: the current tree in memory down to the buckets,
// every earlier one in the store. docs/decisions/ records the layout and why.
#ifndef MERKLE_PREFIX_TREE_H_
#define MERKLE_PREFIX_TREE_H_

#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "merkle/prefix_proof.h"
#include "merkle/prefix_store.h"

namespace kt::merkle {

// The bands' depths are multiples of four up to `bucket_depth`, below which leaves are scanned.
// Fixed when a log is created: 16 serves up to about 2 million leaves, 20 up to about 30 million.
struct PrefixTreeLayout {
  uint8_t bucket_depth = 16;       // 4, 8, 12, 16, 20 or 24
  uint8_t rows_per_snapshot = 16;  // every so many rows of a tile is a snapshot
  // Keeps no rows of the deepest tiles, which in small entries are a third of all that a leaf
  // takes. What such a tile was at an old position follows from its leaves: those of up to sixteen
  // buckets, read as one. Loading the tree reads all leaves. Needs a bucket_depth from 8 on.
  bool deepest_from_leaves = false;

  uint8_t deepest_tile_depth() const { return static_cast<uint8_t>(bucket_depth - 4); }
};

// The changes that one log entry makes.
struct PrefixChanges {
  std::vector<PrefixLeaf> added;         // any order; keys distinct
  std::vector<base::VrfOutput> removed;  // keys present before; may also be in `added`
};

// One PrefixProof to be made: `keys` looked up in the tree as of `position`.
struct PrefixProofRequest {
  base::LogPosition position = 0;
  // 0..255. A repeated key gets the same result each time (an AuditorUpdate that replaces a leaf
  // asks for its key twice); without keys, the root is the proof's only element.
  std::vector<base::VrfOutput> keys;
};

// How much memory a tree may take for what it could also read or make again.
struct PrefixTreeMemory {
  // For leaves of the current tree, some 74 bytes each; those of the other buckets are read
  // whenever they are needed.
  size_t leaf_bytes = 0;
  // For proofs that were made before, the ones last asked for.
  size_t proof_bytes = size_t{64} << 20;
};

// A computed but not yet stored extension of the tree.
class StagedPrefixTree {
 public:
  virtual ~StagedPrefixTree() = default;
  // The root after each entry, in order.
  virtual const std::vector<base::Hash>& roots() const = 0;
  // What has to be stored, in one atomic write, before Apply.
  virtual const PrefixWrites& writes() const = 0;
  // The same for who can have them; once.
  virtual PrefixWrites TakeWrites() = 0;
};

// Thread-safe for any number of Prove calls beside one writer (Stage, Apply).
class PrefixTree {
 public:
  virtual ~PrefixTree() = default;

  // Loads the current tree, of `entries` log entries, from a store. kDataLoss if rows are missing
  // or do not fit together. An empty store with no entries is an empty tree. What no row in the
  // store can show, the caller checks: that RootAt(entries - 1) is what the last log entry records.
  // kInvalidArgument if the layout is not one of those above.
  static absl::StatusOr<std::unique_ptr<PrefixTree>> Load(const PrefixTreeLayout& layout,
                                                          const PrefixStoreReader& reader,
                                                          base::TreeSize entries,
                                                          const PrefixTreeMemory& memory);

  // Computes the trees after `entries` (one PrefixChanges a log entry; the first is at position
  // `first`, which is the current number of entries). Reads from `reader`, changes nothing.
  // kAlreadyExists / kNotFound if a key to add is there or one to remove is not; kDataLoss if
  // stored leaves do not give the current tree; kFailedPrecondition if `first` is another position;
  // kInvalidArgument if two leaves would differ in their last bit only (they would stand at depth
  // 256, which a proof cannot express).
  virtual absl::StatusOr<std::unique_ptr<StagedPrefixTree>> Stage(
      const PrefixStoreReader& reader, base::LogPosition first,
      std::span<const PrefixChanges> entries) const = 0;

  // What the leaves in memory take, in bytes.
  virtual size_t leaf_bytes() const = 0;

  // Makes the staged tree current. Call only after its writes are durable.
  virtual void Apply(std::unique_ptr<StagedPrefixTree> staged) = 0;

  // Proofs for all requests from one round of reads. `reader` is a snapshot that contains every
  // requested position; the tree may already be newer, or not yet as new. kDataLoss if stored rows
  // do not fit together; kInvalidArgument for more than 255 keys.
  virtual absl::StatusOr<std::vector<PrefixProof>> Prove(
      const PrefixStoreReader& reader, std::span<const PrefixProofRequest> requests) const = 0;

  // The root as of `position`, from stored rows.
  virtual absl::StatusOr<base::Hash> RootAt(const PrefixStoreReader& reader,
                                            base::LogPosition position) const = 0;
};

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_TREE_H_
