// SPDX-License-Identifier: Apache-2.0
#include "kt-client/rpc.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-client/failure.h"

namespace kt::client {
namespace {

bool IsPrintableAscii(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

void SetDeadline(grpc::ClientContext* context, int timeout_ms) {
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
}

absl::Status SetToken(const std::string& token, grpc::ClientContext* context) {
  if (token.empty() || !IsPrintableAscii(token)) {
    return absl::InvalidArgumentError(
        "this is not a publishing token: it holds other characters than printable ASCII");
  }
  context->AddMetadata("authorization", "Bearer " + token);
  return absl::OkStatus();
}

absl::Status FromGrpc(const grpc::Status& status, const std::string& server) {
  const std::string message = absl::StrCat(server, ": ", status.error_message());
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return absl::OkStatus();
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::OUT_OF_RANGE:
      return absl::Status(static_cast<absl::StatusCode>(status.error_code()), message);
    case grpc::StatusCode::FAILED_PRECONDITION:
      return FailedBecause(Failure::kRefusedByPolicy, message);
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
      return FailedBecause(Failure::kNotAllowed, message);
    default:
      return FailedBecause(Failure::kNoServer, message);
  }
}

absl::Status RolledBack(const grpc::Status& status) {
  return base::VerificationFailed(
      "rolled-back",
      absl::StrCat("the log has been rolled back or replaced: it no longer has the entries that "
                   "were verified before, and says: ",
                   status.error_message()));
}

absl::Status RequestRefused(const grpc::Status& status) {
  return base::VerificationFailed(
      "monitoring-refused",
      absl::StrCat("the log does not stand by what it proved before: ", status.error_message()));
}

absl::Status Erased(const grpc::Status& status) {
  return FailedBecause(Failure::kErased,
                       absl::StrCat("erased by the log: cannot be verified (the log says: ",
                                    status.error_message(), ")"));
}

absl::Status NotAnsweredInTime(const std::string& server) {
  return FailedBecause(
      Failure::kNoServer,
      absl::StrCat(server,
                   " did not answer in time: it may have been published all the same, so look the "
                   "address up before trying again"));
}

}  // namespace kt::client
