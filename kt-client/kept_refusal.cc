// SPDX-License-Identifier: Apache-2.0
#include "kt-client/kept_refusal.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "kt-client/log_user.h"
#include "kt-core/credential.h"
#include "kt-core/response_verifier.h"

namespace kt::client {
namespace {

template <typename Request>
absl::StatusOr<Request> Decode(const Exchange& exchange) {
  return base::codec::Decode<Request>(exchange.request);
}

template <typename Request>
base::Bytes LabelIn(const Exchange& exchange) {
  const absl::StatusOr<Request> request = Decode<Request>(exchange);
  return request.ok() ? request->label : base::Bytes();
}

base::Bytes LabelOf(const Exchange& exchange) {
  switch (exchange.operation) {
    case Operation::kSearch:
    case Operation::kCredentialSearch:
      return LabelIn<core::SearchRequest>(exchange);
    case Operation::kContactMonitor:
      return LabelIn<core::ContactMonitorRequest>(exchange);
    case Operation::kOwnerInit:
      return LabelIn<core::OwnerInitRequest>(exchange);
    case Operation::kOwnerMonitor:
      return LabelIn<core::OwnerMonitorRequest>(exchange);
    case Operation::kUpdate:
      return LabelIn<core::UpdateRequest>(exchange);
    case Operation::kCredentialUpdate:
    case Operation::kOverdueUpdate:
      return LabelIn<core::CredentialUpdateRequest>(exchange);
    case Operation::kDistinguished:
    case Operation::kStrangersWalk:
      break;
  }
  return {};
}

// What is in question after an exchange that verified, for what the next one says.
struct Before {
  std::optional<core::SearchRequest> found;      // a search that found its version,
  base::Version version = 0;                     // which is this one
  std::optional<base::LogPosition> no_progress;  // where owner monitoring did not go on from
};

absl::Status ReplaySearch(const Exchange& exchange, LogUser* user, Before* before) {
  KT_ASSIGN_OR_RETURN(const auto request, Decode<core::SearchRequest>(exchange));
  const bool found = exchange.kind == AnswerKind::kResponse;
  KT_ASSIGN_OR_RETURN(const SearchResult result,
                      found ? user->Search(request, exchange.answer, exchange.at_ms)
                            : user->Absence(request, exchange.answer, exchange.at_ms));
  const bool gap = !result.found && before->found.has_value() &&
                   before->found->label == request.label && before->version == result.version + 1;
  *before = Before();
  if (gap) return HistoryGap(result.version);
  if (result.found) {
    before->found = request;
    before->version = result.version;
  }
  return absl::OkStatus();
}

absl::Status ReplayOwnerMonitor(const Exchange& exchange, LogUser* user, Before* before) {
  KT_ASSIGN_OR_RETURN(const auto request, Decode<core::OwnerMonitorRequest>(exchange));
  KT_ASSIGN_OR_RETURN(const bool complete,
                      user->OwnerMonitor(request, exchange.answer, exchange.at_ms));
  *before = Before();
  const OwnedLabel* const owned = user->record().FindOwned(request.label);
  if (!complete && owned != nullptr && owned->owner.start == request.start) {
    before->no_progress = request.start;
  }
  return absl::OkStatus();
}

absl::Status ReplayOverdueUpdate(const Exchange& exchange, LogUser* user) {
  base::Hash id;
  if (exchange.subject.size() != id.bytes.size()) {
    return absl::InvalidArgumentError("the credential is not named by its hash");
  }
  std::copy(exchange.subject.begin(), exchange.subject.end(), id.bytes.begin());
  return user->OverdueUpdate(id, exchange.answer, exchange.at_ms);
}

// One that was answered with a response.
absl::Status ReplayResponse(const Exchange& exchange, LogUser* user, Before* before) {
  const base::Bytes& answer = exchange.answer;
  const uint64_t at_ms = exchange.at_ms;
  switch (exchange.operation) {
    case Operation::kSearch:
      return ReplaySearch(exchange, user, before);
    case Operation::kOwnerMonitor:
      return ReplayOwnerMonitor(exchange, user, before);
    case Operation::kContactMonitor: {
      KT_ASSIGN_OR_RETURN(const auto request, Decode<core::ContactMonitorRequest>(exchange));
      return user->ContactMonitor(request, answer, at_ms);
    }
    case Operation::kDistinguished: {
      KT_ASSIGN_OR_RETURN(const auto request, Decode<core::DistinguishedRequest>(exchange));
      return user->Distinguished(request, answer, at_ms).status();
    }
    case Operation::kStrangersWalk: {
      KT_ASSIGN_OR_RETURN(const auto request, Decode<core::DistinguishedRequest>(exchange));
      return user->StrangersWalk(request, answer, at_ms);
    }
    case Operation::kOwnerInit: {
      KT_ASSIGN_OR_RETURN(const auto request, Decode<core::OwnerInitRequest>(exchange));
      return user->OwnerInit(request, answer, at_ms).status();
    }
    case Operation::kUpdate: {
      KT_ASSIGN_OR_RETURN(const auto request, Decode<core::UpdateRequest>(exchange));
      return user->Update(request, answer, at_ms).status();
    }
    case Operation::kCredentialSearch: {
      KT_ASSIGN_OR_RETURN(const auto request, Decode<core::SearchRequest>(exchange));
      return user->MakeCredential(request, answer, at_ms).status();
    }
    case Operation::kCredentialUpdate:
      return user->CheckCredentialUpdate(exchange.subject, answer, at_ms);
    case Operation::kOverdueUpdate:
      return ReplayOverdueUpdate(exchange, user);
  }
  return absl::InvalidArgumentError("unknown operation");
}

}  // namespace

KeptRefusal MakeKeptRefusal(const LogRecord& record, std::vector<Exchange> exchanges,
                            const std::string& check) {
  KT_CHECK(!exchanges.empty() && exchanges.size() <= KeptRefusal::kMaxExchanges);
  const base::Bytes label = LabelOf(exchanges.back());
  const bool overdue = exchanges.back().operation == Operation::kOverdueUpdate;
  LogRecord part = record;
  std::erase_if(part.watched, [&](const auto& watched) { return watched.label != label; });
  std::erase_if(part.owned, [&](const auto& owned) { return owned.label != label; });
  std::erase_if(part.credentials, [&](const StoredCredential& stored) {
    return !overdue || base::ToBytes(stored.id.bytes) != exchanges.back().subject;
  });
  KeptRefusal kept;
  kept.fingerprint = core::ConfigurationFingerprint(record.config);
  kept.record = base::codec::Encode(part);
  kept.exchanges = std::move(exchanges);
  kept.check = base::ToBytes(check);
  return kept;
}

absl::StatusOr<KeptRefusal> DecodeKeptRefusal(base::ByteView bytes) {
  KT_ASSIGN_OR_RETURN(KeptRefusal kept, base::codec::Decode<KeptRefusal>(bytes));
  if (kept.magic != KeptRefusal::kMagic || kept.exchanges.empty()) {
    return absl::InvalidArgumentError("this is no kept refusal of a known format");
  }
  return kept;
}

absl::Status Replay(const KeptRefusal& kept) {
  KT_ASSIGN_OR_RETURN(LogRecord record, DecodeLogRecord(kept.record, kept.fingerprint));
  KT_ASSIGN_OR_RETURN(const auto verifier, core::ResponseVerifier::Create(record.config));
  LogUser user(*verifier, std::move(record));
  Before before;
  for (const Exchange& exchange : kept.exchanges) {
    const absl::Status answered = CheckAnswered(exchange, user.record(), "the server");
    const bool nothing_newer =
        absl::IsNotFound(answered) && exchange.operation == Operation::kUpdate;
    if (nothing_newer && before.no_progress.has_value()) return OwnerWithheld(*before.no_progress);
    KT_RETURN_IF_ERROR(answered);
    KT_RETURN_IF_ERROR(ReplayResponse(exchange, &user, &before));
  }
  return absl::OkStatus();
}

}  // namespace kt::client
