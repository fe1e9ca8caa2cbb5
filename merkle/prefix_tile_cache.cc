// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_tile_cache.h"

#include <utility>

namespace kt::merkle {

TileCache::Shard& TileCache::ShardOf(size_t hash) {
  // The table's low bits come from another part of the hash, so shards stay evenly filled.
  return shards_[hash >> 32 & (kShards - 1)];
}

std::shared_ptr<const Tile> TileCache::Get(const SubtreeId& id, base::LogPosition position) {
  const Key key(id.depth, id.bits, position);
  const size_t hash = absl::Hash<Key>()(key);
  Shard& shard = ShardOf(hash);
  absl::MutexLock lock(&shard.mutex);
  const auto found = shard.index.find(key, hash);
  if (found == shard.index.end()) return nullptr;
  Entry& entry = shard.entries[found->second];
  entry.used = true;
  return entry.tile;
}

void TileCache::Put(const SubtreeId& id, base::LogPosition position,
                    std::shared_ptr<const Tile> tile) {
  const Key key(id.depth, id.bits, position);
  Shard& shard = ShardOf(absl::Hash<Key>()(key));
  Entry entry{key, std::move(tile)};  // in the end what was evicted, to be freed after the lock
  absl::MutexLock lock(&shard.mutex);
  if (shard.index.contains(key)) return;
  if (shard.entries.size() < kCapacity / kShards) {
    shard.index.emplace(key, shard.entries.size());
    shard.entries.push_back(std::move(entry));
    return;
  }
  const auto advance = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mutex) {
    shard.turn = (shard.turn + 1) % shard.entries.size();
  };
  for (; shard.entries[shard.turn].used; advance()) shard.entries[shard.turn].used = false;
  shard.index.erase(shard.entries[shard.turn].key);
  shard.index.emplace(key, shard.turn);
  std::swap(shard.entries[shard.turn], entry);
  advance();
}

}  // namespace kt::merkle
