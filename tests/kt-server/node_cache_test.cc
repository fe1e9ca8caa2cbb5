// SPDX-License-Identifier: Apache-2.0
#include "kt-server/node_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "tests/kt-server/store_test_util.h"

namespace kt::server {
namespace {

using ::testing::ElementsAre;
using testing::HashOf;
using ::testing::IsEmpty;
using Ids = std::vector<merkle::LogNodeId>;
using Positions = std::vector<base::LogPosition>;

TEST(NodeCache, FindsWhatWasPutAndNothingElse) {
  NodeCache cache;
  EXPECT_THAT(cache.Nodes(Ids{{0, 1}}), ElementsAre(std::nullopt));
  cache.Put(Ids{{0, 1}, {3, 1}}, std::vector{HashOf(1), HashOf(2)}, Positions{1},
            std::vector{HashOf(3)});
  EXPECT_THAT(cache.Nodes(Ids{{3, 1}, {1, 1}, {0, 1}, {0, 0}}),
              ElementsAre(HashOf(2), std::nullopt, HashOf(1), std::nullopt));
  // An entry's prefix tree root is not the value of its leaf.
  EXPECT_THAT(cache.Roots(Positions{1, 0}), ElementsAre(HashOf(3), std::nullopt));
  EXPECT_THAT(cache.Nodes({}), IsEmpty());
  EXPECT_THAT(cache.Roots({}), IsEmpty());
}

TEST(NodeCache, HoldsABoundedNumber) {
  constexpr size_t kMany = 200'000;
  NodeCache cache;
  for (size_t i = 0; i < kMany; ++i) {
    cache.Put(Ids{{0, i}}, std::vector{HashOf(static_cast<uint8_t>(i))}, {}, {});
  }
  size_t found = 0;
  for (size_t i = 0; i < kMany; ++i) {
    const auto hash = cache.Nodes(Ids{{0, i}})[0];
    if (!hash.has_value()) continue;
    ++found;
    ASSERT_EQ(*hash, HashOf(static_cast<uint8_t>(i)));
  }
  EXPECT_GT(found, 0u);
  EXPECT_LE(found, 65'536u);
  EXPECT_TRUE(cache.Nodes(Ids{{0, kMany - 1}})[0].has_value()) << "the newest is there";
}

}  // namespace
}  // namespace kt::server
