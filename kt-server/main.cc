// SPDX-License-Identifier: Apache-2.0
//
// The kt-server command.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "kt-server/commands.h"

namespace {

// A command that does not exist is what CLI11 only calls a missing one.
std::string Describe(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  const bool no_command = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  if (no_command && !unknown.empty() && unknown[0].rfind('-', 0) != 0) {
    return "there is no command " + unknown[0];
  }
  return error.what();
}

int Run(int argc, char** argv) {
  using kt::server::AddConfigCommand;
  using kt::server::AddEraseCommand;
  using kt::server::AddFsckCommand;
  using kt::server::AddGuardCommand;
  using kt::server::AddInitCommand;
  using kt::server::AddRunCommand;
  using kt::server::AddTokenCommand;

  CLI::App app("Key Transparency server for S/MIME certificates", "kt-server");
  app.footer(
      "Exit codes: 0 success, 1 failure, 2 unknown or missing options, 3 what is stored is damaged "
      "(fsck),\n"
      "4 erased, but files may still hold it for a while (erase).");
  app.set_version_flag("--version", std::string("kt-server ") + KT_VERSION);
  app.require_subcommand(1);
  int exit_code = 0;
  AddInitCommand(app, &exit_code);
  AddRunCommand(app, &exit_code);
  AddConfigCommand(app, &exit_code);
  AddTokenCommand(app, &exit_code);
  AddEraseCommand(app, &exit_code);
  AddGuardCommand(app, &exit_code);
  AddFsckCommand(app, &exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::cerr << "kt-server: " << Describe(app, error) << "; see kt-server --help\n";
    return kt::server::kExitUsage;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  // Debian builds abseil with its search for cycles of locks, which gRPC's locks pay for too. Tests
  // keep it.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    // What is expected comes as a status; this is memory that has run out, and the like.
    std::fprintf(stderr, "kt-server: %s\n", error.what());
    return kt::server::kExitFailure;
  }
}
