// SPDX-License-Identifier: Apache-2.0
//
// What holds for both suites alike, by every implementation.
#include "vrf/vrf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"
#include "tests/vrf/vrf_test_util.h"

namespace kt::vrf {
namespace {

using base::Bytes;
using base::ByteView;
using base::SecretBytes;
using base::VrfOutput;
using testing::FailsCheck;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::SeededRandom;
using testing::StatusIs;
using testing::TestSeed;

struct KeyPair {
  std::unique_ptr<Prover> prover;
  std::unique_ptr<Verifier> verifier;
};

KeyPair MakeKeyPair(const Variant& variant, base::Random& random) {
  const auto [suite, implementation] = variant;
  auto prover = CreateProver(suite, implementation, GenerateSecret(suite, random));
  KT_CHECK(prover.ok());
  auto verifier = CreateVerifier(suite, implementation, (*prover)->public_key());
  KT_CHECK(verifier.ok());
  return {*std::move(prover), *std::move(verifier)};
}

// Inputs of lengths around the blocks of SHA-256 and SHA-512, and repeated ones.
std::vector<Bytes> SomeAlphas(SeededRandom& random) {
  std::vector<Bytes> alphas;
  for (size_t size : {0, 1, 20, 27, 28, 29, 63, 64, 65, 91, 92, 93, 127, 128, 129, 1000}) {
    alphas.push_back(RandomBytes(random, size));
  }
  alphas.push_back(alphas[2]);
  return alphas;
}

std::vector<Claim> ClaimsOf(const std::vector<Bytes>& alphas,
                            const std::vector<ProvenOutput>& proven) {
  std::vector<Claim> claims;
  for (size_t i = 0; i < alphas.size(); ++i) claims.push_back({alphas[i], proven[i].proof});
  return claims;
}

std::vector<VrfOutput> OutputsOf(const std::vector<ProvenOutput>& proven) {
  std::vector<VrfOutput> outputs;
  for (const ProvenOutput& one : proven) outputs.push_back(one.output);
  return outputs;
}

class EverySuite : public ::testing::TestWithParam<Variant> {
 protected:
  Suite suite() const { return GetParam().suite; }
  absl::StatusOr<std::unique_ptr<Prover>> NewProver(const SecretBytes& secret) const {
    return CreateProver(suite(), GetParam().implementation, secret);
  }
  absl::StatusOr<std::unique_ptr<Verifier>> NewVerifier(ByteView public_key) const {
    return CreateVerifier(suite(), GetParam().implementation, public_key);
  }
};

INSTANTIATE_TEST_SUITE_P(Vrf, EverySuite,
                         ::testing::ValuesIn(AvailableVariants({Suite::kP256Sha256Tai,
                                                                Suite::kEdwards25519Sha512Tai})),
                         VariantName);

TEST_P(EverySuite, HasTheSizesOfTheDraft) {
  SeededRandom random(1);
  const KeyPair keys = MakeKeyPair(GetParam(), random);
  const bool p256 = suite() == Suite::kP256Sha256Tai;
  EXPECT_EQ(PublicKeySize(suite()), p256 ? 33u : 32u);
  EXPECT_EQ(ProofSize(suite()), p256 ? 81u : 80u);
  EXPECT_EQ(keys.prover->public_key().size(), PublicKeySize(suite()));
  EXPECT_EQ(ProveOne(*keys.prover, Bytes{1}).proof.size(), ProofSize(suite()));
}

TEST_P(EverySuite, ProveEvaluateAndVerifyAgree) {
  const uint64_t seed = TestSeed(20);
  SCOPED_TRACE("KT_TEST_SEED=" + std::to_string(seed));
  SeededRandom random(seed);
  for (int round = 0; round < 12; ++round) {
    const KeyPair keys = MakeKeyPair(GetParam(), random);
    const std::vector<Bytes> alphas = SomeAlphas(random);
    const std::vector<ProvenOutput> proven = keys.prover->Prove(alphas);
    const std::vector<VrfOutput> outputs = OutputsOf(proven);
    EXPECT_EQ(keys.prover->Evaluate(alphas), outputs);
    EXPECT_THAT(keys.verifier->Verify(ClaimsOf(alphas, proven)), IsOkAndHolds(outputs));
    // All inputs but one differ, so the outputs must.
    EXPECT_EQ(std::set<VrfOutput>(outputs.begin(), outputs.end()).size(), alphas.size() - 1);
  }
}

TEST_P(EverySuite, IsDeterministic) {
  SeededRandom random(21);
  const SecretBytes secret = GenerateSecret(suite(), random);
  const std::vector<Bytes> alphas = SomeAlphas(random);
  ASSERT_OK_AND_ASSIGN(const auto one, NewProver(secret));
  ASSERT_OK_AND_ASSIGN(const auto other, NewProver(secret));
  const std::vector<ProvenOutput> proven = one->Prove(alphas);
  const std::vector<ProvenOutput> again = other->Prove(alphas);
  ASSERT_EQ(proven.size(), again.size());
  for (size_t i = 0; i < proven.size(); ++i) {
    EXPECT_EQ(proven[i].proof, again[i].proof);
    EXPECT_EQ(proven[i].output, again[i].output);
  }
  EXPECT_EQ(one->public_key(), other->public_key());
}

TEST_P(EverySuite, KeysGiveDifferentOutputs) {
  SeededRandom random(22);
  const KeyPair one = MakeKeyPair(GetParam(), random);
  const KeyPair other = MakeKeyPair(GetParam(), random);
  const Bytes alpha = RandomBytes(random, 30);
  const ProvenOutput proven = ProveOne(*one.prover, alpha);
  EXPECT_NE(proven.output, ProveOne(*other.prover, alpha).output);
  EXPECT_THAT(VerifyOne(*other.verifier, alpha, proven.proof), FailsCheck("vrf-proof"));
}

TEST_P(EverySuite, BatchesKeepTheOrderAndEqualSingleCalls) {
  SeededRandom random(23);
  const KeyPair keys = MakeKeyPair(GetParam(), random);
  const std::vector<Bytes> alphas = SomeAlphas(random);
  const std::vector<ProvenOutput> proven = keys.prover->Prove(alphas);
  const std::vector<VrfOutput> evaluated = keys.prover->Evaluate(alphas);
  const auto verified = keys.verifier->Verify(ClaimsOf(alphas, proven));
  ASSERT_THAT(verified, IsOk());
  ASSERT_EQ(proven.size(), alphas.size());
  ASSERT_EQ(evaluated.size(), alphas.size());
  ASSERT_EQ(verified->size(), alphas.size());
  for (size_t i = 0; i < alphas.size(); ++i) {
    const ProvenOutput single = ProveOne(*keys.prover, alphas[i]);
    EXPECT_EQ(proven[i].proof, single.proof);
    EXPECT_EQ(proven[i].output, single.output);
    EXPECT_EQ(evaluated[i], single.output);
    EXPECT_EQ((*verified)[i], single.output);
    EXPECT_EQ(keys.prover->Evaluate({&alphas[i], 1}).front(), single.output);
    EXPECT_THAT(VerifyOne(*keys.verifier, alphas[i], single.proof), IsOkAndHolds(single.output));
  }
}

TEST_P(EverySuite, TakesEmptyBatches) {
  SeededRandom random(24);
  const KeyPair keys = MakeKeyPair(GetParam(), random);
  EXPECT_THAT(keys.prover->Prove({}), IsEmpty());
  EXPECT_THAT(keys.prover->Evaluate({}), IsEmpty());
  EXPECT_THAT(keys.verifier->Verify({}), IsOkAndHolds(IsEmpty()));
}

TEST_P(EverySuite, OneBadClaimFailsTheBatch) {
  SeededRandom random(25);
  const KeyPair keys = MakeKeyPair(GetParam(), random);
  std::vector<Bytes> alphas;
  for (int i = 0; i < 5; ++i) alphas.push_back(RandomBytes(random, 40));
  const std::vector<ProvenOutput> proven = keys.prover->Prove(alphas);
  const std::vector<Claim> good = ClaimsOf(alphas, proven);
  ASSERT_THAT(keys.verifier->Verify(good), IsOk());
  for (size_t i = 0; i < good.size(); ++i) {
    std::vector<Claim> claims = good;
    const Bytes bad = WithBitFlipped(base::ToBytes(good[i].proof), 8 * PublicKeySize(suite()));
    claims[i].proof = bad;
    EXPECT_THAT(keys.verifier->Verify(claims), FailsCheck("vrf-proof")) << i;
  }
  std::vector<Claim> swapped = good;
  std::swap(swapped[1].proof, swapped[3].proof);
  EXPECT_THAT(keys.verifier->Verify(swapped), FailsCheck("vrf-proof"));
}

TEST_P(EverySuite, RejectsEveryFlippedBitOfAProof) {
  SeededRandom random(26);
  const KeyPair keys = MakeKeyPair(GetParam(), random);
  const Bytes alpha = RandomBytes(random, 33);
  const Bytes proof = ProveOne(*keys.prover, alpha).proof;
  ASSERT_THAT(VerifyOne(*keys.verifier, alpha, proof), IsOk());
  for (size_t bit = 0; bit < 8 * proof.size(); ++bit) {
    EXPECT_THAT(VerifyOne(*keys.verifier, alpha, WithBitFlipped(proof, bit)),
                FailsCheck("vrf-proof"))
        << "bit " << bit;
  }
}

TEST_P(EverySuite, RejectsEveryFlippedBitOfAnInput) {
  SeededRandom random(27);
  const KeyPair keys = MakeKeyPair(GetParam(), random);
  const Bytes alpha = RandomBytes(random, 33);
  const Bytes proof = ProveOne(*keys.prover, alpha).proof;
  ASSERT_THAT(VerifyOne(*keys.verifier, alpha, proof), IsOk());
  for (size_t bit = 0; bit < 8 * alpha.size(); ++bit) {
    EXPECT_THAT(VerifyOne(*keys.verifier, WithBitFlipped(alpha, bit), proof),
                FailsCheck("vrf-proof"))
        << "bit " << bit;
  }
  Bytes longer = alpha;
  longer.push_back(0);
  EXPECT_THAT(VerifyOne(*keys.verifier, longer, proof), FailsCheck("vrf-proof"));
  EXPECT_THAT(VerifyOne(*keys.verifier, ByteView(alpha).first(32), proof), FailsCheck("vrf-proof"));
  EXPECT_THAT(VerifyOne(*keys.verifier, {}, proof), FailsCheck("vrf-proof"));
}

TEST_P(EverySuite, RejectsEveryFlippedBitOfAPublicKey) {
  SeededRandom random(28);
  const KeyPair keys = MakeKeyPair(GetParam(), random);
  const Bytes alpha = RandomBytes(random, 33);
  const Bytes proof = ProveOne(*keys.prover, alpha).proof;
  int refused = 0;
  const Bytes& key = keys.prover->public_key();
  for (size_t bit = 0; bit < 8 * key.size(); ++bit) {
    const auto verifier = NewVerifier(WithBitFlipped(key, bit));
    if (!verifier.ok()) {
      ++refused;
      EXPECT_THAT(verifier, StatusIs(absl::StatusCode::kInvalidArgument));
      continue;
    }
    EXPECT_THAT(VerifyOne(**verifier, alpha, proof), FailsCheck("vrf-proof")) << "bit " << bit;
  }
  // Both kinds of refusal must have been met.
  EXPECT_GT(refused, 50);
  EXPECT_LT(refused, static_cast<int>(8 * key.size()));
}

TEST_P(EverySuite, RejectsProofsOfAWrongLength) {
  SeededRandom random(29);
  const KeyPair keys = MakeKeyPair(GetParam(), random);
  const Bytes alpha = RandomBytes(random, 10);
  const Bytes proof = ProveOne(*keys.prover, alpha).proof;
  Bytes padded = proof;
  padded.resize(2 * proof.size());
  for (size_t size = 0; size <= padded.size(); ++size) {
    if (size == proof.size()) continue;
    EXPECT_THAT(VerifyOne(*keys.verifier, alpha, ByteView(padded).first(size)),
                FailsCheck("vrf-proof"))
        << size;
  }
}

TEST_P(EverySuite, RejectsProofsOfNothing) {
  SeededRandom random(30);
  const KeyPair keys = MakeKeyPair(GetParam(), random);
  const Bytes alpha = RandomBytes(random, 10);
  const Bytes proof = ProveOne(*keys.prover, alpha).proof;
  const size_t gamma_size = PublicKeySize(suite());
  EXPECT_THAT(VerifyOne(*keys.verifier, alpha, Bytes(proof.size(), 0x00)), FailsCheck("vrf-proof"));
  EXPECT_THAT(VerifyOne(*keys.verifier, alpha, Bytes(proof.size(), 0xff)), FailsCheck("vrf-proof"));
  // c and s of zero, one by one and together, which the libraries treat specially.
  const Bytes no_c = WithPart(proof, gamma_size, Bytes(16));
  const Bytes no_s = WithPart(proof, gamma_size + 16, Bytes(32));
  EXPECT_THAT(VerifyOne(*keys.verifier, alpha, no_c), FailsWith("equations"));
  EXPECT_THAT(VerifyOne(*keys.verifier, alpha, no_s), FailsWith("equations"));
  EXPECT_THAT(VerifyOne(*keys.verifier, alpha, WithPart(no_c, gamma_size + 16, Bytes(32))),
              FailsWith("equations"));
}

TEST_P(EverySuite, RefusesSecretsOfAWrongLength) {
  for (size_t size = 0; size <= 66; ++size) {
    const Bytes bytes(size, 0x11);
    const auto prover = NewProver(SecretBytes(ByteView(bytes)));
    if (size == 32) {
      EXPECT_THAT(prover, IsOk());
    } else {
      EXPECT_THAT(prover, StatusIs(absl::StatusCode::kInvalidArgument)) << size;
    }
  }
}

TEST_P(EverySuite, RefusesPublicKeysOfAWrongLength) {
  SeededRandom random(31);
  Bytes key = MakeKeyPair(GetParam(), random).prover->public_key();
  key.resize(70);
  for (size_t size = 0; size <= key.size(); ++size) {
    const auto verifier = NewVerifier(ByteView(key).first(size));
    if (size == PublicKeySize(suite())) {
      EXPECT_THAT(verifier, IsOk());
    } else {
      EXPECT_THAT(verifier, StatusIs(absl::StatusCode::kInvalidArgument)) << size;
    }
  }
}

TEST_P(EverySuite, RefusesKeysAndProofsOfTheOtherSuite) {
  SeededRandom random(32);
  const Suite other =
      suite() == Suite::kP256Sha256Tai ? Suite::kEdwards25519Sha512Tai : Suite::kP256Sha256Tai;
  const KeyPair keys = MakeKeyPair(GetParam(), random);
  const KeyPair foreign = MakeKeyPair({other, Implementation::kLibrary}, random);
  const Bytes alpha = RandomBytes(random, 10);
  EXPECT_THAT(NewVerifier(foreign.prover->public_key()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(VerifyOne(*keys.verifier, alpha, ProveOne(*foreign.prover, alpha).proof),
              FailsCheck("vrf-proof"));
}

TEST_P(EverySuite, GeneratedSecretsDiffer) {
  SeededRandom random(33);
  const SecretBytes one = GenerateSecret(suite(), random);
  EXPECT_EQ(one.size(), 32u);
  EXPECT_FALSE(one == GenerateSecret(suite(), random));
}

TEST_P(EverySuite, ThreadsShareAProverAndAVerifier) {
  SeededRandom random(34);
  const KeyPair keys = MakeKeyPair(GetParam(), random);
  std::vector<Bytes> alphas;
  for (int i = 0; i < 8; ++i) alphas.push_back(RandomBytes(random, 40));
  const std::vector<ProvenOutput> expected = keys.prover->Prove(alphas);

  std::vector<int> mistakes(4, 0);
  std::vector<std::thread> threads;
  for (int& mistake_count : mistakes) {
    threads.emplace_back([&] {
      for (int round = 0; round < 10; ++round) {
        const std::vector<ProvenOutput> proven = keys.prover->Prove(alphas);
        const std::vector<VrfOutput> outputs = keys.prover->Evaluate(alphas);
        const auto verified = keys.verifier->Verify(ClaimsOf(alphas, expected));
        for (size_t i = 0; i < alphas.size(); ++i) {
          if (proven[i].proof != expected[i].proof) ++mistake_count;
        }
        if (outputs != OutputsOf(expected)) ++mistake_count;
        if (!verified.ok() || *verified != outputs) ++mistake_count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(mistakes, ::testing::Each(0));
}

}  // namespace
}  // namespace kt::vrf
