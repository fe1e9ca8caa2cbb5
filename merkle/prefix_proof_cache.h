// SPDX-License-Identifier: Apache-2.0
//
// Whole proofs that were made before. Internal to merkle/.
#ifndef MERKLE_PREFIX_PROOF_CACHE_H_
#define MERKLE_PREFIX_PROOF_CACHE_H_

#include <array>
#include <list>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "merkle/prefix_tree.h"

namespace kt::merkle {

// Keeps the proofs of keys that are looked up again and again: searches for one label come back to
// the same positions for as long as these are on the frontier, and what a key's proof was at a
// position that the tree has passed never changes, so nothing is ever invalidated. Least recently
// used first out. Thread-safe; its locks are held for a look-up only.
class ProofCache {
 public:
  // Takes at most so much memory.
  explicit ProofCache(size_t capacity_bytes) : shard_bytes_(capacity_bytes / kShards) {}

  std::shared_ptr<const PrefixProof> Get(const PrefixProofRequest& request);
  void Put(const PrefixProofRequest& request, const PrefixProof& proof);

 private:
  static constexpr size_t kShards = 16;
  struct Entry {
    PrefixProofRequest request;
    std::shared_ptr<const PrefixProof> proof;
    size_t bytes = 0;  // of memory, all told
  };
  // Compares what an entry holds, so that keys are kept once.
  struct Hash {
    size_t operator()(const PrefixProofRequest* request) const;
  };
  struct Equal {
    bool operator()(const PrefixProofRequest* a, const PrefixProofRequest* b) const;
  };
  using Entries = std::list<Entry>;
  struct Shard {
    absl::Mutex mutex;
    Entries by_use ABSL_GUARDED_BY(mutex);  // most recently used first
    absl::flat_hash_map<const PrefixProofRequest*, Entries::iterator, Hash, Equal> index
        ABSL_GUARDED_BY(mutex);
    size_t bytes ABSL_GUARDED_BY(mutex) = 0;
  };

  Shard& ShardOf(const PrefixProofRequest& request);

  const size_t shard_bytes_;
  std::array<Shard, kShards> shards_;
};

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_PROOF_CACHE_H_
