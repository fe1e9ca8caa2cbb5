// SPDX-License-Identifier: Apache-2.0
#include "smime/admission.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "smime/name_constraints.h"
#include "smime/openssl_ptr.h"

namespace kt::smime {
namespace {

constexpr unsigned kMinSignatureSecurityBits = 112;
constexpr int kMaxRsaExponentBits = 256;
constexpr unsigned kMaxIssuerRsaBits = 8192;
constexpr int kAuthLevel = 2;  // OpenSSL's name for the same 112 bits, of keys and digests
constexpr size_t kMaxShownText = 120;

absl::Status Malformed(const std::string& check, const std::string& reason) {
  return absl::InvalidArgumentError(absl::StrCat(check, ": ", reason));
}
absl::Status Refused(const std::string& check, const std::string& reason) {
  return absl::FailedPreconditionError(absl::StrCat(check, ": ", reason));
}

// Cut for a one-line message: names in certificates can be as long as the certificate.
std::string Shorten(const std::string& text) {
  if (text.size() <= kMaxShownText) return text;
  size_t end = kMaxShownText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

// RFC 8551 §2.5.2: SMIMECapabilities is a SEQUENCE OF SEQUENCE { OBJECT IDENTIFIER, ANY OPTIONAL },
// which is OpenSSL's X509_ALGORS.
absl::Status CheckCapabilities(const base::Bytes& der) {
  if (der.empty()) return absl::OkStatus();
  if (der.size() > kMaxSmimeCapabilitiesSize) {
    return Malformed("smime-capabilities",
                     absl::StrCat("longer than ", kMaxSmimeCapabilitiesSize, " bytes"));
  }
  const uint8_t* at = der.data();
  const AlgorithmsPtr list(d2i_X509_ALGORS(nullptr, &at, static_cast<long>(der.size())));
  uint8_t* again = nullptr;
  const int size = list == nullptr ? -1 : i2d_X509_ALGORS(list.get(), &again);
  const OpensslMemory<uint8_t> owner(again);
  if (size < 0 || static_cast<size_t>(size) != der.size() ||
      std::memcmp(again, der.data(), der.size()) != 0) {
    return Malformed("smime-capabilities",
                     "not a DER SMIMECapabilities; leave them out if they are not known");
  }
  return absl::OkStatus();
}

absl::Status CheckSize(const CertificateEntry& entry, const AdmissionPolicy& policy) {
  if (entry.chain.size() > kMaxChainCertificates) {
    return Refused("size", absl::StrCat("the chain has more than ", kMaxChainCertificates,
                                        " issuers; leave the root out, and others that are not "
                                        "needed"));
  }
  size_t longest = entry.der.size();
  for (const ChainCertificate& issuer : entry.chain) longest = std::max(longest, issuer.der.size());
  if (longest > policy.max_certificate_size) {
    return Refused("size", absl::StrCat("a certificate has ", longest, " bytes, and ",
                                        policy.max_certificate_size,
                                        " are allowed; ask its issuer for a smaller one"));
  }
  return absl::OkStatus();
}

absl::Status CheckAddress(const Certificate& certificate, const Address& address) {
  const std::vector<Address>& names = certificate.addresses();
  if (std::find(names.begin(), names.end(), address) != names.end()) return absl::OkStatus();
  if (names.empty()) {
    return Refused("address",
                   "the certificate has no e-mail address in its subjectAltName; ask its issuer "
                   "for one that has");
  }
  const std::string others =
      names.size() == 1 ? "" : absl::StrCat(" and ", names.size() - 1, " more");
  return Refused("address",
                 absl::StrCat("the certificate is for ", names.front().text(), others, ", not for ",
                              address.text(), "; publish it under an address that it names"));
}

absl::Status CheckAuthority(const Certificate& certificate) {
  const uint32_t usage = certificate.key_usage().value_or(0);
  if (!certificate.is_ca() && (usage & (kKeyCertSign | kCrlSign)) == 0) return absl::OkStatus();
  return Refused("authority",
                 "the certificate is of a certification authority; publish the certificate of a "
                 "mailbox");
}

absl::Status CheckExtendedKeyUsage(const Certificate& certificate) {
  if (certificate.has_email_protection()) return absl::OkStatus();
  return Refused("extended-key-usage",
                 "the certificate does not name emailProtection; ask its issuer for an S/MIME "
                 "certificate");
}

// RFC 8017 §3.1: with an even or a trivial exponent nothing is encrypted and anybody can sign.
// FIPS 186-5 §A.1.1 bounds the exponent, and with it the cost of every use of the key.
bool RsaNumbersAreSane(const EVP_PKEY* key) {
  BIGNUM* raw_n = nullptr;
  BIGNUM* raw_e = nullptr;
  const bool read = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &raw_n) == 1 &&
                    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &raw_e) == 1;
  const BignumPtr n(raw_n);
  const BignumPtr e(raw_e);
  return read && BN_is_odd(n.get()) && BN_is_odd(e.get()) && !BN_is_one(e.get()) &&
         BN_cmp(e.get(), n.get()) < 0 && BN_num_bits(e.get()) <= kMaxRsaExponentBits;
}

absl::Status CheckKey(const Certificate& certificate, const AdmissionPolicy& policy) {
  const KeyAlgorithm algorithm = certificate.key_algorithm();
  if (!policy.key_algorithms.contains(algorithm)) {
    std::string allowed;
    for (const KeyAlgorithm other : policy.key_algorithms) {
      absl::StrAppend(&allowed, allowed.empty() ? "" : ", ", KeyAlgorithmName(other));
    }
    return Refused("key", absl::StrCat("the key's algorithm (", certificate.key_text(),
                                       ") is not allowed; use one of ", allowed));
  }
  if (algorithm != KeyAlgorithm::kRsa && algorithm != KeyAlgorithm::kRsaPss) {
    return absl::OkStatus();
  }
  const unsigned bits = certificate.key_bits();
  if (bits < policy.min_rsa_bits || bits > policy.max_rsa_bits) {
    return Refused("key", absl::StrCat("the RSA key has ", bits, " bits; use one of ",
                                       policy.min_rsa_bits, " to ", policy.max_rsa_bits));
  }
  if (!RsaNumbersAreSane(X509_get0_pubkey(certificate.x509()))) {
    return Refused("key", "the RSA modulus or exponent is unusable; make a new key");
  }
  return absl::OkStatus();
}

absl::Status CheckKeyUsage(const Certificate& certificate) {
  if (certificate.can_sign() || certificate.can_encrypt()) return absl::OkStatus();
  return Refused("key-usage",
                 absl::StrCat("keyUsage lets the ", KeyAlgorithmName(certificate.key_algorithm()),
                              " key neither sign nor decrypt mail; ask the issuer for "
                              "digitalSignature, keyEncipherment (RSA) or keyAgreement (others)"));
}

absl::Status CheckSignatureAlgorithm(const Certificate& certificate) {
  if (certificate.signature_security_bits() >= kMinSignatureSecurityBits) return absl::OkStatus();
  return Refused("signature-algorithm",
                 "the issuer's signature is of an unknown or broken algorithm, such as SHA-1; ask "
                 "the issuer for a certificate signed with SHA-256 or better");
}

absl::Status CheckValidity(const Certificate& certificate, uint64_t now_ms) {
  const auto now = static_cast<int64_t>(std::min<uint64_t>(now_ms, INT64_MAX));
  if (now < certificate.not_before_ms()) {
    return Refused("validity", "the certificate is not valid yet; publish it when it is");
  }
  if (now >= certificate.not_after_ms()) {
    return Refused("validity", "the certificate has expired; publish its successor");
  }
  return absl::OkStatus();
}

// --- chain -------------------------------------------------------------------------------

using Chain = std::vector<Certificate>;

// The curves that certification authorities use beside NIST's: RFC 5639.
bool IsBrainpool(const Certificate& issuer) {
  return issuer.key_algorithm() == KeyAlgorithm::kOther &&
         issuer.key_text().starts_with("brainpoolP");
}

// Whether a signature by `issuer` can be checked at a bounded cost. Whether its key is strong
// enough is for the verification of the whole path.
bool KeyIsCheap(const Certificate& issuer) {
  switch (issuer.key_algorithm()) {
    case KeyAlgorithm::kRsa:
    case KeyAlgorithm::kRsaPss:
      return issuer.key_bits() <= kMaxIssuerRsaBits &&
             RsaNumbersAreSane(X509_get0_pubkey(issuer.x509()));
    case KeyAlgorithm::kP256:
    case KeyAlgorithm::kP384:
    case KeyAlgorithm::kP521:
    case KeyAlgorithm::kEd25519:
    case KeyAlgorithm::kEd448:
      return true;
    case KeyAlgorithm::kX25519:
    case KeyAlgorithm::kX448:
      return false;
    case KeyAlgorithm::kOther:
      break;
  }
  return IsBrainpool(issuer);
}

// That the certificate in `der` issued `subject`, by its names and by its signature.
absl::StatusOr<Certificate> ParseIssuerOf(const Certificate& subject, const base::Bytes& der) {
  KT_ASSIGN_OR_RETURN(Certificate issuer, Certificate::ParseIssuer(der));
  if (X509_check_issued(issuer.x509(), subject.x509()) != X509_V_OK) {
    return absl::InvalidArgumentError(
        "it did not issue the certificate before it; give issuers nearest first, and no others");
  }
  if (!KeyIsCheap(issuer)) {
    return absl::InvalidArgumentError(
        absl::StrCat("its key (", issuer.key_text(),
                     ") is not of an algorithm and size that issuers may have; ask for a "
                     "certificate of another issuer"));
  }
  if (X509_verify(subject.x509(), X509_get0_pubkey(issuer.x509())) != 1) {
    return absl::InvalidArgumentError(
        "its key did not make the signature of the certificate before it; give the certificate of "
        "the issuer itself");
  }
  return issuer;
}

absl::StatusOr<Chain> ParseChain(const CertificateEntry& entry, const Certificate& certificate) {
  Chain chain;
  for (size_t i = 0; i < entry.chain.size(); ++i) {
    const std::string which = absl::StrCat("issuer ", i + 1);
    const base::Bytes& der = entry.chain[i].der;
    const bool repeated = der == entry.der ||
                          std::any_of(chain.begin(), chain.end(),
                                      [&](const Certificate& other) { return other.der() == der; });
    if (repeated) {
      return Malformed("chain-format", absl::StrCat(which, " is there already; give it once"));
    }
    absl::StatusOr<Certificate> issuer =
        ParseIssuerOf(chain.empty() ? certificate : chain.back(), der);
    if (!issuer.ok()) {
      return Malformed("chain-format",
                       absl::StrCat(which, ": ", std::string(issuer.status().message())));
    }
    chain.push_back(*std::move(issuer));
  }
  return chain;
}

// OpenSSL's S/MIME purposes know keyEncipherment but not keyAgreement, and would refuse every
// X25519 certificate. The leaf's usages are checked above; the purpose is for its issuers.
int IgnorePurposeOfLeaf(int ok, X509_STORE_CTX* context) {
  if (ok == 0 && X509_STORE_CTX_get_error(context) == X509_V_ERR_INVALID_PURPOSE &&
      X509_STORE_CTX_get_error_depth(context) == 0) {
    return 1;
  }
  return ok;
}

const char* AdviceFor(int error) {
  switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "give all intermediate certificates; if that does not help, this log does not trust "
             "the issuer";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "give a chain whose certificates are all valid now";
    default:
      return "ask the issuer for a certificate with a chain fit for S/MIME";
  }
}

// Which certificate of the path that OpenSSL built is at fault; it may have taken another way than
// the issuers that were given.
std::string Describe(const X509* culprit, const Certificate& certificate, const Chain& chain) {
  if (culprit == nullptr) return "the whole chain";
  const auto is_culprit = [&](const Certificate& other) {
    return X509_cmp(other.x509(), culprit) == 0;
  };
  if (is_culprit(certificate)) {
    return absl::StrCat("the certificate, issued by ", Shorten(certificate.issuer()));
  }
  const auto issuer = std::find_if(chain.begin(), chain.end(), is_culprit);
  if (issuer == chain.end()) return "the trust anchor";
  return absl::StrCat("issuer ", issuer - chain.begin() + 1, ", ", Shorten(issuer->subject()));
}

// What was verified must be what is published: the certificates of `path` after the first are
// `chain`, and a trust anchor that may have been left out.
absl::Status CheckPathIsChain(std::span<X509* const> path, const Chain& chain) {
  const size_t issuers = path.size() - 1;
  bool same = issuers == chain.size() || issuers == chain.size() + 1;
  for (size_t i = 0; same && i < chain.size(); ++i) {
    same = X509_cmp(path[i + 1], chain[i].x509()) == 0;
  }
  if (same) return absl::OkStatus();
  return Refused("chain",
                 "the issuers that were given are not those that lead to a trust anchor; give the "
                 "intermediate certificates of one path, and no others");
}

absl::Status CheckChain(const Certificate& certificate, const Chain& chain,
                        const TrustAnchors& anchors, uint64_t now_ms) {
  if (anchors.store() == nullptr) {
    return Refused("chain", "no trusted certification authority is configured for this log");
  }
  const BorrowingX509StackPtr untrusted(sk_X509_new_null());
  const X509StoreCtxPtr context(X509_STORE_CTX_new());
  KT_CHECK(untrusted != nullptr && context != nullptr);
  for (const Certificate& issuer : chain) {
    KT_CHECK(sk_X509_push(untrusted.get(), issuer.x509()) > 0);
  }
  KT_CHECK(X509_STORE_CTX_init(context.get(), anchors.store(), certificate.x509(),
                               untrusted.get()) == 1);
  KT_CHECK(X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SMIME_SIGN) == 1);
  X509_VERIFY_PARAM* const param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(param, static_cast<time_t>(now_ms / 1000));
  X509_VERIFY_PARAM_set_depth(param, static_cast<int>(kMaxChainCertificates));
  X509_VERIFY_PARAM_set_auth_level(param, kAuthLevel);
  // Else a shorter way than the given one, past a cross-certificate, would be taken.
  KT_CHECK(X509_VERIFY_PARAM_clear_flags(param, X509_V_FLAG_TRUSTED_FIRST) == 1);
  X509_STORE_CTX_set_verify_cb(context.get(), &IgnorePurposeOfLeaf);
  if (X509_verify_cert(context.get()) != 1) {
    const int error = X509_STORE_CTX_get_error(context.get());
    return Refused("chain", absl::StrCat(X509_verify_cert_error_string(error), " (",
                                         Describe(X509_STORE_CTX_get_current_cert(context.get()),
                                                  certificate, chain),
                                         "); ", AdviceFor(error)));
  }
  std::vector<X509*> path;
  const STACK_OF(X509)* const verified = X509_STORE_CTX_get0_chain(context.get());
  path.reserve(chain.size() + 2);
  for (int i = 0; i < sk_X509_num(verified); ++i) path.push_back(sk_X509_value(verified, i));
  KT_RETURN_IF_ERROR(CheckPathIsChain(path, chain));
  const absl::Status constraints =
      CheckMailboxConstraints(certificate.x509(), std::span(path).subspan(1));
  if (!constraints.ok()) {
    return Refused("chain", absl::StrCat(std::string(constraints.message()),
                                         "; ask for a certificate of another issuer"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TrustAnchors> TrustAnchors::FromPem(const std::string& pem) {
  absl::StatusOr<std::vector<Certificate>> certificates = ParsePem(pem);
  if (!certificates.ok()) return base::Annotate(certificates.status(), "trust anchors");
  const ErrorQueueGuard guard;
  X509StorePtr store(X509_STORE_new());
  KT_CHECK(store != nullptr);
  for (const Certificate& certificate : *certificates) {
    if (!certificate.is_ca() || X509_self_signed(certificate.x509(), /*verify_signature=*/0) != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("trust anchors: ", Shorten(certificate.subject()),
                       " is not a root certification authority; give self-signed roots only"));
    }
    KT_CHECK(X509_STORE_add_cert(store.get(), certificate.x509()) == 1);
  }
  TrustAnchors anchors;
  anchors.store_ = std::shared_ptr<X509_STORE>(std::move(store));
  anchors.size_ = certificates->size();
  return anchors;
}

absl::Status CheckAdmission(const CertificateEntry& entry, const Address& address,
                            const AdmissionPolicy& policy, uint64_t now_ms) {
  const ErrorQueueGuard guard;
  KT_RETURN_IF_ERROR(CheckSize(entry, policy));
  const absl::StatusOr<Certificate> parsed = Certificate::Parse(entry.der);
  if (!parsed.ok()) return base::Annotate(parsed.status(), "certificate");
  const Certificate& certificate = *parsed;
  KT_RETURN_IF_ERROR(CheckCapabilities(entry.smime_capabilities));
  KT_RETURN_IF_ERROR(CheckAddress(certificate, address));
  KT_RETURN_IF_ERROR(CheckAuthority(certificate));
  KT_RETURN_IF_ERROR(CheckExtendedKeyUsage(certificate));
  KT_RETURN_IF_ERROR(CheckKey(certificate, policy));
  KT_RETURN_IF_ERROR(CheckKeyUsage(certificate));
  KT_RETURN_IF_ERROR(CheckSignatureAlgorithm(certificate));
  KT_RETURN_IF_ERROR(CheckValidity(certificate, now_ms));
  // Only a certificate that may be published is worth the work on its issuers.
  KT_ASSIGN_OR_RETURN(const Chain chain, ParseChain(entry, certificate));
  if (policy.require_chain) {
    KT_RETURN_IF_ERROR(CheckChain(certificate, chain, policy.trust_anchors, now_ms));
  }
  return absl::OkStatus();
}

}  // namespace kt::smime
