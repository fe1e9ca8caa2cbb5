// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_KT_CLIENT_FAILURE_MATCHERS_H_
#define TESTS_KT_CLIENT_FAILURE_MATCHERS_H_

#include <gmock/gmock.h>

#include "kt-client/failure.h"
#include "tests/support/status_matchers.h"

namespace kt::client {

// EXPECT_THAT(Call(), Fails(Failure::kTimeout));
MATCHER_P(Fails, failure, "fails because of that") {
  const absl::Status& status = testing::GetStatus(arg);
  *result_listener << status.ToString();
  return FailureOf(status) == failure;
}

}  // namespace kt::client
#endif  // TESTS_KT_CLIENT_FAILURE_MATCHERS_H_
