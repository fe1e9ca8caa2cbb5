// SPDX-License-Identifier: Apache-2.0
#include "kt-server/rate_limiter.h"

#include <gtest/gtest.h>

#include "tests/support/fakes.h"

namespace kt::server {
namespace {

TEST(RateLimiter, AllowsABurstOfOneSecondThenTheRate) {
  testing::FakeClock clock;
  RateLimiter limiter(3, clock);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Allow("a"));
  EXPECT_FALSE(limiter.Allow("a"));
  clock.Advance(334);
  EXPECT_TRUE(limiter.Allow("a"));
  EXPECT_FALSE(limiter.Allow("a"));
  clock.Advance(60'000);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Allow("a"));
  EXPECT_FALSE(limiter.Allow("a"));
}

TEST(RateLimiter, RatesBelowOneASecondStillAllowOne) {
  testing::FakeClock clock;
  RateLimiter limiter(0.1, clock);
  EXPECT_TRUE(limiter.Allow("a"));
  EXPECT_FALSE(limiter.Allow("a"));
  clock.Advance(9'000);
  EXPECT_FALSE(limiter.Allow("a"));
  clock.Advance(1'000);
  EXPECT_TRUE(limiter.Allow("a"));
}

TEST(RateLimiter, KeysDoNotShare) {
  testing::FakeClock clock;
  RateLimiter limiter(1, clock);
  EXPECT_TRUE(limiter.Allow("a"));
  EXPECT_FALSE(limiter.Allow("a"));
  EXPECT_TRUE(limiter.Allow("b"));
}

TEST(RateLimiter, ForgetsTheKeyThatWasIdleLongest) {
  testing::FakeClock clock;
  RateLimiter limiter(1, clock, /*max_keys=*/2);
  EXPECT_TRUE(limiter.Allow("a"));
  EXPECT_TRUE(limiter.Allow("b"));
  EXPECT_FALSE(limiter.Allow("a"));  // b is now the one that was idle longest
  EXPECT_TRUE(limiter.Allow("c"));
  EXPECT_FALSE(limiter.Allow("a"));
  EXPECT_TRUE(limiter.Allow("b"));
}

TEST(RateLimiter, SettingTheWallClockGivesNothing) {
  testing::FakeClock clock;
  RateLimiter limiter(1, clock);
  EXPECT_TRUE(limiter.Allow("a"));
  clock.Set(clock.NowMs() - 10'000);
  EXPECT_FALSE(limiter.Allow("a"));
  clock.Set(clock.NowMs() + 100'000);
  EXPECT_FALSE(limiter.Allow("a"));
  clock.Advance(1'000);
  EXPECT_TRUE(limiter.Allow("a"));
}

TEST(RateLimiter, ChargedRequestsHaveToBeMadeUpFor) {
  testing::FakeClock clock;
  RateLimiter limiter(2, clock);
  EXPECT_TRUE(limiter.Allow("a"));
  limiter.Charge("a", 5);  // now 4 in debt
  limiter.Charge("unknown", 5);
  EXPECT_FALSE(limiter.Allow("a"));
  clock.Advance(2'400);
  EXPECT_FALSE(limiter.Allow("a"));
  clock.Advance(110);
  EXPECT_TRUE(limiter.Allow("a"));
  EXPECT_TRUE(limiter.Allow("unknown"));
  EXPECT_TRUE(limiter.Allow("b"));
}

}  // namespace
}  // namespace kt::server
