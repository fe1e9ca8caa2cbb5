// SPDX-License-Identifier: Apache-2.0
#include "kt-client/failure.h"

#include "absl/strings/cord.h"

namespace kt::client {
namespace {

constexpr char kFailureUrl[] = "kt.client/failure";
constexpr char kKeptUrl[] = "kt.client/kept";

absl::StatusCode CodeOf(Failure failure) {
  switch (failure) {
    case Failure::kNoSuchName:
    case Failure::kNoRecords:
    case Failure::kRootTarget:
      return absl::StatusCode::kNotFound;
    case Failure::kMalformedAnswer:
    case Failure::kNoUsableTarget:
    case Failure::kMalformedPin:
    case Failure::kConflictingPins:
      return absl::StatusCode::kInvalidArgument;
    case Failure::kNotAllowed:
    case Failure::kErased:
      return absl::StatusCode::kPermissionDenied;
    case Failure::kRefusedByPolicy:
      return absl::StatusCode::kFailedPrecondition;
    case Failure::kExpired:
      return absl::StatusCode::kOutOfRange;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

}  // namespace

absl::Status FailedBecause(Failure failure, const std::string& message) {
  absl::Status status(CodeOf(failure), message);
  status.SetPayload(kFailureUrl, absl::Cord(std::to_string(static_cast<int>(failure))));
  return status;
}

std::optional<Failure> FailureOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kFailureUrl);
  if (!payload.has_value()) return std::nullopt;
  return static_cast<Failure>(std::stoi(std::string(*payload)));
}

absl::Status KeptIn(const absl::Status& status, const std::string& path) {
  absl::Status kept = status;
  kept.SetPayload(kKeptUrl, absl::Cord(path));
  return kept;
}

std::optional<std::string> KeptAt(const absl::Status& status) {
  const auto payload = status.GetPayload(kKeptUrl);
  if (!payload.has_value()) return std::nullopt;
  return std::string(*payload);
}

}  // namespace kt::client
