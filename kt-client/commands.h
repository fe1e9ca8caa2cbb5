// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CLIENT_COMMANDS_H_
#define KT_CLIENT_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <string>

#include "absl/status/status.h"
#include "kt-client/client.h"

namespace kt::client {

// Exit codes of the kt-client command, for scripts.
enum ExitCode : int {
  kExitFound = 0,               // found and verified
  kExitAbsent = 1,              // verified that there is nothing
  kExitUsage = 2,               // malformed input or an unusable local file
  kExitVerificationFailed = 3,  // a security event
  kExitUnavailable = 4,         // unreachable, or not offered by the domain
  kExitRefused = 5,             // refused by the server's policy
  kExitExpired = 6,             // away for too long: what was seen before has expired, begin anew
};
inline constexpr char kExitCodesHelp[] =
    "Exit codes: 0 found and verified; 1 verified absent, or no certificate of the wanted use; 2 "
    "usage; 3 verification failed (a security event); 4 service unreachable or not offered by the "
    "domain, or the log has erased the value; 5 refused by policy, or nothing but certificates "
    "that nobody should use; 6 what was seen of the log before has expired.";

// Options that all commands which talk to a server share.
struct CommonOptions {
  ClientOptions client;
  bool json = false;
};
// Where state is kept unless something else is asked for; empty if there is no such place.
std::string DefaultStateDirectory();
void AddCommonOptions(CLI::App* command, CommonOptions* options);

// Reports an error on standard error, in one line ("kt-client: ..."), or with `json` as
// {"error":{...}} on standard output as well, and gives its exit code.
int ReportError(const absl::Status& status, bool json);

// Each adds a subcommand that, when it is chosen, runs while the command line is parsed and sets
// `exit_code`, which outlives the parsing.
void AddLookupCommand(CLI::App& app, int* exit_code);
void AddHistoryCommand(CLI::App& app, int* exit_code);
void AddPublishCommand(CLI::App& app, int* exit_code);
void AddOwnCommand(CLI::App& app, int* exit_code);
void AddMonitorCommand(CLI::App& app, int* exit_code);
void AddHeadsCommand(CLI::App& app, int* exit_code);
void AddCredentialCommand(CLI::App& app, int* exit_code);
void AddCompareHeadsCommand(CLI::App& app, int* exit_code);
void AddVerifyCommand(CLI::App& app, int* exit_code);

}  // namespace kt::client
#endif  // KT_CLIENT_COMMANDS_H_
