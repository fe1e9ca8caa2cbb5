// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "tests/crash/crash_run.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

namespace kt::crash {
namespace {

constexpr int kCrashes = 4;
constexpr uint64_t kSeeds = 15;

// kt-crash runs as many seeds as there is time for.
TEST(Crash, NothingAcknowledgedIsLostAndNoSizeHasTwoHeads) {
  CrashCounts counts;
  const uint64_t first = testing::TestSeed(1);
  for (uint64_t seed = first; seed < first + kSeeds; ++seed) {
    CrashRun run(seed);
    ASSERT_THAT(run.Run(kCrashes), testing::IsOk()) << "kt-crash --seed " << seed;
    counts += run.counts();
  }
  std::cout << counts.kills << " kills, " << counts.power_cuts << " power cuts, "
            << counts.while_opening << " of both while opening, " << counts.full_disks
            << " full disks, " << counts.heads << " heads, " << counts.acknowledged
            << " acknowledged versions, " << counts.searches << " searches\n";
  EXPECT_EQ(counts.kills + counts.power_cuts, kSeeds * kCrashes);
  EXPECT_GT(counts.kills, 10u);
  EXPECT_GT(counts.power_cuts, 10u);
  EXPECT_GT(counts.while_opening, 3u);
  EXPECT_GT(counts.full_disks, 5u);
  EXPECT_GT(counts.heads, 200u);
  EXPECT_GT(counts.acknowledged, 1'000u);
  EXPECT_GT(counts.searches, 1'000u);
}

// Else the test above would show nothing.
TEST(Crash, ADiskThatDoesNotSyncIsNoticed) {
  int noticed = 0;
  constexpr uint64_t kLiars = 6;
  for (uint64_t seed = 1; seed <= kLiars; ++seed) {
    CrashRun run(seed);
    run.LieAboutSyncs();
    if (!run.Run(kCrashes).ok()) ++noticed;
  }
  EXPECT_GE(noticed, 4);
}

}  // namespace
}  // namespace kt::crash
