// SPDX-License-Identifier: Apache-2.0
//
// Curve operations of every engine that this machine can run, against OpenSSL's.
#include "vrf/p256_engine.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/fakes.h"
#include "tests/vrf/p256_engines.h"
#include "tests/vrf/p256_reference.h"
#include "vrf/p256_portable.h"

namespace kt::vrf::p256 {
namespace {

using testing::SeededRandom;
using testing::TestSeed;

class EveryEngine : public ::testing::TestWithParam<NamedEngine> {
 protected:
  EveryEngine() : seed_(TestSeed(70)), random_(seed_) {}
  ~EveryEngine() override {
    if (HasFailure()) ADD_FAILURE() << "KT_TEST_SEED=" << seed_;
  }
  const Engine& engine() const { return *GetParam().engine; }

  Number RandomScalar() { return Number::FromBytes(RandomBytes(random_, 32)) % (Q() - 1) + 1; }

  const uint64_t seed_;
  SeededRandom random_;
};

std::string EngineName(const ::testing::TestParamInfo<NamedEngine>& info) {
  return std::string(info.param.name);
}

INSTANTIATE_TEST_SUITE_P(P256, EveryEngine, ::testing::ValuesIn(Engines()), EngineName);

std::vector<SecretDigits> DigitsOf(const std::vector<Number>& scalars) {
  std::vector<SecretDigits> digits;
  digits.reserve(scalars.size());
  for (const Number& scalar : scalars) digits.emplace_back(ScalarOf(scalar));
  return digits;
}

TEST_P(EveryEngine, LiftsAbscissasOfTheCurveOnly) {
  std::vector<Field> abscissas;
  for (uint64_t small = 0; small < 100; ++small) {
    abscissas.push_back(LimbsOf(small));
    abscissas.push_back(LimbsOf(P() - 1 - small));
  }
  for (int i = 0; i < 300; ++i) {
    abscissas.push_back(LimbsOf(Number::FromBytes(RandomBytes(random_, 32)) % P()));
  }
  for (size_t batch :
       {size_t{1}, size_t{7}, size_t{8}, size_t{9}, size_t{16}, size_t{17}, abscissas.size()}) {
    int on_curve = 0;
    for (size_t from = 0; from < abscissas.size(); from += batch) {
      const std::span<const Field> some =
          std::span<const Field>(abscissas).subspan(from, std::min(batch, abscissas.size() - from));
      std::vector<Lifted> lifted(some.size());
      engine().Lift(some, lifted);
      for (size_t i = 0; i < some.size(); ++i) {
        const Number x = ValueOf(some[i]);
        ReferencePoint expected;
        const bool is_point = EC_POINT_set_compressed_coordinates(Group(), expected.get(), x.get(),
                                                                  0, Number::Context()) == 1;
        ASSERT_EQ(lifted[i].on_curve, is_point) << x;
        if (!is_point) continue;
        ++on_curve;
        EXPECT_EQ(ElementOf(lifted[i].point.x), x);
        EXPECT_EQ(ElementOf(lifted[i].point.y), expected.Coordinates().second) << x;
      }
    }
    EXPECT_GT(on_curve, 200);
    EXPECT_LT(on_curve, 300);
  }
  engine().Lift({}, {});
}

TEST_P(EveryEngine, MultipliesByScalarsAtEdges) {
  const std::vector<ReferencePoint> h = {ReferencePoint::Generator(),
                                         ReferencePoint::Random(random_)};
  const std::vector<CurvePoint> points = {h[0].ToCurvePoint(), h[1].ToCurvePoint()};
  for (const Number& x : EdgeScalars()) {
    std::vector<PlainPoint> out(h.size());
    engine().Multiply(SecretDigits(ScalarOf(x)), points, out);
    ASSERT_TRUE(Same(out[0], x * h[0])) << x;
    ASSERT_TRUE(Same(out[1], x * h[1])) << x;
  }
}

TEST_P(EveryEngine, MultipliesBatchesOfEverySize) {
  for (size_t size = 0; size <= 40; ++size) {
    const Number x = RandomScalar();
    std::vector<ReferencePoint> h;
    std::vector<CurvePoint> points;
    for (size_t i = 0; i < size; ++i) {
      h.push_back(ReferencePoint::Random(random_));
      points.push_back(h.back().ToCurvePoint());
    }
    std::vector<PlainPoint> out(size);
    engine().Multiply(SecretDigits(ScalarOf(x)), points, out);
    for (size_t i = 0; i < size; ++i) ASSERT_TRUE(Same(out[i], x * h[i])) << size << ", " << i;
  }
}

TEST_P(EveryEngine, MakesTheProductsOfProofs) {
  std::vector<Number> all = EdgeScalars();
  for (int i = 0; i < 100; ++i) all.push_back(RandomScalar());
  size_t from = 0;
  const ReferencePoint b = ReferencePoint::Generator();
  // Batches of all sizes around those of lanes, until every scalar was a nonce.
  for (size_t size = 0; from < all.size(); size = (size + 1) % 20) {
    const Number x = RandomScalar();
    std::vector<Number> k;
    std::vector<ReferencePoint> h;
    std::vector<CurvePoint> points;
    for (; k.size() < size && from < all.size(); ++from) {
      k.push_back(all[from]);
      h.push_back(ReferencePoint::Random(random_));
      points.push_back(h.back().ToCurvePoint());
    }
    std::vector<ProofPoints> out(k.size());
    engine().Prove(SecretDigits(ScalarOf(x)), DigitsOf(k), points, out);
    for (size_t i = 0; i < k.size(); ++i) {
      ASSERT_TRUE(Same(out[i].gamma, x * h[i])) << x;
      ASSERT_TRUE(Same(out[i].u, k[i] * b)) << k[i];
      ASSERT_TRUE(Same(out[i].v, k[i] * h[i])) << k[i];
    }
  }
}

// s*B - c*Y and s*H - c*Gamma of many proofs in batches.
struct CheckCase {
  Number s, c;
  ReferencePoint h, gamma;
};

void CheckAll(const Engine& engine, const ReferencePoint& y, const std::vector<CheckCase>& cases,
              size_t batch) {
  const KeyTable key(y.ToCurvePoint());
  const ReferencePoint b = ReferencePoint::Generator();
  for (size_t from = 0; from < cases.size(); from += batch) {
    const size_t size = std::min(batch, cases.size() - from);
    std::vector<ProofTerms> terms(size);
    for (size_t i = 0; i < size; ++i) {
      const CheckCase& one = cases[from + i];
      KT_CHECK(ReadScalar(one.s.ToBytes(), terms[i].s));
      ReadChallenge(one.c.ToBytes(16), terms[i].c);
      terms[i].h = one.h.ToCurvePoint();
      terms[i].gamma = one.gamma.ToCurvePoint();
    }
    std::vector<CheckPoints> out(size);
    engine.Check(key, terms, out);
    for (size_t i = 0; i < size; ++i) {
      const CheckCase& one = cases[from + i];
      ASSERT_TRUE(Same(out[i].u, one.s * b - one.c * y)) << one.s << ", " << one.c;
      ASSERT_TRUE(Same(out[i].v, one.s * one.h - one.c * one.gamma)) << one.s << ", " << one.c;
    }
  }
}

TEST_P(EveryEngine, ChecksRandomProofs) {
  std::vector<CheckCase> cases;
  for (int i = 0; i < 60; ++i) {
    cases.push_back({RandomScalar(), Number::FromBytes(RandomBytes(random_, 16)),
                     ReferencePoint::Random(random_), ReferencePoint::Random(random_)});
  }
  const ReferencePoint y = ReferencePoint::Random(random_);
  for (size_t batch = 1; batch <= 13; ++batch) CheckAll(engine(), y, cases, batch);
}

TEST_P(EveryEngine, ChecksProofsWithScalarsAtEdges) {
  std::vector<Number> s = EdgeScalars();
  s.push_back(0);
  std::vector<Number> c = {0,
                           1,
                           2,
                           3,
                           15,
                           16,
                           17,
                           31,
                           32,
                           33,
                           Number::PowerOf2(127),
                           Number::PowerOf2(128) - 1,
                           Number::PowerOf2(64) - 1};
  const ReferencePoint h = ReferencePoint::Random(random_);
  const ReferencePoint gamma = ReferencePoint::Random(random_);
  std::vector<CheckCase> cases;
  for (size_t i = 0; i < s.size(); ++i) cases.push_back({s[i], c[i % c.size()], h, gamma});
  for (const Number& one : c) {
    cases.push_back({0, one, h, gamma});
    cases.push_back({RandomScalar(), one, h, gamma});
  }
  CheckAll(engine(), ReferencePoint::Random(random_), cases, 4);
}

// Points and keys that stand in a relation, so that sums meet themselves, their negatives and
// infinity at any step.
TEST_P(EveryEngine, ChecksProofsThatWereMadeToMeetExceptions) {
  const ReferencePoint b = ReferencePoint::Generator();
  const ReferencePoint h = ReferencePoint::Random(random_);
  const Number minus_1 = Q() - 1;
  std::vector<Number> factors = {1, minus_1, 2, Q() - 2, 3, 5, Q() - 5, 15, 16, 17, 31, 32};
  for (int bit : {5, 64, 123, 124, 127, 128, 129, 250, 255}) {
    factors.push_back(Number::PowerOf2(bit));
    factors.push_back(Q() - Number::PowerOf2(bit));
  }
  std::vector<Number> challenges = {0,
                                    1,
                                    2,
                                    3,
                                    16,
                                    31,
                                    33,
                                    Number::PowerOf2(127),
                                    Number::PowerOf2(128) - 1,
                                    Number::FromBytes(RandomBytes(random_, 16))};
  for (const Number& factor : factors) {
    std::vector<CheckCase> cases;
    const ReferencePoint gamma = factor * h;
    for (const Number& c : challenges) {
      // s*H = c*Gamma, and a little more or less.
      const Number s = c * factor % Q();
      for (const Number& delta :
           {Number(0), Number(1), minus_1, Number(2), Number(16), Number(32)}) {
        cases.push_back({(s + delta) % Q(), c, h, gamma});
      }
      cases.push_back({(Q() - s) % Q(), c, h, gamma});
      cases.push_back({c, c, h, gamma});
      // H is the generator itself, or its negative.
      cases.push_back({s, c, b, factor * b});
      cases.push_back({s, c, minus_1 * b, factor * b});
    }
    CheckAll(engine(), factor * b, cases, 4);
    CheckAll(engine(), ReferencePoint::Random(random_), cases, 3);
  }
}

TEST(P256Portable, MultipliesTheGeneratorByScalarsAtEdges) {
  SeededRandom random(71);
  std::vector<Number> scalars = EdgeScalars();
  for (int i = 0; i < 1000; ++i) {
    scalars.push_back(Number::FromBytes(RandomBytes(random, 32)) % (Q() - 1) + 1);
  }
  for (const Number& k : scalars) {
    ASSERT_TRUE(Same(MultiplyGenerator(SecretDigits(ScalarOf(k))), k * ReferencePoint::Generator()))
        << k;
  }
}

TEST(P256Portable, Negates) {
  SeededRandom random(72);
  const ReferencePoint point = ReferencePoint::Random(random);
  const CurvePoint negative = Negate(point.ToCurvePoint());
  EXPECT_EQ(ElementOf(negative.x), point.Coordinates().first);
  EXPECT_EQ(ElementOf(negative.y), P() - point.Coordinates().second);
}

}  // namespace
}  // namespace kt::vrf::p256
