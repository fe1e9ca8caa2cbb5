// SPDX-License-Identifier: Apache-2.0
#include "kt-server/sequencer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "tests/kt-server/log_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using Result = absl::StatusOr<Sequencer::Outcome>;

class SequencerTest : public ::testing::Test {
 protected:
  std::unique_ptr<Sequencer> Make(SequencerOptions options) {
    if (options.epoch_interval_ms == SequencerOptions().epoch_interval_ms) {
      options.epoch_interval_ms = 5;
    }
    return std::make_unique<Sequencer>(options, fixture_.log(), fixture_.clock(),
                                       [this](const Sequencer::CommitReport& report) {
                                         absl::MutexLock lock(&mutex_);
                                         reports_.push_back(report);
                                       });
  }

  static std::future<Result> Submit(Sequencer& sequencer, const std::string& label,
                                    Sequencer::Mutation mutation) {
    auto promise = std::make_shared<std::promise<Result>>();
    std::future<Result> result = promise->get_future();
    const absl::Status status =
        sequencer.Submit(base::ToBytes(label), std::move(mutation),
                         [promise](Result outcome) { promise->set_value(std::move(outcome)); });
    if (!status.ok()) promise->set_value(status);
    return result;
  }
  static Sequencer::Mutation Set(const std::string& value) {
    return [value](const CurrentValue*) -> absl::StatusOr<base::Bytes> {
      return base::ToBytes(value);
    };
  }
  static Sequencer::Mutation AppendText(const std::string& more) {
    return [more](const CurrentValue* current) -> absl::StatusOr<base::Bytes> {
      base::Bytes value = current == nullptr ? base::Bytes() : current->value;
      base::Append(value, base::AsBytes(more));
      return value;
    };
  }
  size_t Reports() {
    absl::MutexLock lock(&mutex_);
    return reports_.size();
  }

  LogFixture fixture_;
  absl::Mutex mutex_;
  std::vector<Sequencer::CommitReport> reports_ ABSL_GUARDED_BY(mutex_);
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
         [&](const CurrentValue* current) -> absl::StatusOr<base::Bytes> {
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
  auto refused =
      Submit(*sequencer, "a@x.example", [](const CurrentValue*) -> absl::StatusOr<base::Bytes> {
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
  const auto sequencer = Make({.epoch_interval_ms = 100, .max_versions_per_entry = 2});
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

TEST_F(SequencerTest, RefusesMoreThanMayWait) {
  const auto sequencer = Make({.max_pending = 3});
  ASSERT_THAT(sequencer->Start(), IsOk());
  // Holds the sequencer in a commit, so that what follows waits.
  std::promise<void> entered;
  std::promise<void> release;
  auto held =
      Submit(*sequencer, "a@x.example", [&](const CurrentValue*) -> absl::StatusOr<base::Bytes> {
        entered.set_value();
        release.get_future().wait();
        return base::Bytes{1};
      });
  entered.get_future().wait();
  std::vector<std::future<Result>> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(Submit(*sequencer, "b@x.example", AppendText("x")));
  EXPECT_THAT(Submit(*sequencer, "b@x.example", AppendText("x")).get(),
              StatusIs(absl::StatusCode::kResourceExhausted));
  release.set_value();
  EXPECT_THAT(held.get(), IsOk());
  for (auto& result : waiting) EXPECT_THAT(result.get(), IsOk());
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
  EXPECT_THAT(Submit(*sequencer, "a@x.example", Set("1")).get(),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Submit(*sequencer, "a@x.example", Set("1")).get(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
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
