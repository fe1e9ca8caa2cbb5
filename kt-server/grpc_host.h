// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_GRPC_HOST_H_
#define KT_SERVER_GRPC_HOST_H_

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "kt-server/call_gate.h"
#include "kt-server/event_log.h"
#include "kt-server/listener.h"
#include "kt-server/server_config.h"

namespace kt::server {

// gRPC services over TLS, within the configuration's limits, at one address.
class GrpcHost {
 public:
  // Reads the TLS files. As ReadTlsFiles and, for a manager, ReadOperatorCertificates. Borrows
  // `events` and `clock`.
  static absl::StatusOr<std::unique_ptr<GrpcHost>> Create(const ServerConfig& config,
                                                          EventLog& events,
                                                          const base::Clock& clock);
  // As Shutdown.
  ~GrpcHost();

  // Binds to the address. As Listener::Open; kFailedPrecondition if there are too few file
  // descriptors.
  absl::Status Listen();
  // Serves from now on. Borrows the services until Shutdown.
  absl::Status Serve(std::span<grpc::Service* const> services);

  // The address that it listens on, with the real port.
  const std::string& address() const { return address_; }

  // What health checks are told of `service`. Without effect before Serve; from any thread.
  void SetHealth(const std::string& service, bool serving);

  // Takes no more connections; those that are open stay.
  void StopListening();
  // Ends all connections, after a moment for the calls that are running.
  void Shutdown();

 private:
  GrpcHost(const ServerConfig& config, EventLog& events, const base::Clock& clock);

  const ServerConfig config_;
  EventLog& events_;
  const base::Clock& clock_;
  std::shared_ptr<grpc::ServerCredentials> credentials_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> grpc_;
  std::atomic<grpc::HealthCheckServiceInterface*> health_ = nullptr;
  std::string address_;
};

// What the configuration's limits allow one call, and all calls of a peer.
CallGate::Options GateOptions(const ServerConfig::Limits& limits);

}  // namespace kt::server
#endif  // KT_SERVER_GRPC_HOST_H_
