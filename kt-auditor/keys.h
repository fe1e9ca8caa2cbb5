// SPDX-License-Identifier: Apache-2.0
#ifndef KT_AUDITOR_KEYS_H_
#define KT_AUDITOR_KEYS_H_

#include <string>

#include "absl/status/status.h"
#include "base/random.h"
#include "base/signature.h"

namespace kt::auditor {

// Makes a fresh key: the secret in `path` (base/key_file.h), the public key in `path`.pub, each one
// line of hexadecimal digits. kAlreadyExists if one of the files is there.
absl::Status CreateKeyFiles(const std::string& path, base::SignatureAlgorithm algorithm,
                            base::Random& random);

}  // namespace kt::auditor
#endif  // KT_AUDITOR_KEYS_H_
