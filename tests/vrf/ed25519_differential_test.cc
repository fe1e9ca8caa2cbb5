// SPDX-License-Identifier: Apache-2.0
//
// All implementations of the suite give the same bytes, and accept and refuse the same claims for
// the same reason. KT_TEST_ROUNDS=1000 repeats it as many times, with other inputs.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"
#include "tests/vrf/vrf_test_util.h"
#include "vrf/ed25519_suite.h"

namespace kt::vrf {
namespace {

using base::Bytes;
using base::ByteView;
using base::SecretBytes;
using testing::SeededRandom;
using testing::TestSeed;

constexpr Suite kSuite = Suite::kEdwards25519Sha512Tai;

struct Implementations {
  explicit Implementations(const SecretBytes& secret) {
    for (const Variant& variant : AvailableVariants({kSuite})) {
      names.emplace_back(ImplementationName(variant.implementation));
      provers.push_back(CreateProver(kSuite, variant.implementation, secret).value());
      verifiers.push_back(
          CreateVerifier(kSuite, variant.implementation, provers.front()->public_key()).value());
    }
  }
  std::vector<std::string> names;
  std::vector<std::unique_ptr<Prover>> provers;
  std::vector<std::unique_ptr<Verifier>> verifiers;
};

std::vector<Bytes> NextAlphas(SeededRandom& random, size_t count) {
  std::vector<Bytes> alphas;
  for (size_t i = 0; i < count; ++i) alphas.push_back(RandomBytes(random, random.Below(70)));
  return alphas;
}

class Ed25519Differential : public ::testing::Test {
 protected:
  // The library, whose verification is slow, takes part in every eighth round.
  static bool Takes(size_t implementation, size_t round) {
    return implementation != 0 || round % 8 == 0;
  }
  const uint64_t seed_ = TestSeed(80);
  SeededRandom random_{seed_};
  const ::testing::ScopedTrace trace_{__FILE__, __LINE__, "KT_TEST_SEED=" + std::to_string(seed_)};
};

TEST_F(Ed25519Differential, OutputsAndProofsAreTheSame) {
  for (size_t round = 0; round < 24 * TestRounds(); ++round) {
    const Implementations all(GenerateSecret(kSuite, random_));
    const std::vector<Bytes> alphas =
        NextAlphas(random_, 1 + random_.Below(round % 4 == 0 ? 70 : 9));
    const std::vector<ProvenOutput> expected = all.provers[1]->Prove(alphas);
    for (size_t i = 0; i < all.names.size(); ++i) {
      SCOPED_TRACE(all.names[i]);
      ASSERT_EQ(all.provers[i]->public_key(), all.provers[1]->public_key());
      if (!Takes(i, round)) continue;
      const std::vector<ProvenOutput> proven = all.provers[i]->Prove(alphas);
      const std::vector<base::VrfOutput> outputs = all.provers[i]->Evaluate(alphas);
      ASSERT_EQ(proven.size(), alphas.size());
      ASSERT_EQ(outputs.size(), alphas.size());
      std::vector<Claim> claims;
      for (size_t j = 0; j < alphas.size(); ++j) {
        ASSERT_EQ(base::ToHex(proven[j].proof), base::ToHex(expected[j].proof)) << j;
        ASSERT_EQ(proven[j].output, expected[j].output) << j;
        ASSERT_EQ(outputs[j], expected[j].output) << j;
        claims.push_back({alphas[j], proven[j].proof});
      }
      ASSERT_EQ(all.verifiers[i]->Verify(claims).value(), outputs);
      // One that is bad, anywhere, fails them all.
      const size_t at = random_.Below(claims.size());
      const Bytes bad =
          WithBitFlipped(base::ToBytes(claims[at].proof), random_.Below(8 * kEd25519ProofSize));
      claims[at].proof = bad;
      ASSERT_THAT(all.verifiers[i]->Verify(claims), testing::FailsCheck("vrf-proof")) << at;
    }
  }
}

// Changes a proof in one of the ways that forgers would think of, or not at all.
Bytes Mutate(SeededRandom& random, Bytes proof) {
  switch (random.Below(8)) {
    case 0:
      return WithBitFlipped(std::move(proof), random.Below(8 * kEd25519ProofSize));
    case 1: {  // Gamma anything
      const Bytes gamma = RandomBytes(random, kEd25519PointSize);
      return WithPart(std::move(proof), 0, gamma);
    }
    case 2:  // Gamma of small order
      return WithPart(std::move(proof), 0, kEd25519SmallOrderPoints[random.Below(8)]);
    case 3:  // s up to 2^256 - 1
      return WithPart(std::move(proof), 48, RandomBytes(random, kScalarSize));
    case 4:
      return WithPart(std::move(proof), 32, Bytes(kChallengeSize, random.Below(2) == 0 ? 0 : 0xff));
    case 5:
      proof.resize(random.Below(100));
      return proof;
    default:
      return proof;
  }
}

TEST_F(Ed25519Differential, ClaimsAreAcceptedOrRefusedByAll) {
  int accepted = 0;
  int refused = 0;
  for (size_t round = 0; round < 64 * TestRounds(); ++round) {
    const Implementations all(GenerateSecret(kSuite, random_));
    const std::vector<Bytes> alphas = NextAlphas(random_, 1 + random_.Below(9));
    const std::vector<ProvenOutput> proven = all.provers[1]->Prove(alphas);
    for (size_t j = 0; j < alphas.size(); ++j) {
      const Bytes proof = Mutate(random_, proven[j].proof);
      const auto expected = VerifyOne(*all.verifiers[1], alphas[j], proof);
      ASSERT_EQ(expected.ok(), proof == proven[j].proof);
      (expected.ok() ? accepted : refused) += 1;
      for (size_t i = 0; i < all.names.size(); ++i) {
        SCOPED_TRACE(all.names[i]);
        if (!Takes(i, round)) continue;
        const auto outcome = VerifyOne(*all.verifiers[i], alphas[j], proof);
        ASSERT_EQ(outcome.status(), expected.status()) << base::ToHex(proof);
        if (outcome.ok()) {
          ASSERT_EQ(*outcome, proven[j].output);
        }
      }
    }
    // All at once, as a ladder is.
    std::vector<Claim> claims;
    for (size_t j = 0; j < alphas.size(); ++j) claims.push_back({alphas[j], proven[j].proof});
    for (size_t i = 0; i < all.names.size(); ++i) {
      if (!Takes(i, round)) continue;
      SCOPED_TRACE(all.names[i]);
      ASSERT_OK_AND_ASSIGN(const auto outputs, all.verifiers[i]->Verify(claims));
      for (size_t j = 0; j < alphas.size(); ++j) ASSERT_EQ(outputs[j], proven[j].output);
    }
  }
  EXPECT_GT(accepted, 0);
  EXPECT_GT(refused, 0);
}

TEST_F(Ed25519Differential, PublicKeysAreAcceptedOrRefusedByAll) {
  int accepted = 0;
  for (size_t round = 0; round < 300 * TestRounds(); ++round) {
    Bytes key = RandomBytes(random_, kEd25519PointSize);
    if (round % 3 == 1) {  // about p
      key.assign(kEd25519PointSize, 0xff);
      key[0] = static_cast<uint8_t>(0xff - random_.Below(40));
      key[31] = random_.Below(2) == 0 ? 0x7f : 0xff;
    }
    if (round % 3 == 2) {
      key = base::ToBytes(ByteView(kEd25519SmallOrderPoints[random_.Below(8)]));
      if (random_.Below(2) == 0) key[31] ^= 0x80;
    }
    const bool expected = CreateVerifier(kSuite, Implementation::kLibrary, key).ok();
    if (expected) ++accepted;
    for (const Variant& variant : AvailableVariants({kSuite})) {
      ASSERT_EQ(CreateVerifier(kSuite, variant.implementation, key).ok(), expected)
          << ImplementationName(variant.implementation) << " " << base::ToHex(key);
    }
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace kt::vrf
