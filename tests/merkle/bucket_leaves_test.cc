// SPDX-License-Identifier: Apache-2.0
#include "merkle/bucket_leaves.h"

#include "tests/merkle/prefix_tree_fixture.h"

namespace kt::merkle {
namespace {

constexpr PrefixTreeLayout kLayout{8, 16, true};
constexpr size_t kEnough = 1 << 20;

std::vector<LeafRow> Rows(size_t count, SeededRandom* random) {
  std::vector<LeafRow> rows;
  for (size_t i = 0; i < count; ++i) {
    rows.push_back(
        {.key = random->NextVrfOutput(), .insert_pos = i, .commitment = random->NextHash()});
  }
  return rows;
}

PrefixChanges Additions(size_t count, SeededRandom* random) {
  PrefixChanges changes;
  for (size_t i = 0; i < count; ++i) {
    changes.added.push_back({random->NextVrfOutput(), random->NextHash()});
  }
  return changes;
}

TEST(BucketLeaves, GivesBackWhatItWasMadeOf) {
  SeededRandom random(1);
  std::vector<LeafRow> all;
  std::vector<LeafRow> given;
  for (const size_t count : {0u, 1u, 7u}) {
    const std::vector<LeafRow> rows = Rows(count, &random);
    const std::optional<OwnedLeaves> leaves = OwnedLeaves::Of(rows);
    ASSERT_TRUE(leaves.has_value());
    EXPECT_EQ(leaves->view().count(), count);
    EXPECT_GE(leaves->view().bytes(), count * 72);
    leaves->view().AppendTo(&given);
    all.insert(all.end(), rows.begin(), rows.end());
    EXPECT_EQ(given, all);
  }
  EXPECT_EQ(BucketLeaves().bytes(), 0u);
}

TEST(BucketLeaves, AreNotOfABucketInWhichOneHasEnded) {
  SeededRandom random(2);
  std::vector<LeafRow> rows = Rows(3, &random);
  rows[1].end_pos = 9;
  EXPECT_FALSE(OwnedLeaves::Of(rows).has_value());
}

// Neither changes nor proofs at any position, by a tree that grew and by one that was loaded.
TEST(LeavesInMemory, SpareEveryReadOfABucket) {
  SeededRandom random(3);
  Log log(kLayout, kEnough);
  std::vector<VrfOutput> keys;
  for (int i = 0; i < 12; ++i) {
    if (i == 6) {
      ASSERT_NO_FATAL_FAILURE(log.Reload());
    }
    const PrefixChanges changes = Additions(40, &random);
    for (const PrefixLeaf& leaf : changes.added) keys.push_back(leaf.vrf_output);
    const auto before = log.store().counts();
    ASSERT_NO_FATAL_FAILURE(log.Append({changes}));
    for (LogPosition position = 0; position < log.size(); ++position) {
      std::vector<VrfOutput> lookups = {keys[random.Below(keys.size())], random.NextVrfOutput()};
      std::sort(lookups.begin(), lookups.end());
      ASSERT_NO_FATAL_FAILURE(log.CheckProof(position, lookups));
    }
    EXPECT_EQ(log.store().counts().buckets, before.buckets);
  }
  EXPECT_GE(log.tree().leaf_bytes(), keys.size() * 72);
}

TEST(LeavesInMemory, AreAsManyAfterALoadAsBefore) {
  SeededRandom random(4);
  Log log(kLayout, kEnough);
  for (int i = 0; i < 5; ++i) ASSERT_NO_FATAL_FAILURE(log.Append({Additions(60, &random)}));
  const size_t bytes = log.tree().leaf_bytes();
  ASSERT_NO_FATAL_FAILURE(log.Reload());
  EXPECT_EQ(log.tree().leaf_bytes(), bytes);
}

TEST(LeavesInMemory, LeaveOneTileThatALeafEndedBelowToTheStore) {
  SeededRandom random(5);
  Log log(kLayout, kEnough);
  const PrefixChanges first = Additions(600, &random);
  ASSERT_NO_FATAL_FAILURE(log.Append({first}));
  const size_t bytes = log.tree().leaf_bytes();
  const VrfOutput ended = first.added[0].vrf_output;
  ASSERT_NO_FATAL_FAILURE(log.Append({PrefixChanges{{}, {ended}}}));
  EXPECT_LT(log.tree().leaf_bytes(), bytes);
  EXPECT_GT(log.tree().leaf_bytes(), bytes * 8 / 10);  // of sixteen tiles
  for (const bool loaded : {false, true}) {
    if (loaded) {
      ASSERT_NO_FATAL_FAILURE(log.Reload());
    }
    const auto before = log.store().counts();
    ASSERT_NO_FATAL_FAILURE(log.CheckProof(1, {ended}));
    EXPECT_EQ(log.store().counts().buckets, before.buckets + 1);
  }
  // They do not come to be kept again, since older trees still have the leaf.
  ASSERT_NO_FATAL_FAILURE(log.Append({PrefixChanges{{{ended, random.NextHash()}}, {}}}));
  for (LogPosition position = 0; position < log.size(); ++position) {
    ASSERT_NO_FATAL_FAILURE(log.CheckProof(position, {ended}));
  }
}

// One entry that ends a leaf and adds the same again leaves the bucket's value as it was.
TEST(LeavesInMemory, DoNotMissALeafThatWasReplacedByItself) {
  SeededRandom random(6);
  Log log(kLayout, kEnough);
  const PrefixChanges first = Additions(20, &random);
  ASSERT_NO_FATAL_FAILURE(log.Append({first}));
  const PrefixLeaf same = first.added[3];
  ASSERT_NO_FATAL_FAILURE(log.Append({PrefixChanges{{same}, {same.vrf_output}}}));
  ASSERT_NO_FATAL_FAILURE(log.Append({PrefixChanges{{}, {same.vrf_output}}}));
  ASSERT_NO_FATAL_FAILURE(log.Reload());
  for (LogPosition position = 0; position < log.size(); ++position) {
    ASSERT_NO_FATAL_FAILURE(log.CheckProof(position, {same.vrf_output}));
  }
}

TEST(LeavesInMemory, StayWithinTheirBoundAndUseIt) {
  SeededRandom random(7);
  constexpr size_t kSome = 40'000;
  Log log(kLayout, kSome);  // checks the bound with each entry and load
  std::vector<VrfOutput> keys;
  for (int i = 0; i < 40; ++i) {
    const PrefixChanges changes = Additions(30, &random);
    for (const PrefixLeaf& leaf : changes.added) keys.push_back(leaf.vrf_output);
    ASSERT_NO_FATAL_FAILURE(log.Append({changes}));
    if (i < 20) continue;
    EXPECT_GE(log.tree().leaf_bytes(), kSome / 2);
    ASSERT_NO_FATAL_FAILURE(log.CheckProof(random.Below(log.size()), {random.NextVrfOutput()}));
  }
  for (const bool loaded : {false, true}) {
    if (loaded) {
      ASSERT_NO_FATAL_FAILURE(log.Reload());
      EXPECT_GE(log.tree().leaf_bytes(), kSome * 8 / 10);
    }
    // It would take 1,200 leaves some 90,000 bytes, so that four of ten proofs read nothing of
    // them.
    const auto before = log.store().counts();
    for (const VrfOutput& key : keys) ASSERT_NO_FATAL_FAILURE(log.CheckProof(10, {key}));
    const size_t read = log.store().counts().buckets - before.buckets;
    EXPECT_GT(read, keys.size() / 4);
    EXPECT_LT(read, keys.size() * 9 / 10);
  }
}

// What was stored but is not applied yet, memory does not know.
TEST(LeavesInMemory, AreNotWhatIsProvenBeyondTheTree) {
  SeededRandom random(9);
  Log log(kLayout, kEnough);
  const PrefixChanges first = Additions(50, &random);
  ASSERT_NO_FATAL_FAILURE(log.Append({first}));
  const VrfOutput key = first.added[0].vrf_output;
  const PrefixChanges second{{{FlipBit(key, 30), random.NextHash()}}, {}};
  const NaivePrefixTree after = log.After(log.newest(), second);
  ASSERT_OK_AND_ASSIGN(auto staged,
                       log.tree().Stage(*log.store().Snapshot(), log.size(), {&second, 1}));
  log.store().Commit(staged->writes());
  const std::vector<VrfOutput> keys = {key};
  const std::vector<PrefixProofRequest> both = {{0, keys}, {1, keys}};
  const auto before = log.store().counts();
  ASSERT_OK_AND_ASSIGN(const auto proofs, log.tree().Prove(*log.store().Snapshot(), both));
  EXPECT_EQ(proofs[0], log.at(0).Prove(keys));
  EXPECT_EQ(proofs[1], after.Prove(keys));
  EXPECT_GT(log.store().counts().buckets, before.buckets);
  log.ApplyStaged(std::move(staged), after);
  const auto applied = log.store().counts();
  ASSERT_NO_FATAL_FAILURE(log.CheckProof(1, {key, FlipBit(key, 40)}));
  EXPECT_EQ(log.store().counts().buckets, applied.buckets);
}

// A staged change that is given up leaves no trace.
TEST(LeavesInMemory, AreThoseOfTheCurrentTree) {
  SeededRandom random(8);
  Log log(kLayout, kEnough);
  ASSERT_NO_FATAL_FAILURE(log.Append({Additions(50, &random)}));
  const size_t bytes = log.tree().leaf_bytes();
  const std::vector<PrefixChanges> given_up = {Additions(50, &random)};
  ASSERT_THAT(log.tree().Stage(*log.store().Snapshot(), log.size(), given_up), IsOk());
  EXPECT_EQ(log.tree().leaf_bytes(), bytes);
  ASSERT_NO_FATAL_FAILURE(log.Append({Additions(50, &random)}));
  ASSERT_NO_FATAL_FAILURE(log.CheckProof(log.size() - 1, {given_up[0].added[0].vrf_output}));
}

}  // namespace
}  // namespace kt::merkle
