// SPDX-License-Identifier: Apache-2.0
#include "kt-server/signing_record.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "kt-core/update.h"
#include "tests/kt-server/sync_control.h"
#include "tests/support/fakes.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::IsOkAndHolds;
using ::kt::testing::StatusIs;
using ::testing::HasSubstr;

constexpr size_t kRecordSize = 128;

class SigningRecordTest : public ::testing::Test {
 protected:
  SigningRecordTest() : path_(directory_.File("record")), key_(base::ToBytes("leaf key")) {
    EXPECT_THAT(SigningRecord::Create(path_, key_), IsOk());
    Reopen();
  }

  void Reopen() {
    record_ = nullptr;
    auto opened = SigningRecord::Open(path_, key_);
    ASSERT_THAT(opened, IsOk());
    record_ = *std::move(opened);
  }
  absl::Status OpenFails() {
    record_ = nullptr;
    return SigningRecord::Open(path_, key_).status();
  }
  absl::StatusOr<base::Version> Take(const std::string& label,
                                     std::optional<base::Version> published,
                                     const std::vector<std::string>& values) {
    std::vector<base::Bytes> bytes;
    bytes.reserve(values.size());
    for (const std::string& value : values) bytes.push_back(base::ToBytes(value));
    return record_->Take(base::AsBytes(label), published, bytes);
  }
  std::string File() const { return testing::ReadText(path_); }
  void SetFile(const std::string& bytes) const { testing::WriteText(path_, bytes, 0600); }

  testing::TemporaryDirectory directory_;
  const std::string path_;
  const base::Bytes key_;
  std::unique_ptr<SigningRecord> record_;
};

TEST_F(SigningRecordTest, GivesVersionsInOrderAndRemembersThem) {
  EXPECT_EQ(record_->Greatest(base::AsBytes("a")), std::nullopt);
  EXPECT_THAT(Take("a", std::nullopt, {"x"}), IsOkAndHolds(0u));
  EXPECT_THAT(Take("a", 0, {"y", "z"}), IsOkAndHolds(1u));
  EXPECT_THAT(Take("b", std::nullopt, {"x"}), IsOkAndHolds(0u));
  Reopen();
  EXPECT_EQ(record_->Greatest(base::AsBytes("a")), 2u);
  EXPECT_EQ(record_->Greatest(base::AsBytes("b")), 0u);
  EXPECT_THAT(Take("a", 2, {"x"}), IsOkAndHolds(3u));
}

// The answer to the first request got lost: whether the log has version 0 nobody knows.
TEST_F(SigningRecordTest, SameValuesAreSentAgainAndOthersAreSkippedPast) {
  EXPECT_THAT(Take("a", std::nullopt, {"x"}), IsOkAndHolds(0u));
  EXPECT_THAT(Take("a", std::nullopt, {"x"}), IsOkAndHolds(0u));
  Reopen();
  EXPECT_THAT(Take("a", std::nullopt, {"x"}), IsOkAndHolds(0u));
  EXPECT_THAT(Take("a", std::nullopt, {"y"}), IsOkAndHolds(1u));
  EXPECT_THAT(Take("a", std::nullopt, {"x"}), IsOkAndHolds(2u));
  // It has come: what follows is another version, of whatever value.
  EXPECT_THAT(Take("a", 2, {"x"}), IsOkAndHolds(3u));
}

TEST_F(SigningRecordTest, SeveralValuesAreTheSameOnlyAllTogether) {
  EXPECT_THAT(Take("a", std::nullopt, {"w", "x", "y"}), IsOkAndHolds(0u));
  EXPECT_THAT(Take("a", std::nullopt, {"w", "x", "y"}), IsOkAndHolds(0u));
  EXPECT_THAT(Take("a", std::nullopt, {"x", "y"}), IsOkAndHolds(1u));
  EXPECT_THAT(Take("a", std::nullopt, {"w", "x"}), IsOkAndHolds(3u));
  // Versions 3 and 4 are w and x; the log has 3, so only x can be sent again.
  EXPECT_THAT(Take("a", 3, {"x"}), IsOkAndHolds(4u));
  EXPECT_THAT(Take("a", 3, {"w", "x"}), IsOkAndHolds(5u));
  // Another label's record in between is not taken for one of this label's.
  EXPECT_THAT(Take("b", std::nullopt, {"w"}), IsOkAndHolds(0u));
  EXPECT_THAT(Take("a", 6, {"q"}), IsOkAndHolds(7u));
  EXPECT_THAT(Take("a", 5, {"w", "q"}), IsOkAndHolds(8u));
}

TEST_F(SigningRecordTest, RefusesALogThatIsAhead) {
  EXPECT_THAT(Take("a", 0, {"x"}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not the newest one")));
  EXPECT_THAT(Take("a", std::nullopt, {"x"}), IsOk());
  EXPECT_THAT(Take("a", 1, {"x"}), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Take("a", std::numeric_limits<base::Version>::max(), {"x"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(SigningRecordTest, GoesOnlyAsFarAheadAsOneEntryCanHold) {
  for (uint32_t i = 0; i < core::kMaxVersionsInEntry; ++i) {
    ASSERT_THAT(Take("a", std::nullopt, {std::to_string(i)}), IsOkAndHolds(i));
  }
  EXPECT_THAT(Take("a", std::nullopt, {"more"}), StatusIs(absl::StatusCode::kResourceExhausted));
  // The last one can still be sent again, and then there is room.
  const uint32_t last = core::kMaxVersionsInEntry - 1;
  EXPECT_THAT(Take("a", std::nullopt, {std::to_string(last)}), IsOkAndHolds(last));
  EXPECT_THAT(Take("a", last, {"more"}), IsOkAndHolds(last + 1));
}

TEST_F(SigningRecordTest, SyncsBeforeItAnswersAndNotIfNothingIsNew) {
  const size_t before = testing::SyncCount();
  EXPECT_THAT(Take("a", std::nullopt, {"x"}), IsOk());
  EXPECT_EQ(testing::SyncCount(), before + 1);
  EXPECT_THAT(Take("a", std::nullopt, {"x"}), IsOk());
  EXPECT_EQ(testing::SyncCount(), before + 1);
}

TEST_F(SigningRecordTest, AfterAFailedSyncNothingIsGivenAnyMore) {
  {
    const testing::FailingSyncs failing;
    EXPECT_THAT(Take("a", std::nullopt, {"x"}), StatusIs(absl::StatusCode::kUnavailable));
  }
  EXPECT_THAT(Take("a", std::nullopt, {"x"}), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Take("b", std::nullopt, {"x"}), StatusIs(absl::StatusCode::kUnavailable));
  // What reached the disk counts as given.
  Reopen();
  EXPECT_THAT(Take("a", std::nullopt, {"y"}), IsOkAndHolds(1u));
}

// A writer who died before it had synced: if the same values come again they are signed without
// another write, so what is in the file has to be on the disk by then.
TEST_F(SigningRecordTest, WhatIsThereIsDurableBeforeItCounts) {
  EXPECT_THAT(Take("a", std::nullopt, {"x"}), IsOk());
  record_ = nullptr;
  {
    const testing::FailingSyncs failing;
    EXPECT_THAT(OpenFails(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("sync")));
  }
  // After a failed sync only pages that are written again are sure to be synced.
  const timespec long_ago[2] = {{1'000'000, 0}, {1'000'000, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, path_.c_str(), long_ago, 0), 0);
  const size_t before = testing::SyncCount();
  Reopen();
  EXPECT_GT(testing::SyncCount(), before);
  struct stat file {};
  ASSERT_EQ(stat(path_.c_str(), &file), 0);
  EXPECT_GT(file.st_mtime, 1'000'000) << "is not written again";
  EXPECT_THAT(Take("a", std::nullopt, {"x"}), IsOkAndHolds(0u));
}

TEST_F(SigningRecordTest, MissingOrForeignOrInUse) {
  EXPECT_THAT(SigningRecord::Open(path_, key_), StatusIs(absl::StatusCode::kAborted));
  record_ = nullptr;
  EXPECT_THAT(SigningRecord::Open(path_, base::ToBytes("another")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another leaf key")));
  EXPECT_THAT(SigningRecord::Create(path_, key_), StatusIs(absl::StatusCode::kAlreadyExists));
  ASSERT_EQ(unlink(path_.c_str()), 0);
  EXPECT_THAT(SigningRecord::Open(path_, key_), StatusIs(absl::StatusCode::kNotFound));
}

// Any single bit of what was synced.
TEST_F(SigningRecordTest, DamageAnywhereIsNoticed) {
  EXPECT_THAT(Take("a", std::nullopt, {"x", "y"}), IsOk());
  record_ = nullptr;
  const std::string whole = File();
  ASSERT_EQ(whole.size(), 3 * kRecordSize);
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
    SetFile(damaged);
    EXPECT_THAT(OpenFails(), StatusIs(absl::StatusCode::kDataLoss)) << "byte " << i;
  }
  // A record in another one's place.
  SetFile(whole.substr(0, kRecordSize) + whole.substr(2 * kRecordSize));
  EXPECT_THAT(OpenFails(), StatusIs(absl::StatusCode::kDataLoss));
  SetFile(whole.substr(0, kRecordSize - 1));
  EXPECT_THAT(OpenFails(), StatusIs(absl::StatusCode::kDataLoss));
}

// A power cut may leave any of the records of a write that was not synced, and any end of the file.
TEST_F(SigningRecordTest, WhatAPowerCutLeavesIsNeverGivenTwice) {
  EXPECT_THAT(Take("a", std::nullopt, {"signed"}), IsOk());
  const std::string before = File();
  EXPECT_THAT(Take("a", 0, {"w", "x", "y"}), IsOk());
  record_ = nullptr;
  const std::string after = File();
  for (int there = 0; there < 8; ++there) {
    std::string file = before;
    int greatest = 0;
    for (int i = 0; i < 3; ++i) {
      const size_t at = before.size() + static_cast<size_t>(i) * kRecordSize;
      const bool present = (there >> i & 1) != 0;
      file += present ? after.substr(at, kRecordSize) : std::string(kRecordSize, '\0');
      if (present) greatest = i + 1;
    }
    for (const size_t torn : {size_t{0}, size_t{1}, kRecordSize - 1}) {
      SetFile(file + std::string(torn, torn == 1 ? 'x' : '\0'));
      Reopen();
      EXPECT_EQ(record_->Greatest(base::AsBytes("a")), static_cast<base::Version>(greatest));
      EXPECT_THAT(Take("a", 0, {"z"}), IsOkAndHolds(static_cast<base::Version>(greatest + 1)));
      Reopen();
      EXPECT_EQ(record_->Greatest(base::AsBytes("a")), static_cast<base::Version>(greatest + 1));
    }
  }
}

// One write is for one label, so a power cut leaves no gap before another label's record.
TEST_F(SigningRecordTest, ZerosBeforeAnotherLabelAreDamage) {
  EXPECT_THAT(Take("a", std::nullopt, {"x"}), IsOk());
  EXPECT_THAT(Take("b", std::nullopt, {"x"}), IsOk());
  EXPECT_THAT(Take("b", 0, {"y"}), IsOk());
  record_ = nullptr;
  const std::string whole = File();
  for (size_t missing = 1; missing <= 2; ++missing) {
    std::string file = whole;
    file.replace(kRecordSize, missing * kRecordSize, missing * kRecordSize, '\0');
    SetFile(file);
    EXPECT_THAT(OpenFails(), StatusIs(absl::StatusCode::kDataLoss)) << missing;
  }
  // Version 0 is lost, but known to have been given.
  std::string file = whole;
  file.replace(2 * kRecordSize, kRecordSize, kRecordSize, '\0');
  SetFile(file);
  Reopen();
  EXPECT_EQ(record_->Greatest(base::AsBytes("a")), 0u);
  EXPECT_EQ(record_->Greatest(base::AsBytes("b")), 1u);
}

// Zeros that no power cut can have left.
TEST_F(SigningRecordTest, ZerosInTheMiddleAreDamage) {
  EXPECT_THAT(Take("a", std::nullopt, {"x"}), IsOk());
  for (uint32_t i = 0; i < core::kMaxVersionsInEntry; ++i) {
    ASSERT_THAT(Take("b" + std::to_string(i), std::nullopt, {"x"}), IsOk());
  }
  std::string file = File();
  file.replace(kRecordSize, kRecordSize, kRecordSize, '\0');
  SetFile(file);
  EXPECT_THAT(OpenFails(), StatusIs(absl::StatusCode::kDataLoss));
}

// A child gives versions until it is killed, and says which ones it may sign; none of those may be
// given another value afterwards.
TEST_F(SigningRecordTest, KilledAtAnyMomentItHasKeptWhatItGave) {
  std::map<std::string, std::pair<base::Version, std::string>> given;  // by label
  testing::SeededRandom random(11);
  for (int round = 0; round < 10; ++round) {
    record_ = nullptr;
    int pipe_fds[2];
    ASSERT_EQ(pipe(pipe_fds), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto record = SigningRecord::Open(path_, key_);
      for (int i = 0; record.ok(); ++i) {
        const std::string label(1, static_cast<char>('a' + i % 5));
        const std::string value = std::to_string(round) + "." + std::to_string(i);
        const base::Bytes values[] = {base::ToBytes(value)};
        const auto greatest = (*record)->Greatest(base::AsBytes(label));
        const auto version = (*record)->Take(base::AsBytes(label), greatest, values);
        if (!version.ok()) break;
        const std::string line = label + " " + std::to_string(*version) + " " + value + "\n";
        if (write(pipe_fds[1], line.data(), line.size()) < 0) break;
      }
      _exit(1);
    }
    close(pipe_fds[1]);
    base::Bytes pause(1);
    random.Fill(pause);
    usleep(2000 + 50 * pause[0]);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    std::string told;
    char buffer[4096];
    for (ssize_t got; (got = read(pipe_fds[0], buffer, sizeof(buffer))) > 0;) {
      told.append(buffer, static_cast<size_t>(got));
    }
    close(pipe_fds[0]);
    std::istringstream lines(told);
    std::string label, value;
    base::Version version = 0;
    while (lines >> label >> version >> value) {
      if (given.contains(label)) {
        ASSERT_GT(version, given[label].first) << "given twice";
      }
      given[label] = {version, value};
    }
    Reopen();
    for (const auto& [known, last] : given) {
      ASSERT_GE(record_->Greatest(base::AsBytes(known)), last.first);
    }
  }
  EXPECT_EQ(given.size(), 5u);
}

}  // namespace
}  // namespace kt::server
