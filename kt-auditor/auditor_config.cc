// SPDX-License-Identifier: Apache-2.0
#include "kt-auditor/auditor_config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"

namespace kt::auditor {
namespace {

constexpr size_t kMaxConfigBytes = 1 << 20;
constexpr size_t kMaxNameSize = 200;

absl::Status Wrong(const toml::node& node, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("line ", node.source().begin.line, ": ", what));
}

// A misspelt key must not be one that silently does not hold.
absl::Status RefuseUnknown(const toml::table& table, const std::set<std::string>& known) {
  for (const auto& [key, node] : table) {
    if (!known.contains(std::string(key.str()))) {
      return Wrong(node, absl::StrCat(std::string(key.str()), " is not a known key"));
    }
  }
  return absl::OkStatus();
}

enum class Need { kRequired, kOptional };

absl::Status ReadText(const toml::table& table, const char* key, Need need, std::string* out) {
  const toml::node* node = table.get(key);
  if (node == nullptr && need == Need::kOptional) return absl::OkStatus();
  if (node == nullptr) return Wrong(table, absl::StrCat("[[log]] needs ", key));
  const auto value = node->value_exact<std::string>();
  if (!value.has_value() || value->empty()) {
    return Wrong(*node, absl::StrCat(key, " must be a string, not empty"));
  }
  *out = *value;
  return absl::OkStatus();
}

// It becomes a file's name.
bool IsName(const std::string& name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  return name.size() <= kMaxNameSize && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

std::string Resolve(const std::string& path, const std::string& directory) {
  if (path.empty() || path.front() == '/') return path;
  return (std::filesystem::path(directory) / path).string();
}

absl::StatusOr<LogConfig> ReadLog(const toml::table& table, const std::string& directory) {
  LogConfig log;
  std::string fingerprint;
  KT_RETURN_IF_ERROR(
      RefuseUnknown(table, {"name", "server", "tls_name", "ca", "fingerprint", "key"}));
  KT_RETURN_IF_ERROR(ReadText(table, "name", Need::kRequired, &log.name));
  KT_RETURN_IF_ERROR(ReadText(table, "server", Need::kRequired, &log.server.address));
  KT_RETURN_IF_ERROR(ReadText(table, "tls_name", Need::kOptional, &log.server.tls_name));
  KT_RETURN_IF_ERROR(ReadText(table, "ca", Need::kOptional, &log.server.ca_file));
  KT_RETURN_IF_ERROR(ReadText(table, "fingerprint", Need::kRequired, &fingerprint));
  KT_RETURN_IF_ERROR(ReadText(table, "key", Need::kRequired, &log.key));
  if (!IsName(log.name)) {
    return Wrong(table, "name must consist of letters, digits, \".\", \"-\" and \"_\"");
  }
  const absl::StatusOr<base::Hash> hash = ParseFingerprint(fingerprint);
  if (!hash.ok()) return Wrong(table, std::string(hash.status().message()));
  log.fingerprint = *hash;
  log.key = Resolve(log.key, directory);
  log.server.ca_file = Resolve(log.server.ca_file, directory);
  return log;
}

}  // namespace

absl::StatusOr<base::Hash> ParseFingerprint(const std::string& text) {
  const std::string prefix = "sha256:";
  base::Hash hash;
  std::optional<base::Bytes> bytes;
  if (text.starts_with(prefix)) bytes = base::FromHex(text.substr(prefix.size()));
  if (!bytes.has_value() || bytes->size() != hash.bytes.size()) {
    return absl::InvalidArgumentError(
        "a fingerprint is \"sha256:\" and 64 hexadecimal digits, as kt-server config shows it");
  }
  std::copy(bytes->begin(), bytes->end(), hash.bytes.begin());
  return hash;
}

absl::StatusOr<AuditorConfig> ParseAuditorConfig(const std::string& text,
                                                 const std::string& directory) {
  toml::table file;
  try {
    file = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("line ", error.source().begin.line, ": ", std::string(error.description())));
  }
  AuditorConfig config;
  KT_RETURN_IF_ERROR(RefuseUnknown(file, {"state", "log"}));
  KT_RETURN_IF_ERROR(ReadText(file, "state", Need::kOptional, &config.state));
  config.state = Resolve(config.state, directory);
  const toml::node* logs = file.get("log");
  if (logs == nullptr) return config;
  if (logs->as_array() == nullptr) return Wrong(*logs, "logs are written as [[log]]");
  std::set<std::string> names;
  for (const toml::node& node : *logs->as_array()) {
    if (node.as_table() == nullptr) return Wrong(node, "logs are written as [[log]]");
    KT_ASSIGN_OR_RETURN(LogConfig log, ReadLog(*node.as_table(), directory));
    if (!names.insert(log.name).second) {
      return Wrong(node, absl::StrCat("there are two logs with the name ", log.name));
    }
    config.logs.push_back(std::move(log));
  }
  return config;
}

absl::StatusOr<AuditorConfig> LoadAuditorConfig(const std::string& path) {
  KT_ASSIGN_OR_RETURN(const base::Bytes text, base::ReadFile(path, kMaxConfigBytes));
  const std::string directory = std::filesystem::absolute(path).parent_path().string();
  absl::StatusOr<AuditorConfig> config = ParseAuditorConfig(base::ToText(text), directory);
  if (!config.ok()) return base::Annotate(config.status(), path);
  return config;
}

}  // namespace kt::auditor
