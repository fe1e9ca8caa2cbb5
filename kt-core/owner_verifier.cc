// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/monitoring.h"
#include "kt-core/monitoring_prover_support.h"
#include "kt-core/response_verifier.h"
#include "kt-core/tree_head.h"

namespace kt::core {

// "Owner Initialization", step 2.
absl::StatusOr<std::map<Version, KnownVersion>> ResponseVerifier::VerifyInitLadder(
    ByteView label, const OwnerInitResponse& response) const {
  const std::vector<Version>& greatest = response.greatest_versions;
  const std::vector<Version> ladder = InitLadderVersions(greatest);
  if (response.binary_ladder.size() != ladder.size()) {
    return base::VerificationFailed("binary-ladder",
                                    absl::StrCat("there are ", ladder.size(), " versions, but ",
                                                 response.binary_ladder.size(), " steps"));
  }
  std::vector<Bytes> proofs;
  for (const BinaryLadderStep& step : response.binary_ladder) proofs.push_back(step.proof);
  KT_ASSIGN_OR_RETURN(const auto outputs, context_->VerifyVrf(label, ladder, proofs));
  std::map<Version, KnownVersion> versions;
  for (size_t i = 0; i < ladder.size(); ++i) {
    const std::optional<Hash>& commitment = response.binary_ladder[i].commitment;
    const bool may_exist = !greatest.empty() && ladder[i] <= greatest.front();
    const bool exists = std::find(greatest.begin(), greatest.end(), ladder[i]) != greatest.end();
    if (commitment.has_value() ? !may_exist : exists) {
      return base::VerificationFailed(
          "binary-ladder",
          absl::StrCat("the commitment of version ", ladder[i],
                       commitment.has_value() ? " does not belong" : " is missing"));
    }
    versions[ladder[i]] = {outputs[i], commitment};
  }
  return versions;
}

absl::StatusOr<VerifiedOwnerInit> ResponseVerifier::VerifyOwnerInit(const OwnerInitRequest& request,
                                                                    ByteView response_bytes,
                                                                    const UserState* previous,
                                                                    uint64_t now_ms) const {
  KT_RETURN_IF_ERROR(CheckAdvertised(request.last, previous));
  KT_ASSIGN_OR_RETURN(const auto response, DecodeResponse<OwnerInitResponse>(
                                               response_bytes, WireContext::For(config())));
  const std::vector<Version>& greatest = response.greatest_versions;
  if (!std::is_sorted(greatest.rbegin(), greatest.rend())) {  // step 1, before any VRF proof
    return base::VerificationFailed("greatest-versions",
                                    "an earlier log entry has a greater version");
  }
  KT_ASSIGN_OR_RETURN(const auto versions, VerifyInitLadder(request.label, response));
  KT_ASSIGN_OR_RETURN(const TreeSize size, PresentedTreeSize(response.full_tree_head, previous));

  ProofVerifier proof(response.init, size, previous, versions);
  KT_RETURN_IF_ERROR(UpdateView(proof, request.last));
  KT_ASSIGN_OR_RETURN(const std::vector<LogPosition> entries,
                      OwnerInitEntries(proof, request.start, config()));
  KT_RETURN_IF_ERROR(OwnerInitLadders(proof, entries, greatest));
  VerifiedOwnerInit result;
  KT_ASSIGN_OR_RETURN(result.state,
                      context_->VerifyHead(response.full_tree_head, proof, previous, now_ms));
  for (size_t i = 0; i < greatest.size(); ++i) {
    result.greatest_versions.push_back({entries[i], greatest[i]});
  }
  result.owner.start = request.start;
  if (!greatest.empty()) result.owner.greatest_at_start = greatest.front();
  RetainVersions(ToRetainedVersions(versions), &result.owner);
  return result;
}

// "User Operations / Owner Monitoring".
absl::StatusOr<VerifiedOwnerMonitor> ResponseVerifier::VerifyOwnerMonitor(
    const OwnerMonitorRequest& request, ByteView response_bytes, const OwnerState& owner,
    const UserState* previous, uint64_t now_ms) const {
  KT_RETURN_IF_ERROR(CheckAdvertised(request.last, previous));
  KT_RETURN_IF_ERROR(ValidateOwnerState(owner));
  if (request != MakeOwnerMonitorRequest(request.label, owner, request.last)) {
    return absl::InvalidArgumentError("the request is not that of the owner's state");
  }
  KT_ASSIGN_OR_RETURN(const auto response, DecodeResponse<OwnerMonitorResponse>(
                                               response_bytes, WireContext::For(config())));
  KT_ASSIGN_OR_RETURN(const TreeSize size, PresentedTreeSize(response.full_tree_head, previous));
  if (owner.LastPosition() >= size) {
    return base::VerificationFailed("tree-size",
                                    absl::StrCat("the log presents ", size, " entries, but entry ",
                                                 owner.LastPosition(), " was seen before"));
  }

  ProofVerifier proof(response.monitor, size, previous, ToKnownVersions(owner.versions));
  OwnerView view;
  view.entries = owner.map;
  view.start = owner.start;
  view.expected = [&](LogPosition position) { return owner.ExpectedAt(position); };
  view.stop = [&](LogPosition) { return proof.PrefixProofsConsumed(); };
  KT_RETURN_IF_ERROR(UpdateView(proof, request.last));
  KT_ASSIGN_OR_RETURN(const OwnerMonitorOutcome outcome, OwnerMonitor(proof, view, config()));
  VerifiedOwnerMonitor result;
  KT_ASSIGN_OR_RETURN(result.state,
                      context_->VerifyHead(response.full_tree_head, proof, previous, now_ms));
  result.complete = outcome.complete;
  result.owner.start = outcome.verified;
  result.owner.greatest_at_start = owner.ExpectedAt(outcome.verified);
  for (const MonitorMapEntry& entry : owner.upcoming) {
    if (entry.position > outcome.verified) result.owner.upcoming.push_back(entry);
  }
  for (const MonitorMapEntry& entry : outcome.entries) {
    KT_RETURN_IF_ERROR(InsertIntoMap(entry, &result.owner.map));
  }
  RetainVersions(owner.versions, &result.owner);
  return result;
}

}  // namespace kt::core
