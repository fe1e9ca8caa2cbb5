// SPDX-License-Identifier: Apache-2.0
#include "base/signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>

#include <string>
#include <vector>

#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

namespace kt::base {
namespace {

using testing::FailsCheck;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::SeededRandom;
using testing::StatusIs;

constexpr auto kP256 = SignatureAlgorithm::kEcdsaP256Sha256;
constexpr auto kEd25519 = SignatureAlgorithm::kEd25519;

Bytes Hex(const std::string& text) { return FromHex(text).value(); }
std::unique_ptr<Signer> SignerOf(SignatureAlgorithm algorithm, const std::string& secret_hex) {
  return CreateSigner(algorithm, SecretBytes(Hex(secret_hex))).value();
}
std::unique_ptr<Verifier> VerifierOf(SignatureAlgorithm algorithm, const Bytes& public_key) {
  return CreateVerifier(algorithm, public_key).value();
}

// --- Ed25519 -----------------------------------------------------------------------------

// RFC 8032 §7.1.
struct Rfc8032Vector {
  const char* secret;
  const char* public_key;
  const char* message;
  const char* signature;
};
constexpr Rfc8032Vector kRfc8032[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
    {"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
     "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
     "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"},
};

TEST(Ed25519, AgreesWithRfc8032) {
  for (const Rfc8032Vector& vector : kRfc8032) {
    const auto signer = SignerOf(kEd25519, vector.secret);
    EXPECT_EQ(ToHex(signer->public_key()), vector.public_key);
    EXPECT_THAT(signer->Sign(Hex(vector.message)), IsOkAndHolds(Hex(vector.signature)));
    EXPECT_THAT(VerifierOf(kEd25519, Hex(vector.public_key))
                    ->Verify(Hex(vector.message), Hex(vector.signature)),
                IsOk());
  }
}

TEST(Ed25519, RefusesPublicKeysThatAreNotUsable) {
  const char* const kKeys[] = {
      "",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f70751",      // 31 bytes
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a00",  // 33 bytes
      // y = 2 is on no point of the curve.
      "0200000000000000000000000000000000000000000000000000000000000000",
      // The eight points of small order.
      "0100000000000000000000000000000000000000000000000000000000000000",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0000000000000000000000000000000000000000000000000000000000000080",
      "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
      "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
      "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
      "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
      // x = 0 with the sign bit set.
      "0100000000000000000000000000000000000000000000000000000000000080",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
      // y + p for y = 0, 1, 3 and 18: the same points, encoded in a second way.
      "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      // The base point plus a point of order eight: on the curve, outside the group.
      "98519eadf35b995233b51b5cd23e9cc5a28b639b5a4af0ec903cb960d81b7819",
  };
  for (const char* key : kKeys) {
    EXPECT_THAT(CreateVerifier(kEd25519, Hex(key)), StatusIs(absl::StatusCode::kInvalidArgument))
        << key;
  }
  // The base point itself is one.
  EXPECT_THAT(
      CreateVerifier(kEd25519,
                     Hex("5866666666666666666666666666666666666666666666666666666666666666")),
      IsOk());
}

TEST(Ed25519, RefusesSecretsOfAnotherLength) {
  for (const size_t size : {0, 1, 31, 33, 64}) {
    EXPECT_THAT(CreateSigner(kEd25519, SecretBytes(size)),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(CreateSigner(kEd25519, SecretBytes(32)), IsOk());
}

// S + L satisfies the same equation; accepting it would give a second signature for free.
TEST(Ed25519, RefusesAnUnreducedScalar) {
  const Rfc8032Vector& vector = kRfc8032[1];
  const Bytes order = Hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  Bytes signature = Hex(vector.signature);
  unsigned carry = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    carry += signature[32 + i] + order[i];
    signature[32 + i] = static_cast<uint8_t>(carry);
    carry >>= 8;
  }
  EXPECT_THAT(VerifierOf(kEd25519, Hex(vector.public_key))->Verify(Hex(vector.message), signature),
              FailsCheck("signature"));
}

// --- P-256 -------------------------------------------------------------------------------

// RFC 6979 §A.2.5.
constexpr char kSecret[] = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
constexpr char kPublicX[] = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6";
constexpr char kPublicY[] = "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
constexpr char kOrder[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
constexpr char kSampleR[] = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716";
constexpr char kSampleS[] = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";

Bytes PublicKey() { return Hex(std::string("04") + kPublicX + kPublicY); }

TEST(P256, DerivesThePublicKeyOfRfc6979) {
  EXPECT_EQ(SignerOf(kP256, kSecret)->public_key(), PublicKey());
}

TEST(P256, AcceptsSignaturesOfRfc6979) {
  const auto verifier = VerifierOf(kP256, PublicKey());
  EXPECT_THAT(verifier->Verify(AsBytes("sample"), Hex(std::string(kSampleR) + kSampleS)), IsOk());
  EXPECT_THAT(
      verifier->Verify(AsBytes("test"),
                       Hex("f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
                           "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083")),
      IsOk());
  EXPECT_THAT(verifier->Verify(AsBytes("test"), Hex(std::string(kSampleR) + kSampleS)),
              FailsCheck("signature"));
}

TEST(P256, RefusesScalarsOutOfRange) {
  const auto verifier = VerifierOf(kP256, PublicKey());
  const std::string zero(64, '0'), all_ones(64, 'f');
  // r + n and s + n do not fit 32 bytes for these values, but n itself and what lies above does.
  for (const std::string& bad : {zero, std::string(kOrder), all_ones}) {
    for (const std::string& signature : {bad + kSampleS, kSampleR + bad, bad + bad}) {
      EXPECT_THAT(verifier->Verify(AsBytes("sample"), Hex(signature)), FailsCheck("signature"))
          << signature;
    }
  }
}

TEST(P256, RefusesPublicKeysThatAreNotUsable) {
  const std::string x(kPublicX), y(kPublicY);
  const std::string field = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
  std::string y_off = y;
  y_off.back() = '8';
  const std::string kKeys[] = {
      "",
      "00",                 // the point at infinity
      "03" + x,             // compressed
      "02" + x,             // compressed, the other point
      "07" + x + y,         // hybrid
      "06" + x + y,         // hybrid with the wrong parity
      "04" + x,             // y is missing
      "04" + x + y + "00",  // a byte more
      "04" + x + y_off,     // off the curve
      "04" + y + x,         // off the curve
      "04" + std::string(128, '0'),
      "04" + field + y,  // x is not reduced
      "04" + x + field,  // y is not reduced
      "04" + std::string(128, 'f'),
      "05" + x + y,
  };
  for (const std::string& key : kKeys) {
    EXPECT_THAT(CreateVerifier(kP256, Hex(key)), StatusIs(absl::StatusCode::kInvalidArgument))
        << key;
  }
}

// x + p encodes the same coordinate where it fits: x = 5 is on the curve.
TEST(P256, RefusesUnreducedCoordinates) {
  const std::string y = "459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc";
  const std::string x = std::string(63, '0') + "5";
  const std::string x_plus_p = "ffffffff00000001000000000000000000000001000000000000000000000004";
  EXPECT_THAT(CreateVerifier(kP256, Hex("04" + x + y)), IsOk());
  EXPECT_THAT(CreateVerifier(kP256, Hex("04" + x_plus_p + y)),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(P256, RefusesSecretsOutOfRange) {
  std::string order_minus_1 = kOrder, order_plus_1 = kOrder;
  order_minus_1.back() = '0';
  order_plus_1.back() = '2';
  for (const std::string& secret :
       {std::string(64, '0'), std::string(kOrder), order_plus_1, std::string(64, 'f'),
        std::string(), std::string("01"), std::string(62, '1'), std::string(66, '1')}) {
    EXPECT_THAT(CreateSigner(kP256, SecretBytes(Hex(secret))),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << secret;
  }
  EXPECT_THAT(CreateSigner(kP256, SecretBytes(Hex(order_minus_1))), IsOk());
  // The smallest secret's public key is the base point.
  EXPECT_EQ(ToHex(SignerOf(kP256, std::string(63, '0') + "1")->public_key()),
            "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5");
}

// A mail program that embeds this library uses OpenSSL for TLS too, and SSL_get_error() reads the
// thread's error queue: what a peer sent may leave nothing there.
TEST(P256, LeavesOpenSslErrorQueueEmpty) {
  ERR_clear_error();
  const auto verifier = VerifierOf(kP256, PublicKey());
  EXPECT_THAT(verifier->Verify(AsBytes("sample"), Bytes(64, 0)), FailsCheck("signature"));
  EXPECT_THAT(verifier->Verify(AsBytes("sample"), Bytes(64, 0xff)), FailsCheck("signature"));
  EXPECT_THAT(verifier->Verify(AsBytes("sample"), Bytes(64, 1)), FailsCheck("signature"));
  EXPECT_EQ(ERR_peek_error(), 0u);
  Bytes off_curve = PublicKey();
  off_curve.back() ^= 1;
  EXPECT_FALSE(CreateVerifier(kP256, off_curve).ok());
  EXPECT_FALSE(CreateVerifier(kP256, Bytes(65, 4)).ok());
  EXPECT_EQ(ERR_peek_error(), 0u);
}

// --- both --------------------------------------------------------------------------------

class BothAlgorithms : public ::testing::TestWithParam<SignatureAlgorithm> {
 protected:
  BothAlgorithms()
      : signer_(CreateSigner(GetParam(), GenerateSignatureSecret(GetParam(), random_)).value()),
        verifier_(VerifierOf(GetParam(), signer_->public_key())) {}

  SeededRandom random_{testing::TestSeed(1)};
  const std::unique_ptr<Signer> signer_;
  const std::unique_ptr<Verifier> verifier_;
};
INSTANTIATE_TEST_SUITE_P(Signature, BothAlgorithms, ::testing::Values(kP256, kEd25519),
                         [](const auto& param_info) {
                           return std::string(param_info.param == kP256 ? "P256" : "Ed25519");
                         });

TEST_P(BothAlgorithms, HasTheSizesOfTheCipherSuite) {
  EXPECT_EQ(signer_->public_key().size(), GetParam() == kP256 ? 65u : 32u);
  for (int i = 0; i < 300; ++i) {  // r or s shorter than 32 bytes occurs once in 128
    Bytes message(8);
    random_.Fill(message);
    ASSERT_OK_AND_ASSIGN(const Bytes signature, signer_->Sign(message));
    ASSERT_EQ(signature.size(), 64u);
    ASSERT_THAT(verifier_->Verify(message, signature), IsOk());
  }
}

TEST_P(BothAlgorithms, SignsMessagesOfAnyLength) {
  for (const size_t size : {0, 1, 63, 64, 65, 100'000}) {
    const Bytes message(size, 0x42);
    ASSERT_OK_AND_ASSIGN(const Bytes signature, signer_->Sign(message));
    EXPECT_THAT(verifier_->Verify(message, signature), IsOk());
  }
}

TEST_P(BothAlgorithms, RefusesEveryFlippedBit) {
  Bytes message = ToBytes("the head of the log");
  ASSERT_OK_AND_ASSIGN(Bytes signature, signer_->Sign(message));
  for (Bytes* bytes : {&message, &signature}) {
    for (size_t bit = 0; bit < 8 * bytes->size(); ++bit) {
      const auto mask = static_cast<uint8_t>(1 << bit % 8);
      (*bytes)[bit / 8] ^= mask;
      EXPECT_THAT(verifier_->Verify(message, signature), FailsCheck("signature")) << bit;
      (*bytes)[bit / 8] ^= mask;
    }
  }
  EXPECT_THAT(verifier_->Verify(message, signature), IsOk());
}

TEST_P(BothAlgorithms, RefusesSignaturesOfAnotherLength) {
  const Bytes message = ToBytes("message");
  ASSERT_OK_AND_ASSIGN(const Bytes signature, signer_->Sign(message));
  for (size_t size = 0; size < signature.size(); ++size) {
    EXPECT_THAT(verifier_->Verify(message, ByteView(signature).first(size)),
                FailsCheck("signature"));
  }
  Bytes longer = signature;
  longer.push_back(0);
  EXPECT_THAT(verifier_->Verify(message, longer), FailsCheck("signature"));
}

TEST_P(BothAlgorithms, RefusesAnotherKeysSignature) {
  ASSERT_OK_AND_ASSIGN(const auto other,
                       CreateSigner(GetParam(), GenerateSignatureSecret(GetParam(), random_)));
  ASSERT_OK_AND_ASSIGN(const Bytes signature, other->Sign(AsBytes("message")));
  EXPECT_THAT(verifier_->Verify(AsBytes("message"), signature), FailsCheck("signature"));
}

TEST_P(BothAlgorithms, RefusesTheOtherAlgorithmsKey) {
  const SignatureAlgorithm other = GetParam() == kP256 ? kEd25519 : kP256;
  EXPECT_THAT(CreateVerifier(other, signer_->public_key()),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// A DER-encoded signature is what OpenSSL makes; the protocol does not use it.
TEST_P(BothAlgorithms, RefusesDer) {
  const Bytes der = Hex("3006020101020101");
  EXPECT_THAT(verifier_->Verify(AsBytes("message"), der), FailsCheck("signature"));
}

// Gives what it was told to, to see how a broken generator is met.
class ScriptedRandom : public Random {
 public:
  explicit ScriptedRandom(std::vector<Bytes> script) : script_(std::move(script)) {}
  void Fill(std::span<uint8_t> out) override {
    const Bytes& next = script_[std::min(next_++, script_.size() - 1)];
    ASSERT_EQ(next.size(), out.size());
    std::copy(next.begin(), next.end(), out.begin());
  }

 private:
  std::vector<Bytes> script_;
  size_t next_ = 0;
};

TEST(GenerateSignatureSecret, SkipsWhatIsNotAScalar) {
  ScriptedRandom random({Bytes(32, 0), Bytes(32, 0xff), Hex(kOrder), Hex(kSecret)});
  EXPECT_EQ(ToHex(GenerateSignatureSecret(kP256, random).Expose()), kSecret);
}

TEST(GenerateSignatureSecretDeathTest, MakesNoKeyFromABrokenGenerator) {
  ScriptedRandom random({Bytes(32, 0)});
  EXPECT_DEATH(GenerateSignatureSecret(kP256, random), "invariant does not hold");
}

}  // namespace
}  // namespace kt::base
