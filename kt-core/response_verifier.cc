// SPDX-License-Identifier: Apache-2.0
#include "kt-core/response_verifier.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/algorithms.h"
#include "kt-core/tree_head.h"

namespace kt::core {
namespace {

// A fixed-version search that ends without the version has its own codes; a SearchResponse cannot
// express them ("Search", last paragraph), so to a verifier they are failures.
absl::StatusOr<SearchOutcome> RefuseNegativeResult(absl::StatusOr<SearchOutcome> outcome) {
  if (outcome.ok() || base::IsVerificationFailure(outcome.status())) return outcome;
  if (outcome.status().code() == absl::StatusCode::kNotFound ||
      outcome.status().code() == absl::StatusCode::kOutOfRange) {
    return base::VerificationFailed("negative-result", std::string(outcome.status().message()));
  }
  return outcome;
}

// A search may end before it has looked up all that monitoring then looks up.
absl::Status CheckMonitorable(std::span<const RetainedVersion> ladder, Version target) {
  for (const RetainedVersion& version : ladder) {
    if (version.version <= target && !version.commitment.has_value()) {
      return base::VerificationFailed(
          "commitment", absl::StrCat("the commitment of version ", version.version, " is missing"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

ResponseVerifier::ResponseVerifier(std::unique_ptr<VerificationContext> context)
    : context_(std::move(context)) {}

absl::StatusOr<std::unique_ptr<ResponseVerifier>> ResponseVerifier::Create(Configuration config) {
  KT_ASSIGN_OR_RETURN(auto context, VerificationContext::Create(std::move(config)));
  return std::unique_ptr<ResponseVerifier>(new ResponseVerifier(std::move(context)));
}

absl::StatusOr<VerifiedSearch> ResponseVerifier::VerifySearch(const SearchRequest& request,
                                                              ByteView response_bytes,
                                                              const UserState* previous,
                                                              uint64_t now_ms) const {
  KT_RETURN_IF_ERROR(CheckAdvertised(request.last, previous));
  KT_ASSIGN_OR_RETURN(const SearchResponse response,
                      DecodeResponse<SearchResponse>(
                          response_bytes, WireContext::For(config(), request.version.has_value())));
  const Version target = request.version.value_or(response.version);
  KT_RETURN_IF_ERROR(context_->VerifyUpdateValue(request.label, target, response.value));
  KT_ASSIGN_OR_RETURN(auto versions, context_->VerifyLadder(
                                         request.label, target, !request.version.has_value(),
                                         response.opening, response.value, response.binary_ladder));
  KT_ASSIGN_OR_RETURN(const TreeSize size, PresentedTreeSize(response.full_tree_head, previous));

  std::vector<RetainedVersion> ladder = ToRetainedVersions(versions);
  ProofVerifier proof(response.search, size, previous, std::move(versions));
  KT_RETURN_IF_ERROR(UpdateView(proof, request.last));
  KT_ASSIGN_OR_RETURN(const SearchOutcome outcome,
                      request.version.has_value()
                          ? RefuseNegativeResult(FixedVersionSearch(proof, target, config()))
                          : GreatestVersionSearch(proof, target, config()));
  VerifiedSearch result;
  KT_ASSIGN_OR_RETURN(result.state,
                      context_->VerifyHead(response.full_tree_head, proof, previous, now_ms));
  result.version = target;
  result.value = response.value.value;
  result.terminal = outcome.terminal;
  result.monitoring_required =
      config().mode == DeploymentMode::kContactMonitoring && outcome.right_of_distinguished;
  if (result.monitoring_required) KT_RETURN_IF_ERROR(CheckMonitorable(ladder, target));
  result.ladder = std::move(ladder);
  return result;
}

absl::StatusOr<VerifiedAbsence> ResponseVerifier::VerifyAbsence(const SearchRequest& request,
                                                                ByteView response_bytes,
                                                                const UserState* previous,
                                                                uint64_t now_ms) const {
  KT_RETURN_IF_ERROR(CheckAdvertised(request.last, previous));
  KT_ASSIGN_OR_RETURN(const AbsenceResponse response,
                      DecodeResponse<AbsenceResponse>(response_bytes, WireContext::For(config())));
  VerifiedAbsence result;
  result.version = request.version.value_or(0);
  const Version version[] = {result.version};
  const Bytes vrf_proof[] = {response.proof};
  KT_ASSIGN_OR_RETURN(const auto outputs, context_->VerifyVrf(request.label, version, vrf_proof));
  KT_ASSIGN_OR_RETURN(const TreeSize size, PresentedTreeSize(response.full_tree_head, previous));

  ProofVerifier proof(response.absence, size, previous,
                      {{result.version, {outputs[0], std::nullopt}}});
  KT_RETURN_IF_ERROR(UpdateView(proof, request.last));
  KT_RETURN_IF_ERROR(AbsenceCheck(proof, result.version));
  KT_ASSIGN_OR_RETURN(result.state,
                      context_->VerifyHead(response.full_tree_head, proof, previous, now_ms));
  return result;
}

}  // namespace kt::core
