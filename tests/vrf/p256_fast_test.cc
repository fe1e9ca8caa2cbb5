// SPDX-License-Identifier: Apache-2.0
//
// ECVRF over our own arithmetic: the steps of RFC 9381's examples, and the library path's bytes.
#include "vrf/p256_fast.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"
#include "tests/vrf/p256_engines.h"
#include "tests/vrf/p256_reference.h"
#include "tests/vrf/rfc9381_vectors.h"
#include "tests/vrf/vrf_test_util.h"
#include "vrf/p256.h"

namespace kt::vrf {
namespace {

using base::Bytes;
using base::ByteView;
using base::SecretBytes;
using base::ToHex;
using p256::NamedEngine;
using p256::Number;
using testing::IsOkAndHolds;
using testing::SeededRandom;
using testing::TestSeed;

class P256Fast : public ::testing::TestWithParam<NamedEngine> {
 protected:
  const p256::Engine& engine() const { return *GetParam().engine; }
};

std::string EngineName(const ::testing::TestParamInfo<NamedEngine>& info) {
  return std::string(info.param.name);
}

INSTANTIATE_TEST_SUITE_P(P256, P256Fast, ::testing::ValuesIn(p256::Engines()), EngineName);

TEST_P(P256Fast, ComputesEveryStepOfAppendixB1) {
  for (const Rfc9381Vector& vector : kP256Vectors) {
    SCOPED_TRACE("RFC 9381, Example " + std::to_string(vector.example));
    ASSERT_OK_AND_ASSIGN(const auto prover,
                         P256FastProver::Create(engine(), SecretFromHex(vector.secret)));
    const P256Transcript transcript = prover->ProveInDetail(Hex(vector.alpha));
    EXPECT_EQ(ToHex(prover->public_key()), vector.public_key);
    EXPECT_EQ(transcript.ctr, vector.ctr);
    EXPECT_EQ(ToHex(transcript.h), vector.h);
    EXPECT_EQ(ToHex(prover->Nonce(Hex(vector.h)).Expose()), vector.k);
    EXPECT_EQ(ToHex(transcript.u), vector.u);
    EXPECT_EQ(ToHex(transcript.v), vector.v);
    EXPECT_EQ(ToHex(transcript.proof), vector.pi);
    EXPECT_EQ(ToHex(transcript.beta), vector.beta);
  }
}

// All examples that share a key in one batch, each several times.
TEST_P(P256Fast, ComputesTheExamplesInBatches) {
  for (const Rfc9381Vector& vector : kP256Vectors) {
    ASSERT_OK_AND_ASSIGN(const auto prover,
                         P256FastProver::Create(engine(), SecretFromHex(vector.secret)));
    const std::vector<Bytes> alphas(19, Hex(vector.alpha));
    const std::vector<P256Transcript> transcripts = prover->ProveInDetail(alphas);
    ASSERT_EQ(transcripts.size(), alphas.size());
    for (const P256Transcript& transcript : transcripts) {
      EXPECT_EQ(transcript.ctr, vector.ctr);
      EXPECT_EQ(ToHex(transcript.proof), vector.pi);
    }
  }
}

// How many inputs the comparison with the library takes. KT_P256_INPUTS=1000000 for a long run.
int InputCount() {
  const char* const text = std::getenv("KT_P256_INPUTS");
  return text == nullptr ? 600 : std::atoi(text);
}

TEST_P(P256Fast, GivesTheBytesOfTheLibrary) {
  const uint64_t seed = TestSeed(80);
  SCOPED_TRACE("KT_TEST_SEED=" + std::to_string(seed));
  SeededRandom random(seed);
  size_t size = 1;
  for (int left = InputCount(); left > 0; left -= static_cast<int>(size)) {
    const SecretBytes secret = GenerateP256Secret(random);
    ASSERT_OK_AND_ASSIGN(const auto library, P256Prover::Create(secret));
    ASSERT_OK_AND_ASSIGN(const auto prover, P256FastProver::Create(engine(), secret));
    ASSERT_EQ(prover->public_key(), library->public_key());
    size = size % 70 + 1;
    std::vector<Bytes> alphas;
    for (size_t i = 0; i < size; ++i) alphas.push_back(RandomBytes(random, i % 40));
    const std::vector<ProvenOutput> expected = library->Prove(alphas);
    const std::vector<ProvenOutput> proven = prover->Prove(alphas);
    const std::vector<base::VrfOutput> outputs = prover->Evaluate(alphas);
    std::vector<Claim> claims;
    for (size_t i = 0; i < size; ++i) {
      ASSERT_EQ(ToHex(proven[i].proof), ToHex(expected[i].proof)) << ToHex(secret.Expose());
      ASSERT_EQ(proven[i].output, expected[i].output);
      ASSERT_EQ(outputs[i], expected[i].output);
      claims.push_back({alphas[i], proven[i].proof});
    }
    ASSERT_OK_AND_ASSIGN(const auto verifier,
                         P256FastVerifier::Create(engine(), prover->public_key()));
    EXPECT_THAT(verifier->Verify(claims), IsOkAndHolds(outputs));
  }
}

// Keys at the edges: the recoding of x, and products that are near to infinity.
TEST_P(P256Fast, GivesTheBytesOfTheLibraryForKeysAtEdges) {
  const std::vector<Bytes> alphas = {{1}, {2}, {3}};
  for (const Number& x : p256::EdgeScalars()) {
    const SecretBytes secret{ByteView(x.ToBytes())};
    ASSERT_OK_AND_ASSIGN(const auto library, P256Prover::Create(secret));
    ASSERT_OK_AND_ASSIGN(const auto prover, P256FastProver::Create(engine(), secret));
    ASSERT_EQ(prover->public_key(), library->public_key()) << x;
    const ProvenOutput expected = library->Prove({&alphas[0], 1}).front();
    EXPECT_EQ(prover->Prove({&alphas[0], 1}).front().proof, expected.proof) << x;
    EXPECT_EQ(prover->Prove(alphas).front().proof, expected.proof) << x;
    EXPECT_EQ(prover->Evaluate(alphas).front(), expected.output) << x;
  }
}

// Proofs by whoever holds the key x, with a nonce and a Gamma of their choice: what one path
// accepts or refuses, the other does too. If Gamma = g*H, the equations hold for s = k + c*x only
// if g = x, but U and V come out as chosen: equal points, opposite ones and infinity.
class P256Forger {
 public:
  explicit P256Forger(const Number& x) : x_(x) {
    auto prover = P256Prover::Create(SecretBytes(ByteView(x.ToBytes())));
    KT_CHECK(prover.ok());
    prover_ = *std::move(prover);
    transcript_ = prover_->ProveInDetail(alpha_);
  }

  // `s_offset` is added to s, which makes the proof wrong unless it is zero.
  Bytes Forge(const Number& g, const Number& k, uint64_t s_offset) const {
    const Bytes gamma = Encode(g * H());
    const Bytes u = Encode(k * p256::ReferencePoint::Generator());
    const Bytes v = Encode(k * H());
    const Challenge c = P256Challenge(prover_->public_key(), transcript_.h, gamma, u, v);
    const Number s = (k + Number::FromBytes(c) * x_ + s_offset) % p256::Q();
    Bytes proof = gamma;
    base::Append(proof, c);
    base::Append(proof, s.ToBytes());
    return proof;
  }

  const Bytes& alpha() const { return alpha_; }
  const Bytes& public_key() const { return prover_->public_key(); }

 private:
  p256::ReferencePoint H() const {
    p256::ReferencePoint h;
    KT_CHECK(EC_POINT_oct2point(p256::Group(), h.get(), transcript_.h.data(), transcript_.h.size(),
                                nullptr) == 1);
    return h;
  }
  static Bytes Encode(const p256::ReferencePoint& point) {
    Bytes bytes(33);
    bytes.resize(EC_POINT_point2oct(p256::Group(), point.get(), POINT_CONVERSION_COMPRESSED,
                                    bytes.data(), bytes.size(), nullptr));
    return bytes;
  }

  const Number x_;
  const Bytes alpha_ = base::ToBytes("alice@example.com");
  std::unique_ptr<P256Prover> prover_;
  P256Transcript transcript_;
};

TEST_P(P256Fast, AcceptsAndRefusesWhatTheLibraryDoes) {
  int accepted = 0;
  int refused = 0;
  const Number minus_1 = p256::Q() - 1;
  for (const Number& x : {Number(1), Number(2), minus_1, Number::PowerOf2(128), Number(12345)}) {
    const P256Forger forger(x);
    ASSERT_OK_AND_ASSIGN(const auto library, P256Verifier::Create(forger.public_key()));
    ASSERT_OK_AND_ASSIGN(const auto verifier,
                         P256FastVerifier::Create(engine(), forger.public_key()));
    for (const Number& g : {x, p256::Q() - x, Number(1), minus_1, Number(2)}) {
      for (const Number& k : {Number(0), Number(1), minus_1, Number(2), x, Number(32)}) {
        for (uint64_t offset : {0, 1, 32}) {
          const Bytes proof = forger.Forge(g, k, offset);
          const auto expected = VerifyOne(*library, forger.alpha(), proof);
          EXPECT_EQ(expected.ok(), g == x && offset == 0) << x << ", " << g << ", " << k;
          EXPECT_EQ(VerifyOne(*verifier, forger.alpha(), proof).status(), expected.status());
          // Beside others, which may take another way than a lone one.
          const std::vector<Claim> claims(3, {forger.alpha(), proof});
          EXPECT_EQ(verifier->Verify(claims).status(), expected.status());
          ++(expected.ok() ? accepted : refused);
        }
      }
    }
  }
  EXPECT_GE(accepted, 30);
  EXPECT_GE(refused, 300);
}

}  // namespace
}  // namespace kt::vrf
