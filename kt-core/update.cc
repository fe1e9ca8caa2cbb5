// SPDX-License-Identifier: Apache-2.0
#include "kt-core/update.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/monitoring.h"
#include "kt-core/prover_support.h"

namespace kt::core {

absl::StatusOr<UpdateDecision> DecideUpdate(const UpdateRequest& request,
                                            std::optional<Version> greatest) {
  // No version, an absent optional, is less than any.
  if (request.greatest_version > greatest) {
    return absl::InvalidArgumentError("greatest_version: there is no such version");
  }
  if (request.greatest_version < greatest) return UpdateDecision::kCatchUp;
  if (request.values.empty()) {
    return absl::FailedPreconditionError("there is no newer version, and none was to be created");
  }
  const uint64_t first = greatest.has_value() ? uint64_t{*greatest} + 1 : 0;
  if (request.values.size() > kMaxVersionsInEntry ||
      first + request.values.size() - 1 > std::numeric_limits<Version>::max()) {
    return absl::InvalidArgumentError("values: too many versions");
  }
  return UpdateDecision::kCreate;
}

std::vector<Version> UpdateLadderVersions(std::optional<Version> previous, Version greatest) {
  const std::vector<Version> ladder = BaseBinaryLadder(greatest);
  std::set<Version> versions(ladder.begin(), ladder.end());
  for (uint64_t version = previous.has_value() ? uint64_t{*previous} + 1 : 0; version < greatest;
       ++version) {
    versions.insert(static_cast<Version>(version));
  }
  const std::vector<Version> known =
      previous.has_value() ? BaseBinaryLadder(*previous) : std::vector<Version>{0};
  for (const Version version : known) versions.erase(version);
  return {versions.begin(), versions.end()};
}

UpdateRequest FollowingUpdateRequest(const UpdateRequest& request, const UpdateResponse& response,
                                     TreeSize tree_size) {
  UpdateRequest following = request;
  following.last = tree_size;
  const uint64_t first =
      request.greatest_version.has_value() ? uint64_t{*request.greatest_version} + 1 : 0;
  following.greatest_version =
      static_cast<Version>(first + response.skipped_versions + response.info.size() - 1);
  if (response.values.empty()) following.values.clear();
  return following;
}

std::vector<Version> UpdateVersions(std::optional<Version> previous, Version greatest) {
  std::vector<Version> versions = UpdateLadderVersions(previous, greatest);
  const std::vector<Version> known = BaseBinaryLadder(previous.value_or(0));
  versions.insert(versions.end(), known.begin(), known.end());
  std::sort(versions.begin(), versions.end());
  versions.erase(std::unique(versions.begin(), versions.end()), versions.end());
  return versions;
}

namespace {

absl::Status Inconsistent(const std::string& what) {
  return absl::InternalError(absl::StrCat("the label's record is inconsistent: ", what));
}

// Checks what the caller says of the label; returns the greatest new version.
absl::StatusOr<Version> CheckCreated(const UpdateRequest& request, const CreatedVersions& created,
                                     const LabelRecord& label, TreeSize size) {
  const uint64_t first =
      request.greatest_version.has_value() ? uint64_t{*request.greatest_version} + 1 : 0;
  const uint64_t count = created.skipped_versions + uint64_t{created.values.size()};
  if (created.position >= size) return Inconsistent("position");
  if (created.values.empty() || created.openings.size() != created.values.size()) {
    return Inconsistent("values and openings");
  }
  if (count > kMaxVersionsInEntry || first + count - 1 > std::numeric_limits<Version>::max()) {
    return Inconsistent("too many versions");
  }
  if (created.of_request) {
    const bool same = std::equal(
        created.values.begin(), created.values.end(), request.values.begin(), request.values.end(),
        [](const UpdateValue& a, const LabelValue& b) { return a.value == b.value; });
    if (!same) return Inconsistent("other values than the request's");
  }
  for (uint64_t version = first; version < first + count; ++version) {
    const auto record = label.find(static_cast<Version>(version));
    if (record == label.end() || !record->second.existing.has_value() ||
        record->second.existing->position != created.position) {
      return Inconsistent(absl::StrCat("version ", version));
    }
  }
  if (request.greatest_version.has_value()) {
    const auto record = label.find(*request.greatest_version);
    if (record == label.end() || !record->second.existing.has_value() ||
        record->second.existing->position >= created.position) {
      return Inconsistent("the previous version");
    }
  }
  return static_cast<Version>(first + count - 1);
}

absl::StatusOr<std::vector<BinaryLadderStep>> UpdateSteps(std::optional<Version> previous,
                                                          Version greatest,
                                                          const LabelRecord& label) {
  std::vector<BinaryLadderStep> steps;
  for (const Version version : UpdateLadderVersions(previous, greatest)) {
    const auto record = label.find(version);
    if (record == label.end()) return Inconsistent(absl::StrCat("version ", version));
    BinaryLadderStep step{record->second.vrf_proof, std::nullopt};
    if (previous.has_value() && version < *previous && record->second.existing.has_value()) {
      step.commitment = record->second.existing->commitment;
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace

absl::StatusOr<UpdateResponse> ProveUpdate(const Configuration& config, const LogView& log,
                                           const SignedHead& head, const UpdateRequest& request,
                                           const CreatedVersions& created,
                                           const LabelRecord& label) {
  KT_RETURN_IF_ERROR(CheckLast(request.last, log));
  UpdateClaim claim;
  claim.position = created.position;
  claim.previous = request.greatest_version;
  KT_ASSIGN_OR_RETURN(claim.greatest, CheckCreated(request, created, label, log.size()));
  if (claim.previous.has_value()) {
    claim.known_through = label.at(*claim.previous).existing->position;
  }
  claim.existed = [&](LogPosition position, Version version) {
    const auto record = label.find(version);
    return record != label.end() && record->second.existing.has_value() &&
           record->second.existing->position <= position;
  };
  ProofRecorder recorder(log, request.last, label);
  KT_RETURN_IF_ERROR(UpdateView(recorder, request.last));
  KT_RETURN_IF_ERROR(VerifyNewVersions(recorder, claim, config).status());

  UpdateResponse response;
  response.full_tree_head = PresentHead(head, request.last);
  response.position = created.position;
  response.skipped_versions = created.skipped_versions;
  for (size_t i = 0; i < created.values.size(); ++i) {
    if (!created.of_request) response.values.push_back({created.values[i].value});
    response.info.push_back({created.openings[i], created.values[i].suffix});
  }
  KT_ASSIGN_OR_RETURN(response.binary_ladder, UpdateSteps(claim.previous, claim.greatest, label));
  KT_ASSIGN_OR_RETURN(response.update, recorder.Finish(OtherSize(head, response.full_tree_head)));
  return response;
}

// --- "Management" --------------------------------------------------------------------------

absl::StatusOr<ManagerUpdateRequest> SignUpdateRequest(const Configuration& config,
                                                       const base::Signer& leaf,
                                                       const UpdateRequest& request,
                                                       Version signed_version) {
  ManagerUpdateRequest forwarded;
  forwarded.last = request.last;
  forwarded.label = request.label;
  forwarded.greatest_version = request.greatest_version;
  // "If values is empty, the signed_version field is always zero."
  if (!request.values.empty()) forwarded.signed_version = signed_version;
  if (request.values.size() > uint64_t{std::numeric_limits<Version>::max()} - signed_version) {
    return absl::InvalidArgumentError("values: too many versions");
  }
  Version version = signed_version;
  for (const LabelValue& value : request.values) {
    const UpdateTbs tbs{config, request.label, version++, value.value};
    KT_ASSIGN_OR_RETURN(const Bytes message, codec::TryEncode(tbs));
    KT_ASSIGN_OR_RETURN(Bytes signature, leaf.Sign(message));
    forwarded.values.push_back({value.value, {std::move(signature)}});
  }
  return forwarded;
}

absl::StatusOr<uint32_t> CheckManagerUpdateRequest(const Configuration& config,
                                                   const base::Verifier& leaf,
                                                   const ManagerUpdateRequest& request,
                                                   std::optional<Version> greatest) {
  const uint64_t next = greatest.has_value() ? uint64_t{*greatest} + 1 : 0;
  if (request.values.empty()) {
    if (request.signed_version != 0) {
      return absl::InvalidArgumentError("signed_version: there are no values");
    }
    return 0;
  }
  if (request.signed_version < next) {
    return absl::InvalidArgumentError(
        absl::StrCat("signed_version: ", request.signed_version, " exists already"));
  }
  const uint64_t skipped = request.signed_version - next;
  if (skipped + request.values.size() > kMaxVersionsInEntry ||
      request.values.size() - 1 > std::numeric_limits<Version>::max() - request.signed_version) {
    return absl::InvalidArgumentError("signed_version: too many versions");
  }
  Version version = request.signed_version;
  for (const UpdateValue& value : request.values) {
    const UpdateTbs tbs{config, request.label, version++, value.value};
    KT_ASSIGN_OR_RETURN(const Bytes message, codec::TryEncode(tbs));
    const absl::Status status = leaf.Verify(message, value.suffix.signature);
    if (base::IsVerificationFailure(status)) {
      return base::VerificationFailed("update-signature",
                                      "the operator's signature over the value does not verify");
    }
    KT_RETURN_IF_ERROR(status);
  }
  return static_cast<uint32_t>(skipped);
}

}  // namespace kt::core
