// SPDX-License-Identifier: Apache-2.0
//
// A small real log, as plain as can be: keys, signatures, VRF and both trees are real, nothing is
// stored. Tests use it as the other side of what they test, also to lie: entries may be given any
// timestamp, versions may be hidden, and a copy of a log is a fork of it.
#ifndef TESTS_SUPPORT_TEST_LOG_H_
#define TESTS_SUPPORT_TEST_LOG_H_

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret.h"
#include "base/signature.h"
#include "kt-core/operations.h"
#include "kt-core/prover.h"
#include "kt-core/response_verifier.h"
#include "merkle/log_tree.h"
#include "tests/support/naive_prefix_tree.h"
#include "vrf/vrf.h"

namespace kt::testing {

struct TestLogOptions {
  core::CipherSuite suite = core::CipherSuite::kEd25519;
  core::DeploymentMode mode = core::DeploymentMode::kContactMonitoring;
  uint64_t seed = 1;  // of all keys
  uint64_t max_ahead_ms = 10'000;
  uint64_t max_behind_ms = 60'000;
  uint64_t reasonable_monitoring_window_ms = 1'000;
  std::optional<uint64_t> maximum_lifetime_ms = std::nullopt;
  uint64_t max_auditor_lag_ms = 1'000'000;
  uint64_t auditor_start_pos = 0;
  // The same log each time, byte by byte; signing takes longer.
  bool deterministic_signatures = false;
};

// The secret keys of a log and what belongs to them. Shared by the forks of a log.
struct TestLogKeys {
  std::unique_ptr<base::Signer> log;
  std::unique_ptr<base::Signer> leaf;     // the operator's, thirdPartyManagement
  std::unique_ptr<base::Signer> auditor;  // thirdPartyAuditing
  std::unique_ptr<vrf::Prover> vrf;

  // What they are made of: for test vectors.
  base::SecretBytes log_secret, leaf_secret, auditor_secret, vrf_secret;
};

struct TestUpdate {
  std::string label;
  std::string value;
};

// Not thread-safe.
class TestLog {
 public:
  // One version of a label.
  struct VersionData {
    base::LogPosition position = 0;  // of the log entry that added it
    base::Opening opening{};
    core::UpdateValue update;
    base::Hash commitment;
  };

  explicit TestLog(const TestLogOptions& options);

  const core::Configuration& config() const { return config_; }
  const TestLogKeys& keys() const { return *keys_; }
  core::WireContext context(bool version_in_request = false) const {
    return core::WireContext::For(config_, version_in_request);
  }

  // --- growing it --------------------------------------------------------------------------

  // Adds a log entry that gives each update's label its next version. Returns its position.
  base::LogPosition Append(uint64_t timestamp_ms, const std::vector<TestUpdate>& updates = {});

  // What the next entry does besides: adds a version out of turn, or one with the all-zero
  // commitment of a skipped version; takes a version's leaf out of the prefix tree, or puts it
  // back. The record of the label (Find, Greatest, Record) still has hidden versions.
  void AddVersion(const std::string& label, base::Version version, const std::string& value);
  void SkipVersion(const std::string& label, base::Version version);
  void Hide(const std::string& label, base::Version version);
  void Unhide(const std::string& label, base::Version version);

  // The log as it was when it had `size` entries: appending something else to it makes a fork.
  TestLog Prefix(base::TreeSize size) const;

  // How many entries the auditor's head lacks, from the next Head of each size on; the auditor has
  // always seen at least the first entry.
  void SetAuditorLag(base::TreeSize entries);

  // --- reading it --------------------------------------------------------------------------

  base::TreeSize size() const { return timestamps_.size(); }
  uint64_t TimestampOf(base::LogPosition position) const { return timestamps_.at(position); }
  uint64_t RightmostMs() const { return timestamps_.back(); }
  base::Hash PrefixRootOf(base::LogPosition position) const { return prefix_roots_.at(position); }
  const NaivePrefixTree& PrefixTreeOf(base::LogPosition position) const {
    return *prefix_trees_.at(position);
  }
  // Head of a balanced subtree; it is complete in this log.
  base::Hash LogNode(const merkle::LogNodeId& id) const { return nodes_.at(id); }
  base::Hash RootAt(base::TreeSize size) const;

  // nullptr if there is no such version.
  const VersionData* Find(const std::string& label, base::Version version) const;
  // The greatest version within the first `size` entries.
  std::optional<base::Version> Greatest(const std::string& label, base::TreeSize size) const;
  base::VrfOutput OutputOf(const std::string& label, base::Version version) const {
    return Prove(label, version).output;
  }

  // The immutable view that an operator's server has when the log has `size` entries. Borrows.
  std::unique_ptr<core::LogView> ViewAt(base::TreeSize size) const;
  // The signed head of that size; the same one each time.
  const core::SignedHead& HeadAt(base::TreeSize size) const;
  // What the log knows of the versions of a label, with VRF proofs.
  core::LabelRecord Record(const std::string& label, std::span<const base::Version> versions) const;
  // The state of a user who has verified the head of `size`, computed from the log itself.
  core::UserState StateAt(base::TreeSize size) const;

  // --- answering ---------------------------------------------------------------------------

  // Responses of an honest operator whose log has `size` entries (default: all). kNotFound if the
  // version (or, for a greatest-version search, the label) does not exist, otherwise as
  // core::ProveSearch and core::ProveAbsence.
  absl::StatusOr<core::SearchResponse> SearchResponse(
      const core::SearchRequest& request, std::optional<base::TreeSize> size = std::nullopt) const;
  absl::StatusOr<core::AbsenceResponse> AbsenceResponse(
      const core::SearchRequest& request, std::optional<base::TreeSize> size = std::nullopt) const;
  // The same, encoded.
  absl::StatusOr<base::Bytes> Search(const core::SearchRequest& request,
                                     std::optional<base::TreeSize> size = std::nullopt) const;
  absl::StatusOr<base::Bytes> Absence(const core::SearchRequest& request,
                                      std::optional<base::TreeSize> size = std::nullopt) const;

 private:
  vrf::ProvenOutput Prove(const std::string& label, base::Version version) const;
  void Store(const std::string& label, base::Version version, VersionData data);
  core::UpdateValue MakeUpdate(const std::string& label, base::Version version,
                               const std::string& value) const;

  core::Configuration config_;
  std::shared_ptr<const TestLogKeys> keys_;
  base::TreeSize auditor_lag_ = 0;

  std::map<std::string, std::map<base::Version, VersionData>> labels_;
  NaivePrefixTree next_tree_;  // of the entry that comes next
  std::vector<uint64_t> timestamps_;
  std::vector<base::Hash> prefix_roots_;
  std::vector<std::shared_ptr<const NaivePrefixTree>> prefix_trees_;
  std::map<merkle::LogNodeId, base::Hash> nodes_;

  // Computed when they are first asked for.
  mutable std::map<base::TreeSize, core::SignedHead> heads_;
  std::shared_ptr<std::map<std::pair<std::string, base::Version>, vrf::ProvenOutput>> proofs_;
};

// A user of one log: sends requests with what she retained, and retains what was verified.
class TestUser {
 public:
  // Borrows `verifier`.
  explicit TestUser(const core::ResponseVerifier& verifier) : verifier_(verifier) {}

  core::SearchRequest Request(const std::string& label,
                              std::optional<base::Version> version = std::nullopt) const;
  absl::StatusOr<core::VerifiedSearch> Search(const core::SearchRequest& request,
                                              base::ByteView response, uint64_t now_ms);
  absl::StatusOr<core::VerifiedAbsence> Absence(const core::SearchRequest& request,
                                                base::ByteView response, uint64_t now_ms);

  const std::optional<core::UserState>& state() const { return state_; }
  void set_state(std::optional<core::UserState> state) { state_ = std::move(state); }

 private:
  const core::UserState* previous() const { return state_.has_value() ? &*state_ : nullptr; }

  const core::ResponseVerifier& verifier_;
  std::optional<core::UserState> state_;
};

}  // namespace kt::testing
#endif  // TESTS_SUPPORT_TEST_LOG_H_
