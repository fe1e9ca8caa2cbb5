// SPDX-License-Identifier: Apache-2.0
#include "merkle/node_lanes.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "base/cpu.h"
#include "base/hash.h"
#include "tests/support/fakes.h"

namespace kt::merkle {
namespace {

using Half = std::array<uint8_t, 32>;
using Halves = std::array<Half, kNodeLanes>;

class NodeLanes : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!base::HasAvx512Ifma()) GTEST_SKIP() << "this machine has no AVX-512";
  }

  static void Hash(uint8_t prefix, const Halves& first, const Halves& second, Halves* hashes) {
    NodeInput inputs[kNodeLanes];
    uint8_t* out[kNodeLanes];
    for (size_t i = 0; i < kNodeLanes; ++i) {
      inputs[i] = {first[i].data(), second[i].data()};
      out[i] = (*hashes)[i].data();
    }
    HashNodeLanesByAvx512(prefix, inputs, out);
  }

  static void ExpectRight(uint8_t prefix, const Halves& first, const Halves& second) {
    Halves hashes;
    Hash(prefix, first, second, &hashes);
    for (size_t i = 0; i < kNodeLanes; ++i) {
      ASSERT_EQ(hashes[i], base::Sha256({{&prefix, 1}, first[i], second[i]}).bytes) << "lane " << i;
    }
  }
};

// Each lane another message, so that none can take another's place.
TEST_F(NodeLanes, HashMessagesOfOneBitOrOfAllBut) {
  for (const uint8_t background : {0x00, 0xff}) {
    for (size_t bit = 0; bit < 512; ++bit) {
      std::array<Halves, 2> halves;
      for (Halves& half : halves) {
        for (Half& lane : half) lane.fill(background);
      }
      for (size_t i = 0; i < kNodeLanes; ++i) {
        const size_t at = (bit + 31 * i) % 512;
        halves[at / 256][i][at / 8 % 32] ^= static_cast<uint8_t>(0x80 >> at % 8);
      }
      ExpectRight(background, halves[0], halves[1]);
    }
  }
}

TEST_F(NodeLanes, HashEachPrefix) {
  testing::SeededRandom random(1);
  Halves first, second;
  for (size_t i = 0; i < kNodeLanes; ++i) {
    first[i] = random.NextHash().bytes;
    second[i] = random.NextHash().bytes;
  }
  for (unsigned prefix = 0; prefix < 256; ++prefix) {
    ExpectRight(static_cast<uint8_t>(prefix), first, second);
  }
}

// Each hash is of those before it, and goes where one of them lies.
TEST_F(NodeLanes, HashAMillionMessages) {
  testing::SeededRandom random(2);
  std::array<Halves, 2> halves;
  for (Halves& half : halves) {
    for (Half& lane : half) lane = random.NextHash().bytes;
  }
  for (size_t round = 0; round < 1'000'000 / kNodeLanes; ++round) {
    const auto prefix = static_cast<uint8_t>(round);
    Halves expected;
    for (size_t i = 0; i < kNodeLanes; ++i) {
      expected[i] = base::Sha256({{&prefix, 1}, halves[0][i], halves[1][i]}).bytes;
    }
    Halves& out = halves[round % 2];
    Hash(prefix, halves[0], halves[1], &out);
    ASSERT_EQ(out, expected) << round;
  }
}

}  // namespace
}  // namespace kt::merkle
