// SPDX-License-Identifier: Apache-2.0
//
// Every way to make a wrong credential, to keep one for too long, and to deceive its sender.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "kt-core/algorithms.h"
#include "kt-core/credential.h"
#include "tests/kt-core/credential_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::core {
namespace {

using testing::FailsCheck;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::IsVerificationFailure;
using testing::StatusIs;
using testing::TestLog;
using testing::TestLogOptions;

// --- one log, by hand --------------------------------------------------------------------

constexpr uint64_t kNowMs = 1'000'000;
const RecentDefinition kRecent = {4, std::nullopt};

// Entries a second apart, and a window of three: of the first nine entries 3, 5 and 7 are
// distinguished, among others. "alice" gets version 0 in entry 2, 1 in entry 5 and 2 in entry 8;
// entry 9 becomes the first distinguished one after that.
class AliceLog {
 public:
  explicit AliceLog(const Deployment& deployment = {CipherSuite::kEd25519,
                                                    DeploymentMode::kContactMonitoring},
                    std::optional<uint64_t> lifetime_ms = std::nullopt)
      : log_([&] {
          TestLogOptions options = OptionsOf(deployment);
          options.reasonable_monitoring_window_ms = 3000;
          options.maximum_lifetime_ms = lifetime_ms;
          return options;
        }()),
        verifier_(ResponseVerifier::Create(log_.config()).value()) {
    Grow(log_, 9);
  }

  static uint64_t TimeOf(LogPosition position) { return kNowMs + 1000 * position; }
  static void Grow(TestLog& log, TreeSize size, const std::string& suffix = "") {
    while (log.size() < size) {
      const LogPosition next = log.size();
      std::vector<testing::TestUpdate> updates = {{absl::StrCat("label", next % 3), "x" + suffix}};
      if (next == 2 || next == 5 || next == 8) updates.push_back({"alice", "a" + suffix});
      log.Append(TimeOf(next), updates);
    }
  }

  TestLog& log() { return log_; }
  const ResponseVerifier& verifier() const { return *verifier_; }
  absl::StatusOr<VerifiedCredential> Verify(ByteView bytes, const DistinguishedState& aware,
                                            const RecentDefinition& recent = kRecent,
                                            uint64_t now_ms = TimeOf(8)) const {
    return VerifyCredential(*verifier_, recent, bytes, aware, now_ms);
  }
  absl::StatusOr<VerifiedCredential> Verify(const Credential& credential) const {
    return Verify(Encoded(log_, credential), AwareAt(log_, kRecent, 9));
  }
  // Alice's version 1 in entry 7, and her version 2 after it.
  Credential StandardOne() const { return Standard(log_, "alice", 1, 7).value(); }
  Credential ProvisionalTwo() const { return Provisional(log_, "alice", 9, 7).value(); }

 private:
  TestLog log_;
  std::unique_ptr<ResponseVerifier> verifier_;
};

class CredentialReject : public ::testing::TestWithParam<Deployment> {
 protected:
  AliceLog alice_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(
    Deployments, CredentialReject,
    ::testing::Values(Deployment{CipherSuite::kP256, DeploymentMode::kContactMonitoring},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kContactMonitoring},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kThirdPartyManagement},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kThirdPartyAuditing}),
    NameOfDeployment);

// Every byte of a credential is authenticated.
TEST_P(CredentialReject, AFlippedBitInAnyByteAndEveryTruncation) {
  const DistinguishedState aware = AwareAt(alice_.log(), kRecent, 9);
  for (const Credential& credential : {alice_.StandardOne(), alice_.ProvisionalTwo()}) {
    const Bytes bytes = Encoded(alice_.log(), credential);
    ASSERT_THAT(alice_.Verify(bytes, aware), IsOk());
    // Every byte in one deployment, one in four where others may differ.
    const size_t step = GetParam().mode == DeploymentMode::kContactMonitoring ? 1 : 4;
    for (size_t i = 0; i < bytes.size(); i += step) {
      Bytes flipped = bytes;
      flipped[i] = static_cast<uint8_t>(flipped[i] ^ (1 << (i % 8)));
      const absl::Status status = alice_.Verify(flipped, aware).status();
      // Another position may be one that the user does not know.
      ASSERT_TRUE(base::IsVerificationFailure(status) || absl::IsUnavailable(status) ||
                  absl::IsOutOfRange(status))
          << "byte " << i << ": " << status;
      ASSERT_THAT(alice_.Verify(ByteView(bytes).first(i), aware),
                  FailsCheck("malformed-credential"));
    }
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_THAT(alice_.Verify(longer, aware), FailsCheck("malformed-credential"));
  }
}

TEST_P(CredentialReject, AFlippedBitInAnyByteOfAnUpdate) {
  ASSERT_OK_AND_ASSIGN(const VerifiedCredential verified, alice_.Verify(alice_.ProvisionalTwo()));
  const PendingCredential pending = *verified.pending;
  AliceLog::Grow(alice_.log(), 16);
  const DistinguishedState aware = AwareAt(alice_.log(), kRecent, 16);
  const DistinguishedEntry* expected = aware.FirstFrom(pending.terminal);
  ASSERT_NE(expected, nullptr);
  ASSERT_OK_AND_ASSIGN(const ProvenCredentialUpdate update,
                       Update(alice_.log(), "alice", pending, 16));
  ASSERT_EQ(update.distinguished, expected->position);
  const Bytes bytes = Encoded(alice_.log(), update.update);
  const auto receive = [&](ByteView received) {
    PendingCredential copy = pending;
    const auto progress = ReceiveCredentialUpdate(alice_.verifier(), kRecent, aware, received,
                                                  AliceLog::TimeOf(15), &copy);
    // A failed update leaves nothing behind.
    if (!progress.ok()) {
      EXPECT_EQ(copy, pending);
    }
    return progress;
  };
  ASSERT_THAT(receive(bytes), IsOkAndHolds(CredentialProgress::kFinal));
  for (size_t i = 0; i < bytes.size(); ++i) {
    Bytes flipped = bytes;
    flipped[i] = static_cast<uint8_t>(flipped[i] ^ (1 << (i % 8)));
    ASSERT_THAT(receive(flipped), IsVerificationFailure()) << i;
    ASSERT_THAT(receive(ByteView(bytes).first(i)), FailsCheck("malformed-credential"));
  }
  EXPECT_THAT(receive(Bytes(kMaxCredentialUpdateSize + 1)), FailsCheck("malformed-credential"));
}

TEST_P(CredentialReject, AnotherConfiguration) {
  Configuration config = alice_.log().config();
  config.max_ahead += 1;
  ASSERT_OK_AND_ASSIGN(const auto other, ResponseVerifier::Create(config));
  const DistinguishedState aware = AwareAt(alice_.log(), kRecent, 9);
  // Nothing in a standard credential is signed but a managed log's value; it stands and falls with
  // the log entries that the user knows.
  const bool managed = GetParam().mode == DeploymentMode::kThirdPartyManagement;
  EXPECT_THAT(VerifyCredential(*other, kRecent, Encoded(alice_.log(), alice_.ProvisionalTwo()),
                               aware, AliceLog::TimeOf(8)),
              FailsCheck(managed ? "update-signature" : "tree-head-signature"));
  TestLogOptions options = OptionsOf(GetParam());
  options.seed = 2;
  const TestLog stranger(options);
  config = alice_.log().config();
  config.vrf_public_key = stranger.config().vrf_public_key;
  ASSERT_OK_AND_ASSIGN(const auto other_vrf, ResponseVerifier::Create(config));
  EXPECT_THAT(VerifyCredential(*other_vrf, kRecent, Encoded(alice_.log(), alice_.StandardOne()),
                               aware, AliceLog::TimeOf(8)),
              FailsCheck(managed ? "update-signature" : "vrf-proof"));
}

TEST_P(CredentialReject, LaddersOfTheWrongSizeAndCommitmentsWhereNoneBelong) {
  for (const Credential& honest : {alice_.StandardOne(), alice_.ProvisionalTwo()}) {
    ASSERT_THAT(alice_.Verify(honest), IsOk());
    Credential credential = honest;
    credential.binary_ladder.pop_back();
    EXPECT_THAT(alice_.Verify(credential), FailsCheck("binary-ladder"));
    const std::vector<Version> ladder = BaseBinaryLadder(honest.version);
    for (size_t i = 0; i < ladder.size(); ++i) {
      credential = honest;
      std::optional<Hash>& commitment = credential.binary_ladder[i].commitment;
      if (ladder[i] < honest.version) {
        ASSERT_TRUE(commitment.has_value());
        commitment.reset();
        EXPECT_THAT(alice_.Verify(credential), FailsCheck("commitment"));
      } else {
        ASSERT_FALSE(commitment.has_value());
        commitment = alice_.log().Find("alice", honest.version)->commitment;
        EXPECT_THAT(alice_.Verify(credential), FailsCheck("binary-ladder"));
      }
    }
  }
}

// --- what is claimed ---------------------------------------------------------------------

TEST(CredentialClaims, AStandardCredentialIsForTheGreatestVersionOnly) {
  AliceLog alice;
  EXPECT_THAT(Standard(alice.log(), "alice", 0, 7), FailsCheck("credential"));
  EXPECT_THAT(Standard(alice.log(), "alice", 2, 7), FailsCheck("credential"));
  EXPECT_THAT(Standard(alice.log(), "alice", 2, 9), StatusIs(absl::StatusCode::kInvalidArgument));
  // The honest proof of an entry with another greatest version, under the wrong claim.
  Credential credential = Standard(alice.log(), "alice", 0, 3).value();
  credential.position = 7;
  EXPECT_THAT(alice.Verify(credential), IsVerificationFailure());
  // The version is not there yet: entry 3 has version 0 only.
  credential = alice.StandardOne();
  const std::vector<base::VrfOutput> until_refuted = {alice.log().OutputOf("alice", 0),
                                                      alice.log().OutputOf("alice", 1)};
  credential.position = 3;
  credential.distinguished = alice.log().PrefixTreeOf(3).Prove(until_refuted);
  EXPECT_THAT(alice.Verify(credential), FailsCheck("credential"));
  // A ladder that ends where the claim is refuted: the lookups that a search would get.
  credential = Standard(alice.log(), "alice", 0, 3).value();
  const std::vector<base::VrfOutput> keys = {alice.log().OutputOf("alice", 0),
                                             alice.log().OutputOf("alice", 1)};
  credential.position = 7;
  credential.distinguished = alice.log().PrefixTreeOf(7).Prove(keys);
  EXPECT_THAT(alice.Verify(credential), FailsCheck("commitment"));
}

TEST(CredentialClaims, AManagedValueNeedsTheOperatorsSignature) {
  AliceLog alice({CipherSuite::kEd25519, DeploymentMode::kThirdPartyManagement});
  Credential credential = alice.StandardOne();
  EXPECT_THAT(alice.Verify(credential), IsOk());
  credential.value.value.push_back(0);
  EXPECT_THAT(alice.Verify(credential), FailsCheck("update-signature"));
}

// "The initial verification process explicitly rejects a provisional credential if a standard
// credential could have been produced from the same log entry."
TEST(CredentialClaims, AProvisionalCredentialIsRefusedWhereAStandardOneBelongs) {
  AliceLog alice;
  const TestLog shorter = alice.log().Prefix(8);
  TestLog log = shorter;
  log.Append(AliceLog::TimeOf(8));  // alice has no version 2 in this one
  EXPECT_THAT(Provisional(log, "alice", 9, 7), StatusIs(absl::StatusCode::kFailedPrecondition));
  Credential credential = alice.StandardOne();
  const LabelRecord record = log.Record("alice", BaseBinaryLadder(1));
  const auto view = log.ViewAt(9);
  ProofRecorder recorder(*view, 8, record);
  ASSERT_THAT(UpdateView(recorder, 8), IsOk());
  ASSERT_THAT(GreatestVersionSearch(recorder, 1, log.config()), IsOk());
  credential.credential_type = CredentialType::kProvisional;
  credential.search = recorder.Finish(std::nullopt).value();
  credential.tree_head = log.HeadAt(9).tree_head;
  EXPECT_THAT(alice.Verify(Encoded(log, credential), AwareAt(log, kRecent, 9)),
              FailsCheck("credential-terminal"));
}

TEST(CredentialClaims, ATreeThatDoesNotGoBeyondThePositionIsRefused) {
  AliceLog alice;
  EXPECT_THAT(Provisional(alice.log(), "alice", 9, 8),
              StatusIs(absl::StatusCode::kInvalidArgument));
  for (const TreeSize size : {TreeSize{0}, TreeSize{7}, TreeSize{8}, ~TreeSize{0}}) {
    Credential credential = alice.ProvisionalTwo();
    credential.tree_head.tree_size = size;
    EXPECT_THAT(alice.Verify(credential), FailsCheck("tree-size"));
  }
}

// The log's own clock bounds hold for what credentials show of it.
TEST(CredentialClaims, AHeadOfTheFutureIsRefused) {
  AliceLog alice;
  const DistinguishedState aware = AwareAt(alice.log(), kRecent, 9);
  const Bytes bytes = Encoded(alice.log(), alice.ProvisionalTwo());
  const uint64_t earliest_ms = AliceLog::TimeOf(8) - alice.log().config().max_ahead;
  EXPECT_THAT(alice.Verify(bytes, aware, kRecent, earliest_ms), IsOk());
  EXPECT_THAT(alice.Verify(bytes, aware, kRecent, earliest_ms - 1), FailsCheck("timestamp-bounds"));
}

// --- what the receiver is aware of -------------------------------------------------------

TEST(CredentialExpiry, FollowsTheEntriesThatTheUserKnows) {
  AliceLog alice;
  const Bytes standard = Encoded(alice.log(), alice.StandardOne());
  const Bytes provisional = Encoded(alice.log(), alice.ProvisionalTwo());
  const DistinguishedState all = AwareAt(alice.log(), kRecent, 9);
  for (const Bytes& bytes : {standard, provisional}) {
    EXPECT_THAT(alice.Verify(bytes, all), IsOk());
    // Not there yet.
    EXPECT_THAT(alice.Verify(bytes, {}), StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_THAT(alice.Verify(bytes, AwareAt(alice.log(), kRecent, 7)),
                StatusIs(absl::StatusCode::kUnavailable));
    // No longer there: 7 has fallen out of the last four.
    AliceLog later;
    AliceLog::Grow(later.log(), 24);
    const DistinguishedState newer = AwareAt(later.log(), kRecent, 24);
    ASSERT_GT(newer.entries.front().position, 7u);
    EXPECT_THAT(alice.Verify(bytes, newer), StatusIs(absl::StatusCode::kOutOfRange));
    // Known around it, but not it: such a log entry is not distinguished.
    DistinguishedState without = all;
    std::erase_if(without.entries, [](const auto& entry) { return entry.position == 7; });
    without.entries.push_back(EntryOf(alice.log(), 8));
    EXPECT_THAT(alice.Verify(bytes, without), FailsCheck("credential-position"));
  }
}

// A user who has not walked for long cannot take an old credential for a recent one.
TEST(CredentialExpiry, FollowsTheClockToo) {
  const RecentDefinition aged{4, 5000};
  for (const bool by_lifetime : {false, true}) {
    AliceLog alice({CipherSuite::kEd25519, DeploymentMode::kContactMonitoring},
                   by_lifetime ? std::optional<uint64_t>(5000) : std::nullopt);
    const RecentDefinition& recent = by_lifetime ? kRecent : aged;
    const DistinguishedState aware = AwareAt(alice.log(), recent, 9);
    const Bytes bytes = Encoded(alice.log(), alice.StandardOne());
    // Entry 7 is 5000 ms old when the log's clock says so, which may be max_behind later.
    const uint64_t expiry_ms = AliceLog::TimeOf(7) + 5000 + alice.log().config().max_behind;
    EXPECT_THAT(alice.Verify(bytes, aware, recent, expiry_ms - 1), IsOk());
    EXPECT_THAT(alice.Verify(bytes, aware, recent, expiry_ms),
                StatusIs(absl::StatusCode::kOutOfRange));
    EXPECT_THAT(alice.Verify(bytes, aware, recent, ~uint64_t{0}),
                StatusIs(absl::StatusCode::kOutOfRange));
  }
}

TEST(CredentialExpiry, OfAPendingCredentialSendsTheUserToTheLog) {
  AliceLog alice;
  PendingCredential pending = *alice.Verify(alice.ProvisionalTwo())->pending;
  const auto advance = [&](const DistinguishedState& aware, uint64_t now_ms) {
    return AdvanceCredential(alice.verifier(), {4, 5000}, aware, now_ms, &pending);
  };
  const DistinguishedState aware = AwareAt(alice.log(), kRecent, 9);
  const uint64_t expiry_ms = AliceLog::TimeOf(7) + 5000 + alice.log().config().max_behind;
  EXPECT_THAT(advance(aware, expiry_ms - 1), IsOkAndHolds(CredentialProgress::kWaiting));
  EXPECT_THAT(advance(aware, expiry_ms), IsOkAndHolds(CredentialProgress::kUpdateFromLog));
  AliceLog::Grow(alice.log(), 16);
  const DistinguishedState newer = AwareAt(alice.log(), {10, std::nullopt}, 16);
  EXPECT_THAT(advance(newer, expiry_ms - 1), IsOkAndHolds(CredentialProgress::kUpdateNeeded));
  EXPECT_THAT(advance(newer, expiry_ms), IsOkAndHolds(CredentialProgress::kUpdateFromLog));
  // Even then an update settles it.
  ASSERT_OK_AND_ASSIGN(const ProvenCredentialUpdate update,
                       Update(alice.log(), "alice", pending, 16));
  EXPECT_THAT(ReceiveCredentialUpdate(alice.verifier(), {4, 5000}, newer,
                                      Encoded(alice.log(), update.update), expiry_ms, &pending),
              IsOkAndHolds(CredentialProgress::kFinal));
}

// --- forks -------------------------------------------------------------------------------

// A log that shows the sender another branch than the receiver: before the position it fails at
// once, after it as soon as the receiver knows a distinguished log entry of her own branch.
TEST(CredentialForks, ShowInitiallyOrFinally) {
  int initially = 0, finally_by_walk = 0, finally_by_update = 0;
  for (TreeSize shared = 1; shared <= 8; ++shared) {
    for (TreeSize size = 9; size <= 13; ++size) {
      AliceLog alice;
      TestLog fork = alice.log().Prefix(shared);
      AliceLog::Grow(fork, 40, " forked");
      AliceLog::Grow(alice.log(), 40);
      if (fork.Greatest("alice", size) == fork.Greatest("alice", 8)) continue;
      const DistinguishedState aware = AwareAt(alice.log(), kRecent, 9);
      const absl::StatusOr<Credential> credential = Provisional(fork, "alice", size, 7);
      if (!credential.ok()) continue;
      const auto verified =
          alice.Verify(Encoded(fork, *credential), aware, kRecent, AliceLog::TimeOf(size));
      if (shared < 8) {
        EXPECT_THAT(verified, IsVerificationFailure()) << shared << " " << size;
        ++initially;
        continue;
      }
      ASSERT_THAT(verified, IsOk());
      PendingCredential pending = *verified->pending;
      const DistinguishedState newer = AwareAt(alice.log(), {40, std::nullopt}, 40);
      const auto progress =
          AdvanceCredential(alice.verifier(), kRecent, newer, AliceLog::TimeOf(39), &pending);
      if (!progress.ok()) {
        EXPECT_THAT(progress, FailsCheck("credential-fork"));
        ++finally_by_walk;
        continue;
      }
      EXPECT_EQ(*progress, CredentialProgress::kUpdateNeeded);
      // Neither the fork's update nor the log's own continues what the credential shows to what
      // the receiver knows.
      for (const TestLog* log : {&fork, &alice.log()}) {
        ASSERT_OK_AND_ASSIGN(const ProvenCredentialUpdate update,
                             Update(*log, "alice", pending, 40));
        EXPECT_THAT(
            ReceiveCredentialUpdate(alice.verifier(), kRecent, newer, Encoded(*log, update.update),
                                    AliceLog::TimeOf(39), &pending),
            IsVerificationFailure());
      }
      ++finally_by_update;
    }
  }
  EXPECT_GT(initially, 5);
  EXPECT_GT(finally_by_walk + finally_by_update, 2);
}

// The fork is in an entry between the one that the credential is based on and its terminal one,
// which the two logs have in common.
TEST(CredentialForks, ShowInAnEntryBeforeTheTerminalOneToo) {
  AliceLog alice;
  const auto grow = [&](uint64_t ms_later) {
    TestLog log = alice.log().Prefix(8);
    log.Append(AliceLog::TimeOf(8) + ms_later);
    log.Append(AliceLog::TimeOf(9), {{"alice", "a"}});
    AliceLog::Grow(log, 40);
    return log;
  };
  const TestLog honest = grow(0), fork = grow(1);
  ASSERT_EQ(honest.PrefixRootOf(9), fork.PrefixRootOf(9));
  const DistinguishedState aware = AwareAt(honest, kRecent, 10);
  const DistinguishedState newer = AwareAt(honest, {40, std::nullopt}, 40);
  ASSERT_NE(newer.Find(9), nullptr);
  for (const TestLog* log : {&honest, &fork}) {
    ASSERT_OK_AND_ASSIGN(const Credential credential, Provisional(*log, "alice", 10, 7));
    ASSERT_OK_AND_ASSIGN(
        const VerifiedCredential verified,
        alice.Verify(Encoded(*log, credential), aware, kRecent, AliceLog::TimeOf(9)));
    PendingCredential pending = *verified.pending;
    ASSERT_EQ(pending.terminal, 9u);
    const auto progress =
        AdvanceCredential(alice.verifier(), kRecent, newer, AliceLog::TimeOf(39), &pending);
    if (log == &honest) {
      EXPECT_THAT(progress, IsOkAndHolds(CredentialProgress::kFinal));
    } else {
      EXPECT_THAT(progress, FailsCheck("credential-fork"));
    }
  }
}

// Contact monitoring by the receiver: a version that the log takes back after the credential.
TEST(CredentialForks, ATakenBackVersionFailsTheUpdate) {
  AliceLog alice;
  PendingCredential pending = *alice.Verify(alice.ProvisionalTwo())->pending;
  alice.log().Hide("alice", 2);
  AliceLog::Grow(alice.log(), 16);
  const DistinguishedState aware = AwareAt(alice.log(), kRecent, 16);
  ASSERT_OK_AND_ASSIGN(const ProvenCredentialUpdate update,
                       Update(alice.log(), "alice", pending, 16));
  EXPECT_THAT(
      ReceiveCredentialUpdate(alice.verifier(), kRecent, aware, Encoded(alice.log(), update.update),
                              AliceLog::TimeOf(15), &pending),
      FailsCheck("monitoring-ladder"));
}

// --- storing -----------------------------------------------------------------------------

TEST(PendingCredentials, ThatWereDamagedAreRefused) {
  AliceLog alice;
  const PendingCredential honest = *alice.Verify(alice.ProvisionalTwo())->pending;
  EXPECT_THAT(ValidatePendingCredential(honest), IsOk());
  EXPECT_EQ(honest.credential, Encoded(alice.log(), alice.ProvisionalTwo()));
  const DistinguishedState aware = AwareAt(alice.log(), kRecent, 9);
  const std::function<void(PendingCredential&)> damages[] = {
      [](PendingCredential& p) { p.position = p.terminal; },
      [](PendingCredential& p) { p.terminal = p.view.tree_size(); },
      [](PendingCredential& p) { p.terminal -= 1; },
      [](PendingCredential& p) { p.view.frontier.pop_back(); },
      [](PendingCredential& p) { p.terminal_state.full_subtrees.emplace_back(); },
      [](PendingCredential& p) { p.versions.pop_back(); },
      [](PendingCredential& p) { p.versions.push_back(p.versions.back()); },
      [](PendingCredential& p) { p.version += 1; },
      [](PendingCredential& p) { p.view.tree_head.tree_size = 0; },
  };
  for (const auto& damage : damages) {
    PendingCredential pending = honest;
    damage(pending);
    EXPECT_THAT(AdvanceCredential(alice.verifier(), kRecent, aware, kNowMs, &pending),
                StatusIs(absl::StatusCode::kDataLoss));
  }
}

}  // namespace
}  // namespace kt::core
