// SPDX-License-Identifier: Apache-2.0
//
// "User Operations / Updating a Label"; step numbers are its.
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/commitment_value.h"
#include "kt-core/monitoring.h"
#include "kt-core/response_verifier.h"
#include "kt-core/tree_head.h"
#include "kt-core/update.h"

namespace kt::core {
namespace {

// Steps 1 and 2, and bounds: fills in what the response says it created.
absl::Status ReadCreated(const UpdateRequest& request, const UpdateResponse& response,
                         const OwnerState& owner, TreeSize size, VerifiedUpdate* result) {
  const LogPosition before = owner.upcoming.empty() ? owner.start : owner.upcoming.back().position;
  if (response.position <= before || response.position >= size) {
    return base::VerificationFailed(
        "update-position", absl::StrCat("new versions cannot be in log entry ", response.position,
                                        ": the last ones are in or before entry ", before));
  }
  result->of_request = response.values.empty();
  const std::vector<LabelValue>& values = result->of_request ? request.values : response.values;
  if (response.info.empty() || response.info.size() != values.size()) {
    return base::VerificationFailed("update-info",
                                    absl::StrCat("there are ", values.size(), " values, but ",
                                                 response.info.size(), " openings"));
  }
  const uint64_t first =
      (request.greatest_version.has_value() ? uint64_t{*request.greatest_version} + 1 : 0) +
      response.skipped_versions;
  if (response.skipped_versions + values.size() > kMaxVersionsInEntry + size_t{64} ||
      first + values.size() - 1 > std::numeric_limits<Version>::max()) {
    return base::VerificationFailed("new-versions", "there are too many new versions");
  }
  result->position = response.position;
  result->skipped_versions = response.skipped_versions;
  for (size_t i = 0; i < values.size(); ++i) {
    result->created.push_back({static_cast<Version>(first + i), values[i].value});
  }
  return absl::OkStatus();
}

}  // namespace

// Steps 3 and 4: adds to `versions` what the response says of those that the owner did not know.
absl::Status ResponseVerifier::VerifyUpdateLadder(const UpdateRequest& request,
                                                  const UpdateResponse& response,
                                                  const VerifiedUpdate& update,
                                                  std::map<Version, KnownVersion>* versions) const {
  const std::optional<Version>& previous = request.greatest_version;
  const Version greatest = update.created.back().version;
  const std::vector<Version> ladder = UpdateLadderVersions(previous, greatest);
  if (response.binary_ladder.size() != ladder.size()) {
    return base::VerificationFailed("binary-ladder",
                                    absl::StrCat("there are ", ladder.size(), " versions, but ",
                                                 response.binary_ladder.size(), " steps"));
  }
  std::vector<Bytes> proofs;
  for (const BinaryLadderStep& step : response.binary_ladder) proofs.push_back(step.proof);
  KT_ASSIGN_OR_RETURN(const auto outputs, context_->VerifyVrf(request.label, ladder, proofs));
  for (size_t i = 0; i < ladder.size(); ++i) {
    const std::optional<Hash>& commitment = response.binary_ladder[i].commitment;
    if (commitment.has_value() && !(previous.has_value() && ladder[i] < *previous)) {
      return base::VerificationFailed(
          "binary-ladder", absl::StrCat("a commitment is given for version ", ladder[i]));
    }
    KnownVersion& known = (*versions)[ladder[i]];
    known.output = outputs[i];
    if (!commitment.has_value()) continue;
    if (known.commitment.has_value() && *known.commitment != *commitment) {
      return base::VerificationFailed(
          "commitment", absl::StrCat("the commitment of version ", ladder[i], " has changed"));
    }
    known.commitment = commitment;
  }
  // Skipped versions have the all-zero commitment.
  const Version first = update.created.front().version;
  for (Version skipped = 1; skipped <= response.skipped_versions; ++skipped) {
    (*versions)[first - skipped].commitment = Hash{};
  }
  for (size_t i = 0; i < update.created.size(); ++i) {
    const auto& [version, value] = update.created[i];
    const UpdateValue signed_value{value, response.info[i].suffix};
    KT_RETURN_IF_ERROR(context_->VerifyUpdateValue(request.label, version, signed_value));
    KT_ASSIGN_OR_RETURN(
        (*versions)[version].commitment,
        CommitTo(config(), response.info[i].opening, request.label, version, signed_value));
  }
  return absl::OkStatus();
}

absl::StatusOr<VerifiedUpdate> ResponseVerifier::VerifyUpdate(const UpdateRequest& request,
                                                              ByteView response_bytes,
                                                              const OwnerState& owner,
                                                              const UserState* previous,
                                                              uint64_t now_ms) const {
  KT_RETURN_IF_ERROR(CheckAdvertised(request.last, previous));
  KT_RETURN_IF_ERROR(ValidateOwnerState(owner));
  if (request.greatest_version != owner.greatest_version()) {
    return absl::InvalidArgumentError("the request advertises another version than the state");
  }
  KT_ASSIGN_OR_RETURN(const auto response,
                      DecodeResponse<UpdateResponse>(response_bytes, WireContext::For(config())));
  KT_ASSIGN_OR_RETURN(const TreeSize size, PresentedTreeSize(response.full_tree_head, previous));
  VerifiedUpdate result;
  KT_RETURN_IF_ERROR(ReadCreated(request, response, owner, size, &result));
  std::map<Version, KnownVersion> versions = ToKnownVersions(owner.versions);
  KT_RETURN_IF_ERROR(VerifyUpdateLadder(request, response, result, &versions));

  UpdateClaim claim;
  claim.position = result.position;
  claim.previous = request.greatest_version;
  claim.greatest = result.created.back().version;
  claim.known_through = owner.upcoming.empty() ? owner.start : owner.upcoming.back().position;
  claim.existed = [&](LogPosition position, Version version) {
    return owner.ExpectedAt(position) >= std::optional(version);
  };
  ProofVerifier proof(response.update, size, previous, versions);
  KT_RETURN_IF_ERROR(UpdateView(proof, request.last));
  KT_ASSIGN_OR_RETURN(result.awaits_owner_monitoring, VerifyNewVersions(proof, claim, config()));
  KT_ASSIGN_OR_RETURN(result.state,
                      context_->VerifyHead(response.full_tree_head, proof, previous, now_ms));
  result.owner = owner;
  result.owner.upcoming.push_back({claim.position, claim.greatest});
  if (!result.awaits_owner_monitoring) {
    KT_RETURN_IF_ERROR(InsertIntoMap({claim.position, claim.greatest}, &result.owner.map));
  }
  RetainVersions(ToRetainedVersions(versions), &result.owner);
  if (!ValidateOwnerState(result.owner).ok()) {
    return base::VerificationFailed("commitment",
                                    "the commitment of a version in the binary ladder is missing");
  }
  return result;
}

}  // namespace kt::core
