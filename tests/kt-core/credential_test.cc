// SPDX-License-Identifier: Apache-2.0
//
// Credentials of a real log: made by the log and by users, verified by receivers who are aware of
// more or less of it, and settled later.
#include "kt-core/credential.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/kt-core/credential_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::core {
namespace {

using testing::IsOk;
using testing::IsOkAndHolds;
using testing::SeededRandom;
using testing::StatusIs;
using testing::TestLog;
using testing::TestLogOptions;

// --- random histories --------------------------------------------------------------------

class CredentialOperation : public ::testing::TestWithParam<Deployment> {};
INSTANTIATE_TEST_SUITE_P(
    Deployments, CredentialOperation,
    ::testing::Values(Deployment{CipherSuite::kP256, DeploymentMode::kContactMonitoring},
                      Deployment{CipherSuite::kP256, DeploymentMode::kThirdPartyManagement},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kContactMonitoring},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kThirdPartyManagement},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kThirdPartyAuditing}),
    NameOfDeployment);

struct Counts {
  int standard = 0, provisional = 0, should_be_standard = 0;
  int final_by_walk = 0, final_by_update = 0, queued = 0, unsettled = 0;
};

// Follows a provisional credential while the log grows, until it is finally verified.
void Settle(const TestLog& log, const ResponseVerifier& verifier, const std::string& label,
            const RecentDefinition& recent, SeededRandom& random, PendingCredential pending,
            Counts* counts) {
  ASSERT_THAT(codec::Decode<PendingCredential>(codec::Encode(pending)), IsOkAndHolds(pending));
  const bool early = random.Below(2) == 0;  // the sender is quicker than the receiver
  for (TreeSize size = pending.view.tree_size(); size <= log.size(); ++size) {
    const ReferenceLog reference = ReferenceOf(log, size);
    const DistinguishedState aware = AwareAt(log, recent, size);
    const uint64_t now_ms = log.TimestampOf(size - 1);
    const std::set<LogPosition>& distinguished = reference.distinguished();
    const auto expected = distinguished.lower_bound(pending.terminal);
    if (expected == distinguished.end()) {
      if (early && pending.update.empty()) {
        const auto update = Update(log, label, pending, log.size());
        if (update.ok()) {
          const Bytes bytes = Encoded(log, update->update);
          ASSERT_THAT(ReceiveCredentialUpdate(verifier, recent, aware, bytes, now_ms, &pending),
                      IsOk());
          ASSERT_EQ(pending.update, bytes);
          ++counts->queued;
        }
      }
      ASSERT_THAT(Update(log, label, pending, size), StatusIs(absl::StatusCode::kUnavailable));
      // It may expire before it can be settled.
      ASSERT_THAT(AdvanceCredential(verifier, recent, aware, now_ms, &pending),
                  IsOkAndHolds(aware.Find(pending.position) != nullptr
                                   ? CredentialProgress::kWaiting
                                   : CredentialProgress::kUpdateFromLog));
      continue;
    }
    if (aware.FirstFrom(pending.terminal) == nullptr ||
        aware.FirstFrom(pending.terminal)->position != *expected) {
      break;  // the receiver has slept too long, or nothing is recent under this definition
    }
    if (*expected == pending.terminal) {
      ASSERT_THAT(Update(log, label, pending, size),
                  StatusIs(absl::StatusCode::kFailedPrecondition));
      ++counts->final_by_walk;
    } else {
      ASSERT_OK_AND_ASSIGN(const ProvenCredentialUpdate update, Update(log, label, pending, size));
      ASSERT_EQ(update.distinguished, *expected);
      if (pending.update.empty()) {
        ASSERT_OK_AND_ASSIGN(const CredentialProgress progress,
                             AdvanceCredential(verifier, recent, aware, now_ms, &pending));
        ASSERT_TRUE(progress == CredentialProgress::kUpdateNeeded ||
                    progress == CredentialProgress::kUpdateFromLog);
        pending.update = Encoded(log, update.update);
      }
      ++counts->final_by_update;
    }
    ASSERT_THAT(AdvanceCredential(verifier, recent, aware, now_ms, &pending),
                IsOkAndHolds(CredentialProgress::kFinal));
    return;
  }
  ++counts->unsettled;
}

// One credential of each kind for each log entry that the receiver is aware of at `size`.
void CheckCredentials(const TestLog& log, const ResponseVerifier& verifier, TreeSize size,
                      const std::string& label, const RecentDefinition& recent,
                      SeededRandom& random, Counts* counts) {
  const DistinguishedState aware = AwareAt(log, recent, size);
  const uint64_t now_ms = log.TimestampOf(size - 1);
  const ReferenceLog reference = ReferenceOf(log, size);
  const std::optional<Version> newest = log.Greatest(label, size);
  for (const DistinguishedEntry& entry : aware.entries) {
    SCOPED_TRACE(absl::StrCat("size ", size, ", position ", entry.position));
    const std::optional<Version> there = log.Greatest(label, entry.tree_size());
    if (there.has_value()) {
      ASSERT_OK_AND_ASSIGN(const Credential credential,
                           Standard(log, label, *there, entry.position));
      ASSERT_OK_AND_ASSIGN(
          const VerifiedCredential verified,
          VerifyCredential(verifier, recent, Encoded(log, credential), aware, now_ms));
      ASSERT_EQ(verified.label, base::ToBytes(label));
      ASSERT_EQ(verified.version, *there);
      ASSERT_EQ(verified.value, log.Find(label, *there)->update.value);
      ASSERT_EQ(verified.position, entry.position);
      ASSERT_EQ(verified.pending, std::nullopt);
      ++counts->standard;
    }
    if (!newest.has_value() || entry.tree_size() == size) continue;
    const ReferenceSearch search =
        ReferenceGreatestVersionSearch(reference, *newest, GreatestIn(log, label));
    if (search.terminal <= entry.position) {
      ASSERT_THAT(Provisional(log, label, size, entry.position),
                  StatusIs(absl::StatusCode::kFailedPrecondition));
      ++counts->should_be_standard;
      continue;
    }
    ASSERT_OK_AND_ASSIGN(const Credential credential,
                         Provisional(log, label, size, entry.position));
    ASSERT_OK_AND_ASSIGN(
        const VerifiedCredential verified,
        VerifyCredential(verifier, recent, Encoded(log, credential), aware, now_ms));
    ASSERT_EQ(verified.version, *newest);
    ASSERT_EQ(verified.value, log.Find(label, *newest)->update.value);
    ASSERT_TRUE(verified.pending.has_value());
    ASSERT_EQ(verified.pending->terminal, search.terminal);
    ASSERT_EQ(verified.pending->view.frontier, log.StateAt(size).frontier);
    ASSERT_EQ(verified.pending->view.full_subtrees, log.StateAt(size).full_subtrees);
    ++counts->provisional;
    Settle(log, verifier, label, recent, random, *verified.pending, counts);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST_P(CredentialOperation, VerifiesWhatTheLogMakesAndSettlesItLater) {
  const uint64_t seed = testing::TestSeed(61);
  Counts counts;
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    TestLogOptions options = RandomOptions(random, 40);
    options.suite = GetParam().suite;
    options.mode = GetParam().mode;
    options.maximum_lifetime_ms.reset();
    options.reasonable_monitoring_window_ms = 1000 + random.Below(8000);
    TestLog log(options);
    log.SetAuditorLag(random.Below(6));
    RandomHistory history(random, 3);
    while (log.size() < 45) history.Grow(log);
    ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
    const RecentDefinition recent{1 + random.Below(6), std::nullopt};
    for (int i = 0; i < 3; ++i) {
      CheckCredentials(log, *verifier, 5 + random.Below(30), history.AnyLabel(), recent, random,
                       &counts);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(counts.standard, 10);
  EXPECT_GT(counts.should_be_standard, 0);
  EXPECT_GT(counts.provisional, 2);
}

// Both ways to a final verification, and queued updates, with enough of each.
TEST(Credentials, AreSettledByWalksAndByUpdates) {
  const uint64_t seed = testing::TestSeed(62);
  Counts counts;
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    TestLogOptions options;
    options.reasonable_monitoring_window_ms = 2000 + random.Below(9000);
    TestLog log(options);
    RandomHistory history(random, 2);
    while (log.size() < 70) history.Grow(log);
    ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
    for (int i = 0; i < 3; ++i) {
      CheckCredentials(log, *verifier, 2 + random.Below(60), history.AnyLabel(), {4, std::nullopt},
                       random, &counts);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(counts.provisional, 30);
  EXPECT_GT(counts.final_by_walk, 5);
  EXPECT_GT(counts.final_by_update, 10);
  EXPECT_GT(counts.queued, 5);
  // Those that expire before the first distinguished log entry after them.
  EXPECT_LT(counts.unsettled, counts.provisional / 2);
}

// The receiver has forgotten, or never learned of, all distinguished entries from the terminal one
// up to the one to which the update leads. Monitoring may then end above that one.
void SettleBeyondAGap(const TestLog& log, const ResponseVerifier& verifier,
                      const std::string& label, const RecentDefinition& recent,
                      const PendingCredential& pending, int* beyond) {
  const ReferenceLog reference = ReferenceOf(log, log.size());
  const auto first = reference.distinguished().lower_bound(pending.terminal);
  const LabelRecord record = log.Record(label, MonitoringBinaryLadder(pending.version));
  for (const LogPosition position : reference.distinguished()) {
    if (position < pending.view.tree_size() || position == *first) continue;
    SCOPED_TRACE(absl::StrCat("terminal ", pending.terminal, ", led to ", position));
    CredentialUpdateRequest request;
    request.label = base::ToBytes(label);
    request.version = pending.version;
    request.terminal = pending.terminal;
    request.tree_size = pending.view.tree_size();
    request.distinguished = position;
    ASSERT_OK_AND_ASSIGN(
        const CredentialUpdate update,
        AnswerCredentialUpdate(log.config(), *log.ViewAt(log.size()), request, record));
    const DistinguishedState aware{{EntryOf(log, position)}};
    const uint64_t now_ms = log.TimestampOf(position);
    PendingCredential settled = pending;
    ASSERT_THAT(
        ReceiveCredentialUpdate(verifier, recent, aware, Encoded(log, update), now_ms, &settled),
        IsOkAndHolds(CredentialProgress::kFinal));
    ++*beyond;
  }
}

TEST(Credentials, AreSettledByReceiversWhoMissedDistinguishedEntries) {
  const uint64_t seed = testing::TestSeed(64);
  const RecentDefinition recent{4, std::nullopt};
  int beyond = 0;
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    TestLogOptions options;
    options.reasonable_monitoring_window_ms = 2000 + random.Below(9000);
    TestLog log(options);
    RandomHistory history(random, 2);
    while (log.size() < 70) history.Grow(log);
    ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
    for (TreeSize size = 2; size < 60; ++size) {
      const DistinguishedState aware = AwareAt(log, recent, size);
      const std::string label = history.AnyLabel();
      if (aware.entries.empty() || !log.Greatest(label, size).has_value()) continue;
      const auto credential = Provisional(log, label, size, aware.entries.back().position);
      if (!credential.ok()) continue;
      ASSERT_OK_AND_ASSIGN(const VerifiedCredential verified,
                           VerifyCredential(*verifier, recent, Encoded(log, *credential), aware,
                                            log.TimestampOf(size - 1)));
      SettleBeyondAGap(log, *verifier, label, recent, *verified.pending, &beyond);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(beyond, 100);
}

// A user makes the same credentials of her own searches as the log does.
TEST_P(CredentialOperation, AreMadeOfSearchesToo) {
  const uint64_t seed = testing::TestSeed(63);
  int standard = 0, provisional = 0, neither = 0;
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    TestLogOptions options = OptionsOf(GetParam());
    options.reasonable_monitoring_window_ms = random.Below(6000);
    TestLog log(options);
    log.SetAuditorLag(random.Below(9));
    RandomHistory history(random, 3);
    while (log.size() < 30) history.Grow(log);
    ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
    for (int i = 0; i < 6; ++i) {
      const TreeSize size = 2 + random.Below(29);
      const std::string label = history.AnyLabel();
      const DistinguishedState aware = AwareAt(log, {3, std::nullopt}, size);
      if (!log.Greatest(label, size).has_value() || aware.entries.empty()) continue;
      std::optional<UserState> state;
      const DistinguishedEntry& base = aware.entries[random.Below(aware.entries.size())];
      if (random.Below(4) != 0) {
        state = base.AsUserState();
        state->auditor_tree_head = log.StateAt(base.tree_size()).auditor_tree_head;
      }
      SearchRequest request;
      if (state.has_value()) request.last = state->tree_size();
      request.label = base::ToBytes(label);
      ASSERT_OK_AND_ASSIGN(const Bytes response, log.Search(request, size));
      const absl::StatusOr<Credential> made =
          CredentialFromSearch(*verifier, request, response, state.has_value() ? &*state : nullptr,
                               log.TimestampOf(size - 1));
      if (!made.ok()) {
        ASSERT_THAT(made, StatusIs(absl::StatusCode::kFailedPrecondition));
        ASSERT_FALSE(base::IsVerificationFailure(made.status()));
        ASSERT_FALSE(state.has_value() && base.tree_size() < size);
        ++neither;
        continue;
      }
      ASSERT_THAT(VerifyCredential(*verifier, {3, std::nullopt}, Encoded(log, *made), aware,
                                   log.TimestampOf(size - 1)),
                  IsOk());
      if (made->credential_type == CredentialType::kStandard) {
        ASSERT_THAT(Standard(log, label, made->version, made->position), IsOkAndHolds(*made));
        ++standard;
      } else {
        ASSERT_THAT(Provisional(log, label, size, base.position), IsOkAndHolds(*made));
        ++provisional;
      }
    }
  }
  EXPECT_GT(standard, 3);
  EXPECT_GT(provisional, 3);
  EXPECT_GT(neither, 0);
}

}  // namespace
}  // namespace kt::core
