// SPDX-License-Identifier: Apache-2.0
#include "kt-server/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "smime/admission.h"

namespace kt::server {
namespace {

constexpr size_t kMaxPemBytes = 4 << 20;
constexpr size_t kMaxGrpcMemory = size_t{512} << 20;
constexpr int kMaxGrpcThreads = 256;
constexpr auto kShutdownGrace = std::chrono::seconds(5);
constexpr int kMinuteMs = 60'000;

absl::StatusOr<std::string> ReadText(const std::string& path, const char* key) {
  if (path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("the configuration does not say ", key));
  }
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, base::ReadFile(path, kMaxPemBytes));
  return base::ToText(bytes);
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> TlsCredentials(
    const ServerConfig::Listen& listen) {
  KT_ASSIGN_OR_RETURN(std::string certificate,
                      ReadText(listen.tls_certificate, "[listen] tls_certificate"));
  KT_ASSIGN_OR_RETURN(const base::SecretBytes key,
                      base::ReadSecretFile(listen.tls_key, kMaxPemBytes));
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({base::ToText(key.Expose()), std::move(certificate)});
  return grpc::SslServerCredentials(options);
}

// Bounds on what connections may hold or leave lying about.
void SetTransportLimits(const ServerConfig& config, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(config.limits.max_request_bytes));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 128);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, 5 * kMinuteMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, 60 * kMinuteMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, kMinuteMs);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 8192);
  // Two servers on one port would share its connections unnoticed.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  grpc::ResourceQuota quota("kt-server");
  quota.Resize(kMaxGrpcMemory).SetMaxThreads(kMaxGrpcThreads);
  builder->SetResourceQuota(quota);
}

}  // namespace

Server::Server(const ServerConfig& config, EventLog& events, const base::Clock& clock)
    : config_(config),
      events_(events),
      clock_(clock),
      search_limiter_(config.limits.searches_per_second, clock),
      concurrency_(config.limits.max_concurrent_requests) {}

Server::~Server() { Stop(); }

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerConfig& config, EventLog& events,
                                                      const base::Clock& clock,
                                                      base::Random& random) {
  std::unique_ptr<Server> server(new Server(config, events, clock));
  KT_RETURN_IF_ERROR(server->StartLog(random));
  KT_RETURN_IF_ERROR(server->StartServices());
  KT_RETURN_IF_ERROR(server->StartGrpc());
  events.Info("serving", {{"address", server->address_},
                          {"tree_size", server->opened_.log->current()->size()}});
  return server;
}

absl::Status Server::StartLog(base::Random& random) {
  KT_ASSIGN_OR_RETURN(opened_, OpenLog(config_, random));
  SequencerOptions options;
  options.epoch_interval_ms = static_cast<int>(config_.epoch.interval_ms);
  options.max_idle_ms = config_.epoch.max_idle_ms > 0
                            ? static_cast<uint64_t>(config_.epoch.max_idle_ms)
                            : opened_.log->config().max_behind / 2;
  options.max_pending = static_cast<size_t>(config_.limits.max_pending_publishes);
  sequencer_ = std::make_unique<Sequencer>(
      options, *opened_.log, clock_,
      [this](const Sequencer::CommitReport& report) { Report(report); });
  return sequencer_->Start();
}

absl::Status Server::StartServices() {
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
      base::codec::Encode(opened_.log->config()), *search_, search_limiter_, concurrency_);
  publisher_grpc_ = std::make_unique<PublisherGrpc>(*publish_);
  return absl::OkStatus();
}

absl::Status Server::StartGrpc() {
  KT_ASSIGN_OR_RETURN(const auto credentials, TlsCredentials(config_.listen));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(config_.listen.address, credentials, &port);
  SetTransportLimits(config_, &builder);
  builder.RegisterService(key_transparency_grpc_.get());
  builder.RegisterService(publisher_grpc_.get());
  grpc_ = builder.BuildAndStart();
  if (grpc_ == nullptr || port == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", config_.listen.address,
                     "; is the port free, and do TLS certificate and key belong together?"));
  }
  address_ =
      absl::StrCat(config_.listen.address.substr(0, config_.listen.address.rfind(':')), ":", port);
  return absl::OkStatus();
}

void Server::Report(const Sequencer::CommitReport& report) {
  if (!report.status.ok()) {
    events_.Error("epoch_failed", {{"error", std::string(report.status.message())}});
    grpc::HealthCheckServiceInterface* const health = health_;
    if (health != nullptr && !opened_.log->writable().ok()) {
      health->SetServingStatus("kt.v1.Publisher", false);
    }
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
  // Publications that wait are committed and answered while connections still stand.
  if (sequencer_ != nullptr) sequencer_->Stop();
  if (grpc_ == nullptr) return;
  grpc_->GetHealthCheckService()->SetServingStatus(false);
  grpc_->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  grpc_->Wait();
  grpc_ = nullptr;
}

}  // namespace kt::server
