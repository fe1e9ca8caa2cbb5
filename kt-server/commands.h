// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_COMMANDS_H_
#define KT_SERVER_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <cstdint>

#include "absl/status/status.h"
#include "kt-server/server_config.h"

namespace kt::server {

inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitDamage = 3;      // of fsck
inline constexpr int kExitUnfinished = 4;  // of erase: recorded, but files may hold the values

// The Reasonable Monitoring Window of new logs. docs/decisions/0007 and 0015.
inline constexpr uint64_t kDefaultMonitoringWindowMs = 24 * 3'600 * 1'000;

// Each adds a subcommand that, when it is chosen, runs while the command line is parsed and sets
// `exit_code`, which outlives the parsing.
void AddInitCommand(CLI::App& app, int* exit_code);
void AddRunCommand(CLI::App& app, int* exit_code);
void AddConfigCommand(CLI::App& app, int* exit_code);
void AddGuardCommand(CLI::App& app, int* exit_code);
void AddFsckCommand(CLI::App& app, int* exit_code);
void AddTokenCommand(CLI::App& app, int* exit_code);
void AddEraseCommand(CLI::App& app, int* exit_code);  // erase and erasures

// Reports `status` in one line on standard error and gives the exit code that belongs to it.
int ExitCodeOf(const absl::Status& status);

// kFailedPrecondition if a manager holds the log that `config` is of.
absl::Status CheckHoldsLog(const ServerConfig& config);

}  // namespace kt::server
#endif  // KT_SERVER_COMMANDS_H_
