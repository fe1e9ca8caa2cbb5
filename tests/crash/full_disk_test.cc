// SPDX-License-Identifier: Apache-2.0
//
// What a log does when its disk is full, or fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "kt-server/search_service.h"
#include "kt-server/sequencer.h"
#include "kt-server/store.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/support/fault_disk.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using testing::FaultDisk;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;
using testing::StatusIs;

constexpr char kAlice[] = "alice@a.example";

class FullDiskTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> OpenStore() {
    RocksDbOptions options;
    options.path = directory_.File("db");
    options.create_if_missing = true;
    options.block_cache_bytes = 8 << 20;
    options.min_free_bytes = min_free_bytes_;
    options.env = disk_.env();
    auto store = OpenRocksDbStore(options);
    KT_CHECK(store.ok());
    return *std::move(store);
  }

  // Makes the log, with one version.
  LogFixture& Log() {
    if (log_ == nullptr) {
      log_ = std::make_unique<LogFixture>(core::CipherSuite::kEd25519,
                                          core::DeploymentMode::kContactMonitoring, std::nullopt,
                                          [this] { return OpenStore(); });
      KT_CHECK(log_->Add(kAlice, 0, "value").ok());
    }
    return *log_;
  }

  // Users are answered as before.
  void ExpectAnswers(base::TreeSize size) {
    core::SearchRequest request;
    request.label = base::ToBytes(kAlice);
    const auto answer = SearchService(log_->log()).Search(base::codec::Encode(request));
    ASSERT_THAT(answer, IsOk());
    EXPECT_TRUE(answer->found);
    const auto result =
        log_->verifier().VerifySearch(request, answer->response, nullptr, log_->clock().NowMs());
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->state.tree_size(), size);
  }

  testing::TemporaryDirectory directory_;
  FaultDisk disk_{1, directory_.File("scratch")};
  uint64_t min_free_bytes_ = 0;
  std::unique_ptr<LogFixture> log_;
};

// Another program takes the space that was to be free, in the middle of a write.
TEST_F(FullDiskTest, AWriteThatFindsNoSpaceIsTheLastUntilTheRestart) {
  LogFixture& log = Log();
  base::TreeSize size = 1;
  // What of a commit's record fits differs from time to time.
  for (const uint64_t space : {0, 1, 10, 100, 500}) {
    disk_.SetSpace(space);
    EXPECT_THAT(log.Add(kAlice, 1, "value"), Not(IsOk()));
    disk_.SetSpace(FaultDisk::kUnlimited);
    EXPECT_THAT(log.log().writable(),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("until it is started again")));
    EXPECT_EQ(log.guard().head().tree_size, size);
    ExpectAnswers(size);
    ASSERT_THAT(log.ReopenStore(), IsOk());
    EXPECT_EQ(log.log().newest()->size(), size) << "nothing of it is there";
    ASSERT_THAT(log.Add("user" + std::to_string(space), 0, "value"), IsOk());
    ExpectAnswers(++size);
  }
}

TEST_F(FullDiskTest, ItIsReadOnlyBeforeItIsFull) {
  min_free_bytes_ = 1 << 20;
  LogFixture& log = Log();
  disk_.SetSpace(min_free_bytes_ - 1);
  const uint64_t syncs = disk_.syncs();
  EXPECT_THAT(log.Add(kAlice, 1, "value"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("are to be free")));
  EXPECT_EQ(disk_.syncs(), syncs) << "nothing is tried";
  EXPECT_THAT(log.log().writable(), StatusIs(absl::StatusCode::kUnavailable));
  ExpectAnswers(1);
  disk_.SetSpace(FaultDisk::kUnlimited);
  EXPECT_THAT(log.Add(kAlice, 1, "value"), IsOk());
  EXPECT_THAT(log.log().writable(), IsOk());
}

TEST_F(FullDiskTest, ErasingGoesOnWithLessThanWhatIsToBeFree) {
  min_free_bytes_ = 1 << 20;
  LogFixture& log = Log();
  disk_.SetSpace(min_free_bytes_ / 2);
  const auto rows = log.log().newest()->snapshot().ReadVersions(base::AsBytes(kAlice), 0);
  ASSERT_THAT(rows, IsOk());
  const VersionRow& row = rows->front();
  ErasureRow erasure;
  erasure.commitment = row.existing->commitment;
  erasure.vrf_output = row.vrf_output;
  erasure.position = row.existing->position;
  EXPECT_THAT(log.real_store().Erase({&erasure, 1}), testing::IsOkAndHolds(1u));
}

// The kernel reports a lost write once: a sync that succeeds afterwards means nothing.
TEST_F(FullDiskTest, AfterAFailedSyncNothingIsSignedUntilTheRestart) {
  using SyncFault = FaultDisk::SyncFault;
  base::TreeSize size = 1;
  for (const SyncFault fault : {SyncFault::kEio, SyncFault::kNoSpace}) {
    LogFixture& log = Log();
    const std::string label = fault == SyncFault::kEio ? "bob@a.example" : "carlos@a.example";
    disk_.FailSyncs(fault);
    EXPECT_THAT(log.Add(label, 0, "value"), Not(IsOk()));
    disk_.FailSyncs(SyncFault::kNone);
    const uint64_t syncs = disk_.syncs();
    EXPECT_THAT(log.log().CheckRoom(), StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_THAT(log.Add(label, 0, "value"),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("until it is started again")));
    // Beside the log, a database that was just opened may still write files of its own.
    if (fault == SyncFault::kEio) {
      EXPECT_EQ(disk_.syncs(), syncs) << "no second try";
    }
    EXPECT_EQ(log.guard().head().tree_size, size) << "the head was not released";
    ExpectAnswers(size);
    // What was written may be there or not; the log is one of the two.
    ASSERT_THAT(log.ReopenStore(), IsOk());
    ASSERT_GE(log.log().newest()->size(), size);
    ASSERT_THAT(log.AddEmpty(), IsOk());
    size = log.log().newest()->size();
    ExpectAnswers(size);
  }
}

TEST_F(FullDiskTest, AfterAFailedWriteNothingIsSignedUntilTheRestart) {
  LogFixture& log = Log();
  disk_.FailWrites(true);
  EXPECT_THAT(log.Add(kAlice, 1, "value"), StatusIs(absl::StatusCode::kUnavailable));
  disk_.FailWrites(false);
  EXPECT_THAT(log.Add(kAlice, 1, "value"), StatusIs(absl::StatusCode::kUnavailable));
  ExpectAnswers(1);
  ASSERT_THAT(log.ReopenStore(), IsOk());
  EXPECT_THAT(log.Add(kAlice, 1, "value"), IsOk());
}

TEST_F(FullDiskTest, TheSequencerTellsAndGoesOn) {
  min_free_bytes_ = 1 << 20;
  LogFixture& log = Log();
  absl::Mutex mutex;
  std::vector<bool> has_room;  // what was told
  SequencerOptions options;
  options.epoch_interval_ms = 5;
  Sequencer sequencer(
      options, log.log(), log.clock(), [](const Sequencer::CommitReport&) {},
      [](const absl::Status&) {},
      [&](const absl::Status& status) {
        absl::MutexLock lock(&mutex);
        has_room.push_back(status.ok());
      });
  ASSERT_THAT(sequencer.Start(), IsOk());
  const auto await = [&](size_t times) {
    absl::MutexLock lock(&mutex);
    const auto told = [&] { return has_room.size() >= times; };
    return mutex.AwaitWithTimeout(absl::Condition(&told), absl::Seconds(10));
  };
  disk_.SetSpace(100);
  ASSERT_TRUE(await(1));
  Submitter::Submission refused;
  refused.label = base::ToBytes(kAlice);
  EXPECT_THAT(sequencer.Submit(std::move(refused)), StatusIs(absl::StatusCode::kUnavailable));
  disk_.SetSpace(FaultDisk::kUnlimited);
  ASSERT_TRUE(await(2));
  EXPECT_EQ(has_room, (std::vector<bool>{false, true}));
  absl::Notification done;
  absl::StatusOr<Submitter::Outcome> outcome;
  Submitter::Submission submission;
  submission.label = base::ToBytes(kAlice);
  submission.mutation = [](const CurrentValue*) -> absl::StatusOr<NewValues> {
    return NewValues(std::vector<base::Bytes>{base::ToBytes("value")});
  };
  submission.done = [&](absl::StatusOr<Submitter::Outcome> result) {
    outcome = std::move(result);
    done.Notify();
  };
  ASSERT_THAT(sequencer.Submit(std::move(submission)), IsOk());
  done.WaitForNotification();
  EXPECT_THAT(outcome, IsOk());
}

TEST_F(FullDiskTest, ASlowDiskOnlyTakesLonger) {
  LogFixture& log = Log();
  disk_.SetSyncTime(absl::Milliseconds(20));
  EXPECT_THAT(log.Add(kAlice, 1, "value"), IsOk());
  ExpectAnswers(2);
}

}  // namespace
}  // namespace kt::server
