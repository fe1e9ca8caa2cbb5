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
    const BucketLeaves leaves = BucketLeaves::Of(rows);
    ASSERT_TRUE(leaves.known());
    EXPECT_GE(leaves.bytes(), count * 72);
    leaves.AppendTo(&given);
    all.insert(all.end(), rows.begin(), rows.end());
    EXPECT_EQ(given, all);
  }
}

TEST(BucketLeaves, AreUnknownOnceOneHasEnded) {
  SeededRandom random(2);
  std::vector<LeafRow> rows = Rows(3, &random);
  rows[1].end_pos = 9;
  EXPECT_FALSE(BucketLeaves::Of(rows).known());
  EXPECT_FALSE(BucketLeaves::Unknown().known());
  EXPECT_EQ(BucketLeaves::Unknown().bytes(), 0u);
  EXPECT_TRUE(BucketLeaves().known());
  EXPECT_EQ(BucketLeaves().bytes(), 0u);
}

TEST(BucketLeavesDeathTest, DoNotTellWhatTheyDoNotKnow) {
  std::vector<LeafRow> rows;
  EXPECT_DEATH(BucketLeaves::Unknown().AppendTo(&rows), "");
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

TEST(LeavesInMemory, LeaveOneBucketThatALeafEndedInToTheStore) {
  SeededRandom random(5);
  Log log(kLayout, kEnough);
  const PrefixChanges first = Additions(600, &random);
  ASSERT_NO_FATAL_FAILURE(log.Append({first}));
  const size_t bytes = log.tree().leaf_bytes();
  const VrfOutput ended = first.added[0].vrf_output;
  ASSERT_NO_FATAL_FAILURE(log.Append({PrefixChanges{{}, {ended}}}));
  EXPECT_LT(log.tree().leaf_bytes(), bytes);
  EXPECT_GT(log.tree().leaf_bytes(), bytes * 9 / 10);
  for (const bool loaded : {false, true}) {
    if (loaded) {
      ASSERT_NO_FATAL_FAILURE(log.Reload());
    }
    const auto before = log.store().counts();
    ASSERT_NO_FATAL_FAILURE(log.CheckProof(1, {ended}));
    EXPECT_EQ(log.store().counts().buckets, before.buckets + 1);
  }
  // It does not come to be known again, since older trees still have the leaf.
  ASSERT_NO_FATAL_FAILURE(log.Append({PrefixChanges{{{ended, random.NextHash()}}, {}}}));
  ASSERT_NO_FATAL_FAILURE(log.CheckProof(0, {ended}));
  ASSERT_NO_FATAL_FAILURE(log.CheckProof(1, {ended}));
  ASSERT_NO_FATAL_FAILURE(log.CheckProof(2, {ended}));
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
  constexpr size_t kSome = 20'000;
  Log log(kLayout, kSome);  // checks the bound with each entry and load
  for (int i = 0; i < 30; ++i) {
    ASSERT_NO_FATAL_FAILURE(log.Append({Additions(30, &random)}));
    if (i < 10) continue;
    EXPECT_GE(log.tree().leaf_bytes(), kSome / 2);
    ASSERT_NO_FATAL_FAILURE(log.CheckProof(random.Below(log.size()), {random.NextVrfOutput()}));
  }
  ASSERT_NO_FATAL_FAILURE(log.Reload());
  EXPECT_GE(log.tree().leaf_bytes(), kSome * 9 / 10);
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
