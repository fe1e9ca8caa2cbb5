// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_OPERATOR_SERVER_H_
#define KT_SERVER_OPERATOR_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "kt-core/response_verifier.h"
#include "kt-server/call_gate.h"
#include "kt-server/event_log.h"
#include "kt-server/grpc_host.h"
#include "kt-server/head_follower.h"
#include "kt-server/manager_client.h"
#include "kt-server/operator_files.h"
#include "kt-server/operator_grpc.h"
#include "kt-server/publish_service.h"
#include "kt-server/server_config.h"
#include "kt-server/signing_queue.h"

namespace kt::server {

// A running server of a Service Operator whose log a Third-Party Manager hosts: what users and
// publishers talk to. It keeps no log; it signs values, and watches over the manager.
class OperatorServer {
 public:
  // Begins to serve, whether the manager answers yet or not. Borrows `events` and `clock`.
  static absl::StatusOr<std::unique_ptr<OperatorServer>> Start(const ServerConfig& config,
                                                               EventLog& events,
                                                               const base::Clock& clock);
  // As Stop.
  ~OperatorServer();

  // The address that it listens on, with the real port.
  const std::string& address() const { return host_->address(); }

  // Reads the tokens file again; on failure the old tokens stay.
  absl::Status ReloadTokens();

  // Answers what is waiting, as far as the manager does soon, then ends all connections.
  void Stop();

 private:
  OperatorServer(const ServerConfig& config, EventLog& events, const base::Clock& clock);

  // Start's steps, in their order.
  absl::Status OpenFiles();
  absl::Status MakeServices();
  absl::Status Serve();

  const ServerConfig config_;
  EventLog& events_;
  const base::Clock& clock_;
  OperatorKeys keys_;
  std::unique_ptr<core::ResponseVerifier> verifier_;
  std::unique_ptr<ManagerClient> manager_;
  std::unique_ptr<HeadFollower> follower_;
  std::unique_ptr<SigningQueue> queue_;
  std::unique_ptr<PublishService> publish_;
  CallGate gate_;
  ConcurrencyLimit head_streams_;
  std::unique_ptr<OperatorKeyTransparencyGrpc> key_transparency_grpc_;
  std::unique_ptr<OperatorMonitoringGrpc> monitoring_grpc_;
  std::unique_ptr<OperatorPublisherGrpc> publisher_grpc_;
  std::unique_ptr<GrpcHost> host_;
};

}  // namespace kt::server
#endif  // KT_SERVER_OPERATOR_SERVER_H_
