// SPDX-License-Identifier: Apache-2.0
#include "smime/reader_policy.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status.h"

namespace kt::smime {
namespace {

absl::Status Unusable(const std::string& reason) { return absl::FailedPreconditionError(reason); }

absl::StatusOr<Certificate> Read(const CertificateEntry& entry, const Address& address,
                                 uint64_t now_ms) {
  KT_ASSIGN_OR_RETURN(Certificate certificate, Certificate::Parse(entry.der));
  const std::vector<Address>& names = certificate.addresses();
  if (std::find(names.begin(), names.end(), address) == names.end()) {
    return Unusable("it does not name the address");
  }
  const auto now = static_cast<int64_t>(std::min<uint64_t>(now_ms, INT64_MAX));
  if (now < certificate.not_before_ms()) return Unusable("it is not valid yet");
  if (now >= certificate.not_after_ms()) return Unusable("it has expired");
  if (!certificate.can_sign() && !certificate.can_encrypt()) {
    return Unusable("its key or its usages allow neither to sign nor to encrypt mail");
  }
  return certificate;
}

}  // namespace

SortedEntries SortEntries(const CertificateSet& set, const Address& address, uint64_t now_ms) {
  SortedEntries sorted;
  for (size_t i = 0; i < set.entries().size(); ++i) {
    absl::StatusOr<Certificate> certificate = Read(set.entries()[i], address, now_ms);
    if (certificate.ok()) {
      sorted.usable.push_back({i, *std::move(certificate)});
    } else {
      sorted.passed_over.push_back({i, std::string(certificate.status().message())});
    }
  }
  return sorted;
}

}  // namespace kt::smime
