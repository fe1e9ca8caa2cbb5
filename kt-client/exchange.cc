// SPDX-License-Identifier: Apache-2.0
#include "kt-client/exchange.h"

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-client/expiry.h"
#include "kt-client/rpc.h"
#include "kt-core/operations.h"

namespace kt::client {
namespace {

absl::Status FromSearch(const grpc::Status& status, const std::string& server) {
  switch (status.error_code()) {
    case grpc::StatusCode::FAILED_PRECONDITION:
      return RolledBack(status);
    case grpc::StatusCode::PERMISSION_DENIED:
      return Erased(status);
    default:
      return FromGrpc(status, server);
  }
}

absl::Status FromMonitoring(const grpc::Status& status, const std::string& server) {
  if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) return RolledBack(status);
  // The request is made of what the log has proven, so a log that calls it wrong contradicts
  // itself.
  if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) return RequestRefused(status);
  return FromGrpc(status, server);
}

// docs/extensions.md, "Updates".
absl::Status FromUpdate(const grpc::Status& status, const std::string& server, bool with_values) {
  switch (status.error_code()) {
    case grpc::StatusCode::NOT_FOUND:
      return with_values ? FromGrpc(status, server) : absl::NotFoundError(status.error_message());
    case grpc::StatusCode::OUT_OF_RANGE:
      return RolledBack(status);
    case grpc::StatusCode::PERMISSION_DENIED:
      return with_values ? FromGrpc(status, server) : Erased(status);
    case grpc::StatusCode::INVALID_ARGUMENT:
      return with_values ? FromGrpc(status, server) : RequestRefused(status);
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return with_values ? NotAnsweredInTime(server) : FromGrpc(status, server);
    default:
      return FromGrpc(status, server);
  }
}

// In `Update` OUT_OF_RANGE says that the log has less than the request knows of.
bool SaysExpired(const Exchange& exchange) {
  const grpc::StatusCode expired = exchange.operation == Operation::kUpdate
                                       ? grpc::StatusCode::ABORTED
                                       : grpc::StatusCode::OUT_OF_RANGE;
  return exchange.status_code == static_cast<uint32_t>(expired);
}

// A peer, or a file, may say what is no code of gRPC.
grpc::StatusCode CodeOf(const Exchange& exchange) {
  constexpr auto kLast = static_cast<uint32_t>(grpc::StatusCode::UNAUTHENTICATED);
  return exchange.status_code <= kLast ? static_cast<grpc::StatusCode>(exchange.status_code)
                                       : grpc::StatusCode::UNKNOWN;
}

absl::Status FromStatus(const Exchange& exchange, const LogRecord& record,
                        const std::string& server) {
  if (SaysExpired(exchange)) return JudgeExpiry(exchange, record);
  const grpc::Status status(CodeOf(exchange), base::ToText(exchange.answer));
  switch (exchange.operation) {
    case Operation::kSearch:
      // docs/extensions.md, "Management".
      if (status.error_code() == grpc::StatusCode::NOT_FOUND &&
          record.config.mode == core::DeploymentMode::kThirdPartyManagement) {
        return absl::NotFoundError("the log says that the version was skipped");
      }
      return FromSearch(status, server);
    case Operation::kCredentialSearch:
      return FromSearch(status, server);
    case Operation::kUpdate: {
      const auto request = base::codec::Decode<core::UpdateRequest>(exchange.request);
      return FromUpdate(status, server, request.ok() && !request->values.empty());
    }
    default:
      return FromMonitoring(status, server);
  }
}

}  // namespace

void Exchange::SetAnswer(AnswerKind answer_kind, const std::string& bytes, uint64_t now_ms) {
  kind = answer_kind;
  status_code = 0;
  answer = base::ToBytes(bytes);
  at_ms = now_ms;
}

void Exchange::SetStatus(const grpc::Status& status, uint64_t now_ms) {
  KT_CHECK(!status.ok());
  kind = AnswerKind::kStatus;
  status_code = static_cast<uint32_t>(status.error_code());
  answer = base::ToBytes(status.error_message());
  at_ms = now_ms;
}

absl::Status CheckAnswered(const Exchange& exchange, const LogRecord& record,
                           const std::string& server) {
  switch (exchange.kind) {
    case AnswerKind::kStatus:
      return FromStatus(exchange, record, server);
    case AnswerKind::kResponse:
      return absl::OkStatus();
    case AnswerKind::kAbsence:
      if (exchange.operation == Operation::kSearch) return absl::OkStatus();
      break;
    case AnswerKind::kNothing:
      break;
  }
  if (exchange.operation != Operation::kCredentialSearch) {
    return base::VerificationFailed("malformed-response", "the response holds no result");
  }
  return base::VerificationFailed(
      "label-removed", "the log no longer has the address, which it proved to have just now");
}

absl::Status HistoryGap(base::Version absent) {
  // Versions are assigned without gaps, and only expire from the oldest on.
  return base::VerificationFailed(
      "history-gap", absl::StrCat("the log has version ", absent + 1,
                                  " of the address, but proves that it has no version ", absent));
}

absl::Status OwnerWithheld(base::LogPosition start) {
  return base::VerificationFailed(
      "owner-withheld",
      absl::StrCat("the log does not prove that the versions known of the address are all that "
                   "there are after log entry ",
                   start, ", and tells of no others"));
}

}  // namespace kt::client
