// SPDX-License-Identifier: Apache-2.0
#include "smime/admission.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "smime/openssl_ptr.h"

namespace kt::smime {
namespace {

constexpr unsigned kMinSignatureSecurityBits = 112;
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

struct ParsedEntry {
  Certificate certificate;
  std::vector<Certificate> chain;
};

absl::StatusOr<ParsedEntry> ParseEntry(const CertificateEntry& entry) {
  absl::StatusOr<Certificate> certificate = Certificate::Parse(entry.der);
  if (!certificate.ok()) return base::Annotate(certificate.status(), "certificate");
  ParsedEntry parsed{*std::move(certificate), {}};
  for (size_t i = 0; i < entry.chain.size(); ++i) {
    const std::string which = absl::StrCat("issuer ", i + 1);
    absl::StatusOr<Certificate> issuer = Certificate::Parse(entry.chain[i].der);
    if (!issuer.ok())
      return Malformed("chain-format",
                       absl::StrCat(which, ": ", std::string(issuer.status().message())));
    const Certificate& subject = i == 0 ? parsed.certificate : parsed.chain.back();
    if (X509_check_issued(issuer->x509(), subject.x509()) != X509_V_OK) {
      return Malformed("chain-format", absl::StrCat(which,
                                                    " did not issue the certificate before it; "
                                                    "give issuers nearest first, and no others"));
    }
    const bool repeated =
        issuer->der() == parsed.certificate.der() ||
        std::any_of(parsed.chain.begin(), parsed.chain.end(),
                    [&](const Certificate& other) { return other.der() == issuer->der(); });
    if (repeated) {
      return Malformed("chain-format", absl::StrCat(which, " is there already; give it once"));
    }
    parsed.chain.push_back(*std::move(issuer));
  }
  return parsed;
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
bool RsaNumbersAreSane(const EVP_PKEY* key) {
  BIGNUM* raw_n = nullptr;
  BIGNUM* raw_e = nullptr;
  const bool read = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &raw_n) == 1 &&
                    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &raw_e) == 1;
  const BignumPtr n(raw_n);
  const BignumPtr e(raw_e);
  return read && BN_is_odd(n.get()) && BN_is_odd(e.get()) && !BN_is_one(e.get()) &&
         BN_cmp(e.get(), n.get()) < 0;
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

// Which certificate of the chain that OpenSSL built is at fault; it may have taken another way than
// the issuers that were given.
std::string Describe(const X509* culprit, const ParsedEntry& parsed) {
  if (culprit == nullptr) return "the whole chain";
  const auto is_culprit = [&](const Certificate& other) {
    return X509_cmp(other.x509(), culprit) == 0;
  };
  if (is_culprit(parsed.certificate)) {
    return absl::StrCat("the certificate, issued by ", Shorten(parsed.certificate.issuer()));
  }
  const auto issuer = std::find_if(parsed.chain.begin(), parsed.chain.end(), is_culprit);
  if (issuer == parsed.chain.end()) return "the trust anchor";
  return absl::StrCat("issuer ", issuer - parsed.chain.begin() + 1, ", ",
                      Shorten(issuer->subject()));
}

absl::Status CheckChain(const ParsedEntry& parsed, const TrustAnchors& anchors, uint64_t now_ms) {
  if (anchors.store() == nullptr) {
    return Refused("chain", "no trusted certification authority is configured for this log");
  }
  const BorrowingX509StackPtr untrusted(sk_X509_new_null());
  const X509StoreCtxPtr context(X509_STORE_CTX_new());
  KT_CHECK(untrusted != nullptr && context != nullptr);
  for (const Certificate& issuer : parsed.chain) {
    KT_CHECK(sk_X509_push(untrusted.get(), issuer.x509()) > 0);
  }
  KT_CHECK(X509_STORE_CTX_init(context.get(), anchors.store(), parsed.certificate.x509(),
                               untrusted.get()) == 1);
  KT_CHECK(X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SMIME_SIGN) == 1);
  X509_VERIFY_PARAM* const param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(param, static_cast<time_t>(now_ms / 1000));
  X509_VERIFY_PARAM_set_depth(param, static_cast<int>(kMaxChainCertificates));
  X509_VERIFY_PARAM_set_auth_level(param, kAuthLevel);
  X509_STORE_CTX_set_verify_cb(context.get(), &IgnorePurposeOfLeaf);
  if (X509_verify_cert(context.get()) == 1) return absl::OkStatus();

  const int error = X509_STORE_CTX_get_error(context.get());
  return Refused(
      "chain", absl::StrCat(X509_verify_cert_error_string(error), " (",
                            Describe(X509_STORE_CTX_get_current_cert(context.get()), parsed), "); ",
                            AdviceFor(error)));
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
  KT_ASSIGN_OR_RETURN(const ParsedEntry parsed, ParseEntry(entry));
  KT_RETURN_IF_ERROR(CheckCapabilities(entry.smime_capabilities));
  const Certificate& certificate = parsed.certificate;
  KT_RETURN_IF_ERROR(CheckAddress(certificate, address));
  KT_RETURN_IF_ERROR(CheckAuthority(certificate));
  KT_RETURN_IF_ERROR(CheckExtendedKeyUsage(certificate));
  KT_RETURN_IF_ERROR(CheckKey(certificate, policy));
  KT_RETURN_IF_ERROR(CheckKeyUsage(certificate));
  KT_RETURN_IF_ERROR(CheckSignatureAlgorithm(certificate));
  KT_RETURN_IF_ERROR(CheckValidity(certificate, now_ms));
  if (policy.require_chain) {
    KT_RETURN_IF_ERROR(CheckChain(parsed, policy.trust_anchors, now_ms));
  }
  return absl::OkStatus();
}

}  // namespace kt::smime
