// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace kt::sim {
namespace {

// kt-sim --seed N repeats one.
TEST(Simulation, HoldsItsInvariantsForAFixedSetOfSeeds) {
  SimulationCounts counts;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("kt-sim --seed " + std::to_string(seed));
    Simulation simulation(seed);
    ASSERT_THAT(simulation.Run(250), testing::IsOk());
    counts += simulation.counts();
  }
  // It has met what it is there for.
  EXPECT_GT(counts.commits, 300u);
  EXPECT_GT(counts.failed_commits, 50u);
  EXPECT_GT(counts.restarts, 100u);
  EXPECT_GT(counts.searches, 500u);
  EXPECT_GT(counts.absences, 30u);
  EXPECT_GT(counts.monitorings, 150u);
  EXPECT_GT(counts.walks, 50u);
  EXPECT_GT(counts.updates, 50u);
  EXPECT_GT(counts.audits, 150u);
  EXPECT_GT(counts.flips_refused, 500u);
  EXPECT_GT(counts.forks_refused, 50u);
}

TEST(Simulation, IsTheSameEachTime) {
  SimulationCounts counts[2];
  for (SimulationCounts& each : counts) {
    Simulation simulation(5);
    ASSERT_THAT(simulation.Run(60), testing::IsOk());
    each = simulation.counts();
  }
  EXPECT_EQ(counts[0].commits, counts[1].commits);
  EXPECT_EQ(counts[0].searches, counts[1].searches);
  EXPECT_EQ(counts[0].flips_refused, counts[1].flips_refused);
}

}  // namespace
}  // namespace kt::sim
