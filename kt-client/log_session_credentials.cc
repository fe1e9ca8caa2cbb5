// SPDX-License-Identifier: Apache-2.0
//
// What credentials need of the log.
#include <utility>

#include "base/status.h"
#include "kt-client/log_session.h"

namespace kt::client {

absl::StatusOr<SentCredential> LogSession::MakeCredential(base::ByteView label,
                                                          uint64_t known_for_ms) {
  SentCredential sent;
  const absl::Status made = Retry([&]() -> absl::Status {
    KT_RETURN_IF_ERROR(WalkHeads().status());
    KT_ASSIGN_OR_RETURN(const SearchResult newest, Search(label, std::nullopt));
    if (!newest.found) return absl::OkStatus();
    const LogUser user = User();
    KT_ASSIGN_OR_RETURN(const base::LogPosition base,
                        user.CredentialBase(known_for_ms, clock_.NowMs()));
    const core::SearchRequest request = user.MakeCredentialSearch(label, base);
    KT_ASSIGN_OR_RETURN(const v1::SearchResponse response, Ask(request));
    if (response.result_case() != v1::SearchResponse::kFound) {
      return base::VerificationFailed(
          "label-removed", "the log no longer has the address, which it proved to have just now");
    }
    KT_ASSIGN_OR_RETURN(
        sent, user.MakeCredential(request, base::AsBytes(response.found()), clock_.NowMs()));
    return absl::OkStatus();
  });
  if (!made.ok()) return made;
  return sent;
}

absl::StatusOr<std::optional<base::Bytes>> LogSession::UpdateCredential(base::ByteView credential) {
  KT_RETURN_IF_ERROR(WalkHeads().status());
  const LogUser user = User();
  KT_ASSIGN_OR_RETURN(const auto request, user.MakeCredentialUpdate(credential, clock_.NowMs()));
  if (!request.has_value()) return std::nullopt;
  KT_ASSIGN_OR_RETURN(base::Bytes update, AskMonitoring(&v1::Monitoring::Stub::UpdateCredential,
                                                        base::codec::Encode(*request)));
  KT_RETURN_IF_ERROR(user.CheckCredentialUpdate(credential, update, clock_.NowMs()));
  return std::make_optional(std::move(update));
}

absl::Status LogSession::SettleOverdue(const base::Hash& id) {
  return Retry([&]() -> absl::Status {
    LogUser user = User();
    KT_ASSIGN_OR_RETURN(const core::CredentialUpdateRequest request, user.MakeOverdueUpdate(id));
    KT_ASSIGN_OR_RETURN(
        const base::Bytes update,
        AskMonitoring(&v1::Monitoring::Stub::UpdateCredential, base::codec::Encode(request)));
    KT_RETURN_IF_ERROR(user.OverdueUpdate(id, update, clock_.NowMs()));
    return Retain(user);
  });
}

absl::StatusOr<std::vector<CredentialEvent>> LogSession::AdvanceCredentials() {
  KT_RETURN_IF_ERROR(WalkHeads().status());
  std::vector<CredentialEvent> events;
  const absl::Status advanced = Retry([&] {
    LogUser user = User();
    events = user.AdvanceCredentials(clock_.NowMs());
    return Retain(user);
  });
  KT_RETURN_IF_ERROR(advanced);
  for (CredentialEvent& event : events) {
    if (!event.progress.ok() || *event.progress != core::CredentialProgress::kUpdateFromLog) {
      continue;
    }
    const absl::Status settled = SettleOverdue(event.id);
    event.progress =
        settled.ok() ? absl::StatusOr<core::CredentialProgress>(core::CredentialProgress::kFinal)
                     : settled;
  }
  return events;
}

}  // namespace kt::client
