// SPDX-License-Identifier: Apache-2.0
#include "kt-core/credential.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-core/algorithms.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/monitoring.h"
#include "kt-core/tree_head.h"

namespace kt::core {
namespace {

template <typename T>
absl::StatusOr<T> DecodePart(ByteView bytes, const WireContext& context) {
  absl::StatusOr<T> decoded = codec::Decode<T>(bytes, context);
  if (decoded.ok()) return decoded;
  return base::VerificationFailed("malformed-credential",
                                  absl::StrCat("the credential or its update cannot be decoded: ",
                                               std::string(decoded.status().message())));
}

// Whether an entry, recent when the user last walked, cannot be recent any more: an honest log's
// rightmost entry is not older than max_behind, so that much time has passed on the log's clock.
bool HasExpiredSince(const Configuration& config, const RecentDefinition& recent,
                     uint64_t timestamp_ms, uint64_t now_ms) {
  const uint64_t newest_ms = now_ms - std::min(now_ms, config.max_behind);
  return newest_ms > timestamp_ms && !IsRecent(config, recent, 0, timestamp_ms, newest_ms);
}

// "Credentials", verification step 1.
absl::StatusOr<const DistinguishedEntry*> FindRecent(const Configuration& config,
                                                     const RecentDefinition& recent,
                                                     const DistinguishedState& aware,
                                                     LogPosition position, uint64_t now_ms) {
  const std::string name = absl::StrCat("log entry ", position);
  if (aware.entries.empty() || position > aware.entries.back().position) {
    return absl::UnavailableError(
        absl::StrCat("the credential is based on ", name,
                     ", to the right of every distinguished one that is known so far"));
  }
  if (position < aware.entries.front().position) {
    return absl::OutOfRangeError(
        absl::StrCat("the credential is based on ", name, ", which is not recent any more"));
  }
  const DistinguishedEntry* entry = aware.Find(position);
  if (entry == nullptr) {
    return base::VerificationFailed("credential-position",
                                    absl::StrCat(name, " is not distinguished"));
  }
  if (HasExpiredSince(config, recent, entry->entry().timestamp, now_ms)) {
    return absl::OutOfRangeError(absl::StrCat("the credential is based on ", name,
                                              ", which cannot be recent any more at this time"));
  }
  return entry;
}

// "Standard".
absl::Status VerifyStandard(const Credential& credential, const DistinguishedEntry& entry,
                            std::map<Version, KnownVersion> versions) {
  CombinedTreeProof proof;
  proof.prefix_proofs = {credential.distinguished};
  const UserState state = entry.AsUserState();
  // Compares the root of the prefix tree with the one that the user retained (step 2).
  ProofVerifier source(proof, entry.tree_size(), &state, std::move(versions));
  LookupMemory memory;
  KT_ASSIGN_OR_RETURN(const LadderOutcome outcome,
                      SearchLadder(source, entry.position, credential.version, memory));
  if (outcome != LadderOutcome::kEqual) {
    return base::VerificationFailed(
        "credential", absl::StrCat("version ", credential.version,
                                   " is not the greatest one in log entry ", entry.position));
  }
  return absl::OkStatus();
}

// "Provisional", initial verification.
absl::StatusOr<PendingCredential> VerifyProvisional(const VerificationContext& context,
                                                    const Credential& credential,
                                                    const DistinguishedEntry& entry,
                                                    std::map<Version, KnownVersion> versions,
                                                    uint64_t now_ms) {
  const Configuration& config = context.config();
  const TreeSize size = credential.tree_head.tree_size;
  if (size <= entry.tree_size() || size > TreeSize{std::numeric_limits<int64_t>::max()}) {
    return base::VerificationFailed(
        "tree-size", absl::StrCat("the credential's tree of ", size,
                                  " entries does not go beyond log entry ", entry.position));
  }
  PendingCredential pending;
  pending.version = credential.version;
  pending.position = entry.position;
  for (const Version version : MonitoringBinaryLadder(credential.version)) {
    const KnownVersion& known = versions.at(version);
    pending.versions.push_back({version, known.output, known.commitment});
  }
  std::sort(pending.versions.begin(), pending.versions.end(),
            [](const auto& a, const auto& b) { return a.version < b.version; });

  const UserState state = entry.AsUserState();
  ProofVerifier source(credential.search, size, &state, std::move(versions));
  KT_RETURN_IF_ERROR(UpdateView(source, entry.tree_size()));
  KT_ASSIGN_OR_RETURN(const SearchOutcome outcome,
                      GreatestVersionSearch(source, credential.version, config));
  if (outcome.terminal <= entry.position) {
    return base::VerificationFailed(
        "credential-terminal", absl::StrCat("the version is in log entry ", outcome.terminal,
                                            " already: the credential should be a standard one"));
  }
  KT_ASSIGN_OR_RETURN(const ProvenView view, source.Finish(std::nullopt));
  const absl::Status signature = context.log_key().Verify(
      EncodeTreeHeadTbs(config, size, view.log.root), credential.tree_head.signature);
  if (!signature.ok()) {
    if (!base::IsVerificationFailure(signature)) return signature;
    return base::VerificationFailed("tree-head-signature",
                                    "the credential's tree head is not signed by the log as a "
                                    "continuation of the distinguished log entry that is known");
  }
  if (view.rightmost_ms > now_ms && view.rightmost_ms - now_ms > config.max_ahead) {
    return base::VerificationFailed(
        "timestamp-bounds", absl::StrCat("the credential's tree head is ",
                                         view.rightmost_ms - now_ms, " ms ahead of this clock"));
  }
  pending.terminal = outcome.terminal;
  // The search has asked for the timestamps of the whole frontier.
  std::optional<UserState> terminal_state = source.PrefixState(outcome.terminal + 1);
  std::optional<UserState> whole = source.PrefixState(size);
  KT_CHECK(terminal_state.has_value() && whole.has_value());
  pending.terminal_state = *std::move(terminal_state);
  pending.view = *std::move(whole);
  pending.view.tree_head.signature = credential.tree_head.signature;
  return pending;
}

absl::Status ForkAt(LogPosition position) {
  return base::VerificationFailed(
      "credential-fork",
      absl::StrCat("the credential shows another log up to entry ", position,
                   " than the one that is known: the log has forked, or the sender was deceived"));
}

// "If the terminal log entry of the search [...] is later determined to be distinguished." The root
// of the whole log is compared too, so that a fork before the terminal entry is not passed over.
absl::Status CompareTerminal(const PendingCredential& pending, const DistinguishedEntry& entry) {
  const LogEntry& shown = pending.terminal_state.frontier.back();
  if (shown != entry.entry() || pending.terminal_state.full_subtrees != entry.full_subtrees) {
    return ForkAt(pending.terminal);
  }
  return absl::OkStatus();
}

// "Users follow these steps to verify a CredentialUpdate", 2 and 3; `entry` is to the right of the
// terminal one.
absl::Status VerifyUpdate(const Configuration& config, const PendingCredential& pending,
                          const CredentialUpdate& update, const DistinguishedEntry& entry) {
  ProofVerifier source(update.monitor, entry.tree_size(), &pending.view,
                       ToKnownVersions(pending.versions));
  KT_RETURN_IF_ERROR(UpdateView(source, pending.view.tree_size()));
  if (config.mode == DeploymentMode::kContactMonitoring) {
    const MonitorMapEntry monitored[] = {{pending.terminal, pending.version}};
    // In this tree the entry is the rightmost one and need not be distinguished yet, so the path
    // may end without the algorithm knowing that. It ends on the frontier: at the entry or above it
    // in the search tree, which is distinguished because the entry is, even if the user missed it.
    KT_RETURN_IF_ERROR(ContactMonitor(source, monitored, std::nullopt, config).status());
  }
  KT_ASSIGN_OR_RETURN(const ProvenView view, source.Finish(std::nullopt));
  if (view.log.full_subtrees != entry.full_subtrees) return ForkAt(entry.position);
  return absl::OkStatus();
}

// Whether there may have been distinguished log entries from `terminal` on of which the user never
// learned, or which she has forgotten. What she is aware of has no gaps.
bool HasMissed(const DistinguishedState& aware, LogPosition terminal) {
  return !aware.entries.empty() && aware.entries.front().position > terminal;
}

const DistinguishedEntry* UpdateEntry(const DistinguishedState& aware,
                                      const PendingCredential& pending) {
  // Without a gap the two are the same. With one, an entry inside the credential's own view may be
  // the first that is known, to which no update leads.
  return HasMissed(aware, pending.terminal) ? aware.FirstFrom(pending.view.tree_size() - 1)
                                            : aware.FirstFrom(pending.terminal);
}

// Takes the update out of `pending` and verifies it.
absl::Status VerifyQueued(const Configuration& config, const DistinguishedEntry& entry,
                          PendingCredential* pending) {
  const Bytes bytes = std::exchange(pending->update, Bytes());
  KT_ASSIGN_OR_RETURN(const CredentialUpdate update,
                      DecodePart<CredentialUpdate>(bytes, WireContext::For(config)));
  return VerifyUpdate(config, *pending, update, entry);
}

// AdvanceCredential. `just_received`: there is an update, which was not queued.
absl::StatusOr<CredentialProgress> Advance(const ResponseVerifier& verifier,
                                           const RecentDefinition& recent,
                                           const DistinguishedState& aware, uint64_t now_ms,
                                           bool just_received, PendingCredential* pending) {
  const Configuration& config = verifier.config();
  KT_RETURN_IF_ERROR(ValidateDistinguishedState(aware));
  KT_RETURN_IF_ERROR(ValidatePendingCredential(*pending));
  const bool missed = HasMissed(aware, pending->terminal);
  const DistinguishedEntry* const next = aware.FirstFrom(pending->terminal);
  if (next != nullptr && next->position == pending->terminal) {
    KT_RETURN_IF_ERROR(CompareTerminal(*pending, *next));
    return CredentialProgress::kFinal;
  }
  if (next != nullptr && !missed && next->position < pending->view.tree_size()) {
    // To the right of the terminal entry, in a tree in which that one lies on the frontier: it
    // cannot be distinguished without the terminal entry being so.
    return ForkAt(next->position);
  }
  const DistinguishedEntry* const entry = UpdateEntry(aware, *pending);
  if (entry != nullptr && !pending->update.empty()) {
    const absl::Status verified = VerifyQueued(config, *entry, pending);
    if (verified.ok()) return CredentialProgress::kFinal;
    // One that was queued may lead to an entry that was missed, which is nobody's fault.
    if (just_received || !missed || !base::IsVerificationFailure(verified)) return verified;
  }
  const bool expired =
      absl::IsOutOfRange(FindRecent(config, recent, aware, pending->position, now_ms).status());
  if (expired) return CredentialProgress::kUpdateFromLog;
  return entry != nullptr ? CredentialProgress::kUpdateNeeded : CredentialProgress::kWaiting;
}

}  // namespace

absl::Status ValidatePendingCredential(const PendingCredential& pending) {
  KT_RETURN_IF_ERROR(ValidateUserState(pending.view));
  KT_RETURN_IF_ERROR(ValidateUserState(pending.terminal_state));
  const bool in_order = pending.position < pending.terminal &&
                        pending.terminal < pending.view.tree_size() &&
                        pending.terminal_state.tree_size() == pending.terminal + 1;
  if (!in_order) return absl::DataLossError("a retained credential's positions are out of order");
  std::vector<Version> expected = MonitoringBinaryLadder(pending.version);
  std::sort(expected.begin(), expected.end());
  const bool complete =
      std::equal(pending.versions.begin(), pending.versions.end(), expected.begin(), expected.end(),
                 [](const RetainedVersion& a, Version b) { return a.version == b; });
  if (!complete) return absl::DataLossError("a retained credential lacks versions of its ladder");
  return absl::OkStatus();
}

absl::StatusOr<VerifiedCredential> VerifyCredential(const ResponseVerifier& verifier,
                                                    const RecentDefinition& recent, ByteView bytes,
                                                    const DistinguishedState& aware,
                                                    uint64_t now_ms) {
  const VerificationContext& context = verifier.context();
  const Configuration& config = context.config();
  KT_RETURN_IF_ERROR(ValidateDistinguishedState(aware));
  KT_ASSIGN_OR_RETURN(Credential credential,
                      DecodePart<Credential>(bytes, WireContext::For(config)));
  KT_ASSIGN_OR_RETURN(const DistinguishedEntry* entry,
                      FindRecent(config, recent, aware, credential.position, now_ms));
  KT_RETURN_IF_ERROR(
      context.VerifyUpdateValue(credential.label, credential.version, credential.value));
  KT_ASSIGN_OR_RETURN(
      auto versions,
      context.VerifyLadder(credential.label, credential.version, /*greatest=*/true,
                           credential.opening, credential.value, credential.binary_ladder));
  VerifiedCredential result;
  if (credential.credential_type == CredentialType::kStandard) {
    KT_RETURN_IF_ERROR(VerifyStandard(credential, *entry, std::move(versions)));
  } else {
    KT_ASSIGN_OR_RETURN(result.pending, VerifyProvisional(context, credential, *entry,
                                                          std::move(versions), now_ms));
    result.pending->credential = base::ToBytes(bytes);
  }
  result.label = std::move(credential.label);
  result.version = credential.version;
  result.value = std::move(credential.value.value);
  result.position = credential.position;
  return result;
}

absl::StatusOr<CredentialProgress> AdvanceCredential(const ResponseVerifier& verifier,
                                                     const RecentDefinition& recent,
                                                     const DistinguishedState& aware,
                                                     uint64_t now_ms, PendingCredential* pending) {
  return Advance(verifier, recent, aware, now_ms, /*just_received=*/false, pending);
}

std::optional<LogPosition> UpdateTarget(const DistinguishedState& aware,
                                        const PendingCredential& pending) {
  const DistinguishedEntry* const entry = UpdateEntry(aware, pending);
  if (entry == nullptr) return std::nullopt;
  return entry->position;
}

absl::StatusOr<CredentialProgress> ReceiveCredentialUpdate(const ResponseVerifier& verifier,
                                                           const RecentDefinition& recent,
                                                           const DistinguishedState& aware,
                                                           ByteView update, uint64_t now_ms,
                                                           PendingCredential* pending) {
  if (update.size() > kMaxCredentialUpdateSize) {
    return base::VerificationFailed("malformed-credential", "the credential's update is too long");
  }
  KT_RETURN_IF_ERROR(
      DecodePart<CredentialUpdate>(update, WireContext::For(verifier.config())).status());
  pending->update = base::ToBytes(update);
  return Advance(verifier, recent, aware, now_ms, /*just_received=*/true, pending);
}

}  // namespace kt::core
