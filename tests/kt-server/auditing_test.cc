// SPDX-License-Identifier: Apache-2.0
//
// The log's side of third-party auditing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kt-core/auditor_update_verifier.h"
#include "kt-server/audit_service.h"
#include "kt-server/search_service.h"
#include "kt-server/sequencer.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::FailsCheck;
using ::kt::testing::IsOk;
using ::kt::testing::IsOkAndHolds;
using ::kt::testing::StatusIs;
using ::testing::HasSubstr;

class AuditingTest : public ::testing::TestWithParam<core::CipherSuite> {
 protected:
  AuditingTest() : fixture_(GetParam(), core::DeploymentMode::kThirdPartyAuditing) {}

  absl::Status Append(size_t versions) {
    NewEntry entry{fixture_.clock().NowMs(), {}};
    for (size_t i = 0; i < versions; ++i) {
      entry.versions.push_back(
          {base::ToBytes(absl::StrCat("user", labels_++)), 0, {base::ToBytes("value"), {}}});
    }
    return fixture_.log().Append({&entry, 1});
  }

  // A verified search for a label that does not exist, by a user who has seen nothing.
  absl::StatusOr<core::UserState> Ask() {
    core::SearchRequest request;
    request.label = base::ToBytes("nobody");
    const SearchService service(fixture_.log());
    KT_ASSIGN_OR_RETURN(const SearchAnswer answer, service.Search(base::codec::Encode(request)));
    KT_ASSIGN_OR_RETURN(core::VerifiedAbsence verified,
                        fixture_.verifier().VerifyAbsence(request, answer.response, nullptr,
                                                          fixture_.clock().NowMs()));
    return std::move(verified.state);
  }

  // Replays the log from the start, `per_round` entries at once, and compares the root.
  void ExpectAuditable(size_t per_round) {
    const auto state = fixture_.log().newest();
    core::AuditorState audited;
    while (audited.tree_size < state->size()) {
      const size_t count = std::min<size_t>(per_round, state->size() - audited.tree_size);
      ASSERT_OK_AND_ASSIGN(const auto updates,
                           AuditService::MakeUpdates(*state, audited.tree_size, count));
      ASSERT_EQ(updates.size(), count);
      for (const core::AuditorUpdate& update : updates) {
        ASSERT_THAT(core::ApplyAuditorUpdate(fixture_.config(), update, nullptr, &audited), IsOk());
      }
    }
    EXPECT_EQ(core::RootOf(audited), state->snapshot().head().root);
  }

  LogFixture fixture_;
  int labels_ = 0;
};

TEST_P(AuditingTest, UpdatesOfEveryEntryVerify) {
  for (const size_t versions : {0, 3, 0, 1, 40, 255, 0, 2}) {
    fixture_.clock().Advance(10);
    ASSERT_THAT(Append(versions), IsOk());
  }
  for (const size_t per_round : {1, 3, 8}) ExpectAuditable(per_round);
}

TEST_P(AuditingTest, LogThatBeginsWithVersionsIsAuditableToo) {
  ASSERT_THAT(Append(5), IsOk());
  ASSERT_THAT(Append(5), IsOk());
  ExpectAuditable(8);
}

TEST_P(AuditingTest, SequencerMakesEntriesOfAtMost255InOneCommit) {
  SequencerOptions options;
  options.epoch_interval_ms = 300;
  Sequencer sequencer(
      options, fixture_.log(), fixture_.clock(), [](const Sequencer::CommitReport&) {},
      [](const absl::Status&) {});
  ASSERT_THAT(sequencer.Start(), IsOk());
  const int commits = fixture_.store().commits();
  std::vector<std::promise<absl::StatusOr<Submitter::Outcome>>> outcomes(600);
  for (size_t i = 0; i < outcomes.size(); ++i) {
    ASSERT_THAT(
        sequencer.Submit({base::ToBytes(absl::StrCat("many", i)), "token", 1,
                          [](const CurrentValue*) -> absl::StatusOr<std::vector<base::Bytes>> {
                            return std::vector<base::Bytes>{base::ToBytes("v")};
                          },
                          [&outcomes, i](absl::StatusOr<Submitter::Outcome> outcome) {
                            outcomes[i].set_value(std::move(outcome));
                          }}),
        IsOk());
  }
  for (size_t i = 0; i < outcomes.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(const auto outcome, outcomes[i].get_future().get());
    EXPECT_EQ(outcome.position, 1 + i / 255);
    EXPECT_EQ(outcome.tree_size, 4u);
  }
  EXPECT_EQ(fixture_.store().commits(), commits + 1);
  ExpectAuditable(8);
}

TEST_P(AuditingTest, StartsAreThoseOfTheLog) {
  AuditService service(fixture_.log());
  for (int i = 0; i < 9; ++i) ASSERT_THAT(Append(2), IsOk());
  const auto state = fixture_.log().newest();
  core::AuditorState audited;
  for (base::TreeSize size = 0; size < 9; ++size) {
    ASSERT_OK_AND_ASSIGN(const base::Bytes bytes, service.Start(size));
    ASSERT_OK_AND_ASSIGN(const auto start, base::codec::Decode<core::AuditorStart>(bytes));
    EXPECT_THAT(core::BeginAuditing(start), IsOkAndHolds(audited));
    ASSERT_OK_AND_ASSIGN(const auto updates, AuditService::MakeUpdates(*state, size, 1));
    ASSERT_THAT(core::ApplyAuditorUpdate(fixture_.config(), updates[0], nullptr, &audited), IsOk());
  }
  EXPECT_THAT(service.Start(10), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(AuditingTest, UsersAreShownNothingBeforeTheAuditorHasSigned) {
  EXPECT_THAT(Ask(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no entries")));
  ASSERT_THAT(Append(1), IsOk());
  EXPECT_EQ(fixture_.log().current(), nullptr);
  EXPECT_THAT(Ask(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("not signed")));
  // An ECDSA signature is another one each time.
  const core::AuditorTreeHead head = fixture_.AuditorHead(1);
  ASSERT_THAT(fixture_.log().SubmitAuditorHead(head), IsOk());
  ASSERT_OK_AND_ASSIGN(const core::UserState state, Ask());
  EXPECT_EQ(state.auditor_tree_head, head);
}

// Users refuse a head that is newer than the auditor's by more than max_auditor_lag, 1,000 ms.
TEST_P(AuditingTest, HeadsThatTheAuditorLagsBehindAreHeldBack) {
  ASSERT_THAT(Append(1), IsOk());
  ASSERT_THAT(fixture_.log().SubmitAuditorHead(fixture_.AuditorHead(1)), IsOk());
  fixture_.clock().Advance(1'000);
  ASSERT_THAT(Append(1), IsOk());
  ASSERT_OK_AND_ASSIGN(core::UserState state, Ask());
  EXPECT_EQ(state.tree_size(), 2u) << "the lag is just allowed";
  fixture_.clock().Advance(1);
  ASSERT_THAT(Append(1), IsOk());
  EXPECT_EQ(fixture_.log().newest()->size(), 3u);
  ASSERT_OK_AND_ASSIGN(state, Ask());
  EXPECT_EQ(state.tree_size(), 2u);
  // After a restart the old head is gone.
  ASSERT_THAT(fixture_.Reopen(), IsOk());
  EXPECT_THAT(Ask(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("lags")));
  ASSERT_THAT(fixture_.log().SubmitAuditorHead(fixture_.AuditorHead(2)), IsOk());
  ASSERT_OK_AND_ASSIGN(state, Ask());
  EXPECT_EQ(state.tree_size(), 3u);
  EXPECT_EQ(state.auditor_tree_head->tree_size, 2u);
}

TEST_P(AuditingTest, AuditorsHeadSurvivesARestart) {
  ASSERT_THAT(Append(1), IsOk());
  ASSERT_THAT(Append(1), IsOk());
  const core::AuditorTreeHead head = fixture_.AuditorHead(2);
  ASSERT_THAT(fixture_.log().SubmitAuditorHead(head), IsOk());
  ASSERT_THAT(fixture_.Reopen(), IsOk());
  ASSERT_OK_AND_ASSIGN(const core::UserState state, Ask());
  EXPECT_EQ(state.auditor_tree_head, head);
  EXPECT_THAT(fixture_.log().SubmitAuditorHead(fixture_.AuditorHead(1)),
              StatusIs(absl::StatusCode::kAlreadyExists));
  core::AuditorTreeHead other = head;
  other.signature[0] ^= 1;
  ASSERT_THAT(fixture_.real_store().WriteAuditorHead(base::codec::Encode(other)), IsOk());
  EXPECT_THAT(fixture_.Reopen(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_P(AuditingTest, HeadThatCannotBeStoredIsNotShown) {
  ASSERT_THAT(Append(1), IsOk());
  fixture_.store().FailNextCommit(FaultyStore::Fault::kBeforeWrite);
  EXPECT_THAT(fixture_.log().SubmitAuditorHead(fixture_.AuditorHead(1)),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(fixture_.log().current(), nullptr);
}

TEST_P(AuditingTest, RejectsEveryOtherHead) {
  AuditService service(fixture_.log());
  for (int i = 0; i < 3; ++i) {
    fixture_.clock().Advance(5);
    ASSERT_THAT(Append(1), IsOk());
  }
  ASSERT_THAT(fixture_.log().SubmitAuditorHead(fixture_.AuditorHead(2)), IsOk());
  const core::AuditorTreeHead good = fixture_.AuditorHead(3);
  const auto submit = [&](const core::AuditorTreeHead& head) {
    return service.Submit(base::codec::Encode(head));
  };
  EXPECT_THAT(submit(fixture_.AuditorHead(1)), StatusIs(absl::StatusCode::kAlreadyExists));
  core::AuditorTreeHead head = good;
  head.tree_size = 4;
  EXPECT_THAT(submit(head), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("entries")));
  head.tree_size = 0;
  EXPECT_THAT(submit(head), StatusIs(absl::StatusCode::kInvalidArgument));
  head = good;
  ++head.timestamp;
  EXPECT_THAT(submit(head), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("timestamp")));
  head = good;
  head.signature.back() ^= 1;
  EXPECT_THAT(submit(head), FailsCheck("auditor-tree-head-signature"));
  // Signed by the auditor, but over another root; and by somebody else.
  ASSERT_OK_AND_ASSIGN(head, core::SignAuditorTreeHead(fixture_.config(), fixture_.auditor(),
                                                       good.timestamp, 3, base::Hash{}));
  EXPECT_THAT(submit(head), FailsCheck("auditor-tree-head-signature"));
  ASSERT_OK_AND_ASSIGN(
      head, core::SignAuditorTreeHead(fixture_.config(), *fixture_.MakeSigner(), good.timestamp, 3,
                                      fixture_.log().newest()->snapshot().head().root));
  EXPECT_THAT(submit(head), FailsCheck("auditor-tree-head-signature"));
  EXPECT_THAT(service.Submit(base::Bytes{1, 2, 3}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(fixture_.log().newest()->head().auditor_tree_head->tree_size, 2u);
  EXPECT_THAT(submit(good), IsOk());
  EXPECT_THAT(submit(good), IsOk()) << "handing over again is no fault";
}

TEST_P(AuditingTest, LogWithoutAuditorTakesNoHead) {
  LogFixture other(GetParam());
  ASSERT_THAT(other.AddEmpty(), IsOk());
  EXPECT_THAT(other.log().SubmitAuditorHead({}), StatusIs(absl::StatusCode::kFailedPrecondition));
}

using AuditingDeathTest = AuditingTest;
TEST_P(AuditingDeathTest, AbortsOnAnEntryThatNoUpdateCouldDescribe) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(Append(256).IgnoreError(), "");
}

const auto kSuites = ::testing::Values(core::CipherSuite::kP256, core::CipherSuite::kEd25519);
const auto kSuiteName = [](const auto& info) { return core::NameOf(info.param); };
INSTANTIATE_TEST_SUITE_P(Suites, AuditingTest, kSuites, kSuiteName);
INSTANTIATE_TEST_SUITE_P(Suites, AuditingDeathTest, kSuites, kSuiteName);

}  // namespace
}  // namespace kt::server
