// SPDX-License-Identifier: Apache-2.0
#include "kt-server/grpc_host.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-server/tls_files.h"

namespace kt::server {
namespace {

constexpr size_t kMaxGrpcMemory = size_t{512} << 20;
constexpr int kMaxGrpcThreads = 256;
constexpr auto kShutdownGrace = std::chrono::seconds(5);
constexpr int kMinuteMs = 60'000;
// Calls at once on one connection. All users' calls come to a manager on the operator's few.
constexpr int kMaxStreams = 8;
constexpr int kMaxOperatorStreams = 8192;

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

// Bounds on what connections may hold or leave lying about.
void SetTransportLimits(const ServerConfig& config, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(config.limits.max_request_bytes));
  const bool managed = config.management.role == ServerConfig::Role::kManager;
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              managed ? kMaxOperatorStreams : kMaxStreams);
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

CallGate::Options GateOptions(const ServerConfig::Limits& limits) {
  CallGate::Options options;
  options.requests_per_second = limits.requests_per_second;
  options.max_concurrent = limits.max_concurrent_requests;
  options.max_response_bytes = static_cast<size_t>(limits.max_response_bytes);
  options.max_response_bytes_per_peer = static_cast<size_t>(limits.max_response_bytes_per_client);
  options.response_timeout = std::chrono::milliseconds(limits.response_timeout_ms);
  return options;
}

GrpcHost::GrpcHost(const ServerConfig& config, EventLog& events, const base::Clock& clock)
    : config_(config), events_(events), clock_(clock) {}

GrpcHost::~GrpcHost() { Shutdown(); }

absl::StatusOr<std::unique_ptr<GrpcHost>> GrpcHost::Create(const ServerConfig& config,
                                                           EventLog& events,
                                                           const base::Clock& clock) {
  std::unique_ptr<GrpcHost> host(new GrpcHost(config, events, clock));
  KT_ASSIGN_OR_RETURN(TlsFiles files, ReadTlsFiles(config.listen));
  for (const std::string& problem :
       TlsProblems(files.certificates, config.log.domains, clock.NowMs())) {
    events.Write(EventLog::Level::kWarn, "tls_certificate_problem",
                 {{"file", config.listen.tls_certificate}, {"problem", problem}});
  }
  grpc::SslServerCredentialsOptions options;
  if (config.management.role == ServerConfig::Role::kManager) {
    KT_ASSIGN_OR_RETURN(options.pem_root_certs,
                        ReadOperatorCertificates(config.management.operators));
    options.client_certificate_request = GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  }
  options.pem_key_cert_pairs.push_back(
      {base::ToText(files.key.Expose()), std::move(files.certificates)});
  host->credentials_ = grpc::SslServerCredentials(options);
  return host;
}

absl::Status GrpcHost::Listen() {
  Listener::Options options;
  options.address = config_.listen.address;
  KT_ASSIGN_OR_RETURN(options.max_connections, MaxConnections(config_.limits));
  options.max_connections_per_peer = static_cast<size_t>(config_.limits.max_connections_per_client);
  options.connections_per_second = config_.limits.connections_per_second;
  options.connections_per_second_per_peer = config_.limits.connections_per_second_per_client;
  KT_ASSIGN_OR_RETURN(listener_, Listener::Open(options, events_, clock_));
  return absl::OkStatus();
}

absl::Status GrpcHost::Serve(std::span<grpc::Service* const> services) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials_);
  SetTransportLimits(config_, &builder);
  for (grpc::Service* const service : services) builder.RegisterService(service);
  grpc_ = builder.BuildAndStart();
  if (grpc_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot serve on ", config_.listen.address));
  }
  health_ = grpc_->GetHealthCheckService();
  listener_->Start([this](int fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = fd;
    acceptor_->HandleNewConnection(&connection);
  });
  address_ = absl::StrCat(config_.listen.address.substr(0, config_.listen.address.rfind(':')), ":",
                          listener_->port());
  return absl::OkStatus();
}

void GrpcHost::SetHealth(const std::string& service, bool serving) {
  grpc::HealthCheckServiceInterface* const health = health_;
  if (health != nullptr) health->SetServingStatus(service, serving);
}

void GrpcHost::StopListening() {
  if (listener_ != nullptr) listener_->Stop();
}

void GrpcHost::Shutdown() {
  StopListening();
  if (grpc_ == nullptr) return;
  health_ = nullptr;
  grpc_->GetHealthCheckService()->SetServingStatus(false);
  grpc_->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  grpc_->Wait();
  grpc_ = nullptr;
}

}  // namespace kt::server
