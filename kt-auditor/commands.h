// SPDX-License-Identifier: Apache-2.0
#ifndef KT_AUDITOR_COMMANDS_H_
#define KT_AUDITOR_COMMANDS_H_

#include <CLI/CLI.hpp>

#include "absl/status/status.h"

namespace kt::auditor {

// Exit codes of the kt-auditor command, for scripts.
enum ExitCode : int {
  kExitSuccess = 0,
  kExitFailure = 1,             // of this machine: files, devices
  kExitUsage = 2,               // malformed input or configuration
  kExitVerificationFailed = 3,  // a log misbehaves: a security event
  kExitUnavailable = 4,         // the log's server does not answer
};
inline constexpr char kExitCodesHelp[] =
    "Exit codes: 0 success; 1 failure; 2 usage or configuration; 3 verification failed, a log "
    "misbehaves (a security event); 4 the log's server does not answer.";

// Reports `status` in one line on standard error and gives the exit code that belongs to it.
int ExitCodeOf(const absl::Status& status);

// Each adds a subcommand that, when it is chosen, runs while the command line is parsed and sets
// `exit_code`, which outlives the parsing.
void AddInitCommand(CLI::App& app, int* exit_code);
void AddRunCommand(CLI::App& app, int* exit_code);
void AddStatusCommand(CLI::App& app, int* exit_code);
void AddResumeCommand(CLI::App& app, int* exit_code);
void AddExportCommand(CLI::App& app, int* exit_code);
void AddVerifyCommand(CLI::App& app, int* exit_code);

}  // namespace kt::auditor
#endif  // KT_AUDITOR_COMMANDS_H_
