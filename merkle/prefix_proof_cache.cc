// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_proof_cache.h"

#include <iterator>
#include <utility>

#include "absl/hash/hash.h"
#include "merkle/prefix_node.h"

namespace kt::merkle {
namespace {

// List and table nodes, the two vectors' and the shared pointer's blocks.
constexpr size_t kOverheadBytes = 256;

size_t BytesOf(const PrefixProofRequest& request, const PrefixProof& proof) {
  return kOverheadBytes + request.keys.size() * sizeof(base::VrfOutput) +
         proof.results.size() * sizeof(PrefixSearchResult) +
         proof.elements.size() * sizeof(base::Hash);
}

}  // namespace

// Outputs of a VRF are as good as random, so the beginnings of the keys tell them apart.
size_t ProofCache::Hash::operator()(const PrefixProofRequest* request) const {
  size_t hash = absl::HashOf(request->position, request->keys.size());
  for (const base::VrfOutput& key : request->keys) {
    hash = absl::HashOf(hash, LeadingBits(key, 32));
  }
  return hash;
}

bool ProofCache::Equal::operator()(const PrefixProofRequest* a, const PrefixProofRequest* b) const {
  return a->position == b->position && a->keys == b->keys;
}

ProofCache::Shard& ProofCache::ShardOf(const PrefixProofRequest& request) {
  // The table's low bits come from another part of the hash, so shards stay evenly filled.
  return shards_[Hash()(&request) >> 32 & (kShards - 1)];
}

std::shared_ptr<const PrefixProof> ProofCache::Get(const PrefixProofRequest& request) {
  Shard& shard = ShardOf(request);
  absl::MutexLock lock(&shard.mutex);
  const auto found = shard.index.find(&request);
  if (found == shard.index.end()) return nullptr;
  shard.by_use.splice(shard.by_use.begin(), shard.by_use, found->second);
  return found->second->proof;
}

void ProofCache::Put(const PrefixProofRequest& request, const PrefixProof& proof) {
  Entry entry{request, std::make_shared<const PrefixProof>(proof), BytesOf(request, proof)};
  Shard& shard = ShardOf(request);
  Entries evicted;  // freed after the lock
  absl::MutexLock lock(&shard.mutex);
  if (shard.index.contains(&request)) return;
  shard.bytes += entry.bytes;
  shard.by_use.push_front(std::move(entry));
  shard.index.emplace(&shard.by_use.front().request, shard.by_use.begin());
  while (shard.bytes > shard_bytes_) {
    const auto last = std::prev(shard.by_use.end());
    shard.bytes -= last->bytes;
    shard.index.erase(&last->request);
    evicted.splice(evicted.begin(), shard.by_use, last);
  }
}

}  // namespace kt::merkle
