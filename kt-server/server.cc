// SPDX-License-Identifier: Apache-2.0
#include "kt-server/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "kt-server/tls_files.h"
#include "smime/admission.h"

namespace kt::server {
namespace {

constexpr size_t kMaxPemBytes = 4 << 20;
constexpr size_t kMaxGrpcMemory = size_t{512} << 20;
constexpr int kMaxGrpcThreads = 256;
constexpr auto kShutdownGrace = std::chrono::seconds(5);
constexpr int kMinuteMs = 60'000;
// A server that was down for a day by default starts again by itself.
constexpr uint64_t kMaxDowntimeInMaxBehinds = 12;

absl::StatusOr<std::string> ReadText(const std::string& path, const char* key) {
  if (path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("the configuration does not say ", key));
  }
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, base::ReadFile(path, kMaxPemBytes));
  return base::ToText(bytes);
}

// How many connections the configuration and the file descriptors allow. The database needs many
// descriptors too, and a log whose write failed for want of one takes no more entries.
absl::StatusOr<size_t> MaxConnections(const ServerConfig::Limits& limits) {
  constexpr rlim_t kLeast = 256;
  constexpr rlim_t kEnough = 1 << 20;  // RLIM_INFINITY
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < kLeast) {
    return absl::FailedPreconditionError(
        absl::StrCat("at least ", kLeast, " file descriptors are needed; see ulimit -n"));
  }
  const auto half = static_cast<int64_t>(std::min(files.rlim_cur, kEnough) / 2);
  return static_cast<size_t>(std::min(limits.max_connections, half));
}

CallGate::Options GateOptions(const ServerConfig::Limits& limits) {
  CallGate::Options options;
  options.requests_per_second = limits.requests_per_second;
  options.max_concurrent = limits.max_concurrent_requests;
  options.max_response_bytes = static_cast<size_t>(limits.max_response_bytes);
  options.max_response_bytes_per_peer = static_cast<size_t>(limits.max_response_bytes_per_client);
  options.response_timeout = std::chrono::milliseconds(limits.response_timeout_ms);
  return options;
}

// Bounds on what connections may hold or leave lying about.
void SetTransportLimits(const ServerConfig& config, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(config.limits.max_request_bytes));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 8);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, 2 * kMinuteMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, 5 * kMinuteMs);
  // A publication is answered when its epoch ends.
  constexpr int64_t kMaxGraceMs = std::numeric_limits<int>::max();
  builder->AddChannelArgument(
      GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
      static_cast<int>(std::min(config.epoch.interval_ms + kMinuteMs, kMaxGraceMs)));
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 8192);
  grpc::ResourceQuota quota("kt-server");
  quota.Resize(kMaxGrpcMemory).SetMaxThreads(kMaxGrpcThreads);
  builder->SetResourceQuota(quota);
}

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
  KT_RETURN_IF_ERROR(server->LoadCredentials());
  KT_RETURN_IF_ERROR(server->OpenTheLog(random, trust));
  KT_RETURN_IF_ERROR(server->MakeServices());
  KT_RETURN_IF_ERROR(server->Listen());
  KT_RETURN_IF_ERROR(server->sequencer_->Start());
  KT_RETURN_IF_ERROR(server->StartGrpc());
  server->StartAdmin();
  if (server->pruner_ != nullptr) server->pruner_->Start();
  events.Info("serving", {{"address", server->address_},
                          {"tree_size", server->opened_.log->newest()->size()}});
  return server;
}

absl::Status Server::LoadCredentials() {
  KT_ASSIGN_OR_RETURN(TlsFiles files, ReadTlsFiles(config_.listen));
  for (const std::string& problem :
       TlsProblems(files.certificates, config_.log.domains, clock_.NowMs())) {
    events_.Write(EventLog::Level::kWarn, "tls_certificate_problem",
                  {{"file", config_.listen.tls_certificate}, {"problem", problem}});
  }
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back(
      {base::ToText(files.key.Expose()), std::move(files.certificates)});
  credentials_ = grpc::SslServerCredentials(options);
  return absl::OkStatus();
}

absl::Status Server::OpenTheLog(base::Random& random, ClockTrust trust) {
  KT_ASSIGN_OR_RETURN(opened_, OpenLog(config_, random));
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
      [this](const absl::Status& status) { ReportClock(status); });
  return absl::OkStatus();
}

absl::Status Server::MakeServices() {
  PublishService::Options options;
  options.domains = config_.log.domains;
  options.publishes_per_second = config_.limits.publishes_per_second;
  options.admission.min_rsa_bits = static_cast<unsigned>(config_.admission.min_rsa_bits);
  KT_ASSIGN_OR_RETURN(const std::string anchors,
                      ReadText(config_.admission.trust_anchors, "[admission] trust_anchors"));
  absl::StatusOr<smime::TrustAnchors> parsed = smime::TrustAnchors::FromPem(anchors);
  if (!parsed.ok()) return base::Annotate(parsed.status(), config_.admission.trust_anchors);
  options.admission.trust_anchors = *std::move(parsed);
  KT_ASSIGN_OR_RETURN(Tokens tokens, Tokens::Load(config_.publishers.tokens));

  search_ = std::make_unique<SearchService>(*opened_.log);
  publish_ =
      std::make_unique<PublishService>(std::move(options), std::move(tokens), *sequencer_, clock_);
  key_transparency_grpc_ = std::make_unique<KeyTransparencyGrpc>(
      base::codec::Encode(opened_.log->config()), *search_, gate_);
  updates_ = std::make_unique<UpdateService>(*opened_.log, *publish_);
  publisher_grpc_ = std::make_unique<PublisherGrpc>(*publish_, *updates_, gate_);
  monitoring_ = std::make_unique<MonitoringService>(*opened_.log);
  monitoring_grpc_ =
      std::make_unique<MonitoringGrpc>(*monitoring_, *opened_.log, gate_, head_streams_);
  if (opened_.log->config().mode == core::DeploymentMode::kThirdPartyAuditing) {
    audit_ = std::make_unique<AuditService>(*opened_.log);
    auditing_grpc_ = std::make_unique<AuditingGrpc>(*audit_, gate_.rate, audit_streams_);
  }
  eraser_ = std::make_unique<Eraser>(*opened_.log, *opened_.store, events_, clock_);
  admin_grpc_ = std::make_unique<AdminGrpc>(*eraser_, *opened_.store);
  if (opened_.log->config().maximum_lifetime.has_value()) {
    PrunerOptions pruning;
    pruning.interval_ms = config_.pruning.interval_ms;
    pruner_ = std::make_unique<Pruner>(pruning, *opened_.log, *opened_.store, clock_,
                                       [this](const Pruner::Report& report) { Report(report); });
  }
  return absl::OkStatus();
}

absl::Status Server::Listen() {
  Listener::Options options;
  options.address = config_.listen.address;
  KT_ASSIGN_OR_RETURN(options.max_connections, MaxConnections(config_.limits));
  options.max_connections_per_peer = static_cast<size_t>(config_.limits.max_connections_per_client);
  options.connections_per_second = config_.limits.connections_per_second;
  options.connections_per_second_per_peer = config_.limits.connections_per_second_per_client;
  KT_ASSIGN_OR_RETURN(listener_, Listener::Open(options, events_, clock_));
  return absl::OkStatus();
}

absl::Status Server::StartGrpc() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials_);
  SetTransportLimits(config_, &builder);
  builder.RegisterService(key_transparency_grpc_.get());
  builder.RegisterService(publisher_grpc_.get());
  builder.RegisterService(monitoring_grpc_.get());
  if (auditing_grpc_ != nullptr) builder.RegisterService(auditing_grpc_.get());
  grpc_ = builder.BuildAndStart();
  if (grpc_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot serve on ", config_.listen.address));
  }
  grpc_->GetHealthCheckService()->SetServingStatus("kt.v1.KeyTransparency", true);
  health_ = grpc_->GetHealthCheckService();
  SetPublisherHealth(opened_.log->writable().ok());
  listener_->Start([this](int fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = fd;
    acceptor_->HandleNewConnection(&connection);
  });
  address_ = absl::StrCat(config_.listen.address.substr(0, config_.listen.address.rfind(':')), ":",
                          listener_->port());
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
  if (report.status.ok()) {
    events_.Info(
        "pruned",
        {{"horizon", report.horizon}, {"rows", report.rows_deleted}, {"ms", report.duration_ms}});
  } else {
    events_.Error("prune_failed", {{"error", std::string(report.status.message())}});
  }
}

void Server::SetPublisherHealth(bool serving) {
  grpc::HealthCheckServiceInterface* const health = health_;
  if (health != nullptr) health->SetServingStatus("kt.v1.Publisher", serving);
}

void Server::ReportClock(const absl::Status& status) {
  if (status.ok()) {
    events_.Info("clock_believed", {});
  } else {
    events_.Error("clock_not_believed", {{"error", std::string(status.message())}});
  }
  SetPublisherHealth(status.ok() && opened_.log->writable().ok());
}

void Server::Report(const Sequencer::CommitReport& report) {
  if (!report.status.ok()) {
    events_.Error("epoch_failed", {{"error", std::string(report.status.message())}});
    if (!opened_.log->writable().ok()) SetPublisherHealth(false);
    return;
  }
  events_.Info(
      "epoch_signed",
      {{"tree_size", report.tree_size}, {"versions", report.versions}, {"ms", report.duration_ms}});
}

absl::Status Server::ReloadTokens() {
  KT_ASSIGN_OR_RETURN(Tokens tokens, Tokens::Load(config_.publishers.tokens));
  publish_->SetTokens(std::move(tokens));
  return absl::OkStatus();
}

void Server::Stop() {
  if (pruner_ != nullptr) pruner_->Stop();
  if (admin_ != nullptr) {
    admin_->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
    admin_->Wait();
    admin_ = nullptr;
  }
  // Publications that wait are committed and answered while connections still stand.
  if (sequencer_ != nullptr) sequencer_->Stop();
  if (listener_ != nullptr) listener_->Stop();
  if (auditing_grpc_ != nullptr) auditing_grpc_->Stop();
  if (monitoring_grpc_ != nullptr) monitoring_grpc_->Stop();
  if (grpc_ == nullptr) return;
  health_ = nullptr;
  grpc_->GetHealthCheckService()->SetServingStatus(false);
  grpc_->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  grpc_->Wait();
  grpc_ = nullptr;
}

}  // namespace kt::server
