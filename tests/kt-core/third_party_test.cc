// SPDX-License-Identifier: Apache-2.0
//
// Searches of logs with a third-party auditor or manager.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "kt-core/response_verifier.h"
#include "kt-core/tree_head.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::core {
namespace {

using testing::FailsCheck;
using testing::IsOk;
using testing::IsVerificationFailure;
using testing::TestLog;
using testing::TestLogOptions;
using testing::TestUser;

constexpr uint64_t kStartMs = 1'000'000;
constexpr uint64_t kMaxLagMs = 500;

// An entry each 100 ms.
void Grow(TestLog& log, TreeSize size) {
  while (log.size() < size) {
    log.Append(kStartMs + 100 * log.size(), {{"alice", absl::StrCat(log.size())}});
  }
}

class Audited : public ::testing::TestWithParam<CipherSuite> {
 protected:
  explicit Audited(uint64_t auditor_start_pos = 0) : log_(Options(auditor_start_pos)) {
    Grow(log_, 12);
    verifier_ = ResponseVerifier::Create(log_.config()).value();
  }
  static TestLogOptions Options(uint64_t auditor_start_pos) {
    TestLogOptions options;
    options.suite = GetParam();
    options.mode = DeploymentMode::kThirdPartyAuditing;
    options.max_auditor_lag_ms = kMaxLagMs;
    options.auditor_start_pos = auditor_start_pos;
    return options;
  }

  // What a user who has seen `seen` entries (0: none) makes of the log's answer after `change`.
  absl::StatusOr<VerifiedSearch> Ask(TreeSize seen,
                                     const std::function<void(SearchResponse&)>& change = {}) {
    TestUser user(*verifier_);
    if (seen > 0) user.set_state(log_.StateAt(seen));
    const SearchRequest request = user.Request("alice");
    KT_ASSIGN_OR_RETURN(SearchResponse response, log_.SearchResponse(request));
    if (change) change(response);
    return user.Search(request, codec::Encode(response, log_.context()), log_.RightmostMs());
  }
  void Sign(SearchResponse& response, uint64_t timestamp_ms, TreeSize size, const Hash& root) {
    response.full_tree_head.auditor_tree_head =
        SignAuditorTreeHead(log_.config(), *log_.keys().auditor, timestamp_ms, size, root).value();
  }

  TestLog log_;
  std::unique_ptr<ResponseVerifier> verifier_;
};
const auto kSuites = ::testing::Values(CipherSuite::kP256, CipherSuite::kEd25519);
const auto kSuiteName = [](const auto& param_info) { return NameOf(param_info.param); };
INSTANTIATE_TEST_SUITE_P(Suites, Audited, kSuites, kSuiteName);

// Entries are 100 ms apart and the bound is 500 ms: five entries behind is the most.
TEST_P(Audited, AuditorMayLagToTheExactBound) {
  for (TreeSize lag = 0; lag < 12; ++lag) {
    log_.SetAuditorLag(lag);
    for (const TreeSize seen : {0, 3, 8, 11}) {
      const auto result = Ask(seen);
      if (lag <= 5) {
        ASSERT_THAT(result, IsOk()) << lag << " entries behind, seen " << seen;
        EXPECT_EQ(result->state, log_.StateAt(12));
        EXPECT_EQ(result->state.auditor_tree_head->tree_size, 12 - lag);
        EXPECT_FALSE(result->monitoring_required);
      } else {
        EXPECT_THAT(result, FailsCheck("auditor-tree-head"));
      }
    }
  }
}

TEST_P(Audited, AuditorsHeadMayNotBeNewerOrLargerThanTheLogs) {
  const uint64_t head_ms = log_.RightmostMs();
  EXPECT_THAT(Ask(0, [&](SearchResponse& r) { Sign(r, head_ms, 12, log_.RootAt(12)); }), IsOk());
  EXPECT_THAT(Ask(0, [&](SearchResponse& r) { Sign(r, head_ms + 1, 12, log_.RootAt(12)); }),
              FailsCheck("auditor-tree-head"));
  for (const TreeSize size : {TreeSize{13}, TreeSize{0}, ~TreeSize{0}}) {
    EXPECT_THAT(Ask(0, [&](SearchResponse& r) { Sign(r, head_ms, size, log_.RootAt(12)); }),
                FailsCheck("auditor-tree-head"));
  }
}

TEST_P(Audited, AuditorsSignatureIsOverTheRootAtItsSize) {
  log_.SetAuditorLag(2);
  EXPECT_THAT(Ask(0), IsOk());
  const uint64_t audited_ms = log_.TimestampOf(9);
  for (const TreeSize seen : {0, 4, 9, 11}) {
    EXPECT_THAT(Ask(seen, [&](SearchResponse& r) { Sign(r, audited_ms, 10, log_.RootAt(10)); }),
                IsOk());
    for (const TreeSize wrong : {9, 11, 12}) {
      EXPECT_THAT(
          Ask(seen, [&](SearchResponse& r) { Sign(r, audited_ms, 10, log_.RootAt(wrong)); }),
          FailsCheck("auditor-tree-head-signature"));
    }
  }
  EXPECT_THAT(Ask(0,
                  [&](SearchResponse& r) {
                    r.full_tree_head.auditor_tree_head =
                        SignAuditorTreeHead(log_.config(), *log_.keys().log, audited_ms, 10,
                                            log_.RootAt(10))
                            .value();
                  }),
              FailsCheck("auditor-tree-head-signature"));
  EXPECT_THAT(Ask(0, [](SearchResponse& r) { r.full_tree_head.auditor_tree_head = {}; }),
              IsVerificationFailure());
}

// An auditor who was shown another branch does not vouch for this one, wherever the two part, and
// also if the auditor's tree ends inside what a user retained.
TEST_P(Audited, AuditorOfAForkDoesNotVouchForTheLog) {
  for (TreeSize common = 1; common < 12; ++common) {
    TestLog fork = log_.Prefix(common);
    while (fork.size() < 12) {
      fork.Append(log_.TimestampOf(fork.size()), {{"alice", absl::StrCat("forged", fork.size())}});
    }
    for (TreeSize audited = common + 1; audited <= 12; ++audited) {
      if (12 - audited > 5) continue;
      log_.SetAuditorLag(12 - audited);
      const uint64_t audited_ms = log_.TimestampOf(audited - 1);
      for (const TreeSize seen : {0, 6, 10, 11}) {
        ASSERT_THAT(Ask(seen), IsOk());
        ASSERT_THAT(
            Ask(seen,
                [&](SearchResponse& r) { Sign(r, audited_ms, audited, fork.RootAt(audited)); }),
            FailsCheck("auditor-tree-head-signature"));
      }
    }
  }
}

TEST_P(Audited, SameHeadKeepsTheAuditorsHead) {
  log_.SetAuditorLag(2);
  ASSERT_OK_AND_ASSIGN(const VerifiedSearch result, Ask(12));
  EXPECT_EQ(result.state, log_.StateAt(12));
  EXPECT_TRUE(result.state.auditor_tree_head.has_value());
}

class AuditedFromFive : public Audited {
 protected:
  AuditedFromFive() : Audited(5) {}
};
INSTANTIATE_TEST_SUITE_P(Suites, AuditedFromFive, kSuites, kSuiteName);

// "[...] verify that the tree_size of the AuditorTreeHead structure in the previous tree head [...]
// is greater than or equal to auditor_start_pos for the current auditor."
TEST_P(AuditedFromFive, UserNeedsAPreviousHeadThatReachesTheAuditorsStart) {
  EXPECT_THAT(Ask(0), IsOk());
  for (TreeSize seen = 1; seen < 12; ++seen) {
    if (seen >= 5) {
      EXPECT_THAT(Ask(seen), IsOk()) << seen;
    } else {
      EXPECT_THAT(Ask(seen), FailsCheck("auditor-tree-head")) << seen;
    }
  }
  // It is the previous auditor's tree that counts, not the log's.
  log_.SetAuditorLag(3);
  EXPECT_THAT(Ask(8), IsOk());
  EXPECT_THAT(Ask(7), FailsCheck("auditor-tree-head"));
}

// --- management --------------------------------------------------------------------------

class Managed : public ::testing::TestWithParam<CipherSuite> {
 protected:
  Managed() : log_(Options()) {
    Grow(log_, 3);
    verifier_ = ResponseVerifier::Create(log_.config()).value();
  }
  static TestLogOptions Options() {
    TestLogOptions options;
    options.suite = GetParam();
    options.mode = DeploymentMode::kThirdPartyManagement;
    return options;
  }
  absl::Status Ask(const std::function<void(UpdateValue&)>& change) {
    TestUser user(*verifier_);
    const SearchRequest request = user.Request("alice");
    KT_ASSIGN_OR_RETURN(SearchResponse response, log_.SearchResponse(request));
    change(response.value);
    return user.Search(request, codec::Encode(response, log_.context()), log_.RightmostMs())
        .status();
  }
  Bytes SignValue(const base::Signer& signer, const std::string& label, Version version,
                  const Bytes& value) {
    return signer
        .Sign(codec::Encode(UpdateTbs{log_.config(), base::ToBytes(label), version, value}))
        .value();
  }

  TestLog log_;
  std::unique_ptr<ResponseVerifier> verifier_;
};
INSTANTIATE_TEST_SUITE_P(Suites, Managed, kSuites, kSuiteName);

TEST_P(Managed, ValueCarriesTheOperatorsSignature) {
  EXPECT_THAT(Ask([](UpdateValue&) {}), IsOk());
  const base::Signer& leaf = *log_.keys().leaf;
  const auto expect_refused = [&](const std::function<Bytes(const Bytes&)>& sign) {
    EXPECT_THAT(Ask([&](UpdateValue& update) { update.suffix.signature = sign(update.value); }),
                FailsCheck("update-signature"));
  };
  expect_refused([](const Bytes&) { return Bytes(); });
  expect_refused([](const Bytes&) { return Bytes(64, 0); });
  // The manager's own key, another label, version or value.
  expect_refused(
      [&](const Bytes& value) { return SignValue(*log_.keys().log, "alice", 2, value); });
  expect_refused([&](const Bytes& value) { return SignValue(leaf, "bob", 2, value); });
  expect_refused([&](const Bytes& value) { return SignValue(leaf, "alice", 1, value); });
  expect_refused([&](const Bytes&) { return SignValue(leaf, "alice", 2, {}); });
}

// A manager cannot put a value into the tree that the operator did not sign: the signature is
// checked before anything else is believed.
TEST_P(Managed, ManagerCannotForgeAVersion) {
  EXPECT_THAT(Ask([](UpdateValue& update) { update.value = base::ToBytes("forged"); }),
              FailsCheck("update-signature"));
}

// The log's signature is the manager's, not the operator's.
TEST_P(Managed, HeadCarriesTheManagersSignature) {
  TestUser user(*verifier_);
  const SearchRequest request = user.Request("alice");
  ASSERT_OK_AND_ASSIGN(SearchResponse response, log_.SearchResponse(request));
  response.full_tree_head.tree_head =
      SignTreeHead(log_.config(), *log_.keys().leaf, 3, log_.RootAt(3)).value();
  EXPECT_THAT(user.Search(request, codec::Encode(response, log_.context()), log_.RightmostMs()),
              FailsCheck("tree-head-signature"));
}

}  // namespace
}  // namespace kt::core
