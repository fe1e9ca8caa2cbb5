// SPDX-License-Identifier: Apache-2.0
#include "vrf/ed25519.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <set>
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
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::SeededRandom;

constexpr Suite kSuite = Suite::kEdwards25519Sha512Tai;
using Point = Ed25519Point;

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

Bytes ToBytes(const Point& point) { return base::ToBytes(ByteView(point)); }

bool IsSmallOrder(const Bytes& encoding) {
  return std::ranges::any_of(kEd25519SmallOrderPoints,
                             [&](const Point& point) { return ToBytes(point) == encoding; });
}

// Of kEd25519SmallOrderPoints[i].
int OrderOf(size_t i) { return 8 / std::gcd(static_cast<int>(i), 8); }

Bytes Add(ByteView a, ByteView b) {
  Bytes sum(32);
  KT_CHECK(crypto_core_ed25519_add(sum.data(), a.data(), b.data()) == 0);
  return sum;
}

// Whether c*P is the neutral element for points of this order.
bool Annihilates(const Bytes& proof, int order) { return proof[32] % order == 0; }

// What a verifier accepts is the same by every implementation.
class Ed25519PublicKey : public ::testing::TestWithParam<Variant> {
 protected:
  static auto NewVerifier(ByteView key) {
    return CreateVerifier(kSuite, GetParam().implementation, key);
  }
  static bool IsPublicKey(const Bytes& key) { return NewVerifier(key).ok(); }
};

class Ed25519Proofs : public Ed25519PublicKey {
 protected:
  Ed25519Proofs() {
    SeededRandom random(50);
    secret_ = GenerateSecret(kSuite, random);
    auto prover = Ed25519Prover::Create(secret_);
    KT_CHECK(prover.ok());
    prover_ = *std::move(prover);
    auto verifier = NewVerifier(prover_->public_key());
    KT_CHECK(verifier.ok());
    verifier_ = *std::move(verifier);
    proven_ = ProveOne(*prover_, alpha_);
    transcript_ = prover_->ProveInDetail(alpha_);
  }

  // H of alpha_ under this public key.
  Point EncodeToCurve(ByteView public_key) const {
    Point h{};
    unsigned ctr = 0;
    while (!CandidateToCurve(Ed25519Candidate(public_key, alpha_, ctr), h)) ++ctr;
    return h;
  }

  // A proof by whoever holds the key, with a nonce and a Gamma of their choice, for a public key
  // that they gave out in place of their own. The challenge is honest; the equations hold if it
  // annihilates what `public_key` and `gamma` differ by from the honest ones.
  Bytes Forge(ByteView public_key, ByteView gamma, uint8_t nonce) const {
    const Point h = EncodeToCurve(public_key);
    Scalar k{};
    k[0] = nonce;
    Point u = kEd25519Identity;
    Point v = kEd25519Identity;
    if (nonce != 0) {
      KT_CHECK(crypto_scalarmult_ed25519_base_noclamp(u.data(), k.data()) == 0);
      KT_CHECK(crypto_scalarmult_ed25519_noclamp(v.data(), k.data(), h.data()) == 0);
    }
    const Challenge c = Ed25519Challenge(public_key, h, gamma, u, v);
    const auto key = MakeEd25519Key(secret_);
    KT_CHECK(key.ok());
    Bytes proof(kEd25519ProofSize);
    WriteEd25519Proof(gamma, c, Ed25519Response(*key, k, c), proof);
    return proof;
  }
  Bytes Forge(ByteView gamma, uint8_t nonce) const {
    return Forge(prover_->public_key(), gamma, nonce);
  }
  // x * H for the H of this public key.
  Bytes GammaFor(ByteView public_key) const {
    const Point h = EncodeToCurve(public_key);
    const auto key = MakeEd25519Key(secret_);
    Bytes gamma(32);
    KT_CHECK(crypto_scalarmult_ed25519_noclamp(gamma.data(), key->x.Expose().data(), h.data()) ==
             0);
    return gamma;
  }
  ByteView gamma() const { return ByteView(proven_.proof).first(32); }

  const Bytes alpha_ = base::ToBytes("alice@example.com");
  SecretBytes secret_;
  std::unique_ptr<Ed25519Prover> prover_;
  std::unique_ptr<Verifier> verifier_;
  ProvenOutput proven_;
  Ed25519Transcript transcript_;
};

INSTANTIATE_TEST_SUITE_P(Vrf, Ed25519PublicKey, ::testing::ValuesIn(AvailableVariants({kSuite})),
                         VariantName);
INSTANTIATE_TEST_SUITE_P(Vrf, Ed25519Proofs, ::testing::ValuesIn(AvailableVariants({kSuite})),
                         VariantName);

TEST(Ed25519SmallOrder, IsTheEightPointsOfTheRfc) {
  std::set<Point> points;
  Point sum = kEd25519Identity;
  for (const Point& point : kEd25519SmallOrderPoints) {
    EXPECT_EQ(point, sum);  // one is the sum of the one before and the first of order 8
    EXPECT_TRUE(IsEd25519SmallOrder(point));
    points.insert(point);
    Bytes ordinate = ToBytes(point);
    ordinate[31] &= 0x7f;
    EXPECT_THAT(kSmallOrderY, ::testing::Contains(base::ToHex(ordinate)));
    const Bytes next = Add(sum, kEd25519SmallOrderPoints[1]);
    std::copy(next.begin(), next.end(), sum.begin());
  }
  EXPECT_EQ(points.size(), 8u);
  EXPECT_EQ(sum, kEd25519Identity);
}

TEST_P(Ed25519PublicKey, RefusesEveryEncodingOfSmallOrder) {
  const std::vector<Bytes> encodings = SmallOrderEncodings();
  ASSERT_EQ(encodings.size(), 14u);
  for (const Bytes& encoding : encodings) {
    EXPECT_FALSE(IsPublicKey(encoding)) << base::ToHex(encoding);
  }
}

// p + y for y of at most 18: the only ordinates that fit in 255 bits without being reduced. (As it
// happens, none is that of a point of the prime-order group.)
TEST_P(Ed25519PublicKey, RefusesOrdinatesNotReduced) {
  int on_curve = 0;  // that a lenient decoder takes
  for (const Bytes& encoding : EncodingsNotReduced()) {
    Bytes sum(32);
    if (crypto_core_ed25519_add(sum.data(), encoding.data(), encoding.data()) == 0) ++on_curve;
    EXPECT_FALSE(IsPublicKey(encoding)) << base::ToHex(encoding);
  }
  EXPECT_GT(on_curve, 10);
}

TEST_P(Ed25519PublicKey, RefusesPointsOffTheCurve) {
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

// RFC 9381 §5.4.5 refuses keys of small order only. With a component of small order the equations
// hold for the challenges that annihilate it, and for no others.
TEST_P(Ed25519Proofs, AcceptPublicKeysWithTorsionAsTheRfcDoes) {
  for (size_t i = 1; i < kEd25519SmallOrderPoints.size(); ++i) {
    const Bytes key = Add(prover_->public_key(), kEd25519SmallOrderPoints[i]);
    ASSERT_OK_AND_ASSIGN(const auto verifier, NewVerifier(key));
    const Bytes gamma = GammaFor(key);
    int accepted = 0;
    for (uint8_t nonce = 1; nonce <= 40; ++nonce) {
      const Bytes proof = Forge(key, gamma, nonce);
      const auto output = VerifyOne(*verifier, alpha_, proof);
      if (Annihilates(proof, OrderOf(i))) {
        ++accepted;
        EXPECT_THAT(output, IsOk());
      } else {
        EXPECT_THAT(output, FailsWith("equations"));
      }
    }
    EXPECT_GT(accepted, 0) << i;
    EXPECT_LT(accepted, 40) << i;
  }
}

// RFC 9381 §5.4.4 asks of Gamma that it is a point. One of small order is, and can prove nothing.
TEST_P(Ed25519Proofs, RejectGammaOfSmallOrder) {
  for (const Bytes& encoding : SmallOrderEncodings()) {
    const char* reason = IsSmallOrder(encoding) ? "equations" : "Gamma";
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proven_.proof, 0, encoding)),
                FailsWith(reason))
        << base::ToHex(encoding);
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, Forge(encoding, 1)), FailsWith(reason))
        << base::ToHex(encoding);
  }
}

TEST_P(Ed25519Proofs, RejectGammaNotReduced) {
  for (const Bytes& encoding : EncodingsNotReduced()) {
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proven_.proof, 0, encoding)),
                FailsWith("Gamma"))
        << base::ToHex(encoding);
  }
}

// The product of 0 is known without looking at the point, which must be looked at all the same.
TEST_P(Ed25519Proofs, RejectBadGammaThoughTheChallengeIsZero) {
  const Bytes proof = WithPart(proven_.proof, 32, Bytes(16));
  EXPECT_THAT(VerifyOne(*verifier_, alpha_, proof), FailsWith("equations"));
  for (const Bytes& encoding : SmallOrderEncodings()) {
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proof, 0, encoding)),
                FailsWith(IsSmallOrder(encoding) ? "equations" : "Gamma"));
  }
}

TEST_P(Ed25519Proofs, RejectGammaOffTheCurve) {
  Bytes encoded(32);
  Bytes sum(32);
  do {
    ++encoded[0];
  } while (crypto_core_ed25519_add(sum.data(), encoded.data(), encoded.data()) == 0);
  EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proven_.proof, 0, encoded)),
              FailsWith("Gamma"));
}

// A Gamma with a component of small order passes the equations of RFC 9381 §5.3 when the challenge
// happens to annihilate that component. The output is that of the honest Gamma: it hashes 8*Gamma.
TEST_P(Ed25519Proofs, AcceptGammaWithTorsionAsTheRfcDoes) {
  for (size_t i = 0; i < kEd25519SmallOrderPoints.size(); ++i) {
    const Bytes twisted = Add(gamma(), kEd25519SmallOrderPoints[i]);
    int accepted = 0;
    for (uint8_t nonce = 1; nonce <= 40; ++nonce) {
      const Bytes proof = Forge(twisted, nonce);
      const auto output = VerifyOne(*verifier_, alpha_, proof);
      if (Annihilates(proof, OrderOf(i))) {
        ++accepted;
        EXPECT_THAT(output, IsOkAndHolds(proven_.output));
      } else {
        EXPECT_THAT(output, FailsWith("equations"));
      }
    }
    EXPECT_GT(accepted, 0) << i;
    EXPECT_EQ(accepted == 40, i == 0) << i;
  }
}

// The challenge was made for another Gamma.
TEST_P(Ed25519Proofs, RejectTorsionAddedToAProof) {
  for (size_t i = 1; i < kEd25519SmallOrderPoints.size(); ++i) {
    const Bytes twisted = Add(gamma(), kEd25519SmallOrderPoints[i]);
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proven_.proof, 0, twisted)),
                FailsWith("equations"));
  }
}

// U and V are then the neutral element; nothing in RFC 9381 §5.3 refuses it, and the output is the
// same.
TEST_P(Ed25519Proofs, AcceptTheNonceZeroAsTheRfcDoes) {
  const Bytes proof = Forge(gamma(), 0);
  ASSERT_NE(proof, proven_.proof);
  EXPECT_THAT(VerifyOne(*verifier_, alpha_, proof), IsOkAndHolds(proven_.output));
}

// s + q and s + 2q are the same scalar in other bytes, and would make proofs malleable.
TEST_P(Ed25519Proofs, RejectScalarNotReduced) {
  const Bytes q = Hex(kQ);
  Bytes s = base::ToBytes(ByteView(proven_.proof).last(32));
  for (int times = 1; times <= 8; ++times) {
    sodium_add(s.data(), q.data(), s.size());
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, WithPart(proven_.proof, 48, s)),
                FailsWith("s is out of range"));
  }
}

TEST_P(Ed25519Proofs, RejectScalarOutOfRange) {
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

TEST(Ed25519Candidate, LosesItsTorsion) {
  SeededRandom random(51);
  ASSERT_OK_AND_ASSIGN(const auto prover, Ed25519Prover::Create(GenerateSecret(kSuite, random)));
  const Point h = prover->ProveInDetail(Bytes{1}).h;
  Point expected{};
  ASSERT_TRUE(CandidateToCurve(h, expected));
  EXPECT_EQ(crypto_core_ed25519_is_valid_point(expected.data()), 1);
  for (const Point& torsion : kEd25519SmallOrderPoints) {
    Point out{};
    ASSERT_TRUE(CandidateToCurve(ToPoint(Add(h, torsion)), out));
    EXPECT_EQ(out, expected);
  }
}

// Any seed is good, zero too: the scalar comes out of a hash.
TEST_P(Ed25519PublicKey, BelongsToAnySeed) {
  for (uint8_t byte : {0x00, 0xff}) {
    const Bytes seed(32, byte);
    ASSERT_OK_AND_ASSIGN(const auto prover, CreateProver(kSuite, GetParam().implementation,
                                                         SecretBytes(ByteView(seed))));
    ASSERT_OK_AND_ASSIGN(const auto verifier, NewVerifier(prover->public_key()));
    const Bytes alpha = {1};
    const ProvenOutput proven = ProveOne(*prover, alpha);
    EXPECT_THAT(VerifyOne(*verifier, alpha, proven.proof), IsOkAndHolds(proven.output));
  }
}

}  // namespace
}  // namespace kt::vrf
