// SPDX-License-Identifier: Apache-2.0
//
// What an owner does with the responses of a real log in the same process.
#include "kt-client/log_user.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/monitoring_answers.h"
#include "tests/support/status_matchers.h"

namespace kt::client {
namespace {

using ::kt::testing::FailsCheck;
using ::kt::testing::IsOk;
using ::kt::testing::IsOkAndHolds;
using ::kt::testing::IsVerificationFailure;
using ::kt::testing::StatusIs;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kAlice[] = "alice@a.example";
constexpr uint64_t kWindowMs = 1'000;  // of TestLogOptions

std::vector<base::Bytes> Values(const std::vector<std::string>& values) {
  std::vector<base::Bytes> bytes;
  bytes.reserve(values.size());
  for (const std::string& value : values) bytes.push_back(base::ToBytes(value));
  return bytes;
}

class LogUserTest : public ::testing::TestWithParam<core::CipherSuite> {
 protected:
  LogUserTest() : log_({.suite = GetParam()}), verifier_(MakeVerifier()) {
    log_.Append(1'000'000);
    UseRecord(NewRecord());
  }

  std::unique_ptr<core::ResponseVerifier> MakeVerifier() const {
    return *core::ResponseVerifier::Create(log_.config());
  }
  LogRecord NewRecord() const {
    LogRecord record;
    record.config = log_.config();
    return record;
  }
  void UseRecord(LogRecord record) { user_.emplace(*verifier_, std::move(record)); }
  // A log entry soon after the last one, or after windows in which distinguished ones appear.
  void Append(const std::vector<std::string>& alices = {}) {
    std::vector<testing::TestUpdate> updates;
    updates.reserve(alices.size());
    for (const std::string& value : alices) updates.push_back({kAlice, value});
    log_.Append(log_.RightmostMs() + 10, updates);
  }
  void PassWindows() {
    for (int i = 0; i < 4; ++i) log_.Append(log_.RightmostMs() + 2 * kWindowMs);
  }

  absl::StatusOr<std::vector<core::MonitorMapEntry>> Init(base::LogPosition start) {
    KT_ASSIGN_OR_RETURN(const auto request, user_->MakeOwnerInit(base::AsBytes(kAlice), start));
    KT_ASSIGN_OR_RETURN(const auto response, AnswerOwnerInit(log_, request));
    return user_->OwnerInit(request, Encode(response), log_.RightmostMs());
  }
  absl::StatusOr<bool> Monitor(size_t max_ladders = core::kMaxOwnerLadders) {
    KT_ASSIGN_OR_RETURN(const auto request, user_->MakeOwnerMonitor(base::AsBytes(kAlice)));
    KT_ASSIGN_OR_RETURN(const auto response,
                        AnswerOwnerMonitor(log_, request, std::nullopt, max_ladders));
    return user_->OwnerMonitor(request, Encode(response), log_.RightmostMs());
  }
  absl::StatusOr<UpdateResult> Receive(const core::UpdateRequest& request,
                                       bool of_request = false) {
    KT_ASSIGN_OR_RETURN(const auto response, AnswerUpdate(log_, request, of_request));
    return user_->Update(request, Encode(response), log_.RightmostMs());
  }
  absl::StatusOr<UpdateResult> CatchUp() {
    KT_ASSIGN_OR_RETURN(const auto request, user_->MakeUpdate(base::AsBytes(kAlice), {}));
    return Receive(request);
  }
  template <typename Response>
  base::Bytes Encode(const Response& response) const {
    return base::codec::Encode(response, log_.context());
  }
  const OwnedLabel& Owned() const { return *user_->record().FindOwned(base::AsBytes(kAlice)); }
  // Storing the record and reading it again changes nothing.
  void ExpectStorable() const {
    const base::Bytes bytes = base::codec::Encode(user_->record());
    const base::Hash fingerprint = core::ConfigurationFingerprint(log_.config());
    EXPECT_THAT(DecodeLogRecord(bytes, fingerprint), IsOkAndHolds(user_->record()));
  }

  testing::TestLog log_;
  std::unique_ptr<core::ResponseVerifier> verifier_;
  std::optional<LogUser> user_;
};

TEST_P(LogUserTest, OwnershipBeginsAtADistinguishedEntryOnly) {
  Append({"zero"});
  PassWindows();
  Append({"one"});
  const LogRecord before = user_->record();
  EXPECT_THAT(Init(log_.size() - 1), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Init(log_.size()), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(user_->record(), before);
  ASSERT_OK_AND_ASSIGN(const auto greatest, Init(3));
  ASSERT_THAT(greatest, ::testing::Not(IsEmpty()));
  EXPECT_EQ(greatest[0], (core::MonitorMapEntry{3, 0}));
  EXPECT_EQ(Owned().owner.greatest_version(), 0u);
  EXPECT_THAT(Init(3), StatusIs(absl::StatusCode::kFailedPrecondition)) << "owned already";
  ExpectStorable();
}

TEST_P(LogUserTest, NothingOfAnOwnerWorksWithoutOwnership) {
  EXPECT_THAT(Monitor(), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(CatchUp(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(LogUserTest, OwnVersionsAreNotForeign) {
  ASSERT_THAT(Init(0), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto request,
                       user_->MakeUpdate(base::AsBytes(kAlice), Values({"zero", "one"})));
  EXPECT_THAT(Owned().pending, SizeIs(1));
  ExpectStorable();
  Append({"zero", "one"});
  ASSERT_OK_AND_ASSIGN(const UpdateResult result, Receive(request, /*of_request=*/true));
  EXPECT_TRUE(result.own);
  EXPECT_THAT(result.versions, SizeIs(2));
  EXPECT_TRUE(result.following.values.empty());
  EXPECT_EQ(result.following.greatest_version, 1u);
  EXPECT_EQ(result.following.last, log_.size());
  EXPECT_THAT(Owned().foreign, IsEmpty());
  EXPECT_THAT(Owned().pending, IsEmpty());
  ExpectStorable();
}

// The answer was lost, with the process or without it.
TEST_P(LogUserTest, OwnVersionsAreRecognizedLater) {
  ASSERT_THAT(Init(0), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto lost,
                       user_->MakeUpdate(base::AsBytes(kAlice), Values({"zero", "one"})));
  Append({"zero", "one"});
  // The same request again, which the log answers with what is there.
  LogUser restarted(*verifier_, user_->record());
  ASSERT_OK_AND_ASSIGN(const auto answer, AnswerUpdate(log_, lost));
  ASSERT_OK_AND_ASSIGN(const UpdateResult again,
                       restarted.Update(lost, Encode(answer), log_.RightmostMs()));
  EXPECT_TRUE(again.own);
  // No request for them at all.
  ASSERT_OK_AND_ASSIGN(const UpdateResult result, CatchUp());
  EXPECT_TRUE(result.own);
  EXPECT_THAT(Owned().foreign, IsEmpty());
  EXPECT_THAT(Owned().pending, IsEmpty());
}

TEST_P(LogUserTest, WhicheverOfSeveralPendingRequestsIsFirstIsHers) {
  ASSERT_THAT(Init(0), IsOk());
  const auto ask = [&](const std::string& value) {
    ASSERT_THAT(user_->MakeUpdate(base::AsBytes(kAlice), Values({value})), IsOk());
  };
  for (const char* value : {"one", "two", "three"}) ask(value);
  ask("one");
  EXPECT_THAT(Owned().pending, SizeIs(3)) << "the same is kept once";
  ExpectStorable();
  Append({"two"});
  ASSERT_OK_AND_ASSIGN(const UpdateResult result, CatchUp());
  EXPECT_TRUE(result.own);
  EXPECT_THAT(Owned().foreign, IsEmpty());
  EXPECT_THAT(Owned().pending, IsEmpty()) << "the others can never come to be";
}

TEST_P(LogUserTest, PendingRequestsAreBounded) {
  ASSERT_THAT(Init(0), IsOk());
  for (size_t i = 0; i <= OwnedLabel::kMaxPending; ++i) {
    ASSERT_THAT(user_->MakeUpdate(base::AsBytes(kAlice), Values({std::to_string(i)})), IsOk());
  }
  EXPECT_THAT(Owned().pending, SizeIs(OwnedLabel::kMaxPending));
  ExpectStorable();
  // The oldest was forgotten, so that its version is told of.
  Append({"0"});
  ASSERT_OK_AND_ASSIGN(const UpdateResult result, CatchUp());
  EXPECT_FALSE(result.own);
  EXPECT_THAT(Owned().foreign, SizeIs(1));
}

TEST_P(LogUserTest, StrangersMustBeShownTheSameTree) {
  PassWindows();
  const auto walk = [&](const testing::TestLog& log, const core::DistinguishedRequest& request) {
    return Encode(*core::ProveDistinguished(log.config(), core::RecentDefinition(),
                                            *log.ViewAt(log.size()), log.HeadAt(log.size()),
                                            request));
  };
  const core::DistinguishedRequest stranger;
  const auto check = [&](const testing::TestLog& log) {
    return user_->StrangersWalk(stranger, walk(log, stranger), log.RightmostMs());
  };
  EXPECT_THAT(check(log_), IsOk()) << "a stranger herself";
  const core::DistinguishedRequest request = user_->MakeDistinguished();
  ASSERT_THAT(user_->Distinguished(request, walk(log_, request), log_.RightmostMs()), IsOk());
  const LogRecord before = user_->record();
  EXPECT_THAT(check(log_), IsOk());
  testing::TestLog fork = log_.Prefix(log_.size() - 1);
  EXPECT_THAT(check(fork), FailsCheck("heads-fork")) << "an older tree";
  fork.Append(log_.RightmostMs(), {{kAlice, "forked"}});
  EXPECT_THAT(check(fork), FailsCheck("heads-fork"));
  base::Bytes damaged = walk(log_, stranger);
  damaged.back() ^= 1;
  EXPECT_THAT(user_->StrangersWalk(stranger, damaged, log_.RightmostMs()), IsVerificationFailure());
  Append();
  EXPECT_THAT(check(log_), StatusIs(absl::StatusCode::kAborted)) << "to be compared after a walk";
  EXPECT_EQ(user_->record(), before);
}

TEST_P(LogUserTest, SomebodyElseWasFaster) {
  ASSERT_THAT(Init(0), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto lost, user_->MakeUpdate(base::AsBytes(kAlice), Values({"mine"})));
  Append({"theirs"});
  ASSERT_OK_AND_ASSIGN(const UpdateResult result, Receive(lost));
  EXPECT_FALSE(result.own);
  ASSERT_THAT(Owned().foreign, SizeIs(1));
  EXPECT_EQ(Owned().foreign[0],
            (ForeignVersionRecord{0, log_.size() - 1, base::ToBytes("theirs"), 0}));
  EXPECT_THAT(Owned().pending, IsEmpty()) << "it can never come to be";
  // What she wanted then is not what she wants now: version 1 with that value is not hers.
  Append({"mine"});
  ASSERT_OK_AND_ASSIGN(const UpdateResult replayed, CatchUp());
  EXPECT_FALSE(replayed.own);
  EXPECT_THAT(Owned().foreign, SizeIs(2));
  ExpectStorable();
}

// What was asked for together comes together.
TEST_P(LogUserTest, PartOfWhatWasAskedForOrMoreIsForeign) {
  for (const std::vector<std::string>& created :
       std::vector<std::vector<std::string>>{{"a"}, {"b", "a"}, {"a", "b", "c"}}) {
    UseRecord(NewRecord());
    log_ = log_.Prefix(1);
    ASSERT_THAT(Init(0), IsOk());
    ASSERT_THAT(user_->MakeUpdate(base::AsBytes(kAlice), Values({"a", "b"})), IsOk());
    Append(created);
    ASSERT_OK_AND_ASSIGN(const UpdateResult result, CatchUp());
    EXPECT_FALSE(result.own) << created.size();
    EXPECT_THAT(Owned().foreign, SizeIs(created.size()));
  }
}

TEST_P(LogUserTest, SeveralResponsesToOneRequest) {
  ASSERT_THAT(Init(0), IsOk());
  for (const char* value : {"a", "b", "c"}) Append({value});
  ASSERT_OK_AND_ASSIGN(core::UpdateRequest request, user_->MakeUpdate(base::AsBytes(kAlice), {}));
  for (base::Version version = 0; version < 3; ++version) {
    ASSERT_OK_AND_ASSIGN(const UpdateResult result, Receive(request));
    ASSERT_THAT(result.versions, SizeIs(1));
    EXPECT_EQ(result.versions[0].version, version);
    request = result.following;
  }
  EXPECT_EQ(Owned().owner.greatest_version(), 2u);
}

TEST_P(LogUserTest, MonitoringIsRepeatedUntilItIsComplete) {
  ASSERT_THAT(Init(0), IsOk());
  PassWindows();
  int rounds = 0;
  for (bool complete = false; !complete; ++rounds) {
    ASSERT_LT(rounds, 10);
    const base::LogPosition before = Owned().owner.start;
    ASSERT_OK_AND_ASSIGN(complete, Monitor(/*max_ladders=*/1));
    EXPECT_TRUE(complete || Owned().owner.start > before);
  }
  EXPECT_GT(rounds, 1);
  ExpectStorable();
}

TEST_P(LogUserTest, MonitoringStopsAtAVersionThatTheOwnerDoesNotKnow) {
  ASSERT_THAT(Init(0), IsOk());
  Append({"not hers"});
  PassWindows();
  EXPECT_THAT(Monitor(), IsOkAndHolds(false));
  ASSERT_OK_AND_ASSIGN(const UpdateResult result, CatchUp());
  EXPECT_FALSE(result.own);
  EXPECT_THAT(Monitor(), IsOkAndHolds(true));
}

TEST_P(LogUserTest, FailedVerificationChangesNothing) {
  Append();
  ASSERT_THAT(Init(0), IsOk());
  Append({"zero"});
  const LogRecord before = user_->record();
  ASSERT_OK_AND_ASSIGN(const auto update, user_->MakeUpdate(base::AsBytes(kAlice), {}));
  ASSERT_OK_AND_ASSIGN(core::UpdateResponse response, AnswerUpdate(log_, update));
  response.values[0].value.push_back(1);
  EXPECT_THAT(user_->Update(update, Encode(response), log_.RightmostMs()), IsVerificationFailure());
  ASSERT_OK_AND_ASSIGN(const auto monitor, user_->MakeOwnerMonitor(base::AsBytes(kAlice)));
  EXPECT_THAT(user_->OwnerMonitor(monitor, base::Bytes{1}, log_.RightmostMs()),
              IsVerificationFailure());
  EXPECT_EQ(user_->record(), before);
}

// In a distinguished entry nothing is looked up twice: what an update claims of it is proven by the
// monitoring that follows.
TEST_P(LogUserTest, FalseValueInADistinguishedEntryIsNoticedByTheMonitoringThatFollows) {
  ASSERT_THAT(Init(0), IsOk());
  Append({"zero"});
  PassWindows();
  ASSERT_OK_AND_ASSIGN(const auto update, user_->MakeUpdate(base::AsBytes(kAlice), {}));
  ASSERT_OK_AND_ASSIGN(core::UpdateResponse response, AnswerUpdate(log_, update));
  response.values[0].value.push_back(1);
  ASSERT_OK_AND_ASSIGN(const UpdateResult result,
                       user_->Update(update, Encode(response), log_.RightmostMs()));
  EXPECT_TRUE(result.awaits_owner_monitoring);
  EXPECT_THAT(Monitor(), IsVerificationFailure());
}

// The log grows on as if the version had never been there.
TEST_P(LogUserTest, SearchesMayNotFallBehindWhatTheOwnerKnows) {
  Append({"zero"});
  ASSERT_THAT(Init(0), IsOk());
  Append({"one"});
  ASSERT_THAT(CatchUp(), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  PassWindows();
  log_.Hide(kAlice, 1);
  PassWindows();
  const core::SearchRequest request = user_->MakeSearch(base::AsBytes(kAlice), std::nullopt);
  const auto view = log_.ViewAt(log_.size());
  const base::Version ladder[] = {0, 1, 2, 3};
  core::LabelRecord record = log_.Record(kAlice, ladder);
  record.at(1).existing.reset();
  const testing::TestLog::VersionData& zero = *log_.Find(kAlice, 0);
  const auto response = core::ProveSearch(log_.config(), *view, log_.HeadAt(log_.size()), request,
                                          0, record, zero.opening, zero.update);
  ASSERT_THAT(response, IsOk());
  EXPECT_THAT(user_->Search(request, Encode(*response), log_.RightmostMs()),
              FailsCheck("label-removed"));
}

// An owner who looked herself up before knows what the log must show at the start.
TEST_P(LogUserTest, OwnershipMayNotBeginWithoutWhatWasLookedUp) {
  Append();
  Append({"zero"});
  const core::SearchRequest search = user_->MakeSearch(base::AsBytes(kAlice), std::nullopt);
  const auto found = log_.Search(search);
  ASSERT_THAT(found, IsOk());
  ASSERT_THAT(user_->Search(search, *found, log_.RightmostMs()), IsOk());
  ASSERT_NE(user_->record().FindWatched(base::AsBytes(kAlice)), nullptr);
  log_.Hide(kAlice, 0);
  PassWindows();
  const base::LogPosition start = 3;
  ASSERT_OK_AND_ASSIGN(const auto request, user_->MakeOwnerInit(base::AsBytes(kAlice), start));
  const core::LabelHistory nothing;
  core::LabelRecord record =
      log_.Record(kAlice, core::OwnerInitVersions(request, log_.size(), nothing));
  for (auto& [version, row] : record) row.existing.reset();
  const auto response = core::ProveOwnerInit(log_.config(), *log_.ViewAt(log_.size()),
                                             log_.HeadAt(log_.size()), request, nothing, record);
  ASSERT_THAT(response, IsOk());
  const LogRecord before = user_->record();
  EXPECT_THAT(user_->OwnerInit(request, Encode(*response), log_.RightmostMs()),
              FailsCheck("label-removed"));
  EXPECT_EQ(user_->record(), before);
}

TEST_P(LogUserTest, WhatIsKeptOfForeignVersionsIsBounded) {
  ASSERT_THAT(Init(0), IsOk());
  const std::string large(ForeignVersionRecord::kMaxValueBytes, 'x');
  Append({large + "x"});
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(Owned().foreign[0].value, IsEmpty()) << "longer than any certificate set";
  size_t taken = 0;
  absl::StatusOr<UpdateResult> result;
  do {
    Append({large});
    result = CatchUp();
    ASSERT_LT(++taken, 100u);
  } while (result.ok());
  EXPECT_THAT(result, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_LE(user_->record().ForeignBytes(), LogRecord::kMaxForeignBytes);
  // Accepting makes room.
  LogRecord record = user_->record();
  record.owned[0].foreign.clear();
  UseRecord(std::move(record));
  EXPECT_THAT(CatchUp(), IsOk());
}

TEST_P(LogUserTest, DamagedRecordsOfOwnersAreRefused) {
  ASSERT_THAT(Init(0), IsOk());
  Append({"a", "b"});
  ASSERT_THAT(CatchUp(), IsOk());
  const base::Hash fingerprint = core::ConfigurationFingerprint(log_.config());
  LogRecord record = user_->record();
  std::swap(record.owned[0].foreign[0], record.owned[0].foreign[1]);
  EXPECT_THAT(DecodeLogRecord(base::codec::Encode(record), fingerprint),
              StatusIs(absl::StatusCode::kDataLoss));
  record = user_->record();
  record.owned[0].owner.versions.clear();
  EXPECT_THAT(DecodeLogRecord(base::codec::Encode(record), fingerprint),
              StatusIs(absl::StatusCode::kDataLoss));
}

INSTANTIATE_TEST_SUITE_P(Suites, LogUserTest,
                         ::testing::Values(core::CipherSuite::kP256, core::CipherSuite::kEd25519),
                         [](const auto& test) {
                           return test.param == core::CipherSuite::kP256 ? "P256" : "Ed25519";
                         });

}  // namespace
}  // namespace kt::client
