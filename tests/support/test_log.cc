// SPDX-License-Identifier: Apache-2.0
#include "tests/support/test_log.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/commitment_value.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/tree_head.h"
#include "tests/support/deterministic_signer.h"
#include "tests/support/fakes.h"

namespace kt::testing {

using base::Bytes;
using base::Hash;
using base::LogPosition;
using base::TreeSize;
using base::Version;
using core::DeploymentMode;

namespace {

class View : public core::LogView {
 public:
  View(const TestLog& log, TreeSize size) : log_(log), size_(size) {
    KT_CHECK(size >= 1 && size <= log.size());
  }

  TreeSize size() const override { return size_; }
  absl::StatusOr<uint64_t> Timestamp(LogPosition position) const override {
    KT_CHECK(position < size_);
    return log_.TimestampOf(position);
  }
  absl::StatusOr<std::vector<Hash>> PrefixRoots(
      std::span<const LogPosition> positions) const override {
    std::vector<Hash> roots;
    for (const LogPosition position : positions) {
      KT_CHECK(position < size_);
      roots.push_back(log_.PrefixRootOf(position));
    }
    return roots;
  }
  absl::StatusOr<std::vector<core::PrefixProof>> ProvePrefix(
      std::span<const merkle::PrefixProofRequest> requests) const override {
    std::vector<core::PrefixProof> proofs;
    for (const merkle::PrefixProofRequest& request : requests) {
      KT_CHECK(request.position < size_);
      proofs.push_back(log_.PrefixTreeOf(request.position).Prove(request.keys));
    }
    return proofs;
  }
  absl::StatusOr<std::vector<Hash>> ReadLogNodes(
      std::span<const merkle::LogNodeId> ids) const override {
    std::vector<Hash> values;
    for (const merkle::LogNodeId& id : ids) {
      KT_CHECK((id.index + 1) << id.level <= size_);
      values.push_back(log_.LogNode(id));
    }
    return values;
  }

 private:
  const TestLog& log_;
  const TreeSize size_;
};

}  // namespace

TestLog::TestLog(const TestLogOptions& options)
    : proofs_(std::make_shared<decltype(proofs_)::element_type>()) {
  SeededRandom random(options.seed);
  const base::SignatureAlgorithm algorithm = core::SignatureAlgorithmOf(options.suite);
  const auto make_signer = [&](base::SecretBytes* secret) {
    *secret = base::GenerateSignatureSecret(algorithm, random);
    return options.deterministic_signatures ? CreateDeterministicSigner(algorithm, *secret)
                                            : base::CreateSigner(algorithm, *secret).value();
  };
  const vrf::Suite vrf_suite = core::VrfSuiteOf(options.suite);
  auto keys = std::make_shared<TestLogKeys>();
  keys->log = make_signer(&keys->log_secret);
  keys->leaf = make_signer(&keys->leaf_secret);
  keys->auditor = make_signer(&keys->auditor_secret);
  keys->vrf_secret = vrf::GenerateSecret(vrf_suite, random);
  keys->vrf = vrf::CreateProver(vrf_suite, keys->vrf_secret).value();

  config_.ciphersuite = options.suite;
  config_.mode = options.mode;
  config_.signature_public_key = keys->log->public_key();
  config_.vrf_public_key = keys->vrf->public_key();
  if (options.mode == DeploymentMode::kThirdPartyManagement) {
    config_.leaf_public_key = keys->leaf->public_key();
  }
  if (options.mode == DeploymentMode::kThirdPartyAuditing) {
    config_.max_auditor_lag = options.max_auditor_lag_ms;
    config_.auditor_start_pos = options.auditor_start_pos;
    config_.auditor_public_key = keys->auditor->public_key();
  }
  config_.max_ahead = options.max_ahead_ms;
  // Some tests have lifetimes of a few entries, but a lifetime is to be greater.
  if (options.maximum_lifetime_ms.value_or(0) > 0) {
    config_.max_ahead = std::min(config_.max_ahead, *options.maximum_lifetime_ms - 1);
  }
  config_.max_behind = options.max_behind_ms;
  config_.reasonable_monitoring_window = options.reasonable_monitoring_window_ms;
  config_.maximum_lifetime = options.maximum_lifetime_ms;
  keys_ = std::move(keys);
}

LogPosition TestLog::Append(uint64_t timestamp_ms, const std::vector<TestUpdate>& updates) {
  for (const TestUpdate& update : updates) {
    const auto& versions = labels_[update.label];
    AddVersion(update.label, versions.empty() ? 0 : versions.rbegin()->first + 1, update.value);
  }
  const LogPosition position = size();
  timestamps_.push_back(timestamp_ms);
  const bool unchanged = position > 0 && prefix_trees_.back()->leaves() == next_tree_.leaves();
  prefix_trees_.push_back(unchanged ? prefix_trees_.back()
                                    : std::make_shared<const NaivePrefixTree>(next_tree_));
  prefix_roots_.push_back(unchanged ? prefix_roots_.back() : next_tree_.Root());

  std::vector<Hash> heads;
  for (const merkle::LogNodeId& id : merkle::FullSubtrees(position)) heads.push_back(LogNode(id));
  merkle::LogTreeBuilder builder(position, std::move(heads));
  std::vector<std::pair<merkle::LogNodeId, Hash>> completed;
  builder.Append(
      base::Sha256(core::codec::Encode(core::LogEntry{timestamp_ms, prefix_roots_.back()})),
      &completed);
  for (const auto& [id, value] : completed) nodes_[id] = value;
  return position;
}

core::UpdateValue TestLog::MakeUpdate(const std::string& label, Version version,
                                      const std::string& value) const {
  core::UpdateValue update{base::ToBytes(value), {}};
  if (config_.mode == DeploymentMode::kThirdPartyManagement) {
    const core::UpdateTbs tbs{config_, base::ToBytes(label), version, update.value};
    update.suffix.signature = keys_->leaf->Sign(core::codec::Encode(tbs)).value();
  }
  return update;
}

void TestLog::AddVersion(const std::string& label, Version version, const std::string& value) {
  VersionData data;
  // Depends on the value too, so that forks differ.
  const Hash seed = base::Sha256(base::AsBytes(absl::StrCat(label, "\n", version, "\n", value)));
  std::copy_n(seed.bytes.begin(), data.opening.size(), data.opening.begin());
  data.update = MakeUpdate(label, version, value);
  data.commitment =
      core::CommitTo(config_, data.opening, base::AsBytes(label), version, data.update).value();
  Store(label, version, std::move(data));
}

void TestLog::SkipVersion(const std::string& label, Version version) {
  Store(label, version, VersionData());
}

void TestLog::Store(const std::string& label, Version version, VersionData data) {
  data.position = size();
  next_tree_.Set(OutputOf(label, version), data.commitment);
  const bool fresh = labels_[label].emplace(version, std::move(data)).second;
  KT_CHECK(fresh);
}

void TestLog::Hide(const std::string& label, Version version) {
  next_tree_.Remove(OutputOf(label, version));
}

void TestLog::Unhide(const std::string& label, Version version) {
  next_tree_.Set(OutputOf(label, version), Find(label, version)->commitment);
}

TestLog TestLog::Prefix(TreeSize size) const {
  KT_CHECK(size >= 1 && size <= this->size());
  TestLog prefix = *this;
  prefix.timestamps_.resize(size);
  prefix.prefix_roots_.resize(size);
  prefix.prefix_trees_.resize(size);
  prefix.next_tree_ = *prefix.prefix_trees_.back();
  prefix.heads_.erase(prefix.heads_.upper_bound(size), prefix.heads_.end());
  std::erase_if(prefix.nodes_, [&](const auto& node) {
    return (node.first.index + 1) << node.first.level > size;
  });
  for (auto& [label, versions] : prefix.labels_) {
    std::erase_if(versions, [&](const auto& version) { return version.second.position >= size; });
  }
  return prefix;
}

void TestLog::SetAuditorLag(TreeSize entries) {
  auditor_lag_ = entries;
  heads_.clear();
}

Hash TestLog::RootAt(TreeSize size) const {
  std::vector<Hash> heads;
  for (const merkle::LogNodeId& id : merkle::FullSubtrees(size)) heads.push_back(LogNode(id));
  return merkle::LogRoot(size, heads);
}

const TestLog::VersionData* TestLog::Find(const std::string& label, Version version) const {
  const auto versions = labels_.find(label);
  if (versions == labels_.end()) return nullptr;
  const auto found = versions->second.find(version);
  return found == versions->second.end() ? nullptr : &found->second;
}

std::optional<Version> TestLog::Greatest(const std::string& label, TreeSize size) const {
  std::optional<Version> greatest;
  const auto versions = labels_.find(label);
  if (versions == labels_.end()) return greatest;
  for (const auto& [version, data] : versions->second) {
    if (data.position < size) greatest = version;
  }
  return greatest;
}

vrf::ProvenOutput TestLog::Prove(const std::string& label, Version version) const {
  const auto [entry, fresh] = proofs_->try_emplace({label, version});
  if (fresh) {
    const Bytes alpha[] = {core::EncodeVrfInput(base::AsBytes(label), version).value()};
    entry->second = keys_->vrf->Prove(alpha).at(0);
  }
  return entry->second;
}

std::unique_ptr<core::LogView> TestLog::ViewAt(TreeSize size) const {
  return std::make_unique<View>(*this, size);
}

const core::SignedHead& TestLog::HeadAt(TreeSize size) const {
  const auto [entry, fresh] = heads_.try_emplace(size);
  core::SignedHead& head = entry->second;
  if (!fresh) return head;
  head.tree_head = core::SignTreeHead(config_, *keys_->log, size, RootAt(size)).value();
  if (config_.mode == DeploymentMode::kThirdPartyAuditing) {
    const TreeSize audited = size > auditor_lag_ ? size - auditor_lag_ : 1;
    head.auditor_tree_head =
        core::SignAuditorTreeHead(config_, *keys_->auditor, timestamps_.at(audited - 1), audited,
                                  RootAt(audited))
            .value();
  }
  return head;
}

core::LabelRecord TestLog::Record(const std::string& label,
                                  std::span<const Version> versions) const {
  core::LabelRecord record;
  for (const Version version : versions) {
    const vrf::ProvenOutput proven = Prove(label, version);
    core::VersionRecord& row = record[version];
    row.output = proven.output;
    row.vrf_proof = proven.proof;
    const VersionData* data = Find(label, version);
    if (data != nullptr) {
      row.existing = core::VersionRecord::Existing{data->position, data->commitment};
    }
  }
  return record;
}

core::UserState TestLog::StateAt(TreeSize size) const {
  core::UserState state;
  state.tree_head = HeadAt(size).tree_head;
  state.auditor_tree_head = HeadAt(size).auditor_tree_head;
  for (const merkle::LogNodeId& id : merkle::FullSubtrees(size)) {
    state.full_subtrees.push_back(LogNode(id));
  }
  for (const LogPosition position : core::Frontier(size)) {
    state.frontier.push_back({TimestampOf(position), PrefixRootOf(position)});
  }
  return state;
}

absl::StatusOr<core::SearchResponse> TestLog::SearchResponse(const core::SearchRequest& request,
                                                             std::optional<TreeSize> size) const {
  const TreeSize view_size = size.value_or(this->size());
  const std::string label = base::ToText(request.label);
  const std::optional<Version> target =
      request.version.has_value() ? request.version : Greatest(label, view_size);
  const VersionData* data = target.has_value() ? Find(label, *target) : nullptr;
  if (data == nullptr || data->position >= view_size) {
    return absl::NotFoundError("no such label or version");
  }
  return core::ProveSearch(config_, *ViewAt(view_size), HeadAt(view_size), request, *target,
                           Record(label, core::BaseBinaryLadder(*target)), data->opening,
                           data->update);
}

absl::StatusOr<core::AbsenceResponse> TestLog::AbsenceResponse(const core::SearchRequest& request,
                                                               std::optional<TreeSize> size) const {
  const TreeSize view_size = size.value_or(this->size());
  const Version version[] = {request.version.value_or(0)};
  return core::ProveAbsence(*ViewAt(view_size), HeadAt(view_size), request,
                            Record(base::ToText(request.label), version));
}

absl::StatusOr<Bytes> TestLog::Search(const core::SearchRequest& request,
                                      std::optional<TreeSize> size) const {
  KT_ASSIGN_OR_RETURN(const core::SearchResponse response, SearchResponse(request, size));
  return core::codec::TryEncode(response, context(request.version.has_value()));
}

absl::StatusOr<Bytes> TestLog::Absence(const core::SearchRequest& request,
                                       std::optional<TreeSize> size) const {
  KT_ASSIGN_OR_RETURN(const core::AbsenceResponse response, AbsenceResponse(request, size));
  return core::codec::TryEncode(response, context());
}

core::SearchRequest TestUser::Request(const std::string& label,
                                      std::optional<Version> version) const {
  core::SearchRequest request;
  if (state_.has_value()) request.last = state_->tree_size();
  request.label = base::ToBytes(label);
  request.version = version;
  return request;
}

absl::StatusOr<core::VerifiedSearch> TestUser::Search(const core::SearchRequest& request,
                                                      base::ByteView response, uint64_t now_ms) {
  KT_ASSIGN_OR_RETURN(core::VerifiedSearch result,
                      verifier_.VerifySearch(request, response, previous(), now_ms));
  state_ = result.state;
  return result;
}

absl::StatusOr<core::VerifiedAbsence> TestUser::Absence(const core::SearchRequest& request,
                                                        base::ByteView response, uint64_t now_ms) {
  KT_ASSIGN_OR_RETURN(core::VerifiedAbsence result,
                      verifier_.VerifyAbsence(request, response, previous(), now_ms));
  state_ = result.state;
  return result;
}

}  // namespace kt::testing
