// SPDX-License-Identifier: Apache-2.0
//
// What a Service Operator serves when a manager hosts its log: users' queries, forwarded "if they
// pass access control", and new versions, which it signs.
#ifndef KT_SERVER_OPERATOR_GRPC_H_
#define KT_SERVER_OPERATOR_GRPC_H_

#include <atomic>

#include "base/bytes.h"
#include "kt-server/call_gate.h"
#include "kt-server/grpc_service.h"
#include "kt-server/head_follower.h"
#include "kt-server/manager_client.h"
#include "kt-server/monitoring_grpc.h"
#include "kt-server/publish_service.h"
#include "kt-server/signing_queue.h"
#include "proto/kt.grpc.pb.h"

namespace kt::server {

// kt.v1.KeyTransparency. Borrows all references.
class OperatorKeyTransparencyGrpc : public v1::KeyTransparency::CallbackService {
 public:
  OperatorKeyTransparencyGrpc(base::Bytes configuration, ManagerClient& manager,
                              HeadFollower& follower, CallGate& gate);

  grpc::ServerUnaryReactor* GetConfiguration(grpc::CallbackServerContext* context,
                                             const v1::GetConfigurationRequest* request,
                                             v1::GetConfigurationResponse* response) override;
  grpc::ServerUnaryReactor* Search(grpc::CallbackServerContext* context,
                                   const v1::SearchRequest* request,
                                   v1::SearchResponse* response) override;

 private:
  const base::Bytes configuration_;
  ManagerClient& manager_;
  HeadFollower& follower_;
  CallGate& gate_;
};

// kt.v1.Monitoring. As MonitoringGrpc.
class OperatorMonitoringGrpc : public MonitoringBase {
 public:
  OperatorMonitoringGrpc(ManagerClient& manager, HeadFollower& follower, CallGate& gate,
                         ConcurrencyLimit& streams)
      : manager_(manager), follower_(follower), gate_(gate), streams_(streams) {}

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
  grpc::ServerUnaryReactor* Forward(ManagerClient::Query query,
                                    grpc::CallbackServerContext& context,
                                    const v1::MonitoringRequest& request,
                                    v1::MonitoringResponse* response);

  ManagerClient& manager_;
  HeadFollower& follower_;
  CallGate& gate_;
  ConcurrencyLimit& streams_;
  std::atomic<bool> stopping_ = false;
};

// kt.v1.Publisher/Update. Publish is PublisherBase's. Borrows all references.
class OperatorPublisherGrpc : public PublisherBase {
 public:
  OperatorPublisherGrpc(PublishService& publish, SigningQueue& queue, ManagerClient& manager,
                        HeadFollower& follower, CallGate& gate)
      : PublisherBase(publish, gate), queue_(queue), manager_(manager), follower_(follower) {}

  grpc::ServerWriteReactor<v1::UpdateResponse>* Update(grpc::CallbackServerContext* context,
                                                       const v1::UpdateRequest* request) override;

 private:
  SigningQueue& queue_;
  ManagerClient& manager_;
  HeadFollower& follower_;
};

}  // namespace kt::server
#endif  // KT_SERVER_OPERATOR_GRPC_H_
