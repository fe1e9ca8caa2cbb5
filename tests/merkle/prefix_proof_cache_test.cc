// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_proof_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "tests/merkle/prefix_tree_fixture.h"

namespace kt::merkle {
namespace {

PrefixProof ProofOf(size_t elements, uint8_t value) {
  PrefixProof proof;
  proof.elements.assign(elements, CommitmentOf(value));
  return proof;
}

constexpr size_t kCapacityBytes = size_t{64} << 20;

TEST(ProofCache, FindsWhatWasPutUnderItsPositionAndKeysOnly) {
  SeededRandom random(1);
  const VrfOutput a = random.NextVrfOutput(), b = random.NextVrfOutput();
  VrfOutput like_a = a;  // beyond what is hashed
  like_a.bytes[20] ^= 1;
  ProofCache cache(kCapacityBytes);
  EXPECT_EQ(cache.Get({3, {a, b}}), nullptr);
  cache.Put({3, {a, b}}, ProofOf(2, 1));
  cache.Put({3, {like_a, b}}, ProofOf(2, 2));
  EXPECT_EQ(*cache.Get({3, {a, b}}), ProofOf(2, 1));
  EXPECT_EQ(*cache.Get({3, {like_a, b}}), ProofOf(2, 2));
  EXPECT_EQ(cache.Get({3, {b, a}}), nullptr);
  EXPECT_EQ(cache.Get({3, {a}}), nullptr);
  EXPECT_EQ(cache.Get({4, {a, b}}), nullptr);
  // What was never changes, so the first one stays.
  cache.Put({3, {a, b}}, ProofOf(2, 9));
  EXPECT_EQ(*cache.Get({3, {a, b}}), ProofOf(2, 1));
}

TEST(ProofCache, ForgetsWhatWasUsedLeastRecently) {
  SeededRandom random(2);
  constexpr size_t kElements = 2'000;  // 64 kB
  const size_t capacity = kCapacityBytes / (kElements * sizeof(base::Hash));
  ProofCache cache(kCapacityBytes);
  const PrefixProofRequest used{0, {random.NextVrfOutput()}};
  cache.Put(used, ProofOf(kElements, 1));
  std::vector<PrefixProofRequest> others;
  for (size_t i = 0; i < 3 * capacity; ++i) {
    others.push_back({i, {random.NextVrfOutput()}});
    cache.Put(others.back(), ProofOf(kElements, 2));
    ASSERT_NE(cache.Get(used), nullptr) << i;
  }
  size_t kept = 0;
  for (const PrefixProofRequest& other : others) kept += cache.Get(other) != nullptr ? 1 : 0;
  EXPECT_LE(kept, capacity);
  EXPECT_GE(kept, capacity / 2);
  EXPECT_NE(cache.Get(others.back()), nullptr);
}

TEST(ProofCache, TakesNothingLargerThanItIs) {
  SeededRandom random(3);
  ProofCache cache(kCapacityBytes);
  const PrefixProofRequest small{0, {random.NextVrfOutput()}};
  const PrefixProofRequest large{0, {random.NextVrfOutput()}};
  cache.Put(small, ProofOf(1, 1));
  cache.Put(large, ProofOf(kCapacityBytes / sizeof(base::Hash), 2));
  EXPECT_EQ(cache.Get(large), nullptr);
}

TEST(ProofCache, WithoutRoomKeepsNothing) {
  SeededRandom random(4);
  ProofCache cache(0);
  const PrefixProofRequest request{0, {random.NextVrfOutput()}};
  cache.Put(request, ProofOf(1, 1));
  EXPECT_EQ(cache.Get(request), nullptr);
}

TEST(ProofCache, IsSharedByThreads) {
  ProofCache cache(kCapacityBytes);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      SeededRandom random(5);  // all threads use the same keys
      for (base::LogPosition i = 0; i < 2'000; ++i) {
        const PrefixProofRequest request{i, {random.NextVrfOutput()}};
        const auto value = static_cast<uint8_t>(i % 251);
        if ((i + static_cast<base::LogPosition>(t)) % 2 == 0) cache.Put(request, ProofOf(3, value));
        const auto found = cache.Get(request);
        if (found != nullptr) {
          EXPECT_EQ(*found, ProofOf(3, value));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// --- in the tree ---------------------------------------------------------------------------

TEST(PrefixTreeProve, ReadsNothingForAProofThatItHasMade) {
  for (const PrefixTreeLayout& layout : kLayouts) {
    KeySource keys(31);
    Log log(layout);
    for (int i = 0; i < 12; ++i) log.Append({RandomChanges(log.newest(), 20, &keys)});
    const std::vector<VrfOutput> lookups = RandomLookups(3, &keys);
    for (LogPosition position = 0; position < 12; ++position) log.CheckProof(position, lookups);
    // It stays what it was while the log grows.
    for (int i = 0; i < 3; ++i) log.Append({RandomChanges(log.newest(), 20, &keys)});
    const auto before = log.store().counts();
    for (LogPosition position = 0; position < 12; ++position) log.CheckProof(position, lookups);
    EXPECT_EQ(log.store().counts().read_calls, before.read_calls);
  }
}

// A store that another server writes to may be ahead of this tree.
TEST(PrefixTreeProve, KeepsNoProofOfAPositionThatItDoesNotCover) {
  KeySource keys(32);
  Log log({8, 16});
  for (int i = 0; i < 5; ++i) log.Append({RandomChanges(log.newest(), 20, &keys)});
  const PrefixChanges changes = RandomChanges(log.newest(), 20, &keys);
  ASSERT_OK_AND_ASSIGN(auto staged,
                       log.tree().Stage(*log.store().Snapshot(), log.size(), {&changes, 1}));
  log.store().Commit(staged->writes());
  const PrefixProofRequest request{log.size(), {keys.Known()}};
  for (int i = 0; i < 2; ++i) {
    const auto before = log.store().counts();
    ASSERT_THAT(log.tree().Prove(*log.store().Snapshot(), {&request, 1}), IsOk());
    EXPECT_EQ(log.store().counts().read_calls, before.read_calls + 1);
  }
}

}  // namespace
}  // namespace kt::merkle
