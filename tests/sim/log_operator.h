// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SIM_LOG_OPERATOR_H_
#define TESTS_SIM_LOG_OPERATOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/secret.h"
#include "base/signature.h"
#include "kt-core/response_verifier.h"
#include "kt-server/eraser.h"
#include "kt-server/event_log.h"
#include "kt-server/head_guard.h"
#include "kt-server/pruner.h"
#include "kt-server/publish_service.h"
#include "kt-server/sequencer.h"
#include "kt-server/transparency_log.h"
#include "kt-server/update_service.h"
#include "tests/sim/failing_store.h"
#include "tests/support/fakes.h"
#include "tests/support/process.h"

namespace kt::sim {

// The address that an owner publishes for, in the domain that the log hosts.
inline constexpr char kOwned[] = "alice@smime.example";

// What all forks of a log have in common.
struct OperatorKeys {
  core::Configuration config;
  base::SecretBytes signature, vrf;
  std::unique_ptr<base::Signer> auditor;  // thirdPartyAuditing: the auditor's own

  static std::shared_ptr<const OperatorKeys> Create(
      core::CipherSuite suite, core::DeploymentMode mode,
      std::optional<uint64_t> maximum_lifetime = std::nullopt, uint64_t max_auditor_lag = 1'000);
};

// A log's server without its network: the services, the sequencer that waits for RunEpoch, the log
// over a store that fails, and a real head guard. Store and guard survive a crash.
class LogOperator {
 public:
  // Borrows `clock`, the machine's. `seed`: of the randomness that goes into commitments.
  LogOperator(std::shared_ptr<const OperatorKeys> keys, const base::Clock& clock, uint64_t seed);

  // The same log as it was after `commits` commits, started, with another future.
  absl::StatusOr<std::unique_ptr<LogOperator>> Fork(size_t commits, uint64_t seed);

  // Starts the server on what is stored. Errors as HeadGuard::Open, TransparencyLog::Open and
  // Sequencer::Prepare; then it is not running.
  absl::Status Start(const server::Sequencer::Observer& observer);
  // What was not committed is gone, and nobody is answered.
  void Crash();
  bool running() const { return sequencer_ != nullptr; }

  // What an owner asks to be created, as server::OwnerUpdateCall hands it on.
  void Create(const core::UpdateRequest& request, const server::Submitter::Done& done);

  // A run of the pruner, which looks at so many rows in a step.
  server::Pruner::Report Prune(size_t rows_per_step);
  // As server::Eraser.
  absl::StatusOr<server::ErasureReport> Erase(const std::string& address,
                                              std::optional<base::Version> version);

  // kt-server guard rebuild: the database is known to be the newest one.
  void RemoveGuard();

  // The auditor's head of the log's first `size` entries.
  core::AuditorTreeHead AuditorHead(base::TreeSize size) const;
  // The same of all entries, submitted: for a log whose auditor conspires with it.
  absl::Status SignAsAuditor();

  const core::Configuration& config() const { return keys_->config; }
  server::TransparencyLog& log() { return *log_; }
  server::Sequencer& sequencer() { return *sequencer_; }
  server::UpdateService& updates() { return *updates_; }
  const server::HeadGuard& guard() const { return *guard_; }
  FailingStore& store() { return *store_; }

 private:
  LogOperator(std::shared_ptr<const OperatorKeys> keys, const base::Clock& clock, uint64_t seed,
              std::unique_ptr<FailingStore> store);

  const std::shared_ptr<const OperatorKeys> keys_;
  const base::Clock& clock_;
  server::EventLog events_{"off"};
  testing::SeededRandom random_;
  const testing::TemporaryDirectory directory_;
  const std::unique_ptr<FailingStore> store_;
  bool has_guard_ = false;
  std::unique_ptr<server::HeadGuard> guard_;
  std::unique_ptr<server::TransparencyLog> log_;
  std::unique_ptr<server::Sequencer> sequencer_;
  std::unique_ptr<server::PublishService> publish_;
  std::unique_ptr<server::UpdateService> updates_;
  std::optional<server::Token> token_;
};

}  // namespace kt::sim
#endif  // TESTS_SIM_LOG_OPERATOR_H_
