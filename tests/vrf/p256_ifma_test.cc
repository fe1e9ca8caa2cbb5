// SPDX-License-Identifier: Apache-2.0
//
// The field in lanes against OpenSSL's numbers, and what the lanes say where they have no result.
#include "vrf/p256_ifma.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "tests/support/fakes.h"
#include "tests/vrf/p256_reference.h"
#include "vrf/p256_field.h"

namespace kt::vrf::p256 {
namespace {

using ifma::kLanes;
using ifma::LaneJacobian;
using ifma::LanePoint;
using ifma::Lanes;
using ifma::LaneSignedDigits;
using testing::SeededRandom;
using testing::TestSeed;

class P256Ifma : public ::testing::Test {
 protected:
  P256Ifma() : seed_(TestSeed(90)), random_(seed_) {}
  ~P256Ifma() override {
    if (HasFailure()) ADD_FAILURE() << "KT_TEST_SEED=" << seed_;
  }
  void SetUp() override {
    if (!base::HasAvx512Ifma()) GTEST_SKIP() << "this machine has no AVX-512 IFMA";
  }

  uint64_t Word() {
    uint64_t word = 0;
    for (uint8_t byte : RandomBytes(random_, 8)) word = word << 8 | byte;
    return word;
  }
  // Carried limbs, below `bound` u, each at an edge or anywhere.
  Field Edge(uint64_t bound) {
    Field a;
    for (int i = 0; i < kLimbs; ++i) {
      const uint64_t most = i == kLimbs - 1 ? (bound << 48) - 1 : kLimbMask;
      const std::array<uint64_t, 9> edges = {0,
                                             1,
                                             most,
                                             most - 1,
                                             most / 2,
                                             most / 2 + 1,
                                             kPrime.limb[i] & most,
                                             most & ~(uint64_t{1} << (Word() % 48)),
                                             Word() & most};
      a.limb[i] = edges[Word() % edges.size()];
    }
    return a;
  }
  Lanes Edges(uint64_t bound) {
    std::array<Field, kLanes> fields;
    for (Field& field : fields) field = Edge(bound);
    return Pack(fields);
  }

  static Lanes Pack(const std::array<Field, kLanes>& fields) {
    Lanes lanes;
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int i = 0; i < kLimbs; ++i) {
        lanes.limb[i][lane] = fields[static_cast<size_t>(lane)].limb[i];
      }
    }
    return lanes;
  }
  static Field At(const Lanes& lanes, int lane) {
    Field field;
    for (int i = 0; i < kLimbs; ++i) field.limb[i] = lanes.limb[i][lane];
    return field;
  }
  static void ExpectTight(const Field& a) {
    for (int i = 0; i < 4; ++i) EXPECT_LE(a.limb[i], kLimbMask);
    EXPECT_LT(a.limb[4], uint64_t{1} << 49);
  }

  const uint64_t seed_;
  SeededRandom random_;
};

TEST_F(P256Ifma, MultipliesAsNumbersDo) {
  const Number r_inverse = Number::PowerOf2(260).InverseModulo(P());
  for (const auto& [bound_a, bound_b] :
       {std::pair<uint64_t, uint64_t>{2, 2}, {2, 8}, {8, 2}, {4, 4}, {1, 15}, {15, 1}}) {
    for (int round = 0; round < 300; ++round) {
      const Lanes a = round == 0 ? Pack(std::array<Field, kLanes>{}) : Edges(bound_a);
      const Lanes b = Edges(bound_b);
      Lanes product;
      Lanes square;
      ifma::MulForTest(a, b, product);
      if (bound_a <= 4) ifma::SqrForTest(a, square);
      for (int lane = 0; lane < kLanes; ++lane) {
        const Number value = ValueOf(At(a, lane));
        ExpectTight(At(product, lane));
        ASSERT_EQ(ValueOf(At(product, lane)) % P(), value * ValueOf(At(b, lane)) * r_inverse % P())
            << value << " * " << ValueOf(At(b, lane));
        if (bound_a > 4) continue;
        ExpectTight(At(square, lane));
        ASSERT_EQ(ValueOf(At(square, lane)) % P(), value * value * r_inverse % P()) << value;
      }
    }
  }
}

// Every limb at its greatest: the case in which sums in the lanes are greatest.
TEST_F(P256Ifma, MultipliesTheGreatestLimbs) {
  const Number r_inverse = Number::PowerOf2(260).InverseModulo(P());
  for (int full = 0; full < 32; ++full) {
    std::array<Field, kLanes> fields;
    for (Field& field : fields) {
      for (int i = 0; i < kLimbs; ++i) {
        const uint64_t most = i == 4 ? (uint64_t{1} << 50) - 1 : kLimbMask;
        field.limb[i] = (full >> i & 1) != 0 ? most : 0;
      }
    }
    Lanes out;
    const Number value = ValueOf(fields[0]);
    ifma::MulForTest(Pack(fields), Pack(fields), out);
    EXPECT_EQ(ValueOf(At(out, 3)) % P(), value * value * r_inverse % P()) << full;
    ifma::SqrForTest(Pack(fields), out);
    EXPECT_EQ(ValueOf(At(out, 7)) % P(), value * value * r_inverse % P()) << full;
  }
}

TEST_F(P256Ifma, CarriesReducesAndSubtractsAsThePortableField) {
  for (int round = 0; round < 3000; ++round) {
    Lanes a = Edges(15);
    const Lanes tight = Edges(2);
    Lanes out;
    ifma::SubTimes4ForTest(a, tight, out);
    for (int lane = 0; lane < kLanes; ++lane) {
      ASSERT_EQ(ValueOf(At(out, lane)), ValueOf(SubTimes<4>(At(a, lane), At(tight, lane))));
    }
    // Uncarried limbs.
    for (auto& limb : a.limb) {
      for (uint64_t& word : limb) word <<= Word() % 7;
    }
    ifma::ReduceForTest(a, out);
    for (int lane = 0; lane < kLanes; ++lane) {
      ExpectTight(At(out, lane));
      ASSERT_EQ(ValueOf(At(out, lane)), ValueOf(Reduce(At(a, lane))));
    }
    ifma::CanonicalForTest(a, out);
    for (int lane = 0; lane < kLanes; ++lane) {
      ASSERT_EQ(ValueOf(At(out, lane)), ValueOf(At(a, lane)) % P());
    }
    for (uint64_t& word : a.limb[4]) word &= kLimbMask >> 1;
    ifma::CarryForTest(a, out);
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int i = 0; i < 4; ++i) ASSERT_LE(At(out, lane).limb[i], kLimbMask);
      ASSERT_EQ(ValueOf(At(out, lane)), ValueOf(At(a, lane)));
    }
  }
}

// One lane for each case. Those without a result must say so, and not disturb the others.
TEST_F(P256Ifma, TellsWhichLanesHaveNoResult) {
  struct Case {
    int s, c;      // lowest digits, all others zero
    int q;         // Q = q * P
    bool covered;  // by the formulas
  };
  const std::array<Case, kLanes> cases = {{
      {1, 1, 2, true},     // 3P
      {1, 1, 1, false},    // P + P
      {1, 1, -1, false},   // infinity
      {0, 0, 2, false},    // infinity, as nothing is ever added
      {0, 5, 2, true},     // 10P
      {16, -15, 1, true},  // P
      {6, -3, 2, false},   // infinity
      {-3, 1, -3, false},  // -3P - 3P
  }};
  const ReferencePoint point = ReferencePoint::Random(random_);
  LaneSignedDigits digits = {};
  std::array<Field, kLanes> px, py, qx, qy;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    const Case& one = cases[lane];
    digits.s[0][lane] = static_cast<int8_t>(one.s);
    digits.c[0][lane] = static_cast<int8_t>(one.c);
    const CurvePoint p = point.ToCurvePoint();
    const Number factor = (Q() + static_cast<uint64_t>(one.q + 16) - 16) % Q();
    const CurvePoint q = (factor * point).ToCurvePoint();
    px[lane] = p.x;
    py[lane] = p.y;
    qx[lane] = q.x;
    qy[lane] = q.y;
  }
  const std::array<LaneSignedDigits, 2> both_digits = {digits, digits};
  const std::array<LanePoint, 2> p = {{{Pack(px), Pack(py)}, {Pack(px), Pack(py)}}};
  const std::array<LanePoint, 2> q = {{{Pack(qx), Pack(qy)}, {Pack(qx), Pack(qy)}}};
  for (int vectors : {1, 2}) {
    std::array<LaneJacobian, 2> products;
    std::array<Lanes, 2> scratch;
    std::array<LanePoint, 2> plain;
    std::array<uint8_t, 2> z_is_zero;
    ifma::MultiplyTwo(vectors, both_digits.data(), p.data(), q.data(), products.data());
    ifma::ToPlain(vectors, products.data(), scratch.data(), plain.data(), z_is_zero.data());
    for (int vector = 0; vector < vectors; ++vector) {
      const size_t v = static_cast<size_t>(vector);
      for (int lane = 0; lane < kLanes; ++lane) {
        const Case& one = cases[static_cast<size_t>(lane)];
        EXPECT_EQ((z_is_zero[v] >> lane & 1) == 0, one.covered) << lane;
        if (!one.covered) continue;
        const Number total = Number(static_cast<uint64_t>(one.s + one.c * one.q));
        EXPECT_TRUE(Same({false, At(plain[v].x, lane), At(plain[v].y, lane)}, total * point))
            << lane;
      }
    }
  }
}

}  // namespace
}  // namespace kt::vrf::p256
