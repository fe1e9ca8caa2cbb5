// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_MONITORING_GRPC_H_
#define KT_SERVER_MONITORING_GRPC_H_

#include <atomic>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kt-server/call_gate.h"
#include "kt-server/monitoring_service.h"
#include "proto/kt.grpc.pb.h"

namespace kt::server {

// All but the stream are answered in a callback.
using MonitoringBase = v1::Monitoring::WithCallbackMethod_ContactMonitor<
    v1::Monitoring::WithCallbackMethod_OwnerInit<v1::Monitoring::WithCallbackMethod_OwnerMonitor<
        v1::Monitoring::WithCallbackMethod_Distinguished<
            v1::Monitoring::WithCallbackMethod_UpdateCredential<v1::Monitoring::Service>>>>>;

// kt.v1.Monitoring. Each WatchHeads stream holds a thread, so `streams` bounds how many there are.
// Borrows all references.
class MonitoringGrpc : public MonitoringBase {
 public:
  MonitoringGrpc(const MonitoringService& monitoring, const TransparencyLog& log, CallGate& gate,
                 ConcurrencyLimit& streams)
      : monitoring_(monitoring), log_(log), gate_(gate), streams_(streams) {}

  grpc::ServerUnaryReactor* ContactMonitor(grpc::CallbackServerContext* context,
                                           const v1::MonitoringRequest* request,
                                           v1::MonitoringResponse* response) override;
  grpc::ServerUnaryReactor* OwnerInit(grpc::CallbackServerContext* context,
                                      const v1::MonitoringRequest* request,
                                      v1::MonitoringResponse* response) override;
  grpc::ServerUnaryReactor* OwnerMonitor(grpc::CallbackServerContext* context,
                                         const v1::MonitoringRequest* request,
                                         v1::MonitoringResponse* response) override;
  grpc::ServerUnaryReactor* Distinguished(grpc::CallbackServerContext* context,
                                          const v1::MonitoringRequest* request,
                                          v1::MonitoringResponse* response) override;
  grpc::ServerUnaryReactor* UpdateCredential(grpc::CallbackServerContext* context,
                                             const v1::MonitoringRequest* request,
                                             v1::MonitoringResponse* response) override;
  grpc::Status WatchHeads(grpc::ServerContext* context, const v1::WatchHeadsRequest* request,
                          grpc::ServerWriter<v1::WatchHeadsResponse>* writer) override;

  // Ends all streams, soon.
  void Stop() { stopping_ = true; }

 private:
  using Operation = absl::StatusOr<MonitoringAnswer> (MonitoringService::*)(base::ByteView,
                                                                            AnswerCost*) const;
  grpc::ServerUnaryReactor* Run(Operation operation, grpc::CallbackServerContext& context,
                                const v1::MonitoringRequest& request,
                                v1::MonitoringResponse* response);
  absl::Status Answer(Operation operation, UnaryCall& call, const v1::MonitoringRequest& request,
                      v1::MonitoringResponse* response);
  void Stream(const grpc::ServerContext& context,
              grpc::ServerWriter<v1::WatchHeadsResponse>& writer) const;

  const MonitoringService& monitoring_;
  const TransparencyLog& log_;
  CallGate& gate_;
  ConcurrencyLimit& streams_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace kt::server
#endif  // KT_SERVER_MONITORING_GRPC_H_
