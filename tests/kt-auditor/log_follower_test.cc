// SPDX-License-Identifier: Apache-2.0
#include "kt-auditor/log_follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "kt-auditor/export_file.h"
#include "kt-core/tree_head.h"
#include "tests/kt-auditor/mini_log.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"

namespace kt::auditor {
namespace {

using ::kt::testing::FailsCheck;
using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LogFollowerTest : public ::testing::TestWithParam<core::CipherSuite> {
 protected:
  LogFollowerTest() : log_(GetParam()), connection_(log_), events_(lines_) { Restart(); }

  // As after the end of the process, however it came.
  void Restart() {
    follower_ = nullptr;
    file_ = nullptr;
    auto file = StateFile::Open(path(), log_.fingerprint());
    ASSERT_THAT(file, IsOk());
    file_ = *std::move(file);
    NewFollower();
  }
  void NewFollower() {
    FollowerOptions options;
    options.name = "log";
    options.fingerprint = log_.fingerprint();
    options.evidence_path = evidence();
    follower_ = std::make_unique<LogFollower>(options, log_.auditor_secret(), connection_, *file_,
                                              events_, clock_);
  }
  // Lets the log grow by an entry and the auditor follow it.
  absl::Status GrowAndFollow() {
    log_.Append(1'000 + 10 * log_.size());
    return follower_->Follow();
  }

  std::string path() const { return directory_.File("log.state"); }
  std::string evidence() const { return directory_.File("log.evidence"); }
  std::string Lines() const { return lines_.str(); }

  // After a record was altered by `tamper`, the log is caught by `check`, for good, and the record
  // is kept as evidence that convinces others.
  void ExpectCaught(const char* check, std::function<void(AuditRecord&)> tamper) {
    SCOPED_TRACE(check);
    const base::TreeSize size = file_->stored().state.tree_size;
    connection_.tamper = std::move(tamper);
    EXPECT_THAT(GrowAndFollow(), FailsCheck(check));
    connection_.tamper = nullptr;
    EXPECT_THAT(follower_->Follow(), FailsCheck("halted")) << "it behaves again, but too late";
    Restart();
    EXPECT_THAT(follower_->Follow(), FailsCheck("halted"));
    EXPECT_EQ(file_->stored().state.tree_size, size);
    for (const core::AuditorTreeHead& head : connection_.submitted()) {
      EXPECT_LE(head.tree_size, size) << "only what was signed before is handed over again";
    }
    EXPECT_THAT(Lines(), HasSubstr("log_misbehaves"));

    ASSERT_OK_AND_ASSIGN(const auto reader, ExportReader::Open(evidence()));
    ASSERT_OK_AND_ASSIGN(LogAuditor auditor,
                         LogAuditor::Create(reader->header().config, reader->header().state));
    ASSERT_OK_AND_ASSIGN(const auto record, reader->Next());
    ASSERT_TRUE(record.has_value());
    EXPECT_THAT(auditor.Apply(*record), FailsCheck(check));
  }

  testing::TemporaryDirectory directory_;
  testing::FakeClock clock_;
  MiniLog log_;
  FakeConnection connection_;
  std::ostringstream lines_;
  EventLog events_;
  std::unique_ptr<StateFile> file_;
  std::unique_ptr<LogFollower> follower_;
};

TEST_P(LogFollowerTest, SignsWhatItVerifiedAndGoesOnAfterARestart) {
  for (int i = 0; i < 4; ++i) log_.Append(1'000 + i);
  EXPECT_THAT(follower_->Follow(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  ASSERT_THAT(connection_.submitted(), SizeIs(1)) << "one head, at the log's own";
  EXPECT_EQ(connection_.submitted()[0].tree_size, 4u);
  EXPECT_TRUE(log_.IsSigned(connection_.submitted()[0]));
  EXPECT_THAT(GrowAndFollow(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  Restart();
  EXPECT_THAT(GrowAndFollow(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(connection_.streams(), ElementsAre(0, 4, 5));
  for (const core::AuditorTreeHead& head : connection_.submitted()) {
    EXPECT_TRUE(log_.IsSigned(head)) << head.tree_size;
  }
  EXPECT_EQ(connection_.submitted().back().tree_size, 6u);
  EXPECT_EQ(file_->stored().signed_head, connection_.submitted().back());
}

TEST_P(LogFollowerTest, NothingLeavesBeforeItIsStored) {
  int checked = 0;
  connection_.on_submit = [&](const core::AuditorTreeHead& head) {
    const auto stored = ReadStoredState(path(), log_.fingerprint());
    EXPECT_THAT(stored, IsOk());
    EXPECT_EQ(stored->signed_head, head);
    EXPECT_EQ(stored->state.tree_size, head.tree_size);
    ++checked;
    return absl::OkStatus();
  };
  for (int i = 0; i < 3; ++i) GrowAndFollow().IgnoreError();
  EXPECT_GE(checked, 3);
}

TEST_P(LogFollowerTest, HandsOverTheSameHeadAfterACrashInBetween) {
  core::AuditorTreeHead lost;
  connection_.on_submit = [&](const core::AuditorTreeHead& head) {
    lost = head;
    return absl::UnavailableError("gone");
  };
  EXPECT_THAT(GrowAndFollow(), StatusIs(absl::StatusCode::kUnavailable));
  connection_.on_submit = nullptr;
  Restart();
  EXPECT_THAT(follower_->Follow(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(connection_.submitted(), ElementsAre(lost));
}

TEST_P(LogFollowerTest, SignsNothingIfItCannotBeStored) {
  GrowAndFollow().IgnoreError();
  const size_t submitted = connection_.submitted().size();
  std::filesystem::create_directory(path() + ".new");
  std::filesystem::create_directory(path() + ".new/in-the-way");
  for (int i = 0; i < 3; ++i) {
    const absl::Status status = GrowAndFollow();
    EXPECT_FALSE(status.ok() || absl::IsDeadlineExceeded(status)) << status;
  }
  for (size_t i = submitted; i < connection_.submitted().size(); ++i) {
    EXPECT_EQ(connection_.submitted()[i].tree_size, 1u) << "only what was stored before";
  }
}

// An entry is verified and stored before the log's head of it is known.
TEST_P(LogFollowerTest, SignsWhereItStoodOnceTheLogConfirms) {
  GrowAndFollow().IgnoreError();
  connection_.tamper = [](AuditRecord& record) { record.tree_head.clear(); };
  EXPECT_THAT(GrowAndFollow(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(connection_.submitted().back().tree_size, 1u);
  connection_.tamper = nullptr;
  Restart();
  EXPECT_EQ(file_->stored().state.tree_size, 2u);
  EXPECT_THAT(follower_->Follow(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(connection_.submitted().back().tree_size, 2u);
  EXPECT_TRUE(log_.IsSigned(connection_.submitted().back()));
}

TEST_P(LogFollowerTest, CatchesAnotherEntryThanTheNext) {
  GrowAndFollow().IgnoreError();
  ExpectCaught("auditor-position", [](AuditRecord& record) { ++record.position; });
}
TEST_P(LogFollowerTest, CatchesAnUpdateThatCannotBeDecoded) {
  GrowAndFollow().IgnoreError();
  ExpectCaught("malformed-update", [](AuditRecord& record) { record.update.pop_back(); });
}
TEST_P(LogFollowerTest, CatchesARecordWithoutUpdateAndHead) {
  GrowAndFollow().IgnoreError();
  ExpectCaught("malformed-update", [](AuditRecord& record) {
    record.update.clear();
    record.tree_head.clear();
  });
}
TEST_P(LogFollowerTest, CatchesAProofOfPublicationThatCannotBeDecoded) {
  GrowAndFollow().IgnoreError();
  ExpectCaught("malformed-update", [](AuditRecord& record) { record.published = {1}; });
}
TEST_P(LogFollowerTest, CatchesATimestampThatGoesBack) {
  GrowAndFollow().IgnoreError();
  ExpectCaught("auditor-timestamp", [this](AuditRecord& record) {
    core::AuditorUpdate update = log_.UpdateOf(record.position);
    update.timestamp = 1;
    record.update = base::codec::Encode(update);
  });
}
TEST_P(LogFollowerTest, CatchesAProofFromAnotherTree) {
  GrowAndFollow().IgnoreError();
  ExpectCaught("auditor-prefix-root", [this](AuditRecord& record) {
    core::AuditorUpdate update = log_.UpdateOf(record.position);
    update.proof.elements[0].bytes[0] ^= 1;
    record.update = base::codec::Encode(update);
  });
}
// The entry that it shows the auditor is not the one that it signs for its users.
TEST_P(LogFollowerTest, CatchesALeafThatTheSignedTreeDoesNotHave) {
  GrowAndFollow().IgnoreError();
  ExpectCaught("tree-head-signature", [this](AuditRecord& record) {
    core::AuditorUpdate update = log_.UpdateOf(record.position);
    update.added[0].commitment.bytes[0] ^= 1;
    record.update = base::codec::Encode(update);
  });
}
TEST_P(LogFollowerTest, CatchesABadSignature) {
  GrowAndFollow().IgnoreError();
  ExpectCaught("tree-head-signature", [](AuditRecord& record) { record.tree_head.back() ^= 1; });
}
TEST_P(LogFollowerTest, CatchesAHeadOfAnotherSize) {
  GrowAndFollow().IgnoreError();
  ExpectCaught("auditor-position",
               [this](AuditRecord& record) { record.tree_head = log_.TreeHeadAt(1); });
}
TEST_P(LogFollowerTest, CatchesAMalformedHead) {
  GrowAndFollow().IgnoreError();
  ExpectCaught("malformed-update", [](AuditRecord& record) { record.tree_head = {1, 2}; });
}

TEST_P(LogFollowerTest, CatchesAForkAsSoonAsItIsShown) {
  GrowAndFollow().IgnoreError();
  MiniLog fork = log_;
  GrowAndFollow().IgnoreError();
  ASSERT_EQ(connection_.submitted().back().tree_size, 2u);
  // As many entries as were verified, and the same prefix tree; only a timestamp differs.
  fork.Append(5'000);
  connection_.Connect(fork);
  connection_.on_submit = [&](const core::AuditorTreeHead& head) {
    return fork.IsSigned(head) ? absl::OkStatus() : absl::InvalidArgumentError("not of this log");
  };
  Restart();
  EXPECT_THAT(follower_->Follow(), FailsCheck("tree-head-signature"));
  EXPECT_FALSE(fork.IsSigned(connection_.submitted().back()));
  EXPECT_TRUE(log_.IsSigned(connection_.submitted().back()));
}

TEST_P(LogFollowerTest, LogThatRefusesAGoodHeadIsReported) {
  GrowAndFollow().IgnoreError();
  connection_.on_submit = [](const core::AuditorTreeHead&) {
    return absl::FailedPreconditionError("no");
  };
  EXPECT_THAT(follower_->Follow(), StatusIs(absl::StatusCode::kFailedPrecondition, "no"));
  connection_.on_submit = nullptr;
  EXPECT_THAT(GrowAndFollow(), StatusIs(absl::StatusCode::kDeadlineExceeded)) << "but not halted";
}

TEST_P(LogFollowerTest, LogThatWentBackIsNotSignedButMayReturn) {
  GrowAndFollow().IgnoreError();
  connection_.stream_status = absl::FailedPreconditionError("this log has 0 entries, not 1");
  EXPECT_THAT(follower_->Follow(), StatusIs(absl::StatusCode::kFailedPrecondition));
  connection_.stream_status = absl::OkStatus();
  EXPECT_THAT(GrowAndFollow(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(connection_.submitted().back().tree_size, 2u);
}

TEST_P(LogFollowerTest, StateThatIsBehindWhatWasReleasedStopsForGood) {
  GrowAndFollow().IgnoreError();
  connection_.on_submit = [](const core::AuditorTreeHead&) {
    return absl::AlreadyExistsError("the auditor has signed 7 entries before");
  };
  EXPECT_THAT(GrowAndFollow(), FailsCheck("auditor-state-behind"));
  connection_.on_submit = nullptr;
  Restart();
  EXPECT_THAT(follower_->Follow(), FailsCheck("halted"));
}

TEST_P(LogFollowerTest, AnotherLogOrKeyIsRefusedWithoutHarm) {
  MiniLog other(GetParam(), /*auditor_start_pos=*/1);
  connection_.Connect(other);
  EXPECT_THAT(follower_->Follow(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("fingerprint")));
  connection_.Connect(log_);
  const base::SecretBytes secret(base::Bytes(32, 7));
  FollowerOptions options;
  options.fingerprint = log_.fingerprint();
  LogFollower stranger(options, secret, connection_, *file_, events_, clock_);
  log_.Append(1'000);
  EXPECT_THAT(stranger.Follow(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("key")));
  EXPECT_THAT(connection_.submitted(), IsEmpty());
  EXPECT_THAT(follower_->Follow(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(connection_.submitted(), SizeIs(1));
}

TEST_P(LogFollowerTest, BeginsWhereTheConfigurationSays) {
  MiniLog log(GetParam(), /*auditor_start_pos=*/3);
  for (int i = 0; i < 3; ++i) log.Append(1'000 + i);
  FakeConnection connection(log);
  ASSERT_OK_AND_ASSIGN(const auto file,
                       StateFile::Open(directory_.File("late.state"), log.fingerprint()));
  FollowerOptions options;
  options.fingerprint = log.fingerprint();
  options.evidence_path = evidence();
  LogFollower follower(options, log.auditor_secret(), connection, *file, events_, clock_);
  EXPECT_THAT(follower.Follow(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(connection.submitted(), IsEmpty()) << "nothing was verified yet";
  log.Append(2'000);
  EXPECT_THAT(follower.Follow(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(connection.streams(), ElementsAre(3, 3));
  ASSERT_THAT(connection.submitted(), SizeIs(1));
  EXPECT_TRUE(log.IsSigned(connection.submitted()[0]));
}

// A log must not hide what it has lost behind its lifetime; what it may have pruned, nobody can
// sign.
TEST_P(LogFollowerTest, UpdatesExpireNoSoonerThanTheLifetime) {
  constexpr uint64_t kLifetimeMs = 5'000;
  int files = 0;
  const auto begin = [&](MiniLog& log, FakeConnection& connection) {
    file_ = *StateFile::Open(directory_.File(absl::StrCat("state-", files++)), log.fingerprint());
    connection.stream_status = absl::OutOfRangeError("they have expired");
    FollowerOptions options;
    options.fingerprint = log.fingerprint();
    options.evidence_path = evidence();
    follower_ = std::make_unique<LogFollower>(options, log.auditor_secret(), connection, *file_,
                                              events_, clock_);
  };
  clock_.Set(100'000);
  begin(log_, connection_);
  EXPECT_THAT(follower_->Follow(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("cannot have")));

  MiniLog log(GetParam(), /*auditor_start_pos=*/0, kLifetimeMs);
  FakeConnection connection(log);
  begin(log, connection);
  EXPECT_THAT(follower_->Follow(),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("from entry 0 on")))
      << "of the first entry nothing is known";
  connection.stream_status = absl::OkStatus();
  log.Append(100'000);
  EXPECT_THAT(follower_->Follow(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  ASSERT_THAT(connection.submitted(), SizeIs(1));
  connection.stream_status = absl::OutOfRangeError("they have expired");
  clock_.Set(100'000 + kLifetimeMs - 1);
  EXPECT_THAT(follower_->Follow(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("from entry 1 on")));
  clock_.Set(100'000 + kLifetimeMs);
  EXPECT_THAT(follower_->Follow(),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("from entry 1 on")));
  // Neither is a conviction.
  EXPECT_TRUE(file_->stored().halted.empty());
  connection.stream_status = absl::OkStatus();
  log.Append(105'000);
  EXPECT_THAT(follower_->Follow(), StatusIs(absl::StatusCode::kDeadlineExceeded));

  MiniLog late(GetParam(), /*auditor_start_pos=*/3, kLifetimeMs);
  FakeConnection late_connection(late);
  begin(late, late_connection);
  EXPECT_THAT(follower_->Follow(),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("from entry 3 on")));
}

INSTANTIATE_TEST_SUITE_P(Suites, LogFollowerTest,
                         ::testing::Values(core::CipherSuite::kP256, core::CipherSuite::kEd25519),
                         [](const auto& param_info) { return core::NameOf(param_info.param); });

}  // namespace
}  // namespace kt::auditor
