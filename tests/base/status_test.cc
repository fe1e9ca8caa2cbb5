// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/check.h"
#include "tests/support/status_matchers.h"

namespace kt::base {
namespace {

using ::testing::Optional;
using testing::StatusIs;

TEST(VerificationFailed, NamesTheCheck) {
  const absl::Status status = VerificationFailed("tree-head-signature", "it does not verify");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, "it does not verify"));
  EXPECT_THAT(FailedCheck(status), Optional(std::string("tree-head-signature")));
  EXPECT_TRUE(IsVerificationFailure(status));
}

TEST(VerificationFailed, IsNotAnyFailureWithTheSameCode) {
  EXPECT_FALSE(IsVerificationFailure(absl::FailedPreconditionError("tree-head-signature")));
  EXPECT_FALSE(IsVerificationFailure(absl::OkStatus()));
}

TEST(Annotate, KeepsCodeAndPayload) {
  const absl::Status status = Annotate(VerificationFailed("vrf-proof", "wrong"), "example.com");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, "example.com: wrong"));
  EXPECT_THAT(FailedCheck(status), Optional(std::string("vrf-proof")));
  EXPECT_THAT(Annotate(absl::NotFoundError("none"), "file"),
              StatusIs(absl::StatusCode::kNotFound, "file: none"));
  EXPECT_TRUE(Annotate(absl::OkStatus(), "file").ok());
}

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("odd");
  return value / 2;
}
absl::StatusOr<int> Quarter(int value) {
  KT_ASSIGN_OR_RETURN(const int half, Half(value));
  KT_RETURN_IF_ERROR(Half(half).status());
  return half / 2;
}

TEST(StatusMacros, PassErrorsOn) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_THAT(Quarter(6), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Quarter(3), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(KtCheckDeathTest, AbortsAndSaysWhatDoesNotHold) {
  KT_CHECK(1 + 1 == 2);
  EXPECT_DEATH(KT_CHECK(1 + 1 == 3), "invariant does not hold: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace kt::base
