// SPDX-License-Identifier: Apache-2.0
#include "kt-server/server.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>
#include <vector>

#include "base/status.h"
#include "kt-server/publish_options.h"

namespace kt::server {
namespace {

// A server that was down for a day by default starts again by itself.
constexpr uint64_t kMaxDowntimeInMaxBehinds = 12;
constexpr auto kAdminShutdownGrace = std::chrono::seconds(5);

}  // namespace

Server::Server(const ServerConfig& config, EventLog& events, const base::Clock& clock)
    : config_(config),
      events_(events),
      clock_(clock),
      gate_(GateOptions(config.limits), clock),
      head_streams_(config.limits.max_head_streams),
      audit_streams_(config.limits.max_auditor_streams) {}

Server::~Server() { Stop(); }

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerConfig& config, EventLog& events,
                                                      const base::Clock& clock,
                                                      base::Random& random, ClockTrust trust) {
  std::unique_ptr<Server> server(new Server(config, events, clock));
  // What is wrong with files or address shows before a tree head is signed.
  KT_ASSIGN_OR_RETURN(server->host_, GrpcHost::Create(config, events, clock));
  KT_RETURN_IF_ERROR(server->OpenTheLog(random, trust));
  KT_RETURN_IF_ERROR(server->MakeServices());
  KT_RETURN_IF_ERROR(server->host_->Listen());
  KT_RETURN_IF_ERROR(server->sequencer_->Start());
  KT_RETURN_IF_ERROR(server->Serve());
  server->StartAdmin();
  if (server->pruner_ != nullptr) server->pruner_->Start();
  if (server->scrubber_ != nullptr) server->scrubber_->Start();
  events.Info("serving", {{"address", server->address()},
                          {"tree_size", server->opened_.log->newest()->size()}});
  return server;
}

absl::Status Server::OpenTheLog(base::Random& random, ClockTrust trust) {
  KT_ASSIGN_OR_RETURN(opened_, OpenLog(config_, random));
  if (opened_.store->manifest_was_torn()) {
    events_.Write(EventLog::Level::kWarn, "manifest_torn", {{"database", config_.log.database}});
  }
  SequencerOptions options;
  options.epoch_interval_ms = static_cast<int>(config_.epoch.interval_ms);
  options.max_idle_ms = MaxIdleMs(config_, opened_.log->config());
  options.max_pending = static_cast<size_t>(config_.limits.max_pending_publishes);
  options.max_pending_bytes = static_cast<size_t>(config_.limits.max_pending_publish_bytes);
  options.max_pending_per_submitter =
      static_cast<size_t>(config_.limits.max_pending_publishes_per_token);
  options.max_pending_per_label =
      static_cast<size_t>(config_.limits.max_pending_publishes_per_address);
  // A head that is ahead by less than max_ahead is one that clients accept.
  constexpr uint64_t kMinClockStepMs = 1000;
  options.max_clock_step_ms = std::max(opened_.log->config().max_ahead / 2, kMinClockStepMs);
  const uint64_t max_behind_ms = opened_.log->config().max_behind;
  if (max_behind_ms <= std::numeric_limits<uint64_t>::max() / kMaxDowntimeInMaxBehinds) {
    options.max_downtime_ms = kMaxDowntimeInMaxBehinds * max_behind_ms;
  }
  options.accept_clock = trust == ClockTrust::kAccept;
  sequencer_ = std::make_unique<Sequencer>(
      options, *opened_.log, clock_,
      [this](const Sequencer::CommitReport& report) { Report(report); },
      [this](const absl::Status& status) { ReportClock(status); },
      [this](const absl::Status& status) { ReportRoom(status); });
  return absl::OkStatus();
}

absl::Status Server::MakeServices() {
  updates_ = std::make_unique<UpdateService>(*opened_.log);
  if (config_.management.role == ServerConfig::Role::kManager) {
    KT_ASSIGN_OR_RETURN(managed_, ManagedUpdates::Create(*opened_.log, *sequencer_));
    manager_grpc_ = std::make_unique<ManagerGrpc>(*managed_, *updates_, gate_);
  } else {
    KT_RETURN_IF_ERROR(MakePublisher());
  }
  search_ = std::make_unique<SearchService>(*opened_.log);
  key_transparency_grpc_ = std::make_unique<KeyTransparencyGrpc>(
      base::codec::Encode(opened_.log->config()), *search_, gate_);
  monitoring_ = std::make_unique<MonitoringService>(*opened_.log);
  monitoring_grpc_ =
      std::make_unique<MonitoringGrpc>(*monitoring_, *opened_.log, gate_, head_streams_);
  if (opened_.log->config().mode == core::DeploymentMode::kThirdPartyAuditing) {
    audit_ = std::make_unique<AuditService>(*opened_.log);
    auditing_grpc_ = std::make_unique<AuditingGrpc>(*audit_, gate_.rate, audit_streams_);
  }
  eraser_ = std::make_unique<Eraser>(*opened_.log, *opened_.store, events_, clock_);
  admin_grpc_ = std::make_unique<AdminGrpc>(*eraser_, *opened_.store);
  PrunerOptions pruning;
  pruning.interval_ms = config_.pruning.interval_ms;
  pruner_ = std::make_unique<Pruner>(pruning, *opened_.log, *opened_.store, clock_,
                                     [this](const Pruner::Report& report) { Report(report); });
  if (config_.scrub.interval_ms > 0) {
    ScrubberOptions scrubbing;
    scrubbing.interval = absl::Milliseconds(config_.scrub.interval_ms);
    scrubbing.first = std::min(scrubbing.first, scrubbing.interval);
    scrubbing.rows_per_second = config_.scrub.rows_per_second;
    scrubber_ = std::make_unique<Scrubber>(
        scrubbing, opened_.log->config(), opened_.layout, *opened_.store,
        [this](const absl::StatusOr<CheckReport>& report) { Report(report); });
  }
  return absl::OkStatus();
}

absl::Status Server::MakePublisher() {
  if (opened_.log->config().mode == core::DeploymentMode::kThirdPartyManagement) {
    return absl::InvalidArgumentError(
        "the log is one with a Third-Party Manager: [management] must say role = \"manager\"");
  }
  KT_ASSIGN_OR_RETURN(PublishService::Options options, LoadPublishOptions(config_));
  KT_ASSIGN_OR_RETURN(Tokens tokens, Tokens::Load(config_.publishers.tokens));
  publish_ =
      std::make_unique<PublishService>(std::move(options), std::move(tokens), *sequencer_, clock_);
  publisher_grpc_ = std::make_unique<PublisherGrpc>(*publish_, *updates_, gate_);
  return absl::OkStatus();
}

absl::Status Server::Serve() {
  std::vector<grpc::Service*> services = {key_transparency_grpc_.get(), monitoring_grpc_.get()};
  if (publisher_grpc_ != nullptr) services.push_back(publisher_grpc_.get());
  if (manager_grpc_ != nullptr) services.push_back(manager_grpc_.get());
  if (auditing_grpc_ != nullptr) services.push_back(auditing_grpc_.get());
  KT_RETURN_IF_ERROR(host_->Serve(services));
  host_->SetHealth("kt.v1.KeyTransparency", true);
  SetWriterHealth(opened_.log->writable().ok());
  return absl::OkStatus();
}

// Without it the log works as well, so this is no reason not to serve.
void Server::StartAdmin() {
  absl::StatusOr<std::unique_ptr<grpc::Server>> admin =
      ServeAdmin(config_.log.database, *admin_grpc_);
  if (admin.ok()) {
    admin_ = *std::move(admin);
  } else {
    events_.Error("admin_not_served", {{"error", std::string(admin.status().message())}});
  }
}

void Server::Report(const Pruner::Report& report) {
  const std::string error(report.status.message());
  if (report.status.ok() && report.rows_deleted > 0) {
    events_.Info(
        "pruned",
        {{"horizon", report.horizon}, {"rows", report.rows_deleted}, {"ms", report.duration_ms}});
  }
  if (report.erasures_reclaimed > 0) {
    events_.Info("erasure_finished", {{"values", report.erasures_reclaimed}});
  }
  if (report.status.ok()) return;
  if (absl::IsUnavailable(report.status) && report.erasures_left > 0) {
    events_.Write(EventLog::Level::kWarn, "erasure_unfinished",
                  {{"values", report.erasures_left}, {"error", error}});
  } else {
    events_.Error("prune_failed", {{"error", error}});
  }
}

void Server::Report(const absl::StatusOr<CheckReport>& report) {
  if (!report.ok()) {
    events_.Error("scrub_failed", {{"error", std::string(report.status().message())}});
    return;
  }
  if (report->sound()) {
    events_.Info("scrubbed", {{"entries", report->entries}, {"versions", report->versions}});
    return;
  }
  // What is damaged must not be signed, and until somebody has looked nobody knows what is.
  opened_.log->Halt();
  SetWriterHealth(false);
  for (const std::string& damage : report->damage) {
    events_.Error("damage_found", {{"error", damage}});
  }
}

// Of the service through which new versions come.
void Server::SetWriterHealth(bool serving) {
  host_->SetHealth(manager_grpc_ != nullptr ? "kt.v1.Manager" : "kt.v1.Publisher", serving);
}

void Server::ReportClock(const absl::Status& status) {
  if (status.ok()) {
    events_.Info("clock_believed", {});
  } else {
    events_.Error("clock_not_believed", {{"error", std::string(status.message())}});
  }
  clock_believed_ = status.ok();
  SetWriterHealth(status.ok() && opened_.log->writable().ok());
}

void Server::ReportRoom(const absl::Status& status) {
  if (status.ok()) {
    events_.Info("disk_has_room", {});
  } else {
    events_.Error("disk_full", {{"error", std::string(status.message())}});
  }
  SetWriterHealth(clock_believed_ && opened_.log->writable().ok());
}

void Server::Report(const Sequencer::CommitReport& report) {
  if (absl::IsResourceExhausted(report.status)) {
    const absl::Status room = opened_.log->CheckRoom();
    // Nothing was tried for want of room, which `disk_full` tells.
    if (room.ok() || absl::IsResourceExhausted(room)) return;
  }
  if (!report.status.ok()) {
    events_.Error("epoch_failed", {{"error", std::string(report.status.message())}});
    if (!opened_.log->writable().ok()) SetWriterHealth(false);
    return;
  }
  events_.Info(
      "epoch_signed",
      {{"tree_size", report.tree_size}, {"versions", report.versions}, {"ms", report.duration_ms}});
}

absl::Status Server::ReloadTokens() {
  if (publish_ == nullptr) return absl::OkStatus();
  KT_ASSIGN_OR_RETURN(Tokens tokens, Tokens::Load(config_.publishers.tokens));
  publish_->SetTokens(std::move(tokens));
  return absl::OkStatus();
}

void Server::Stop() {
  if (eraser_ != nullptr) eraser_->Cancel();
  if (pruner_ != nullptr) pruner_->Stop();
  if (scrubber_ != nullptr) scrubber_->Stop();
  if (admin_ != nullptr) {
    admin_->Shutdown(std::chrono::system_clock::now() + kAdminShutdownGrace);
    admin_->Wait();
    admin_ = nullptr;
  }
  // Publications that wait are committed and answered while connections still stand.
  if (sequencer_ != nullptr) sequencer_->Stop();
  if (host_ != nullptr) host_->StopListening();
  if (auditing_grpc_ != nullptr) auditing_grpc_->Stop();
  if (monitoring_grpc_ != nullptr) monitoring_grpc_->Stop();
  if (host_ != nullptr) host_->Shutdown();
}

}  // namespace kt::server
