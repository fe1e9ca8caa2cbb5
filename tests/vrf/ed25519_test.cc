// SPDX-License-Identifier: Apache-2.0
#include "vrf/ed25519.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"
#include "tests/vrf/vrf_test_util.h"

namespace kt::vrf {
namespace {

using base::Bytes;
using base::ByteView;
using base::SecretBytes;
using testing::IsOkAndHolds;
using testing::SeededRandom;
using testing::StatusIs;

constexpr Suite kSuite = Suite::kEdwards25519Sha512Tai;
using Point = Ed25519Transcript::Point;

constexpr Point kIdentity = {1};

// q, little-endian. RFC 8032 §5.1.
constexpr std::string_view kQ = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

// The ordinates of the eight points of small order: RFC 9381 §5.4.5, bad_pk[0] to bad_pk[4] and
// bad_y2 as bytes.
constexpr std::array<std::string_view, 5> kSmallOrderY = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};
// p and p + 1, which stand for 0 and 1.
constexpr std::array<std::string_view, 2> kSmallOrderYNotReduced = {
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

Bytes WithSign(Bytes encoded) {
  encoded[31] |= 0x80;
  return encoded;
}

// Every encoding of a point of small order, canonical or not, with either sign.
std::vector<Bytes> SmallOrderEncodings() {
  std::vector<Bytes> encodings;
  for (std::string_view y : kSmallOrderY) {
    encodings.push_back(Hex(y));
    encodings.push_back(WithSign(Hex(y)));
  }
  for (std::string_view y : kSmallOrderYNotReduced) {
    encodings.push_back(Hex(y));
    encodings.push_back(WithSign(Hex(y)));
  }
  return encodings;
}

// Every encoding whose ordinate is p or more, with either sign.
std::vector<Bytes> EncodingsNotReduced() {
  std::vector<Bytes> encodings;
  for (uint8_t y = 0; y < 19; ++y) {
    Bytes encoded = Hex(kSmallOrderYNotReduced[0]);
    encoded[0] = static_cast<uint8_t>(encoded[0] + y);
    encodings.push_back(encoded);
    encodings.push_back(WithSign(encoded));
  }
  return encodings;
}

// The seven points of small order other than the neutral element.
std::vector<Bytes> TorsionPoints() {
  std::vector<Bytes> points;
  for (std::string_view y : {kSmallOrderY[0], kSmallOrderY[2], kSmallOrderY[3]}) {
    points.push_back(Hex(y));
    points.push_back(WithSign(Hex(y)));
  }
  points.push_back(Hex(kSmallOrderY[4]));
  return points;
}

Bytes Add(ByteView a, ByteView b) {
  Bytes sum(32);
  KT_CHECK(crypto_core_ed25519_add(sum.data(), a.data(), b.data()) == 0);
  return sum;
}

bool IsPublicKey(const Bytes& key) { return CreateVerifier(kSuite, key).ok(); }

class Ed25519Proof : public ::testing::Test {
 protected:
  Ed25519Proof() {
    SeededRandom random(50);
    secret_ = GenerateSecret(kSuite, random);
    auto prover = Ed25519Prover::Create(secret_);
    KT_CHECK(prover.ok());
    prover_ = *std::move(prover);
    auto verifier = CreateVerifier(kSuite, prover_->public_key());
    KT_CHECK(verifier.ok());
    verifier_ = *std::move(verifier);
    proven_ = ProveOne(*prover_, alpha_);
    transcript_ = prover_->ProveInDetail(alpha_);
  }

  // A proof by whoever holds the key, with a nonce and a Gamma of their choice. The challenge is
  // honest; the equations hold if it annihilates what `gamma` differs by from the honest Gamma.
  Bytes Forge(ByteView gamma, uint8_t nonce) const {
    Scalar k{};
    k[0] = nonce;
    Point u = kIdentity;
    Point v = kIdentity;
    if (nonce != 0) {
      KT_CHECK(crypto_scalarmult_ed25519_base_noclamp(u.data(), k.data()) == 0);
      KT_CHECK(crypto_scalarmult_ed25519_noclamp(v.data(), k.data(), transcript_.h.data()) == 0);
    }
    Bytes hashed = {0x03, 0x02};
    for (ByteView part : {ByteView(prover_->public_key()), ByteView(transcript_.h), gamma,
                          ByteView(u), ByteView(v)}) {
      base::Append(hashed, part);
    }
    hashed.push_back(0x00);
    std::array<uint8_t, 64> hash;
    crypto_hash_sha512(hash.data(), hashed.data(), hashed.size());

    const SecretBytes x = ExpandEd25519Seed(secret_).x.Clone();
    Scalar s{};
    std::copy_n(hash.begin(), 16, s.begin());
    crypto_core_ed25519_scalar_mul(s.data(), s.data(), x.Expose().data());
    crypto_core_ed25519_scalar_add(s.data(), s.data(), k.data());
    Bytes proof;
    base::Append(proof, gamma);
    base::Append(proof, ByteView(hash).first(16));
    base::Append(proof, s);
    return proof;
  }
  ByteView gamma() const { return ByteView(proven_.proof).first(32); }

  const Bytes alpha_ = base::ToBytes("alice@example.com");
  SecretBytes secret_;
  std::unique_ptr<Ed25519Prover> prover_;
  std::unique_ptr<Verifier> verifier_;
  ProvenOutput proven_;
  Ed25519Transcript transcript_;
};

TEST(Ed25519PublicKey, RefusesEveryEncodingOfSmallOrder) {
  const std::vector<Bytes> encodings = SmallOrderEncodings();
  ASSERT_EQ(encodings.size(), 14u);
  for (const Bytes& encoding : encodings) {
    EXPECT_FALSE(IsPublicKey(encoding)) << base::ToHex(encoding);
  }
}

// p + y for y of at most 18: the only ordinates that fit in 255 bits without being reduced. (As it
// happens, none is that of a point of the prime-order group.)
TEST(Ed25519PublicKey, RefusesOrdinatesNotReduced) {
  int on_curve = 0;  // that a lenient decoder takes
  for (const Bytes& encoding : EncodingsNotReduced()) {
    Bytes sum(32);
    if (crypto_core_ed25519_add(sum.data(), encoding.data(), encoding.data()) == 0) ++on_curve;
    EXPECT_FALSE(IsPublicKey(encoding)) << base::ToHex(encoding);
  }
  EXPECT_GT(on_curve, 10);
}

TEST(Ed25519PublicKey, RefusesPointsOffTheCurve) {
  int refused = 0;
  for (int y = 2; y < 256; ++y) {
    Bytes encoded(32);
    encoded[0] = static_cast<uint8_t>(y);
    Bytes sum(32);
    if (crypto_core_ed25519_add(sum.data(), encoded.data(), encoded.data()) == 0) continue;
    ++refused;
    EXPECT_FALSE(IsPublicKey(encoded)) << y;
  }
  EXPECT_GT(refused, 80);
}

TEST_F(Ed25519Proof, RefusesPublicKeysOutsideThePrimeOrderGroup) {
  ASSERT_TRUE(IsPublicKey(prover_->public_key()));
  for (const Bytes& torsion : TorsionPoints()) {
    EXPECT_THAT(CreateVerifier(kSuite, Add(prover_->public_key(), torsion)),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_F(Ed25519Proof, RejectsGammaOfSmallOrder) {
  for (const Bytes& encoding : SmallOrderEncodings()) {
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proven_.proof, 0, encoding)),
                FailsWith("Gamma"))
        << base::ToHex(encoding);
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, Forge(encoding, 1)), FailsWith("Gamma"))
        << base::ToHex(encoding);
  }
}

TEST_F(Ed25519Proof, RejectsGammaNotReduced) {
  for (const Bytes& encoding : EncodingsNotReduced()) {
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proven_.proof, 0, encoding)),
                FailsWith("Gamma"))
        << base::ToHex(encoding);
  }
}

// The product of 0 is known without looking at the point, which must be looked at all the same.
TEST_F(Ed25519Proof, RejectsBadGammaThoughTheChallengeIsZero) {
  const Bytes proof = WithPart(proven_.proof, 32, Bytes(16));
  EXPECT_THAT(VerifyOne(*verifier_, alpha_, proof), FailsWith("equations"));
  for (const Bytes& encoding : SmallOrderEncodings()) {
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proof, 0, encoding)), FailsWith("Gamma"));
  }
}

TEST_F(Ed25519Proof, RejectsGammaOffTheCurve) {
  Bytes encoded(32);
  Bytes sum(32);
  do {
    ++encoded[0];
  } while (crypto_core_ed25519_add(sum.data(), encoded.data(), encoded.data()) == 0);
  EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proven_.proof, 0, encoded)),
              FailsWith("Gamma"));
}

// A Gamma with a component of small order passes the equations of RFC 9381 §5.3 when the challenge
// happens to annihilate that component. The verifier is stricter, whatever the challenge.
TEST_F(Ed25519Proof, RejectsGammaWithTorsionThatTheEquationsAllow) {
  const Bytes two_torsion = Hex(kSmallOrderY[4]);
  const Bytes twisted = Add(gamma(), two_torsion);
  int allowed = 0;
  for (uint8_t nonce = 1; nonce <= 20; ++nonce) {
    const Bytes proof = Forge(twisted, nonce);
    if ((proof[32] & 1) == 0) ++allowed;  // 2 divides c
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, proof), FailsWith("prime-order")) << int{nonce};
    // The forger is right about everything but Gamma.
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, Forge(gamma(), nonce)), IsOkAndHolds(proven_.output));
  }
  EXPECT_GT(allowed, 0);
}

TEST_F(Ed25519Proof, RejectsGammaWithAnyTorsion) {
  for (const Bytes& torsion : TorsionPoints()) {
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proven_.proof, 0, Add(gamma(), torsion))),
                FailsWith("prime-order"));
  }
}

// U and V are then the neutral element; nothing in RFC 9381 §5.3 refuses it, and the output is the
// same.
TEST_F(Ed25519Proof, AcceptsTheNonceZeroAsTheRfcDoes) {
  const Bytes proof = Forge(gamma(), 0);
  ASSERT_NE(proof, proven_.proof);
  EXPECT_THAT(VerifyOne(*verifier_, alpha_, proof), IsOkAndHolds(proven_.output));
}

// s + q and s + 2q are the same scalar in other bytes, and would make proofs malleable.
TEST_F(Ed25519Proof, RejectsScalarNotReduced) {
  const Bytes q = Hex(kQ);
  Bytes s = base::ToBytes(ByteView(proven_.proof).last(32));
  for (int times = 1; times <= 8; ++times) {
    sodium_add(s.data(), q.data(), s.size());
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proven_.proof, 48, s)),
                FailsWith("s is out of range"));
  }
}

TEST_F(Ed25519Proof, RejectsScalarOutOfRange) {
  Bytes below = Hex(kQ);
  below[0] -= 1;
  Bytes above = Hex(kQ);
  above[0] += 1;
  EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proven_.proof, 48, below)),
              FailsWith("equations"));
  for (const Bytes& s : {Hex(kQ), above, Bytes(32, 0xff)}) {
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proven_.proof, 48, s)),
                FailsWith("s is out of range"));
  }
}

Point ToPoint(const Bytes& bytes) {
  Point point{};
  KT_CHECK(bytes.size() == point.size());
  std::copy(bytes.begin(), bytes.end(), point.begin());
  return point;
}

// No hash that anybody can find is such a candidate, but other implementations refuse them too.
TEST(Ed25519Candidate, RefusesOrdinatesNotReducedAndSmallOrder) {
  Point out{};
  for (const Bytes& encoding : EncodingsNotReduced()) {
    EXPECT_FALSE(CandidateToCurve(ToPoint(encoding), out)) << base::ToHex(encoding);
  }
  for (const Bytes& encoding : SmallOrderEncodings()) {
    EXPECT_FALSE(CandidateToCurve(ToPoint(encoding), out)) << base::ToHex(encoding);
  }
}

TEST_F(Ed25519Proof, CandidatesLoseTheirTorsion) {
  Point expected{};
  ASSERT_TRUE(CandidateToCurve(transcript_.h, expected));
  EXPECT_EQ(crypto_core_ed25519_is_valid_point(expected.data()), 1);
  for (const Bytes& torsion : TorsionPoints()) {
    Point out{};
    ASSERT_TRUE(CandidateToCurve(ToPoint(Add(transcript_.h, torsion)), out));
    EXPECT_EQ(out, expected);
  }
}

// Any seed is good, zero too: the scalar comes out of a hash.
TEST(Ed25519Secret, TakesAnySeed) {
  for (uint8_t byte : {0x00, 0xff}) {
    const Bytes seed(32, byte);
    ASSERT_OK_AND_ASSIGN(const auto prover, CreateProver(kSuite, SecretBytes(ByteView(seed))));
    ASSERT_OK_AND_ASSIGN(const auto verifier, CreateVerifier(kSuite, prover->public_key()));
    const Bytes alpha = {1};
    const ProvenOutput proven = ProveOne(*prover, alpha);
    EXPECT_THAT(VerifyOne(*verifier, alpha, proven.proof), IsOkAndHolds(proven.output));
  }
}

}  // namespace
}  // namespace kt::vrf
