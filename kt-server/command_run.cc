// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "kt-server/commands.h"
#include "kt-server/event_log.h"
#include "kt-server/server.h"
#include "kt-server/server_config.h"

namespace kt::server {
namespace {

// Blocked in every thread, so that only the main thread takes them, at a point where it may act.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

absl::Status Run(const std::string& path) {
  KT_ASSIGN_OR_RETURN(const ServerConfig config, LoadServerConfig(path));
  EventLog events(config.logging.level);
  const sigset_t signals = BlockSignals();
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Server> server,
                      Server::Start(config, events, base::SystemClock(), base::SystemRandom()));
  for (int signal = 0; signal != SIGTERM && signal != SIGINT;) {
    if (sigwait(&signals, &signal) != 0 || signal != SIGHUP) continue;
    const absl::Status status = server->ReloadTokens();
    if (status.ok()) {
      events.Info("tokens_reloaded", {});
    } else {
      events.Error("tokens_not_reloaded", {{"error", std::string(status.message())}});
    }
  }
  events.Info("stopping", {});
  server->Stop();
  events.Info("stopped", {});
  return absl::OkStatus();
}

}  // namespace

void AddRunCommand(CLI::App& app, int* exit_code) {
  const auto config = std::make_shared<std::string>();
  CLI::App* const command = app.add_subcommand(
      "run", "Serve the log until SIGTERM or SIGINT; SIGHUP reads the tokens again");
  command->add_option("--config", *config, "Configuration file")->required();
  command->callback([=] { *exit_code = ExitCodeOf(Run(*config)); });
}

}  // namespace kt::server
