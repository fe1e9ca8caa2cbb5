// SPDX-License-Identifier: Apache-2.0
#include "kt-client/commands.h"

#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-client/failure.h"
#include "kt-client/output.h"

namespace kt::client {
namespace {

int ExitCodeOf(const absl::Status& status) {
  if (base::IsVerificationFailure(status)) return kExitVerificationFailed;
  const std::optional<Failure> failure = FailureOf(status);
  if (!failure.has_value()) {
    // What neither the domain nor its server caused is wrong on this machine.
    return status.code() == absl::StatusCode::kUnimplemented ||
                   status.code() == absl::StatusCode::kOutOfRange
               ? kExitUnavailable
               : kExitUsage;
  }
  switch (*failure) {
    case Failure::kNotAllowed:
    case Failure::kRefusedByPolicy:
      return kExitRefused;
    case Failure::kExpired:
      return kExitExpired;
    default:
      return kExitUnavailable;
  }
}

}  // namespace

// Where programs keep state that should survive: XDG Base Directory Specification.
std::string DefaultStateDirectory() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state != '\0') {
    return absl::StrCat(state, "/kt-client");
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return absl::StrCat(home, "/.local/state/kt-client");
  }
  return "";
}

void AddCommonOptions(CLI::App* command, CommonOptions* options) {
  options->client.state_directory = DefaultStateDirectory();
  command->add_option("--dns-server", options->client.dns_servers,
                      "DNS server as HOST:PORT, several separated by commas [the system's]");
  command
      ->add_option("--dns-trust", options->client.dns_trust,
                   "Whose DNSSEC verdict is believed: servers on 'loopback', 'always', 'never'")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, DnsTrust>{{"loopback", DnsTrust::kLoopback},
                                                                  {"always", DnsTrust::kAlways},
                                                                  {"never", DnsTrust::kNever}}))
      ->option_text("TEXT [loopback]");
  command->add_option("--server", options->client.server,
                      "Server as HOST:PORT, instead of what DNS says");
  command->add_option("--ca", options->client.ca_file,
                      "CAs that may vouch for the server (PEM) [the system's]");
  command->add_option("--state", options->client.state_directory, "Directory of the client's state")
      ->capture_default_str();
  command
      ->add_option("--timeout", options->client.timeout_ms,
                   "Milliseconds for finding the server, and for each call")
      ->check(CLI::Range(1, 3'600'000))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print JSON");
}

int ReportError(const absl::Status& status, bool json) {
  const int exit_code = ExitCodeOf(status);
  const std::string message = OneLine(std::string(status.message()));
  const std::optional<std::string> check = base::FailedCheck(status);
  const std::optional<std::string> kept = KeptAt(status);
  if (json) {
    nlohmann::ordered_json error = {{"exit_code", exit_code}, {"message", message}};
    if (check.has_value()) error["failed_check"] = *check;
    if (kept.has_value()) error["kept"] = *kept;
    PrintJson({{"error", std::move(error)}});
  }
  if (check.has_value()) {
    std::cerr << "kt-client: VERIFICATION FAILED (" << *check << "): " << message
              << "; do not use any certificate from this answer";
    if (kept.has_value()) std::cerr << "; kept for 'kt-client verify --kept " << *kept << "'";
    std::cerr << "\n";
  } else {
    std::cerr << "kt-client: " << message << "\n";
  }
  return exit_code;
}

}  // namespace kt::client
