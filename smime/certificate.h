// SPDX-License-Identifier: Apache-2.0
//
// One X.509 certificate, and what S/MIME needs to know of it (RFC 5280, RFC 8550).
#ifndef SMIME_CERTIFICATE_H_
#define SMIME_CERTIFICATE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/types.h"
#include "smime/address.h"

struct x509_st;  // OpenSSL's X509

namespace kt::smime {

inline constexpr size_t kMaxCertificateSize = 65535;  // bytes of DER
inline constexpr size_t kMaxExtensions = 32;
inline constexpr size_t kMaxSubjectAltNames = 64;  // of any kind, in one certificate
inline constexpr size_t kMaxPemSize = 4u << 20;
inline constexpr size_t kMaxPemCertificates = 512;

enum class KeyAlgorithm {
  kRsa,     // rsaEncryption
  kRsaPss,  // id-RSASSA-PSS: signs only
  kP256,
  kP384,
  kP521,
  kEd25519,
  kEd448,
  kX25519,
  kX448,
  kOther,  // another curve, explicit curve parameters, or an algorithm OpenSSL does not know
};

// The bits of the keyUsage extension, RFC 5280 §4.2.1.3.
enum KeyUsage : uint32_t {
  kDigitalSignature = 1u << 0,
  kNonRepudiation = 1u << 1,
  kKeyEncipherment = 1u << 2,
  kDataEncipherment = 1u << 3,
  kKeyAgreement = 1u << 4,
  kKeyCertSign = 1u << 5,
  kCrlSign = 1u << 6,
  kEncipherOnly = 1u << 7,
  kDecipherOnly = 1u << 8,
};

// An immutable certificate. Cheap to copy, thread-safe.
class Certificate {
 public:
  // kInvalidArgument unless `der` is exactly one certificate of at most kMaxCertificateSize bytes
  // with at most kMaxExtensions extensions, of which the standard ones are well formed, and at most
  // kMaxSubjectAltNames names. Nothing is said about trust, time or strength: that is
  // CheckAdmission's.
  static absl::StatusOr<Certificate> Parse(base::ByteView der);

  // The same for a certificate in a chain: addresses() stays empty, since working them out costs
  // more than all the rest, and nobody asks.
  static absl::StatusOr<Certificate> ParseIssuer(base::ByteView der);

  const base::Bytes& der() const { return data_->der; }
  // One CERTIFICATE block with a final newline.
  std::string ToPem() const;

  // Distinguished names as RFC 4514 text in UTF-8, control characters escaped. For people only.
  const std::string& subject() const { return data_->subject; }
  const std::string& issuer() const { return data_->issuer; }
  // Two lower-case hexadecimal digits for each byte.
  const std::string& serial_hex() const { return data_->serial_hex; }
  // SHA-256 of the DER.
  const base::Hash& fingerprint() const { return data_->fingerprint; }
  // Milliseconds since the Unix epoch, negative before it.
  int64_t not_before_ms() const { return data_->not_before_ms; }
  int64_t not_after_ms() const { return data_->not_after_ms; }

  // The addresses in subjectAltName, without duplicates, in the order of the certificate:
  // rfc822Names, and those SmtpUTF8Mailboxes (RFC 9598) that have a local part beyond ASCII, for
  // which RFC 9598 §3 reserves them, and are in normal form already. Names that are no address are
  // left out; so is the subject's emailAddress.
  const std::vector<Address>& addresses() const { return data_->addresses; }

  KeyAlgorithm key_algorithm() const { return data_->key_algorithm; }
  // Size of the RSA modulus, the curve's field or the like; 0 if unknown.
  unsigned key_bits() const { return data_->key_bits; }
  // Such as "RSA 2048", "P-256" or "X25519"; for kOther what is known of it. For people only.
  const std::string& key_text() const { return data_->key_text; }
  // Bits of security of the issuer's signature, digest included (SHA-1 gives less than 80); 0 if
  // the algorithm is unknown.
  unsigned signature_security_bits() const { return data_->signature_security_bits; }

  // Bits of KeyUsage; nullopt if the certificate does not have the extension.
  std::optional<uint32_t> key_usage() const { return data_->key_usage; }
  // Dotted object identifiers; nullopt if the certificate does not have the extension.
  const std::optional<std::vector<std::string>>& extended_key_usage() const {
    return data_->extended_key_usage;
  }
  bool has_email_protection() const;
  // Claims, in whatever way, to be a certification authority.
  bool is_ca() const { return data_->is_ca; }

  // RFC 8550 §4.4.2 and §4.4.4. The key's algorithm can do it, keyUsage is absent or allows it, and
  // extendedKeyUsage is absent or holds emailProtection or anyExtendedKeyUsage.
  //   signing     RSA, RSA-PSS, EC, Ed25519, Ed448: digitalSignature or nonRepudiation
  //   encryption  RSA: keyEncipherment; EC, X25519, X448: keyAgreement without encipherOnly
  bool can_sign() const;
  bool can_encrypt() const;

  // For OpenSSL calls; belongs to this object.
  x509_st* x509() const { return data_->x509.get(); }

 private:
  struct Data {
    std::shared_ptr<x509_st> x509;
    base::Bytes der;
    std::string subject, issuer, serial_hex;
    base::Hash fingerprint;
    int64_t not_before_ms = 0, not_after_ms = 0;
    std::vector<Address> addresses;
    KeyAlgorithm key_algorithm = KeyAlgorithm::kOther;
    unsigned key_bits = 0;
    std::string key_text;
    unsigned signature_security_bits = 0;
    std::optional<uint32_t> key_usage;
    std::optional<std::vector<std::string>> extended_key_usage;
    bool is_ca = false;
  };
  static absl::StatusOr<Certificate> Parse(base::ByteView der, bool is_issuer);
  explicit Certificate(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  bool EkuAllowsEmail() const;

  std::shared_ptr<const Data> data_;
};

// Such as "P-256"; for messages and for policies in configuration files.
const char* KeyAlgorithmName(KeyAlgorithm algorithm);

// All CERTIFICATE blocks of `pem`, in order, at least one; text around the blocks is skipped.
// kInvalidArgument if there is none, if a block is not a certificate, or if there is a block of
// another type: above all a private key, which must not travel with certificates.
absl::StatusOr<std::vector<Certificate>> ParsePem(const std::string& pem);

// The blocks of ToPem(), one after the other.
std::string ToPem(std::span<const Certificate> certificates);

}  // namespace kt::smime
#endif  // SMIME_CERTIFICATE_H_
