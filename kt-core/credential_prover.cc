// SPDX-License-Identifier: Apache-2.0
//
// Making credentials: from a log's view, and from a user's verified search.
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-core/algorithms.h"
#include "kt-core/credential.h"
#include "kt-core/monitoring.h"
#include "kt-core/prover_support.h"
#include "kt-core/tree_head.h"

namespace kt::core {
namespace {

// A log as it was when it had fewer entries. Borrows.
class EarlierView : public LogView {
 public:
  EarlierView(const LogView& log, TreeSize size) : log_(log), size_(size) {
    KT_CHECK(size >= 1 && size <= log.size());
  }
  TreeSize size() const override { return size_; }
  absl::StatusOr<uint64_t> Timestamp(LogPosition position) const override {
    return log_.Timestamp(position);
  }
  absl::StatusOr<std::vector<Hash>> PrefixRoots(
      std::span<const LogPosition> positions) const override {
    return log_.PrefixRoots(positions);
  }
  absl::StatusOr<std::vector<PrefixProof>> ProvePrefix(
      std::span<const merkle::PrefixProofRequest> requests) const override {
    return log_.ProvePrefix(requests);
  }
  absl::StatusOr<std::vector<Hash>> ReadLogNodes(
      std::span<const merkle::LogNodeId> ids) const override {
    return log_.ReadLogNodes(ids);
  }
  absl::StatusOr<ProofParts> ReadProof(const ProofQuery& query) const override {
    return log_.ReadProof(query);
  }

 private:
  const LogView& log_;
  const TreeSize size_;
};

absl::StatusOr<Credential> StartCredential(CredentialType type, LogPosition position,
                                           const CredentialTarget& target) {
  Credential credential;
  credential.label = base::ToBytes(target.label);
  credential.version = target.version;
  credential.opening = target.opening;
  credential.value = target.update;
  KT_ASSIGN_OR_RETURN(credential.binary_ladder,
                      LadderSteps(target.version, /*greatest=*/true, target.record));
  credential.position = position;
  credential.credential_type = type;
  return credential;
}

// The first distinguished log entry at or to the right of `position`; nullopt if there is none.
// If `position` itself is not distinguished, neither is anything below it in the search tree, so it
// is the nearest distinguished entry on its path that lies to its right.
absl::StatusOr<std::optional<LogPosition>> FirstDistinguishedFrom(const LogView& log,
                                                                  LogPosition position,
                                                                  const Configuration& config) {
  const LabelRecord no_label;
  ProofRecorder source(log, std::nullopt, no_label);
  KT_ASSIGN_OR_RETURN(const DistinguishedPath walk, WalkTowards(source, position, config));
  for (size_t i = walk.distinguished; i-- > 0;) {
    if (walk.path[i] >= position) return std::optional(walk.path[i]);
  }
  return std::optional<LogPosition>();
}

// The CredentialUpdate that extends a tree of `tree_size` entries, and monitors `monitored`, up to
// the log entry at `distinguished`.
absl::StatusOr<CredentialUpdate> ProveUpTo(const Configuration& config, const LogView& log,
                                           LogPosition distinguished, TreeSize tree_size,
                                           const MonitorMapEntry& monitored,
                                           const LabelRecord& record) {
  const EarlierView view(log, distinguished + 1);
  ProofRecorder recorder(view, tree_size, record);
  KT_RETURN_IF_ERROR(UpdateView(recorder, tree_size));
  if (config.mode == DeploymentMode::kContactMonitoring) {
    KT_RETURN_IF_ERROR(
        ContactMonitor(recorder, std::span(&monitored, 1), std::nullopt, config).status());
  }
  CredentialUpdate update;
  KT_ASSIGN_OR_RETURN(update.monitor, recorder.Finish(std::nullopt));
  return update;
}

}  // namespace

absl::StatusOr<Credential> ProveStandardCredential(const LogView& log, LogPosition position,
                                                   const CredentialTarget& target) {
  if (position >= log.size()) {
    return absl::InvalidArgumentError(absl::StrCat("this log has no entry ", position));
  }
  KT_ASSIGN_OR_RETURN(Credential credential,
                      StartCredential(CredentialType::kStandard, position, target));
  const EarlierView view(log, position + 1);
  ProofRecorder recorder(view, position + 1, target.record);
  LookupMemory memory;
  KT_ASSIGN_OR_RETURN(const LadderOutcome outcome,
                      SearchLadder(recorder, position, target.version, memory));
  if (outcome != LadderOutcome::kEqual) {
    return base::VerificationFailed(
        "credential", absl::StrCat("version ", target.version,
                                   " is not the greatest one in log entry ", position));
  }
  KT_ASSIGN_OR_RETURN(CombinedTreeProof proof, recorder.Finish(std::nullopt));
  credential.distinguished = std::move(proof.prefix_proofs.at(0));
  return credential;
}

absl::StatusOr<Credential> ProveProvisionalCredential(const Configuration& config,
                                                      const LogView& log, const TreeHead& head,
                                                      LogPosition position,
                                                      const CredentialTarget& target) {
  if (log.size() == 0 || position >= log.size() - 1) {
    return absl::InvalidArgumentError(absl::StrCat("this log has nothing after entry ", position));
  }
  KT_ASSIGN_OR_RETURN(Credential credential,
                      StartCredential(CredentialType::kProvisional, position, target));
  ProofRecorder recorder(log, position + 1, target.record);
  KT_RETURN_IF_ERROR(UpdateView(recorder, position + 1));
  KT_ASSIGN_OR_RETURN(const SearchOutcome outcome,
                      GreatestVersionSearch(recorder, target.version, config));
  if (outcome.terminal <= position) {
    return absl::FailedPreconditionError(
        absl::StrCat("version ", target.version, " is found in log entry ", outcome.terminal,
                     " already: a standard credential is to be made"));
  }
  credential.tree_head = head;
  KT_ASSIGN_OR_RETURN(credential.search, recorder.Finish(std::nullopt));
  return credential;
}

absl::StatusOr<ProvenCredentialUpdate> ProveCredentialUpdate(const Configuration& config,
                                                             const LogView& log, TreeSize tree_size,
                                                             LogPosition terminal, Version version,
                                                             const LabelRecord& record) {
  if (tree_size == 0 || tree_size > log.size() || terminal >= tree_size) {
    return absl::InvalidArgumentError(absl::StrCat("this log has ", log.size(),
                                                   " entries: there is no credential of entry ",
                                                   terminal, " among ", tree_size));
  }
  KT_ASSIGN_OR_RETURN(const std::optional<LogPosition> distinguished,
                      FirstDistinguishedFrom(log, terminal, config));
  if (!distinguished.has_value()) {
    return absl::UnavailableError(
        absl::StrCat("there is no distinguished log entry after ", terminal, " yet"));
  }
  if (*distinguished == terminal) {
    return absl::FailedPreconditionError(
        absl::StrCat("log entry ", terminal, " is distinguished: no update is needed"));
  }
  if (*distinguished < tree_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("no search among ", tree_size, " entries ends at log entry ", terminal));
  }
  ProvenCredentialUpdate result;
  result.distinguished = *distinguished;
  KT_ASSIGN_OR_RETURN(result.update, ProveUpTo(config, log, *distinguished, tree_size,
                                               {terminal, version}, record));
  return result;
}

absl::StatusOr<CredentialUpdate> AnswerCredentialUpdate(const Configuration& config,
                                                        const LogView& log,
                                                        const CredentialUpdateRequest& request,
                                                        const LabelRecord& record) {
  const LogPosition distinguished = request.distinguished;
  if (request.tree_size == 0 || request.terminal >= request.tree_size ||
      distinguished >= log.size() || distinguished < request.tree_size - 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("no credential of entry ", request.terminal, " among ", request.tree_size,
                     " entries can be updated to entry ", distinguished, " among ", log.size()));
  }
  KT_ASSIGN_OR_RETURN(const std::optional<LogPosition> found,
                      FirstDistinguishedFrom(log, distinguished, config));
  if (found != distinguished) {
    return absl::InvalidArgumentError(
        absl::StrCat("log entry ", distinguished, " is not distinguished"));
  }
  return ProveUpTo(config, log, distinguished, request.tree_size,
                   {request.terminal, request.version}, record);
}

absl::StatusOr<Credential> CredentialFromSearch(const ResponseVerifier& verifier,
                                                const SearchRequest& request, ByteView bytes,
                                                const UserState* previous, uint64_t now_ms,
                                                CredentialType preferred) {
  if (request.version.has_value()) {
    return absl::InvalidArgumentError("a credential is made of a greatest-version search");
  }
  KT_RETURN_IF_ERROR(verifier.VerifySearch(request, bytes, previous, now_ms).status());
  const Configuration& config = verifier.config();
  KT_ASSIGN_OR_RETURN(SearchResponse response,
                      DecodeResponse<SearchResponse>(bytes, WireContext::For(config)));
  KT_ASSIGN_OR_RETURN(auto versions,
                      verifier.context().VerifyLadder(request.label, response.version,
                                                      /*greatest=*/true, response.opening,
                                                      response.value, response.binary_ladder));
  KT_ASSIGN_OR_RETURN(const TreeSize size, PresentedTreeSize(response.full_tree_head, previous));
  ProofVerifier proof(response.search, size, previous, std::move(versions));
  KT_RETURN_IF_ERROR(UpdateView(proof, request.last));
  KT_ASSIGN_OR_RETURN(const SearchOutcome outcome,
                      GreatestVersionSearch(proof, response.version, config));

  Credential credential;
  credential.label = request.label;
  credential.version = response.version;
  credential.opening = response.opening;
  credential.value = std::move(response.value);
  credential.binary_ladder = std::move(response.binary_ladder);
  const bool updated = response.full_tree_head.head_type == FullTreeHeadType::kUpdated;
  const bool provisional =
      previous != nullptr && updated && outcome.terminal >= previous->tree_size();
  if (!outcome.right_of_distinguished &&
      !(provisional && preferred == CredentialType::kProvisional)) {
    // The search began at the terminal entry, so no lookup of its ladder was redundant.
    credential.credential_type = CredentialType::kStandard;
    credential.position = outcome.terminal;
    credential.distinguished = std::move(response.search.prefix_proofs.at(0));
    return credential;
  }
  if (!provisional) {
    return absl::FailedPreconditionError(
        "the newest version is in no distinguished log entry yet: search again as a user who has "
        "seen the log up to the newest distinguished one");
  }
  credential.credential_type = CredentialType::kProvisional;
  credential.position = previous->tree_size() - 1;
  credential.tree_head = response.full_tree_head.tree_head;
  // A credential carries no auditor's head, and so nothing that only its root is computed from.
  std::optional<TreeSize> audited;
  if (config.mode == DeploymentMode::kThirdPartyAuditing) {
    audited = response.full_tree_head.auditor_tree_head.tree_size;
  }
  KT_RETURN_IF_ERROR(proof.Finish(audited).status());
  std::vector<Hash> elements = proof.ElementsWithoutOther();
  credential.search = std::move(response.search);
  credential.search.inclusion.elements = std::move(elements);
  return credential;
}

}  // namespace kt::core
