// SPDX-License-Identifier: Apache-2.0
#include "kt-client/state_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "tests/support/process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::client {
namespace {

using ::kt::testing::FailsCheck;
using ::kt::testing::IsOk;
using ::kt::testing::IsOkAndHolds;
using ::kt::testing::StatusIs;
using ::testing::HasSubstr;

class StateStoreTest : public ::testing::Test {
 protected:
  StateStoreTest() : log_(testing::TestLogOptions()) {
    for (int i = 0; i < 5; ++i) log_.Append(1'000 * i);
    fingerprint_ = core::ConfigurationFingerprint(log_.config());
    auto store = StateStore::Open(directory_.File("state"));
    EXPECT_THAT(store, IsOk());
    store_.emplace(*std::move(store));
  }

  LogRecord Record(base::TreeSize size) const {
    LogRecord record;
    record.config = log_.config();
    record.state = log_.StateAt(size);
    return record;
  }
  std::string StatePath() const {
    return directory_.File("state") + "/" + base::ToHex(fingerprint_.bytes) + ".state";
  }

  testing::TestLog log_;
  testing::TemporaryDirectory directory_;
  base::Hash fingerprint_;
  std::optional<StateStore> store_;
};

TEST_F(StateStoreTest, RemembersWhatWasSaved) {
  {
    ASSERT_OK_AND_ASSIGN(auto session, store_->Lock(fingerprint_, 100));
    EXPECT_FALSE(session.record().has_value());
    ASSERT_THAT(session.Save(Record(3)), IsOk());
    ASSERT_THAT(session.Save(Record(5)), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(auto session, store_->Lock(fingerprint_, 100));
  ASSERT_TRUE(session.record().has_value());
  EXPECT_EQ(session.record()->config, log_.config());
  EXPECT_EQ(session.record()->state, log_.StateAt(5));
  struct stat info;
  ASSERT_EQ(stat(StatePath().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat(directory_.File("state").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(StateStoreTest, SecondSessionWaitsForTheFirst) {
  auto first = store_->Lock(fingerprint_, 100);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(store_->Lock(fingerprint_, 20), StatusIs(absl::StatusCode::kUnavailable));
  std::thread release([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    first = absl::CancelledError("");
  });
  EXPECT_THAT(store_->Lock(fingerprint_, 10'000), IsOk());
  release.join();
}

TEST_F(StateStoreTest, EveryTruncationAndBitFlipIsRefusedOrChangesNoListLength) {
  {
    ASSERT_OK_AND_ASSIGN(auto session, store_->Lock(fingerprint_, 100));
    ASSERT_THAT(session.Save(Record(5)), IsOk());
  }
  const std::string good = testing::ReadText(StatePath());
  for (size_t size = 0; size < good.size(); ++size) {
    testing::WriteText(StatePath(), good.substr(0, size), 0600);
    EXPECT_THAT(store_->Read(fingerprint_),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged")));
  }
  EXPECT_THAT(store_->Lock(fingerprint_, 100), StatusIs(absl::StatusCode::kDataLoss));
  // A flipped bit that still decodes is found by the next verification; what must not happen is
  // that it breaks the verifier's assumptions.
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string text = good;
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << bit % 8));
    testing::WriteText(StatePath(), text, 0600);
    const absl::StatusOr<std::optional<LogRecord>> record = store_->Read(fingerprint_);
    if (!record.ok()) {
      EXPECT_THAT(record, StatusIs(absl::StatusCode::kDataLoss));
      continue;
    }
    ASSERT_TRUE(record->has_value());
    EXPECT_EQ((*record)->config, log_.config());
    if ((*record)->state.has_value()) {
      EXPECT_THAT(core::ValidateUserState(*(*record)->state), IsOk());
    }
  }
}

TEST_F(StateStoreTest, PinsStayAndRefuseAnother) {
  EXPECT_THAT(store_->ReadPin("a.example"), IsOkAndHolds(std::nullopt));
  ASSERT_THAT(store_->WritePin("a.example", fingerprint_, 100), IsOk());
  EXPECT_THAT(store_->WritePin("a.example", fingerprint_, 100), IsOk());
  EXPECT_THAT(store_->ReadPin("a.example"), IsOkAndHolds(std::optional(fingerprint_)));
  EXPECT_THAT(store_->WritePin("a.example", base::Hash{{1}}, 100), FailsCheck("configuration-pin"));
  EXPECT_THAT(store_->ReadPin("a.example"), IsOkAndHolds(std::optional(fingerprint_)));
  EXPECT_THAT(store_->ReadPin("b.example"), IsOkAndHolds(std::nullopt));
  testing::WriteText(directory_.File("state") + "/a.example.pin", "x", 0600);
  EXPECT_THAT(store_->ReadPin("a.example"), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(StateStoreTest, RefusesDirectoriesThatCannotBeUsed) {
  EXPECT_THAT(StateStore::Open(""), StatusIs(absl::StatusCode::kInvalidArgument));
  testing::WriteText(directory_.File("file"), "");
  EXPECT_THAT(StateStore::Open(directory_.File("file")),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(StateStore::Open(directory_.File("file") + "/below"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace kt::client
