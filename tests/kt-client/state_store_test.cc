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

TEST_F(StateStoreTest, StateOfAnotherVersionIsNamedAsThat) {
  LogRecord record = Record(5);
  record.format = 1;
  testing::WriteText(StatePath(), base::ToText(base::codec::Encode(record)), 0600);
  EXPECT_THAT(store_->Read(fingerprint_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("another version of this program")));
}

TEST_F(StateStoreTest, RefusalsAreBoundedInNumberAndSize) {
  const auto refusal = [&](const std::string& check, uint64_t at_ms, size_t bytes = 1) {
    Exchange exchange;
    exchange.request = base::codec::Encode(core::SearchRequest());
    exchange.SetAnswer(AnswerKind::kResponse, std::string(bytes, 'x'), at_ms);
    return MakeKeptRefusal(Record(5), {exchange}, check);
  };
  for (size_t i = 0; i < StateStore::kMaxRefusalsOfACheck; ++i) {
    EXPECT_THAT(store_->KeepRefusal(refusal("one", i), 100), IsOk());
  }
  const auto full = StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("already"));
  EXPECT_THAT(store_->KeepRefusal(refusal("one", 99), 100), full);
  EXPECT_THAT(store_->KeepRefusal(refusal("one-more", 99), 100), IsOk()) << "another check";
  EXPECT_THAT(store_->KeepRefusal(refusal("long", 1, StateStore::kMaxRefusalBytes), 100), full);
  size_t kept = 1 + StateStore::kMaxRefusalsOfACheck;
  for (int i = 0; i < 40; ++i) {
    kept += store_->KeepRefusal(refusal("check-" + std::to_string(i), 1), 100).ok();
  }
  EXPECT_EQ(kept, StateStore::kMaxRefusals);
  KeptRefusal of_another_log = refusal("one", 1);
  of_another_log.fingerprint.bytes[0] ^= 1;
  EXPECT_THAT(store_->KeepRefusal(of_another_log, 100), IsOk());
}

TEST_F(StateStoreTest, KeptRefusalsAreDecodedExactly) {
  Exchange exchange;
  exchange.request = base::codec::Encode(core::SearchRequest());
  exchange.SetAnswer(AnswerKind::kResponse, "not a response", 1);
  const KeptRefusal good = MakeKeptRefusal(Record(5), {exchange}, "malformed-response");
  const base::Bytes bytes = base::codec::Encode(good);
  EXPECT_THAT(DecodeKeptRefusal(bytes), IsOk());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeKeptRefusal(base::ByteView(bytes).first(size)).ok()) << size;
  }
  base::Bytes longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(DecodeKeptRefusal(longer).ok());
  KeptRefusal changed = good;
  changed.magic.back() = '2';
  EXPECT_FALSE(DecodeKeptRefusal(base::codec::Encode(changed)).ok());
  changed = good;
  changed.exchanges.clear();
  EXPECT_FALSE(DecodeKeptRefusal(base::codec::Encode(changed)).ok());
  changed = good;
  changed.record.pop_back();
  EXPECT_THAT(Replay(changed), StatusIs(absl::StatusCode::kDataLoss));
  changed = good;
  changed.fingerprint.bytes[0] ^= 1;
  EXPECT_THAT(Replay(changed), StatusIs(absl::StatusCode::kDataLoss));
  changed = good;
  changed.exchanges[0].request.clear();
  EXPECT_THAT(Replay(changed), StatusIs(absl::StatusCode::kInvalidArgument));
  // Whatever else is changed, nothing breaks.
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    base::Bytes flipped = bytes;
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ (1 << bit % 8));
    const auto decoded = DecodeKeptRefusal(flipped);
    if (!decoded.ok()) continue;
    EXPECT_FALSE(Replay(*decoded).ok()) << bit;
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
