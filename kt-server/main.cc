// SPDX-License-Identifier: Apache-2.0
//
// The kt-server command.
#include <CLI/CLI.hpp>
#include <iostream>

#include "kt-server/commands.h"

int main(int argc, char** argv) {
  using kt::server::AddConfigCommand;
  using kt::server::AddInitCommand;
  using kt::server::AddRunCommand;
  using kt::server::AddTokenCommand;

  CLI::App app("Key Transparency server for S/MIME certificates", "kt-server");
  app.footer("Exit codes: 0 success, 1 failure, 2 usage.");
  app.require_subcommand(1);
  int exit_code = 0;
  AddInitCommand(app, &exit_code);
  AddRunCommand(app, &exit_code);
  AddConfigCommand(app, &exit_code);
  AddTokenCommand(app, &exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::cerr << "kt-server: " << error.what() << "; see kt-server --help\n";
    return kt::server::kExitUsage;
  }
  return exit_code;
}
