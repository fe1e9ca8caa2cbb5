// SPDX-License-Identifier: Apache-2.0
#include "kt-server/byte_budget.h"

#include <gtest/gtest.h>

#include <limits>

namespace kt::server {
namespace {

TEST(ByteBudget, OneKeyCannotTakeAll) {
  ByteBudget budget(100, 60);
  EXPECT_TRUE(budget.Take("a", 60));
  EXPECT_FALSE(budget.Take("a", 1));
  EXPECT_TRUE(budget.Take("b", 40));
  EXPECT_FALSE(budget.Take("c", 1));
  EXPECT_EQ(budget.total(), 100u);
  budget.Return("a", 10);
  EXPECT_FALSE(budget.Take("c", 11));
  EXPECT_TRUE(budget.Take("c", 10));
  budget.Return("a", 50);
  budget.Return("b", 40);
  budget.Return("c", 10);
  EXPECT_EQ(budget.total(), 0u);
}

TEST(ByteBudget, RefusesWhatWouldOverflow) {
  ByteBudget budget(100, 100);
  EXPECT_TRUE(budget.Take("a", 50));
  EXPECT_FALSE(budget.Take("a", std::numeric_limits<size_t>::max()));
  EXPECT_FALSE(budget.Take("b", std::numeric_limits<size_t>::max() - 20));
  EXPECT_EQ(budget.total(), 50u);
}

}  // namespace
}  // namespace kt::server
