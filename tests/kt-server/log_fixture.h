// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_KT_SERVER_LOG_FIXTURE_H_
#define TESTS_KT_SERVER_LOG_FIXTURE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/signature.h"
#include "base/status.h"
#include "kt-core/response_verifier.h"
#include "kt-core/tree_head.h"
#include "kt-server/head_guard.h"
#include "kt-server/store.h"
#include "kt-server/transparency_log.h"
#include "tests/support/fakes.h"
#include "tests/support/process.h"
#include "vrf/vrf.h"

namespace kt::server {

// A store whose next commits can be made to fail, before or after the real one is written.
class FaultyStore : public Store {
 public:
  enum class Fault { kNone, kBeforeWrite, kAfterWrite };

  explicit FaultyStore(std::unique_ptr<Store> store) : real_(std::move(store)), store_(*real_) {}
  void FailNextCommit(Fault fault) { fault_ = fault; }
  // `hook` runs in each commit, before anything is written. Set while nothing is being committed.
  void BeforeEachCommit(std::function<void()> hook) { before_commit_ = std::move(hook); }
  int commits() const { return commits_; }
  Store& real() { return store_; }

  absl::StatusOr<std::shared_ptr<const Snapshot>> GetSnapshot() const override {
    return store_.GetSnapshot();
  }
  absl::Status CheckRoom() override { return store_.CheckRoom(); }
  absl::Status CheckFiles(const std::function<absl::Status()>& next) const override {
    return store_.CheckFiles(next);
  }
  absl::Status Commit(const CommitBatch& batch, base::TreeSize expected) override {
    if (before_commit_) before_commit_();
    const Fault fault = fault_.exchange(Fault::kNone);
    if (fault == Fault::kBeforeWrite) return absl::UnavailableError("injected: nothing written");
    ++commits_;
    const absl::Status status = store_.Commit(batch, expected);
    if (fault == Fault::kAfterWrite) return absl::UnavailableError("injected: written, not told");
    return status;
  }
  absl::Status SetHorizon(base::LogPosition horizon) override { return store_.SetHorizon(horizon); }
  absl::StatusOr<PruneStep> PruneSome(size_t max_rows) override {
    return store_.PruneSome(max_rows);
  }
  absl::StatusOr<size_t> Erase(std::span<const ErasureRow> erasures) override {
    return store_.Erase(erasures);
  }
  absl::Status Reclaim(std::atomic<bool>& cancelled) override { return store_.Reclaim(cancelled); }
  size_t UnreclaimedErasures() const override { return store_.UnreclaimedErasures(); }
  absl::StatusOr<base::Bytes> ReadAuditorHead() const override { return store_.ReadAuditorHead(); }
  absl::Status WriteAuditorHead(base::ByteView head) override {
    if (fault_.exchange(Fault::kNone) != Fault::kNone) {
      return absl::UnavailableError("injected: nothing written");
    }
    return store_.WriteAuditorHead(head);
  }
  absl::StatusOr<base::Bytes> ReadProperties() const override { return store_.ReadProperties(); }
  absl::Status WriteProperties(base::ByteView properties) override {
    return store_.WriteProperties(properties);
  }

 private:
  const std::unique_ptr<Store> real_;
  Store& store_;
  std::function<void()> before_commit_;
  std::atomic<Fault> fault_ = Fault::kNone;
  std::atomic<int> commits_ = 0;
};

// Not enough for the larger logs of the tests.
inline constexpr size_t kMaxLeafBytes = 4'000;
inline constexpr merkle::PrefixTreeLayout kLayout{
    .bucket_depth = 8, .rows_per_snapshot = 4, .deepest_from_leaves = true};

// A log over a memory store that survives Reopen, or over the store that `open_store` opens, with a
// real head guard.
class LogFixture {
 public:
  using StoreFactory = std::function<std::unique_ptr<Store>()>;

  explicit LogFixture(core::CipherSuite suite = core::CipherSuite::kEd25519,
                      core::DeploymentMode mode = core::DeploymentMode::kContactMonitoring,
                      std::optional<uint64_t> maximum_lifetime = std::nullopt,
                      StoreFactory open_store = CreateMemoryStore, uint64_t max_auditor_lag = 1'000)
      : random_(7),
        open_store_(std::move(open_store)),
        faulty_(std::make_unique<FaultyStore>(open_store_())) {
    const auto algorithm = core::SignatureAlgorithmOf(suite);
    signature_secret_ = base::GenerateSignatureSecret(algorithm, random_);
    vrf_secret_ = vrf::GenerateSecret(core::VrfSuiteOf(suite), random_);
    config_.ciphersuite = suite;
    config_.max_ahead = 1'000;
    config_.max_behind = 100'000;
    config_.reasonable_monitoring_window = 1'000;
    config_.signature_public_key = MakeSigner()->public_key();
    config_.vrf_public_key = MakeProver()->public_key();
    config_.mode = mode;
    config_.maximum_lifetime = maximum_lifetime;
    if (mode == core::DeploymentMode::kThirdPartyAuditing) {
      auto auditor =
          base::CreateSigner(algorithm, base::GenerateSignatureSecret(algorithm, random_));
      KT_CHECK(auditor.ok());
      auditor_ = *std::move(auditor);
      config_.auditor_public_key = auditor_->public_key();
      config_.max_auditor_lag = max_auditor_lag;
    }
    if (mode == core::DeploymentMode::kThirdPartyManagement) {
      leaf_secret_ = base::GenerateSignatureSecret(algorithm, random_);
      leaf_ = MakeLeaf();
      config_.leaf_public_key = leaf_->public_key();
    }
    KT_CHECK(Reopen().ok());
    auto verifier = core::ResponseVerifier::Create(config_);
    KT_CHECK(verifier.ok());
    verifier_ = *std::move(verifier);
  }

  // As after a restart: the database and the guard stay.
  absl::Status Reopen() {
    log_ = nullptr;
    guard_ = nullptr;
    KT_ASSIGN_OR_RETURN(
        guard_, HeadGuard::Open(directory_.File("guard"), core::ConfigurationFingerprint(config_),
                                HeadGuard::IfMissing::kCreate));
    KT_ASSIGN_OR_RETURN(
        log_, TransparencyLog::Open({config_, MakeSigner(), MakeProver()}, kLayout, *faulty_,
                                    *guard_, random_, {.leaf_bytes = kMaxLeafBytes}));
    return absl::OkStatus();
  }
  // The same with the store closed and opened again, which a memory store does not survive.
  absl::Status ReopenStore() {
    log_ = nullptr;
    faulty_ = nullptr;
    faulty_ = std::make_unique<FaultyStore>(open_store_());
    return Reopen();
  }

  // Appends one entry with one version of `label`.
  absl::Status Add(const std::string& label, base::Version version, const std::string& value) {
    const NewEntry entry{clock_.NowMs(),
                         {{base::ToBytes(label), version, {base::ToBytes(value), {}}}}};
    return log_->Append({&entry, 1});
  }
  absl::Status AddEmpty() {
    const NewEntry entry{clock_.NowMs(), {}};
    return log_->Append({&entry, 1});
  }

  std::unique_ptr<base::Signer> MakeSigner() const {
    auto signer =
        base::CreateSigner(core::SignatureAlgorithmOf(config_.ciphersuite), signature_secret_);
    KT_CHECK(signer.ok());
    return *std::move(signer);
  }
  // The operator's, in thirdPartyManagement mode.
  std::unique_ptr<base::Signer> MakeLeaf() const {
    auto leaf = base::CreateSigner(core::SignatureAlgorithmOf(config_.ciphersuite), leaf_secret_);
    KT_CHECK(leaf.ok());
    return *std::move(leaf);
  }
  std::unique_ptr<vrf::Prover> MakeProver() const {
    auto prover = vrf::CreateProver(core::VrfSuiteOf(config_.ciphersuite), vrf_secret_);
    KT_CHECK(prover.ok());
    return *std::move(prover);
  }

  // The auditor's head of the log's first `size` entries.
  core::AuditorTreeHead AuditorHead(base::TreeSize size) const {
    const auto state = log_->newest();
    const auto root = LogRootAt(state->snapshot(), size);
    auto head =
        core::SignAuditorTreeHead(config_, *auditor_, *state->Timestamp(size - 1), size, *root);
    KT_CHECK(head.ok());
    return *std::move(head);
  }

  TransparencyLog& log() { return *log_; }
  const base::Signer& auditor() const { return *auditor_; }
  const base::Signer& leaf() const { return *leaf_; }
  FaultyStore& store() { return *faulty_; }
  Store& real_store() { return faulty_->real(); }
  testing::FakeClock& clock() { return clock_; }
  testing::SeededRandom& random() { return random_; }
  HeadGuard& guard() { return *guard_; }
  const core::Configuration& config() const { return config_; }
  const core::ResponseVerifier& verifier() const { return *verifier_; }
  std::string guard_path() const { return directory_.File("guard"); }

 private:
  testing::TemporaryDirectory directory_;
  testing::FakeClock clock_;
  testing::SeededRandom random_;
  base::SecretBytes signature_secret_;
  base::SecretBytes vrf_secret_;
  base::SecretBytes leaf_secret_;
  core::Configuration config_;
  std::unique_ptr<base::Signer> auditor_;  // thirdPartyAuditing
  std::unique_ptr<base::Signer> leaf_;     // thirdPartyManagement: the operator's
  StoreFactory open_store_;
  std::unique_ptr<FaultyStore> faulty_;
  std::unique_ptr<HeadGuard> guard_;
  std::unique_ptr<TransparencyLog> log_;
  std::unique_ptr<core::ResponseVerifier> verifier_;
};

}  // namespace kt::server
#endif  // TESTS_KT_SERVER_LOG_FIXTURE_H_
