// SPDX-License-Identifier: Apache-2.0
#include "kt-core/verification_context.h"

#include <utility>

#include "base/check.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/commitment_value.h"
#include "kt-core/tree_head.h"

namespace kt::core {

absl::Status CheckAdvertised(std::optional<TreeSize> last, const UserState* previous) {
  const std::optional<TreeSize> seen =
      previous == nullptr ? std::nullopt : std::optional(previous->tree_size());
  if (last != seen) {
    return absl::InvalidArgumentError(
        "the request advertises another tree size than the state retains");
  }
  return previous == nullptr ? absl::OkStatus() : ValidateUserState(*previous);
}

VerificationContext::VerificationContext(Configuration config,
                                         std::unique_ptr<base::Verifier> log_key,
                                         std::unique_ptr<base::Verifier> leaf_key,
                                         std::unique_ptr<base::Verifier> auditor_key,
                                         std::unique_ptr<vrf::Verifier> vrf_key)
    : config_(std::move(config)),
      log_key_(std::move(log_key)),
      leaf_key_(std::move(leaf_key)),
      auditor_key_(std::move(auditor_key)),
      vrf_key_(std::move(vrf_key)) {}

absl::StatusOr<std::unique_ptr<VerificationContext>> VerificationContext::Create(
    Configuration config) {
  KT_RETURN_IF_ERROR(ValidateConfiguration(config));
  const base::SignatureAlgorithm algorithm = SignatureAlgorithmOf(config.ciphersuite);
  KT_ASSIGN_OR_RETURN(auto log_key, base::CreateVerifier(algorithm, config.signature_public_key));
  KT_ASSIGN_OR_RETURN(auto vrf_key,
                      vrf::CreateVerifier(VrfSuiteOf(config.ciphersuite), config.vrf_public_key));
  std::unique_ptr<base::Verifier> leaf_key;
  if (config.mode == DeploymentMode::kThirdPartyManagement) {
    KT_ASSIGN_OR_RETURN(leaf_key, base::CreateVerifier(algorithm, config.leaf_public_key));
  }
  std::unique_ptr<base::Verifier> auditor_key;
  if (config.mode == DeploymentMode::kThirdPartyAuditing) {
    KT_ASSIGN_OR_RETURN(auditor_key, base::CreateVerifier(algorithm, config.auditor_public_key));
  }
  return std::unique_ptr<VerificationContext>(
      new VerificationContext(std::move(config), std::move(log_key), std::move(leaf_key),
                              std::move(auditor_key), std::move(vrf_key)));
}

absl::Status VerificationContext::VerifyUpdateValue(ByteView label, Version version,
                                                    const UpdateValue& value) const {
  if (leaf_key_ == nullptr) return absl::OkStatus();
  const UpdateTbs tbs{config_, base::ToBytes(label), version, value.value};
  KT_ASSIGN_OR_RETURN(const Bytes message, codec::TryEncode(tbs));
  absl::Status status = leaf_key_->Verify(message, value.suffix.signature);
  if (status.ok() || !base::IsVerificationFailure(status)) return status;
  return base::VerificationFailed("update-signature",
                                  "the operator's signature over the value does not verify");
}

absl::StatusOr<std::vector<base::VrfOutput>> VerificationContext::VerifyVrf(
    ByteView label, std::span<const Version> versions, std::span<const Bytes> proofs) const {
  KT_CHECK(versions.size() == proofs.size());
  std::vector<Bytes> alphas;
  std::vector<vrf::Claim> claims;
  alphas.reserve(versions.size());
  claims.reserve(versions.size());
  for (size_t i = 0; i < versions.size(); ++i) {
    KT_ASSIGN_OR_RETURN(Bytes alpha, EncodeVrfInput(label, versions[i]));
    alphas.push_back(std::move(alpha));
    claims.push_back({alphas.back(), proofs[i]});
  }
  return vrf_key_->Verify(claims);
}

// "Search", steps 2 and 3.
absl::StatusOr<std::map<Version, KnownVersion>> VerificationContext::VerifyLadder(
    ByteView label, Version target, bool greatest, const Opening& opening, const UpdateValue& value,
    std::span<const BinaryLadderStep> steps) const {
  const std::vector<Version> ladder = BaseBinaryLadder(target);
  if (steps.size() != ladder.size()) {
    return base::VerificationFailed("binary-ladder",
                                    absl::StrCat("the binary ladder of version ", target, " has ",
                                                 ladder.size(), " steps, not ", steps.size()));
  }
  std::vector<Bytes> proofs;
  for (const BinaryLadderStep& step : steps) proofs.push_back(step.proof);
  KT_ASSIGN_OR_RETURN(const std::vector<base::VrfOutput> outputs, VerifyVrf(label, ladder, proofs));
  std::map<Version, KnownVersion> versions;
  for (size_t i = 0; i < ladder.size(); ++i) {
    const std::optional<Hash>& commitment = steps[i].commitment;
    // A greatest-version search shows that nothing beyond the target exists.
    const bool may_exist = ladder[i] < target || (ladder[i] > target && !greatest);
    if (commitment.has_value() && !may_exist) {
      return base::VerificationFailed(
          "binary-ladder", absl::StrCat("a commitment is given for version ", ladder[i]));
    }
    versions[ladder[i]] = {outputs[i], commitment};
  }
  KT_ASSIGN_OR_RETURN(versions[target].commitment,
                      CommitTo(config_, opening, label, target, value));
  return versions;
}

absl::StatusOr<UserState> VerificationContext::VerifyHead(const FullTreeHead& head,
                                                          ProofVerifier& proof,
                                                          const UserState* previous,
                                                          uint64_t now_ms) const {
  const bool updated = head.head_type == FullTreeHeadType::kUpdated;
  const bool audited = updated && config_.mode == DeploymentMode::kThirdPartyAuditing;
  std::optional<TreeSize> audited_size;
  if (audited) {
    audited_size = head.auditor_tree_head.tree_size;
    if (*audited_size == 0 || *audited_size > proof.size()) {
      return base::VerificationFailed("auditor-tree-head",
                                      "the auditor's tree size is out of range");
    }
  }
  KT_ASSIGN_OR_RETURN(ProvenView view, proof.Finish(audited_size));
  const HeadEvidence evidence{view.log.root, view.log.other_root, view.rightmost_ms, now_ms};
  KT_RETURN_IF_ERROR(
      VerifyFullTreeHead(config_, {log_key_.get(), auditor_key_.get()}, head, previous, evidence));
  if (!updated) return *previous;
  UserState state;
  state.tree_head = head.tree_head;
  if (audited) state.auditor_tree_head = head.auditor_tree_head;
  state.full_subtrees = std::move(view.log.full_subtrees);
  state.frontier = std::move(view.frontier);
  return state;
}

}  // namespace kt::core
