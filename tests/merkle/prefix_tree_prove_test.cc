// SPDX-License-Identifier: Apache-2.0
#include "tests/merkle/prefix_tree_fixture.h"

namespace kt::merkle {
namespace {

TEST(PrefixTreeProve, MakesOneRoundOfReadsAtMost) {
  const uint64_t seed = TestSeed(21);
  SCOPED_TRACE(seed);
  for (const PrefixTreeLayout& layout : kLayouts) {
    KeySource keys(seed);
    Log log(layout);
    for (int i = 0; i < 20; ++i) {
      ASSERT_NO_FATAL_FAILURE(log.Append({RandomChanges(log.newest(), 10, &keys)}));
    }
    ASSERT_NO_FATAL_FAILURE(log.Reload());
    for (int i = 0; i < 20; ++i) {
      std::vector<PrefixProofRequest> requests;
      for (int j = 0; j < 6; ++j) {
        requests.push_back({keys.random().Below(log.size()), RandomLookups(5, &keys)});
      }
      const auto snapshot = log.store().Snapshot();
      const auto before = log.store().counts();
      ASSERT_OK_AND_ASSIGN(const auto proofs, log.tree().Prove(*snapshot, requests));
      EXPECT_LE(log.store().counts().read_calls, before.read_calls + 1);
      for (size_t j = 0; j < requests.size(); ++j) {
        ASSERT_NO_FATAL_FAILURE(log.CheckProof(requests[j].position, requests[j].keys, proofs[j]));
      }
    }
  }
}

TEST(PrefixTreeProve, ReadsOneBucketAndNoRowsAtTheNewestPosition) {
  KeySource keys(9);
  Log log({8, 16});
  for (int i = 0; i < 10; ++i) log.Append({RandomChanges(log.newest(), 20, &keys)});
  const auto before = log.store().counts();
  log.CheckProof(log.size() - 1, {keys.Known()});
  EXPECT_LE(log.store().counts().buckets, before.buckets + 1);
  EXPECT_EQ(log.store().counts().band_queries, before.band_queries);
}

TEST(PrefixTreeProve, ReadsARepeatedOldPositionsTopTilesOnce) {
  SeededRandom random(4);
  Log log({16, 16});
  std::vector<VrfOutput> keys;
  for (int i = 0; i < 10; ++i) {
    PrefixChanges changes;
    for (int j = 0; j < 30; ++j) {
      keys.push_back(random.NextVrfOutput());
      changes.added.push_back({keys.back(), random.NextHash()});
    }
    log.Append({changes});
  }
  log.CheckProof(4, {keys[3]});
  const auto first = log.store().counts();
  log.CheckProof(4, {keys[3]});
  EXPECT_LE(log.store().counts().band_queries, first.band_queries + 1);  // depth 12 only
}

TEST(PrefixTreeProve, RefusesMoreKeysThanAProofCanAnswer) {
  SeededRandom random(1);
  Log log({8, 16});
  log.Append({PrefixChanges{}});
  PrefixProofRequest request{0, {}};
  for (int i = 0; i < 256; ++i) request.keys.push_back(random.NextVrfOutput());
  EXPECT_THAT(log.tree().Prove(*log.store().Snapshot(), {&request, 1}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  request.keys.pop_back();
  EXPECT_THAT(log.tree().Prove(*log.store().Snapshot(), {&request, 1}), IsOk());
}

// An AuditorUpdate of an entry without changes asks for nothing and gets the root.
TEST(PrefixTreeProve, AnswersNoLookupsWithTheRoot) {
  KeySource keys(2);
  Log log({8, 16});
  for (int i = 0; i < 5; ++i) log.Append({RandomChanges(log.newest(), 5, &keys)});
  for (LogPosition position = 0; position < log.size(); ++position) {
    log.CheckProof(position, {});
    EXPECT_THAT(log.tree().RootAt(*log.store().Snapshot(), position),
                IsOkAndHolds(log.at(position).Root()));
  }
}

// An AuditorUpdate that replaces a leaf names its key among the added and the removed.
TEST(PrefixTreeProve, AnswersARepeatedKeyTheSameWayTwice) {
  KeySource keys(2);
  Log log({8, 16});
  log.Append({RandomChanges(log.newest(), 20, &keys)});
  const VrfOutput key = keys.Known(), other = FlipBit(key, 9);
  const PrefixProofRequest twice{0, {key, other, key}}, once{0, {key, other}};
  const auto snapshot = log.store().Snapshot();
  const std::vector<PrefixProofRequest> requests = {twice, once};
  ASSERT_OK_AND_ASSIGN(const auto proofs, log.tree().Prove(*snapshot, requests));
  EXPECT_EQ(proofs[0].results[0], proofs[1].results[0]);
  EXPECT_EQ(proofs[0].results[1], proofs[1].results[1]);
  EXPECT_EQ(proofs[0].results[2], proofs[1].results[0]);
  EXPECT_EQ(proofs[0].elements, proofs[1].elements);
}

// A reader may hold a snapshot from before the newest commits, or from between a commit and its
// Apply, when memory is older than what it sees.
TEST(PrefixTreeProve, WorksFromSnapshotsOlderAndNewerThanTheTree) {
  const uint64_t seed = TestSeed(31);
  SCOPED_TRACE(seed);
  for (size_t i = 0; i < std::size(kLayouts) * std::size(kLeafBytes); ++i) {
    KeySource keys(seed);
    Log log(kLayouts[i / std::size(kLeafBytes)], kLeafBytes[i % std::size(kLeafBytes)]);
    for (int round = 0; round < 15; ++round) {
      const auto old_snapshot = log.store().Snapshot();
      const base::TreeSize old_size = log.size();
      const std::vector<PrefixChanges> entries = {RandomChanges(log.newest(), 6, &keys)};
      const NaivePrefixTree after = log.After(log.newest(), entries[0]);
      ASSERT_OK_AND_ASSIGN(auto staged, log.tree().Stage(*old_snapshot, old_size, entries));
      MemoryPrefixStore& store = log.store();
      keys.Next();
      const std::vector<VrfOutput> lookups = RandomLookups(6, &keys);

      store.Commit(staged->writes());
      const PrefixProofRequest newest{old_size, lookups};
      ASSERT_OK_AND_ASSIGN(const auto proofs, log.tree().Prove(*store.Snapshot(), {&newest, 1}));
      ASSERT_EQ(proofs[0], after.Prove(lookups));

      log.ApplyStaged(std::move(staged), after);
      if (old_size == 0) continue;
      const PrefixProofRequest old{old_size - 1, lookups};
      ASSERT_OK_AND_ASSIGN(const auto old_proofs, log.tree().Prove(*old_snapshot, {&old, 1}));
      ASSERT_EQ(old_proofs[0], log.at(old_size - 1).Prove(lookups));
    }
  }
}

}  // namespace
}  // namespace kt::merkle
