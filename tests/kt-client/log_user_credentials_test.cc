// SPDX-License-Identifier: Apache-2.0
//
// Credentials between two users of a real log in the same process: one makes them, the other
// receives and settles them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "kt-client/credential_calls.h"
#include "kt-client/failure.h"
#include "kt-client/log_user.h"
#include "kt-client/state_store.h"
#include "kt-core/binary_ladder.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::client {
namespace {

using core::CredentialProgress;
using ::kt::testing::FailsCheck;
using ::kt::testing::IsOk;
using ::kt::testing::IsVerificationFailure;
using ::kt::testing::StatusIs;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kAlice[] = "alice@a.example";
constexpr uint64_t kWindowMs = 1'000;  // of TestLogOptions

struct Case {
  core::CipherSuite suite;
  core::DeploymentMode mode;
};

// Somebody who talks to a log.
class Person {
 public:
  Person(const core::ResponseVerifier& verifier, const core::Configuration& config)
      : user_(verifier, RecordOf(config)) {}

  LogUser& user() { return user_; }
  const LogRecord& record() const { return user_.record(); }

  void Walk(const testing::TestLog& log) {
    const core::DistinguishedRequest request = user_.MakeDistinguished();
    const auto response =
        core::ProveDistinguished(log.config(), core::RecentDefinition(), *log.ViewAt(log.size()),
                                 log.HeadAt(log.size()), request);
    ASSERT_THAT(response, IsOk());
    ASSERT_THAT(user_.Distinguished(request, base::codec::Encode(*response, log.context()),
                                    log.RightmostMs()),
                IsOk());
    // Storing the record and reading it again changes nothing.
    const base::Bytes bytes = base::codec::Encode(record());
    const auto stored = DecodeLogRecord(bytes, core::ConfigurationFingerprint(log.config()));
    ASSERT_THAT(stored, IsOk());
    ASSERT_EQ(*stored, record());
  }
  void Search(const testing::TestLog& log) {
    const core::SearchRequest request = user_.MakeSearch(base::AsBytes(kAlice), std::nullopt);
    const auto response = log.Search(request);
    ASSERT_THAT(response, IsOk());
    ASSERT_THAT(user_.Search(request, *response, log.RightmostMs()), IsOk());
  }
  // `other`: the log that answers the second time.
  absl::StatusOr<SentCredential> Make(const testing::TestLog& log, uint64_t known_for_ms = 0,
                                      const testing::TestLog* other = nullptr) {
    Walk(log);
    Search(log);
    KT_ASSIGN_OR_RETURN(const base::LogPosition base,
                        user_.CredentialBase(known_for_ms, log.RightmostMs()));
    const core::SearchRequest request = user_.MakeCredentialSearch(base::AsBytes(kAlice), base);
    KT_ASSIGN_OR_RETURN(const base::Bytes response,
                        (other != nullptr ? *other : log).Search(request));
    return user_.MakeCredential(request, response, log.RightmostMs());
  }

 private:
  static LogRecord RecordOf(const core::Configuration& config) {
    LogRecord record;
    record.config = config;
    return record;
  }

  LogUser user_;
};

base::Bytes Answer(const testing::TestLog& log, const core::CredentialUpdateRequest& request) {
  const core::LabelRecord record =
      log.Record(base::ToText(request.label), core::MonitoringBinaryLadder(request.version));
  const auto update =
      core::AnswerCredentialUpdate(log.config(), *log.ViewAt(log.size()), request, record);
  EXPECT_THAT(update, IsOk());
  return base::codec::Encode(*update, log.context());
}

class CredentialUsers : public ::testing::TestWithParam<Case> {
 protected:
  CredentialUsers()
      : log_({.suite = GetParam().suite, .mode = GetParam().mode}),
        verifier_(*core::ResponseVerifier::Create(log_.config())),
        sender_(*verifier_, log_.config()),
        receiver_(*verifier_, log_.config()) {
    log_.Append(1'000'000, {{kAlice, "zero"}});
    PassWindows(log_, 4);
  }
  static void PassWindows(testing::TestLog& log, int windows) {
    for (int i = 0; i < windows; ++i) log.Append(log.RightmostMs() + 2 * kWindowMs);
  }
  // New versions of Alice's soon after the last entry, until one is right of every distinguished
  // entry, which depends on where it lies in the search tree.
  void AddNewVersion() {
    for (int attempt = 0; attempt < 4; ++attempt) {
      log_.Append(log_.RightmostMs() + 10, {{kAlice, "new"}});
      sender_.Walk(log_);
      if (sender_.record().distinguished.entries.back().position < log_.size() - 1) return;
    }
    FAIL() << "every entry is distinguished";
  }
  void FillTo(base::TreeSize size) {
    while (log_.size() < size) log_.Append(log_.RightmostMs() + 10);
  }
  absl::StatusOr<ReceivedCredential> Receive(base::ByteView credential,
                                             base::ByteView update = {}) {
    return receiver_.user().Credential(credential, update, log_.RightmostMs());
  }
  std::vector<CredentialEvent> Advance() {
    return receiver_.user().AdvanceCredentials(log_.RightmostMs());
  }

  testing::TestLog log_;
  std::unique_ptr<core::ResponseVerifier> verifier_;
  Person sender_;
  Person receiver_;
};

TEST_P(CredentialUsers, StandardIsFinalAtOnceAndLeavesNothingBehind) {
  PassWindows(log_, 1);
  receiver_.Walk(log_);
  ASSERT_OK_AND_ASSIGN(const SentCredential sent, sender_.Make(log_));
  // The rightmost entry may be no distinguished one; the version is in one further left.
  const LogRecord before = receiver_.record();
  ASSERT_OK_AND_ASSIGN(const ReceivedCredential received, Receive(sent.credential));
  EXPECT_FALSE(sent.provisional);
  EXPECT_FALSE(received.provisional);
  EXPECT_EQ(received.progress, CredentialProgress::kFinal);
  EXPECT_EQ(base::ToText(received.label), kAlice);
  EXPECT_EQ(received.version, 0u);
  EXPECT_EQ(base::ToText(received.value), "zero");
  EXPECT_EQ(receiver_.record(), before);
  EXPECT_THAT(Receive(sent.credential, base::AsBytes("x")),
              StatusIs(absl::StatusCode::kInvalidArgument))
      << "there is no update of a standard one";
  EXPECT_THAT(sender_.user().MakeCredentialUpdate(sent.credential, log_.RightmostMs()),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(CredentialUsers, ProvisionalIsKeptUntilItIsSettled) {
  AddNewVersion();
  receiver_.Walk(log_);
  ASSERT_OK_AND_ASSIGN(const SentCredential sent, sender_.Make(log_));
  ASSERT_TRUE(sent.provisional);
  const std::optional<core::UserState> state = receiver_.record().state;
  ASSERT_OK_AND_ASSIGN(const ReceivedCredential received, Receive(sent.credential));
  EXPECT_EQ(received.progress, CredentialProgress::kWaiting);
  EXPECT_EQ(base::ToText(received.value), "new");
  EXPECT_EQ(receiver_.record().state, state) << "the receiver's own view is not touched";
  ASSERT_THAT(receiver_.record().credentials, SizeIs(1));
  // The same one again changes nothing.
  ASSERT_OK_AND_ASSIGN(const ReceivedCredential again, Receive(sent.credential));
  EXPECT_EQ(again.value, received.value);
  EXPECT_EQ(again.progress, CredentialProgress::kWaiting);
  ASSERT_THAT(receiver_.record().credentials, SizeIs(1));
  EXPECT_THAT(sender_.user().MakeCredentialUpdate(sent.credential, log_.RightmostMs()),
              StatusIs(absl::StatusCode::kUnavailable));

  PassWindows(log_, 3);
  sender_.Walk(log_);
  ASSERT_OK_AND_ASSIGN(const auto request,
                       sender_.user().MakeCredentialUpdate(sent.credential, log_.RightmostMs()));
  if (!request.has_value()) {
    // The terminal entry has become distinguished itself.
    receiver_.Walk(log_);
    const auto events = Advance();
    ASSERT_THAT(events, SizeIs(1));
    EXPECT_THAT(events[0].progress, IsOk());
    EXPECT_EQ(*events[0].progress, CredentialProgress::kFinal);
  } else {
    const base::Bytes update = Answer(log_, *request);
    EXPECT_THAT(sender_.user().CheckCredentialUpdate(sent.credential, update, log_.RightmostMs()),
                IsOk());
    // It comes before the receiver can verify it, and is queued.
    ASSERT_OK_AND_ASSIGN(const ReceivedCredential queued, Receive(sent.credential, update));
    EXPECT_EQ(queued.progress, CredentialProgress::kWaiting);
    receiver_.Walk(log_);
    const auto events = Advance();
    ASSERT_THAT(events, SizeIs(1));
    EXPECT_THAT(events[0].progress, IsOk());
    EXPECT_EQ(*events[0].progress, CredentialProgress::kFinal);
    EXPECT_EQ(base::ToText(events[0].label), kAlice);
  }
  EXPECT_THAT(receiver_.record().credentials, IsEmpty());
}

TEST_P(CredentialUsers, ForgedUpdateIsRefusedAndAnHonestOneStillTaken) {
  FillTo(8);
  AddNewVersion();
  receiver_.Walk(log_);
  ASSERT_OK_AND_ASSIGN(const SentCredential sent, sender_.Make(log_));
  ASSERT_OK_AND_ASSIGN(const ReceivedCredential received, Receive(sent.credential));
  // An entry between two that are close to it in time never becomes distinguished.
  FillTo(10);
  PassWindows(log_, 3);
  sender_.Walk(log_);
  ASSERT_OK_AND_ASSIGN(const auto request,
                       sender_.user().MakeCredentialUpdate(sent.credential, log_.RightmostMs()));
  ASSERT_TRUE(request.has_value()) << "the walk settles it";
  const base::Bytes update = Answer(log_, *request);
  receiver_.Walk(log_);
  const LogRecord before = receiver_.record();
  for (size_t i = 0; i < update.size(); i += 7) {
    base::Bytes forged = update;
    forged[i] ^= 1;
    ASSERT_THAT(Receive(sent.credential, forged), IsVerificationFailure()) << "byte " << i;
    ASSERT_EQ(receiver_.record(), before);
    ASSERT_THAT(sender_.user().CheckCredentialUpdate(sent.credential, forged, log_.RightmostMs()),
                IsVerificationFailure());
    ASSERT_THAT(receiver_.user().OverdueUpdate(received.id, forged, log_.RightmostMs()),
                IsVerificationFailure());
  }
  const auto events = Advance();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(*events[0].progress, CredentialProgress::kUpdateNeeded);
  ASSERT_OK_AND_ASSIGN(const ReceivedCredential settled, Receive(sent.credential, update));
  EXPECT_EQ(settled.progress, CredentialProgress::kFinal);
  EXPECT_THAT(receiver_.record().credentials, IsEmpty());
}

// One that came too early to be verified: it is told of until somebody knows, and stands in the way
// of no other.
TEST_P(CredentialUsers, ForgedUpdateThatWasQueuedIsToldOfInEachRun) {
  FillTo(8);
  AddNewVersion();
  receiver_.Walk(log_);
  ASSERT_OK_AND_ASSIGN(const SentCredential sent, sender_.Make(log_));
  ASSERT_OK_AND_ASSIGN(const ReceivedCredential received, Receive(sent.credential));
  FillTo(10);
  PassWindows(log_, 3);
  sender_.Walk(log_);
  ASSERT_OK_AND_ASSIGN(const auto request,
                       sender_.user().MakeCredentialUpdate(sent.credential, log_.RightmostMs()));
  ASSERT_TRUE(request.has_value());
  const base::Bytes update = Answer(log_, *request);
  // One that can still be decoded.
  absl::StatusOr<ReceivedCredential> queued;
  for (size_t i = update.size() / 2; i < update.size() && !queued.ok(); ++i) {
    base::Bytes forged = update;
    forged[i] ^= 1;
    queued = Receive(sent.credential, forged);
  }
  ASSERT_THAT(queued, IsOk());
  ASSERT_EQ(queued->progress, CredentialProgress::kWaiting);
  receiver_.Walk(log_);
  for (int run = 0; run < 2; ++run) {
    const auto events = Advance();
    ASSERT_THAT(events, SizeIs(1));
    EXPECT_THAT(events[0].progress, IsVerificationFailure());
    EXPECT_TRUE(events[0].update_failed);
    EXPECT_THAT(receiver_.record().credentials, SizeIs(1));
  }
  // Once somebody knows, it is dropped where it is stored, and the sender may be asked for another.
  const testing::TemporaryDirectory directory;
  ASSERT_OK_AND_ASSIGN(const StateStore store, StateStore::Open(directory.File("state")));
  const base::Hash fingerprint = core::ConfigurationFingerprint(log_.config());
  const auto drop = [&](const base::Hash& id) {
    return DropCredentialUpdate(store, "a.example", id, 1'000);
  };
  EXPECT_THAT(drop(received.id), StatusIs(absl::StatusCode::kUnavailable)) << "of no known log";
  ASSERT_THAT(store.WritePin("a.example", fingerprint, 1'000), IsOk());
  ASSERT_THAT(store.Lock(fingerprint, 1'000)->Save(receiver_.record()), IsOk());
  EXPECT_THAT(drop(base::Hash()), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(drop(received.id), IsOk());
  LogUser told(*verifier_, **store.Read(fingerprint));
  const auto events = told.AdvanceCredentials(log_.RightmostMs());
  ASSERT_THAT(events, SizeIs(1));
  ASSERT_THAT(events[0].progress, IsOk());
  EXPECT_EQ(*events[0].progress, CredentialProgress::kUpdateNeeded);
  EXPECT_FALSE(events[0].update_failed);
  ASSERT_OK_AND_ASSIGN(const ReceivedCredential settled, Receive(sent.credential, update));
  EXPECT_EQ(settled.progress, CredentialProgress::kFinal);
}

TEST_P(CredentialUsers, OnesThatTheLogWasAskedAboutInVainGoLast) {
  AddNewVersion();
  receiver_.Walk(log_);
  ASSERT_OK_AND_ASSIGN(const SentCredential sent, sender_.Make(log_));
  ASSERT_OK_AND_ASSIGN(const ReceivedCredential one, Receive(sent.credential));
  // The same version, based on an older entry.
  ASSERT_OK_AND_ASSIGN(const SentCredential older, sender_.Make(log_, 2 * kWindowMs + 10));
  ASSERT_OK_AND_ASSIGN(const ReceivedCredential two, Receive(older.credential));
  ASSERT_THAT(receiver_.record().credentials, SizeIs(2));
  EXPECT_EQ(receiver_.record().credentials[0].id, one.id);
  receiver_.user().PutLast({one.id});
  EXPECT_EQ(receiver_.record().credentials[0].id, two.id);
  EXPECT_EQ(receiver_.record().credentials[1].id, one.id);
}

TEST_P(CredentialUsers, ForgedCredentialLeavesNothingBehind) {
  AddNewVersion();
  receiver_.Walk(log_);
  ASSERT_OK_AND_ASSIGN(const SentCredential sent, sender_.Make(log_));
  const LogRecord before = receiver_.record();
  for (size_t i = 0; i < sent.credential.size(); i += 5) {
    base::Bytes forged = sent.credential;
    forged[i] ^= 0x10;
    const auto received = Receive(forged);
    ASSERT_FALSE(received.ok()) << "byte " << i;
    // Another position is one that the receiver may not know.
    ASSERT_TRUE(base::IsVerificationFailure(received.status()) ||
                absl::IsOutOfRange(received.status()) || absl::IsUnavailable(received.status()))
        << received.status();
    ASSERT_EQ(receiver_.record(), before);
  }
}

TEST_P(CredentialUsers, WhoDoesNotKnowTheEntryWaitsAndWhoKnowsOnlyLaterOnesIsTooLate) {
  ASSERT_OK_AND_ASSIGN(const SentCredential sent, sender_.Make(log_));
  const auto unknown = Receive(sent.credential);
  EXPECT_THAT(unknown, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(FailureOf(unknown.status()), Failure::kNotYet);
  PassWindows(log_, 60);
  receiver_.Walk(log_);
  EXPECT_THAT(Receive(sent.credential), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_P(CredentialUsers, OverdueIsSettledByTheLogAlsoAfterEntriesWereMissed) {
  AddNewVersion();
  receiver_.Walk(log_);
  ASSERT_OK_AND_ASSIGN(const SentCredential sent, sender_.Make(log_));
  ASSERT_OK_AND_ASSIGN(const ReceivedCredential received, Receive(sent.credential));
  EXPECT_THAT(receiver_.user().MakeOverdueUpdate(received.id),
              StatusIs(absl::StatusCode::kUnavailable));
  // So many windows that neither the credential's entry nor the next one is recent any more.
  PassWindows(log_, 60);
  // A sender's update that was queued leads to an entry that was missed: nobody is to blame.
  for (core::CredentialUpdateRequest early{base::ToBytes(kAlice), received.version, 0, 0, 0};;) {
    const core::PendingCredential& pending = receiver_.record().credentials[0].pending;
    early.terminal = pending.terminal;
    early.tree_size = pending.view.tree_size();
    early.distinguished = std::max(early.distinguished + 1, early.tree_size);
    const auto made = core::AnswerCredentialUpdate(
        log_.config(), *log_.ViewAt(log_.size()), early,
        log_.Record(kAlice, core::MonitoringBinaryLadder(early.version)));
    if (!made.ok()) continue;
    ASSERT_LT(early.distinguished, log_.size() / 2);
    ASSERT_OK_AND_ASSIGN(const ReceivedCredential queued,
                         Receive(sent.credential, base::codec::Encode(*made, log_.context())));
    EXPECT_EQ(queued.progress, CredentialProgress::kWaiting);
    break;
  }
  receiver_.Walk(log_);
  const auto events = Advance();
  ASSERT_THAT(events, SizeIs(1));
  ASSERT_THAT(events[0].progress, IsOk());
  EXPECT_EQ(*events[0].progress, CredentialProgress::kUpdateFromLog);
  ASSERT_OK_AND_ASSIGN(const auto request, receiver_.user().MakeOverdueUpdate(received.id));
  EXPECT_GT(request.distinguished, sent.position + 1);
  const base::Bytes update = Answer(log_, request);
  base::Bytes forged = update;
  forged.back() ^= 1;
  EXPECT_THAT(receiver_.user().OverdueUpdate(received.id, forged, log_.RightmostMs()),
              IsVerificationFailure());
  EXPECT_THAT(receiver_.user().OverdueUpdate(received.id, update, log_.RightmostMs()), IsOk());
  EXPECT_THAT(receiver_.record().credentials, IsEmpty());
  EXPECT_THAT(receiver_.user().OverdueUpdate(received.id, update, log_.RightmostMs()),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(CredentialUsers, FromAForkIsFoundInitiallyOrByTheNextWalk) {
  receiver_.Walk(log_);
  testing::TestLog fork = log_.Prefix(log_.size());
  PassWindows(fork, 1);
  fork.Append(fork.RightmostMs() + 10, {{kAlice, "forked"}});
  Person deceived(*verifier_, log_.config());
  // Based on the common past: only the future shows it.
  ASSERT_OK_AND_ASSIGN(const SentCredential later, deceived.Make(fork, 2 * kWindowMs + 10));
  ASSERT_TRUE(later.provisional);
  ASSERT_OK_AND_ASSIGN(const ReceivedCredential received,
                       receiver_.user().Credential(later.credential, {}, fork.RightmostMs()));
  EXPECT_EQ(base::ToText(received.value), "forked");
  // Based on the fork's own entries.
  PassWindows(fork, 3);
  PassWindows(log_, 5);
  receiver_.Walk(log_);
  ASSERT_OK_AND_ASSIGN(const SentCredential own, deceived.Make(fork));
  const absl::Status refused = Receive(own.credential).status();
  EXPECT_TRUE(base::IsVerificationFailure(refused)) << refused;

  const auto events = Advance();
  ASSERT_THAT(events, SizeIs(1));
  if (!events[0].progress.ok()) {
    EXPECT_THAT(events[0].progress, IsVerificationFailure());
  } else {
    // No update of either branch settles it.
    ASSERT_OK_AND_ASSIGN(const auto request, receiver_.user().MakeOverdueUpdate(received.id));
    EXPECT_THAT(
        receiver_.user().OverdueUpdate(received.id, Answer(fork, request), log_.RightmostMs()),
        IsVerificationFailure());
  }
  EXPECT_THAT(receiver_.record().credentials, SizeIs(1)) << "it is evidence";
  receiver_.user().ForgetCredential(received.id);
  EXPECT_THAT(receiver_.record().credentials, IsEmpty());
}

TEST_P(CredentialUsers, SenderNoticesWhoeverShowsHerTwoTrees) {
  FillTo(9);
  testing::TestLog fork = log_.Prefix(log_.size());
  log_.Append(log_.RightmostMs() + 10, {{kAlice, "one"}});
  fork.Append(fork.RightmostMs() + 10, {{kAlice, "two"}});
  EXPECT_THAT(sender_.Make(log_, 0, &fork), FailsCheck("credential-fork"));
  testing::TestLog grown = log_.Prefix(log_.size());
  grown.Append(grown.RightmostMs() + 10);
  EXPECT_THAT(sender_.Make(log_, 0, &grown), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(sender_.Make(log_), IsOk());
}

TEST_P(CredentialUsers, BaseIsAsOldAsAsked) {
  sender_.Walk(log_);
  const auto& entries = sender_.record().distinguished.entries;
  ASSERT_GE(entries.size(), 2u);
  const auto base = [&](uint64_t known_for_ms) {
    return sender_.user().CredentialBase(known_for_ms, log_.RightmostMs());
  };
  EXPECT_EQ(*base(0), entries.back().position);
  const uint64_t age_ms = log_.RightmostMs() - entries.back().entry().timestamp;
  EXPECT_EQ(*base(age_ms), entries.back().position);
  EXPECT_EQ(*base(age_ms + 1), entries[entries.size() - 2].position);
  EXPECT_EQ(FailureOf(base(1'000'000'000).status()), Failure::kNotYet);
  // The receiver may not know the newest one yet: a provisional credential spares her that.
  ASSERT_OK_AND_ASSIGN(const SentCredential sent, sender_.Make(log_, age_ms + 1));
  EXPECT_TRUE(sent.provisional);
  EXPECT_EQ(sent.position, entries[entries.size() - 2].position);
}

TEST_P(CredentialUsers, StoredOnesAreCheckedWhenTheyAreRead) {
  AddNewVersion();
  receiver_.Walk(log_);
  ASSERT_OK_AND_ASSIGN(const SentCredential sent, sender_.Make(log_));
  ASSERT_THAT(Receive(sent.credential), IsOk());
  const base::Hash fingerprint = core::ConfigurationFingerprint(log_.config());
  const LogRecord good = receiver_.record();
  EXPECT_THAT(DecodeLogRecord(base::codec::Encode(good), fingerprint), IsOk());
  for (int damage = 0; damage < 4; ++damage) {
    LogRecord record = good;
    core::PendingCredential& pending = record.credentials[0].pending;
    if (damage == 0) pending.credential.pop_back();
    if (damage == 1) ++pending.version;
    if (damage == 2) pending.versions.clear();
    if (damage == 3) record.credentials[0].id.bytes[0] ^= 1;
    EXPECT_THAT(DecodeLogRecord(base::codec::Encode(record), fingerprint),
                StatusIs(absl::StatusCode::kDataLoss))
        << damage;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, CredentialUsers,
    ::testing::Values(Case{core::CipherSuite::kP256, core::DeploymentMode::kContactMonitoring},
                      Case{core::CipherSuite::kEd25519, core::DeploymentMode::kContactMonitoring},
                      Case{core::CipherSuite::kEd25519,
                           core::DeploymentMode::kThirdPartyManagement},
                      Case{core::CipherSuite::kEd25519, core::DeploymentMode::kThirdPartyAuditing}),
    [](const auto& test) {
      return std::string(test.param.suite == core::CipherSuite::kP256 ? "P256" : "Ed25519") +
             "Mode" + std::to_string(static_cast<int>(test.param.mode));
    });

}  // namespace
}  // namespace kt::client
