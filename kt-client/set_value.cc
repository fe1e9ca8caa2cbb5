// SPDX-License-Identifier: Apache-2.0
#include "kt-client/set_value.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace kt::client {

absl::StatusOr<smime::CertificateSet> DecodeSet(base::ByteView value) {
  absl::StatusOr<smime::CertificateSet> set = smime::CertificateSet::Decode(value);
  if (set.ok() || set.status().code() == absl::StatusCode::kUnimplemented) return set;
  return base::VerificationFailed("certificate-set",
                                  absl::StrCat("the value in the log is not a certificate set: ",
                                               std::string(set.status().message())));
}

}  // namespace kt::client
