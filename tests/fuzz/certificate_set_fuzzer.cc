// SPDX-License-Identifier: Apache-2.0
//
// A certificate set as a server hands it out, and the certificates in it. Decoding is exact: what
// is accepted is what encoding gives back. Certificates that parse go through PEM and through
// admission, which must come to a verdict.
#include "base/check.h"
#include "smime/admission.h"
#include "smime/certificate.h"
#include "smime/certificate_set.h"

namespace kt::smime {
namespace {

void CheckEntry(const CertificateEntry& entry) {
  const absl::StatusOr<Certificate> certificate = Certificate::Parse(entry.der);
  if (!certificate.ok()) {
    KT_CHECK(certificate.status().code() == absl::StatusCode::kInvalidArgument);
    return;
  }
  KT_CHECK(certificate->der() == entry.der);
  const absl::StatusOr<std::vector<Certificate>> from_pem = ParsePem(certificate->ToPem());
  KT_CHECK(from_pem.ok() && from_pem->size() == 1 && from_pem->front().der() == entry.der);

  AdmissionPolicy policy;
  policy.require_chain = false;
  for (const Address& address : certificate->addresses()) {
    KT_CHECK(AddressFromLabel(address.label()).ok());
    const absl::Status status = CheckAdmission(entry, address, policy, 1'767'225'600'000);
    KT_CHECK(status.ok() || status.code() == absl::StatusCode::kInvalidArgument ||
             status.code() == absl::StatusCode::kFailedPrecondition);
    KT_CHECK(std::string(status.message()).find('\n') == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const kt::base::ByteView bytes(data, size);
  const absl::StatusOr<CertificateSet> set = CertificateSet::Decode(bytes);
  if (!set.ok()) {
    KT_CHECK(set.status().code() == absl::StatusCode::kInvalidArgument ||
             set.status().code() == absl::StatusCode::kUnimplemented);
    return 0;
  }
  KT_CHECK(set->Encode() == kt::base::ToBytes(bytes));
  const absl::StatusOr<CertificateSet> same = CertificateSet::Create(set->entries());
  KT_CHECK(same.ok() && *same == *set);
  for (const CertificateEntry& entry : set->entries()) CheckEntry(entry);
  return 0;
}

}  // namespace kt::smime
