// SPDX-License-Identifier: Apache-2.0
//
// A sequencer whose caller says when an epoch is over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kt-server/eraser.h"
#include "kt-server/sequencer.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using Answer = std::optional<absl::StatusOr<Submitter::Outcome>>;

void IgnoreCommit(const Sequencer::CommitReport&) {}
void IgnoreClock(const absl::Status&) {}

Submitter::Submission SubmissionOf(const std::string& label) {
  Submitter::Submission submission;
  submission.label = base::ToBytes(label);
  submission.submitter = "token";
  submission.bytes = 1;
  return submission;
}

absl::Status Submit(Sequencer& sequencer, const std::string& value, Answer* answer) {
  Submitter::Submission submission = SubmissionOf("a@x.example");
  submission.mutation = [value](const CurrentValue*) {
    return std::vector<base::Bytes>{base::ToBytes(value)};
  };
  submission.done = [answer](const absl::StatusOr<Submitter::Outcome>& outcome) {
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

// --- several commits in one epoch: while one is made, the next is prepared

// Submissions to a sequencer whose commits are small, and what became of them.
class SequencerCommitsTest : public ::testing::Test {
 protected:
  std::unique_ptr<Sequencer> Make(const SequencerOptions& options) {
    auto sequencer = std::make_unique<Sequencer>(
        options, fixture_.log(), fixture_.clock(),
        [this](const Sequencer::CommitReport& report) { reports_.push_back(report); }, IgnoreClock);
    EXPECT_THAT(sequencer->Prepare(), IsOk());
    reports_.clear();
    return sequencer;
  }

  // Looks at the label's value, and refuses to change it.
  void Look(Sequencer& sequencer, const std::string& label,
            std::function<void(const CurrentValue*)> at) {
    Submitter::Submission submission = SubmissionOf(label);
    submission.mutation =
        [at = std::move(at)](const CurrentValue* current) -> absl::StatusOr<NewValues> {
      at(current);
      return absl::FailedPreconditionError("only looking");
    };
    submission.done = [](const absl::StatusOr<Submitter::Outcome>& outcome) {
      EXPECT_THAT(outcome, StatusIs(absl::StatusCode::kFailedPrecondition));
    };
    EXPECT_THAT(sequencer.Submit(std::move(submission)), IsOk());
  }

  // Appends "x" to the label's value. Returns the submission's number.
  size_t Submit(Sequencer& sequencer, const std::string& label, std::function<void()> then = {}) {
    const size_t number = answers_.size();
    answers_.emplace_back();
    mutations_.emplace_back(0);
    Submitter::Submission submission = SubmissionOf(label);
    submission.mutation = [this, number](const CurrentValue* current) {
      ++mutations_[number];
      base::Bytes value = current == nullptr ? base::Bytes() : current->value;
      value.push_back('x');
      EXPECT_EQ(value.size(), current == nullptr ? 1u : current->version + 2u);
      return std::vector<base::Bytes>{value};
    };
    submission.done = [this, number, then](const absl::StatusOr<Submitter::Outcome>& outcome) {
      EXPECT_FALSE(answers_[number].has_value());
      answers_[number] = outcome;
      if (then) then();
    };
    EXPECT_THAT(sequencer.Submit(std::move(submission)), IsOk());
    return number;
  }

  const Submitter::Outcome& OutcomeOf(size_t number) {
    EXPECT_TRUE(answers_[number].has_value());
    EXPECT_THAT(*answers_[number], IsOk());
    return **answers_[number];
  }

  LogFixture fixture_;
  std::deque<Answer> answers_;
  std::deque<std::atomic<int>> mutations_;  // how often each ran
  std::vector<Sequencer::CommitReport> reports_;
};

TEST_F(SequencerCommitsTest, FindWhatThoseBeforeThemAdd) {
  const auto sequencer = Make({.batch = {.versions = 2}});
  for (int i = 0; i < 7; ++i) Submit(*sequencer, "a@x.example");
  EXPECT_TRUE(sequencer->RunEpoch());
  for (size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(OutcomeOf(i).version, i);
    EXPECT_EQ(OutcomeOf(i).position, 1 + i / 2);
    EXPECT_EQ(OutcomeOf(i).tree_size, 2 + i / 2);
    EXPECT_EQ(mutations_[i], 1);
  }
  ASSERT_EQ(reports_.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_THAT(reports_[i].status, IsOk());
    EXPECT_EQ(reports_[i].versions, i < 3 ? 2u : 1u);
    EXPECT_EQ(reports_[i].tree_size, 2 + i);
  }
}

// A label that is too long makes its commit fail, but the log goes on.
TEST_F(SequencerCommitsTest, DoNotRestOnOneThatFailed) {
  const auto sequencer = Make({.batch = {.versions = 2}});
  Submit(*sequencer, "a@x.example");
  Submit(*sequencer, "b@x.example");
  const size_t failed = Submit(*sequencer, "a@x.example");
  Submit(*sequencer, std::string(300, 'l'));
  const size_t after = Submit(*sequencer, "a@x.example");
  Submit(*sequencer, "c@x.example");
  const size_t last = Submit(*sequencer, "a@x.example");
  EXPECT_TRUE(sequencer->RunEpoch());
  for (const size_t number : {failed, failed + 1}) {
    ASSERT_TRUE(answers_[number].has_value());
    EXPECT_THAT(*answers_[number], StatusIs(absl::StatusCode::kUnavailable));
  }
  EXPECT_EQ(OutcomeOf(after).version, 1u);
  EXPECT_EQ(OutcomeOf(after).position, 2u);
  EXPECT_EQ(OutcomeOf(after + 1).version, 0u);
  EXPECT_EQ(OutcomeOf(last).version, 2u);
  EXPECT_EQ(OutcomeOf(last).tree_size, 4u);
  EXPECT_EQ(mutations_[after], 2) << "once on what was being committed";
  EXPECT_EQ(mutations_[last], 1);
  ASSERT_EQ(reports_.size(), 4u);
  EXPECT_THAT(reports_[1].status, StatusIs(absl::StatusCode::kInvalidArgument));
}

// Nothing that was prepared meanwhile is appended, signed or told to be.
TEST_F(SequencerCommitsTest, AllFailOnceOneCouldNotBeWritten) {
  const auto sequencer = Make({.batch = {.versions = 1}});
  for (int i = 0; i < 4; ++i) Submit(*sequencer, "a@x.example");
  fixture_.store().FailNextCommit(FaultyStore::Fault::kAfterWrite);
  const int commits = fixture_.store().commits();
  EXPECT_TRUE(sequencer->RunEpoch());
  for (const Answer& answer : answers_) {
    ASSERT_TRUE(answer.has_value());
    EXPECT_THAT(*answer, StatusIs(absl::StatusCode::kUnavailable));
  }
  EXPECT_EQ(fixture_.store().commits(), commits + 1);
  EXPECT_EQ(fixture_.log().newest()->size(), 1u);
  EXPECT_EQ(mutations_[2] + mutations_[3], 0) << "what cannot be appended is not prepared";
}

TEST_F(SequencerCommitsTest, EndWhenTheClockJumpsBetweenTwo) {
  const auto sequencer = Make({.batch = {.versions = 1}, .max_clock_step_ms = 10'000});
  const uint64_t start_ms = fixture_.clock().NowMs();
  Submit(*sequencer, "a@x.example", [&] { fixture_.clock().Set(start_ms + 3'600'000); });
  for (int i = 0; i < 3; ++i) Submit(*sequencer, "a@x.example");
  EXPECT_TRUE(sequencer->RunEpoch());
  EXPECT_EQ(OutcomeOf(0).version, 0u);
  for (size_t i = 1; i < 4; ++i) {
    ASSERT_TRUE(answers_[i].has_value());
    EXPECT_THAT(*answers_[i],
                StatusIs(absl::StatusCode::kUnavailable, ::testing::HasSubstr("clock")));
  }
  EXPECT_EQ(mutations_[3], 0);
  EXPECT_EQ(fixture_.log().newest()->size(), 2u);
  fixture_.clock().Set(start_ms);
  const size_t later = Submit(*sequencer, "a@x.example");
  EXPECT_TRUE(sequencer->RunEpoch());
  EXPECT_EQ(OutcomeOf(later).version, 1u);
}

// What a batch adds is handed to the next, what it has read is not: that may be erased since.
TEST_F(SequencerCommitsTest, DoNotHandOnWhatTheyHaveRead) {
  const auto sequencer = Make({.batch = {.versions = 1}});
  Submit(*sequencer, "a@x.example");
  EXPECT_TRUE(sequencer->RunEpoch());
  EventLog events("error");
  Eraser eraser(fixture_.log(), fixture_.store(), events, fixture_.clock());
  std::vector<bool> erased;
  const auto look = [&] {
    Look(*sequencer, "a@x.example",
         [&](const CurrentValue* current) { erased.push_back(current->erased); });
  };
  look();
  Submit(*sequencer, "b@x.example",
         [&] { EXPECT_THAT(eraser.Erase("a@x.example", 0).status(), IsOk()); });
  look();
  Submit(*sequencer, "c@x.example");
  look();
  Submit(*sequencer, "d@x.example");
  EXPECT_TRUE(sequencer->RunEpoch());
  EXPECT_THAT(erased, ::testing::ElementsAre(false, false, true));
}

// With a thread of its own, a sequencer prepares one while it makes another.
TEST_F(SequencerCommitsTest, OverlapOnTwoThreads) {
  Sequencer sequencer({.epoch_interval_ms = 60'000, .max_pending = 2, .batch = {.versions = 1}},
                      fixture_.log(), fixture_.clock(), IgnoreCommit, IgnoreClock);
  ASSERT_THAT(sequencer.Start(), IsOk());
  std::promise<void> prepared;
  std::future<void> is_prepared = prepared.get_future();
  std::atomic<bool> waited = false;
  fixture_.store().BeforeEachCommit([&] {
    if (waited.exchange(true)) return;
    EXPECT_EQ(is_prepared.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  });
  Submit(sequencer, "a@x.example");
  Look(sequencer, "a@x.example", [&](const CurrentValue* current) {
    EXPECT_NE(current, nullptr) << "what is being committed is not seen";
    prepared.set_value();
  });
  sequencer.Stop();
  EXPECT_TRUE(waited);
  EXPECT_EQ(OutcomeOf(0).version, 0u);
}

TEST_F(SequencerCommitsTest, EndWhenTheyAreTold) {
  Sequencer sequencer({.epoch_interval_ms = 60'000,
                       .max_pending = 8,
                       .max_pending_per_label = 8,
                       .batch = {.versions = 1}},
                      fixture_.log(), fixture_.clock(), IgnoreCommit, IgnoreClock);
  ASSERT_THAT(sequencer.Start(), IsOk());
  std::atomic<int> accepted = 0, answered = 0;
  std::promise<void> many;
  const std::function<void()> submit = [&] {
    Submitter::Submission submission = SubmissionOf("a@x.example");
    submission.mutation = [](const CurrentValue*) { return std::vector<base::Bytes>{{1}}; };
    submission.done = [&](const absl::StatusOr<Submitter::Outcome>& outcome) {
      EXPECT_THAT(outcome, IsOk());
      if (++answered == 40) many.set_value();
      submit();
    };
    if (sequencer.Submit(std::move(submission)).ok()) ++accepted;
  };
  for (int i = 0; i < 8; ++i) submit();
  EXPECT_EQ(many.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  sequencer.Stop();
  EXPECT_EQ(accepted, answered);
}

TEST_F(SequencerCommitsTest, FollowEachOtherWithoutAPauseWhileThereIsRoomForNoMore) {
  const auto sequencer = Make({.max_pending = 2, .batch = {.versions = 1}});
  constexpr size_t kAll = 20;
  const std::function<void()> submit = [&] {
    if (answers_.size() < kAll) Submit(*sequencer, "a@x.example", submit);
  };
  submit();
  submit();
  EXPECT_TRUE(sequencer->RunEpoch());
  ASSERT_EQ(answers_.size(), kAll);
  for (size_t i = 0; i < kAll; ++i) EXPECT_EQ(OutcomeOf(i).version, i);
}

}  // namespace
}  // namespace kt::server
