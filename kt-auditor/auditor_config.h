// SPDX-License-Identifier: Apache-2.0
#ifndef KT_AUDITOR_AUDITOR_CONFIG_H_
#define KT_AUDITOR_AUDITOR_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/types.h"
#include "kt-auditor/log_connection.h"

namespace kt::auditor {

// A log to be audited.
struct LogConfig {
  std::string name;  // letters, digits, ".", "-" and "_"; distinct
  LogServer server;
  base::Hash fingerprint;  // of its configuration
  std::string key;         // the file of the auditor's secret key
};

// The configuration file (TOML). Paths are absolute or relative to the file's directory; after
// loading they are usable as they are.
struct AuditorConfig {
  std::string state = "state";  // directory
  std::vector<LogConfig> logs;

  std::string StatePath(const LogConfig& log) const { return state + "/" + log.name + ".state"; }
  std::string EvidencePath(const LogConfig& log) const {
    return state + "/" + log.name + ".evidence";
  }
};

// Parses a configuration file's text; `directory` resolves relative paths. kInvalidArgument, naming
// the key and line, for TOML errors, unknown keys, wrong types and values out of range.
absl::StatusOr<AuditorConfig> ParseAuditorConfig(const std::string& text,
                                                 const std::string& directory);

// Reads and parses the file at `path`.
absl::StatusOr<AuditorConfig> LoadAuditorConfig(const std::string& path);

// "sha256:" and 64 hexadecimal digits. kInvalidArgument if it is not that.
absl::StatusOr<base::Hash> ParseFingerprint(const std::string& text);

}  // namespace kt::auditor
#endif  // KT_AUDITOR_AUDITOR_CONFIG_H_
