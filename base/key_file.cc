// SPDX-License-Identifier: Apache-2.0
#include "base/key_file.h"

#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"

namespace kt::base {
namespace {

constexpr size_t kMaxKeyFileBytes = 4096;
constexpr mode_t kSecretMode = 0600;

}  // namespace

absl::Status WriteSecretKey(const std::string& path, const SecretBytes& secret) {
  std::string line = ToHex(secret.Expose()) + "\n";
  const absl::Status status = WriteFileAtomically(path, AsBytes(line), kSecretMode);
  SecureZero({reinterpret_cast<uint8_t*>(line.data()), line.size()});
  return status;
}

absl::StatusOr<SecretBytes> ReadSecretKey(const std::string& path) {
  KT_ASSIGN_OR_RETURN(const SecretBytes file, ReadSecretFile(path, kMaxKeyFileBytes));
  std::string_view line = AsText(file.Expose());
  if (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  std::optional<Bytes> bytes = FromHex(line);
  if (!bytes.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is not a key file: one line of hexadecimal digits is expected"));
  }
  SecretBytes secret(*bytes);
  SecureZero(*bytes);
  return secret;
}

}  // namespace kt::base
