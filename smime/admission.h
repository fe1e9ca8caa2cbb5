// SPDX-License-Identifier: Apache-2.0
//
// The checks without which no certificate enters the log.
#ifndef SMIME_ADMISSION_H_
#define SMIME_ADMISSION_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "smime/address.h"
#include "smime/certificate.h"
#include "smime/certificate_set.h"

struct x509_store_st;  // OpenSSL's X509_STORE

namespace kt::smime {

// The certification authorities at which a chain may end. Immutable, cheap to copy, thread-safe.
class TrustAnchors {
 public:
  // None: no chain ends here.
  TrustAnchors() = default;

  // From the text of one or several PEM files. kInvalidArgument if it holds no certificates, one
  // that is not a self-signed certification authority, or anything that ParsePem refuses.
  static absl::StatusOr<TrustAnchors> FromPem(const std::string& pem);

  size_t size() const { return size_; }
  // For OpenSSL calls; null if there are none. Belongs to this object.
  x509_store_st* store() const { return store_.get(); }

 private:
  std::shared_ptr<x509_store_st> store_;
  size_t size_ = 0;
};

struct AdmissionPolicy {
  TrustAnchors trust_anchors;
  // Off only where another system vouches for the issuers: then no chain to an anchor is needed.
  bool require_chain = true;

  unsigned min_rsa_bits = 2048;
  unsigned max_rsa_bits = 16384;  // beyond, one signature check costs everybody too much
  std::set<KeyAlgorithm> key_algorithms = {
      KeyAlgorithm::kRsa,   KeyAlgorithm::kRsaPss, KeyAlgorithm::kP256,
      KeyAlgorithm::kP384,  KeyAlgorithm::kP521,   KeyAlgorithm::kEd25519,
      KeyAlgorithm::kEd448, KeyAlgorithm::kX25519, KeyAlgorithm::kX448};

  size_t max_certificate_size = 16u << 10;  // bytes of DER, of the certificate and of each issuer
};

// OK if `entry` may be published for `address` at `now_ms` (milliseconds since the Unix epoch).
//
// Otherwise one line "CHECK: reason; what to do". kInvalidArgument for what is malformed, and
// kFailedPrecondition for what the policy forbids. The checks, in this order:
//   size                 within max_certificate_size and kMaxChainCertificates
//   certificate          is a DER certificate                               (kInvalidArgument)
//   smime-capabilities   empty, or DER SMIMECapabilities                    (kInvalidArgument)
//   address              stands in subjectAltName, compared by normal form
//   authority            is not a certification authority and has no keyCertSign or cRLSign
//   extended-key-usage   names emailProtection; anyExtendedKeyUsage is not enough
//   key                  of an allowed algorithm and size
//   key-usage            allows the key to sign or to be encrypted to (RFC 8550 §4.4.2)
//   signature-algorithm  at least 112 bits of security: not MD5, not SHA-1
//   validity             not_before_ms <= now_ms < not_after_ms
//   chain-format         issuers are DER certificates, nearest first, each of which signed the one
//                        before it, with RSA keys of at most 8192 bits      (kInvalidArgument)
//   chain                leads to a trust anchor, all of it valid for S/MIME at now_ms, through
//                        exactly the issuers given (the anchor may be left out), and within their
//                        name constraints
// Revocation is not checked: that needs the network.
absl::Status CheckAdmission(const CertificateEntry& entry, const Address& address,
                            const AdmissionPolicy& policy, uint64_t now_ms);

}  // namespace kt::smime
#endif  // SMIME_ADMISSION_H_
