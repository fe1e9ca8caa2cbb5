// SPDX-License-Identifier: Apache-2.0
//
// Files that kt-server init makes, and public keys in them.
#ifndef KT_SERVER_KEY_FILES_H_
#define KT_SERVER_KEY_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "kt-core/cipher_suite.h"

namespace kt::server {

// Creates the directories that `path` lies in. The innermost one, if it is new, is for its owner
// only.
absl::Status MakeParentDirectory(const std::string& path);

// kAlreadyExists if there is anything at `path`.
absl::Status RefuseExisting(const std::string& path);

// The public key of a signature algorithm, as one line of hexadecimal digits; secret ones are in
// base/key_file.h. kInvalidArgument if the file does not hold one of `suite`.
absl::Status WritePublicKey(const std::string& path, base::ByteView key);
absl::StatusOr<base::Bytes> ReadPublicKey(const std::string& path, core::CipherSuite suite);

}  // namespace kt::server
#endif  // KT_SERVER_KEY_FILES_H_
