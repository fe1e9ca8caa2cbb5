// SPDX-License-Identifier: Apache-2.0
#include "kt-server/operator_server.h"

#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/status.h"
#include "kt-server/publish_options.h"

namespace kt::server {
namespace {

// Of publications that the manager has and has not answered. What it adds later is not lost: the
// signing record knows of it.
constexpr absl::Duration kStopGrace = absl::Seconds(5);

}  // namespace

OperatorServer::OperatorServer(const ServerConfig& config, EventLog& events,
                               const base::Clock& clock)
    : config_(config),
      events_(events),
      clock_(clock),
      gate_(GateOptions(config.limits), clock),
      head_streams_(config.limits.max_head_streams) {}

OperatorServer::~OperatorServer() { Stop(); }

absl::StatusOr<std::unique_ptr<OperatorServer>> OperatorServer::Start(const ServerConfig& config,
                                                                      EventLog& events,
                                                                      const base::Clock& clock) {
  std::unique_ptr<OperatorServer> server(new OperatorServer(config, events, clock));
  KT_ASSIGN_OR_RETURN(server->host_, GrpcHost::Create(config, events, clock));
  KT_RETURN_IF_ERROR(server->OpenFiles());
  KT_RETURN_IF_ERROR(server->MakeServices());
  KT_RETURN_IF_ERROR(server->host_->Listen());
  server->follower_->Start();
  KT_RETURN_IF_ERROR(server->Serve());
  events.Info("serving", {{"address", server->address()}});
  return server;
}

absl::Status OperatorServer::OpenFiles() {
  KT_ASSIGN_OR_RETURN(keys_, OpenOperatorKeys(config_));
  KT_ASSIGN_OR_RETURN(verifier_, core::ResponseVerifier::Create(keys_.config));
  KT_ASSIGN_OR_RETURN(manager_, ManagerClient::Create(config_.management));
  HeadFollower::Options options;
  options.head_path = config_.management.manager_head;
  options.evidence_path = config_.management.evidence;
  KT_ASSIGN_OR_RETURN(
      follower_, HeadFollower::Open(
                     options, *verifier_,
                     [this](base::ByteView request) { return manager_->Distinguished(request); },
                     events_, clock_));
  return absl::OkStatus();
}

absl::Status OperatorServer::MakeServices() {
  WaitingRoom::Limits limits;
  limits.max_count = static_cast<size_t>(config_.limits.max_pending_publishes);
  limits.max_bytes = static_cast<size_t>(config_.limits.max_pending_publish_bytes);
  limits.max_per_submitter = static_cast<size_t>(config_.limits.max_pending_publishes_per_token);
  limits.max_per_label = static_cast<size_t>(config_.limits.max_pending_publishes_per_address);
  queue_ = std::make_unique<SigningQueue>(limits, keys_, *verifier_, *manager_, *follower_, clock_,
                                          events_);
  KT_ASSIGN_OR_RETURN(PublishService::Options options, LoadPublishOptions(config_));
  KT_ASSIGN_OR_RETURN(Tokens tokens, Tokens::Load(config_.publishers.tokens));
  publish_ =
      std::make_unique<PublishService>(std::move(options), std::move(tokens), *queue_, clock_);
  key_transparency_grpc_ = std::make_unique<OperatorKeyTransparencyGrpc>(
      base::codec::Encode(keys_.config), *manager_, *follower_, gate_);
  monitoring_grpc_ =
      std::make_unique<OperatorMonitoringGrpc>(*manager_, *follower_, gate_, head_streams_);
  publisher_grpc_ =
      std::make_unique<OperatorPublisherGrpc>(*publish_, *queue_, *manager_, *follower_, gate_);
  return absl::OkStatus();
}

absl::Status OperatorServer::Serve() {
  const std::vector<grpc::Service*> services = {key_transparency_grpc_.get(),
                                                monitoring_grpc_.get(), publisher_grpc_.get()};
  KT_RETURN_IF_ERROR(host_->Serve(services));
  host_->SetHealth("kt.v1.KeyTransparency", true);
  host_->SetHealth("kt.v1.Publisher", true);
  return absl::OkStatus();
}

absl::Status OperatorServer::ReloadTokens() {
  KT_ASSIGN_OR_RETURN(Tokens tokens, Tokens::Load(config_.publishers.tokens));
  publish_->SetTokens(std::move(tokens));
  return absl::OkStatus();
}

void OperatorServer::Stop() {
  if (host_ != nullptr) host_->StopListening();
  if (monitoring_grpc_ != nullptr) monitoring_grpc_->Stop();
  if (queue_ != nullptr) queue_->Drain(kStopGrace);
  // From here on every step of what is still under way fails at once.
  if (manager_ != nullptr) manager_->Shutdown();
  if (follower_ != nullptr) follower_->Stop();
  if (host_ != nullptr) host_->Shutdown();
}

}  // namespace kt::server
