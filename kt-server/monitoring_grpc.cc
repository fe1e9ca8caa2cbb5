// SPDX-License-Identifier: Apache-2.0
#include "kt-server/monitoring_grpc.h"

#include <algorithm>
#include <memory>

#include "absl/time/time.h"
#include "base/status.h"
#include "kt-server/grpc_util.h"
#include "kt-server/peer.h"

namespace kt::server {
namespace {

// How soon a stream that waits for the log to grow notices that it should end.
constexpr absl::Duration kPollInterval = absl::Milliseconds(200);

// How many requests more an answer counts for.
double RequestsOf(const AnswerCost& cost) {
  const size_t rows = std::max(cost.rows, kRowsPerRequest) - kRowsPerRequest;
  return kRequestsPerVrfProof * static_cast<double>(cost.vrf_proofs) +
         kRequestsPerRow * static_cast<double>(rows);
}

v1::WatchHeadsResponse ToProto(const core::SignedHead& head) {
  v1::WatchHeadsResponse response;
  response.set_tree_head(base::ToText(base::codec::Encode(head.tree_head)));
  if (head.auditor_tree_head.has_value()) {
    response.set_auditor_tree_head(base::ToText(base::codec::Encode(*head.auditor_tree_head)));
  }
  return response;
}

}  // namespace

grpc::ServerUnaryReactor* MonitoringGrpc::Run(Operation operation,
                                              grpc::CallbackServerContext& context,
                                              const v1::MonitoringRequest& request,
                                              v1::MonitoringResponse* response) {
  auto* const call = new UnaryCall(context, gate_);
  call->End(ToGrpc(Answer(operation, *call, request, response)));
  return call;
}

absl::Status MonitoringGrpc::Answer(Operation operation, UnaryCall& call,
                                    const v1::MonitoringRequest& request,
                                    v1::MonitoringResponse* response) {
  KT_RETURN_IF_ERROR(call.Begin());
  AnswerCost cost;
  const absl::StatusOr<MonitoringAnswer> answer =
      (monitoring_.*operation)(base::AsBytes(request.request()), &cost);
  // A request that is refused in the end can have cost as much as any other.
  call.Charge(RequestsOf(cost));
  KT_RETURN_IF_ERROR(answer.status());
  KT_RETURN_IF_ERROR(call.TakeRoom(answer->response.size()));
  response->mutable_response()->assign(base::AsText(answer->response));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* MonitoringGrpc::ContactMonitor(grpc::CallbackServerContext* context,
                                                         const v1::MonitoringRequest* request,
                                                         v1::MonitoringResponse* response) {
  return Run(&MonitoringService::ContactMonitor, *context, *request, response);
}

grpc::ServerUnaryReactor* MonitoringGrpc::OwnerInit(grpc::CallbackServerContext* context,
                                                    const v1::MonitoringRequest* request,
                                                    v1::MonitoringResponse* response) {
  return Run(&MonitoringService::OwnerInit, *context, *request, response);
}

grpc::ServerUnaryReactor* MonitoringGrpc::OwnerMonitor(grpc::CallbackServerContext* context,
                                                       const v1::MonitoringRequest* request,
                                                       v1::MonitoringResponse* response) {
  return Run(&MonitoringService::OwnerMonitor, *context, *request, response);
}

grpc::ServerUnaryReactor* MonitoringGrpc::Distinguished(grpc::CallbackServerContext* context,
                                                        const v1::MonitoringRequest* request,
                                                        v1::MonitoringResponse* response) {
  return Run(&MonitoringService::Distinguished, *context, *request, response);
}

grpc::ServerUnaryReactor* MonitoringGrpc::UpdateCredential(grpc::CallbackServerContext* context,
                                                           const v1::MonitoringRequest* request,
                                                           v1::MonitoringResponse* response) {
  return Run(&MonitoringService::UpdateCredential, *context, *request, response);
}

grpc::Status MonitoringGrpc::WatchHeads(grpc::ServerContext* context, const v1::WatchHeadsRequest*,
                                        grpc::ServerWriter<v1::WatchHeadsResponse>* writer) {
  if (!gate_.rate.Allow(RateKey(context->peer()))) return TooFast();
  if (!streams_.Enter()) return Busy();
  Stream(*context, *writer);
  streams_.Leave();
  return grpc::Status::OK;
}

void MonitoringGrpc::Stream(const grpc::ServerContext& context,
                            grpc::ServerWriter<v1::WatchHeadsResponse>& writer) const {
  base::TreeSize newest = 0;
  base::TreeSize sent = 0;
  while (!stopping_ && !context.IsCancelled()) {
    // What users may see can lag behind: a head may have to wait for its auditor.
    if (const auto state = log_.AwaitGrowth(newest, kPollInterval); state != nullptr) {
      newest = state->size();
    }
    std::shared_ptr<const LogState> state = log_.current();
    if (state == nullptr || state->size() <= sent) continue;
    sent = state->size();
    const auto message = ToProto(state->head());
    state = nullptr;  // a peer that reads nothing must not keep what was deleted since
    if (!writer.Write(message)) return;
  }
}

}  // namespace kt::server
