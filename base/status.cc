// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace kt::base {
namespace {

constexpr char kFailedCheckUrl[] = "kt.base/failed-check";

}  // namespace

absl::Status VerificationFailed(const std::string& check, const std::string& message) {
  absl::Status status = absl::FailedPreconditionError(message);
  status.SetPayload(kFailedCheckUrl, absl::Cord(check));
  return status;
}

std::optional<std::string> FailedCheck(const absl::Status& status) {
  const auto payload = status.GetPayload(kFailedCheckUrl);
  if (!payload.has_value()) return std::nullopt;
  return std::string(*payload);
}

absl::Status Annotate(const absl::Status& status, const std::string& context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(context, ": ", std::string(status.message())));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    annotated.SetPayload(url, payload);
  });
  return annotated;
}

}  // namespace kt::base
