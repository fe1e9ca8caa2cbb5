// SPDX-License-Identifier: Apache-2.0
#include "kt-server/sequencer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <thread>

#include "kt-core/update.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using Result = absl::StatusOr<Submitter::Outcome>;

class SequencerTest : public ::testing::Test {
 protected:
  std::unique_ptr<Sequencer> Make(SequencerOptions options) {
    if (options.epoch_interval_ms == SequencerOptions().epoch_interval_ms) {
      options.epoch_interval_ms = 5;
    }
    return std::make_unique<Sequencer>(
        options, fixture_.log(), fixture_.clock(),
        [this](const Sequencer::CommitReport& report) {
          absl::MutexLock lock(&mutex_);
          reports_.push_back(report);
        },
        [this](const absl::Status& status) {
          absl::MutexLock lock(&mutex_);
          clock_reports_.push_back(status);
        });
  }

  static std::future<Result> Submit(Sequencer& sequencer, const std::string& label,
                                    Submitter::Mutation mutation,
                                    const std::string& submitter = "token", size_t bytes = 1) {
    auto promise = std::make_shared<std::promise<Result>>();
    std::future<Result> result = promise->get_future();
    const absl::Status status =
        sequencer.Submit({base::ToBytes(label), submitter, bytes, std::move(mutation),
                          [promise](Result outcome) { promise->set_value(std::move(outcome)); }});
    if (!status.ok()) promise->set_value(status);
    return result;
  }
  static Submitter::Mutation Set(const std::string& value) {
    return [value](const CurrentValue*) -> absl::StatusOr<std::vector<base::Bytes>> {
      return std::vector<base::Bytes>{base::ToBytes(value)};
    };
  }
  static Submitter::Mutation AppendText(const std::string& more) {
    return [more](const CurrentValue* current) -> absl::StatusOr<std::vector<base::Bytes>> {
      base::Bytes value = current == nullptr ? base::Bytes() : current->value;
      base::Append(value, base::AsBytes(more));
      return std::vector<base::Bytes>{value};
    };
  }
  size_t Reports() {
    absl::MutexLock lock(&mutex_);
    return reports_.size();
  }

  LogFixture fixture_;
  absl::Mutex mutex_;
  std::vector<Sequencer::CommitReport> reports_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Status> clock_reports_ ABSL_GUARDED_BY(mutex_);
};

// Holds the sequencer in a commit, so that what is submitted meanwhile waits.
class Hold {
 public:
  explicit Hold(const std::function<std::future<Result>(Submitter::Mutation)>& submit)
      : result_(submit([this](const CurrentValue*) -> absl::StatusOr<std::vector<base::Bytes>> {
          entered_.set_value();
          release_.get_future().wait();
          return std::vector<base::Bytes>{base::Bytes{1}};
        })) {
    entered_.get_future().wait();
  }
  void Release() {
    release_.set_value();
    EXPECT_THAT(result_.get(), IsOk());
  }

 private:
  std::promise<void> entered_;
  std::promise<void> release_;
  std::future<Result> result_;
};

TEST_F(SequencerTest, GivesAnEmptyLogItsFirstEntry) {
  const auto sequencer = Make({});
  ASSERT_THAT(sequencer->Start(), IsOk());
  ASSERT_NE(fixture_.log().current(), nullptr);
  EXPECT_EQ(fixture_.log().current()->size(), 1u);
}

TEST_F(SequencerTest, AnswersOnceTheVersionIsPublished) {
  const auto sequencer = Make({});
  ASSERT_THAT(sequencer->Start(), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto outcome, Submit(*sequencer, "a@x.example", Set("1")).get());
  EXPECT_EQ(outcome.version, 0u);
  EXPECT_EQ(outcome.position, 1u);
  EXPECT_GE(fixture_.log().current()->size(), outcome.tree_size);
}

TEST_F(SequencerTest, MutationsOfOneBatchSeeEachOther) {
  const auto sequencer = Make({.epoch_interval_ms = 100});
  ASSERT_THAT(sequencer->Start(), IsOk());
  std::vector<std::future<Result>> results;
  for (int i = 0; i < 5; ++i) results.push_back(Submit(*sequencer, "a@x.example", AppendText("x")));
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto outcome, results[i].get());
    EXPECT_EQ(outcome.version, static_cast<base::Version>(i));
  }
  std::string newest;
  Submit(*sequencer, "a@x.example",
         [&](const CurrentValue* current) -> absl::StatusOr<std::vector<base::Bytes>> {
           newest = base::ToText(current->value);
           return absl::FailedPreconditionError("only looking");
         })
      .get()
      .IgnoreError();
  EXPECT_EQ(newest, "xxxxx");
}

TEST_F(SequencerTest, RefusedMutationTakesNoVersionAndHindersNobody) {
  const auto sequencer = Make({.epoch_interval_ms = 100});
  ASSERT_THAT(sequencer->Start(), IsOk());
  auto first = Submit(*sequencer, "a@x.example", Set("1"));
  auto refused = Submit(*sequencer, "a@x.example",
                        [](const CurrentValue*) -> absl::StatusOr<std::vector<base::Bytes>> {
                          return absl::FailedPreconditionError("no");
                        });
  auto second = Submit(*sequencer, "a@x.example", Set("2"));
  EXPECT_THAT(refused.get(), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK_AND_ASSIGN(const auto a, first.get());
  ASSERT_OK_AND_ASSIGN(const auto b, second.get());
  EXPECT_EQ(a.version, 0u);
  EXPECT_EQ(b.version, 1u);
  EXPECT_EQ(a.position, b.position) << "one batch, one log entry";
}

TEST_F(SequencerTest, SplitsLargeBatchesIntoEntriesOfOneCommit) {
  const auto sequencer = Make({.epoch_interval_ms = 100, .batch = {.versions_per_entry = 2}});
  ASSERT_THAT(sequencer->Start(), IsOk());
  std::vector<std::future<Result>> results;
  for (int i = 0; i < 5; ++i) {
    results.push_back(Submit(*sequencer, "u" + std::to_string(i) + "@x.example", Set("v")));
  }
  const base::LogPosition positions[] = {1, 1, 2, 2, 3};
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto outcome, results[i].get());
    EXPECT_EQ(outcome.position, positions[i]);
    EXPECT_EQ(outcome.tree_size, 4u);
  }
  EXPECT_EQ(Reports(), 2u) << "the first entry, and one commit";
}

// --- several versions of one submission
// -----------------------------------------------------------

Submitter::Mutation SetAll(const std::vector<std::string>& texts) {
  return [texts](const CurrentValue*) -> absl::StatusOr<std::vector<base::Bytes>> {
    std::vector<base::Bytes> values;
    for (const std::string& text : texts) values.push_back(base::ToBytes(text));
    return values;
  };
}

TEST_F(SequencerTest, VersionsOfOneSubmissionAreInOneEntry) {
  const auto sequencer = Make({.epoch_interval_ms = 100, .batch = {.versions_per_entry = 3}});
  ASSERT_THAT(sequencer->Start(), IsOk());
  std::vector<std::future<Result>> results;
  results.push_back(Submit(*sequencer, "a@x.example", SetAll({"0", "1"})));
  results.push_back(Submit(*sequencer, "b@x.example", SetAll({"0", "1"})));
  results.push_back(Submit(*sequencer, "c@x.example", SetAll({"0"})));
  results.push_back(Submit(*sequencer, "d@x.example", SetAll({"0", "1", "2", "3"})));
  const base::LogPosition positions[] = {1, 2, 2};
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto outcome, results[i].get());
    EXPECT_EQ(outcome.position, positions[i]);
    EXPECT_EQ(outcome.version, i == 2 ? 0u : 1u) << "the greatest of them";
  }
  EXPECT_THAT(results[3].get(), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Submit(*sequencer, "d@x.example", SetAll({})).get(),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(SequencerTest, WhoMustBeAloneSharesNoEntryWithOthersOfTheLabel) {
  const auto sequencer = Make({.epoch_interval_ms = 100});
  ASSERT_THAT(sequencer->Start(), IsOk());
  std::vector<std::future<Result>> results;
  const auto submit = [&](const char* label, bool alone) {
    auto promise = std::make_shared<std::promise<Result>>();
    results.push_back(promise->get_future());
    EXPECT_THAT(sequencer->Submit(
                    {base::ToBytes(label), "token", 1, SetAll({"x"}),
                     [promise](Result outcome) { promise->set_value(std::move(outcome)); }, alone}),
                IsOk());
  };
  submit("a@x.example", false);
  submit("b@x.example", true);
  submit("a@x.example", true);
  submit("c@x.example", true);
  submit("a@x.example", false);
  submit("a@x.example", false);
  const base::LogPosition positions[] = {1, 1, 2, 2, 3, 3};
  for (int i = 0; i < 6; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto outcome, results[i].get());
    EXPECT_EQ(outcome.position, positions[i]) << i;
  }
  EXPECT_EQ(Reports(), 2u) << "the first entry, and one commit";
}

// Otherwise whoever raised max_request_bytes lets others publish what its owner never receives.
TEST_F(SequencerTest, ValuesThatNoOwnerCouldBeToldOfAreRefused) {
  const auto sequencer = Make({.epoch_interval_ms = 50});
  ASSERT_THAT(sequencer->Start(), IsOk());
  const std::string half(1 << 20, 'x');
  EXPECT_THAT(Submit(*sequencer, "a@x.example", SetAll({half, half})).get(), IsOk());
  EXPECT_THAT(Submit(*sequencer, "a@x.example", SetAll({half, half + "x"})).get(),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Submit(*sequencer, "a@x.example", SetAll({"x"})).get(), IsOk());
}

// So that their owner can be told of them in one response.
TEST_F(SequencerTest, OneLabelHasABoundedShareOfAnEntry) {
  const auto sequencer =
      Make({.epoch_interval_ms = 200, .max_pending_per_label = core::kMaxVersionsInEntry + 2});
  ASSERT_THAT(sequencer->Start(), IsOk());
  std::vector<std::future<Result>> results;
  for (size_t i = 0; i < core::kMaxVersionsInEntry + 1; ++i) {
    results.push_back(Submit(*sequencer, "a@x.example", SetAll({"x"})));
  }
  for (int i = 0; i < 3; ++i) {
    results.push_back(Submit(*sequencer, "b@x.example", SetAll({std::string(1 << 20, 'x')})));
  }
  for (size_t i = 0; i < core::kMaxVersionsInEntry; ++i) {
    EXPECT_EQ(results[i].get()->position, 1u);
  }
  EXPECT_EQ(results[core::kMaxVersionsInEntry].get()->position, 2u);
  EXPECT_EQ(results[core::kMaxVersionsInEntry + 1].get()->position, 2u);
  EXPECT_EQ(results[core::kMaxVersionsInEntry + 2].get()->position, 2u);
  EXPECT_EQ(results[core::kMaxVersionsInEntry + 3].get()->position, 3u);
}

// It may rest on what is about to be added, which is true only once that is durable.
TEST_F(SequencerTest, RefusalWaitsForTheCommit) {
  const auto sequencer = Make({.epoch_interval_ms = 100});
  ASSERT_THAT(sequencer->Start(), IsOk());
  const auto only_first =
      [](const CurrentValue* current) -> absl::StatusOr<std::vector<base::Bytes>> {
    if (current != nullptr) return absl::AbortedError("there is a version already");
    return std::vector<base::Bytes>{base::Bytes{1}};
  };
  auto first = Submit(*sequencer, "a@x.example", only_first);
  auto second = Submit(*sequencer, "a@x.example", only_first);
  EXPECT_THAT(second.get(), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(fixture_.log().current()->size(), 2u);
  EXPECT_THAT(first.get(), IsOk());
  auto third = Submit(*sequencer, "b@x.example", only_first);
  auto fourth = Submit(*sequencer, "b@x.example", only_first);
  fixture_.store().FailNextCommit(FaultyStore::Fault::kBeforeWrite);
  EXPECT_THAT(third.get(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(fourth.get(), StatusIs(absl::StatusCode::kUnavailable)) << "there is none";
}

// --- limits
// ----------------------------------------------------------------------------------------

// What is being committed counts too, until it is answered.
TEST_F(SequencerTest, RefusesMoreThanMayWait) {
  const auto sequencer = Make({.max_pending = 4});
  ASSERT_THAT(sequencer->Start(), IsOk());
  Hold hold([&](auto mutation) { return Submit(*sequencer, "a@x.example", std::move(mutation)); });
  std::vector<std::future<Result>> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(Submit(*sequencer, "b@x.example", AppendText("x")));
  EXPECT_THAT(Submit(*sequencer, "b@x.example", AppendText("x")).get(),
              StatusIs(absl::StatusCode::kResourceExhausted));
  hold.Release();
  for (auto& result : waiting) EXPECT_THAT(result.get(), IsOk());
  EXPECT_THAT(Submit(*sequencer, "b@x.example", AppendText("x")).get(), IsOk());
}

TEST_F(SequencerTest, RefusesMoreBytesThanMayWait) {
  const auto sequencer = Make({.max_pending_bytes = 100});
  ASSERT_THAT(sequencer->Start(), IsOk());
  const auto submit = [&](const char* label, size_t bytes) {
    return Submit(*sequencer, label, Set("1"), "token", bytes);
  };
  Hold hold([&](auto mutation) {
    return Submit(*sequencer, "a@x.example", std::move(mutation), "token", 20);
  });
  auto second = submit("b@x.example", 80);
  EXPECT_THAT(submit("c@x.example", 1).get(), StatusIs(absl::StatusCode::kResourceExhausted));
  hold.Release();
  EXPECT_THAT(second.get(), IsOk());
  EXPECT_THAT(submit("c@x.example", 100).get(), IsOk());
  EXPECT_THAT(submit("c@x.example", 101).get(), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(SequencerTest, OneLabelCannotFillTheQueue) {
  const auto sequencer = Make({.max_pending_per_label = 2});
  ASSERT_THAT(sequencer->Start(), IsOk());
  Hold hold([&](auto mutation) { return Submit(*sequencer, "a@x.example", std::move(mutation)); });
  auto second = Submit(*sequencer, "a@x.example", AppendText("x"));
  EXPECT_THAT(Submit(*sequencer, "a@x.example", AppendText("x"), "another token").get(),
              StatusIs(absl::StatusCode::kResourceExhausted));
  auto other = Submit(*sequencer, "b@x.example", AppendText("x"));
  hold.Release();
  EXPECT_THAT(second.get(), IsOk());
  EXPECT_THAT(other.get(), IsOk());
  EXPECT_THAT(Submit(*sequencer, "a@x.example", AppendText("x")).get(), IsOk());
}

TEST_F(SequencerTest, OneSubmitterCannotFillTheQueue) {
  const auto sequencer = Make({.max_pending_per_submitter = 2});
  ASSERT_THAT(sequencer->Start(), IsOk());
  Hold hold([&](auto mutation) { return Submit(*sequencer, "a@x.example", std::move(mutation)); });
  auto second = Submit(*sequencer, "b@x.example", AppendText("x"));
  EXPECT_THAT(Submit(*sequencer, "c@x.example", AppendText("x")).get(),
              StatusIs(absl::StatusCode::kResourceExhausted));
  auto other = Submit(*sequencer, "c@x.example", AppendText("x"), "another token");
  hold.Release();
  EXPECT_THAT(second.get(), IsOk());
  EXPECT_THAT(other.get(), IsOk());
  EXPECT_THAT(Submit(*sequencer, "c@x.example", AppendText("x")).get(), IsOk());
}

TEST_F(SequencerTest, OneCommitHoldsABoundedAmountOfValues) {
  const auto sequencer = Make({.epoch_interval_ms = 100, .batch = {.value_bytes = 100}});
  ASSERT_THAT(sequencer->Start(), IsOk());
  const std::string value(60, 'v');
  std::vector<std::future<Result>> results;
  for (int i = 0; i < 6; ++i) {
    results.push_back(Submit(*sequencer, "u" + std::to_string(i) + "@x.example", Set(value)));
  }
  for (int i = 0; i < 6; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto outcome, results[i].get());
    EXPECT_EQ(outcome.position, static_cast<base::LogPosition>(1 + i / 2)) << "two a commit";
  }
  EXPECT_EQ(Reports(), 4u);
  // Values that are only read are in memory too.
  results.clear();
  for (int i = 0; i < 6; ++i) {
    results.push_back(Submit(*sequencer, "u" + std::to_string(i) + "@x.example", Set("w")));
  }
  for (int i = 0; i < 6; ++i) EXPECT_THAT(results[i].get(), IsOk());
  EXPECT_EQ(Reports(), 7u);
}

TEST_F(SequencerTest, FullQueueDoesNotWaitForTheEpochToEnd) {
  const auto sequencer = Make({.epoch_interval_ms = 60'000, .max_pending = 3});
  ASSERT_THAT(sequencer->Start(), IsOk());
  std::vector<std::future<Result>> results;
  for (int i = 0; i < 3; ++i) results.push_back(Submit(*sequencer, "a@x.example", AppendText("x")));
  for (auto& result : results) EXPECT_THAT(result.get(), IsOk());
}

TEST_F(SequencerTest, StopCommitsWhatWaitsAndRefusesTheRest) {
  const auto sequencer = Make({.epoch_interval_ms = 60'000});
  ASSERT_THAT(sequencer->Start(), IsOk());
  auto waiting = Submit(*sequencer, "a@x.example", Set("1"));
  sequencer->Stop();
  EXPECT_THAT(waiting.get(), IsOk());
  EXPECT_THAT(Submit(*sequencer, "a@x.example", Set("2")).get(),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(SequencerTest, FailedCommitIsToldToEverybodyAndStopsTheLog) {
  const auto sequencer = Make({});
  ASSERT_THAT(sequencer->Start(), IsOk());
  fixture_.store().FailNextCommit(FaultyStore::Fault::kBeforeWrite);
  // The store's message holds paths, which are nothing for publishers.
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(
        Submit(*sequencer, "a@x.example", Set("1")).get(),
        StatusIs(absl::StatusCode::kUnavailable, ::testing::Not(::testing::HasSubstr("injected"))));
  }
  EXPECT_EQ(fixture_.log().current()->size(), 1u);
}

TEST_F(SequencerTest, AddsIdleEntriesOnlyWhenTheHeadGetsOld) {
  const auto sequencer = Make({.max_idle_ms = 50'000});
  ASSERT_THAT(sequencer->Start(), IsOk());
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_EQ(fixture_.log().current()->size(), 1u) << "many epochs without work, no entry";
  fixture_.clock().Advance(50'000);
  for (int i = 0; i < 400 && fixture_.log().current()->size() == 1; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_EQ(fixture_.log().current()->size(), 2u);
}

TEST_F(SequencerTest, TimestampsDoNotFollowAClockThatGoesBack) {
  const auto sequencer = Make({});
  ASSERT_THAT(sequencer->Start(), IsOk());
  const uint64_t start_ms = fixture_.clock().NowMs();
  fixture_.clock().Set(start_ms - 5'000);
  EXPECT_THAT(Submit(*sequencer, "a@x.example", Set("1")).get(), IsOk());
  EXPECT_THAT(fixture_.log().current()->Timestamp(1), testing::IsOkAndHolds(start_ms));
}

TEST_F(SequencerTest, SignsNoTimeToWhichTheClockJumped) {
  const auto sequencer = Make({.max_idle_ms = 50'000, .max_clock_step_ms = 10'000});
  ASSERT_THAT(sequencer->Start(), IsOk());
  const uint64_t start_ms = fixture_.clock().NowMs();
  // Jumps between the submission and the commit.
  const auto jump = [&](const CurrentValue*) -> absl::StatusOr<std::vector<base::Bytes>> {
    fixture_.clock().Set(start_ms + 3'600'000);
    return absl::FailedPreconditionError("jumped");
  };
  EXPECT_THAT(Submit(*sequencer, "a@x.example", jump).get(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Submit(*sequencer, "a@x.example", Set("1")).get(),
              StatusIs(absl::StatusCode::kUnavailable, ::testing::HasSubstr("clock")));
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_EQ(fixture_.log().current()->size(), 1u) << "no idle entry either";
  {
    absl::MutexLock lock(&mutex_);
    ASSERT_EQ(clock_reports_.size(), 1u) << "told once";
    EXPECT_THAT(clock_reports_[0], StatusIs(absl::StatusCode::kUnavailable));
  }
  fixture_.clock().Set(start_ms);
  EXPECT_THAT(Submit(*sequencer, "a@x.example", Set("1")).get(), IsOk());
  EXPECT_THAT(fixture_.log().current()->Timestamp(1), testing::IsOkAndHolds(start_ms));
  absl::MutexLock lock(&mutex_);
  ASSERT_EQ(clock_reports_.size(), 2u);
  EXPECT_THAT(clock_reports_[1], IsOk());
}

// A clock that jumps after the submission was taken is noticed when the epoch ends.
TEST_F(SequencerTest, AnswersWhatWaitedWhenTheClockJumps) {
  const auto sequencer = Make({.epoch_interval_ms = 100, .max_clock_step_ms = 10'000});
  ASSERT_THAT(sequencer->Start(), IsOk());
  auto waiting = Submit(*sequencer, "a@x.example", Set("1"));
  fixture_.clock().Set(fixture_.clock().NowMs() + 3'600'000);
  EXPECT_THAT(waiting.get(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(fixture_.log().current()->size(), 1u);
}

TEST_F(SequencerTest, StartAfterALongTimeNeedsAPersonsWord) {
  ASSERT_THAT(Make({.max_downtime_ms = 100'000})->Start(), IsOk());
  fixture_.clock().Advance(100'000);
  ASSERT_THAT(Make({.max_downtime_ms = 100'000})->Start(), IsOk());
  fixture_.clock().Advance(1);
  EXPECT_THAT(
      Make({.max_downtime_ms = 100'000})->Start(),
      StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::HasSubstr("--accept-clock")));
  EXPECT_EQ(fixture_.log().current()->size(), 1u);
  EXPECT_THAT(Make({.max_downtime_ms = 100'000, .accept_clock = true})->Start(), IsOk());
}

TEST_F(SequencerTest, ReadersAndManyPublishersAtOnce) {
  const auto sequencer = Make({.epoch_interval_ms = 1});
  ASSERT_THAT(sequencer->Start(), IsOk());
  std::atomic<bool> done = false;
  std::thread reader([&] {
    base::TreeSize last = 0;
    while (!done) {
      const auto state = fixture_.log().current();
      EXPECT_GE(state->size(), last);
      last = state->size();
      EXPECT_THAT(state->Timestamp(last - 1), IsOk());
    }
  });
  std::vector<std::thread> publishers;
  for (int t = 0; t < 3; ++t) {
    publishers.emplace_back([&, t] {
      for (base::Version i = 0; i < 20; ++i) {
        const auto outcome =
            Submit(*sequencer, "u" + std::to_string(t) + "@x.example", AppendText("x")).get();
        ASSERT_THAT(outcome, IsOk());
        EXPECT_EQ(outcome->version, i);
      }
    });
  }
  for (std::thread& publisher : publishers) publisher.join();
  done = true;
  reader.join();
}

}  // namespace
}  // namespace kt::server
