// SPDX-License-Identifier: Apache-2.0
//
// "User Operations / Updating a Label" and "Third Parties / Management": what both sides of an
// update share, and the log's side.
#ifndef KT_CORE_UPDATE_H_
#define KT_CORE_UPDATE_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/signature.h"
#include "kt-core/prover.h"

namespace kt::core {

// As many new versions in one log entry as UpdateResponse.binary_ladder can be sure to hold: 255,
// less the binary ladder of the greatest.
inline constexpr uint32_t kMaxVersionsInEntry = 255 - 64;

// What the log makes of a request for a label whose greatest version is `greatest`.
enum class UpdateDecision {
  kCreate,   // it creates the requested values
  kCatchUp,  // it tells of versions that the user does not know yet
};
// kInvalidArgument if the request is ahead of the label, or would exceed the greatest possible
// version or kMaxVersionsInEntry; kFailedPrecondition if there is nothing to create and nothing to
// tell.
absl::StatusOr<UpdateDecision> DecideUpdate(const UpdateRequest& request,
                                            std::optional<Version> greatest);

// The versions in UpdateResponse.binary_ladder, ascending.
std::vector<Version> UpdateLadderVersions(std::optional<Version> previous, Version greatest);

// "processed [...] as if an UpdateRequest with the following parameters had been sent": what the
// response that follows `response` to `request` answers. `tree_size`: that of the head of
// `response`.
UpdateRequest FollowingUpdateRequest(const UpdateRequest& request, const UpdateResponse& response,
                                     TreeSize tree_size);

// --- the log's side ------------------------------------------------------------------------

// The versions of a label that one log entry added: skipped ones, then those with values.
struct CreatedVersions {
  LogPosition position = 0;
  uint32_t skipped_versions = 0;  // thirdPartyManagement
  std::vector<UpdateValue> values;
  std::vector<Opening> openings;  // as many
  // They are what the request that is answered asked to create.
  bool of_request = false;
};

// At least the versions that a LabelRecord must hold for ProveUpdate.
std::vector<Version> UpdateVersions(std::optional<Version> previous, Version greatest);

// Answers an UpdateRequest with the versions that follow request.greatest_version: all those of one
// log entry. kInternal if `created` and `label` do not describe those.
absl::StatusOr<UpdateResponse> ProveUpdate(const Configuration& config, const LogView& log,
                                           const SignedHead& head, const UpdateRequest& request,
                                           const CreatedVersions& created,
                                           const LabelRecord& label);

// --- "Management" --------------------------------------------------------------------------

// The Service Operator's side: forwards `request` with signatures for versions from
// `signed_version` on. `leaf` holds the key of config.leaf_public_key. kInvalidArgument if the
// versions or the label are too large.
absl::StatusOr<ManagerUpdateRequest> SignUpdateRequest(const Configuration& config,
                                                       const base::Signer& leaf,
                                                       const UpdateRequest& request,
                                                       Version signed_version);

// The Third-Party Manager's side: how many versions to skip before creating the request's values,
// for a label whose greatest version is `greatest`. kInvalidArgument if signed_version is set
// without values, or less than the next version; a verification failure ("update-signature") if a
// signature is not the operator's.
absl::StatusOr<uint32_t> CheckManagerUpdateRequest(const Configuration& config,
                                                   const base::Verifier& leaf,
                                                   const ManagerUpdateRequest& request,
                                                   std::optional<Version> greatest);

}  // namespace kt::core
#endif  // KT_CORE_UPDATE_H_
