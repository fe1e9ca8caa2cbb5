// SPDX-License-Identifier: Apache-2.0
//
// Tiles of earlier trees, decoded and hashed. Internal to merkle/.
#ifndef MERKLE_PREFIX_TILE_CACHE_H_
#define MERKLE_PREFIX_TILE_CACHE_H_

#include <array>
#include <memory>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "merkle/prefix_tile.h"

namespace kt::merkle {

// Keeps the tiles near the root as of the positions that searches come back to (the frontier and
// distinguished entries). First in, first out, but for those that were asked for since their turn
// came last: to note that touches less memory than to keep them in the order of their use. What a
// tile was at a position that the tree has passed never changes, so nothing is ever invalidated.
// Thread-safe; its locks are held for a look-up only.
class TileCache {
 public:
  // Tiles deeper than this are too many for one to be asked for twice. Of those that are not,
  // twelve positions have 52,000; a tile that is the same at several of them takes its memory once.
  static constexpr unsigned kMaxDepth = 12;
  static constexpr size_t kCapacity = 65'536;  // tiles; at most 70 MB

  std::shared_ptr<const Tile> Get(const SubtreeId& id, base::LogPosition position);
  void Put(const SubtreeId& id, base::LogPosition position, std::shared_ptr<const Tile> tile);

 private:
  static constexpr size_t kShards = 16;
  using Key = std::tuple<uint8_t, uint32_t, base::LogPosition>;
  struct Entry {
    Key key;
    std::shared_ptr<const Tile> tile;
    bool used = false;  // since its turn came last
  };
  struct Shard {
    absl::Mutex mutex;
    std::vector<Entry> entries ABSL_GUARDED_BY(mutex);
    size_t turn ABSL_GUARDED_BY(mutex) = 0;  // of entries, once there is room for no more
    absl::flat_hash_map<Key, size_t> index ABSL_GUARDED_BY(mutex);  // of entries
  };

  Shard& ShardOf(size_t hash);

  std::array<Shard, kShards> shards_;
};

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_TILE_CACHE_H_
