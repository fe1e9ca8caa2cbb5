// SPDX-License-Identifier: Apache-2.0
//
// Credentials: making them of searches, receiving them, and settling the provisional ones.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-client/failure.h"
#include "kt-client/log_user.h"

namespace kt::client {
namespace {

constexpr core::RecentDefinition kRecent;

absl::Status NotYet(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kUnavailable) return status;
  return FailedBecause(Failure::kNotYet, std::string(status.message()));
}

}  // namespace

// --- making ------------------------------------------------------------------------------

core::UserState LogUser::StateAt(const core::DistinguishedEntry& entry) const {
  core::UserState state = entry.AsUserState();
  // What an auditor has vouched for does not depend on where the user stands.
  if (record_.state.has_value()) state.auditor_tree_head = record_.state->auditor_tree_head;
  return state;
}

absl::StatusOr<base::LogPosition> LogUser::CredentialBase(uint64_t known_for_ms,
                                                          uint64_t now_ms) const {
  const uint64_t newest_ms = now_ms - std::min(now_ms, known_for_ms);
  const auto& entries = record_.distinguished.entries;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (entry->entry().timestamp <= newest_ms) return entry->position;
  }
  return FailedBecause(Failure::kNotYet,
                       entries.empty()
                           ? "the log has no distinguished entry yet to base a credential on"
                           : absl::StrCat("the log has no distinguished entry to base a credential "
                                          "on that is at least ",
                                          known_for_ms, " ms old"));
}

core::SearchRequest LogUser::MakeCredentialSearch(base::ByteView label,
                                                  base::LogPosition base) const {
  core::SearchRequest request;
  request.last = base + 1;
  request.label = base::ToBytes(label);
  return request;
}

absl::StatusOr<SentCredential> LogUser::MakeCredential(const core::SearchRequest& request,
                                                       base::ByteView response,
                                                       uint64_t now_ms) const {
  const core::DistinguishedEntry* const entry =
      request.last.value_or(0) == 0 ? nullptr : record_.distinguished.Find(*request.last - 1);
  if (entry == nullptr || !record_.state.has_value()) {
    return absl::InvalidArgumentError("the search does not start from a known distinguished entry");
  }
  const core::UserState previous = StateAt(*entry);
  KT_ASSIGN_OR_RETURN(const core::VerifiedSearch verified,
                      verifier_.VerifySearch(request, response, &previous, now_ms));
  if (verified.state.tree_size() != record_.state->tree_size()) {
    return absl::AbortedError("the log has grown meanwhile");
  }
  if (verified.state.full_subtrees != record_.state->full_subtrees) {
    return base::VerificationFailed(
        "credential-fork",
        absl::StrCat("the log shows two different trees of ", verified.state.tree_size(),
                     " entries: one to a user who has seen ", *request.last,
                     " entries, and another one to this user: it has forked"));
  }
  KT_ASSIGN_OR_RETURN(const core::Credential credential,
                      core::CredentialFromSearch(verifier_, request, response, &previous, now_ms,
                                                 core::CredentialType::kProvisional));
  SentCredential sent;
  sent.version = credential.version;
  sent.position = credential.position;
  sent.provisional = credential.credential_type == core::CredentialType::kProvisional;
  KT_ASSIGN_OR_RETURN(sent.credential, base::codec::TryEncode(
                                           credential, core::WireContext::For(verifier_.config())));
  return sent;
}

absl::StatusOr<core::PendingCredential> LogUser::Sent(base::ByteView credential,
                                                      uint64_t now_ms) const {
  absl::StatusOr<core::VerifiedCredential> verified =
      core::VerifyCredential(verifier_, kRecent, credential, record_.distinguished, now_ms);
  if (!verified.ok()) return NotYet(verified.status());
  if (verified->pending.has_value()) return *std::move(verified->pending);
  return absl::InvalidArgumentError("this is a standard credential, which needs no update");
}

absl::StatusOr<std::optional<core::CredentialUpdateRequest>> LogUser::MakeCredentialUpdate(
    base::ByteView credential, uint64_t now_ms) const {
  KT_ASSIGN_OR_RETURN(core::PendingCredential pending, Sent(credential, now_ms));
  KT_ASSIGN_OR_RETURN(
      const core::CredentialProgress progress,
      core::AdvanceCredential(verifier_, kRecent, record_.distinguished, now_ms, &pending));
  if (progress == core::CredentialProgress::kFinal) return std::nullopt;
  const auto target = core::UpdateTarget(record_.distinguished, pending);
  if (!target.has_value()) {
    return FailedBecause(Failure::kNotYet,
                         "the log has no distinguished entry yet that the credential could be "
                         "updated to; try again later");
  }
  return core::CredentialUpdateRequest{LabelOf(pending), pending.version, pending.terminal,
                                       pending.view.tree_size(), *target};
}

absl::Status LogUser::CheckCredentialUpdate(base::ByteView credential, base::ByteView response,
                                            uint64_t now_ms) const {
  KT_ASSIGN_OR_RETURN(core::PendingCredential pending, Sent(credential, now_ms));
  KT_ASSIGN_OR_RETURN(const core::CredentialProgress progress,
                      core::ReceiveCredentialUpdate(verifier_, kRecent, record_.distinguished,
                                                    response, now_ms, &pending));
  if (progress == core::CredentialProgress::kFinal) return absl::OkStatus();
  return base::VerificationFailed("credential-update", "the update does not settle the credential");
}

// --- receiving ---------------------------------------------------------------------------

base::Bytes LogUser::LabelOf(const core::PendingCredential& pending) const {
  const auto credential = base::codec::Decode<core::Credential>(
      pending.credential, core::WireContext::For(verifier_.config()));
  KT_CHECK(credential.ok());  // it was verified, or checked when the record was read
  return credential->label;
}

absl::StatusOr<ReceivedCredential> LogUser::Credential(base::ByteView credential,
                                                       base::ByteView update, uint64_t now_ms) {
  ReceivedCredential received;
  received.id = base::Sha256(credential);
  core::PendingCredential pending;
  if (const core::PendingCredential* known = record_.FindCredential(received.id)) {
    // It was verified initially, and may have expired since.
    pending = *known;
    const auto decoded = base::codec::Decode<core::Credential>(
        credential, core::WireContext::For(verifier_.config()));
    KT_CHECK(decoded.ok());
    received.label = decoded->label;
    received.version = decoded->version;
    received.value = decoded->value.value;
    received.position = decoded->position;
  } else {
    absl::StatusOr<core::VerifiedCredential> verified =
        core::VerifyCredential(verifier_, kRecent, credential, record_.distinguished, now_ms);
    if (!verified.ok()) return NotYet(verified.status());
    received.label = std::move(verified->label);
    received.version = verified->version;
    received.value = std::move(verified->value);
    received.position = verified->position;
    if (!verified->pending.has_value()) {
      if (update.empty()) return received;
      return absl::InvalidArgumentError("this is a standard credential, which needs no update");
    }
    pending = *std::move(verified->pending);
  }
  received.provisional = true;
  const auto progress =
      update.empty()
          ? core::AdvanceCredential(verifier_, kRecent, record_.distinguished, now_ms, &pending)
          : core::ReceiveCredentialUpdate(verifier_, kRecent, record_.distinguished, update, now_ms,
                                          &pending);
  KT_RETURN_IF_ERROR(progress.status());
  received.progress = *progress;
  LogRecord record = record_;
  record.EraseCredential(received.id);
  if (received.progress != core::CredentialProgress::kFinal) {
    record.credentials.push_back({received.id, std::move(pending)});
    if (record.credentials.size() > LogRecord::kMaxCredentials ||
        record.CredentialBytes() > LogRecord::kMaxCredentialBytes) {
      return absl::ResourceExhaustedError(
          "too many credentials wait for their final verification to keep another one");
    }
  }
  record_ = std::move(record);
  return received;
}

std::vector<CredentialEvent> LogUser::AdvanceCredentials(uint64_t now_ms) {
  std::vector<CredentialEvent> events;
  std::erase_if(record_.credentials, [&](StoredCredential& stored) {
    CredentialEvent event;
    event.id = stored.id;
    event.label = LabelOf(stored.pending);
    event.version = stored.pending.version;
    core::PendingCredential tried = stored.pending;
    event.progress =
        core::AdvanceCredential(verifier_, kRecent, record_.distinguished, now_ms, &tried);
    event.update_failed = !event.progress.ok() && tried.update != stored.pending.update;
    const bool settled = event.progress.ok() && *event.progress == core::CredentialProgress::kFinal;
    // A failure can be found again until somebody was told of it.
    if (event.progress.ok()) stored.pending = std::move(tried);
    events.push_back(std::move(event));
    return settled;
  });
  return events;
}

void LogUser::PutLast(const std::vector<base::Hash>& ids) {
  std::vector<StoredCredential>& all = record_.credentials;
  std::stable_partition(all.begin(), all.end(), [&](const StoredCredential& stored) {
    return std::ranges::find(ids, stored.id) == ids.end();
  });
}

absl::StatusOr<core::CredentialUpdateRequest> LogUser::MakeOverdueUpdate(
    const base::Hash& id) const {
  const core::PendingCredential* const pending = record_.FindCredential(id);
  if (pending == nullptr) return absl::FailedPreconditionError("no such credential is pending");
  const auto target = core::UpdateTarget(record_.distinguished, *pending);
  if (!target.has_value()) {
    return FailedBecause(Failure::kNotYet,
                         "the log has no distinguished entry yet that could settle the credential");
  }
  return core::CredentialUpdateRequest{LabelOf(*pending), pending->version, pending->terminal,
                                       pending->view.tree_size(), *target};
}

absl::Status LogUser::OverdueUpdate(const base::Hash& id, base::ByteView response,
                                    uint64_t now_ms) {
  core::PendingCredential* const pending = record_.FindCredential(id);
  if (pending == nullptr) return absl::FailedPreconditionError("no such credential is pending");
  core::PendingCredential tried = *pending;
  KT_ASSIGN_OR_RETURN(const core::CredentialProgress progress,
                      core::ReceiveCredentialUpdate(verifier_, kRecent, record_.distinguished,
                                                    response, now_ms, &tried));
  if (progress != core::CredentialProgress::kFinal) {
    return base::VerificationFailed("credential-update",
                                    "the log's update does not settle the credential");
  }
  record_.EraseCredential(id);
  return absl::OkStatus();
}

}  // namespace kt::client
