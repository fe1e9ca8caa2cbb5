// SPDX-License-Identifier: Apache-2.0
//
// The kt-client command.
#include <grpc/support/log.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "absl/status/status.h"
#include "base/status.h"
#include "kt-client/commands.h"
#include "vrf/implementation.h"

namespace {

// The environment may keep the VRF from vector instructions, or from code that is not a library's.
absl::Status ReadEnvironment() {
  const char* word = std::getenv("KT_VRF_IMPLEMENTATION");
  if (word == nullptr || *word == '\0') return absl::OkStatus();
  return kt::base::Annotate(kt::vrf::LimitDefaultImplementation(word), "KT_VRF_IMPLEMENTATION");
}

int Run(int argc, char** argv) {
  // gRPC writes what peers sent as it is. What matters of it comes back as a status.
  gpr_set_log_function([](gpr_log_func_args*) {});
  CLI::App app("Key Transparency client for S/MIME certificates", "kt-client");
  app.footer(kt::client::kExitCodesHelp);
  app.set_version_flag("--version", std::string("kt-client ") + KT_VERSION);
  app.require_subcommand(1);
  if (const absl::Status status = ReadEnvironment(); !status.ok()) {
    std::cerr << "kt-client: " << status.message() << "\n";
    return kt::client::kExitUsage;
  }
  int exit_code = 0;
  kt::client::AddLookupCommand(app, &exit_code);
  kt::client::AddHistoryCommand(app, &exit_code);
  kt::client::AddPublishCommand(app, &exit_code);
  kt::client::AddOwnCommand(app, &exit_code);
  kt::client::AddMonitorCommand(app, &exit_code);
  kt::client::AddHeadsCommand(app, &exit_code);
  kt::client::AddCredentialCommand(app, &exit_code);
  kt::client::AddCompareHeadsCommand(app, &exit_code);
  kt::client::AddVerifyCommand(app, &exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::cerr << "kt-client: " << error.what() << "; see kt-client --help\n";
    return kt::client::kExitUsage;
  }
  std::cout.flush();
  if (!std::cout) {
    std::cerr << "kt-client: cannot write to standard output\n";
    return kt::client::kExitUsage;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    // What is expected comes as a status; this is memory that has run out, and the like.
    std::fprintf(stderr, "kt-client: %s\n", error.what());
    return kt::client::kExitUsage;
  }
}
