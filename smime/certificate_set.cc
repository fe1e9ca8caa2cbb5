// SPDX-License-Identifier: Apache-2.0
#include "smime/certificate_set.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace kt::smime {
namespace {

namespace codec = base::codec;

// docs/certificate-set.md:
//
//   struct {
//     uint16 format = 1;
//     CertificateEntry certificates<0..64>;
//   } CertificateSet;
struct Encoded {
  uint16_t format = kCertificateSetFormat;
  std::vector<CertificateEntry> certificates;

  static constexpr auto Fields() {
    return codec::List(&Encoded::format,
                       codec::Vector<uint8_t>(&Encoded::certificates, kMaxSetCertificates));
  }
};

bool DerLess(const CertificateEntry& a, const CertificateEntry& b) { return a.der < b.der; }

// Everything that a set must satisfy; `entries` are in their order already.
absl::Status CheckEntries(const std::vector<CertificateEntry>& entries) {
  for (size_t i = 0; i < entries.size(); ++i) {
    const CertificateEntry& entry = entries[i];
    if (entry.der.empty()) return absl::InvalidArgumentError("a certificate in the set is empty");
    for (const ChainCertificate& issuer : entry.chain) {
      if (issuer.der.empty()) return absl::InvalidArgumentError("a chain certificate is empty");
    }
    if (i > 0 && entries[i - 1].der == entry.der) {
      return absl::InvalidArgumentError("a certificate is twice in the set");
    }
    if (i > 0 && entry.der < entries[i - 1].der) {
      return absl::InvalidArgumentError("the certificates of the set are not in ascending order");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<base::Bytes> EncodeBounded(std::vector<CertificateEntry> entries) {
  KT_ASSIGN_OR_RETURN(base::Bytes encoded,
                      codec::TryEncode(Encoded{.certificates = std::move(entries)}));
  if (encoded.size() > kMaxCertificateSetSize) {
    return absl::InvalidArgumentError(
        absl::StrCat("the certificate set would take ", encoded.size(), " bytes, and ",
                     kMaxCertificateSetSize, " are allowed; remove certificates or their chains"));
  }
  return encoded;
}

}  // namespace

absl::StatusOr<CertificateSet> CertificateSet::Create(std::vector<CertificateEntry> entries) {
  if (entries.size() > kMaxSetCertificates) {
    return absl::InvalidArgumentError(absl::StrCat("the set would have ", entries.size(),
                                                   " certificates, and ", kMaxSetCertificates,
                                                   " are allowed; remove some"));
  }
  std::sort(entries.begin(), entries.end(), DerLess);
  KT_RETURN_IF_ERROR(CheckEntries(entries));
  const absl::StatusOr<base::Bytes> encoded = EncodeBounded(entries);
  if (!encoded.ok()) return encoded.status();
  return CertificateSet(std::move(entries));
}

absl::StatusOr<CertificateSet> CertificateSet::Decode(base::ByteView encoded) {
  if (encoded.size() > kMaxCertificateSetSize) {
    return absl::InvalidArgumentError("the certificate set is too long");
  }
  uint16_t format = 0;
  if (codec::Reader(encoded).Int(&format) && format != kCertificateSetFormat) {
    return absl::UnimplementedError(
        absl::StrCat("the certificate set is in format ", format, "; this version knows format ",
                     kCertificateSetFormat, " only and has to be updated"));
  }
  absl::StatusOr<Encoded> decoded = codec::Decode<Encoded>(encoded);
  if (!decoded.ok()) return base::Annotate(decoded.status(), "certificate set");
  KT_RETURN_IF_ERROR(CheckEntries(decoded->certificates));
  return CertificateSet(std::move(decoded->certificates));
}

base::Bytes CertificateSet::Encode() const {
  absl::StatusOr<base::Bytes> encoded = EncodeBounded(entries_);
  KT_CHECK(encoded.ok());
  return *std::move(encoded);
}

absl::Status CertificateSet::Add(CertificateEntry entry) {
  std::vector<CertificateEntry> entries = entries_;
  std::erase_if(entries, [&](const CertificateEntry& old) { return old.der == entry.der; });
  entries.push_back(std::move(entry));
  return Replace(std::move(entries));
}

absl::Status CertificateSet::Remove(base::ByteView der) {
  const auto at =
      std::find_if(entries_.begin(), entries_.end(), [&](const CertificateEntry& entry) {
        return std::equal(entry.der.begin(), entry.der.end(), der.begin(), der.end());
      });
  if (at == entries_.end()) {
    return absl::NotFoundError("the certificate to remove is not in the set");
  }
  entries_.erase(at);
  return absl::OkStatus();
}

absl::Status CertificateSet::Replace(std::vector<CertificateEntry> entries) {
  KT_ASSIGN_OR_RETURN(*this, Create(std::move(entries)));
  return absl::OkStatus();
}

absl::Status CertificateSet::Apply(SetChange change, const std::vector<CertificateEntry>& entries) {
  if (change == SetChange::kReplace) return Replace(entries);
  for (const CertificateEntry& entry : entries) {
    KT_RETURN_IF_ERROR(change == SetChange::kAdd ? Add(entry) : Remove(entry.der));
  }
  return absl::OkStatus();
}

}  // namespace kt::smime
