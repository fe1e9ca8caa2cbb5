// SPDX-License-Identifier: Apache-2.0
//
// What a session does for the owner of a label.
#include <grpcpp/client_context.h>

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "base/status.h"
#include "kt-client/failure.h"
#include "kt-client/log_session.h"
#include "kt-client/rpc.h"

namespace kt::client {
namespace {

// Each makes progress that is kept, so the next run goes on from there.
constexpr int kMaxRounds = 1'000;

}  // namespace

absl::StatusOr<const OwnedLabel*> LogSession::Owned(base::ByteView label) const {
  const OwnedLabel* const owned = record_.has_value() ? record_->FindOwned(label) : nullptr;
  if (owned == nullptr) return absl::FailedPreconditionError("the address is not owned here");
  return owned;
}

absl::Status LogSession::BeginOwnership(base::ByteView label) {
  KT_ASSIGN_OR_RETURN(const std::vector<core::DistinguishedEntry> entries, WalkHeads());
  if (entries.empty()) return absl::UnavailableError("the log has no distinguished entry");
  const base::LogPosition start = entries.back().position;
  const absl::Status begun = Retry([&]() -> absl::Status {
    LogUser user = User();
    KT_ASSIGN_OR_RETURN(const core::OwnerInitRequest request, user.MakeOwnerInit(label, start));
    Exchange exchange;
    exchange.operation = Operation::kOwnerInit;
    exchange.request = base::codec::Encode(request);
    KT_RETURN_IF_ERROR(AskMonitoring(&v1::Monitoring::Stub::OwnerInit, &exchange));
    KT_RETURN_IF_ERROR(
        Judge(exchange, user.OwnerInit(request, exchange.answer, exchange.at_ms).status()));
    return Retain(user, &exchange);
  });
  if (!begun.ok()) return begun;
  return CatchUp(label).status();
}

absl::Status LogSession::UpdateOnce(base::ByteView label, const std::vector<base::Bytes>& values,
                                    const std::string& token, UpdateCall* call) {
  grpc::ClientContext context;
  if (!values.empty()) KT_RETURN_IF_ERROR(SetToken(token, &context));
  LogUser user = User();
  KT_ASSIGN_OR_RETURN(core::UpdateRequest request, user.MakeUpdate(label, values));
  Exchange& exchange = call->newest;
  exchange = Exchange();
  exchange.operation = Operation::kUpdate;
  KT_ASSIGN_OR_RETURN(exchange.request, base::codec::TryEncode(request));
  const base::Bytes asked = exchange.request;
  if (!values.empty()) KT_RETURN_IF_ERROR(Retain(user, nullptr));
  v1::UpdateRequest body;
  body.set_request(base::ToText(exchange.request));
  SetDeadline(&context, values.empty() ? timeout_ms_ : timeout_ms_ + kPublishTimeoutMs);
  call->sent = true;
  const auto stub = v1::Publisher::NewStub(connection_.channel);
  const auto reader = stub->Update(&context, body);
  v1::UpdateResponse message;
  absl::Status verified;
  while (verified.ok() && reader->Read(&message)) {
    exchange.SetAnswer(AnswerKind::kResponse, message.response(), clock_.NowMs());
    absl::StatusOr<UpdateResult> result = user.Update(request, exchange.answer, exchange.at_ms);
    verified = result.ok() ? Retain(user, &exchange) : Judge(exchange, result.status());
    if (!verified.ok()) continue;
    request = result->following;
    exchange.request = base::codec::Encode(request);
    call->results.push_back(*std::move(result));
  }
  if (!verified.ok()) context.TryCancel();
  const grpc::Status status = reader->Finish();
  KT_RETURN_IF_ERROR(verified);
  if (status.ok() && !call->results.empty()) return absl::OkStatus();
  // How a call ends is about what it began with, if that had values.
  if (!values.empty()) exchange.request = asked;
  if (status.ok()) {
    exchange.SetAnswer(AnswerKind::kNothing, "", clock_.NowMs());
  } else {
    exchange.SetStatus(status, clock_.NowMs());
  }
  return Judge(exchange, CheckAnswered(exchange, RecordOrNew(), connection_.used.host));
}

absl::StatusOr<size_t> LogSession::CatchUp(base::ByteView label) {
  Exchange ended;
  return CatchUp(label, &ended);
}

absl::StatusOr<size_t> LogSession::CatchUp(base::ByteView label, Exchange* ended) {
  size_t entries = 0;
  for (int round = 0; round < kMaxRounds; ++round) {
    const absl::Status status = Retry([&] {
      UpdateCall call;
      const absl::Status once = UpdateOnce(label, {}, "", &call);
      entries += call.results.size();
      *ended = std::move(call.newest);
      return once;
    });
    if (absl::IsNotFound(status) && !FailureOf(status).has_value()) return entries;
    KT_RETURN_IF_ERROR(status);
  }
  return absl::UnavailableError("the log has too many new versions to be told at once; try again");
}

absl::StatusOr<bool> LogSession::MonitorOwnerOnce(base::ByteView label) {
  absl::StatusOr<bool> complete = false;
  const absl::Status status = Retry([&]() -> absl::Status {
    LogUser user = User();
    KT_ASSIGN_OR_RETURN(const core::OwnerMonitorRequest request, user.MakeOwnerMonitor(label));
    Exchange exchange;
    exchange.operation = Operation::kOwnerMonitor;
    exchange.request = base::codec::Encode(request);
    KT_RETURN_IF_ERROR(AskMonitoring(&v1::Monitoring::Stub::OwnerMonitor, &exchange));
    complete = user.OwnerMonitor(request, exchange.answer, exchange.at_ms);
    KT_RETURN_IF_ERROR(Judge(exchange, complete.status()));
    return Retain(user, &exchange);
  });
  if (!status.ok()) return status;
  return complete;
}

absl::Status LogSession::MonitorOwner(base::ByteView label) {
  KT_RETURN_IF_ERROR(CatchUp(label).status());
  for (int round = 0; round < kMaxRounds; ++round) {
    KT_ASSIGN_OR_RETURN(const OwnedLabel* owned, Owned(label));
    const base::LogPosition before = owned->owner.start;
    KT_ASSIGN_OR_RETURN(const bool complete, MonitorOwnerOnce(label));
    if (complete) return absl::OkStatus();
    KT_ASSIGN_OR_RETURN(owned, Owned(label));
    if (owned->owner.start > before) continue;
    Exchange told_nothing;
    KT_ASSIGN_OR_RETURN(const size_t news, CatchUp(label, &told_nothing));
    if (news > 0) continue;
    return JudgeBoth(told_nothing, OwnerWithheld(before));
  }
  return absl::UnavailableError(
      "the log has too many new entries to be checked at once; try again");
}

absl::StatusOr<core::MonitorMapEntry> LogSession::Update(base::ByteView label,
                                                         const std::vector<base::Bytes>& values,
                                                         const std::string& token) {
  // The values were made for what the caller knew, not for what another process learns meanwhile.
  KT_ASSIGN_OR_RETURN(const OwnedLabel* const known, Owned(label));
  const std::optional<base::Version> previous = known->owner.greatest_version();
  bool overtaken = false;
  UpdateCall call;
  // What has been sent is never sent again: it may be in the log.
  const absl::Status status = Retry([&]() -> absl::Status {
    if (call.sent) return absl::OkStatus();
    KT_ASSIGN_OR_RETURN(const OwnedLabel* const before, Owned(label));
    overtaken = before->owner.greatest_version() != previous;
    if (overtaken) return absl::OkStatus();
    return UpdateOnce(label, values, token, &call);
  });
  // Also if it is about more than what was asked for.
  if (base::IsVerificationFailure(status)) return status;
  if (overtaken) return absl::AbortedError("others have published for the address meanwhile");
  if (call.results.empty()) {
    KT_RETURN_IF_ERROR(status);
    // Another process has changed the state since, and may have learnt of the versions already.
    KT_RETURN_IF_ERROR(CatchUp(label).status());
  }
  if (call.results.empty() || call.results.front().awaits_owner_monitoring) {
    KT_RETURN_IF_ERROR(MonitorOwner(label));
  }
  KT_ASSIGN_OR_RETURN(const OwnedLabel* const owned, Owned(label));
  const uint64_t first = previous.has_value() ? uint64_t{*previous} + 1 : 0;
  // Another process of this owner may have published in its place.
  const bool is_this =
      std::ranges::equal(owned->published_values, values, {}, {},
                         [](const base::Bytes& value) { return base::Sha256(value); });
  if (!is_this || !owned->published.has_value() ||
      owned->published->version != first + values.size() - 1) {
    return absl::AbortedError("others have published for the address meanwhile");
  }
  return *owned->published;
}

}  // namespace kt::client
