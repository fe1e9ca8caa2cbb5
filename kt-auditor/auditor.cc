// SPDX-License-Identifier: Apache-2.0
#include "kt-auditor/auditor.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/key_file.h"
#include "base/status.h"
#include "kt-auditor/keys.h"
#include "kt-auditor/log_follower.h"

namespace kt::auditor {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(200);
// What users are shown waits for the auditor, and an attempt costs little.
constexpr absl::Duration kLongestPause = absl::Seconds(5);
// A stream that lasted so long was no part of the trouble before it.
constexpr absl::Duration kSettled = absl::Seconds(5);

}  // namespace

struct Auditor::Log {
  std::string name;
  base::SecretBytes secret;
  std::unique_ptr<StateFile> file;
  std::unique_ptr<LogConnection> connection;
  std::unique_ptr<LogFollower> follower;
  std::thread thread;
};

Auditor::Auditor(EventLog& events, const base::Clock& clock) : events_(events), clock_(clock) {}

Auditor::~Auditor() { Stop(); }

absl::StatusOr<std::unique_ptr<Auditor>> Auditor::Start(const AuditorConfig& config,
                                                        EventLog& events,
                                                        const base::Clock& clock) {
  if (config.logs.empty()) {
    return absl::InvalidArgumentError("the configuration has no [[log]] to audit");
  }
  std::error_code error;
  if (std::filesystem::create_directories(config.state, error)) {
    std::filesystem::permissions(config.state, std::filesystem::perms::owner_all, error);
  }
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("cannot create ", config.state, ": ", error.message()));
  }
  std::unique_ptr<Auditor> auditor(new Auditor(events, clock));
  for (const LogConfig& log : config.logs) {
    const absl::Status status = auditor->Add(config, log);
    if (!status.ok()) return base::Annotate(status, absl::StrCat("log ", log.name));
  }
  for (const std::unique_ptr<Log>& log : auditor->logs_) {
    log->thread = std::thread([self = auditor.get(), one = log.get()] { self->Run(*one); });
  }
  return auditor;
}

absl::Status Auditor::Add(const AuditorConfig& config, const LogConfig& log_config) {
  auto log = std::make_unique<Log>();
  log->name = log_config.name;
  KT_ASSIGN_OR_RETURN(log->secret, base::ReadSecretKey(log_config.key));
  KT_ASSIGN_OR_RETURN(log->file,
                      StateFile::Open(config.StatePath(log_config), log_config.fingerprint));
  KT_ASSIGN_OR_RETURN(log->connection, ConnectToLog(log_config.server));
  FollowerOptions options;
  options.name = log_config.name;
  options.fingerprint = log_config.fingerprint;
  options.evidence_path = config.EvidencePath(log_config);
  log->follower = std::make_unique<LogFollower>(options, log->secret, *log->connection, *log->file,
                                                events_, clock_);
  events_.Info("auditing", {{"log", log->name},
                            {"server", log_config.server.address},
                            {"tree_size", log->file->stored().state.tree_size}});
  logs_.push_back(std::move(log));
  return absl::OkStatus();
}

void Auditor::Run(Log& log) {
  absl::Duration pause = kFirstPause;
  std::string told;  // a lasting trouble is told once
  while (true) {
    const base::TreeSize before = log.file->stored().state.tree_size;
    const uint64_t messages = log.follower->messages();
    const absl::Time begun = absl::Now();
    const absl::Status status = log.follower->Follow();
    const base::TreeSize after = log.file->stored().state.tree_size;
    if (base::IsVerificationFailure(status)) {
      absl::MutexLock lock(&mutex_);
      ++halted_;
      events_.Error(
          "log_halted",
          {{"log", log.name}, {"tree_size", after}, {"message", std::string(status.message())}});
      return;
    }
    if (stopping()) return;
    // Also if the log had nothing new to show.
    const bool reached = log.follower->messages() > messages;
    if (after > before || (reached && absl::Now() - begun > kSettled)) {
      pause = kFirstPause;
      told.clear();
    }
    if (absl::IsDeadlineExceeded(status)) continue;
    const std::string message(status.message());
    if (!status.ok() && message != told) {
      events_.Error("log_not_followed", {{"log", log.name}, {"message", message}});
      told = message;
    }
    log.connection->AwaitConnection(pause);
    if (stopping()) return;
    pause = std::min(2 * pause, kLongestPause);
  }
}

bool Auditor::stopping() const {
  absl::MutexLock lock(&mutex_);
  return stopping_;
}

size_t Auditor::halted() const {
  absl::MutexLock lock(&mutex_);
  return halted_;
}

void Auditor::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (const std::unique_ptr<Log>& log : logs_) {
    log->connection->Cancel();
    if (log->thread.joinable()) log->thread.join();
  }
}

}  // namespace kt::auditor
