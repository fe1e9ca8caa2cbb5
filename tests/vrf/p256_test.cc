// SPDX-License-Identifier: Apache-2.0
#include "vrf/p256.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <deque>
#include <vector>

#include "base/hash.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"
#include "tests/vrf/rfc9381_vectors.h"
#include "tests/vrf/vrf_test_util.h"
#include "vrf/implementation.h"

namespace kt::vrf {
namespace {

using base::Bytes;
using base::ByteView;
using base::SecretBytes;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::SeededRandom;
using testing::StatusIs;

constexpr Suite kSuite = Suite::kP256Sha256Tai;

// The order of the group, the field's prime and the generator's abscissa: SEC 2 §2.4.2.
constexpr std::string_view kQ = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
constexpr std::string_view kP = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
constexpr std::string_view kGeneratorX =
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";

// A big-endian number and a small one to add to it or, if negative, to take from it.
Bytes Plus(std::string_view number, int addend) {
  Bytes bytes = Hex(number);
  for (size_t i = bytes.size(); i-- > 0 && addend != 0;) {
    const int sum = bytes[i] + addend;
    bytes[i] = static_cast<uint8_t>(sum & 0xff);
    addend = (sum - bytes[i]) / 256;
  }
  return bytes;
}

Bytes Compressed(uint8_t tag, ByteView x) {
  Bytes point(1 + x.size(), tag);
  return WithPart(point, 1, x);
}

Bytes SmallNumber(uint8_t value) {
  Bytes bytes(32);
  bytes.back() = value;
  return bytes;
}

std::vector<Implementation> Implementations() {
  std::vector<Implementation> available;
  for (Implementation implementation :
       {Implementation::kLibrary, Implementation::kPortable, Implementation::kAvx512Ifma}) {
    if (IsAvailable(kSuite, implementation)) available.push_back(implementation);
  }
  return available;
}

// Asks all of them, who must agree.
bool IsPublicKey(const Bytes& key) {
  const bool is_key = CreateVerifier(kSuite, Implementation::kLibrary, key).ok();
  for (Implementation implementation : Implementations()) {
    EXPECT_EQ(CreateVerifier(kSuite, implementation, key).ok(), is_key) << base::ToHex(key);
  }
  return is_key;
}

// Numbers up to `limit` that are, and are not, abscissas of the curve.
std::vector<uint8_t> Abscissas(uint8_t limit, bool on_curve) {
  std::vector<uint8_t> found;
  for (uint8_t x = 0; x < limit; ++x) {
    if (IsPublicKey(Compressed(2, SmallNumber(x))) == on_curve) found.push_back(x);
  }
  return found;
}

// Proofs of the library, given to every verifier.
class P256Proof : public ::testing::TestWithParam<Implementation> {
 protected:
  P256Proof() {
    SeededRandom random(40);
    secret_ = GenerateSecret(kSuite, random);
    auto prover = P256Prover::Create(secret_);
    KT_CHECK(prover.ok());
    prover_ = *std::move(prover);
    auto verifier = CreateVerifier(kSuite, GetParam(), prover_->public_key());
    KT_CHECK(verifier.ok());
    verifier_ = *std::move(verifier);
    proven_ = ProveOne(*prover_, alpha_);
  }

  const Bytes alpha_ = base::ToBytes("alice@example.com");
  SecretBytes secret_;
  std::unique_ptr<P256Prover> prover_;
  std::unique_ptr<Verifier> verifier_;
  ProvenOutput proven_;
};

std::string Name(const ::testing::TestParamInfo<Implementation>& info) {
  return info.param == Implementation::kLibrary    ? "Library"
         : info.param == Implementation::kPortable ? "Portable"
                                                   : "Avx512Ifma";
}

INSTANTIATE_TEST_SUITE_P(P256, P256Proof, ::testing::ValuesIn(Implementations()), Name);

TEST(P256Secret, RefusesZeroAndTheOrderAndMore) {
  for (const Bytes& secret :
       {Bytes(32), Plus(kQ, 0), Plus(kQ, 1), Plus(kQ, 256), Plus(kP, 0), Bytes(32, 0xff)}) {
    for (Implementation implementation : Implementations()) {
      EXPECT_THAT(CreateProver(kSuite, implementation, SecretBytes(ByteView(secret))),
                  StatusIs(absl::StatusCode::kInvalidArgument))
          << base::ToHex(secret);
    }
  }
}

TEST(P256Secret, TakesOneAndTheOrderLessOne) {
  for (Implementation implementation : Implementations()) {
    ASSERT_OK_AND_ASSIGN(const auto least, CreateProver(kSuite, implementation,
                                                        SecretBytes(ByteView(SmallNumber(1)))));
    ASSERT_OK_AND_ASSIGN(const auto greatest,
                         CreateProver(kSuite, implementation, SecretBytes(ByteView(Plus(kQ, -1)))));
    EXPECT_EQ(least->public_key(), Compressed(3, Hex(kGeneratorX)));
    EXPECT_EQ(greatest->public_key(), Compressed(2, Hex(kGeneratorX)));
    // Scalars with many leading zeros, or next to the order, must work as any other.
    for (const Prover* prover : {least.get(), greatest.get()}) {
      ASSERT_OK_AND_ASSIGN(const auto verifier,
                           CreateVerifier(kSuite, implementation, prover->public_key()));
      const Bytes alpha = {1, 2, 3};
      const ProvenOutput proven = ProveOne(*prover, alpha);
      EXPECT_THAT(VerifyOne(*verifier, alpha, proven.proof), IsOkAndHolds(proven.output));
      EXPECT_EQ(prover->Evaluate({&alpha, 1}).front(), proven.output);
    }
  }
}

// Gives what it is told, to steer the rejection of scalars.
class ScriptedRandom : public base::Random {
 public:
  explicit ScriptedRandom(std::deque<Bytes> script) : script_(std::move(script)) {}
  void Fill(std::span<uint8_t> out) override {
    KT_CHECK(!script_.empty() && script_.front().size() == out.size());
    std::copy(script_.front().begin(), script_.front().end(), out.begin());
    script_.pop_front();
  }
  size_t left() const { return script_.size(); }

 private:
  std::deque<Bytes> script_;
};

TEST(P256Secret, GeneratesOnlyScalarsInRange) {
  ScriptedRandom random(
      {Bytes(32), Plus(kQ, 0), Bytes(32, 0xff), Plus(kQ, 1), Plus(kQ, -1), SmallNumber(7)});
  EXPECT_EQ(base::ToHex(GenerateSecret(kSuite, random).Expose()), base::ToHex(Plus(kQ, -1)));
  EXPECT_EQ(random.left(), 1u);
}

TEST(P256PublicKey, RefusesAbscissasOffTheCurve) {
  const std::vector<uint8_t> off = Abscissas(100, /*on_curve=*/false);
  EXPECT_GT(off.size(), 30u);
  EXPECT_LT(off.size(), 70u);
  for (uint8_t x : off) EXPECT_FALSE(IsPublicKey(Compressed(3, SmallNumber(x)))) << int{x};
}

// p + x stands for the same element of the field as x, but is not its encoding.
TEST(P256PublicKey, RefusesAbscissasNotReduced) {
  const std::vector<uint8_t> on = Abscissas(100, /*on_curve=*/true);
  ASSERT_FALSE(on.empty());
  for (uint8_t x : on) {
    EXPECT_FALSE(IsPublicKey(Compressed(2, Plus(kP, x)))) << int{x};
    EXPECT_FALSE(IsPublicKey(Compressed(3, Plus(kP, x)))) << int{x};
  }
}

TEST(P256PublicKey, RefusesInfinityAndOtherForms) {
  const Bytes x = Hex(kGeneratorX);
  ASSERT_TRUE(IsPublicKey(Compressed(2, x)));
  ASSERT_TRUE(IsPublicKey(Compressed(3, x)));
  for (int tag = 0; tag < 256; ++tag) {
    if (tag == 2 || tag == 3) continue;
    EXPECT_FALSE(IsPublicKey(Compressed(static_cast<uint8_t>(tag), x))) << tag;
  }
  EXPECT_FALSE(IsPublicKey(Bytes(1)));
  EXPECT_FALSE(IsPublicKey(Bytes(33)));
  const Bytes uncompressed =
      Hex("046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
          "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5");
  EXPECT_FALSE(IsPublicKey(uncompressed));
}

TEST_P(P256Proof, RejectsGammaThatIsNotAPoint) {
  ASSERT_THAT(VerifyOne(*verifier_, alpha_, proven_.proof), IsOk());
  const auto with_gamma = [&](const Bytes& gamma) { return WithPart(proven_.proof, 0, gamma); };
  EXPECT_THAT(VerifyOne(*verifier_, alpha_, with_gamma(Bytes(33))), FailsWith("Gamma"));
  for (uint8_t tag : {0, 1, 4, 5, 6, 7, 0x82, 0xff}) {
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, with_gamma({tag})), FailsWith("Gamma")) << int{tag};
  }
  for (uint8_t x : Abscissas(20, /*on_curve=*/false)) {
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, with_gamma(Compressed(2, SmallNumber(x)))),
                FailsWith("Gamma"));
  }
  for (uint8_t x : Abscissas(20, /*on_curve=*/true)) {
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, with_gamma(Compressed(2, SmallNumber(x)))),
                FailsWith("equations"));
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, with_gamma(Compressed(2, Plus(kP, x)))),
                FailsWith("Gamma"));
  }
}

TEST_P(P256Proof, RejectsScalarOutOfRange) {
  const auto with_s = [&](const Bytes& s) { return WithPart(proven_.proof, 33 + 16, s); };
  EXPECT_THAT(VerifyOne(*verifier_, alpha_, with_s(Plus(kQ, -1))), FailsWith("equations"));
  for (const Bytes& s : {Plus(kQ, 0), Plus(kQ, 1), Plus(kP, 0), Bytes(32, 0xff)}) {
    EXPECT_THAT(VerifyOne(*verifier_, alpha_, with_s(s)), FailsWith("s is out of range"));
  }
}

TEST_P(P256Proof, RejectsNegatedGamma) {
  Bytes proof = proven_.proof;
  proof[0] ^= 1;  // even and odd ordinate
  EXPECT_THAT(VerifyOne(*verifier_, alpha_, proof), FailsWith("equations"));
}

// Whoever holds the key can take the nonce 0. U and V are then infinity, which has an encoding of
// its own; nothing in RFC 9381 §5.3 refuses it, and the output is the same.
TEST_P(P256Proof, AcceptsTheNonceZeroAsTheRfcDoes) {
  const P256Transcript honest = prover_->ProveInDetail(alpha_);
  const ByteView gamma = ByteView(honest.proof).first(33);
  const Bytes front = {0x01, 0x02};
  const Bytes back = {0x00};
  const Bytes infinity = {0x00};
  const base::Hash hash =
      base::Sha256({front, prover_->public_key(), honest.h, gamma, infinity, infinity, back});
  const ByteView c = hash.view().first(16);

  const BigNumContext context(BN_CTX_new());
  const BigNum q(BN_bin2bn(Hex(kQ).data(), 32, nullptr));
  const BigNum x(BN_bin2bn(secret_.Expose().data(), 32, nullptr));
  const BigNum s(BN_bin2bn(c.data(), 16, nullptr));
  ASSERT_EQ(BN_mod_mul(s.get(), s.get(), x.get(), q.get(), context.get()), 1);
  Bytes s_bytes(32);
  ASSERT_EQ(BN_bn2binpad(s.get(), s_bytes.data(), 32), 32);

  const Bytes proof = WithPart(WithPart(proven_.proof, 33, c), 33 + 16, s_bytes);
  ASSERT_NE(proof, proven_.proof);
  EXPECT_THAT(VerifyOne(*verifier_, alpha_, proof), IsOkAndHolds(proven_.output));
}

// Refusals are ordinary, so they must not leave anything behind for other users of OpenSSL.
TEST_P(P256Proof, RefusalsLeaveNoErrorInOpenSsl) {
  ERR_clear_error();
  SeededRandom random(41);
  for (int i = 0; i < 20; ++i) {
    VerifyOne(*verifier_, RandomBytes(random, 8), proven_.proof).status().IgnoreError();
    VerifyOne(*verifier_, alpha_, RandomBytes(random, 81)).status().IgnoreError();
    IsPublicKey(Compressed(2, RandomBytes(random, 32)));
  }
  EXPECT_EQ(ERR_peek_error(), 0u);
}

}  // namespace
}  // namespace kt::vrf
