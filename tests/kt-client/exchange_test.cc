// SPDX-License-Identifier: Apache-2.0
#include "kt-client/exchange.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "tests/support/test_log.h"

namespace kt::client {
namespace {

TEST(Exchange, CodesThatGrpcDoesNotHaveMeanUnknown) {
  LogRecord record;
  record.config = testing::TestLog(testing::TestLogOptions()).config();
  for (const Operation operation :
       {Operation::kSearch, Operation::kContactMonitor, Operation::kDistinguished,
        Operation::kOwnerInit, Operation::kOwnerMonitor, Operation::kUpdate}) {
    Exchange exchange;
    exchange.operation = operation;
    exchange.SetStatus({grpc::StatusCode::UNKNOWN, "what"}, 1);
    const absl::Status unknown = CheckAnswered(exchange, record, "kt.example");
    ASSERT_FALSE(unknown.ok());
    for (const uint32_t code : {uint32_t{grpc::StatusCode::UNAUTHENTICATED} + 1,
                                uint32_t{0xc7000000}, std::numeric_limits<uint32_t>::max()}) {
      exchange.status_code = code;
      EXPECT_EQ(CheckAnswered(exchange, record, "kt.example"), unknown) << code;
    }
  }
}

}  // namespace
}  // namespace kt::client
