// SPDX-License-Identifier: Apache-2.0
//
// A sequencer whose caller says when an epoch is over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "kt-server/sequencer.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using Answer = std::optional<absl::StatusOr<Sequencer::Outcome>>;

void IgnoreCommit(const Sequencer::CommitReport&) {}
void IgnoreClock(const absl::Status&) {}

absl::Status Submit(Sequencer& sequencer, const std::string& value, Answer* answer) {
  Sequencer::Submission submission;
  submission.label = base::ToBytes("a@x.example");
  submission.submitter = "token";
  submission.bytes = 1;
  submission.mutation = [value](const CurrentValue*) {
    return std::vector<base::Bytes>{base::ToBytes(value)};
  };
  submission.done = [answer](const absl::StatusOr<Sequencer::Outcome>& outcome) {
    *answer = outcome;
  };
  return sequencer.Submit(std::move(submission));
}

TEST(SequencerEpochTest, EndsWhenTheCallerSaysSo) {
  LogFixture fixture;
  Sequencer sequencer({.max_idle_ms = 1'000}, fixture.log(), fixture.clock(), IgnoreCommit,
                      IgnoreClock);
  ASSERT_THAT(sequencer.Prepare(), IsOk());
  EXPECT_EQ(fixture.log().current()->size(), 1u);

  Answer first;
  ASSERT_THAT(Submit(sequencer, "1", &first), IsOk());
  EXPECT_FALSE(first.has_value());
  EXPECT_TRUE(sequencer.RunEpoch());
  ASSERT_TRUE(first.has_value());
  EXPECT_THAT(*first, IsOk());
  EXPECT_EQ(fixture.log().current()->size(), 2u);

  fixture.clock().Advance(999);
  EXPECT_TRUE(sequencer.RunEpoch());
  EXPECT_EQ(fixture.log().current()->size(), 2u);
  fixture.clock().Advance(1);
  EXPECT_TRUE(sequencer.RunEpoch());
  EXPECT_EQ(fixture.log().current()->size(), 3u);
}

// What was accepted is answered, and nothing is accepted after it.
TEST(SequencerEpochTest, AfterStopThereIsOneMore) {
  LogFixture fixture;
  Sequencer sequencer({}, fixture.log(), fixture.clock(), IgnoreCommit, IgnoreClock);
  ASSERT_THAT(sequencer.Prepare(), IsOk());
  Answer last;
  ASSERT_THAT(Submit(sequencer, "1", &last), IsOk());
  sequencer.Stop();
  Answer late;
  EXPECT_THAT(Submit(sequencer, "2", &late), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_FALSE(sequencer.RunEpoch());
  ASSERT_TRUE(last.has_value());
  EXPECT_THAT(*last, IsOk());
  EXPECT_FALSE(late.has_value());
}

}  // namespace
}  // namespace kt::server
