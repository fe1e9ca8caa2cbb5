// SPDX-License-Identifier: Apache-2.0
//
// The algorithms over a source that answers from a table.
#include "kt-core/algorithms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kt-core/binary_ladder.h"
#include "tests/kt-core/reference.h"
#include "tests/support/fake_proof_source.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

namespace kt::core {
namespace {

using base::LogPosition;
using base::TreeSize;
using base::Version;
using ::testing::ElementsAre;
using testing::FailsCheck;
using testing::FakeProofSource;
using ::testing::IsEmpty;
using testing::IsOk;
using ::testing::Optional;
using testing::SeededRandom;
using testing::StatusIs;

Configuration ConfigurationWith(uint64_t window_ms,
                                std::optional<uint64_t> lifetime_ms = std::nullopt) {
  Configuration config;
  config.reasonable_monitoring_window = window_ms;
  config.maximum_lifetime = lifetime_ms;
  return config;
}

// Timestamps that grow by 0 to `max_step_ms`, often not at all.
std::vector<uint64_t> RandomTimestamps(SeededRandom& random, TreeSize size, uint64_t max_step_ms) {
  std::vector<uint64_t> timestamps;
  uint64_t now_ms = random.Below(3) == 0 ? random.Below(3 * max_step_ms) : 1'000'000;
  for (TreeSize i = 0; i < size; ++i) {
    timestamps.push_back(now_ms);
    if (random.Below(4) != 0) now_ms += random.Below(max_step_ms + 1);
  }
  return timestamps;
}

// --- UpdateView --------------------------------------------------------------------------

TEST(UpdateView, AsksForTheDraftsTimestampsFromAnySizeToAnySize) {
  for (TreeSize size = 1; size <= 70; ++size) {
    const std::vector<uint64_t> timestamps(size, 0);
    const ReferenceLog reference(timestamps, {});
    for (TreeSize last = 0; last <= size; ++last) {
      const std::optional<TreeSize> seen = last == 0 ? std::nullopt : std::optional(last);
      FakeProofSource source(timestamps);
      ASSERT_THAT(UpdateView(source, seen), IsOk());
      ASSERT_EQ(source.timestamps_asked(), reference.UpdateView(seen))
          << "from " << last << " to " << size;
      ASSERT_THAT(source.series(), IsEmpty());
      // Positions ascend, so that a user can compare each timestamp with the one before.
      ASSERT_TRUE(
          std::is_sorted(source.timestamps_asked().begin(), source.timestamps_asked().end()));
    }
  }
}

TEST(UpdateView, AsksForNothingIfTheTreeHasNotGrown) {
  FakeProofSource source(std::vector<uint64_t>(13, 0));
  EXPECT_THAT(UpdateView(source, 13), IsOk());
  EXPECT_THAT(source.log(), IsEmpty());
}

TEST(UpdateView, PassesErrorsOn) {
  FakeProofSource source(std::vector<uint64_t>(13, 0));
  source.FailAtTimestamp(11);
  EXPECT_THAT(UpdateView(source, 4), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(source.log(), ElementsAre("T7", "T11"));
}

TEST(UpdateViewDeathTest, AbortsOnASizeThatItsCallerShouldHaveChecked) {
  FakeProofSource source(std::vector<uint64_t>(3, 0));
  EXPECT_DEATH((void)UpdateView(source, 4), "invariant");
  EXPECT_DEATH((void)UpdateView(source, 0), "invariant");
}

// --- distinguished entries ---------------------------------------------------------------

TEST(IsDistinguished, HoldsAtExactlyTheWindow) {
  EXPECT_FALSE(IsDistinguished(100, 199, ConfigurationWith(100)));
  EXPECT_TRUE(IsDistinguished(100, 200, ConfigurationWith(100)));
  // "Note that step 2 is specifically 'less than'": with a window of zero every entry is.
  EXPECT_TRUE(IsDistinguished(100, 100, ConfigurationWith(0)));
}

TEST(RightmostDistinguished, AgreesWithTheRecursiveDefinition) {
  const uint64_t seed = testing::TestSeed(11);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  int none = 0, last = 0, between = 0;
  for (int i = 0; i < 4000; ++i) {
    const TreeSize size = 1 + random.Below(80);
    const std::vector<uint64_t> timestamps = RandomTimestamps(random, size, 100);
    const Configuration config =
        ConfigurationWith(random.Below(4) == 0 ? 0 : random.Below(2 * timestamps.back() + 1));
    const ReferenceLog reference(timestamps, config);
    FakeProofSource source(timestamps);
    ASSERT_OK_AND_ASSIGN(const auto rightmost, RightmostDistinguished(source, config));
    ASSERT_EQ(rightmost, reference.RightmostDistinguished());
    // "The rightmost distinguished log entry is always on the frontier."
    if (rightmost.has_value()) {
      const std::vector<LogPosition> frontier = reference.Frontier();
      ASSERT_THAT(frontier, ::testing::Contains(*rightmost));
    }
    none += !rightmost.has_value();
    last += rightmost == size - 1;
    between += rightmost.has_value() && rightmost != size - 1;
  }
  EXPECT_GT(none, 100);
  EXPECT_GT(last, 100);
  EXPECT_GT(between, 100);
}

TEST(RightmostDistinguished, SmallWindowsTooAndTheirRarerShapes) {
  const uint64_t seed = testing::TestSeed(12);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  std::vector<int> seen(80, 0);
  for (int i = 0; i < 4000; ++i) {
    const TreeSize size = 1 + random.Below(80);
    const std::vector<uint64_t> timestamps = RandomTimestamps(random, size, 100);
    const Configuration config = ConfigurationWith(1 + random.Below(800));
    FakeProofSource source(timestamps);
    ASSERT_OK_AND_ASSIGN(const auto rightmost, RightmostDistinguished(source, config));
    ASSERT_EQ(rightmost, ReferenceLog(timestamps, config).RightmostDistinguished());
    if (rightmost.has_value()) ++seen[*rightmost];
  }
  EXPECT_GT(std::count_if(seen.begin(), seen.end(), [](int count) { return count > 0; }), 40);
}

// --- LookupMemory ------------------------------------------------------------------------

TEST(LookupMemory, AgreesWithTheWholeHistory) {
  struct Shown {
    LogPosition position;
    Version version;
    bool included;
  };
  const uint64_t seed = testing::TestSeed(13);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  for (int round = 0; round < 200; ++round) {
    LookupMemory memory;
    std::vector<Shown> history;
    for (int step = 0; step < 20; ++step) {
      const Version version = static_cast<Version>(random.Below(3));
      const LogPosition position = random.Below(9);
      // As in a log: a version is there from some entry on.
      const Shown shown{position, version, position >= 3 * version + 1};
      memory.Remember(shown.position, shown.version, shown.included);
      history.push_back(shown);
      for (LogPosition here = 0; here < 9; ++here) {
        for (Version asked = 0; asked < 4; ++asked) {
          std::optional<bool> expected;
          for (const Shown& past : history) {
            if (past.version != asked) continue;
            if (past.included && past.position < here) expected = true;
            if (!past.included && past.position > here) expected = false;
          }
          ASSERT_EQ(memory.Known(here, asked), expected);
        }
      }
    }
  }
}

TEST(LookupMemory, DoesNotCountTheSameEntry) {
  LookupMemory memory;
  memory.Remember(5, 1, true);
  memory.Remember(5, 2, false);
  EXPECT_EQ(memory.Known(5, 1), std::nullopt);
  EXPECT_EQ(memory.Known(5, 2), std::nullopt);
  EXPECT_THAT(memory.Known(6, 1), Optional(true));
  EXPECT_EQ(memory.Known(4, 1), std::nullopt);
  EXPECT_THAT(memory.Known(4, 2), Optional(false));
  EXPECT_EQ(memory.Known(6, 2), std::nullopt);
}

// --- SearchLadder ------------------------------------------------------------------------

TEST(SearchLadder, RemembersWhatItLookedUp) {
  FakeProofSource source(std::vector<uint64_t>(8, 0),
                         [](LogPosition, Version version) { return version <= 2; });
  LookupMemory memory;
  ASSERT_OK_AND_ASSIGN(const LadderOutcome outcome, SearchLadder(source, 4, 2, memory));
  EXPECT_EQ(outcome, LadderOutcome::kEqual);
  for (const Version version : {0, 1, 2}) EXPECT_THAT(memory.Known(5, version), Optional(true));
  EXPECT_THAT(memory.Known(3, 3), Optional(false));
}

TEST(SearchLadder, IsASeriesEvenWithoutLookups) {
  const Version top = std::numeric_limits<Version>::max();
  FakeProofSource source(std::vector<uint64_t>(8, 0), [](LogPosition, Version) { return true; });
  LookupMemory memory;
  ASSERT_OK_AND_ASSIGN(LadderOutcome outcome, SearchLadder(source, 4, top, memory));
  EXPECT_EQ(outcome, LadderOutcome::kEqual);
  ASSERT_OK_AND_ASSIGN(outcome, SearchLadder(source, 5, top, memory));
  EXPECT_EQ(outcome, LadderOutcome::kEqual);
  EXPECT_THAT(source.series(), ElementsAre(FakeProofSource::Series{4, BaseBinaryLadder(top)},
                                           FakeProofSource::Series{5, {}}));
}

TEST(SearchLadder, PassesErrorsOn) {
  FakeProofSource source(std::vector<uint64_t>(8, 0), [](LogPosition, Version) { return true; });
  source.FailAtVersion(1);
  LookupMemory memory;
  EXPECT_THAT(SearchLadder(source, 4, 2, memory), StatusIs(absl::StatusCode::kUnavailable));
}

// --- searches ----------------------------------------------------------------------------

// A label whose version v appears in log entry positions[v].
class Label {
 public:
  Label(SeededRandom& random, TreeSize size, Version versions) {
    for (Version version = 0; version < versions; ++version) {
      positions_.push_back(random.Below(size));
    }
    std::sort(positions_.begin(), positions_.end());
  }
  Version count() const { return static_cast<Version>(positions_.size()); }
  bool Included(LogPosition position, Version version) const {
    return version < count() && positions_[version] <= position;
  }
  std::optional<Version> GreatestAt(LogPosition position) const {
    const auto end = std::upper_bound(positions_.begin(), positions_.end(), position);
    if (end == positions_.begin()) return std::nullopt;
    return static_cast<Version>(end - positions_.begin() - 1);
  }

 private:
  std::vector<LogPosition> positions_;
};

struct Counts {
  int found = 0, not_found = 0, expired = 0, monitoring = 0;
};

void ExpectAgreement(const absl::StatusOr<SearchOutcome>& outcome, const FakeProofSource& source,
                     const ReferenceSearch& expected, Counts* counts) {
  ASSERT_EQ(source.series(), expected.series);
  switch (expected.result) {
    case ReferenceSearch::kFound:
      ASSERT_THAT(outcome, IsOk());
      ASSERT_EQ(outcome->terminal, expected.terminal);
      ASSERT_EQ(outcome->right_of_distinguished, expected.right_of_distinguished);
      ++counts->found;
      counts->monitoring += expected.right_of_distinguished;
      break;
    case ReferenceSearch::kNotFound:
      ASSERT_THAT(outcome, StatusIs(absl::StatusCode::kNotFound));
      ++counts->not_found;
      break;
    case ReferenceSearch::kExpired:
      ASSERT_THAT(outcome, StatusIs(absl::StatusCode::kOutOfRange));
      ++counts->expired;
      break;
  }
}

TEST(GreatestVersionSearch, AgreesWithTheDraftsText) {
  const uint64_t seed = testing::TestSeed(14);
  SeededRandom random(seed);
  Counts counts;
  for (int i = 0; i < 4000; ++i) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", i));
    const TreeSize size = 1 + random.Below(70);
    const std::vector<uint64_t> timestamps = RandomTimestamps(random, size, 100);
    const Configuration config =
        ConfigurationWith(random.Below(4) == 0 ? 0 : random.Below(2 * timestamps.back() + 1));
    const Label label(random, size, static_cast<Version>(1 + random.Below(20)));
    const ReferenceLog reference(timestamps, config);
    FakeProofSource source(timestamps, [&](LogPosition position, Version version) {
      return label.Included(position, version);
    });
    ExpectAgreement(GreatestVersionSearch(source, label.count() - 1, config), source,
                    ReferenceGreatestVersionSearch(
                        reference, label.count() - 1,
                        [&](LogPosition position) { return label.GreatestAt(position); }),
                    &counts);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(counts.monitoring, 100);
  EXPECT_GT(counts.found - counts.monitoring, 100);
}

TEST(GreatestVersionSearch, RefusesAnyOtherVersion) {
  const uint64_t seed = testing::TestSeed(15);
  SeededRandom random(seed);
  for (int i = 0; i < 1000; ++i) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", i));
    const TreeSize size = 1 + random.Below(40);
    const std::vector<uint64_t> timestamps = RandomTimestamps(random, size, 100);
    const Configuration config = ConfigurationWith(random.Below(500));
    const Label label(random, size, static_cast<Version>(random.Below(9)));
    for (Version claimed = 0; claimed < 12; ++claimed) {
      if (claimed + 1 == label.count()) continue;
      FakeProofSource source(timestamps, [&](LogPosition position, Version version) {
        return label.Included(position, version);
      });
      ASSERT_THAT(GreatestVersionSearch(source, claimed, config), FailsCheck("greatest-version"));
    }
  }
}

// A version that the label's owner sees in a distinguished entry cannot be left out further right.
TEST(GreatestVersionSearch, RefusesAVersionThatDisappears) {
  const std::vector<uint64_t> timestamps = {100, 200, 300, 400, 401, 402, 403};
  const Configuration config = ConfigurationWith(100);
  for (const LogPosition hidden_from : {5, 6}) {
    FakeProofSource source(timestamps, [&](LogPosition position, Version version) {
      return version == 0 || (version == 1 && position < hidden_from);
    });
    ASSERT_OK_AND_ASSIGN(const auto distinguished, RightmostDistinguished(source, config));
    ASSERT_THAT(distinguished, Optional(3));
    EXPECT_THAT(GreatestVersionSearch(source, 0, config), FailsCheck("greatest-version"));
    // The version itself is found: what was shown further left is not asked for again.
    EXPECT_THAT(GreatestVersionSearch(source, 1, config), IsOk());
  }
}

TEST(FixedVersionSearch, AgreesWithTheDraftsText) {
  const uint64_t seed = testing::TestSeed(16);
  SeededRandom random(seed);
  Counts counts;
  for (int i = 0; i < 6000; ++i) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", i));
    const TreeSize size = 1 + random.Below(70);
    const std::vector<uint64_t> timestamps = RandomTimestamps(random, size, 100);
    const uint64_t span_ms = timestamps.back() - timestamps.front();
    const uint64_t window_ms = random.Below(3) == 0 ? 0 : random.Below(span_ms + 100);
    std::optional<uint64_t> lifetime_ms;
    if (random.Below(4) != 0) lifetime_ms = window_ms + 1 + random.Below(span_ms + 1);
    const Configuration config = ConfigurationWith(window_ms, lifetime_ms);
    const Label label(random, size, static_cast<Version>(random.Below(12)));
    const ReferenceLog reference(timestamps, config);
    for (Version target = 0; target <= label.count() + 1; ++target) {
      FakeProofSource source(timestamps, [&](LogPosition position, Version version) {
        return label.Included(position, version);
      });
      const ReferenceSearch expected = ReferenceFixedVersionSearch(
          reference, target, [&](LogPosition position) { return label.GreatestAt(position); });
      ExpectAgreement(FixedVersionSearch(source, target, config), source, expected, &counts);
      if (HasFatalFailure()) return;
      // Timestamps are asked for in the order in which entries are touched.
      std::vector<LogPosition> fresh;
      const std::vector<LogPosition> frontier = reference.Frontier();
      for (const LogPosition position : source.timestamps_asked()) {
        if (!std::binary_search(frontier.begin(), frontier.end(), position)) {
          fresh.push_back(position);
        }
      }
      std::vector<LogPosition> touched = expected.touched;
      std::erase_if(touched, [&](LogPosition position) {
        return std::binary_search(frontier.begin(), frontier.end(), position);
      });
      ASSERT_EQ(fresh, touched);
    }
  }
  EXPECT_GT(counts.found, 1000);
  EXPECT_GT(counts.not_found, 1000);
  EXPECT_GT(counts.expired, 1000);
  EXPECT_GT(counts.monitoring, 1000);
}

// A terminal entry further left than every unexpired distinguished one was never checked by the
// label's owner. Step 6.2: "Clients MUST NOT accept a proof where the identified log entry is
// itself the leftmost unexpired and distinguished log entry."
TEST(FixedVersionSearch, RefusesTheLeftmostUnexpiredDistinguishedEntryAsWitness) {
  // Entries 0 and 1 are expired; versions 0 and 1 came with entry 2, so that no entry has version 0
  // as its greatest, and entry 2 is the leftmost of the unexpired distinguished ones.
  const std::vector<uint64_t> timestamps = {100, 200, 1000, 1100};
  FakeProofSource source(timestamps, [](LogPosition position, Version version) {
    return position >= 2 && version <= 1;
  });
  const Configuration config = ConfigurationWith(500, 600);
  const ReferenceLog reference(timestamps, config);
  ASSERT_THAT(reference.distinguished(), ElementsAre(1, 2, 3));
  ASSERT_TRUE(reference.IsExpired(1));
  ASSERT_FALSE(reference.IsExpired(2));
  EXPECT_THAT(FixedVersionSearch(source, 0, config), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(source.series(),
              ElementsAre(FakeProofSource::Series{3, {0, 1}}, FakeProofSource::Series{2, {0, 1}}));
}

// "Note that the existence of a version does not require the existence of all lesser versions."
TEST(FixedVersionSearch, LooksUpTheVersionItselfAtTheEnd) {
  FakeProofSource source(std::vector<uint64_t>(4, 1000), [](LogPosition position, Version version) {
    return position >= 1 && (version <= 1 || version == 3);
  });
  EXPECT_THAT(FixedVersionSearch(source, 2, ConfigurationWith(5000)),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(
      source.series(),
      ElementsAre(FakeProofSource::Series{3, {0, 1, 3}}, FakeProofSource::Series{1, {0, 1, 3}},
                  FakeProofSource::Series{0, {0}}, FakeProofSource::Series{1, {2}}));
}

TEST(FixedVersionSearch, ExpiresAtExactlyTheLifetime) {
  const auto search = [](uint64_t lifetime_ms) {
    FakeProofSource source({1000, 2000, 3000},
                           [](LogPosition, Version version) { return version == 0; });
    EXPECT_THAT(FixedVersionSearch(source, 0, ConfigurationWith(10, lifetime_ms)), IsOk());
    return source.series().front().position;
  };
  EXPECT_EQ(search(1001), 1u);
  EXPECT_EQ(search(1000), 2u);  // entry 1 is expired
}

TEST(FixedVersionSearch, PassesErrorsOn) {
  const auto source = [] {
    return FakeProofSource(std::vector<uint64_t>(9, 1000),
                           [](LogPosition, Version version) { return version <= 4; });
  };
  FakeProofSource no_rightmost = source();
  no_rightmost.FailAtTimestamp(8);
  EXPECT_THAT(FixedVersionSearch(no_rightmost, 1, ConfigurationWith(1)),
              StatusIs(absl::StatusCode::kUnavailable));
  FakeProofSource no_lookup = source();
  no_lookup.FailAtVersion(1);
  EXPECT_THAT(FixedVersionSearch(no_lookup, 1, ConfigurationWith(1)),
              StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace kt::core
