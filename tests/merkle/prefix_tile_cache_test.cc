// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_tile_cache.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>

namespace kt::merkle {
namespace {

// The `number`-th of many tiles.
SubtreeId Id(size_t number) {
  return {TileCache::kMaxDepth, static_cast<uint32_t>(number % 4096) << 20};
}
base::LogPosition Position(size_t number) { return number / 4096; }

std::shared_ptr<const Tile> Get(TileCache& cache, size_t number) {
  return cache.Get(Id(number), Position(number));
}
void Put(TileCache& cache, size_t number, const std::shared_ptr<const Tile>& tile) {
  cache.Put(Id(number), Position(number), tile);
}

TEST(TileCache, GivesATileAtItsPositionOnly) {
  TileCache cache;
  const auto tile = std::make_shared<const Tile>();
  cache.Put({8, 0}, 7, tile);
  EXPECT_EQ(cache.Get({8, 0}, 7), tile);
  EXPECT_EQ(cache.Get({8, 0}, 6), nullptr);
  EXPECT_EQ(cache.Get({4, 0}, 7), nullptr);
  EXPECT_EQ(cache.Get({8, 1u << 24}, 7), nullptr);
}

TEST(TileCache, KeepsTheFirstOfSeveral) {
  TileCache cache;
  const auto first = std::make_shared<const Tile>();
  Put(cache, 1, first);
  Put(cache, 1, std::make_shared<const Tile>());
  EXPECT_EQ(Get(cache, 1), first);
}

TEST(TileCache, IsBoundedAndKeepsWhatIsAskedFor) {
  TileCache cache;
  const auto asked_for = std::make_shared<const Tile>();
  const auto others = std::make_shared<const Tile>();
  constexpr size_t kTiles = 3 * TileCache::kCapacity;
  Put(cache, 0, asked_for);
  for (size_t i = 1; i < kTiles; ++i) {
    Put(cache, i, others);
    if (i % 1'000 != 0) continue;
    ASSERT_EQ(Get(cache, 0), asked_for) << i;
  }
  EXPECT_EQ(static_cast<size_t>(others.use_count()), TileCache::kCapacity);  // our own, but one
  size_t found = 0;
  for (size_t i = 0; i < kTiles; ++i) found += Get(cache, i) != nullptr;
  EXPECT_EQ(found, TileCache::kCapacity);
  EXPECT_NE(Get(cache, kTiles - 1), nullptr);
}

}  // namespace
}  // namespace kt::merkle
