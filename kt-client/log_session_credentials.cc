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
    Exchange exchange;
    exchange.operation = Operation::kCredentialSearch;
    KT_RETURN_IF_ERROR(Ask(request, &exchange));
    absl::StatusOr<SentCredential> verified =
        user.MakeCredential(request, exchange.answer, exchange.at_ms);
    KT_RETURN_IF_ERROR(Judge(exchange, verified.status()));
    sent = *std::move(verified);
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
  Exchange exchange;
  exchange.operation = Operation::kCredentialUpdate;
  exchange.subject = base::ToBytes(credential);
  exchange.request = base::codec::Encode(*request);
  KT_RETURN_IF_ERROR(AskMonitoring(&v1::Monitoring::Stub::UpdateCredential, &exchange));
  KT_RETURN_IF_ERROR(
      Judge(exchange, user.CheckCredentialUpdate(credential, exchange.answer, exchange.at_ms)));
  return std::make_optional(std::move(exchange.answer));
}

absl::Status LogSession::SettleOverdue(const base::Hash& id) {
  return Retry([&]() -> absl::Status {
    LogUser user = User();
    KT_ASSIGN_OR_RETURN(const core::CredentialUpdateRequest request, user.MakeOverdueUpdate(id));
    Exchange exchange;
    exchange.operation = Operation::kOverdueUpdate;
    exchange.subject = base::ToBytes(id.bytes);
    exchange.request = base::codec::Encode(request);
    KT_RETURN_IF_ERROR(AskMonitoring(&v1::Monitoring::Stub::UpdateCredential, &exchange));
    KT_RETURN_IF_ERROR(Judge(exchange, user.OverdueUpdate(id, exchange.answer, exchange.at_ms)));
    return Retain(user, &exchange);
  });
}

absl::Status LogSession::PutLast(const std::vector<base::Hash>& ids) {
  return Retry([&] {
    LogUser user = User();
    user.PutLast(ids);
    return Retain(user, nullptr);
  });
}

absl::StatusOr<std::vector<CredentialEvent>> LogSession::AdvanceCredentials() {
  KT_RETURN_IF_ERROR(WalkHeads().status());
  std::vector<CredentialEvent> events;
  const absl::Status advanced = Retry([&] {
    LogUser user = User();
    events = user.AdvanceCredentials(clock_.NowMs());
    return Retain(user, nullptr);
  });
  KT_RETURN_IF_ERROR(advanced);
  size_t asked = 0;
  std::vector<base::Hash> unsettled;
  for (CredentialEvent& event : events) {
    if (!event.progress.ok() || *event.progress != core::CredentialProgress::kUpdateFromLog) {
      continue;
    }
    if (++asked > kMaxOverdueAtOnce) continue;
    const absl::Status settled = SettleOverdue(event.id);
    if (settled.ok()) {
      event.progress = core::CredentialProgress::kFinal;
    } else {
      event.progress = settled;
      unsettled.push_back(event.id);
    }
  }
  // Others must get their turn.
  if (asked > kMaxOverdueAtOnce && !unsettled.empty()) KT_RETURN_IF_ERROR(PutLast(unsettled));
  return events;
}

}  // namespace kt::client
