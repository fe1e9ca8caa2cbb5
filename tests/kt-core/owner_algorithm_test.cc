// SPDX-License-Identifier: Apache-2.0
//
// "Owner Algorithm", initialization: which log entries, and what they may hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "kt-core/monitoring.h"
#include "tests/support/fake_proof_source.h"
#include "tests/support/status_matchers.h"

namespace kt::core {
namespace {

using ::testing::ElementsAre;
using testing::FailsCheck;
using testing::FakeProofSource;
using testing::IsOk;

// Thirteen entries a second apart from second 100 on, all of them distinguished.
absl::StatusOr<std::vector<LogPosition>> Entries(LogPosition start,
                                                 std::optional<uint64_t> lifetime_ms) {
  std::vector<uint64_t> timestamps;
  for (uint64_t i = 0; i < 13; ++i) timestamps.push_back(100'000 + 1000 * i);
  FakeProofSource source(timestamps);
  Configuration config;
  config.reasonable_monitoring_window = 0;
  config.maximum_lifetime = lifetime_ms;
  return OwnerInitEntries(source, start, config);
}

// Entry 10 is below 7, 11 and 9; its age is two seconds, that of 9 three, that of 7 five.
TEST(OwnerInitEntries, AreThoseToTheLeftUpToTheFirstExpiredOne) {
  EXPECT_THAT(Entries(10, std::nullopt).value(), ElementsAre(10, 9, 7));
  EXPECT_THAT(Entries(10, 5001).value(), ElementsAre(10, 9, 7));
  EXPECT_THAT(Entries(10, 5000).value(), ElementsAre(10, 9));
  EXPECT_THAT(Entries(10, 3001).value(), ElementsAre(10, 9));
  EXPECT_THAT(Entries(10, 3000).value(), ElementsAre(10));
  EXPECT_THAT(Entries(10, 2001).value(), ElementsAre(10));
  EXPECT_THAT(Entries(10, 2000), FailsCheck("starting-position"));
  EXPECT_THAT(Entries(13, std::nullopt), FailsCheck("starting-position"));
}

TEST(OwnerInitLadders, RefuseAnyOtherVersions) {
  const std::vector<LogPosition> entries = {10, 9, 7};
  const auto outcome = [&](const std::vector<Version>& greatest_versions) {
    FakeProofSource source(std::vector<uint64_t>(13, 1), [](LogPosition position, Version version) {
      if (position < 9) return false;
      return version <= (position == 9 ? 1u : 3u);
    });
    return OwnerInitLadders(source, entries, greatest_versions);
  };
  EXPECT_THAT(outcome({3, 1}), IsOk());
  // Too many, in another order, a version too low, too high, unsaid and invented.
  EXPECT_THAT(outcome({3, 1, 0, 0}), FailsCheck("greatest-versions"));
  EXPECT_THAT(outcome({1, 3}), FailsCheck("greatest-versions"));
  EXPECT_THAT(outcome({2, 1}), FailsCheck("owner-ladder"));
  EXPECT_THAT(outcome({3, 0}), FailsCheck("owner-ladder"));
  EXPECT_THAT(outcome({4, 1}), FailsCheck("owner-ladder"));
  EXPECT_THAT(outcome({3}), FailsCheck("owner-ladder"));
  EXPECT_THAT(outcome({3, 1, 0}), FailsCheck("owner-ladder"));
}

}  // namespace
}  // namespace kt::core
