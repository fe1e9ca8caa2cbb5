// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/log_operator.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "kt-core/tree_head.h"
#include "tests/support/deterministic_signer.h"
#include "tests/support/paths.h"

namespace kt::sim {

using core::DeploymentMode;
using server::HeadGuard;
using server::Sequencer;
using server::TransparencyLog;

namespace {

constexpr char kGuard[] = "guard";
constexpr merkle::PrefixTreeLayout kLayout{
    .bucket_depth = 8, .rows_per_snapshot = 4, .deepest_from_leaves = true};
// For about half of the leaves that a run publishes.
constexpr size_t kMaxLeafBytes = 2'000;

// Small enough that a history of some hundred publications meets each limit.
server::SequencerOptions LimitsOf(const core::Configuration& config) {
  server::SequencerOptions options;
  options.max_idle_ms = 20'000;
  options.max_pending_per_label = 3;
  options.batch.versions = 6;
  options.batch.versions_per_entry = 4;
  options.max_downtime_ms = 12 * config.max_behind;
  return options;
}

const smime::TrustAnchors& Anchors() {
  static const smime::TrustAnchors* const kAnchors = [] {
    const std::string folder = testing::SourceDir() + "/tests/vectors/rfc9216/";
    auto anchors = smime::TrustAnchors::FromPem(testing::ReadText(folder + "ca.rsa.crt.pem"));
    KT_CHECK(anchors.ok());
    return new smime::TrustAnchors(*std::move(anchors));
  }();
  return *kAnchors;
}

}  // namespace

std::shared_ptr<const OperatorKeys> OperatorKeys::Create(core::CipherSuite suite,
                                                         DeploymentMode mode,
                                                         std::optional<uint64_t> maximum_lifetime,
                                                         uint64_t max_auditor_lag) {
  auto keys = std::make_shared<OperatorKeys>();
  testing::SeededRandom random(7);
  const auto algorithm = core::SignatureAlgorithmOf(suite);
  keys->signature = base::GenerateSignatureSecret(algorithm, random);
  keys->vrf = vrf::GenerateSecret(core::VrfSuiteOf(suite), random);
  core::Configuration& config = keys->config;
  config.ciphersuite = suite;
  config.mode = mode;
  config.max_ahead = 10'000;
  if (maximum_lifetime.has_value()) {
    config.max_ahead = std::min(config.max_ahead, *maximum_lifetime - 1);
  }
  config.max_behind = 100'000;
  config.reasonable_monitoring_window = 1'000;
  config.maximum_lifetime = maximum_lifetime;
  config.signature_public_key =
      base::CreateSigner(algorithm, keys->signature).value()->public_key();
  config.vrf_public_key =
      vrf::CreateProver(core::VrfSuiteOf(suite), keys->vrf).value()->public_key();
  if (mode == DeploymentMode::kThirdPartyAuditing) {
    keys->auditor = testing::CreateDeterministicSigner(
        algorithm, base::GenerateSignatureSecret(algorithm, random));
    config.auditor_public_key = keys->auditor->public_key();
    config.max_auditor_lag = max_auditor_lag;
  }
  return keys;
}

LogOperator::LogOperator(std::shared_ptr<const OperatorKeys> keys, const base::Clock& clock,
                         uint64_t seed)
    : LogOperator(std::move(keys), clock, seed, std::make_unique<FailingStore>()) {}

LogOperator::LogOperator(std::shared_ptr<const OperatorKeys> keys, const base::Clock& clock,
                         uint64_t seed, std::unique_ptr<FailingStore> store)
    : keys_(std::move(keys)), clock_(clock), random_(seed), store_(std::move(store)) {}

absl::StatusOr<std::unique_ptr<LogOperator>> LogOperator::Fork(size_t commits, uint64_t seed) {
  base::Bytes auditor_head;
  const auto state = log_->newest();
  const auto& known = state->head().auditor_tree_head;
  if (known.has_value() && known->tree_size <= store_->SizeAfter(commits)) {
    auditor_head = base::codec::Encode(*known);
  }
  std::unique_ptr<LogOperator> fork(new LogOperator(
      keys_, clock_, seed, std::make_unique<FailingStore>(*store_, commits, auditor_head)));
  KT_RETURN_IF_ERROR(fork->Start([](const Sequencer::CommitReport&) {}));
  return fork;
}

absl::Status LogOperator::Start(const Sequencer::Observer& observer) {
  Crash();
  const auto suite = keys_->config.ciphersuite;
  KT_ASSIGN_OR_RETURN(
      guard_,
      HeadGuard::Open(directory_.File(kGuard), core::ConfigurationFingerprint(config()),
                      has_guard_ ? HeadGuard::IfMissing::kRefuse : HeadGuard::IfMissing::kCreate));
  has_guard_ = true;
  server::LogKeys keys;
  keys.config = config();
  keys.signer =
      testing::CreateDeterministicSigner(core::SignatureAlgorithmOf(suite), keys_->signature);
  KT_ASSIGN_OR_RETURN(keys.vrf, vrf::CreateProver(core::VrfSuiteOf(suite), keys_->vrf));
  KT_ASSIGN_OR_RETURN(log_, TransparencyLog::Open(std::move(keys), kLayout, *store_, *guard_,
                                                  random_, {.leaf_bytes = kMaxLeafBytes}));
  auto sequencer = std::make_unique<Sequencer>(LimitsOf(config()), *log_, clock_, observer,
                                               [](const absl::Status&) {});
  KT_RETURN_IF_ERROR(sequencer->Prepare());
  sequencer_ = std::move(sequencer);
  server::Tokens tokens;
  const auto secret = tokens.Create({"smime.example"}, random_);
  KT_CHECK(secret.ok());
  token_ = *tokens.Find(*secret);
  server::PublishService::Options options;
  options.domains = {"smime.example"};
  options.admission.trust_anchors = Anchors();
  publish_ = std::make_unique<server::PublishService>(std::move(options), std::move(tokens),
                                                      *sequencer_, clock_);
  updates_ = std::make_unique<server::UpdateService>(*log_);
  return absl::OkStatus();
}

void LogOperator::Crash() {
  updates_ = nullptr;
  publish_ = nullptr;
  sequencer_ = nullptr;
  log_ = nullptr;
  guard_ = nullptr;
}

void LogOperator::Create(const core::UpdateRequest& request, const server::Submitter::Done& done) {
  const auto update = updates_->Prepare(request);
  if (!update.ok()) return done(update.status());
  publish_->Update(*token_, *update, done);
}

server::Pruner::Report LogOperator::Prune(size_t rows_per_step) {
  server::Pruner pruner({.rows_per_step = rows_per_step, .pause_ms = 0}, *log_, *store_, clock_,
                        [](const server::Pruner::Report&) {});
  return pruner.Run();
}

absl::StatusOr<server::ErasureReport> LogOperator::Erase(const std::string& address,
                                                         std::optional<base::Version> version) {
  return server::Eraser(*log_, *store_, events_, clock_).Erase(address, version);
}

void LogOperator::RemoveGuard() {
  KT_CHECK(std::remove(directory_.File(kGuard).c_str()) == 0);
  has_guard_ = false;
}

core::AuditorTreeHead LogOperator::AuditorHead(base::TreeSize size) const {
  const auto state = log_->newest();
  const auto root = server::LogRootAt(state->snapshot(), size);
  KT_CHECK(root.ok());
  auto head = core::SignAuditorTreeHead(config(), *keys_->auditor, *state->Timestamp(size - 1),
                                        size, *root);
  KT_CHECK(head.ok());
  return *std::move(head);
}

absl::Status LogOperator::SignAsAuditor() {
  if (keys_->auditor == nullptr) return absl::OkStatus();
  return log_->SubmitAuditorHead(AuditorHead(log_->newest()->size()));
}

}  // namespace kt::sim
