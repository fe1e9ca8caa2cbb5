// SPDX-License-Identifier: Apache-2.0
//
// Forks of a log with a common past: what comparing roots finds, what evidence proves, and that an
// honest log is never accused.
#include "kt-core/distinguished_forks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "kt-core/implicit_tree.h"
#include "merkle/log_tree.h"
#include "tests/kt-core/distinguished_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::core {
namespace {

using testing::FailsCheck;
using testing::IsOk;
using testing::IsVerificationFailure;
using testing::SeededRandom;
using testing::TestLog;
using testing::TestLogOptions;

// --- lists of roots ----------------------------------------------------------------------

DistinguishedHead Head(const std::string& roots) {
  DistinguishedHead head;
  for (const char c : roots) {
    Hash hash;
    hash.bytes.fill(static_cast<uint8_t>(c));
    head.heads.push_back(hash);
  }
  return head;
}

HeadComparison Compare(const std::string& a, const std::string& b) {
  const HeadComparison result = CompareDistinguishedHeads(Head(a), Head(b));
  EXPECT_EQ(result, CompareDistinguishedHeads(Head(b), Head(a)));
  return result;
}

TEST(CompareDistinguishedHeads, AcceptsListsThatOverlap) {
  EXPECT_EQ(Compare("abc", "abc"), HeadComparison::kConsistent);
  EXPECT_EQ(Compare("abc", "bcd"), HeadComparison::kConsistent);
  EXPECT_EQ(Compare("abc", "cde"), HeadComparison::kConsistent);
  // Of different lengths: one user keeps more, or has not walked for long.
  EXPECT_EQ(Compare("abcd", "cd"), HeadComparison::kConsistent);
  EXPECT_EQ(Compare("abcd", "ab"), HeadComparison::kConsistent);
  EXPECT_EQ(Compare("abcd", "bc"), HeadComparison::kConsistent);
  EXPECT_EQ(Compare("abcd", "cdef"), HeadComparison::kConsistent);
}

TEST(CompareDistinguishedHeads, FindsListsThatPart) {
  EXPECT_EQ(Compare("abc", "abx"), HeadComparison::kFork);
  EXPECT_EQ(Compare("abc", "axc"), HeadComparison::kFork);
  EXPECT_EQ(Compare("abc", "xbc"), HeadComparison::kFork);
  EXPECT_EQ(Compare("abc", "bxy"), HeadComparison::kFork);
  EXPECT_EQ(Compare("abc", "ac"), HeadComparison::kFork);
  EXPECT_EQ(Compare("ab", "ba"), HeadComparison::kFork);
}

TEST(CompareDistinguishedHeads, SaysSoIfThereIsNothingToCompare) {
  EXPECT_EQ(Compare("abc", "xyz"), HeadComparison::kNothingInCommon);
  EXPECT_EQ(Compare("abc", ""), HeadComparison::kNothingInCommon);
  EXPECT_EQ(Compare("", ""), HeadComparison::kNothingInCommon);
}

// The draft's compare_roots.
bool CompareRoots(const std::string& a, const std::string& b) {
  const size_t n = a.size();
  for (size_t x = 0; x < n; ++x) {
    if (a.substr(0, n - x) == b.substr(x) || b.substr(0, n - x) == a.substr(x)) return true;
  }
  return false;
}

TEST(CompareDistinguishedHeads, AgreesWithTheDraftOnListsOfOneLength) {
  std::string letters = "abcde";
  int consistent = 0;
  do {
    for (const size_t n : {1, 2, 3}) {
      for (const std::string other : {"abc", "bcd", "cab"}) {
        const std::string a = letters.substr(0, n), b = other.substr(0, n);
        // Two roots in both lists, but in another order, are no honest log's either.
        std::string common_a, common_b;
        std::copy_if(a.begin(), a.end(), std::back_inserter(common_a),
                     [&](char c) { return b.find(c) != std::string::npos; });
        std::copy_if(b.begin(), b.end(), std::back_inserter(common_b),
                     [&](char c) { return a.find(c) != std::string::npos; });
        const bool expected = CompareRoots(a, b) && common_a == common_b;
        EXPECT_EQ(Compare(a, b) == HeadComparison::kConsistent, expected) << a << " " << b;
        consistent += expected;
      }
    }
  } while (std::next_permutation(letters.begin(), letters.end()));
  EXPECT_GT(consistent, 50);
}

TEST(ToDistinguishedHead, GivesTheRightmost255Roots) {
  TestLogOptions options;
  options.reasonable_monitoring_window_ms = 0;
  TestLog log(options);
  while (log.size() < 260) log.Append(log.size());
  const DistinguishedState aware = AwareAt(log, {1000, std::nullopt}, 260);
  ASSERT_EQ(aware.entries.size(), 260u);
  const DistinguishedHead head = ToDistinguishedHead(aware);
  ASSERT_EQ(head.heads.size(), 255u);
  EXPECT_EQ(head.heads.front(), log.RootAt(6));
  EXPECT_EQ(head.heads.back(), log.RootAt(260));
  EXPECT_THAT(codec::TryEncode(head), IsOk());
}

// --- evidence ----------------------------------------------------------------------------

struct Side {
  const TestLog& log;
  TreeSize size;
  std::optional<LogPosition> stop;
};

Bytes MakeEvidence(const RecentDefinition& recent, const Side& first, const Side& second) {
  ForkEvidence evidence;
  evidence.configuration = codec::Encode(first.log.config());
  evidence.recent_rightmost = static_cast<uint8_t>(recent.rightmost);
  evidence.recent_max_age = recent.max_age_ms;
  evidence.first_request.stop = first.stop;
  evidence.first_response = Respond(first.log, recent, first.size, evidence.first_request).value();
  evidence.second_request.stop = second.stop;
  evidence.second_response =
      Respond(second.log, recent, second.size, evidence.second_request).value();
  return codec::Encode(evidence);
}

// The leaves that a walk of a user without state shows: the frontier, and what reaches step 2.
std::set<LogPosition> ShownLeaves(const ReferenceLog& reference,
                                  const std::set<LogPosition>& found) {
  const std::vector<LogPosition> frontier = reference.Frontier();
  std::set<LogPosition> shown(frontier.begin(), frontier.end());
  for (LogPosition position = 0; position < reference.size(); ++position) {
    if (!reference.IsDistinguished(position)) continue;
    bool reached = true;
    LogPosition below = position;
    for (const LogPosition above : reference.DirectPath(position)) {
      if (below < above && reference.node(above).left == below) {
        reached = reached && found.contains(above);
      }
      below = above;
    }
    if (reached) shown.insert(position);
  }
  return shown;
}

// The balanced subtrees whose values follow from these leaves and a proof that gives the root, and
// the auditor's root if there is one.
std::set<merkle::LogNodeId> ShownNodes(const Side& side, const std::set<LogPosition>& leaves) {
  const auto& auditor = side.log.HeadAt(side.size).auditor_tree_head;
  const merkle::LogProofShape shape{
      side.size,
      {leaves.begin(), leaves.end()},
      std::nullopt,
      auditor.has_value() ? std::optional(auditor->tree_size) : std::nullopt};
  std::set<merkle::LogNodeId> nodes;
  for (const merkle::LogNodeId& id : merkle::RequiredNodes(shape)) nodes.insert(id);
  for (const LogPosition leaf : leaves) nodes.insert({0, leaf});
  // Ordered by level, so that parents that are added are met later.
  for (const merkle::LogNodeId& id : nodes) {
    if (nodes.contains({id.level, id.index ^ 1})) {
      nodes.insert({static_cast<uint8_t>(id.level + 1), id.index / 2});
    }
  }
  return nodes;
}

// Whether two walks of forks that share `shared` entries can be told apart, by definition.
bool Contradict(TreeSize shared, const Side& a, const Side& b, const RecentDefinition& recent) {
  const Side& shorter = a.size <= b.size ? a : b;
  const Side& longer = a.size <= b.size ? b : a;
  const ReferenceLog left = ReferenceOf(shorter.log, shorter.size);
  const ReferenceLog right = ReferenceOf(longer.log, longer.size);
  const std::set<LogPosition> found_left = ReferenceRecent(left, shorter.log, recent, shorter.stop);
  const std::set<LogPosition> found_right = ReferenceRecent(right, longer.log, recent, longer.stop);
  const auto nodes_left = ShownNodes(shorter, ShownLeaves(left, found_left));
  const auto nodes_right = ShownNodes(longer, ShownLeaves(right, found_right));
  for (const merkle::LogNodeId& id : nodes_left) {
    if (nodes_right.contains(id) && (id.index + 1) << id.level > shared) return true;
  }
  const std::optional<LogPosition> end_left = EndOf(left, found_left);
  const std::optional<LogPosition> end_right = EndOf(right, found_right);
  for (const LogPosition position : found_left) {
    if (!found_right.contains(position) && (!end_right || position > *end_right)) return true;
  }
  for (const LogPosition position : found_right) {
    if (!found_left.empty() && position <= *found_left.rbegin() && !found_left.contains(position) &&
        (!end_left || position > *end_left)) {
      return true;
    }
  }
  return false;
}

class ForkEvidenceTest : public ::testing::TestWithParam<Deployment> {};
INSTANTIATE_TEST_SUITE_P(
    Deployments, ForkEvidenceTest,
    ::testing::Values(Deployment{CipherSuite::kP256, DeploymentMode::kContactMonitoring},
                      Deployment{CipherSuite::kP256, DeploymentMode::kThirdPartyAuditing},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kContactMonitoring},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kThirdPartyManagement},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kThirdPartyAuditing}),
    NameOfDeployment);

TEST_P(ForkEvidenceTest, ProvesForksOfAnyShapeAndAccusesNoHonestLog) {
  const uint64_t seed = testing::TestSeed(71);
  int proven = 0, inconclusive = 0, honest = 0, parted = 0;
  for (int round = 0; round < 10; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    TestLogOptions options = RandomOptions(random, 40);
    options.suite = GetParam().suite;
    options.mode = GetParam().mode;
    if (random.Below(2) == 0) options.reasonable_monitoring_window_ms /= 6;
    TestLog log(options);
    log.SetAuditorLag(random.Below(5));
    RandomHistory history(random, 2);
    while (log.size() < 60) history.Grow(log);
    const TreeSize shared = 1 + random.Below(55);
    TestLog fork = log.Prefix(shared);
    // The first entry of the branch differs for certain.
    fork.Append(fork.RightmostMs() + random.Below(2000), {{"mallory", "m"}});
    uint64_t now_ms = fork.RightmostMs();
    while (fork.size() < 60) {
      now_ms += random.Below(2000);
      fork.Append(now_ms, {{history.AnyLabel(), absl::StrCat("m", fork.size())}});
    }
    const RecentDefinition recent = RandomRecent(random, 40);
    for (int i = 0; i < 8; ++i) {
      const auto side = [&](const TestLog& from, TreeSize at_least) {
        Side result{from, at_least + random.Below(60 - at_least + 1), std::nullopt};
        if (random.Below(4) == 0) result.stop = random.Below(result.size);
        return result;
      };
      const Side mine = side(log, shared + 1), theirs = side(fork, shared + 1);
      SCOPED_TRACE(absl::StrCat("shared ", shared, ", sizes ", mine.size, " and ", theirs.size));
      const bool expected = Contradict(shared, mine, theirs, recent);
      const Bytes evidence = MakeEvidence(recent, mine, theirs);
      const absl::StatusOr<ForkFinding> finding = CheckForkEvidence(evidence);
      const absl::StatusOr<ForkFinding> swapped =
          CheckForkEvidence(MakeEvidence(recent, theirs, mine));
      if (expected) {
        ASSERT_THAT(finding, IsOk());
        ASSERT_THAT(swapped, IsOk());
        EXPECT_EQ(finding->config, log.config());
        EXPECT_EQ(finding->first_size, mine.size);
        EXPECT_EQ(finding->second_size, theirs.size);
        EXPECT_EQ(finding->contradiction, swapped->contradiction);
        ++proven;
      } else {
        ASSERT_THAT(finding, FailsCheck("no-contradiction"));
        ASSERT_THAT(swapped, FailsCheck("no-contradiction"));
        ++inconclusive;
      }
      // Whatever comparing roots finds can be proven to others.
      if (!mine.stop.has_value() && !theirs.stop.has_value() &&
          CompareDistinguishedHeads(ToDistinguishedHead(AwareAt(log, recent, mine.size)),
                                    ToDistinguishedHead(AwareAt(fork, recent, theirs.size))) ==
              HeadComparison::kFork) {
        EXPECT_TRUE(expected);
        ++parted;
      }
      // Two users of one branch.
      const Side again = side(log, 1);
      ASSERT_THAT(CheckForkEvidence(MakeEvidence(recent, mine, again)),
                  FailsCheck("no-contradiction"));
      if (!mine.stop.has_value() && !again.stop.has_value()) {
        EXPECT_NE(CompareDistinguishedHeads(ToDistinguishedHead(AwareAt(log, recent, mine.size)),
                                            ToDistinguishedHead(AwareAt(log, recent, again.size))),
                  HeadComparison::kFork);
      }
      ++honest;
    }
  }
  EXPECT_GT(proven, 25);
  EXPECT_GT(inconclusive, 2);
  EXPECT_EQ(honest, 80);
  EXPECT_GT(parted, 0);
}

// However two branches grow, users of both who go on walking come to different roots: at the latest
// when a branch has a distinguished log entry of its own that the other user covers too.
TEST(ForkEvidence, IsFoundOnceBothBranchesHaveDistinguishedEntries) {
  const uint64_t seed = testing::TestSeed(72);
  for (int round = 0; round < 30; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    TestLogOptions options;
    options.reasonable_monitoring_window_ms = 1 + random.Below(8000);
    TestLog log(options);
    RandomHistory history(random, 2);
    const TreeSize shared = 1 + random.Below(60);
    while (log.size() < shared) history.Grow(log);
    TestLog fork = log;
    const auto branch = [&](TestLog& grown, const std::string& label) {
      // Each branch at its own pace, for two windows at least.
      const uint64_t end_ms =
          log.TimestampOf(shared - 1) + 3 * options.reasonable_monitoring_window_ms + 1;
      const uint64_t pace_ms = 1 + random.Below(options.reasonable_monitoring_window_ms);
      while (grown.RightmostMs() < end_ms) {
        grown.Append(grown.RightmostMs() + 1 + random.Below(pace_ms), {{label, "value"}});
        if (grown.size() > shared + 150) break;
      }
      grown.Append(std::max(end_ms, grown.RightmostMs()) + 1, {{label, "last"}});
    };
    branch(log, "honest");
    branch(fork, "forked");
    const RecentDefinition recent{100, std::nullopt};
    const DistinguishedState mine = AwareAt(log, recent, log.size());
    const DistinguishedState theirs = AwareAt(fork, recent, fork.size());
    ASSERT_GE(*mine.stop(), shared);
    ASSERT_GE(*theirs.stop(), shared);
    EXPECT_NE(CompareDistinguishedHeads(ToDistinguishedHead(mine), ToDistinguishedHead(theirs)),
              HeadComparison::kConsistent);
    EXPECT_THAT(CheckForkEvidence(MakeEvidence(recent, {log, log.size(), std::nullopt},
                                               {fork, fork.size(), std::nullopt})),
                IsOk());
  }
}

// What an auditor says is not what the log is accused with, so it is not authenticated here.
ForkEvidence WithoutAuditor(const TestLog& log, const Bytes& bytes) {
  ForkEvidence evidence = codec::Decode<ForkEvidence>(bytes).value();
  for (Bytes* encoded : {&evidence.first_response, &evidence.second_response}) {
    auto response = codec::Decode<DistinguishedResponse>(*encoded, log.context()).value();
    response.full_tree_head.auditor_tree_head = {};
    *encoded = codec::Encode(response, log.context());
  }
  return evidence;
}

TEST_P(ForkEvidenceTest, IsRefusedWithAFlippedBitInAnyByte) {
  TestLogOptions options = OptionsOf(GetParam());
  options.reasonable_monitoring_window_ms = 2000;
  TestLog log(options);
  while (log.size() < 6) log.Append(1000 * log.size(), {{"alice", "a"}});
  TestLog fork = log.Prefix(4);
  while (fork.size() < 6) fork.Append(1000 * fork.size(), {{"alice", "b"}});
  const RecentDefinition recent{2, std::nullopt};
  const Bytes bytes = MakeEvidence(recent, {log, 6, std::nullopt}, {fork, 6, std::nullopt});
  ASSERT_THAT(CheckForkEvidence(bytes), IsOk());
  const Bytes honest = codec::Encode(WithoutAuditor(log, bytes));
  int accepted = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    Bytes flipped = bytes;
    flipped[i] = static_cast<uint8_t>(flipped[i] ^ (1 << (i % 8)));
    const auto finding = CheckForkEvidence(flipped);
    if (finding.ok()) {
      ASSERT_EQ(codec::Encode(WithoutAuditor(log, flipped)), honest);
      ++accepted;
    } else {
      ASSERT_THAT(finding, IsVerificationFailure()) << i;
    }
    ASSERT_THAT(CheckForkEvidence(ByteView(bytes).first(i)), FailsCheck("malformed-evidence"));
  }
  // At least an AuditorTreeHead's timestamp and 64 bytes of signature, in each of the responses.
  if (GetParam().mode == DeploymentMode::kThirdPartyAuditing) {
    EXPECT_GE(accepted, 2 * (8 + 64));
  } else {
    EXPECT_EQ(accepted, 0);
  }
}

TEST(ForkEvidence, MustNotRelyOnWhatItsReceiverHasSeen) {
  TestLog log(TestLogOptions{});
  while (log.size() < 6) log.Append(1000 * log.size(), {{"alice", "a"}});
  TestLog fork = log.Prefix(4);
  while (fork.size() < 6) fork.Append(1000 * fork.size(), {{"alice", "b"}});
  const RecentDefinition recent{2, std::nullopt};
  ForkEvidence evidence = codec::Decode<ForkEvidence>(
                              MakeEvidence(recent, {log, 6, std::nullopt}, {fork, 6, std::nullopt}))
                              .value();
  evidence.second_request.last = 3;
  evidence.second_response = Respond(fork, recent, 6, evidence.second_request).value();
  EXPECT_THAT(CheckForkEvidence(codec::Encode(evidence)), FailsCheck("malformed-evidence"));
  evidence.second_request.last.reset();
  EXPECT_THAT(CheckForkEvidence(codec::Encode(evidence)), IsVerificationFailure());
}

// --- signed heads ------------------------------------------------------------------------

SignedHeads HeadsOf(const RecentDefinition& recent, const Side& side) {
  SignedHeads heads;
  heads.configuration = codec::Encode(side.log.config());
  heads.recent_rightmost = static_cast<uint8_t>(recent.rightmost);
  heads.recent_max_age = recent.max_age_ms;
  heads.request.stop = side.stop;
  heads.response = Respond(side.log, recent, side.size, heads.request).value();
  return heads;
}

TEST_P(ForkEvidenceTest, SignedHeadsTellTheRootsThatTheirUserIsAwareOf) {
  const uint64_t seed = testing::TestSeed(73);
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    TestLogOptions options = RandomOptions(random, 40);
    options.suite = GetParam().suite;
    options.mode = GetParam().mode;
    TestLog log(options);
    RandomHistory history(random, 2);
    while (log.size() < 40) history.Grow(log);
    const RecentDefinition recent = RandomRecent(random, 40);
    const TreeSize size = 1 + random.Below(40);
    const auto checked = CheckSignedHeads(HeadsOf(recent, {log, size, std::nullopt}));
    ASSERT_THAT(checked, IsOk());
    EXPECT_EQ(checked->config, log.config());
    EXPECT_EQ(checked->size, size);
    EXPECT_EQ(checked->heads, ToDistinguishedHead(AwareAt(log, recent, size)));
  }
}

TEST_P(ForkEvidenceTest, SignedHeadsWithAFlippedBitAreRefused) {
  TestLogOptions options = OptionsOf(GetParam());
  options.reasonable_monitoring_window_ms = 2000;
  TestLog log(options);
  while (log.size() < 6) log.Append(1000 * log.size(), {{"alice", "a"}});
  const SignedHeads honest = HeadsOf({2, std::nullopt}, {log, 6, std::nullopt});
  const DistinguishedHead roots = CheckSignedHeads(honest).value().heads;
  const Bytes bytes = codec::Encode(honest);
  size_t accepted = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    Bytes flipped = bytes;
    flipped[i] = static_cast<uint8_t>(flipped[i] ^ (1 << (i % 8)));
    const auto decoded = codec::Decode<SignedHeads>(flipped);
    if (!decoded.ok()) continue;
    const auto checked = CheckSignedHeads(*decoded);
    if (checked.ok()) {
      // What an auditor says is not authenticated.
      EXPECT_EQ(checked->heads, roots);
      ++accepted;
    } else {
      ASSERT_THAT(checked, IsVerificationFailure()) << i;
    }
    ASSERT_FALSE(codec::Decode<SignedHeads>(ByteView(bytes).first(i)).ok());
  }
  if (GetParam().mode == DeploymentMode::kThirdPartyAuditing) {
    EXPECT_LE(accepted, 8u + 8u + 64u);
  } else {
    EXPECT_EQ(accepted, 0u);
  }
}

TEST(SignedHeads, AreRefusedIfTheyCannotStandForThemselves) {
  TestLog log(TestLogOptions{});
  while (log.size() < 6) log.Append(1000 * log.size(), {{"alice", "a"}});
  const SignedHeads honest = HeadsOf({2, std::nullopt}, {log, 6, std::nullopt});
  ASSERT_THAT(CheckSignedHeads(honest), IsOk());
  SignedHeads changed = honest;
  changed.magic.back() = '2';
  EXPECT_THAT(CheckSignedHeads(changed), FailsCheck("malformed-heads"));
  changed = honest;
  changed.recent_rightmost = 0;
  EXPECT_THAT(CheckSignedHeads(changed), FailsCheck("malformed-heads"));
  changed = honest;
  changed.configuration.pop_back();
  EXPECT_THAT(CheckSignedHeads(changed), FailsCheck("malformed-heads"));
  changed = honest;
  changed.request.last = 3;
  changed.response = Respond(log, {2, std::nullopt}, 6, changed.request).value();
  EXPECT_THAT(CheckSignedHeads(changed), FailsCheck("malformed-heads"));
}

TEST(SignedHeads, MakeEvidenceOnlyIfTheyAnswerTheSame) {
  TestLog log(TestLogOptions{});
  while (log.size() < 6) log.Append(1000 * log.size(), {{"alice", "a"}});
  TestLog fork = log.Prefix(4);
  while (fork.size() < 6) fork.Append(1000 * fork.size(), {{"alice", "b"}});
  const SignedHeads mine = HeadsOf({2, std::nullopt}, {log, 6, std::nullopt});
  const SignedHeads theirs = HeadsOf({2, std::nullopt}, {fork, 6, std::nullopt});
  const auto evidence = MakeForkEvidence(mine, theirs);
  ASSERT_THAT(evidence, IsOk());
  EXPECT_THAT(CheckForkEvidence(codec::Encode(*evidence)), IsOk());
  SignedHeads other = theirs;
  other.recent_max_age = 1'000'000;
  EXPECT_FALSE(MakeForkEvidence(mine, other).ok());
  other = theirs;
  other.configuration.push_back(0);
  EXPECT_FALSE(MakeForkEvidence(mine, other).ok());
}

// Nobody can accuse a log with heads that it has not signed.
TEST(ForkEvidence, OfAnotherLogIsRefused) {
  TestLogOptions options;
  TestLog log(options);
  options.seed = 2;
  TestLog stranger(options);
  while (log.size() < 6) log.Append(1000 * log.size(), {{"alice", "a"}});
  while (stranger.size() < 6) stranger.Append(1000 * stranger.size(), {{"alice", "b"}});
  EXPECT_THAT(CheckForkEvidence(MakeEvidence({2, std::nullopt}, {log, 6, std::nullopt},
                                             {stranger, 6, std::nullopt})),
              FailsCheck("tree-head-signature"));
}

}  // namespace
}  // namespace kt::core
