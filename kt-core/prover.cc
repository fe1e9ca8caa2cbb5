// SPDX-License-Identifier: Apache-2.0
#include "kt-core/prover.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/algorithms.h"
#include "kt-core/binary_ladder.h"

namespace kt::core {
namespace {

absl::Status CheckLast(const SearchRequest& request, const LogView& log) {
  if (log.size() == 0) return absl::UnavailableError("the log has no entries yet");
  if (request.last.has_value() && (*request.last == 0 || *request.last > log.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("last: this log has ", log.size(), " entries, not ", *request.last));
  }
  return absl::OkStatus();
}

// "Full Tree Head Verification": a user who has seen this very head is told so; anybody else gets
// it.
FullTreeHead PresentHead(const SignedHead& head, std::optional<TreeSize> last) {
  FullTreeHead full;
  if (last == head.tree_head.tree_size) {
    full.head_type = FullTreeHeadType::kSame;
    return full;
  }
  full.head_type = FullTreeHeadType::kUpdated;
  full.tree_head = head.tree_head;
  if (head.auditor_tree_head.has_value()) full.auditor_tree_head = *head.auditor_tree_head;
  return full;
}

// The auditor's tree size, if its head is presented.
std::optional<TreeSize> OtherSize(const SignedHead& head, const FullTreeHead& presented) {
  if (presented.head_type == FullTreeHeadType::kSame) return std::nullopt;
  if (!head.auditor_tree_head.has_value()) return std::nullopt;
  return head.auditor_tree_head->tree_size;
}

// "Search": a step for each version of the target's binary ladder, with the commitments of existing
// versions other than the target.
absl::StatusOr<std::vector<BinaryLadderStep>> LadderSteps(Version target, bool greatest,
                                                          const LabelRecord& label) {
  std::vector<BinaryLadderStep> steps;
  for (const Version version : BaseBinaryLadder(target)) {
    const auto record = label.find(version);
    if (record == label.end()) {
      return absl::InternalError(absl::StrCat("the label's record lacks version ", version));
    }
    BinaryLadderStep step{record->second.vrf_proof, std::nullopt};
    const bool shown = version != target && !(greatest && version > target);
    if (shown && record->second.existing.has_value()) {
      step.commitment = record->second.existing->commitment;
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace

absl::StatusOr<SearchResponse> ProveSearch(const Configuration& config, const LogView& log,
                                           const SignedHead& head, const SearchRequest& request,
                                           Version target, const LabelRecord& label,
                                           const Opening& opening, const UpdateValue& update) {
  KT_RETURN_IF_ERROR(CheckLast(request, log));
  ProofRecorder recorder(log, request.last, label);
  KT_RETURN_IF_ERROR(UpdateView(recorder, request.last));
  KT_RETURN_IF_ERROR((request.version.has_value() ? FixedVersionSearch(recorder, target, config)
                                                  : GreatestVersionSearch(recorder, target, config))
                         .status());
  SearchResponse response;
  response.full_tree_head = PresentHead(head, request.last);
  response.version = target;
  response.opening = opening;
  response.value = update;
  KT_ASSIGN_OR_RETURN(response.binary_ladder,
                      LadderSteps(target, !request.version.has_value(), label));
  KT_ASSIGN_OR_RETURN(response.search, recorder.Finish(OtherSize(head, response.full_tree_head)));
  return response;
}

absl::StatusOr<AbsenceResponse> ProveAbsence(const LogView& log, const SignedHead& head,
                                             const SearchRequest& request,
                                             const LabelRecord& label) {
  KT_RETURN_IF_ERROR(CheckLast(request, log));
  const Version version = request.version.value_or(0);
  ProofRecorder recorder(log, request.last, label);
  KT_RETURN_IF_ERROR(UpdateView(recorder, request.last));
  KT_RETURN_IF_ERROR(AbsenceCheck(recorder, version));
  AbsenceResponse response;
  response.full_tree_head = PresentHead(head, request.last);
  response.proof = label.at(version).vrf_proof;
  KT_ASSIGN_OR_RETURN(response.absence, recorder.Finish(OtherSize(head, response.full_tree_head)));
  return response;
}

}  // namespace kt::core
