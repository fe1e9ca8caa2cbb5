// SPDX-License-Identifier: Apache-2.0
#include "kt-server/log_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "tests/support/fakes.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr merkle::PrefixTreeLayout kLayout{.bucket_depth = 8, .rows_per_snapshot = 4};

class LogFiles : public ::testing::Test {
 protected:
  LogFiles() {
    config_.log.domains = {"smime.example"};
    for (std::string* path :
         {&config_.log.configuration, &config_.log.signature_key, &config_.log.vrf_key,
          &config_.log.database, &config_.log.head_guard}) {
      *path = directory_.File(*path);
    }
    log_.ciphersuite = core::CipherSuite::kEd25519;
    log_.max_ahead = 10'000;
    log_.max_behind = 100'000;
    log_.reasonable_monitoring_window = 1'000;
  }

  absl::Status Create() { return CreateLogFiles(config_, log_, kLayout, random_); }

  // Opens the log, gives it another entry and closes it.
  void Grow() {
    ASSERT_OK_AND_ASSIGN(const OpenedLog opened, OpenLog(config_, random_));
    const NewEntry entry{clock_.NowMs(), {}};
    ASSERT_THAT(opened.log->Append({&entry, 1}), IsOk());
  }

  testing::TemporaryDirectory directory_;
  testing::SeededRandom random_{3};
  testing::FakeClock clock_;
  ServerConfig config_;
  core::Configuration log_;
};

TEST(LayoutFor, IsDeeperForLargerLogs) {
  EXPECT_EQ(LayoutFor(1).bucket_depth, 20);
  EXPECT_EQ(LayoutFor(30'000'000).bucket_depth, 20);
  EXPECT_EQ(LayoutFor(30'000'001).bucket_depth, 24);
  EXPECT_EQ(LayoutFor(2'000'000'000).bucket_depth, 24);
}

TEST_F(LogFiles, TimingThatMakesClientsRefuseTheLogIsRefused) {
  config_.epoch.interval_ms = 10'000;
  EXPECT_EQ(MaxIdleMs(config_, log_), 50'000u);
  EXPECT_THAT(CheckTiming(config_, log_), IsOk());
  config_.epoch.max_idle_ms = 79'999;
  EXPECT_THAT(CheckTiming(config_, log_), IsOk());
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument,
                                AllOf(HasSubstr("max_idle_ms"), HasSubstr("max_behind")));
  for (const int64_t idle_ms : {int64_t{80'000}, int64_t{90'000}, int64_t{1'000'000},
                                std::numeric_limits<int64_t>::max()}) {
    config_.epoch.max_idle_ms = idle_ms;
    EXPECT_THAT(CheckTiming(config_, log_), refused) << idle_ms;
  }
  EXPECT_THAT(Create(), refused);
  EXPECT_TRUE(fs::is_empty(directory_.path() + "/keys")) << "no key of a log that cannot be";
  config_.epoch.max_idle_ms = 0;
  log_.max_behind = 20'000;
  EXPECT_THAT(CheckTiming(config_, log_), refused);
  log_.max_behind = 0;
  EXPECT_THAT(CheckTiming(config_, log_), refused);
}

TEST_F(LogFiles, TimingIsLookedAtWheneverTheLogIsOpened) {
  ASSERT_THAT(Create(), IsOk());
  Grow();
  config_.epoch.max_idle_ms = 95'000;
  EXPECT_THAT(OpenLog(config_, random_).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_idle_ms")));
}

TEST_F(LogFiles, SecondInstanceIsToldWhatIsInItsWay) {
  ASSERT_THAT(Create(), IsOk());
  ASSERT_OK_AND_ASSIGN(const OpenedLog opened, OpenLog(config_, random_));
  const auto refused =
      StatusIs(absl::StatusCode::kAborted, HasSubstr("another kt-server is running"));
  EXPECT_THAT(OpenLog(config_, random_).status(), refused);
  EXPECT_THAT(RebuildGuard(config_), refused);
  // The database has a lock of its own.
  config_.log.head_guard = directory_.File("other");
  EXPECT_THAT(RebuildGuard(config_), refused);
  EXPECT_FALSE(fs::exists(config_.log.head_guard));
}

TEST_F(LogFiles, GuardIsRebuiltAtTheDatabasesHead) {
  ASSERT_THAT(Create(), IsOk());
  Grow();
  Grow();
  fs::rename(config_.log.head_guard, directory_.File("lost"));
  EXPECT_THAT(OpenLog(config_, random_).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("kt-server guard rebuild")));
  ASSERT_OK_AND_ASSIGN(const GuardedHead rebuilt, RebuildGuard(config_));
  EXPECT_EQ(rebuilt.tree_size, 2u);
  {
    ASSERT_OK_AND_ASSIGN(const OpenedLog opened, OpenLog(config_, random_));
    EXPECT_EQ(opened.guard->head(), rebuilt);
  }
  Grow();
}

TEST_F(LogFiles, GuardThatIsThereIsNeverReplaced) {
  ASSERT_THAT(Create(), IsOk());
  Grow();
  EXPECT_THAT(RebuildGuard(config_), StatusIs(absl::StatusCode::kAlreadyExists));
  fs::copy(config_.log.database, directory_.File("backup"), fs::copy_options::recursive);
  Grow();
  config_.log.database = directory_.File("backup");
  EXPECT_THAT(RebuildGuard(config_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("old backup")));
  testing::WriteText(config_.log.head_guard, "damaged", 0600);
  EXPECT_THAT(RebuildGuard(config_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("move the file away")));
  EXPECT_EQ(testing::ReadText(config_.log.head_guard), "damaged");
}

TEST_F(LogFiles, GuardIsNotRebuiltFromAnotherLogsDatabase) {
  ASSERT_THAT(Create(), IsOk());
  Grow();
  const ServerConfig first = config_;
  for (std::string* path : {&config_.log.configuration, &config_.log.signature_key,
                            &config_.log.vrf_key, &config_.log.database, &config_.log.head_guard}) {
    *path += ".second";
  }
  ASSERT_THAT(Create(), IsOk());
  fs::remove(config_.log.head_guard);
  config_.log.database = first.log.database;
  EXPECT_THAT(RebuildGuard(config_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another configuration")));
  EXPECT_FALSE(fs::exists(config_.log.head_guard));
}

// A guard on a disk that is not mounted must not come to lie on the disk below.
TEST_F(LogFiles, GuardIsNotRebuiltInADirectoryThatIsNotThere) {
  ASSERT_THAT(Create(), IsOk());
  config_.log.head_guard = directory_.File("mount/guard");
  EXPECT_FALSE(RebuildGuard(config_).ok());
  EXPECT_FALSE(fs::exists(directory_.File("mount")));
}

}  // namespace
}  // namespace kt::server
