// SPDX-License-Identifier: Apache-2.0
#include "tests/merkle/prefix_tree_fixture.h"

namespace kt::merkle {
namespace {

TEST(PrefixTreeStage, RefusesAKeyThatIsThere) {
  Log log({8, 16});
  const PrefixLeaf leaf{KeyOf("1"), CommitmentOf(1)};
  log.Append({PrefixChanges{{leaf}, {}}});
  const PrefixChanges again{{leaf}, {}};
  EXPECT_THAT(log.tree().Stage(*log.store().Snapshot(), 1, {&again, 1}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("log entry 1")));
  const PrefixLeaf other{KeyOf("01"), CommitmentOf(1)};
  const PrefixChanges twice{{other, other}, {}};
  EXPECT_THAT(log.tree().Stage(*log.store().Snapshot(), 1, {&twice, 1}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  const std::vector<PrefixChanges> in_two = {PrefixChanges{{other}, {}},
                                             PrefixChanges{{other}, {}}};
  EXPECT_THAT(log.tree().Stage(*log.store().Snapshot(), 1, in_two),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("log entry 2")));
}

TEST(PrefixTreeStage, RefusesRemovalOfAKeyThatIsNotThere) {
  Log log({8, 16});
  const VrfOutput key = KeyOf("1");
  log.Append({PrefixChanges{{{key, CommitmentOf(1)}}, {}}});
  const PrefixChanges absent{{}, {FlipBit(key, 200)}};
  EXPECT_THAT(log.tree().Stage(*log.store().Snapshot(), 1, {&absent, 1}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("log entry 1")));
  const PrefixChanges twice{{}, {key, key}};
  EXPECT_THAT(log.tree().Stage(*log.store().Snapshot(), 1, {&twice, 1}),
              StatusIs(absl::StatusCode::kNotFound));
  // A key that the same entry adds was not there before.
  const PrefixChanges fresh{{{KeyOf("01"), {}}}, {KeyOf("01")}};
  EXPECT_THAT(log.tree().Stage(*log.store().Snapshot(), 1, {&fresh, 1}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(PrefixTreeStage, RefusesAnotherPositionThanTheNext) {
  Log log({8, 16});
  log.Append({PrefixChanges{}});
  const PrefixChanges none;
  for (const LogPosition first : {0u, 2u}) {
    EXPECT_THAT(log.tree().Stage(*log.store().Snapshot(), first, {&none, 1}),
                StatusIs(absl::StatusCode::kFailedPrecondition));
  }
}

TEST(PrefixTreeStage, ChangesNothingUntilApplied) {
  const uint64_t seed = TestSeed(11);
  SCOPED_TRACE(seed);
  for (const PrefixTreeLayout& layout : kLayouts) {
    KeySource keys(seed);
    Log log(layout);
    for (int round = 0; round < 12; ++round) {
      const auto snapshot = log.store().Snapshot();
      for (int i = 0; i < 3; ++i) {
        const std::vector<PrefixChanges> discarded = {RandomChanges(log.newest(), 6, &keys)};
        ASSERT_OK_AND_ASSIGN(const auto staged, log.tree().Stage(*snapshot, log.size(), discarded));
        ASSERT_EQ(staged->roots()[0], log.After(log.newest(), discarded[0]).Root());
      }
      if (log.size() > 0) {
        ASSERT_NO_FATAL_FAILURE(log.CheckProof(log.size() - 1, RandomLookups(4, &keys)));
      }
      ASSERT_NO_FATAL_FAILURE(log.Append({RandomChanges(log.newest(), 6, &keys)}));
    }
  }
}

// Of several trees that follow from one, whichever is applied, and whenever the others go.
TEST(PrefixTreeStage, OneOfSeveralIsApplied) {
  const uint64_t seed = TestSeed(12);
  SCOPED_TRACE(seed);
  for (const PrefixTreeLayout& layout : kLayouts) {
    for (const size_t max_leaf_bytes : kLeafBytes) {
      KeySource keys(seed);
      Log log(layout, max_leaf_bytes);
      std::vector<std::unique_ptr<StagedPrefixTree>> others;
      for (int round = 0; round < 12; ++round) {
        if (round % 4 == 0) others.clear();
        const auto stage = [&](const PrefixChanges& changes) {
          return log.tree().Stage(*log.store().Snapshot(), log.size(), {&changes, 1}).value();
        };
        const PrefixChanges applied = RandomChanges(log.newest(), 6, &keys);
        others.push_back(stage(RandomChanges(log.newest(), 6, &keys)));
        auto staged = stage(applied);
        others.push_back(stage(applied));
        log.store().Commit(staged->writes());
        log.ApplyStaged(std::move(staged), log.After(log.newest(), applied));
        ASSERT_LE(log.tree().leaf_bytes(), max_leaf_bytes);
        for (LogPosition position = 0; position < log.size(); ++position) {
          ASSERT_NO_FATAL_FAILURE(log.CheckProof(position, RandomLookups(4, &keys)));
        }
      }
      // The tree may go before what follows from it.
      ASSERT_NO_FATAL_FAILURE(log.Reload());
      EXPECT_EQ(others.back()->roots()[0], log.newest().Root());
    }
  }
}

// Leaves in memory that do not all fit, and that end in the entry after: what the first entries of
// a commit keep, its last ones may drop.
TEST(PrefixTreeStage, MayBeGivenUpWithAnyLeavesInMemory) {
  const uint64_t seed = TestSeed(13);
  SCOPED_TRACE(seed);
  for (const size_t max_leaf_bytes : {1'000u, 3'000u, 1u << 20}) {
    KeySource keys(seed);
    Log log({8, 16, true}, max_leaf_bytes);
    for (int round = 0; round < 30; ++round) {
      std::vector<PrefixChanges> entries;
      NaivePrefixTree now = log.newest();
      for (int i = 0; i < 4; ++i) {
        entries.push_back(RandomChanges(now, 6, &keys));
        now = log.After(now, entries.back());
      }
      const size_t bytes = log.tree().leaf_bytes();
      ASSERT_THAT(log.tree().Stage(*log.store().Snapshot(), log.size(), entries), IsOk());
      EXPECT_EQ(log.tree().leaf_bytes(), bytes);
      ASSERT_NO_FATAL_FAILURE(log.Append(entries));
      ASSERT_NO_FATAL_FAILURE(log.CheckProof(log.size() - 1, RandomLookups(4, &keys)));
    }
  }
}

// Writes must not depend on how entries are grouped into commits, or on reloading in between.
TEST(PrefixTreeStage, WritesTheSameRowsHoweverEntriesAreGrouped) {
  const uint64_t seed = TestSeed(5);
  SCOPED_TRACE(seed);
  KeySource keys(seed);
  std::vector<PrefixChanges> entries;
  NaivePrefixTree now;
  Log one_commit({8, 4});
  for (int i = 0; i < 30; ++i) {
    entries.push_back(RandomChanges(now, 8, &keys));
    now = one_commit.After(now, entries.back());
  }
  one_commit.Append(entries);
  Log many_commits({8, 4});
  for (const PrefixChanges& entry : entries) {
    many_commits.Append({entry});
    many_commits.Reload();
  }
  for (uint8_t depth : {0, 4}) {
    std::vector<BandRow> rows[2];
    int i = 0;
    for (Log* log : {&one_commit, &many_commits}) {
      ASSERT_THAT(log->store().Snapshot()->ScanNewestBands(
                      depth,
                      [&](std::span<const BandRow> tile) {
                        rows[i].insert(rows[i].end(), tile.begin(), tile.end());
                        return absl::OkStatus();
                      }),
                  IsOk());
      ++i;
    }
    EXPECT_FALSE(rows[0].empty());
    EXPECT_EQ(rows[0], rows[1]);
  }
  EXPECT_EQ(one_commit.store().band_bytes(), many_commits.store().band_bytes());
}

// So many buckets change that several threads hash them, each a range.
TEST(PrefixTreeStage, ManyBucketsAtOnceGiveWhatOneAfterAnotherGives) {
  const uint64_t seed = TestSeed(6);
  SCOPED_TRACE(seed);
  for (const PrefixTreeLayout& layout : {PrefixTreeLayout{16, 16}, {20, 4, true}}) {
    SeededRandom random(seed);
    Log log(layout);
    std::vector<VrfOutput> present;
    const auto entry = [&](size_t count) {
      PrefixChanges changes;
      const size_t before = present.size();
      for (size_t i = 0; i < count; ++i) {
        if (i % 8 == 0 && i < before) {
          changes.removed.push_back(present[i]);
          present[i] = random.NextVrfOutput();
          changes.added.push_back({present[i], random.NextHash()});
        }
        present.push_back(random.NextVrfOutput());
        changes.added.push_back({present.back(), random.NextHash()});
      }
      return changes;
    };
    for (int i = 0; i < 2; ++i) {
      const std::vector<PrefixChanges> batch = {entry(700), entry(900), entry(1)};
      ASSERT_NO_FATAL_FAILURE(log.Append(batch));
    }
    ASSERT_NO_FATAL_FAILURE(log.Reload());
    for (LogPosition position = 0; position < log.size(); ++position) {
      ASSERT_NO_FATAL_FAILURE(log.CheckProof(
          position, {present[random.Below(present.size())], random.NextVrfOutput()}));
    }
  }
}

// What one of them finds wrong is what the commit is refused for.
TEST(PrefixTreeStage, AnErrorInAnyOfManyBucketsIsNoticed) {
  SeededRandom random(7);
  Log log({16, 16});
  PrefixChanges first;
  for (int i = 0; i < 2'000; ++i) {
    first.added.push_back({random.NextVrfOutput(), random.NextHash()});
  }
  ASSERT_NO_FATAL_FAILURE(log.Append({first}));
  for (const size_t i : {size_t{0}, size_t{1'000}, size_t{1'999}}) {
    PrefixChanges second;
    for (int j = 0; j < 2'000; ++j) {
      second.added.push_back({random.NextVrfOutput(), random.NextHash()});
    }
    second.added.push_back({first.added[i].vrf_output, random.NextHash()});
    EXPECT_THAT(log.tree().Stage(*log.store().Snapshot(), log.size(), {&second, 1}),
                StatusIs(absl::StatusCode::kAlreadyExists));
  }
}

TEST(PrefixTreeStage, WritesASnapshotRowWithinEveryRowsPerSnapshot) {
  KeySource keys(3);
  Log log({4, 5});
  for (int i = 0; i < 60; ++i) log.Append({RandomChanges(log.newest(), 2, &keys)});
  size_t longest = 0;
  for (LogPosition position = 0; position < log.size(); ++position) {
    std::vector<std::vector<LeafRow>> leaves;
    std::vector<std::vector<BandRow>> rows;
    const BandQuery query{{}, position};
    ASSERT_THAT(log.store().Snapshot()->Read({}, {&query, 1}, &leaves, &rows), IsOk());
    if (!rows[0].empty()) {
      EXPECT_TRUE(rows[0].back().is_snapshot);
    }
    longest = std::max(longest, rows[0].size());
  }
  EXPECT_EQ(longest, 5u);
}

}  // namespace
}  // namespace kt::merkle
