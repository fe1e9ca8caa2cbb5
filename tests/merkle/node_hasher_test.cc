// SPDX-License-Identifier: Apache-2.0
#include "merkle/node_hasher.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "base/cpu.h"
#include "merkle/prefix_proof.h"
#include "tests/support/fakes.h"

namespace kt::merkle {
namespace {

using base::Hash;
using testing::SeededRandom;
using testing::TestSeed;

// Hashes `leaves` leaves and, in each of several levels, half as many parents of what is there
// already, with `hasher`; whether all are right.
bool HashesRightly(size_t leaves, SeededRandom& random, NodeHasher* hasher) {
  std::vector<PrefixLeaf> given;
  for (size_t i = 0; i < leaves; ++i) {
    given.push_back({random.NextVrfOutput(), random.NextHash()});
  }
  std::vector<Hash> expected;
  for (const PrefixLeaf& leaf : given) {
    expected.push_back(PrefixLeafHash(leaf.vrf_output, leaf.commitment));
  }
  std::vector<Hash> hashes(2 * leaves);
  for (size_t i = 0; i < leaves; ++i) {
    hasher->AddLeaf(given[i].vrf_output, given[i].commitment, &hashes[i]);
  }
  size_t made = leaves;
  size_t level = 0;
  for (size_t parents = leaves / 2; parents > 0; parents /= 2, ++level) {
    const size_t lower = made;
    for (size_t i = 0; i < parents; ++i) {
      const size_t left = random.Below(lower), right = random.Below(lower);
      hasher->AddParent(level, hashes[left], hashes[right], &hashes[made++]);
      expected.push_back(PrefixParentHash(expected[left], expected[right]));
    }
  }
  hasher->Run();
  hashes.resize(made);
  return hashes == expected;
}

TEST(NodeHasher, HashesAnyNumberOfNodes) {
  const uint64_t seed = TestSeed(1);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  NodeHasher hasher;
  for (size_t leaves = 0; leaves <= 70; ++leaves) {
    EXPECT_TRUE(HashesRightly(leaves, random, &hasher)) << leaves;
  }
  EXPECT_TRUE(HashesRightly(1'000, random, &hasher));
}

// As for a node above which no other leaf branches off.
TEST(NodeHasher, HashesInPlace) {
  SeededRandom random(2);
  for (const size_t count : {1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31}) {
    std::vector<Hash> hashes;
    for (size_t i = 0; i < count; ++i) hashes.push_back(random.NextHash());
    std::vector<Hash> expected = hashes;
    const Hash empty;
    NodeHasher hasher;
    for (size_t level = 0; level < 5; ++level) {
      for (size_t i = 0; i < count; ++i) {
        hasher.AddParent(level, level % 2 == 0 ? hashes[i] : empty,
                         level % 2 == 0 ? empty : hashes[i], &hashes[i]);
        expected[i] = level % 2 == 0 ? PrefixParentHash(expected[i], empty)
                                     : PrefixParentHash(empty, expected[i]);
      }
    }
    hasher.Run();
    EXPECT_EQ(hashes, expected);
  }
}

TEST(NodeHasher, ForgetsWhatItHasHashed) {
  SeededRandom random(3);
  const PrefixLeaf leaf{random.NextVrfOutput(), random.NextHash()};
  Hash hash;
  NodeHasher hasher;
  hasher.AddLeaf(leaf.vrf_output, leaf.commitment, &hash);
  hasher.AddParent(3, hash, hash, &hash);
  hasher.Run();
  const Hash kept = hash = random.NextHash();
  hasher.Run();
  EXPECT_EQ(hash, kept);
}

// In a process of its own, since the choice holds for all of it.
TEST(NodeHasherDeathTest, HashesTheSameWithoutVectorPaths) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        base::DisableVectorPaths();
        SeededRandom random(4);
        NodeHasher hasher;
        std::exit(HashesRightly(100, random, &hasher) ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace kt::merkle
