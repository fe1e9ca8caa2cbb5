// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_STATUS_H_
#define BASE_STATUS_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace kt::base {

// Conventions for absl::Status throughout the tree:
//   kInvalidArgument  malformed input, from a user or a peer
//   kNotFound         proven or known to be absent
//   kDataLoss         stored data is corrupt
//   kUnavailable      a peer or a device did not answer
//   a verification failure: see below

// What a peer sent does not prove what it claims. This is a security event and is never
// turned into "not found" or retried silently. `check` names the check that failed, in
// lower-case words joined by hyphens ("tree-head-signature"); `message` is for a person.
absl::Status VerificationFailed(const std::string& check, const std::string& message);

// The name of the failed check, or nullopt if `status` is not a verification failure.
std::optional<std::string> FailedCheck(const absl::Status& status);
inline bool IsVerificationFailure(const absl::Status& status) {
  return FailedCheck(status).has_value();
}

// The same status with `context` and ": " before its message; payloads are kept.
absl::Status Annotate(const absl::Status& status, const std::string& context);

}  // namespace kt::base

#define KT_RETURN_IF_ERROR(expr)             \
  do {                                       \
    absl::Status kt_status_ = (expr);        \
    if (!kt_status_.ok()) return kt_status_; \
  } while (false)

#define KT_CONCAT_INNER_(a, b) a##b
#define KT_CONCAT_(a, b) KT_CONCAT_INNER_(a, b)
// KT_ASSIGN_OR_RETURN(auto x, MayFail());
#define KT_ASSIGN_OR_RETURN(lhs, expr) \
  KT_ASSIGN_OR_RETURN_IMPL_(KT_CONCAT_(kt_status_or_, __LINE__), lhs, expr)
#define KT_ASSIGN_OR_RETURN_IMPL_(result, lhs, expr) \
  auto result = (expr);                              \
  if (!result.ok()) return result.status();          \
  lhs = std::move(result).value()

#endif  // BASE_STATUS_H_
