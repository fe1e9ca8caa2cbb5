// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CLIENT_SET_VALUE_H_
#define KT_CLIENT_SET_VALUE_H_

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "smime/certificate_set.h"

namespace kt::client {

// The set that a verified value holds. kUnimplemented if it is in a format that this library does
// not know; a verification failure ("certificate-set") if it is none.
absl::StatusOr<smime::CertificateSet> DecodeSet(base::ByteView value);

}  // namespace kt::client
#endif  // KT_CLIENT_SET_VALUE_H_
