// SPDX-License-Identifier: Apache-2.0
//
// Secret keys in files: one line of hexadecimal digits, mode 0600.
#ifndef BASE_KEY_FILE_H_
#define BASE_KEY_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/secret.h"

namespace kt::base {

// As WriteFileAtomically.
absl::Status WriteSecretKey(const std::string& path, const SecretBytes& secret);

// kPermissionDenied if group or others have access, kInvalidArgument if it is not such a line.
absl::StatusOr<SecretBytes> ReadSecretKey(const std::string& path);

}  // namespace kt::base
#endif  // BASE_KEY_FILE_H_
