// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_tile_cache.h"

namespace kt::merkle {

TileCache::Shard& TileCache::ShardOf(const Key& key) {
  // The table's low bits come from another part of the hash, so shards stay evenly filled.
  return shards_[absl::Hash<Key>()(key) >> 32 & (kShards - 1)];
}

std::shared_ptr<const Tile> TileCache::Get(const SubtreeId& id, base::LogPosition position) {
  const Key key(id.depth, id.bits, position);
  Shard& shard = ShardOf(key);
  absl::MutexLock lock(&shard.mutex);
  const auto found = shard.index.find(key);
  if (found == shard.index.end()) return nullptr;
  shard.by_use.splice(shard.by_use.begin(), shard.by_use, found->second);
  return found->second->second;
}

void TileCache::Put(const SubtreeId& id, base::LogPosition position,
                    std::shared_ptr<const Tile> tile) {
  const Key key(id.depth, id.bits, position);
  Shard& shard = ShardOf(key);
  std::shared_ptr<const Tile> evicted;  // freed after the lock
  absl::MutexLock lock(&shard.mutex);
  if (shard.index.contains(key)) return;
  if (shard.by_use.size() >= kCapacity / kShards) {
    evicted = std::move(shard.by_use.back().second);
    shard.index.erase(shard.by_use.back().first);
    shard.by_use.pop_back();
  }
  shard.by_use.emplace_front(key, std::move(tile));
  shard.index.emplace(key, shard.by_use.begin());
}

}  // namespace kt::merkle
