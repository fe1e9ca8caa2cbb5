// SPDX-License-Identifier: Apache-2.0
#include "kt-auditor/keys.h"

#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"

namespace kt::auditor {
namespace {

constexpr size_t kMaxKeyFileBytes = 4096;
constexpr mode_t kSecretMode = 0600;
constexpr mode_t kPublicMode = 0644;

}  // namespace

absl::Status CreateKeyFiles(const std::string& path, base::SignatureAlgorithm algorithm,
                            base::Random& random) {
  const std::string public_path = path + ".pub";
  for (const std::string& file : {path, public_path}) {
    std::error_code error;
    if (std::filesystem::exists(std::filesystem::symlink_status(file, error))) {
      return absl::AlreadyExistsError(absl::StrCat(file, " exists; a key is made only once"));
    }
  }
  const base::SecretBytes secret = base::GenerateSignatureSecret(algorithm, random);
  KT_ASSIGN_OR_RETURN(const auto signer, base::CreateSigner(algorithm, secret));
  std::string line = base::ToHex(secret.Expose()) + "\n";
  const absl::Status written = base::WriteFileAtomically(path, base::AsBytes(line), kSecretMode);
  base::SecureZero({reinterpret_cast<uint8_t*>(line.data()), line.size()});
  KT_RETURN_IF_ERROR(written);
  const std::string public_line = base::ToHex(signer->public_key()) + "\n";
  return base::WriteFileAtomically(public_path, base::AsBytes(public_line), kPublicMode);
}

absl::StatusOr<base::SecretBytes> ReadSecretKey(const std::string& path) {
  KT_ASSIGN_OR_RETURN(const base::SecretBytes file, base::ReadSecretFile(path, kMaxKeyFileBytes));
  std::string_view line = base::AsText(file.Expose());
  if (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  std::optional<base::Bytes> bytes = base::FromHex(line);
  if (!bytes.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is not a key file: one line of hexadecimal digits is expected"));
  }
  base::SecretBytes secret(*bytes);
  base::SecureZero(*bytes);
  return secret;
}

}  // namespace kt::auditor
