// SPDX-License-Identifier: Apache-2.0
//
// What a session does for the owner of a label.
#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-client/failure.h"
#include "kt-client/log_session.h"
#include "kt-client/rpc.h"

namespace kt::client {
namespace {

// Each makes progress that is kept, so the next run goes on from there.
constexpr int kMaxRounds = 1'000;

// docs/extensions.md, "Updates".
absl::Status FromUpdate(const grpc::Status& status, const std::string& server, bool with_values) {
  switch (status.error_code()) {
    case grpc::StatusCode::NOT_FOUND:
      return with_values ? FromGrpc(status, server) : absl::NotFoundError(status.error_message());
    case grpc::StatusCode::OUT_OF_RANGE:
      return RolledBack(status);
    case grpc::StatusCode::INVALID_ARGUMENT:
      return with_values ? FromGrpc(status, server) : RequestRefused(status);
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return with_values ? NotAnsweredInTime(server) : FromGrpc(status, server);
    default:
      return FromGrpc(status, server);
  }
}

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
    KT_ASSIGN_OR_RETURN(const base::Bytes response, AskMonitoring(&v1::Monitoring::Stub::OwnerInit,
                                                                  base::codec::Encode(request)));
    KT_RETURN_IF_ERROR(user.OwnerInit(request, response, clock_.NowMs()).status());
    return Retain(user);
  });
  if (!begun.ok()) return begun;
  return CatchUp(label).status();
}

absl::Status LogSession::UpdateOnce(base::ByteView label, const std::vector<base::Bytes>& values,
                                    const std::string& token, bool* sent,
                                    std::vector<UpdateResult>* results) {
  grpc::ClientContext context;
  if (!values.empty()) KT_RETURN_IF_ERROR(SetToken(token, &context));
  LogUser user = User();
  KT_ASSIGN_OR_RETURN(core::UpdateRequest request, user.MakeUpdate(label, values));
  KT_ASSIGN_OR_RETURN(const base::Bytes encoded, base::codec::TryEncode(request));
  if (!values.empty()) KT_RETURN_IF_ERROR(Retain(user));
  v1::UpdateRequest body;
  body.set_request(encoded.data(), encoded.size());
  SetDeadline(&context, values.empty() ? timeout_ms_ : timeout_ms_ + kPublishTimeoutMs);
  *sent = true;
  const auto stub = v1::Publisher::NewStub(connection_.channel);
  const auto reader = stub->Update(&context, body);
  v1::UpdateResponse message;
  absl::Status verified;
  while (verified.ok() && reader->Read(&message)) {
    absl::StatusOr<UpdateResult> result =
        user.Update(request, base::AsBytes(message.response()), clock_.NowMs());
    verified = result.ok() ? Retain(user) : result.status();
    if (!verified.ok()) continue;
    request = result->following;
    results->push_back(*std::move(result));
  }
  if (!verified.ok()) context.TryCancel();
  const grpc::Status status = reader->Finish();
  KT_RETURN_IF_ERROR(verified);
  if (status.ok() && results->empty()) {
    return base::VerificationFailed("malformed-response", "the answer to the update is empty");
  }
  return FromUpdate(status, connection_.used.host, !values.empty());
}

absl::StatusOr<size_t> LogSession::CatchUp(base::ByteView label) {
  size_t entries = 0;
  for (int round = 0; round < kMaxRounds; ++round) {
    const absl::Status status = Retry([&] {
      std::vector<UpdateResult> results;
      bool sent = false;
      const absl::Status once = UpdateOnce(label, {}, "", &sent, &results);
      entries += results.size();
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
    KT_ASSIGN_OR_RETURN(
        const base::Bytes response,
        AskMonitoring(&v1::Monitoring::Stub::OwnerMonitor, base::codec::Encode(request)));
    complete = user.OwnerMonitor(request, response, clock_.NowMs());
    KT_RETURN_IF_ERROR(complete.status());
    return Retain(user);
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
    KT_ASSIGN_OR_RETURN(const size_t news, CatchUp(label));
    if (news > 0) continue;
    return base::VerificationFailed(
        "owner-withheld",
        absl::StrCat("the log does not prove that the versions known of the address are all that "
                     "there are after log entry ",
                     before, ", and tells of no others"));
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
  bool sent = false;
  std::vector<UpdateResult> results;
  // What has been sent is never sent again: it may be in the log.
  const absl::Status status = Retry([&]() -> absl::Status {
    if (sent) return absl::OkStatus();
    KT_ASSIGN_OR_RETURN(const OwnedLabel* const before, Owned(label));
    overtaken = before->owner.greatest_version() != previous;
    if (overtaken) return absl::OkStatus();
    return UpdateOnce(label, values, token, &sent, &results);
  });
  // Also if it is about more than what was asked for.
  if (base::IsVerificationFailure(status)) return status;
  if (overtaken) return absl::AbortedError("others have published for the address meanwhile");
  if (results.empty()) {
    KT_RETURN_IF_ERROR(status);
    // Another process has changed the state since, and may have learnt of the versions already.
    KT_RETURN_IF_ERROR(CatchUp(label).status());
  }
  if (results.empty() || results.front().awaits_owner_monitoring) {
    KT_RETURN_IF_ERROR(MonitorOwner(label));
  }
  KT_ASSIGN_OR_RETURN(const OwnedLabel* const owned, Owned(label));
  const uint64_t first = previous.has_value() ? uint64_t{*previous} + 1 : 0;
  if (!owned->published.has_value() || owned->published->version != first + values.size() - 1) {
    return absl::AbortedError("others have published for the address meanwhile");
  }
  return *owned->published;
}

}  // namespace kt::client
