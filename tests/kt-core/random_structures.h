// SPDX-License-Identifier: Apache-2.0
//
// Structures with random contents: any value that their encoding allows, and nothing in fields that
// the context leaves out.
#ifndef TESTS_KT_CORE_RANDOM_STRUCTURES_H_
#define TESTS_KT_CORE_RANDOM_STRUCTURES_H_

#include <array>
#include <optional>
#include <vector>

#include "kt-core/operations.h"
#include "tests/support/fakes.h"

namespace kt::core {

class RandomStructures {
 public:
  RandomStructures(uint64_t seed, const WireContext& context, CipherSuite suite)
      : random_(seed), context_(context), suite_(suite) {}

  const WireContext& context() const { return context_; }

  template <typename T>
  T Make() {
    T value{};
    Fill(value);
    return value;
  }

 private:
  bool Coin() { return random_.Below(2) == 0; }
  bool managed() const { return context_.mode == DeploymentMode::kThirdPartyManagement; }
  bool audited() const { return context_.mode == DeploymentMode::kThirdPartyAuditing; }

  void Fill(uint8_t& value) { value = static_cast<uint8_t>(random_.Below(256)); }
  void Fill(uint32_t& value) { value = static_cast<uint32_t>(random_.Below(uint64_t{1} << 32)); }
  void Fill(uint64_t& value) { value = random_.Below(~uint64_t{0}); }
  void Fill(Bytes& value) {
    value.resize(random_.Below(12));
    random_.Fill(value);
  }
  template <size_t N>
  void Fill(std::array<uint8_t, N>& value) {
    random_.Fill(value);
  }
  void Fill(Hash& value) { random_.Fill(value.bytes); }
  void Fill(base::VrfOutput& value) { random_.Fill(value.bytes); }
  template <typename T>
  void Fill(std::optional<T>& value) {
    if (Coin()) Fill(value.emplace());
  }
  template <typename T>
  void Fill(std::vector<T>& values) {
    values.resize(random_.Below(4));
    for (T& value : values) Fill(value);
  }
  template <typename... Members>
  void FillAll(Members&... members) {
    (Fill(members), ...);
  }

  void Fill(PrefixLeaf& leaf) { FillAll(leaf.vrf_output, leaf.commitment); }
  void Fill(merkle::PrefixSearchResult& result) {
    using merkle::PrefixSearchResultType;
    result.result_type = static_cast<PrefixSearchResultType>(1 + random_.Below(3));
    if (result.result_type == PrefixSearchResultType::kNonInclusionLeaf) Fill(result.leaf);
    Fill(result.depth);
  }
  void Fill(PrefixProof& proof) { FillAll(proof.results, proof.elements); }
  void Fill(Configuration& config) {
    config.ciphersuite = suite_;
    config.mode = context_.mode;
    FillAll(config.signature_public_key, config.vrf_public_key, config.max_ahead, config.max_behind,
            config.reasonable_monitoring_window, config.maximum_lifetime);
    if (managed()) Fill(config.leaf_public_key);
    if (audited()) {
      FillAll(config.max_auditor_lag, config.auditor_start_pos, config.auditor_public_key);
    }
  }
  void Fill(TreeHead& head) { FillAll(head.tree_size, head.signature); }
  void Fill(TreeHeadTbs& tbs) { FillAll(tbs.config, tbs.tree_size, tbs.root); }
  void Fill(AuditorTreeHead& head) { FillAll(head.timestamp, head.tree_size, head.signature); }
  void Fill(AuditorTreeHeadTbs& tbs) {
    FillAll(tbs.config, tbs.timestamp, tbs.tree_size, tbs.root);
  }
  void Fill(FullTreeHead& head) {
    head.head_type = Coin() ? FullTreeHeadType::kSame : FullTreeHeadType::kUpdated;
    if (head.head_type == FullTreeHeadType::kSame) return;
    Fill(head.tree_head);
    if (audited()) Fill(head.auditor_tree_head);
  }
  void Fill(UpdateSuffix& suffix) {
    if (managed()) Fill(suffix.signature);
  }
  void Fill(UpdateValue& value) { FillAll(value.value, value.suffix); }
  void Fill(UpdateTbs& tbs) { FillAll(tbs.config, tbs.label, tbs.version, tbs.value); }
  void Fill(CommitmentValue& value) {
    FillAll(value.opening, value.label, value.version, value.update);
  }
  void Fill(VrfInput& input) { FillAll(input.label, input.version); }
  void Fill(LogEntry& entry) { FillAll(entry.timestamp, entry.prefix_tree); }
  void Fill(InclusionProof& proof) { Fill(proof.elements); }
  void Fill(CombinedTreeProof& proof) {
    FillAll(proof.timestamps, proof.prefix_proofs, proof.prefix_roots, proof.inclusion);
  }
  void Fill(DistinguishedHead& head) { Fill(head.heads); }
  void Fill(SearchRequest& request) { FillAll(request.last, request.label, request.version); }
  void Fill(BinaryLadderStep& step) {
    step.proof.resize(context_.vrf_proof_size);
    random_.Fill(step.proof);
    Fill(step.commitment);
  }
  void Fill(SearchResponse& response) {
    FillAll(response.full_tree_head, response.opening, response.value, response.binary_ladder,
            response.search);
    if (!context_.version_in_request) Fill(response.version);
  }
  void Fill(AbsenceResponse& response) {
    FillAll(response.full_tree_head, response.absence);
    response.proof.resize(context_.vrf_proof_size);
    random_.Fill(response.proof);
  }
  void Fill(MonitorMapEntry& entry) { FillAll(entry.position, entry.version); }
  void Fill(ContactMonitorRequest& request) {
    FillAll(request.last, request.label, request.entries);
  }
  void Fill(ContactMonitorResponse& response) {
    FillAll(response.full_tree_head, response.monitor);
  }
  void Fill(OwnerInitRequest& request) { FillAll(request.last, request.label, request.start); }
  void Fill(OwnerInitResponse& response) {
    FillAll(response.full_tree_head, response.greatest_versions, response.binary_ladder,
            response.init);
  }
  void Fill(OwnerMonitorRequest& request) {
    FillAll(request.last, request.label, request.entries, request.start, request.greatest_version);
  }
  void Fill(OwnerMonitorResponse& response) { FillAll(response.full_tree_head, response.monitor); }
  void Fill(LabelValue& value) { Fill(value.value); }
  void Fill(UpdateRequest& request) {
    FillAll(request.last, request.label, request.greatest_version, request.values);
  }
  void Fill(UpdateInfo& info) { FillAll(info.opening, info.suffix); }
  void Fill(UpdateResponse& response) {
    FillAll(response.full_tree_head, response.position, response.values, response.info,
            response.binary_ladder, response.update);
    if (managed()) Fill(response.skipped_versions);
  }
  void Fill(DistinguishedRequest& request) { FillAll(request.last, request.stop); }
  void Fill(DistinguishedResponse& response) {
    FillAll(response.full_tree_head, response.distinguished);
  }
  void Fill(Credential& credential) {
    FillAll(credential.label, credential.version, credential.opening, credential.value,
            credential.binary_ladder, credential.position);
    credential.credential_type = Coin() ? CredentialType::kStandard : CredentialType::kProvisional;
    if (credential.credential_type == CredentialType::kStandard) {
      Fill(credential.distinguished);
    } else {
      FillAll(credential.tree_head, credential.search);
    }
  }
  void Fill(CredentialUpdate& update) { Fill(update.monitor); }
  void Fill(ManagerUpdateRequest& request) {
    FillAll(request.last, request.label, request.greatest_version, request.values,
            request.signed_version);
  }
  void Fill(AuditorUpdate& update) {
    FillAll(update.timestamp, update.added, update.removed, update.proof);
  }

  testing::SeededRandom random_;
  const WireContext context_;
  const CipherSuite suite_;
};

}  // namespace kt::core
#endif  // TESTS_KT_CORE_RANDOM_STRUCTURES_H_
