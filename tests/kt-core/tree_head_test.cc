// SPDX-License-Identifier: Apache-2.0
//
// draft-ietf-keytrans-protocol, "Full Tree Head Verification" and "Auditor Tree Head Signature".
#include "kt-core/tree_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::core {
namespace {

using testing::FailsCheck;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::TestLog;
using testing::TestLogOptions;

constexpr uint64_t kHeadMs = 5'000'000;
constexpr uint64_t kMaxAheadMs = 2'000;
constexpr uint64_t kMaxBehindMs = 30'000;
constexpr uint64_t kMaxLagMs = 700;
constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

class TreeHeadTest : public ::testing::TestWithParam<CipherSuite> {
 protected:
  explicit TreeHeadTest(DeploymentMode mode = DeploymentMode::kContactMonitoring)
      : log_(Options(mode)), config_(log_.config()) {
    const base::SignatureAlgorithm algorithm = SignatureAlgorithmOf(GetParam());
    log_key_ = base::CreateVerifier(algorithm, config_.signature_public_key).value();
    auditor_key_ = base::CreateVerifier(algorithm, log_.keys().auditor->public_key()).value();
    previous_.tree_head.tree_size = 10;
    head_.head_type = FullTreeHeadType::kUpdated;
    head_.tree_head = SignTreeHead(config_, *log_.keys().log, 20, root_).value();
    evidence_.root = root_;
    evidence_.rightmost_ms = kHeadMs;
    evidence_.now_ms = kHeadMs;
  }

  static TestLogOptions Options(DeploymentMode mode) {
    TestLogOptions options;
    options.suite = GetParam();
    options.mode = mode;
    options.max_ahead_ms = kMaxAheadMs;
    options.max_behind_ms = kMaxBehindMs;
    options.max_auditor_lag_ms = kMaxLagMs;
    options.auditor_start_pos = 5;
    return options;
  }

  absl::Status Verify(const UserState* previous = nullptr) const {
    return VerifyFullTreeHead(config_, {log_key_.get(), auditor_key_.get()}, head_, previous,
                              evidence_);
  }
  absl::Status VerifyAt(uint64_t now_ms, const UserState* previous = nullptr) {
    evidence_.now_ms = now_ms;
    return Verify(previous);
  }

  testing::SeededRandom random_{1};
  const Hash root_ = random_.NextHash();
  const TestLog log_;
  Configuration config_;
  std::unique_ptr<base::Verifier> log_key_;
  std::unique_ptr<base::Verifier> auditor_key_;
  UserState previous_;
  FullTreeHead head_;
  HeadEvidence evidence_;
};
const auto kSuites = ::testing::Values(CipherSuite::kP256, CipherSuite::kEd25519);
const auto kSuiteName = [](const auto& param_info) { return NameOf(param_info.param); };
INSTANTIATE_TEST_SUITE_P(Suites, TreeHeadTest, kSuites, kSuiteName);

TEST_P(TreeHeadTest, AcceptsTheLogsHead) {
  EXPECT_THAT(Verify(), IsOk());
  EXPECT_THAT(Verify(&previous_), IsOk());
}

TEST_P(TreeHeadTest, RefusesAnotherRootSizeOrConfiguration) {
  evidence_.root = random_.NextHash();
  EXPECT_THAT(Verify(), FailsCheck("tree-head-signature"));
  evidence_.root = root_;
  head_.tree_head.tree_size = 21;
  EXPECT_THAT(Verify(), FailsCheck("tree-head-signature"));
  head_.tree_head.tree_size = 20;
  config_.max_behind += 1;
  EXPECT_THAT(Verify(), FailsCheck("tree-head-signature"));
  config_ = log_.config();
  head_.tree_head.signature.clear();
  EXPECT_THAT(Verify(), FailsCheck("tree-head-signature"));
}

TEST_P(TreeHeadTest, RefusesAHeadThatAnotherKeySigned) {
  head_.tree_head = SignTreeHead(config_, *log_.keys().auditor, 20, root_).value();
  EXPECT_THAT(Verify(), FailsCheck("tree-head-signature"));
}

// "If the user advertised a previously observed tree size, verify that TreeHead.tree_size is
// greater than the advertised tree size."
TEST_P(TreeHeadTest, RefusesAHeadThatDoesNotGrow) {
  for (const TreeSize seen : {20, 21, 1000}) {
    previous_.tree_head.tree_size = seen;
    EXPECT_THAT(Verify(&previous_), FailsCheck("tree-size"));
  }
  previous_.tree_head.tree_size = 19;
  EXPECT_THAT(Verify(&previous_), IsOk());
}

TEST_P(TreeHeadTest, RefusesSizesOutOfRange) {
  for (const TreeSize size : {TreeSize{0}, TreeSize{1} << 63, kNever}) {
    head_.tree_head = SignTreeHead(config_, *log_.keys().log, size, root_).value();
    EXPECT_THAT(Verify(), FailsCheck("tree-size"));
  }
  EXPECT_THAT(PresentedTreeSize(head_, nullptr), FailsCheck("tree-size"));
  head_.tree_head.tree_size = (TreeSize{1} << 63) - 1;
  EXPECT_THAT(PresentedTreeSize(head_, nullptr), IsOkAndHolds(head_.tree_head.tree_size));
}

TEST_P(TreeHeadTest, SameMeansTheRetainedHead) {
  head_ = FullTreeHead{};
  EXPECT_THAT(PresentedTreeSize(head_, &previous_), IsOkAndHolds(10));
  EXPECT_THAT(Verify(&previous_), IsOk());
  EXPECT_THAT(Verify(), FailsCheck("tree-size"));
  EXPECT_THAT(PresentedTreeSize(head_, nullptr), FailsCheck("tree-size"));
  // Its timestamp must still be within bounds.
  EXPECT_THAT(VerifyAt(kHeadMs + kMaxBehindMs, &previous_), IsOk());
  EXPECT_THAT(VerifyAt(kHeadMs + kMaxBehindMs + 1, &previous_), FailsCheck("timestamp-bounds"));
  EXPECT_THAT(VerifyAt(kHeadMs - kMaxAheadMs, &previous_), IsOk());
  EXPECT_THAT(VerifyAt(kHeadMs - kMaxAheadMs - 1, &previous_), FailsCheck("timestamp-bounds"));
}

TEST_P(TreeHeadTest, HoldsTheClockToItsExactBounds) {
  EXPECT_THAT(VerifyAt(kHeadMs + kMaxBehindMs), IsOk());
  EXPECT_THAT(VerifyAt(kHeadMs + kMaxBehindMs + 1), FailsCheck("timestamp-bounds"));
  EXPECT_THAT(VerifyAt(kHeadMs - kMaxAheadMs), IsOk());
  EXPECT_THAT(VerifyAt(kHeadMs - kMaxAheadMs - 1), FailsCheck("timestamp-bounds"));
  EXPECT_THAT(VerifyAt(0), FailsCheck("timestamp-bounds"));
  EXPECT_THAT(VerifyAt(kNever), FailsCheck("timestamp-bounds"));
}

TEST_P(TreeHeadTest, BoundsDoNotOverflow) {
  config_.max_ahead = config_.max_behind = kNever;
  head_.tree_head = SignTreeHead(config_, *log_.keys().log, 20, root_).value();
  for (const uint64_t head_ms : {uint64_t{0}, kHeadMs, kNever}) {
    evidence_.rightmost_ms = head_ms;
    for (const uint64_t now_ms : {uint64_t{0}, kHeadMs, kNever}) {
      EXPECT_THAT(VerifyAt(now_ms), IsOk());
    }
  }
  config_.max_ahead = config_.max_behind = 0;
  head_.tree_head = SignTreeHead(config_, *log_.keys().log, 20, root_).value();
  evidence_.rightmost_ms = kHeadMs;
  EXPECT_THAT(VerifyAt(kHeadMs), IsOk());
  EXPECT_THAT(VerifyAt(kHeadMs + 1), FailsCheck("timestamp-bounds"));
  EXPECT_THAT(VerifyAt(kHeadMs - 1), FailsCheck("timestamp-bounds"));
}

// --- with an auditor ---------------------------------------------------------------------

class AuditedTreeHeadTest : public TreeHeadTest {
 protected:
  AuditedTreeHeadTest() : TreeHeadTest(DeploymentMode::kThirdPartyAuditing) {
    evidence_.other_root = other_root_;
    SignAuditor(kHeadMs - 100, 18);
    previous_.auditor_tree_head = AuditorTreeHead{kHeadMs - 1000, 8, {}};
  }
  void SignAuditor(uint64_t timestamp_ms, TreeSize size) {
    head_.auditor_tree_head =
        SignAuditorTreeHead(config_, *log_.keys().auditor, timestamp_ms, size, other_root_).value();
  }
  const Hash other_root_ = random_.NextHash();
};
INSTANTIATE_TEST_SUITE_P(Suites, AuditedTreeHeadTest, kSuites, kSuiteName);

TEST_P(AuditedTreeHeadTest, AcceptsTheAuditorsHead) {
  EXPECT_THAT(Verify(), IsOk());
  EXPECT_THAT(Verify(&previous_), IsOk());
}

// Step 1.
TEST_P(AuditedTreeHeadTest, RefusesAnAuditorWhoBeganAfterThePreviousOneEnded) {
  ASSERT_EQ(config_.auditor_start_pos, 5u);
  previous_.auditor_tree_head->tree_size = 5;
  EXPECT_THAT(Verify(&previous_), IsOk());
  previous_.auditor_tree_head->tree_size = 4;
  EXPECT_THAT(Verify(&previous_), FailsCheck("auditor-tree-head"));
}

// Nothing shows that the entries from the previous head to the auditor's start were audited.
TEST_P(AuditedTreeHeadTest, RefusesToGoOnFromAHeadWithoutAuditor) {
  previous_.auditor_tree_head.reset();
  EXPECT_THAT(Verify(&previous_), FailsCheck("auditor-tree-head"));
}

// Step 2.
TEST_P(AuditedTreeHeadTest, HoldsTheAuditorsLagToItsExactBound) {
  SignAuditor(kHeadMs, 20);
  EXPECT_THAT(Verify(), IsOk());
  SignAuditor(kHeadMs + 1, 20);
  EXPECT_THAT(Verify(), FailsCheck("auditor-tree-head"));
  SignAuditor(kHeadMs - kMaxLagMs, 18);
  EXPECT_THAT(Verify(), IsOk());
  SignAuditor(kHeadMs - kMaxLagMs - 1, 18);
  EXPECT_THAT(Verify(), FailsCheck("auditor-tree-head"));
  SignAuditor(0, 18);
  EXPECT_THAT(Verify(), FailsCheck("auditor-tree-head"));
  SignAuditor(kNever, 18);
  EXPECT_THAT(Verify(), FailsCheck("auditor-tree-head"));
}

// Step 3.
TEST_P(AuditedTreeHeadTest, RefusesATreeLargerThanTheLogs) {
  SignAuditor(kHeadMs, 20);
  EXPECT_THAT(Verify(), IsOk());
  SignAuditor(kHeadMs, 21);
  EXPECT_THAT(Verify(), FailsCheck("auditor-tree-head"));
}

// Step 4.
TEST_P(AuditedTreeHeadTest, RefusesSignaturesOverAnythingElse) {
  const AuditorTreeHead good = head_.auditor_tree_head;
  head_.auditor_tree_head.timestamp += 1;
  EXPECT_THAT(Verify(), FailsCheck("auditor-tree-head-signature"));
  head_.auditor_tree_head = good;
  head_.auditor_tree_head.tree_size -= 1;
  EXPECT_THAT(Verify(), FailsCheck("auditor-tree-head-signature"));
  head_.auditor_tree_head = good;
  head_.auditor_tree_head.signature[0] ^= 1;
  EXPECT_THAT(Verify(), FailsCheck("auditor-tree-head-signature"));
  head_.auditor_tree_head = good;
  evidence_.other_root = root_;
  EXPECT_THAT(Verify(), FailsCheck("auditor-tree-head-signature"));
  evidence_.other_root = other_root_;
  head_.auditor_tree_head =
      SignAuditorTreeHead(config_, *log_.keys().log, good.timestamp, good.tree_size, other_root_)
          .value();
  EXPECT_THAT(Verify(), FailsCheck("auditor-tree-head-signature"));
  // The log's signature is needed as well.
  head_.auditor_tree_head = good;
  head_.tree_head.signature[0] ^= 1;
  EXPECT_THAT(Verify(), FailsCheck("tree-head-signature"));
}

}  // namespace
}  // namespace kt::core
