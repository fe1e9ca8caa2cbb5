// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/bytes.h"
#include "tests/support/status_matchers.h"
#include "tests/vrf/rfc9381_vectors.h"
#include "tests/vrf/vrf_test_util.h"
#include "vrf/ed25519.h"
#include "vrf/p256.h"
#include "vrf/vrf.h"

namespace kt::vrf {
namespace {

using base::ByteView;
using base::ToHex;
using testing::IsOkAndHolds;

// The steps that both suites share.
template <typename SuiteProver>
void ExpectTranscript(const SuiteProver& prover, const Rfc9381Vector& vector) {
  const auto transcript = prover.ProveInDetail(Hex(vector.alpha));
  EXPECT_EQ(ToHex(prover.public_key()), vector.public_key);
  EXPECT_EQ(transcript.ctr, vector.ctr);
  EXPECT_EQ(ToHex(transcript.h), vector.h);
  EXPECT_EQ(ToHex(transcript.u), vector.u);
  EXPECT_EQ(ToHex(transcript.v), vector.v);
  EXPECT_EQ(ToHex(transcript.proof), vector.pi);
  EXPECT_EQ(ToHex(transcript.beta), vector.beta);
}

// The same through the public interface.
void ExpectProofAndOutput(const Variant& variant, const Rfc9381Vector& vector) {
  const auto [suite, implementation] = variant;
  SCOPED_TRACE(ImplementationName(implementation));
  const base::Bytes alpha = Hex(vector.alpha);
  ASSERT_OK_AND_ASSIGN(const auto prover,
                       CreateProver(suite, implementation, SecretFromHex(vector.secret)));
  ASSERT_OK_AND_ASSIGN(const auto verifier,
                       CreateVerifier(suite, implementation, Hex(vector.public_key)));
  base::VrfOutput expected;
  const base::Bytes beta = Hex(vector.beta);
  std::copy_n(beta.begin(), expected.bytes.size(), expected.bytes.begin());

  EXPECT_EQ(ToHex(prover->public_key()), vector.public_key);
  const ProvenOutput proven = ProveOne(*prover, alpha);
  EXPECT_EQ(ToHex(proven.proof), vector.pi);
  EXPECT_EQ(proven.output, expected);
  EXPECT_THAT(prover->Evaluate({&alpha, 1}), ::testing::ElementsAre(expected));
  EXPECT_THAT(VerifyOne(*verifier, alpha, Hex(vector.pi)), IsOkAndHolds(expected));
}

std::string Trace(const Rfc9381Vector& vector) {
  return "RFC 9381, Example " + std::to_string(vector.example);
}

TEST(P256KnownAnswer, ComputesEveryStepOfAppendixB1) {
  for (const Rfc9381Vector& vector : kP256Vectors) {
    SCOPED_TRACE(Trace(vector));
    ASSERT_OK_AND_ASSIGN(const auto prover, P256Prover::Create(SecretFromHex(vector.secret)));
    ExpectTranscript(*prover, vector);
    EXPECT_EQ(ToHex(prover->Nonce(Hex(vector.h)).Expose()), vector.k);
    EXPECT_EQ(vector.x, vector.secret);
  }
}

TEST(P256KnownAnswer, ProvesAndVerifiesAppendixB1) {
  for (const Rfc9381Vector& vector : kP256Vectors) {
    SCOPED_TRACE(Trace(vector));
    for (const Variant& variant : AvailableVariants({Suite::kP256Sha256Tai})) {
      ExpectProofAndOutput(variant, vector);
    }
  }
}

TEST(Ed25519KnownAnswer, ComputesEveryStepOfAppendixB3) {
  for (const Rfc9381Vector& vector : kEd25519Vectors) {
    SCOPED_TRACE(Trace(vector));
    ASSERT_OK_AND_ASSIGN(const auto prover, Ed25519Prover::Create(SecretFromHex(vector.secret)));
    ExpectTranscript(*prover, vector);
    EXPECT_EQ(ToHex(ExpandEd25519Seed(SecretFromHex(vector.secret)).x.Expose()), vector.x);
    const Ed25519Nonce nonce = prover->Nonce(Hex(vector.h));
    EXPECT_EQ(ToHex(nonce.k_string.Expose()), vector.k_string);
    EXPECT_EQ(ToHex(nonce.k.Expose()), vector.k);
  }
}

TEST(Ed25519KnownAnswer, ProvesAndVerifiesAppendixB3) {
  for (const Rfc9381Vector& vector : kEd25519Vectors) {
    SCOPED_TRACE(Trace(vector));
    for (const Variant& variant : AvailableVariants({Suite::kEdwards25519Sha512Tai})) {
      ExpectProofAndOutput(variant, vector);
    }
  }
}

}  // namespace
}  // namespace kt::vrf
