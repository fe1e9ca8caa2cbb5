// SPDX-License-Identifier: Apache-2.0
#include "kt-server/clock_guard.h"

#include <gtest/gtest.h>

#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOkAndHolds;
using ::kt::testing::StatusIs;

constexpr uint64_t kToleranceMs = 60'000;
constexpr uint64_t kHourMs = 3'600'000;

class ClockGuardTest : public ::testing::Test {
 protected:
  void Jump(int64_t ms) { clock_.Set(clock_.NowMs() + static_cast<uint64_t>(ms)); }

  testing::FakeClock clock_;
  ClockGuard guard_{clock_, kToleranceMs};
};

TEST_F(ClockGuardTest, BelievesTimeThatPasses) {
  for (int day = 0; day < 400; ++day) {
    clock_.Advance(24 * kHourMs);
    EXPECT_THAT(guard_.NowMs(), IsOkAndHolds(clock_.NowMs()));
  }
}

TEST_F(ClockGuardTest, RefusesAJumpForwardUntilTheClockIsSetRight) {
  Jump(kToleranceMs);
  EXPECT_THAT(guard_.NowMs(), IsOkAndHolds(clock_.NowMs()));
  Jump(1);
  EXPECT_THAT(guard_.NowMs(), StatusIs(absl::StatusCode::kUnavailable));
  clock_.Advance(100 * kHourMs);
  EXPECT_THAT(guard_.NowMs(), StatusIs(absl::StatusCode::kUnavailable)) << "time heals nothing";
  Jump(-static_cast<int64_t>(kToleranceMs));
  EXPECT_THAT(guard_.NowMs(), IsOkAndHolds(clock_.NowMs()));
}

TEST_F(ClockGuardTest, ManySmallJumpsWithinAnHourAreALargeOne) {
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(kHourMs / 20);
    Jump(kToleranceMs / 10);
    EXPECT_THAT(guard_.NowMs(), IsOkAndHolds(clock_.NowMs()));
  }
  Jump(kToleranceMs / 10);
  EXPECT_THAT(guard_.NowMs(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ClockGuardTest, SmallCorrectionsDoNotAddUpOverMonths) {
  for (int i = 0; i < 1000; ++i) {
    clock_.Advance(kHourMs);
    Jump(kToleranceMs / 2);
    EXPECT_THAT(guard_.NowMs(), IsOkAndHolds(clock_.NowMs()));
  }
}

TEST_F(ClockGuardTest, ClockThatWasSetBackMayComeBack) {
  Jump(-static_cast<int64_t>(24 * kHourMs));
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(kHourMs);
    EXPECT_THAT(guard_.NowMs(), IsOkAndHolds(clock_.NowMs()));
  }
  Jump(24 * kHourMs);
  EXPECT_THAT(guard_.NowMs(), IsOkAndHolds(clock_.NowMs()));
}

}  // namespace
}  // namespace kt::server
