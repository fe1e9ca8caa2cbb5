// SPDX-License-Identifier: Apache-2.0
#include "smime/certificate.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/objects.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"
#include "smime/openssl_ptr.h"
#include "smime/subject_alt_name.h"

namespace kt::smime {
namespace {

constexpr char kEmailProtectionOid[] = "1.3.6.1.5.5.7.3.4";
constexpr char kAnyExtendedKeyUsageOid[] = "2.5.29.37.0";

absl::Status Invalid(const std::string& reason) { return absl::InvalidArgumentError(reason); }

std::string BioText(BIO* bio) {
  const char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : std::string();
}

BioPtr NewMemoryBio() {
  BioPtr bio(BIO_new(BIO_s_mem()));
  KT_CHECK(bio != nullptr);
  return bio;
}

std::string NameText(const X509_NAME* name) {
  const BioPtr bio = NewMemoryBio();
  // Control characters stay escaped, so that a name cannot forge lines of output.
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return BioText(bio.get());
}

absl::StatusOr<std::string> SerialHex(const X509* x509) {
  const BignumPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), nullptr));
  if (number == nullptr) return Invalid("the serial number is malformed");
  const OpensslMemory<char> hex(BN_bn2hex(number.get()));
  KT_CHECK(hex != nullptr);
  std::string text = hex.get();
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c; });
  return text;
}

absl::StatusOr<int64_t> TimeMs(const ASN1_TIME* time) {
  struct tm parts {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return Invalid("a validity date is malformed");
  return static_cast<int64_t>(timegm(&parts)) * 1000;
}

// --- extensions --------------------------------------------------------------------------

absl::StatusOr<std::vector<Address>> Addresses(const X509* x509) {
  KT_ASSIGN_OR_RETURN(std::vector<MailboxName> names, MailboxNames(x509));
  std::vector<Address> addresses;
  std::set<std::string> seen;
  for (MailboxName& name : names) {
    if (!name.address.has_value()) continue;
    if (seen.insert(name.address->text()).second) addresses.push_back(*std::move(name.address));
  }
  return addresses;
}

absl::StatusOr<std::optional<std::vector<std::string>>> ExtendedKeyUsage(const X509* x509) {
  KT_ASSIGN_OR_RETURN(const ExtendedKeyUsagePtr usages,
                      Extension<ExtendedKeyUsagePtr>(x509, NID_ext_key_usage));
  if (usages == nullptr) return std::optional<std::vector<std::string>>();
  std::vector<std::string> oids;
  for (int i = 0; i < sk_ASN1_OBJECT_num(usages.get()); ++i) {
    std::array<char, 128> oid;
    const int size = OBJ_obj2txt(oid.data(), static_cast<int>(oid.size()),
                                 sk_ASN1_OBJECT_value(usages.get(), i), /*no_name=*/1);
    if (size <= 0 || static_cast<size_t>(size) >= oid.size()) {
      return Invalid("the extension extendedKeyUsage holds a malformed identifier");
    }
    oids.emplace_back(oid.data());
  }
  return std::optional(std::move(oids));
}

std::optional<uint32_t> KeyUsageBits(X509* x509) {
  const uint32_t bits = X509_get_key_usage(x509);
  if (bits == UINT32_MAX) return std::nullopt;
  // OpenSSL numbers the bits by their place in the BIT STRING's bytes.
  constexpr std::pair<uint32_t, KeyUsage> kBits[] = {{KU_DIGITAL_SIGNATURE, kDigitalSignature},
                                                     {KU_NON_REPUDIATION, kNonRepudiation},
                                                     {KU_KEY_ENCIPHERMENT, kKeyEncipherment},
                                                     {KU_DATA_ENCIPHERMENT, kDataEncipherment},
                                                     {KU_KEY_AGREEMENT, kKeyAgreement},
                                                     {KU_KEY_CERT_SIGN, kKeyCertSign},
                                                     {KU_CRL_SIGN, kCrlSign},
                                                     {KU_ENCIPHER_ONLY, kEncipherOnly},
                                                     {KU_DECIPHER_ONLY, kDecipherOnly}};
  uint32_t usage = 0;
  for (const auto& [theirs, ours] : kBits) {
    if ((bits & theirs) != 0) usage |= ours;
  }
  return usage;
}

// --- key ---------------------------------------------------------------------------------

// Explicit parameters can describe a curve that only looks like the named one (CVE-2020-0601).
bool HasExplicitCurve(const EVP_PKEY* key) {
  int is_explicit = 0;
  return EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                                &is_explicit) == 1 &&
         is_explicit != 0;
}

KeyAlgorithm CurveOf(const EVP_PKEY* key) {
  char name[64];
  if (HasExplicitCurve(key) || EVP_PKEY_get_group_name(key, name, sizeof(name), nullptr) != 1) {
    return KeyAlgorithm::kOther;
  }
  switch (OBJ_sn2nid(name)) {
    case NID_X9_62_prime256v1:
      return KeyAlgorithm::kP256;
    case NID_secp384r1:
      return KeyAlgorithm::kP384;
    case NID_secp521r1:
      return KeyAlgorithm::kP521;
    default:
      return KeyAlgorithm::kOther;
  }
}

KeyAlgorithm AlgorithmOf(const EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
      return KeyAlgorithm::kRsa;
    case EVP_PKEY_RSA_PSS:
      return KeyAlgorithm::kRsaPss;
    case EVP_PKEY_EC:
      return CurveOf(key);
    case EVP_PKEY_ED25519:
      return KeyAlgorithm::kEd25519;
    case EVP_PKEY_ED448:
      return KeyAlgorithm::kEd448;
    case EVP_PKEY_X25519:
      return KeyAlgorithm::kX25519;
    case EVP_PKEY_X448:
      return KeyAlgorithm::kX448;
    default:
      return KeyAlgorithm::kOther;
  }
}

// `key` is null if OpenSSL does not know its algorithm.
std::string KeyText(const X509* x509, const EVP_PKEY* key, KeyAlgorithm algorithm) {
  if (algorithm == KeyAlgorithm::kRsa || algorithm == KeyAlgorithm::kRsaPss) {
    return absl::StrCat(KeyAlgorithmName(algorithm), " ", EVP_PKEY_get_bits(key));
  }
  if (algorithm != KeyAlgorithm::kOther) return KeyAlgorithmName(algorithm);
  if (key != nullptr && HasExplicitCurve(key)) return "explicit curve parameters";
  std::array<char, 128> text;
  if (key != nullptr && EVP_PKEY_get_group_name(key, text.data(), text.size(), nullptr) == 1) {
    return text.data();
  }
  ASN1_OBJECT* oid = nullptr;
  X509_PUBKEY_get0_param(&oid, nullptr, nullptr, nullptr, X509_get_X509_PUBKEY(x509));
  const int size = OBJ_obj2txt(text.data(), static_cast<int>(text.size()), oid, /*no_name=*/1);
  return size > 0 ? text.data() : KeyAlgorithmName(algorithm);
}

unsigned SignatureSecurityBits(X509* x509) {
  int bits = 0;
  if (X509_get_signature_info(x509, nullptr, nullptr, &bits, nullptr) != 1 || bits < 0) return 0;
  return static_cast<unsigned>(bits);
}

absl::StatusOr<X509Ptr> ParseDer(base::ByteView der) {
  if (der.empty()) return Invalid("the certificate is empty");
  if (der.size() > kMaxCertificateSize)
    return Invalid("the certificate is longer than 65535 bytes");
  const uint8_t* at = der.data();
  X509Ptr x509(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (x509 == nullptr) return Invalid("the bytes are not an X.509 certificate in DER");
  if (at != der.data() + der.size()) return Invalid("bytes follow the certificate");
  uint8_t* again = nullptr;
  const int size = i2d_X509(x509.get(), &again);
  const OpensslMemory<uint8_t> owner(again);
  if (size < 0 || static_cast<size_t>(size) != der.size() ||
      std::memcmp(again, der.data(), der.size()) != 0) {
    return Invalid("the certificate is not in distinguished encoding (DER)");
  }
  if (X509_get_ext_count(x509.get()) > static_cast<int>(kMaxExtensions)) {
    return Invalid(absl::StrCat("the certificate has more than ", kMaxExtensions, " extensions"));
  }
  // Decodes and caches the extensions that OpenSSL knows.
  if ((X509_get_extension_flags(x509.get()) & EXFLAG_INVALID) != 0) {
    return Invalid("an extension of the certificate is malformed or repeated");
  }
  return x509;
}

}  // namespace

absl::StatusOr<Certificate> Certificate::Parse(base::ByteView der) {
  return Parse(der, /*is_issuer=*/false);
}

absl::StatusOr<Certificate> Certificate::ParseIssuer(base::ByteView der) {
  return Parse(der, /*is_issuer=*/true);
}

absl::StatusOr<Certificate> Certificate::Parse(base::ByteView der, bool is_issuer) {
  const ErrorQueueGuard guard;
  KT_ASSIGN_OR_RETURN(X509Ptr parsed, ParseDer(der));
  X509* const x509 = parsed.get();
  auto data = std::make_shared<Data>();
  data->x509 = std::shared_ptr<X509>(std::move(parsed));
  data->der = base::ToBytes(der);
  data->fingerprint = base::Sha256(der);
  data->subject = NameText(X509_get_subject_name(x509));
  data->issuer = NameText(X509_get_issuer_name(x509));
  KT_ASSIGN_OR_RETURN(data->serial_hex, SerialHex(x509));
  KT_ASSIGN_OR_RETURN(data->not_before_ms, TimeMs(X509_get0_notBefore(x509)));
  KT_ASSIGN_OR_RETURN(data->not_after_ms, TimeMs(X509_get0_notAfter(x509)));
  if (is_issuer) {
    KT_RETURN_IF_ERROR(CheckSubjectAltNameCount(x509));
  } else {
    KT_ASSIGN_OR_RETURN(data->addresses, Addresses(x509));
  }
  KT_ASSIGN_OR_RETURN(data->extended_key_usage, ExtendedKeyUsage(x509));
  data->key_usage = KeyUsageBits(x509);
  // X509_check_ca forgives CA:TRUE if keyUsage lacks keyCertSign.
  data->is_ca = X509_check_ca(x509) != 0 || (X509_get_extension_flags(x509) & EXFLAG_CA) != 0;
  data->signature_security_bits = SignatureSecurityBits(x509);
  // Null for a key that OpenSSL does not know: the certificate can still be shown and refused.
  const EVP_PKEY* const key = X509_get0_pubkey(x509);
  if (key != nullptr) {
    data->key_algorithm = AlgorithmOf(key);
    data->key_bits = static_cast<unsigned>(std::max(EVP_PKEY_get_bits(key), 0));
  }
  data->key_text = KeyText(x509, key, data->key_algorithm);
  return Certificate(std::move(data));
}

bool Certificate::has_email_protection() const {
  return extended_key_usage().has_value() &&
         std::find(extended_key_usage()->begin(), extended_key_usage()->end(),
                   kEmailProtectionOid) != extended_key_usage()->end();
}

bool Certificate::EkuAllowsEmail() const {
  return !extended_key_usage().has_value() || has_email_protection() ||
         std::find(extended_key_usage()->begin(), extended_key_usage()->end(),
                   kAnyExtendedKeyUsageOid) != extended_key_usage()->end();
}

bool Certificate::can_sign() const {
  switch (key_algorithm()) {
    case KeyAlgorithm::kRsa:
    case KeyAlgorithm::kRsaPss:
    case KeyAlgorithm::kP256:
    case KeyAlgorithm::kP384:
    case KeyAlgorithm::kP521:
    case KeyAlgorithm::kEd25519:
    case KeyAlgorithm::kEd448:
      break;
    case KeyAlgorithm::kX25519:
    case KeyAlgorithm::kX448:
    case KeyAlgorithm::kOther:
      return false;
  }
  const bool usage =
      !key_usage().has_value() || (*key_usage() & (kDigitalSignature | kNonRepudiation)) != 0;
  return usage && EkuAllowsEmail();
}

bool Certificate::can_encrypt() const {
  bool usage = !key_usage().has_value();
  switch (key_algorithm()) {
    case KeyAlgorithm::kRsa:
      usage = usage || (*key_usage() & kKeyEncipherment) != 0;
      break;
    case KeyAlgorithm::kP256:
    case KeyAlgorithm::kP384:
    case KeyAlgorithm::kP521:
    case KeyAlgorithm::kX25519:
    case KeyAlgorithm::kX448:
      // The recipient's key deciphers, which encipherOnly forbids (RFC 5280 §4.2.1.3).
      usage = usage || (*key_usage() & (kKeyAgreement | kEncipherOnly)) == kKeyAgreement;
      break;
    case KeyAlgorithm::kRsaPss:
    case KeyAlgorithm::kEd25519:
    case KeyAlgorithm::kEd448:
    case KeyAlgorithm::kOther:
      return false;
  }
  return usage && EkuAllowsEmail();
}

const char* KeyAlgorithmName(KeyAlgorithm algorithm) {
  switch (algorithm) {
    case KeyAlgorithm::kRsa:
      return "RSA";
    case KeyAlgorithm::kRsaPss:
      return "RSA-PSS";
    case KeyAlgorithm::kP256:
      return "P-256";
    case KeyAlgorithm::kP384:
      return "P-384";
    case KeyAlgorithm::kP521:
      return "P-521";
    case KeyAlgorithm::kEd25519:
      return "Ed25519";
    case KeyAlgorithm::kEd448:
      return "Ed448";
    case KeyAlgorithm::kX25519:
      return "X25519";
    case KeyAlgorithm::kX448:
      return "X448";
    case KeyAlgorithm::kOther:
      break;
  }
  return "unknown";
}

}  // namespace kt::smime
