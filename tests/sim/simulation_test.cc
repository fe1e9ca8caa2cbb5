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
  for (uint64_t seed = 1; seed <= 80; ++seed) {
    SCOPED_TRACE("kt-sim --seed " + std::to_string(seed));
    Simulation simulation(seed);
    ASSERT_THAT(simulation.Run(250), testing::IsOk());
    counts += simulation.counts();
  }
  // It has met what it is there for.
  EXPECT_GT(counts.commits, 1'000u);
  EXPECT_GT(counts.failed_commits, 200u);
  EXPECT_GT(counts.restarts, 300u);
  EXPECT_GT(counts.refused_starts, 50u);
  EXPECT_GT(counts.idle_entries, 50u);
  EXPECT_GT(counts.publications, 1'000u);
  EXPECT_GT(counts.refused_publications, 100u);
  EXPECT_GT(counts.failed_reads, 50u);
  EXPECT_GT(counts.searches, 700u);
  EXPECT_GT(counts.absences, 100u);
  EXPECT_GT(counts.monitorings, 300u);
  EXPECT_GT(counts.walks, 300u);
  EXPECT_GT(counts.updates, 150u);
  EXPECT_GT(counts.audits, 300u);
  EXPECT_GT(counts.owner_publications, 50u);
  EXPECT_GT(counts.lost_answers, 15u);
  EXPECT_GT(counts.returns, 100u);
  EXPECT_GT(counts.clock_jumps, 100u);
  EXPECT_GT(counts.credentials, 20u);
  EXPECT_GT(counts.provisional_credentials, 20u);
  EXPECT_GT(counts.settled_credentials, 10u);
  EXPECT_GT(counts.flips_refused, 1'000u);
  EXPECT_GT(counts.forks_refused, 100u);
  EXPECT_GE(counts.lies.size(), 10u);
}

// kt-sim --seed N --memory forgets repeats one.
TEST(Simulation, LogsThatForgetHoldTheirInvariantsForAFixedSetOfSeeds) {
  SimulationCounts counts;
  for (uint64_t seed = 1; seed <= 80; ++seed) {
    SCOPED_TRACE("kt-sim --memory forgets --seed " + std::to_string(seed));
    Simulation simulation(seed, Memory::kForgets);
    ASSERT_THAT(simulation.Run(250), testing::IsOk());
    counts += simulation.counts();
  }
  EXPECT_GT(counts.commits, 1'000u);
  EXPECT_GT(counts.restarts, 300u);
  EXPECT_GT(counts.prunings, 500u);
  EXPECT_GT(counts.rows_pruned, 1'000u);
  EXPECT_GT(counts.failed_prunings, 50u);
  EXPECT_GT(counts.erasures, 300u);
  EXPECT_GT(counts.failed_erasures, 30u);
  EXPECT_GT(counts.told_expired, 100u);
  EXPECT_GT(counts.told_erased, 100u);
  EXPECT_GT(counts.begun_anew, 50u);
  EXPECT_GT(counts.auditor_behind, 50u);
  EXPECT_GT(counts.searches, 300u);
}

// Receivers of credentials had forgotten the distinguished entry that ends the monitoring, and
// accused the log.
TEST(Simulation, HoldsForSeedsThatFailedOnce) {
  for (const uint64_t seed : {101629, 101995, 103694}) {
    SCOPED_TRACE("kt-sim --seed " + std::to_string(seed));
    Simulation simulation(seed);
    EXPECT_THAT(simulation.Run(250), testing::IsOk());
  }
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
