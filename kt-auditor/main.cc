// SPDX-License-Identifier: Apache-2.0
//
// The kt-auditor command.
#include <grpc/support/log.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include "kt-auditor/commands.h"

namespace {

int Run(int argc, char** argv) {
  // gRPC writes what peers sent as it is. What matters of it comes back as a status.
  gpr_set_log_function([](gpr_log_func_args*) {});
  CLI::App app("Independent auditor of Key Transparency logs", "kt-auditor");
  app.footer(kt::auditor::kExitCodesHelp);
  app.set_version_flag("--version", std::string("kt-auditor ") + KT_VERSION);
  app.require_subcommand(1);
  int exit_code = 0;
  kt::auditor::AddInitCommand(app, &exit_code);
  kt::auditor::AddRunCommand(app, &exit_code);
  kt::auditor::AddStatusCommand(app, &exit_code);
  kt::auditor::AddResumeCommand(app, &exit_code);
  kt::auditor::AddExportCommand(app, &exit_code);
  kt::auditor::AddVerifyCommand(app, &exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::cerr << "kt-auditor: " << error.what() << "; see kt-auditor --help\n";
    return kt::auditor::kExitUsage;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    // What is expected comes as a status; this is memory that has run out, and the like.
    std::fprintf(stderr, "kt-auditor: %s\n", error.what());
    return kt::auditor::kExitFailure;
  }
}
