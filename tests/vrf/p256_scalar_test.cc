// SPDX-License-Identifier: Apache-2.0
#include "vrf/p256_scalar.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/fakes.h"
#include "tests/vrf/p256_reference.h"

namespace kt::vrf::p256 {
namespace {

using testing::SeededRandom;
using testing::TestSeed;

Number NumberOf(const SecretScalar& scalar) {
  base::Bytes bytes(kScalarSize);
  scalar.ToBytes(std::span<uint8_t, kScalarSize>(bytes));
  return Number::FromBytes(bytes);
}

TEST(P256Scalar, OrderIsTheGroups) {
  Number order;
  for (int i = 0; i < kScalarWords; ++i) {
    order = order + Number(kOrder[i]) * Number::PowerOf2(64 * i);
  }
  EXPECT_EQ(order, Q());
}

TEST(P256Scalar, KnowsItsRange) {
  EXPECT_FALSE(ScalarInRange(Number(0).ToBytes()));
  for (const Number& scalar : EdgeScalars()) EXPECT_TRUE(ScalarInRange(scalar.ToBytes())) << scalar;
  for (int bit = 0; bit < 224; ++bit) {
    EXPECT_FALSE(ScalarInRange((Q() + Number::PowerOf2(bit)).ToBytes())) << bit;
    EXPECT_TRUE(ScalarInRange((Q() - Number::PowerOf2(bit)).ToBytes())) << bit;
  }
  EXPECT_FALSE(ScalarInRange(Q().ToBytes()));
  EXPECT_FALSE(ScalarInRange((Number::PowerOf2(256) - 1).ToBytes()));
}

TEST(P256Scalar, ReadsPublicNumbers) {
  uint64_t words[kScalarWords];
  EXPECT_TRUE(ReadScalar(Number(0).ToBytes(), words));
  EXPECT_EQ(words[0] | words[1] | words[2] | words[3], 0u);
  EXPECT_TRUE(ReadScalar((Q() - 1).ToBytes(), words));
  EXPECT_EQ(words[0], kOrder[0] - 1);
  EXPECT_EQ(words[3], kOrder[3]);
  EXPECT_FALSE(ReadScalar(Q().ToBytes(), words));
  EXPECT_FALSE(ReadScalar((Number::PowerOf2(256) - 1).ToBytes(), words));
  uint64_t c[2];
  ReadChallenge((Number::PowerOf2(100) + 5).ToBytes(16), c);
  EXPECT_EQ(c[0], 5u);
  EXPECT_EQ(c[1], uint64_t{1} << 36);
}

TEST(P256Scalar, ReducesModuloTheOrder) {
  SeededRandom random(61);
  std::vector<Number> numbers = {Number(0), Q() - 1, Q(), Q() + 1, Number::PowerOf2(256) - 1};
  for (int i = 0; i < 1000; ++i) numbers.push_back(Number::FromBytes(RandomBytes(random, 32)));
  for (const Number& number : numbers) {
    EXPECT_EQ(Number::FromBytes(ReduceModOrder(number.ToBytes())), number % Q());
  }
}

TEST(P256Scalar, MultipliesAndAdds) {
  const uint64_t seed = TestSeed(62);
  SCOPED_TRACE("KT_TEST_SEED=" + std::to_string(seed));
  SeededRandom random(seed);
  std::vector<Number> scalars = {Number(0), 1, 2, Q() - 1, Q() - 2, Number::PowerOf2(255)};
  std::vector<Number> challenges = {Number(0), 1, Number::PowerOf2(128) - 1, Number::PowerOf2(64),
                                    Number::PowerOf2(127)};
  for (int i = 0; i < 12; ++i) {
    scalars.push_back(Number::FromBytes(RandomBytes(random, 32)) % Q());
    challenges.push_back(Number::FromBytes(RandomBytes(random, 16)));
  }
  for (const Number& x : scalars) {
    SecretScalar x_montgomery;
    ToMontgomeryModOrder(ScalarOf(x), x_montgomery);
    EXPECT_EQ(NumberOf(x_montgomery), x * Number::PowerOf2(256) % Q());
    for (const Number& k : scalars) {
      for (const Number& c : challenges) {
        SecretScalar s;
        MulAddModOrder(ScalarOf(k), ScalarOf(c), x_montgomery, s);
        ASSERT_EQ(NumberOf(s), (k + c * x) % Q()) << k << " + " << c << " * " << x;
      }
    }
  }
}

TEST(P256Scalar, DigitsAddUpToTheScalarOrItsNegative) {
  SeededRandom random(63);
  std::vector<Number> scalars = EdgeScalars();
  for (int i = 0; i < 1000; ++i) {
    scalars.push_back(Number::FromBytes(RandomBytes(random, 32)) % (Q() - 1) + 1);
  }
  for (const Number& scalar : scalars) {
    const SecretDigits digits(ScalarOf(scalar));
    Number sum = Number::PowerOf2(5 * kDigits);
    for (int i = 0; i < kDigits; ++i) {
      ASSERT_LT(digits.value[i], 32);
      sum = sum + (Number(2) * digits.value[i] - 31) * Number::PowerOf2(5 * i);
    }
    ASSERT_LE(digits.negate, 1);
    EXPECT_EQ(digits.negate == 1, !scalar.IsOdd());
    EXPECT_EQ(sum, digits.negate == 1 ? Q() - scalar : scalar);
  }
}

}  // namespace
}  // namespace kt::vrf::p256
