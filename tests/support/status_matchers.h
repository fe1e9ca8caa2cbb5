// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SUPPORT_STATUS_MATCHERS_H_
#define TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status.h"

namespace kt::testing {

inline const absl::Status& GetStatus(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& GetStatus(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}

// EXPECT_THAT(Call(), IsOk());
MATCHER(IsOk, "is OK") {
  *result_listener << GetStatus(arg).ToString();
  return GetStatus(arg).ok();
}

// EXPECT_THAT(Call(), IsOkAndHolds(matcher));
MATCHER_P(IsOkAndHolds, matcher, "is OK and holds a matching value") {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(matcher, *arg, result_listener);
}

// EXPECT_THAT(Call(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("...")));
MATCHER_P2(StatusIs, code, message, "has the status code and message") {
  const absl::Status& status = GetStatus(arg);
  *result_listener << status.ToString();
  return status.code() == code &&
         ::testing::ExplainMatchResult(message, std::string(status.message()), result_listener);
}
MATCHER_P(StatusIs, code, "has the status code") {
  *result_listener << GetStatus(arg).ToString();
  return GetStatus(arg).code() == code;
}

// EXPECT_THAT(Call(), FailsCheck("tree-head-signature"));
MATCHER_P(FailsCheck, check, "is a verification failure of the named check") {
  *result_listener << GetStatus(arg).ToString();
  return base::FailedCheck(GetStatus(arg)) == std::string(check);
}
MATCHER(IsVerificationFailure, "is a verification failure") {
  *result_listener << GetStatus(arg).ToString();
  return base::IsVerificationFailure(GetStatus(arg));
}

}  // namespace kt::testing

#define KT_TEST_CONCAT_INNER(a, b) a##b
#define KT_TEST_CONCAT(a, b) KT_TEST_CONCAT_INNER(a, b)
// ASSERT_OK_AND_ASSIGN(auto value, Call());
#define ASSERT_OK_AND_ASSIGN(lhs, expr) \
  ASSERT_OK_AND_ASSIGN_IMPL(KT_TEST_CONCAT(kt_result_, __LINE__), lhs, expr)
#define ASSERT_OK_AND_ASSIGN_IMPL(result, lhs, expr)      \
  auto result = (expr);                                   \
  ASSERT_TRUE(result.ok()) << result.status().ToString(); \
  lhs = std::move(result).value()

#endif  // TESTS_SUPPORT_STATUS_MATCHERS_H_
