// SPDX-License-Identifier: Apache-2.0
#include "kt-core/prover.h"

#include <utility>

#include "base/status.h"
#include "kt-core/algorithms.h"
#include "kt-core/prover_support.h"

namespace kt::core {

absl::StatusOr<SearchResponse> ProveSearch(const Configuration& config, const LogView& log,
                                           const SignedHead& head, const SearchRequest& request,
                                           Version target, const LabelRecord& label,
                                           const Opening& opening, const UpdateValue& update) {
  KT_RETURN_IF_ERROR(CheckLast(request.last, log));
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
  KT_RETURN_IF_ERROR(CheckLast(request.last, log));
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
