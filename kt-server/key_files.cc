// SPDX-License-Identifier: Apache-2.0
#include "kt-server/key_files.h"

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/signature.h"
#include "base/status.h"

namespace kt::server {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxKeyFileBytes = 4096;
constexpr mode_t kPublicMode = 0644;

}  // namespace

absl::Status MakeParentDirectory(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  std::error_code error;
  if (!parent.empty() && fs::create_directories(parent, error)) {
    fs::permissions(parent, fs::perms::owner_all, error);
  }
  if (error)
    return absl::UnavailableError(
        absl::StrCat("cannot create ", parent.string(), ": ", error.message()));
  return absl::OkStatus();
}

absl::Status RefuseExisting(const std::string& path) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(path, " exists; a log is created only once"));
}

absl::Status WritePublicKey(const std::string& path, base::ByteView key) {
  const std::string line = base::ToHex(key) + "\n";
  return base::WriteFileAtomically(path, base::AsBytes(line), kPublicMode);
}

absl::StatusOr<base::Bytes> ReadPublicKey(const std::string& path, core::CipherSuite suite) {
  KT_ASSIGN_OR_RETURN(const base::Bytes file, base::ReadFile(path, kMaxKeyFileBytes));
  std::string line = base::ToText(file);
  if (!line.empty() && line.back() == '\n') line.pop_back();
  std::optional<base::Bytes> key = base::FromHex(line);
  if (!key.has_value() || !base::CreateVerifier(core::SignatureAlgorithmOf(suite), *key).ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a public key of cipher suite ",
                                                   core::NameOf(suite),
                                                   " in one line of hexadecimal digits"));
  }
  return *std::move(key);
}

}  // namespace kt::server
