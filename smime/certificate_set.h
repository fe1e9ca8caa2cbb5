// SPDX-License-Identifier: Apache-2.0
//
// The value that the log holds for an address: all certificates that the address wants to be found
// under from that version on. docs/certificate-set.md specifies the encoding byte for byte.
#ifndef SMIME_CERTIFICATE_SET_H_
#define SMIME_CERTIFICATE_SET_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/codec.h"
#include "smime/certificate.h"

namespace kt::smime {

inline constexpr uint16_t kCertificateSetFormat = 1;
inline constexpr size_t kMaxSetCertificates = 64;
inline constexpr size_t kMaxChainCertificates = 8;
inline constexpr size_t kMaxSmimeCapabilitiesSize = 4096;
inline constexpr size_t kMaxCertificateSetSize = 256u << 10;  // of the whole encoding

// docs/certificate-set.md:
//
//   struct {
//     opaque der<1..2^16-1>;
//   } ChainCertificate;
struct ChainCertificate {
  base::Bytes der;

  bool operator==(const ChainCertificate&) const = default;
  static constexpr auto Fields() {
    return base::codec::List(
        base::codec::Opaque<uint16_t>(&ChainCertificate::der, kMaxCertificateSize));
  }
};

// docs/certificate-set.md:
//
//   struct {
//     opaque der<1..2^16-1>;
//     ChainCertificate chain<0..8>;
//     opaque smime_capabilities<0..4096>;
//   } CertificateEntry;
struct CertificateEntry {
  base::Bytes der;                      // the certificate
  std::vector<ChainCertificate> chain;  // issuers, nearest first; the root may be left out
  base::Bytes smime_capabilities;  // DER SMIMECapabilities (RFC 8551 §2.5.2); empty if unknown

  bool operator==(const CertificateEntry&) const = default;
  static constexpr auto Fields() {
    return base::codec::List(
        base::codec::Opaque<uint16_t>(&CertificateEntry::der, kMaxCertificateSize),
        base::codec::Vector<uint8_t>(&CertificateEntry::chain, kMaxChainCertificates),
        base::codec::Opaque<uint16_t>(&CertificateEntry::smime_capabilities,
                                      kMaxSmimeCapabilitiesSize));
  }
};

// How entries change a set: they become all of it, join it, or leave it, named by their `der`.
enum class SetChange { kReplace, kAdd, kRemove };

// Entries in strictly ascending order of their `der`, within the bounds above. The empty set says
// that the address has withdrawn all of its certificates.
//
// A set says nothing of the certificates in it: they need not even parse. Publishers call
// CheckAdmission first; whoever decodes a set parses its certificates with Certificate::Parse.
class CertificateSet {
 public:
  CertificateSet() = default;

  // The set of exactly `entries`, in any order. kInvalidArgument if two have the same `der`, if a
  // bound is exceeded, or if a certificate is empty.
  static absl::StatusOr<CertificateSet> Create(std::vector<CertificateEntry> entries);

  // kInvalidArgument unless `encoded` is exactly the encoding of a set; kUnimplemented if it is in
  // a format that this version does not know.
  static absl::StatusOr<CertificateSet> Decode(base::ByteView encoded);
  base::Bytes Encode() const;

  const std::vector<CertificateEntry>& entries() const { return entries_; }

  // Adds `entry`; if its certificate is in the set already, its chain and capabilities replace the
  // old ones. kInvalidArgument, with the set unchanged, if a bound would be exceeded.
  absl::Status Add(CertificateEntry entry);
  // kNotFound, with the set unchanged, if no entry has this `der`.
  absl::Status Remove(base::ByteView der);
  // Becomes exactly `entries`, as by Create; unchanged if that fails.
  absl::Status Replace(std::vector<CertificateEntry> entries);
  // Replaces, or adds or removes one after the other. Errors of the first that fails; the set may
  // have changed by then.
  absl::Status Apply(SetChange change, const std::vector<CertificateEntry>& entries);

  bool operator==(const CertificateSet&) const = default;

 private:
  explicit CertificateSet(std::vector<CertificateEntry> entries) : entries_(std::move(entries)) {}

  std::vector<CertificateEntry> entries_;
};

}  // namespace kt::smime
#endif  // SMIME_CERTIFICATE_SET_H_
