// SPDX-License-Identifier: Apache-2.0
#include "kt-auditor/commands.h"

#include <algorithm>
#include <iostream>
#include <string>

#include "base/status.h"

namespace kt::auditor {

int ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return kExitSuccess;
  // Servers' messages are theirs to choose, but one line is ours.
  std::string message(status.message());
  std::replace_if(
      message.begin(), message.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  const auto check = base::FailedCheck(status);
  if (check.has_value()) {
    std::cerr << "kt-auditor: VERIFICATION FAILED (" << *check << "): " << message << "\n";
    return kExitVerificationFailed;
  }
  std::cerr << "kt-auditor: " << message << "\n";
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kOutOfRange:
      return kExitUsage;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kResourceExhausted:
      return kExitUnavailable;
    default:
      return kExitFailure;
  }
}

}  // namespace kt::auditor
