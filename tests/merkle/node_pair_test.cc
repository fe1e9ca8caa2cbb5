// SPDX-License-Identifier: Apache-2.0
#include "merkle/node_pair.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "base/cpu.h"
#include "base/hash.h"
#include "merkle/prefix_node.h"
#include "merkle/prefix_proof.h"
#include "tests/support/fakes.h"

namespace kt::merkle {
namespace {

TEST(ParentNodeHashes, AreThoseOfEachParent) {
  testing::SeededRandom random(1);
  for (int i = 0; i < 1'000; ++i) {
    const base::Hash a = random.NextHash();
    const base::Hash b = random.NextHash();
    const base::Hash c = i % 3 == 0 ? base::Hash{} : random.NextHash();
    const auto hashes = ParentNodeHashes({a, b}, {c, a});
    EXPECT_EQ(hashes[0], PrefixParentHash(a, b));
    EXPECT_EQ(hashes[1], PrefixParentHash(c, a));
  }
}

// In a process of its own, since the choice holds for all of it.
TEST(ParentNodeHashesDeathTest, AreTheSameWithoutVectorPaths) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        base::DisableVectorPaths();
        const base::Hash a = base::Sha256(base::AsBytes("a"));
        const base::Hash b = base::Sha256(base::AsBytes("b"));
        const auto hashes = ParentNodeHashes({a, b}, {b, a});
        std::exit(hashes[0] == PrefixParentHash(a, b) && hashes[1] == PrefixParentHash(b, a) ? 0
                                                                                             : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

#if defined(KT_WITH_SHA_EXTENSIONS)

using Half = std::array<uint8_t, 32>;

class NodePair : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!base::HasShaExtensions()) GTEST_SKIP() << "this machine has no SHA extensions";
  }
  static std::array<base::Hash, 2> Hashes(uint8_t prefix, const Half& a, const Half& b,
                                          const Half& c, const Half& d) {
    std::array<base::Hash, 2> hashes;
    const NodeInput inputs[2] = {{a.data(), b.data()}, {c.data(), d.data()}};
    uint8_t* const out[2] = {hashes[0].bytes.data(), hashes[1].bytes.data()};
    HashNodePairByShaExtensions(prefix, inputs, out);
    return hashes;
  }
  static base::Hash Expected(uint8_t prefix, const Half& a, const Half& b) {
    return base::Sha256({{&prefix, 1}, a, b});
  }
  static void ExpectRight(uint8_t prefix, const Half& a, const Half& b, const Half& c,
                          const Half& d) {
    const auto hashes = Hashes(prefix, a, b, c, d);
    ASSERT_EQ(hashes[0], Expected(prefix, a, b));
    ASSERT_EQ(hashes[1], Expected(prefix, c, d));
  }
};

TEST_F(NodePair, HashesMessagesOfOneBitOrOfAllBut) {
  for (size_t bit = 0; bit < 512; ++bit) {
    Half halves[2] = {};
    halves[bit / 256][bit / 8 % 32] = static_cast<uint8_t>(0x80 >> bit % 8);
    Half others[2] = {halves[0], halves[1]};
    for (Half& half : others) {
      for (uint8_t& byte : half) byte = static_cast<uint8_t>(~byte);
    }
    ExpectRight(0x00, halves[0], halves[1], others[0], others[1]);
    ExpectRight(0xff, others[0], others[1], halves[0], halves[1]);
  }
}

TEST_F(NodePair, HashesEachPrefix) {
  const base::Hash a = base::Sha256(base::AsBytes("a"));
  const base::Hash b = base::Sha256(base::AsBytes("b"));
  for (unsigned prefix = 0; prefix < 256; ++prefix) {
    ExpectRight(static_cast<uint8_t>(prefix), a.bytes, b.bytes, b.bytes, a.bytes);
  }
}

// As many as a second of both allows; each hash is of those before it.
TEST_F(NodePair, HashesAMillionMessages) {
  testing::SeededRandom random(3);
  std::array<base::Hash, 4> halves = {random.NextHash(), random.NextHash(), random.NextHash(),
                                      random.NextHash()};
  for (size_t i = 0; i < 500'000; ++i) {
    const auto prefix = static_cast<uint8_t>(i);
    const auto hashes =
        Hashes(prefix, halves[0].bytes, halves[1].bytes, halves[2].bytes, halves[3].bytes);
    ASSERT_EQ(hashes[0], Expected(prefix, halves[0].bytes, halves[1].bytes)) << i;
    ASSERT_EQ(hashes[1], Expected(prefix, halves[2].bytes, halves[3].bytes)) << i;
    halves[i % 4] = hashes[0];
    halves[(i + 2) % 4] = hashes[1];
  }
}

#endif  // KT_WITH_SHA_EXTENSIONS

}  // namespace
}  // namespace kt::merkle
