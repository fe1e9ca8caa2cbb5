// SPDX-License-Identifier: Apache-2.0
//
// The field of every implementation against OpenSSL's numbers, above all where limbs are as great
// as they may be. KT_TEST_ROUNDS=1000 repeats it as many times.
#include "vrf/ed25519_field.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/cpu.h"
#include "tests/support/fakes.h"
#include "tests/vrf/ed25519_field_ops.h"
#include "tests/vrf/ed25519_model.h"
#include "tests/vrf/vrf_test_util.h"

namespace kt::vrf {
namespace {

using model::Number;
using testing::SeededRandom;
using testing::TestSeed;

constexpr uint64_t k51 = uint64_t{1} << 51;

struct NamedOps {
  std::string name;
  const FieldOps* ops;
};

std::vector<NamedOps> AllOps() {
  std::vector<NamedOps> all = {{"Portable", &PortableFieldOps()}};
  if (IfmaFieldOps() != nullptr && base::HasAvx512Ifma()) all.push_back({"Ifma", IfmaFieldOps()});
  return all;
}

class Ed25519FieldTest : public ::testing::TestWithParam<NamedOps> {
 protected:
  const FieldOps& ops() const { return *GetParam().ops; }

  // Limbs up to `limit`: random ones, and those around which something changes.
  uint64_t NextLimb(uint64_t limit) {
    const uint64_t edges[] = {0,        1,        18,      19,  20,        k51 - 20,
                              k51 - 19, k51 - 18, k51 - 1, k51, limit - 1, limit};
    const uint64_t choice = random_.Below(20);
    if (choice < std::size(edges)) return std::min(edges[choice], limit);
    uint64_t limb = 0;
    for (int i = 0; i < 8; ++i) limb = limb << 8 | random_.Below(256);
    return choice < 16 ? limb % k51 : limb % (limit + 1);
  }
  void Fill(uint64_t limit, FieldLimbs& out) {
    for (auto& lane : out) {
      for (uint64_t& limb : lane) limb = NextLimb(limit);
    }
  }

  // Compares with the model, lane by lane; results are within `limit`.
  template <typename Expected>
  static void Expect(const FieldLimbs& out, uint64_t limit, Expected expected) {
    for (int lane = 0; lane < 8; ++lane) {
      ASSERT_EQ(Number::FromLimbs(out[lane]).ToBytes(), expected(lane).ToBytes()) << lane;
      for (uint64_t limb : out[lane]) ASSERT_LE(limb, limit);
    }
  }

  const uint64_t seed_ = TestSeed(60);
  SeededRandom random_{seed_};
  const ::testing::ScopedTrace trace_{__FILE__, __LINE__, "KT_TEST_SEED=" + std::to_string(seed_)};
};

INSTANTIATE_TEST_SUITE_P(Vrf, Ed25519FieldTest, ::testing::ValuesIn(AllOps()),
                         [](const auto& ops) { return ops.param.name; });

TEST_P(Ed25519FieldTest, MultipliesAndSquares) {
  for (size_t round = 0; round < 4000 * TestRounds(); ++round) {
    FieldLimbs a;
    FieldLimbs b;
    FieldLimbs out;
    Fill(ops().factor_limit, a);
    Fill(ops().factor_limit, b);
    ops().multiply(a, b, out);
    ASSERT_NO_FATAL_FAILURE(Expect(out, ops().result_limit, [&](int lane) {
      return Number::FromLimbs(a[lane]) * Number::FromLimbs(b[lane]);
    }));
    ops().square(a, out);
    ASSERT_NO_FATAL_FAILURE(Expect(out, ops().result_limit, [&](int lane) {
      return Number::FromLimbs(a[lane]) * Number::FromLimbs(a[lane]);
    }));
  }
}

// Every combination of limbs that are least and greatest, for both operands.
TEST_P(Ed25519FieldTest, MultipliesTheExtremes) {
  for (unsigned pattern = 0; pattern < 1024; ++pattern) {
    FieldLimbs a;
    FieldLimbs b;
    FieldLimbs out;
    for (int lane = 0; lane < 8; ++lane) {
      for (unsigned limb = 0; limb < 5; ++limb) {
        a[lane][limb] = (pattern >> limb) % 2 == 1 ? ops().factor_limit : 0;
        b[lane][limb] = (pattern >> (5 + limb)) % 2 == 1 ? ops().factor_limit : k51 - 19;
      }
    }
    ops().multiply(a, b, out);
    ASSERT_NO_FATAL_FAILURE(Expect(out, ops().result_limit, [&](int lane) {
      return Number::FromLimbs(a[lane]) * Number::FromLimbs(b[lane]);
    }));
  }
}

TEST_P(Ed25519FieldTest, AddsAndSubtracts) {
  for (size_t round = 0; round < 4000 * TestRounds(); ++round) {
    FieldLimbs a;
    FieldLimbs b;
    FieldLimbs out;
    Fill(ops().operand_limit, a);
    Fill(ops().operand_limit, b);
    ops().add(a, b, out);
    ASSERT_NO_FATAL_FAILURE(Expect(out, ops().factor_limit, [&](int lane) {
      return Number::FromLimbs(a[lane]) + Number::FromLimbs(b[lane]);
    }));
    ops().subtract(a, b, out);
    ASSERT_NO_FATAL_FAILURE(Expect(out, ops().factor_limit, [&](int lane) {
      return Number::FromLimbs(a[lane]) - Number::FromLimbs(b[lane]);
    }));
  }
}

TEST_P(Ed25519FieldTest, Carries) {
  if (ops().carry == nullptr) GTEST_SKIP() << "not a step of its own";
  for (size_t round = 0; round < 4000 * TestRounds(); ++round) {
    FieldLimbs a;
    FieldLimbs out;
    Fill(ops().carry_limit, a);
    ops().carry(a, out);
    ASSERT_NO_FATAL_FAILURE(
        Expect(out, ops().result_limit, [&](int lane) { return Number::FromLimbs(a[lane]); }));
  }
}

TEST_P(Ed25519FieldTest, ReducesToTheLeastValue) {
  for (size_t round = 0; round < 4000 * TestRounds(); ++round) {
    FieldLimbs a;
    FieldLimbs out;
    Fill(ops().operand_limit, a);
    // Values about p and about 0.
    a[0][0] = k51 - 25 + random_.Below(30);
    for (int limb = 1; limb < 5; ++limb) a[0][limb] = k51 - 1;
    for (int limb = 0; limb < 5; ++limb) a[1][limb] = limb == 0 ? random_.Below(30) : 0;
    ops().reduce(a, out);
    ASSERT_NO_FATAL_FAILURE(
        Expect(out, k51 - 1, [&](int lane) { return Number::FromLimbs(a[lane]); }));
    for (int lane = 0; lane < 8; ++lane) {
      // Below p: not all limbs are those of p or more.
      ASSERT_FALSE(out[lane][0] >= k51 - 19 && out[lane][1] == k51 - 1 && out[lane][2] == k51 - 1 &&
                   out[lane][3] == k51 - 1 && out[lane][4] == k51 - 1);
    }
  }
}

TEST_P(Ed25519FieldTest, InvertsAndTakesPowers) {
  for (size_t round = 0; round < 40 * TestRounds(); ++round) {
    FieldLimbs a;
    FieldLimbs out;
    Fill(ops().operand_limit, a);
    std::fill(std::begin(a[7]), std::end(a[7]), 0);
    ops().invert(a, out);
    ASSERT_NO_FATAL_FAILURE(Expect(out, ops().result_limit, [&](int lane) {
      return Number::Inverse(Number::FromLimbs(a[lane]));
    }));
    ops().power_for_root(a, out);
    ASSERT_NO_FATAL_FAILURE(Expect(out, ops().result_limit, [&](int lane) {
      return Number::PowerForRoot(Number::FromLimbs(a[lane]));
    }));
  }
}

TEST(Ed25519FieldConstants, AreTheOnesOfTheRfc) {
  using namespace ed25519;  // NOLINT(google-build-using-namespace)
  const Number d = Number(0) - Number(121665) * Number::Inverse(Number(121666));
  EXPECT_EQ(Number::FromLimbs(kD.limbs), d);
  EXPECT_EQ(Number::FromLimbs(kTwoD.limbs), d + d);
  const Number root = Number::FromLimbs(kRootOfMinusOne.limbs);
  EXPECT_EQ(root * root, Number(0) - Number(1));
}

TEST(Ed25519FieldBytes, AreReadModuloPAndWithoutTheTopBit) {
  SeededRandom random(61);
  for (int round = 0; round < 1000; ++round) {
    ed25519::FieldBytes bytes;
    random.Fill(bytes);
    if (round % 4 == 0) bytes.fill(0xff);
    if (round % 8 == 0) bytes[0] = static_cast<uint8_t>(0xed - 10 + round % 20);
    const ed25519::FieldElement read = ed25519::FromBytes(bytes);
    bytes[31] &= 0x7f;
    EXPECT_EQ(ed25519::ToBytes(read), Number::FromBytes(bytes).ToBytes());
  }
}

}  // namespace
}  // namespace kt::vrf
