// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_FUZZ_MANAGED_LOG_H_
#define TESTS_FUZZ_MANAGED_LOG_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/status.h"
#include "kt-server/grpc_service.h"
#include "kt-server/managed_updates.h"
#include "kt-server/monitoring_grpc.h"
#include "kt-server/monitoring_service.h"
#include "kt-server/search_service.h"
#include "kt-server/sequencer.h"
#include "kt-server/update_service.h"
#include "kt-server/version_rows.h"
#include "tests/fuzz/grpc_call.h"
#include "tests/kt-server/log_fixture.h"

namespace kt::fuzz {

inline constexpr char kAlice[] = "alice@smime.example";
inline constexpr char kBob[] = "bob@smime.example";

inline constexpr Method kManagerUpdate{"/kt.v1.Manager/Update"};

// What a version holds.
struct LabelVersionValue {
  std::string label;
  base::Version version = 0;
  base::Bytes value;
};

// A log with a Third-Party Manager, and all that the manager serves, in this process. The same each
// time that it is made.
class ManagedLog {
 public:
  ManagedLog()
      : log_(core::CipherSuite::kEd25519, core::DeploymentMode::kThirdPartyManagement),
        gate_({.requests_per_second = 1e15}, log_.clock()),
        search_(log_.log()),
        monitoring_(log_.log()),
        updates_(log_.log()),
        search_grpc_(base::codec::Encode(log_.config()), search_, gate_),
        monitoring_grpc_(monitoring_, log_.log(), gate_, streams_) {
    server::SequencerOptions options;
    options.epoch_interval_ms = 1;
    sequencer_ = std::make_unique<server::Sequencer>(
        options, log_.log(), log_.clock(),
        [this](const server::Sequencer::CommitReport& report) { versions_ += report.versions; },
        [](const absl::Status&) {});
    KT_CHECK(sequencer_->Start().ok());
    managed_ = server::ManagedUpdates::Create(log_.log(), *sequencer_).value();
    manager_grpc_ = std::make_unique<server::ManagerGrpc>(*managed_, updates_, gate_);
    grpc::ServerBuilder builder;
    builder.RegisterService(&search_grpc_);
    builder.RegisterService(&monitoring_grpc_);
    builder.RegisterService(manager_grpc_.get());
    server_ = builder.BuildAndStart();
  }
  ~ManagedLog() {
    sequencer_->Stop();
    monitoring_grpc_.Stop();
    server_->Shutdown();
  }

  server::LogFixture& fixture() { return log_; }
  std::shared_ptr<grpc::Channel> Channel() { return server_->InProcessChannel({}); }
  core::WireContext context() const { return core::WireContext::For(log_.config()); }
  // That were ever added, skipped ones included.
  uint64_t versions() const { return versions_; }

  // All versions of `label` that have values, but for those whose value was erased. `count`: how
  // many there are in all.
  std::vector<LabelVersionValue> Versions(const std::string& label, uint64_t* count) {
    const auto state = log_.log().newest();
    const auto rows = server::ReadWholeLabel(state->snapshot(), base::AsBytes(label));
    KT_CHECK(rows.ok());
    std::vector<LabelVersionValue> versions;
    for (const auto& [version, row] : rows->rows) {
      if (!row.existing.has_value()) continue;
      ++*count;
      if (row.existing->skipped()) continue;
      const auto opened = server::ReadOpenedValue(state->snapshot(), row, log_.config());
      KT_CHECK(opened.ok() || absl::IsPermissionDenied(opened.status()));
      if (opened.ok()) versions.push_back({label, version, opened->value.value});
    }
    return versions;
  }

 private:
  server::LogFixture log_;
  server::CallGate gate_;
  server::ConcurrencyLimit streams_{8};
  server::SearchService search_;
  server::MonitoringService monitoring_;
  server::UpdateService updates_;
  server::KeyTransparencyGrpc search_grpc_;
  server::MonitoringGrpc monitoring_grpc_;
  std::atomic<uint64_t> versions_ = 0;
  std::unique_ptr<server::Sequencer> sequencer_;
  std::unique_ptr<server::ManagedUpdates> managed_;
  std::unique_ptr<server::ManagerGrpc> manager_grpc_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace kt::fuzz
#endif  // TESTS_FUZZ_MANAGED_LOG_H_
