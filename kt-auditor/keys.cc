// SPDX-License-Identifier: Apache-2.0
#include "kt-auditor/keys.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/key_file.h"
#include "base/status.h"

namespace kt::auditor {
namespace {

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
  KT_RETURN_IF_ERROR(base::WriteSecretKey(path, secret));
  const std::string public_line = base::ToHex(signer->public_key()) + "\n";
  return base::WriteFileAtomically(public_path, base::AsBytes(public_line), kPublicMode);
}

}  // namespace kt::auditor
