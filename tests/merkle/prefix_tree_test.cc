// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_node.h"
#include "tests/merkle/prefix_tree_fixture.h"

namespace kt::merkle {
namespace {

void RunRandomLog(const PrefixTreeLayout& layout, size_t max_leaf_bytes, uint64_t seed,
                  size_t commits) {
  SCOPED_TRACE("KT_TEST_SEED=" + std::to_string(seed) + " bucket depth " +
               std::to_string(layout.bucket_depth) + " bytes of leaves " +
               std::to_string(max_leaf_bytes));
  KeySource keys(seed);
  Log log(layout, max_leaf_bytes);
  for (size_t commit = 0; commit < commits; ++commit) {
    std::vector<PrefixChanges> entries;
    NaivePrefixTree now = log.newest();
    const size_t count = 1 + keys.random().Below(4);
    const size_t most = 1 + keys.random().Below(12);
    for (size_t i = 0; i < count; ++i) {
      entries.push_back(RandomChanges(now, keys.random().Below(most + 1), &keys));
      now = log.After(now, entries.back());
    }
    ASSERT_NO_FATAL_FAILURE(log.Append(entries));
    if (keys.random().Below(4) == 0) {
      ASSERT_NO_FATAL_FAILURE(log.Reload());
    }
    keys.Next();
    for (int i = 0; i < 4; ++i) {
      ASSERT_NO_FATAL_FAILURE(log.CheckProof(keys.random().Below(log.size()),
                                             RandomLookups(1 + keys.random().Below(8), &keys)));
    }
    ASSERT_NO_FATAL_FAILURE(log.CheckProof(log.size() - 1, RandomLookups(3, &keys)));
  }
}

TEST(PrefixTree, EqualsTheNaiveTreeForRandomHistories) {
  const uint64_t seed = TestSeed(1);
  for (uint64_t i = 0; i < 40; ++i) {
    for (const PrefixTreeLayout& layout : kLayouts) {
      for (const size_t max_leaf_bytes : kLeafBytes) {
        ASSERT_NO_FATAL_FAILURE(
            RunRandomLog(layout, max_leaf_bytes, seed + i, /*commits=*/2 + i % 12));
      }
    }
  }
}

TEST(PrefixTree, EqualsTheNaiveTreeForLargeEntries) {
  const uint64_t seed = TestSeed(77);
  SCOPED_TRACE(seed);
  for (const uint8_t bucket_depth : {4, 8, 16}) {
    SeededRandom random(seed);
    Log log({bucket_depth, 16});
    std::vector<VrfOutput> keys;
    for (size_t count : {3000u, 1u, 700u}) {
      PrefixChanges changes;
      for (size_t i = 0; i < count; ++i) {
        keys.push_back(random.NextVrfOutput());
        changes.added.push_back({keys.back(), random.NextHash()});
      }
      for (size_t i = 0; i < count / 10; ++i)
        changes.removed.push_back(changes.added[i].vrf_output);
      PrefixChanges added{changes.added, {}}, removed{{}, changes.removed};
      ASSERT_NO_FATAL_FAILURE(log.Append({added, removed}));
    }
    for (LogPosition position = 0; position < log.size(); ++position) {
      std::vector<VrfOutput> lookups;
      for (int i = 0; i < 20; ++i) {
        lookups.push_back(keys[random.Below(keys.size())]);
        lookups.push_back(random.NextVrfOutput());
      }
      std::sort(lookups.begin(), lookups.end());
      lookups.erase(std::unique(lookups.begin(), lookups.end()), lookups.end());
      ASSERT_NO_FATAL_FAILURE(log.CheckProof(position, lookups));
    }
  }
}

TEST(PrefixTree, EmptyTreeHasAZeroRootAndMissesAtDepthZero) {
  Log log({16, 16});
  log.Append({PrefixChanges{}, PrefixChanges{}});
  EXPECT_TRUE(log.newest().Root().IsZero());
  ASSERT_OK_AND_ASSIGN(const base::Hash root, log.tree().RootAt(*log.store().Snapshot(), 1));
  EXPECT_TRUE(root.IsZero());
  const PrefixProofRequest request{0, {KeyOf("0"), KeyOf("1")}};
  ASSERT_OK_AND_ASSIGN(const std::vector<PrefixProof> proofs,
                       log.tree().Prove(*log.store().Snapshot(), {&request, 1}));
  const PrefixSearchResult missing{PrefixSearchResultType::kNonInclusionParent, {}, 0};
  EXPECT_EQ(proofs[0], (PrefixProof{{missing, missing}, {}}));
}

TEST(PrefixTree, SingleLeafIsTheRootForAnyBucketDepth) {
  for (const PrefixTreeLayout& layout : kLayouts) {
    Log log(layout);
    log.Append({PrefixChanges{{{KeyOf("1"), CommitmentOf(1)}}, {}}});
    EXPECT_EQ(log.newest().Root(), PrefixLeafHash(KeyOf("1"), CommitmentOf(1)));
    log.CheckProof(0, {KeyOf("1"), KeyOf("0"), KeyOf("11")});
  }
}

// Two leaves that part at each depth in turn, then one of them alone again: it must move up past
// every boundary, and searches for its neighbours must end at it.
TEST(PrefixTree, LoneLeafMovesUpPastBucketAndTileBoundaries) {
  for (const PrefixTreeLayout& layout : kLayouts) {
    for (unsigned bit :
         {0u, 3u, 4u, 5u, 7u, 8u, 15u, 16u, 17u, 19u, 20u, 21u, 23u, 24u, 25u, 254u}) {
      SCOPED_TRACE(std::to_string(layout.bucket_depth) + " bit " + std::to_string(bit));
      const VrfOutput a = KeyOf("101101"), b = FlipBit(a, bit);
      Log log(layout);
      log.Append({PrefixChanges{{{a, CommitmentOf(1)}, {b, CommitmentOf(2)}}, {}},
                  PrefixChanges{{}, {b}}, PrefixChanges{{{b, CommitmentOf(3)}}, {a}},
                  PrefixChanges{{}, {b}}});
      if (HasFatalFailure()) return;
      ASSERT_NO_FATAL_FAILURE(log.Reload());
      for (LogPosition position = 0; position < log.size(); ++position) {
        for (unsigned other : {0u, 3u, 4u, 16u, 20u, 23u, 100u, 255u}) {
          ASSERT_NO_FATAL_FAILURE(log.CheckProof(position, {FlipBit(a, other)}));
          ASSERT_NO_FATAL_FAILURE(
              log.CheckProof(position, {b, FlipBit(FlipBit(b, other), 200), a}));
        }
      }
    }
  }
}

TEST(PrefixTree, RefusesLeavesThatPartAtTheLastBit) {
  const VrfOutput a = KeyOf("1"), b = FlipBit(a, 255);
  Log log({8, 16});
  const std::vector<PrefixChanges> both = {PrefixChanges{{{a, {}}, {b, {}}}, {}}};
  EXPECT_THAT(log.tree().Stage(*log.store().Snapshot(), 0, both),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("last bit")));
  // One after the other is fine, and searches for one end at the other.
  log.Append({PrefixChanges{{{a, {}}}, {}}, PrefixChanges{{{b, {}}}, {a}}});
  log.CheckProof(0, {a, b});
  log.CheckProof(1, {a, b});
}

TEST(PrefixTree, NodeHashesAreTheProofsHashes) {
  SeededRandom random(7);
  for (int i = 0; i < 100; ++i) {
    const base::Hash a = random.NextHash(), b = random.NextHash();
    const VrfOutput key = random.NextVrfOutput();
    EXPECT_EQ(ParentNodeHash(a, b), PrefixParentHash(a, b));
    EXPECT_EQ(LeafNodeHash(key, a), PrefixLeafHash(key, a));
  }
}

}  // namespace
}  // namespace kt::merkle
