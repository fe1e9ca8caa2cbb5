// SPDX-License-Identifier: Apache-2.0
#include "vrf/p256_field.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "tests/support/fakes.h"
#include "tests/vrf/p256_reference.h"
#include "vrf/p256_formulas.h"
#include "vrf/p256_limbs.h"

namespace kt::vrf::p256 {
namespace {

using testing::SeededRandom;
using testing::TestSeed;

// 2^256, which bounds are told in.
const Number& U() {
  static const Number u = Number::PowerOf2(256);
  return u;
}

uint64_t RandomWord(SeededRandom& random) {
  uint64_t word = 0;
  for (uint8_t byte : RandomBytes(random, 8)) word = word << 8 | byte;
  return word;
}

// A carried element of less than `bound` u, every limb of which may be at an edge.
Field EdgeField(SeededRandom& random, uint64_t bound) {
  const uint64_t top = (bound << 48) - 1;
  Field a;
  for (int i = 0; i < kLimbs; ++i) {
    const uint64_t most = i == kLimbs - 1 ? top : kLimbMask;
    const std::array<uint64_t, 8> edges = {0,
                                           1,
                                           most,
                                           most - 1,
                                           kPrime.limb[i] & most,
                                           uint64_t{1} << (RandomWord(random) % 48),
                                           most & ~(uint64_t{1} << (RandomWord(random) % 48)),
                                           RandomWord(random) & most};
    a.limb[i] = edges[RandomWord(random) % edges.size()];
  }
  return a;
}

// Elements around 0, p, 2p and 2u, of limbs that are zero or full, and edges at random.
std::vector<Field> TightFields(SeededRandom& random, int count) {
  std::vector<Field> fields;
  for (uint64_t small = 0; small < 3; ++small) {
    for (const Number& near : {P(), P() + P()}) {
      fields.push_back(LimbsOf(near + small));
      fields.push_back(LimbsOf(near - small));
    }
    fields.push_back(LimbsOf(small));
    fields.push_back(LimbsOf(U() + U() - 1 - small));
  }
  for (int full = 0; full < 32; ++full) {
    Field a{};
    for (int i = 0; i < kLimbs; ++i) {
      if ((full >> i & 1) != 0) a.limb[i] = i == 4 ? (uint64_t{1} << 49) - 1 : kLimbMask;
    }
    fields.push_back(a);
  }
  for (int i = 0; i < count; ++i) fields.push_back(EdgeField(random, 2));
  return fields;
}

void ExpectTight(const Field& a) {
  for (int i = 0; i < 4; ++i) EXPECT_LE(a.limb[i], kLimbMask) << i;
  EXPECT_LT(a.limb[4], uint64_t{1} << 49);
}

class P256Field : public ::testing::Test {
 protected:
  P256Field() : seed_(TestSeed(60)), random_(seed_) {}
  ~P256Field() override {
    if (HasFailure()) ADD_FAILURE() << "KT_TEST_SEED=" << seed_;
  }

  const uint64_t seed_;
  SeededRandom random_;
};

TEST_F(P256Field, ConstantsAreTheCurves) {
  Number p;
  Number a;
  Number b;
  ASSERT_EQ(EC_GROUP_get_curve(Group(), p.get(), a.get(), b.get(), nullptr), 1);
  const auto [x, y] = ReferencePoint::Generator().Coordinates();
  const Number r = Number::PowerOf2(260);
  EXPECT_EQ(ValueOf(kPrime), p);
  EXPECT_EQ(ValueOf(kFourPrime), p * 4);
  EXPECT_EQ(ValueOf(kOne), r % p);
  EXPECT_EQ(ValueOf(kRSquared), r * r % p);
  EXPECT_EQ(ValueOf(kMinusThree), r * a % p);
  EXPECT_EQ(ValueOf(kB), r * b % p);
  EXPECT_EQ(ValueOf(kGenerator.x), r * x % p);
  EXPECT_EQ(ValueOf(kGenerator.y), r * y % p);
}

TEST_F(P256Field, MultipliesAsNumbersDo) {
  const Number r_inverse = Number::PowerOf2(260).InverseModulo(P());
  const std::vector<Field> fields = TightFields(random_, 60);
  for (const Field& a : fields) {
    for (const Field& b : fields) {
      const Field product = Mul(a, b);
      ExpectTight(product);
      ASSERT_EQ(ValueOf(product) % P(), ValueOf(a) * ValueOf(b) * r_inverse % P())
          << ValueOf(a) << " * " << ValueOf(b);
    }
    const Field square = Sqr(a);
    ExpectTight(square);
    ASSERT_EQ(ValueOf(square) % P(), ValueOf(a) * ValueOf(a) * r_inverse % P()) << ValueOf(a);
  }
}

// The greatest arguments that are allowed: the product of the bounds is 16u^2.
TEST_F(P256Field, MultipliesUpToTheBound) {
  const Number r_inverse = Number::PowerOf2(260).InverseModulo(P());
  for (const auto& [bound_a, bound_b] : {std::pair{2, 8}, {4, 4}, {1, 15}, {8, 2}}) {
    const auto check = [&](const Field& a, const Field& b) {
      const Field product = Mul(a, b);
      ExpectTight(product);
      ASSERT_EQ(ValueOf(product) % P(), ValueOf(a) * ValueOf(b) * r_inverse % P())
          << ValueOf(a) << " * " << ValueOf(b);
      if (bound_a != bound_b) return;
      ExpectTight(Sqr(a));
      ASSERT_EQ(ValueOf(Sqr(a)) % P(), ValueOf(a) * ValueOf(a) * r_inverse % P()) << ValueOf(a);
    };
    check(LimbsOf(U() * static_cast<uint64_t>(bound_a) - 1),
          LimbsOf(U() * static_cast<uint64_t>(bound_b) - 1));
    for (int i = 0; i < 2000; ++i) {
      check(EdgeField(random_, static_cast<uint64_t>(bound_a)),
            EdgeField(random_, static_cast<uint64_t>(bound_b)));
    }
  }
}

// Limbs that were added up and not carried, as between two multiplications.
TEST_F(P256Field, MultipliesUncarriedLimbs) {
  const Number r_inverse = Number::PowerOf2(260).InverseModulo(P());
  for (int i = 0; i < 2000; ++i) {
    const Field a = EdgeField(random_, 2);
    const Field b = SubTimes<1>(Add(EdgeField(random_, 2), EdgeField(random_, 2)),
                                EdgeField(random_, 2));  // below 8
    const Field product = Mul(a, Carry(b));
    ExpectTight(product);
    ASSERT_EQ(ValueOf(product) % P(), ValueOf(a) * ValueOf(b) * r_inverse % P());
  }
}

TEST_F(P256Field, AddsSubtractsAndReduces) {
  const std::vector<Field> fields = TightFields(random_, 60);
  for (const Field& a : fields) {
    EXPECT_EQ(ValueOf(Times3(a)), ValueOf(a) * 3);
    for (const Field& b : fields) {
      ASSERT_EQ(ValueOf(Add(a, b)), ValueOf(a) + ValueOf(b));
      const auto difference = [&](uint64_t k) {
        return ValueOf(a) - ValueOf(b) * k + P() * (4 * k);
      };
      ASSERT_EQ(ValueOf(SubTimes<1>(a, b)), difference(1));
      ASSERT_EQ(ValueOf(SubTimes<2>(a, b)), difference(2));
      ASSERT_EQ(ValueOf(SubTimes<4>(a, b)), difference(4));
      for (uint64_t limb : SubTimes<4>(a, b).limb) ASSERT_LT(limb, uint64_t{1} << 58);
    }
  }
}

TEST_F(P256Field, ReduceTakesAnySumOfLimbs) {
  const Number bound = U() + Number::PowerOf2(256 - 10);
  const auto check = [&](const Field& a) {
    const Field reduced = Reduce(a);
    ExpectTight(reduced);
    EXPECT_LT(ValueOf(reduced), bound) << ValueOf(a);
    EXPECT_EQ(ValueOf(reduced) % P(), ValueOf(a) % P()) << ValueOf(a);
    EXPECT_EQ(ValueOf(Canonical(a)), ValueOf(a) % P()) << ValueOf(a);
  };
  for (const Field& a : TightFields(random_, 200)) check(a);
  for (int i = 0; i < 3000; ++i) {
    Field a = EdgeField(random_, 16);
    for (uint64_t& limb : a.limb) limb = limb << (RandomWord(random_) % 7);
    check(a);
  }
  const uint64_t most = (uint64_t{1} << 58) - 1;
  for (int full = 0; full < 32; ++full) {
    Field a;
    for (int i = 0; i < kLimbs; ++i) a.limb[i] = (full >> i & 1) != 0 ? most : 0;
    check(a);
  }
}

TEST_F(P256Field, KnowsZeroInEveryForm) {
  for (uint64_t multiple = 0; multiple <= 2; ++multiple) {
    EXPECT_EQ(IsZeroMask(LimbsOf(P() * multiple)), ~uint64_t{0});
    EXPECT_EQ(IsZeroMask(LimbsOf(P() * multiple + 1)), 0u);
  }
  EXPECT_EQ(IsZeroMask(kFourPrime), ~uint64_t{0});
  EXPECT_EQ(IsZeroMask(LimbsOf(P() - 1)), 0u);
  EXPECT_EQ(IsZeroMask(kOne), 0u);
}

TEST_F(P256Field, EntersAndLeavesMontgomeryForm) {
  for (const Field& a : TightFields(random_, 200)) {
    const Field integer = Canonical(a);
    const Field inside = ToMontgomery(integer);
    ExpectTight(inside);
    EXPECT_EQ(ValueOf(inside) % P(), ValueOf(InMontgomery(ValueOf(integer))));
    EXPECT_EQ(ValueOf(FromMontgomery(inside)), ValueOf(integer));
  }
}

TEST_F(P256Field, Inverts) {
  for (const Field& a : TightFields(random_, 100)) {
    if (IsZeroMask(a) != 0) {
      EXPECT_NE(IsZeroMask(InvertField(a)), 0u);
      continue;
    }
    EXPECT_EQ(ElementOf(InvertField(a)), ElementOf(a).InverseModulo(P()));
  }
}

TEST_F(P256Field, InvertsManyAtOnce) {
  std::vector<Field> fields;
  for (const Field& a : TightFields(random_, 30)) {
    if (IsZeroMask(a) == 0) fields.push_back(a);
  }
  std::vector<Field> inverses = fields;
  std::vector<Field> scratch(fields.size());
  InvertAll(inverses, scratch);
  for (size_t i = 0; i < fields.size(); ++i) {
    EXPECT_EQ(ElementOf(inverses[i]), ElementOf(fields[i]).InverseModulo(P())) << i;
  }
  InvertAll({}, {});
}

TEST_F(P256Field, TakesRootsOfSquares) {
  int squares = 0;
  for (const Field& a : TightFields(random_, 100)) {
    const Number root = ElementOf(FieldRootCandidate(a));
    const Number element = ElementOf(a);
    // p is 3 modulo 4, so that either the element or its negative is a square.
    const bool is_square = BN_kronecker(element.get(), P().get(), Number::Context()) >= 0;
    squares += is_square ? 1 : 0;
    EXPECT_EQ(root * root % P(), is_square ? element : (P() - element) % P());
  }
  EXPECT_GT(squares, 30);
}

TEST_F(P256Field, ReadsOnlyWhatIsBelowThePrime) {
  Field out;
  for (uint64_t small = 0; small < 300; ++small) {
    const Number below = P() - 1 - small;
    ASSERT_TRUE(FieldFromBytes(below.ToBytes(), out));
    EXPECT_EQ(ValueOf(out), below);
    ASSERT_TRUE(FieldFromBytes(Number(small).ToBytes(), out));
    EXPECT_EQ(ValueOf(out), Number(small));
    EXPECT_FALSE(FieldFromBytes((P() + small).ToBytes(), out)) << small;
    EXPECT_FALSE(FieldFromBytes((U() - 1 - small).ToBytes(), out)) << small;
  }
  for (int bit = 0; bit < 224; ++bit) {
    EXPECT_FALSE(FieldFromBytes((P() + Number::PowerOf2(bit)).ToBytes(), out)) << bit;
    EXPECT_TRUE(FieldFromBytes((P() - Number::PowerOf2(bit)).ToBytes(), out)) << bit;
  }
}

TEST_F(P256Field, WritesWhatItReads) {
  for (int i = 0; i < 1000; ++i) {
    const base::Bytes bytes = (Number::FromBytes(RandomBytes(random_, 32)) % P()).ToBytes();
    Field field;
    ASSERT_TRUE(FieldFromBytes(bytes, field));
    EXPECT_EQ(ValueOf(field), Number::FromBytes(bytes));
    base::Bytes written(32);
    FieldToBytes(field, std::span<uint8_t, 32>(written));
    EXPECT_EQ(written, bytes);
  }
  base::Bytes written(32);
  FieldToBytes(Canonical(LimbsOf(P() - 1)), std::span<uint8_t, 32>(written));
  EXPECT_EQ(written, (P() - 1).ToBytes());
}

TEST_F(P256Field, MasksTellEqualFromUnequal) {
  const std::vector<uint64_t> words = {0, 1, 2, 15, 16, uint64_t{1} << 63, ~uint64_t{0}};
  for (uint64_t a : words) {
    for (uint64_t b : words) EXPECT_EQ(EqualMask(a, b), a == b ? ~uint64_t{0} : 0);
  }
}

}  // namespace
}  // namespace kt::vrf::p256
