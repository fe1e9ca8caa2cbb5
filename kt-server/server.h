// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_SERVER_H_
#define KT_SERVER_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/random.h"
#include "kt-server/admin_grpc.h"
#include "kt-server/audit_service.h"
#include "kt-server/auditing_grpc.h"
#include "kt-server/call_gate.h"
#include "kt-server/eraser.h"
#include "kt-server/event_log.h"
#include "kt-server/grpc_host.h"
#include "kt-server/grpc_service.h"
#include "kt-server/log_files.h"
#include "kt-server/managed_updates.h"
#include "kt-server/monitoring_grpc.h"
#include "kt-server/monitoring_service.h"
#include "kt-server/pruner.h"
#include "kt-server/publish_service.h"
#include "kt-server/scrubber.h"
#include "kt-server/search_service.h"
#include "kt-server/sequencer.h"
#include "kt-server/server_config.h"
#include "kt-server/update_service.h"

namespace kt::server {

// A running server that hosts a log, alone or as the operator's Third-Party Manager: the log, its
// sequencer, and gRPC over TLS.
class Server {
 public:
  enum class ClockTrust {
    kCheck,   // refuse to start if the newest entry is so old that the clock may be wrong
    kAccept,  // somebody has looked at the clock
  };

  // Opens the log and begins to serve. Borrows `events`, `clock` and `random`.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerConfig& config, EventLog& events,
                                                       const base::Clock& clock,
                                                       base::Random& random,
                                                       ClockTrust trust = ClockTrust::kCheck);
  // As Stop.
  ~Server();

  // The address that it listens on, with the real port.
  const std::string& address() const { return host_->address(); }

  // Reads the tokens file again; on failure the old tokens stay. A manager has none.
  absl::Status ReloadTokens();

  // Answers what is waiting, then ends all connections.
  void Stop();

 private:
  Server(const ServerConfig& config, EventLog& events, const base::Clock& clock);

  // Start's steps, in their order.
  absl::Status OpenTheLog(base::Random& random, ClockTrust trust);
  absl::Status MakeServices();
  absl::Status MakePublisher();
  absl::Status Serve();
  void StartAdmin();
  void Report(const Pruner::Report& report);
  void Report(const Sequencer::CommitReport& report);
  void Report(const absl::StatusOr<CheckReport>& report);
  void ReportClock(const absl::Status& status);
  void ReportRoom(const absl::Status& status);
  void SetWriterHealth(bool serving);

  const ServerConfig config_;
  EventLog& events_;
  const base::Clock& clock_;
  OpenedLog opened_;
  std::unique_ptr<Sequencer> sequencer_;
  std::unique_ptr<SearchService> search_;
  std::unique_ptr<UpdateService> updates_;
  // Unless the server is a manager.
  std::unique_ptr<PublishService> publish_;
  CallGate gate_;
  std::unique_ptr<KeyTransparencyGrpc> key_transparency_grpc_;
  std::unique_ptr<PublisherGrpc> publisher_grpc_;
  // If it is.
  std::unique_ptr<ManagedUpdates> managed_;
  std::unique_ptr<ManagerGrpc> manager_grpc_;
  std::unique_ptr<MonitoringService> monitoring_;
  ConcurrencyLimit head_streams_;
  std::unique_ptr<MonitoringGrpc> monitoring_grpc_;
  // thirdPartyAuditing
  std::unique_ptr<AuditService> audit_;
  ConcurrencyLimit audit_streams_;
  std::unique_ptr<AuditingGrpc> auditing_grpc_;
  std::unique_ptr<Eraser> eraser_;
  std::unique_ptr<AdminGrpc> admin_grpc_;
  std::unique_ptr<grpc::Server> admin_;
  std::unique_ptr<Pruner> pruner_;
  std::unique_ptr<Scrubber> scrubber_;  // unless the configuration says that there is none
  // The sequencer's thread tells it of the log's health.
  std::unique_ptr<GrpcHost> host_;
  bool clock_believed_ = true;  // of the sequencer's thread
};

}  // namespace kt::server
#endif  // KT_SERVER_SERVER_H_
