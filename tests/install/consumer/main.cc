// SPDX-License-Identifier: Apache-2.0
//
// What a mail program does, at a server that is not there: the answer must be an error that says
// so, and neither certificates nor their absence.
#include <iostream>

#include "absl/status/status.h"
#include "kt-client/client.h"
#include "kt-client/failure.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  kt::client::ClientOptions options;
  options.state_directory = argv[1];
  options.server = "127.0.0.1:1";
  options.timeout_ms = 5'000;
  const auto client = kt::client::Client::Create(options);
  if (!client.ok()) {
    std::cerr << client.status() << "\n";
    return 1;
  }
  const auto result = (*client)->Lookup("bob@example.com");
  std::cerr << result.status() << "\n";
  const bool unreachable = absl::IsUnavailable(result.status()) &&
                           kt::client::FailureOf(result.status()) == kt::client::Failure::kNoServer;
  return unreachable ? 0 : 1;
}
