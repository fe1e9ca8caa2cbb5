// SPDX-License-Identifier: Apache-2.0
#include "kt-client/expiry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kt-client/failure.h"
#include "kt-core/operations.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::client {
namespace {

using ::kt::testing::FailsCheck;
using ::kt::testing::StatusIs;
using ::testing::HasSubstr;

constexpr uint64_t kLifetimeMs = 1'000'000;
constexpr uint64_t kAheadMs = 10;
constexpr char kAlice[] = "alice@a.example";

core::LogEntry EntryOf(uint64_t timestamp_ms) { return {timestamp_ms, {}}; }

// Knows the timestamps of entries 1 (1,000), 3 (3,000) and 4 (4,000), the last one that it saw.
class ExpiryTest : public ::testing::Test {
 protected:
  ExpiryTest() {
    testing::TestLogOptions options;
    options.maximum_lifetime_ms = kLifetimeMs;
    options.max_ahead_ms = kAheadMs;
    record_.config = testing::TestLog(options).config();
    record_.state.emplace();
    record_.state->tree_head.tree_size = 5;
    record_.state->frontier = {EntryOf(3'000), EntryOf(4'000)};
    core::DistinguishedEntry distinguished;
    distinguished.position = 1;
    distinguished.frontier = {EntryOf(1'000)};
    record_.distinguished.entries = {distinguished};
  }

  template <typename Request>
  absl::Status Judge(Operation operation, const Request& request, uint64_t at_ms) const {
    Exchange exchange;
    exchange.operation = operation;
    exchange.request = base::codec::Encode(request);
    exchange.SetStatus({grpc::StatusCode::OUT_OF_RANGE, "expired"}, at_ms);
    return JudgeExpiry(exchange, record_);
  }

  // The claim is believed from the moment on at which an entry of `timestamp_ms` can have expired.
  template <typename Request>
  void ExpectBelievedFor(uint64_t timestamp_ms, Operation operation, const Request& request,
                         const std::string& advice) const {
    const uint64_t from_ms = timestamp_ms + kLifetimeMs - kAheadMs;
    EXPECT_THAT(Judge(operation, request, from_ms - 1), FailsCheck("expired-too-early"));
    EXPECT_THAT(Judge(operation, request, 0), FailsCheck("expired-too-early"));
    for (const uint64_t at_ms : {from_ms, std::numeric_limits<uint64_t>::max()}) {
      EXPECT_EQ(FailureOf(Judge(operation, request, at_ms)), Failure::kExpired);
    }
    EXPECT_THAT(Judge(operation, request, from_ms),
                StatusIs(absl::StatusCode::kOutOfRange, HasSubstr(advice)));
  }

  LogRecord record_;
};

TEST_F(ExpiryTest, OfTheNewestVersionIsAboutWhatWasSeenLast) {
  core::SearchRequest search;
  search.label = base::ToBytes(kAlice);
  search.last = 5;
  ExpectBelievedFor(4'000, Operation::kSearch, search, ".state");
  ExpectBelievedFor(4'000, Operation::kDistinguished, core::DistinguishedRequest{5, 1}, ".state");
  search.last = 2;
  ExpectBelievedFor(1'000, Operation::kCredentialSearch, search, ".state");
}

TEST_F(ExpiryTest, OfAVersionIsTheLogsWord) {
  core::SearchRequest search;
  search.label = base::ToBytes(kAlice);
  search.last = 5;
  search.version = 7;
  const absl::Status young = Judge(Operation::kSearch, search, 4'000);
  EXPECT_THAT(young, StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("version 7")));
  EXPECT_EQ(FailureOf(young), std::nullopt);
  EXPECT_EQ(FailureOf(Judge(Operation::kSearch, search, 4'000 + kLifetimeMs)), Failure::kExpired);
}

TEST_F(ExpiryTest, OfNothingIsALie) {
  constexpr uint64_t kLate = 100 * kLifetimeMs;
  core::SearchRequest search;
  search.label = base::ToBytes(kAlice);
  EXPECT_THAT(Judge(Operation::kSearch, search, kLate), FailsCheck("expired-too-early"));
  EXPECT_THAT(Judge(Operation::kStrangersWalk, core::DistinguishedRequest(), kLate),
              FailsCheck("expired-too-early"));
}

TEST_F(ExpiryTest, OfALogWithoutALifetimeIsALie) {
  record_.config.maximum_lifetime.reset();
  core::SearchRequest search;
  search.last = 5;
  search.version = 7;
  EXPECT_THAT(Judge(Operation::kSearch, search, 100 * kLifetimeMs),
              FailsCheck("expired-without-lifetime"));
}

// The user may have seen newer entries than the one that she asks about.
TEST_F(ExpiryTest, OfAContactIsAboutItsOldestEntry) {
  core::ContactMonitorRequest request;
  request.label = base::ToBytes(kAlice);
  request.last = 5;
  request.entries = {{3, 0}, {4, 1}};
  const std::string advice = "kt-client monitor alice@a.example --forget";
  ExpectBelievedFor(3'000, Operation::kContactMonitor, request, advice);
  request.entries = {{2, 0}, {4, 1}};
  ExpectBelievedFor(1'000, Operation::kContactMonitor, request, advice);
  // Nothing is known of entry 0, so it may be as old as one likes.
  request.entries = {{0, 0}};
  ExpectBelievedFor(0, Operation::kContactMonitor, request, advice);
  // Unless it was noted when it was looked up.
  core::ContactState contact;
  contact.map = request.entries;
  record_.SetWatched(request.label, contact, /*not_before_ms=*/700);
  ExpectBelievedFor(700, Operation::kContactMonitor, request, advice);
  request.entries.clear();
  ExpectBelievedFor(4'000, Operation::kContactMonitor, request, ".state");
}

TEST_F(ExpiryTest, OfAnOwnerIsAboutWhatSheKnows) {
  const std::string advice = "kt-client own alice@a.example --forget";
  core::OwnerMonitorRequest monitor;
  monitor.label = base::ToBytes(kAlice);
  monitor.last = 5;
  monitor.start = 3;
  ExpectBelievedFor(3'000, Operation::kOwnerMonitor, monitor, advice);
  monitor.entries = {{4, 1}};
  ExpectBelievedFor(3'000, Operation::kOwnerMonitor, monitor, advice);
  monitor.entries = {{2, 1}};
  ExpectBelievedFor(1'000, Operation::kOwnerMonitor, monitor, advice);

  core::OwnerInitRequest init;
  init.label = monitor.label;
  init.last = 5;
  init.start = 1;
  ExpectBelievedFor(1'000, Operation::kOwnerInit, init, "try again");

  core::UpdateRequest update;
  update.label = monitor.label;
  update.last = 5;
  ExpectBelievedFor(4'000, Operation::kUpdate, update, ".state");
  OwnedLabel owned;
  owned.label = monitor.label;
  owned.owner.start = 1;
  record_.SetOwned(owned);
  ExpectBelievedFor(1'000, Operation::kUpdate, update, advice);
  owned.not_before_ms = 1'200;
  record_.SetOwned(owned);
  ExpectBelievedFor(1'200, Operation::kUpdate, update, advice);
  monitor.start = 2;
  monitor.entries.clear();
  ExpectBelievedFor(1'200, Operation::kOwnerMonitor, monitor, advice);
  // That is of the start, and says nothing of what is left of it.
  monitor.entries = {{1, 0}};
  ExpectBelievedFor(1'000, Operation::kOwnerMonitor, monitor, advice);
  owned.owner.upcoming = {{3, 0}};
  record_.SetOwned(owned);
  ExpectBelievedFor(3'000, Operation::kUpdate, update, advice);
}

TEST_F(ExpiryTest, OfACredentialIsAboutTheEntryOfItsVersion) {
  core::CredentialUpdateRequest request;
  request.label = base::ToBytes(kAlice);
  request.terminal = 3;
  request.tree_size = 5;
  request.distinguished = 4;
  for (const Operation operation : {Operation::kCredentialUpdate, Operation::kOverdueUpdate}) {
    ExpectBelievedFor(3'000, operation, request, "a new one is needed");
  }
}

}  // namespace
}  // namespace kt::client
