// SPDX-License-Identifier: Apache-2.0
//
// Certificates made while a test runs: sound ones, and ones broken in exactly one way.
#ifndef TESTS_SMIME_TEST_CERTIFICATES_H_
#define TESTS_SMIME_TEST_CERTIFICATES_H_

#include <openssl/evp.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace kt::smime::testing {

// 2026-01-01 00:00:00 UTC: where the tests' clock stands.
inline constexpr uint64_t kNowMs = 1'767'225'600'000;
inline constexpr int64_t kNowS = 1'767'225'600;
inline constexpr int64_t kDayS = 86'400;

using Key = std::shared_ptr<EVP_PKEY>;
// Keys are made once a process and kind, since an RSA key takes longer than the test of it.
// Kinds: "RSA-1024", "RSA-2048", "P-256", "P-384", "secp256k1", "ED25519", "X25519", "ED448", ...
Key TestKey(const std::string& kind, const std::string& owner = "");

// An RSA public key of 2048 bits whose exponent is 1.
Key KeyWithExponentOne();

// An RSA public key, without its private key, of that many bits in modulus and exponent.
Key RsaPublicKey(int modulus_bits, int exponent_bits);

// A key on P-256 that spells out the curve instead of naming it.
Key KeyWithExplicitCurve();

// What a certificate says. The defaults are a sound certificate for alice@example.com.
struct Spec {
  std::string subject = "Alice";
  Key key = TestKey("P-256", "alice");
  std::vector<std::string> emails = {"alice@example.com"};  // rfc822Name
  std::vector<std::string> utf8_mailboxes;                  // SmtpUTF8Mailbox
  // Values as in OpenSSL's configuration files; nullopt leaves the extension out.
  std::optional<std::string> key_usage = "critical,digitalSignature,keyAgreement";
  std::optional<std::string> extended_key_usage = "emailProtection";
  std::optional<std::string> basic_constraints = "critical,CA:FALSE";
  std::optional<std::string> name_constraints;
  // More extensions: dotted identifier, criticality and the raw value.
  struct Raw {
    std::string oid;
    bool critical;
    base::Bytes value;
  };
  std::vector<Raw> raw_extensions;
  int64_t not_before_s = kNowS - 30 * kDayS;
  int64_t not_after_s = kNowS + 30 * kDayS;
  std::string digest = "SHA256";  // empty for Ed25519 and Ed448 issuers
  uint64_t serial = 7;
};

// A certification authority: a name, a key and its own certificate.
class Authority {
 public:
  static Spec RootSpec(const std::string& name);
  // Signed by itself.
  explicit Authority(const Spec& spec);
  Authority(const Spec& spec, const Authority& issuer);

  base::Bytes Issue(const Spec& spec) const;
  const base::Bytes& der() const { return der_; }
  std::string pem() const;

 private:
  std::string name_;
  Key key_;
  std::string digest_;
  base::Bytes der_;
};

// A file of tests/vectors/rfc9216.
std::string ReadVector(const std::string& name);

}  // namespace kt::smime::testing
#endif  // TESTS_SMIME_TEST_CERTIFICATES_H_
