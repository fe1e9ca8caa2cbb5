// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>

#include <csignal>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "kt-server/commands.h"
#include "kt-server/event_log.h"
#include "kt-server/grpc_log.h"
#include "kt-server/operator_server.h"
#include "kt-server/server.h"
#include "kt-server/server_config.h"
#include "vrf/implementation.h"

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

// Each connection takes a file descriptor, and the usual soft limit of 1024 is for programs that
// use select(2).
void RaiseFileLimit() {
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  // If it fails, Server works with what there is.
  setrlimit(RLIMIT_NOFILE, &files);
}

struct RunOptions {
  std::string config;
  bool accept_clock = false;
};

// Until a signal says otherwise.
template <typename AnyServer>
void Serve(AnyServer& server, EventLog& events, const sigset_t& signals) {
  for (int signal = 0; signal != SIGTERM && signal != SIGINT;) {
    if (sigwait(&signals, &signal) != 0 || signal != SIGHUP) continue;
    const absl::Status status = server.ReloadTokens();
    if (status.ok()) {
      events.Info("tokens_reloaded", {});
    } else {
      events.Error("tokens_not_reloaded", {{"error", std::string(status.message())}});
    }
  }
  events.Info("stopping", {});
  server.Stop();
  events.Info("stopped", {});
}

absl::Status Run(const RunOptions& options) {
  KT_ASSIGN_OR_RETURN(const ServerConfig config, LoadServerConfig(options.config));
  KT_RETURN_IF_ERROR(vrf::LimitDefaultImplementation(config.crypto.vrf_implementation));
  EventLog events(config.logging.level);
  const GrpcLogRedirect redirect(events);
  RaiseFileLimit();
  const sigset_t signals = BlockSignals();
  if (config.management.role == ServerConfig::Role::kOperator) {
    KT_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorServer> server,
                        OperatorServer::Start(config, events, base::SystemClock()));
    Serve(*server, events, signals);
    return absl::OkStatus();
  }
  const auto trust =
      options.accept_clock ? Server::ClockTrust::kAccept : Server::ClockTrust::kCheck;
  KT_ASSIGN_OR_RETURN(
      const std::unique_ptr<Server> server,
      Server::Start(config, events, base::SystemClock(), base::SystemRandom(), trust));
  Serve(*server, events, signals);
  return absl::OkStatus();
}

}  // namespace

void AddRunCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<RunOptions>();
  CLI::App* const command = app.add_subcommand(
      "run", "Serve the log until SIGTERM or SIGINT; SIGHUP reads the tokens again");
  command->add_option("--config", options->config, "Configuration file")->required();
  command->add_flag("--accept-clock", options->accept_clock,
                    "Start although the newest log entry is old: the clock has been checked");
  command->callback([=] { *exit_code = ExitCodeOf(Run(*options)); });
}

}  // namespace kt::server
