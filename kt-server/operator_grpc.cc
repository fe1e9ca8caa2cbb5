// SPDX-License-Identifier: Apache-2.0
#include "kt-server/operator_grpc.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "base/status.h"
#include "kt-server/grpc_util.h"
#include "kt-server/operator_update_call.h"
#include "kt-server/peer.h"

namespace kt::server {
namespace {

// How often a query is asked again because the log grew while it was answered.
constexpr int kMaxAttempts = 3;
// How soon a stream that waits for the log to grow notices that it should end.
constexpr absl::Duration kPollInterval = absl::Milliseconds(200);

// A query on its way. `call`, `request` and `response` live until the call is ended.
template <typename Request, typename Response>
struct Query {
  UnaryCall* call;
  const Request* request;
  Response* response;
  std::function<void(const Request&, ManagerClient::Reply<Response>)> ask;
  // What of the response begins with a tree head; empty if nothing does.
  std::function<base::ByteView(const Response&)> headed;
  int attempts = 0;
};

template <typename Request, typename Response>
void Run(HeadFollower& follower, const std::shared_ptr<Query<Request, Response>>& query) {
  query->ask(*query->request, [&follower, query](absl::StatusOr<Response> answer) {
    if (!answer.ok()) return query->call->End(ToGrpc(answer.status()));
    *query->response = *std::move(answer);
    const auto pass = [&follower, query](const absl::Status& status) {
      if (absl::IsAborted(status) && ++query->attempts < kMaxAttempts) {
        return Run(follower, query);
      }
      absl::Status result = LastWord(status);
      if (result.ok()) result = query->call->TakeRoom(query->response->ByteSizeLong());
      query->call->End(ToGrpc(result));
    };
    if (!query->headed) return pass(follower.trust());
    follower.Check(query->headed(*query->response), pass);
  });
}

}  // namespace

OperatorKeyTransparencyGrpc::OperatorKeyTransparencyGrpc(base::Bytes configuration,
                                                         ManagerClient& manager,
                                                         HeadFollower& follower, CallGate& gate)
    : configuration_(std::move(configuration)),
      manager_(manager),
      follower_(follower),
      gate_(gate) {}

grpc::ServerUnaryReactor* OperatorKeyTransparencyGrpc::GetConfiguration(
    grpc::CallbackServerContext* context, const v1::GetConfigurationRequest*,
    v1::GetConfigurationResponse* response) {
  auto* const call = new UnaryCall(*context, gate_);
  absl::Status status = call->Begin();
  if (status.ok()) status = call->TakeRoom(configuration_.size());
  if (status.ok()) response->set_configuration(configuration_.data(), configuration_.size());
  call->End(ToGrpc(status));
  return call;
}

grpc::ServerUnaryReactor* OperatorKeyTransparencyGrpc::Search(grpc::CallbackServerContext* context,
                                                              const v1::SearchRequest* request,
                                                              v1::SearchResponse* response) {
  auto* const call = new UnaryCall(*context, gate_);
  if (const absl::Status status = call->Begin(); !status.ok()) {
    call->End(ToGrpc(status));
    return call;
  }
  const auto query = std::make_shared<Query<v1::SearchRequest, v1::SearchResponse>>();
  query->call = call;
  query->request = request;
  query->response = response;
  query->ask = [this](const v1::SearchRequest& sent,
                      ManagerClient::Reply<v1::SearchResponse> done) {
    manager_.Search(sent, std::move(done));
  };
  query->headed = [call](const v1::SearchResponse& received) {
    // The manager had to make a proof.
    if (!received.has_found()) call->Charge(kRequestsPerVrfProof);
    return base::AsBytes(received.has_found() ? received.found() : received.absent());
  };
  Run(follower_, query);
  return call;
}

grpc::ServerUnaryReactor* OperatorMonitoringGrpc::Forward(ManagerClient::Query query,
                                                          grpc::CallbackServerContext& context,
                                                          const v1::MonitoringRequest& request,
                                                          v1::MonitoringResponse* response) {
  auto* const call = new UnaryCall(context, gate_);
  if (const absl::Status status = call->Begin(); !status.ok()) {
    call->End(ToGrpc(status));
    return call;
  }
  const auto forwarded = std::make_shared<Query<v1::MonitoringRequest, v1::MonitoringResponse>>();
  forwarded->call = call;
  forwarded->request = &request;
  forwarded->response = response;
  forwarded->ask = [this, query](const v1::MonitoringRequest& sent,
                                 ManagerClient::Reply<v1::MonitoringResponse> done) {
    manager_.Monitor(query, sent, std::move(done));
  };
  // A CredentialUpdate extends a view that its user knows, and shows no head.
  if (query != ManagerClient::Query::kUpdateCredential) {
    forwarded->headed = [](const v1::MonitoringResponse& received) {
      return base::AsBytes(received.response());
    };
  }
  Run(follower_, forwarded);
  return call;
}

grpc::ServerUnaryReactor* OperatorMonitoringGrpc::ContactMonitor(
    grpc::CallbackServerContext* context, const v1::MonitoringRequest* request,
    v1::MonitoringResponse* response) {
  return Forward(ManagerClient::Query::kContactMonitor, *context, *request, response);
}

grpc::ServerUnaryReactor* OperatorMonitoringGrpc::OwnerInit(grpc::CallbackServerContext* context,
                                                            const v1::MonitoringRequest* request,
                                                            v1::MonitoringResponse* response) {
  return Forward(ManagerClient::Query::kOwnerInit, *context, *request, response);
}

grpc::ServerUnaryReactor* OperatorMonitoringGrpc::OwnerMonitor(grpc::CallbackServerContext* context,
                                                               const v1::MonitoringRequest* request,
                                                               v1::MonitoringResponse* response) {
  return Forward(ManagerClient::Query::kOwnerMonitor, *context, *request, response);
}

grpc::ServerUnaryReactor* OperatorMonitoringGrpc::Distinguished(
    grpc::CallbackServerContext* context, const v1::MonitoringRequest* request,
    v1::MonitoringResponse* response) {
  return Forward(ManagerClient::Query::kDistinguished, *context, *request, response);
}

grpc::ServerUnaryReactor* OperatorMonitoringGrpc::UpdateCredential(
    grpc::CallbackServerContext* context, const v1::MonitoringRequest* request,
    v1::MonitoringResponse* response) {
  return Forward(ManagerClient::Query::kUpdateCredential, *context, *request, response);
}

grpc::Status OperatorMonitoringGrpc::WatchHeads(
    grpc::ServerContext* context, const v1::WatchHeadsRequest*,
    grpc::ServerWriter<v1::WatchHeadsResponse>* writer) {
  if (!gate_.rate.Allow(RateKey(context->peer()))) return TooFast();
  if (!streams_.Enter()) return Busy();
  base::TreeSize sent = 0;
  absl::Status status;
  while (status.ok() && !stopping_ && !context->IsCancelled()) {
    const auto state = follower_.AwaitGrowth(sent, kPollInterval);
    status = follower_.trust();
    if (!status.ok() || state == nullptr || state->tree_size() <= sent) continue;
    sent = state->tree_size();
    v1::WatchHeadsResponse response;
    response.set_tree_head(base::ToText(base::codec::Encode(state->tree_head)));
    if (!writer->Write(response)) break;
  }
  streams_.Leave();
  return ToGrpc(status);
}

grpc::ServerWriteReactor<v1::UpdateResponse>* OperatorPublisherGrpc::Update(
    grpc::CallbackServerContext* context, const v1::UpdateRequest* request) {
  auto* const call = new OperatorUpdateCall(*context, gate(), publish(), queue_, manager_,
                                            follower_, BearerToken(*context));
  call->Run(request->request());
  return call;
}

}  // namespace kt::server
