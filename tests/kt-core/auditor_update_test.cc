// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kt-core/auditor_update_verifier.h"
#include "kt-core/implicit_tree.h"
#include "merkle/log_tree.h"
#include "tests/support/auditor_answers.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::core {
namespace {

using base::VrfOutput;
using testing::AnswerAuditor;
using testing::AuditorMessage;
using testing::FailsCheck;
using testing::IsOk;
using testing::ProveBoth;
using testing::SeededRandom;
using testing::StatusIs;
using testing::TestLog;
using testing::TestLogOptions;
using testing::TestSeed;

constexpr uint64_t kWindowMs = 1'000;

TestLog MakeLog() {
  TestLogOptions options;
  options.mode = DeploymentMode::kThirdPartyAuditing;
  options.reasonable_monitoring_window_ms = kWindowMs;
  return TestLog(options);
}

absl::Status Apply(const TestLog& log, const AuditorMessage& message, AuditorState* state) {
  return ApplyAuditorUpdate(log.config(), message.update, message.published_or_null(), state);
}

// The state that an auditor of the first `size` entries must have, from the log itself.
AuditorState ExpectedState(const TestLog& log, TreeSize size) {
  AuditorState state;
  state.tree_size = size;
  if (size == 0) return state;
  for (const merkle::LogNodeId& id : merkle::FullSubtrees(size)) {
    state.full_subtrees.push_back(log.LogNode(id));
  }
  for (const LogPosition position : Frontier(size)) {
    state.frontier.push_back({log.TimestampOf(position), log.PrefixRootOf(position)});
  }
  return state;
}

AuditorStart StartAt(const TestLog& log, TreeSize size) {
  AuditorStart start;
  start.tree_size = size;
  if (size == 0) return start;
  start.frontier = ExpectedState(log, size).frontier;
  merkle::LogProofShape shape;
  shape.size = size;
  shape.leaves = Frontier(size);
  for (const merkle::LogNodeId& id : merkle::RequiredNodes(shape)) {
    start.inclusion.elements.push_back(log.LogNode(id));
  }
  return start;
}

TEST(AuditorUpdate, FollowsARandomHistoryOfAdditions) {
  const uint64_t seed = TestSeed(41);
  SCOPED_TRACE("KT_TEST_SEED=" + std::to_string(seed));
  SeededRandom random(seed);
  TestLog log = MakeLog();
  AuditorState state;
  uint64_t now_ms = 5;
  for (int i = 0; i < 120; ++i) {
    std::vector<testing::TestUpdate> updates;
    for (uint64_t n = random.Below(5); n > 0; --n) {
      updates.push_back({absl::StrCat("user", random.Below(12)), absl::StrCat(i)});
    }
    now_ms += random.Below(300);
    const LogPosition position = log.Append(now_ms, updates);
    ASSERT_THAT(Apply(log, AnswerAuditor(log, position), &state), IsOk()) << position;
    ASSERT_EQ(state, ExpectedState(log, position + 1));
    ASSERT_EQ(RootOf(state), log.RootAt(position + 1));
    EXPECT_THAT(ValidateAuditorState(state), IsOk());
    EXPECT_THAT(codec::Decode<AuditorState>(codec::Encode(state)), testing::IsOkAndHolds(state));
  }
}

TEST(AuditorUpdate, FollowsRemovalsAndReplacementsOfDistinguishedLeaves) {
  TestLog log = MakeLog();
  AuditorState state;
  std::vector<testing::TestUpdate> updates;
  for (int i = 0; i < 30; ++i) updates.push_back({absl::StrCat("user", i), "value"});
  ASSERT_THAT(Apply(log, AnswerAuditor(log, log.Append(10'000, updates)), &state), IsOk());
  for (int i = 0; i < 30; ++i) {
    // Entries are a window apart, so each is distinguished as soon as there is another one.
    log.Hide(absl::StrCat("user", i), 0);
    if (i % 3 == 0 && i > 0) log.Unhide(absl::StrCat("user", i - 1), 0);
    const LogPosition position =
        log.Append(10'000 + kWindowMs * log.size(), {{absl::StrCat("other", i), "value"}});
    ASSERT_THAT(Apply(log, AnswerAuditor(log, position), &state), IsOk()) << position;
    ASSERT_EQ(state, ExpectedState(log, position + 1));
  }
}

// With entries closer together than the window, what came in after the newest distinguished entry
// must stay.
TEST(AuditorUpdate, RejectsRemovalBeforeALeafWasInADistinguishedEntry) {
  TestLog log = MakeLog();
  AuditorState state;
  std::vector<testing::TestUpdate> updates = {{"old", "1"}};
  for (int i = 0; i < 20; ++i) updates.push_back({absl::StrCat("more", i), "1"});
  ASSERT_THAT(Apply(log, AnswerAuditor(log, log.Append(10'000, updates)), &state), IsOk());
  ASSERT_THAT(Apply(log, AnswerAuditor(log, log.Append(10'050)), &state), IsOk());
  ASSERT_THAT(Apply(log, AnswerAuditor(log, log.Append(10'100, {{"new", "1"}})), &state), IsOk());
  const AuditorState before = state;
  TestLog fork = log;
  log.Hide("new", 0);
  AuditorMessage message = AnswerAuditor(log, log.Append(10'200));
  EXPECT_THAT(Apply(log, message, &state), FailsCheck("auditor-removal"));
  // The newest distinguished entry is too old; one that is not distinguished does not count.
  std::vector<VrfOutput> keys;
  for (const PrefixLeaf& leaf : message.update.removed) keys.push_back(leaf.vrf_output);
  message.published = log.PrefixTreeOf(2).Prove(keys);
  EXPECT_THAT(Apply(log, message, &state), FailsCheck("auditor-removal"));
  message.published.reset();
  EXPECT_THAT(Apply(log, message, &state), FailsCheck("auditor-removal"));
  EXPECT_EQ(state, before);

  fork.Hide("old", 0);
  message = AnswerAuditor(fork, fork.Append(10'200));
  ASSERT_TRUE(message.published.has_value());
  AuditorMessage altered = message;
  altered.published->results[0].result_type = merkle::PrefixSearchResultType::kNonInclusionParent;
  EXPECT_THAT(Apply(fork, altered, &state), FailsCheck("auditor-removal"));
  altered = message;
  altered.published->elements.push_back(Hash{});
  EXPECT_THAT(Apply(fork, altered, &state), FailsCheck("auditor-removal"));
  EXPECT_EQ(state, before);
  EXPECT_THAT(Apply(fork, message, &state), IsOk());
}

TEST(AuditorUpdate, RejectsRemovalInTheFirstEntries) {
  AuditorState state;
  AuditorUpdate update;
  SeededRandom random(3);
  update.removed = {{random.NextVrfOutput(), random.NextHash()}};
  update.proof.results = {{merkle::PrefixSearchResultType::kInclusion, {}, 0}};
  const PrefixProof published = update.proof;
  EXPECT_THAT(ApplyAuditorUpdate(MakeLog().config(), update, &published, &state),
              FailsCheck("auditor-removal"));
}

TEST(AuditorUpdate, RemovalMustDetermineTheNewTree) {
  TestLog log = MakeLog();
  AuditorState state;
  std::vector<testing::TestUpdate> updates;
  for (int i = 0; i < 30; ++i) updates.push_back({absl::StrCat("user", i), "value"});
  ASSERT_THAT(Apply(log, AnswerAuditor(log, log.Append(10'000, updates)), &state), IsOk());
  log.Hide("user0", 0);
  const LogPosition position = log.Append(20'000);
  const AuditorMessage message = AnswerAuditor(log, position);
  // The same without the leaf that is named because it may move up.
  AuditorMessage bare = message;
  const VrfOutput key = log.OutputOf("user0", 0);
  bare.update.added.clear();
  std::erase_if(bare.update.removed,
                [&](const PrefixLeaf& leaf) { return leaf.vrf_output != key; });
  bare.update.proof = log.PrefixTreeOf(0).Prove(std::vector{key});
  bare.published = log.PrefixTreeOf(0).Prove(std::vector{key});
  EXPECT_THAT(Apply(log, bare, &state), FailsCheck("prefix-update"));
  EXPECT_THAT(Apply(log, message, &state), IsOk());
  EXPECT_EQ(state, ExpectedState(log, position + 1));
}

// Each of the draft's checks, by one change to an honest update.
class AuditorRejects : public ::testing::Test {
 protected:
  AuditorRejects() : log_(MakeLog()) {
    std::vector<testing::TestUpdate> updates;
    for (int i = 0; i < 20; ++i) updates.push_back({absl::StrCat("user", i), "1"});
    KT_CHECK(Apply(log_, AnswerAuditor(log_, log_.Append(10'000, updates)), &state_).ok());
    // Two leaves come, two go, and one is replaced.
    log_.Hide("user1", 0);
    log_.Hide("user2", 0);
    log_.Append(12'000, {{"user3", "2"}, {"user4", "2"}});
    honest_ = AnswerAuditor(log_, 1);
  }

  void ExpectRefused(const char* check, const std::function<void(AuditorMessage&)>& change) {
    AuditorMessage message = honest_;
    change(message);
    AuditorState state = state_;
    EXPECT_THAT(Apply(log_, message, &state), FailsCheck(check));
    EXPECT_EQ(state, state_) << "a failure changes nothing";
  }
  void ReproveAll(AuditorMessage& message) {
    message.update.proof = ProveBoth(log_.PrefixTreeOf(0), message.update);
  }

  TestLog log_;
  AuditorState state_;
  AuditorMessage honest_;
};

TEST_F(AuditorRejects, NothingOfAnHonestUpdate) {
  EXPECT_THAT(Apply(log_, honest_, &state_), IsOk());
  EXPECT_EQ(state_, ExpectedState(log_, 2));
}

TEST_F(AuditorRejects, TimestampThatGoesBack) {
  ExpectRefused("auditor-timestamp", [](AuditorMessage& m) { m.update.timestamp = 9'999; });
}

TEST_F(AuditorRejects, UnsortedOrRepeatedLeaves) {
  for (auto list : {&AuditorUpdate::added, &AuditorUpdate::removed}) {
    ASSERT_GE((honest_.update.*list).size(), 2u);
    ExpectRefused("auditor-order", [&](AuditorMessage& m) {
      std::swap((m.update.*list)[0], (m.update.*list)[1]);
      ReproveAll(m);
    });
    ExpectRefused("auditor-order", [&](AuditorMessage& m) {
      (m.update.*list).push_back((m.update.*list).back());
      ReproveAll(m);
    });
  }
}

TEST_F(AuditorRejects, AnotherNumberOfResults) {
  ExpectRefused("auditor-results", [](AuditorMessage& m) { m.update.proof.results.pop_back(); });
  ExpectRefused("auditor-results", [](AuditorMessage& m) {
    m.update.proof.results.push_back(m.update.proof.results.back());
  });
}

TEST_F(AuditorRejects, AddedLeafThatIsThereAndIsNotRemoved) {
  const auto is_named = [&](const VrfOutput& key) {
    return std::any_of(honest_.update.added.begin(), honest_.update.added.end(),
                       [&](const PrefixLeaf& leaf) { return leaf.vrf_output == key; });
  };
  VrfOutput key = log_.OutputOf("user5", 0);
  for (int i = 6; is_named(key); ++i) key = log_.OutputOf(absl::StrCat("user", i), 0);
  ExpectRefused("auditor-results", [&](AuditorMessage& m) {
    auto& added = m.update.added;
    const auto at = std::find_if(added.begin(), added.end(),
                                 [&](const PrefixLeaf& leaf) { return key < leaf.vrf_output; });
    added.insert(at, {key, Hash{}});
    ReproveAll(m);
  });
}

TEST_F(AuditorRejects, RemovedLeafThatIsNotThere) {
  const VrfOutput key = log_.OutputOf("nobody", 0);
  ExpectRefused("auditor-results", [&](AuditorMessage& m) {
    auto& removed = m.update.removed;
    const auto at = std::find_if(removed.begin(), removed.end(),
                                 [&](const PrefixLeaf& leaf) { return key < leaf.vrf_output; });
    removed.insert(at, {key, Hash{}});
    ReproveAll(m);
  });
}

TEST_F(AuditorRejects, TwoResultsForOneKeyThatDiffer) {
  // A leaf that is named because it may move up stands in both lists.
  size_t both = honest_.update.added.size();
  for (size_t i = 0; i < honest_.update.added.size(); ++i) {
    for (const PrefixLeaf& leaf : honest_.update.removed) {
      if (leaf == honest_.update.added[i]) both = i;
    }
  }
  ASSERT_LT(both, honest_.update.added.size());
  ExpectRefused("auditor-results",
                [&](AuditorMessage& m) { ++m.update.proof.results[both].depth; });
  ExpectRefused("auditor-results", [&](AuditorMessage& m) {
    m.update.proof.results[both].result_type = merkle::PrefixSearchResultType::kNonInclusionParent;
  });
}

TEST_F(AuditorRejects, RemovedLeafWithAnotherCommitment) {
  ExpectRefused("auditor-removal",
                [](AuditorMessage& m) { m.update.removed[0].commitment.bytes[3] ^= 1; });
}

TEST_F(AuditorRejects, ProofOfPublicationWithoutRemoval) {
  const LogPosition position = log_.Append(13'000, {{"user6", "2"}});
  ASSERT_THAT(Apply(log_, honest_, &state_), IsOk());
  honest_ = AnswerAuditor(log_, position);
  ExpectRefused("auditor-removal", [](AuditorMessage& m) { m.published.emplace(); });
}

TEST_F(AuditorRejects, ProofFromAnotherTree) {
  ASSERT_THAT(Apply(log_, honest_, &state_), IsOk());
  const LogPosition position = log_.Append(13'000, {{"user6", "2"}});
  honest_ = AnswerAuditor(log_, position);
  ExpectRefused("auditor-prefix-root", [&](AuditorMessage& m) {
    std::vector<VrfOutput> keys;
    for (const PrefixLeaf& leaf : m.update.added) keys.push_back(leaf.vrf_output);
    m.update.proof = log_.PrefixTreeOf(0).Prove(keys);
  });
}

TEST_F(AuditorRejects, EntryWithoutChangesThatClaimsAnotherRoot) {
  ASSERT_THAT(Apply(log_, honest_, &state_), IsOk());
  honest_ = AnswerAuditor(log_, log_.Append(13'000));
  ExpectRefused("auditor-prefix-root",
                [](AuditorMessage& m) { m.update.proof.elements[0].bytes[0] ^= 1; });
  ExpectRefused("prefix-proof", [](AuditorMessage& m) { m.update.proof.elements.clear(); });
}

// The update's timestamp and the added commitments are what the new root is made of; every other
// bit must be as the log's previous tree says.
TEST_F(AuditorRejects, EveryAlteredByteOrGivesAnotherRoot) {
  const Bytes honest = codec::Encode(honest_.update);
  AuditorState expected = state_;
  ASSERT_THAT(Apply(log_, honest_, &expected), IsOk());
  for (size_t i = 0; i < honest.size(); ++i) {
    for (const uint8_t mask : {0x01, 0x80}) {
      Bytes bytes = honest;
      bytes[i] ^= mask;
      const auto update = codec::Decode<AuditorUpdate>(bytes);
      if (!update.ok()) continue;
      AuditorState state = state_;
      const absl::Status status =
          ApplyAuditorUpdate(log_.config(), *update, honest_.published_or_null(), &state);
      if (status.ok()) {
        EXPECT_NE(RootOf(state), RootOf(expected)) << "byte " << i;
      } else {
        EXPECT_TRUE(base::IsVerificationFailure(status)) << status;
        EXPECT_EQ(state, state_);
      }
    }
  }
}

TEST(NewestDistinguished, AgreesWithTheDraftsRecursion) {
  const uint64_t seed = TestSeed(43);
  SCOPED_TRACE("KT_TEST_SEED=" + std::to_string(seed));
  SeededRandom random(seed);
  for (int round = 0; round < 40; ++round) {
    std::vector<uint64_t> timestamps = {random.Below(2'000)};
    const uint64_t window_ms = random.Below(4) == 0 ? 0 : random.Below(3'000);
    for (LogPosition position = 1; position < 150; ++position) {
      timestamps.push_back(timestamps.back() + random.Below(random.Below(5) == 0 ? 5'000 : 200));
      std::vector<LogEntry> frontier;
      const std::vector<LogPosition> positions = Frontier(position);
      for (const LogPosition p : positions) frontier.push_back({timestamps[p], {}});
      const auto found = NewestDistinguished(frontier, timestamps[position], window_ms);
      const auto expected = testing::DistinguishedBefore(position, timestamps, window_ms);
      ASSERT_EQ(found.has_value(), expected.has_value()) << position;
      if (found.has_value()) {
        ASSERT_EQ(positions[*found], *expected) << position;
      }
    }
  }
}

TEST(BeginAuditing, GivesTheStateOfOneWhoWasThereFromTheStart) {
  TestLog log = MakeLog();
  for (int i = 0; i < 70; ++i) log.Append(1'000 + 10 * log.size(), {{"a", absl::StrCat(i)}});
  for (TreeSize size = 0; size <= 70; ++size) {
    ASSERT_OK_AND_ASSIGN(AuditorState state, BeginAuditing(StartAt(log, size)));
    ASSERT_EQ(state, ExpectedState(log, size));
    if (size == 70) continue;
    ASSERT_THAT(Apply(log, AnswerAuditor(log, size), &state), IsOk());
    ASSERT_EQ(RootOf(state), log.RootAt(size + 1));
  }
}

TEST(BeginAuditing, RejectsPartsThatDoNotFit) {
  TestLog log = MakeLog();
  for (int i = 0; i < 11; ++i) log.Append(1'000 + 10 * log.size(), {{"a", absl::StrCat(i)}});
  const AuditorStart honest = StartAt(log, 11);
  const auto expect_refused = [&](const std::function<void(AuditorStart&)>& change) {
    AuditorStart start = honest;
    change(start);
    EXPECT_THAT(BeginAuditing(start), FailsCheck("auditor-start"));
  };
  expect_refused([](AuditorStart& s) { s.frontier.pop_back(); });
  expect_refused([](AuditorStart& s) { s.frontier.push_back(s.frontier.back()); });
  expect_refused([](AuditorStart& s) { s.frontier[0].timestamp = 100'000; });
  expect_refused([](AuditorStart& s) { s.inclusion.elements.pop_back(); });
  expect_refused([](AuditorStart& s) { s.inclusion.elements.push_back(Hash{}); });
  expect_refused([](AuditorStart& s) { s.tree_size = 0; });
  expect_refused([](AuditorStart& s) { s.tree_size = 12; });
  expect_refused([](AuditorStart& s) { s.tree_size = ~TreeSize{0}; });
  // Another entry makes another root, which the log's signature will not fit.
  AuditorStart other = honest;
  other.frontier[1].prefix_tree.bytes[0] ^= 1;
  ASSERT_OK_AND_ASSIGN(const AuditorState state, BeginAuditing(other));
  EXPECT_NE(RootOf(state), log.RootAt(11));
}

TEST(AuditorState, StoredStateThatDoesNotFitIsDataLoss) {
  TestLog log = MakeLog();
  for (int i = 0; i < 11; ++i) log.Append(1'000 + 10 * log.size());
  const AuditorState honest = ExpectedState(log, 11);
  EXPECT_THAT(ValidateAuditorState(honest), IsOk());
  EXPECT_THAT(ValidateAuditorState(AuditorState{}), IsOk());
  const auto expect_loss = [&](const std::function<void(AuditorState&)>& change) {
    AuditorState state = honest;
    change(state);
    EXPECT_THAT(ValidateAuditorState(state), StatusIs(absl::StatusCode::kDataLoss));
  };
  expect_loss([](AuditorState& s) { s.tree_size = 12; });
  expect_loss([](AuditorState& s) { s.tree_size = ~TreeSize{0}; });
  expect_loss([](AuditorState& s) { s.tree_size = 0; });
  expect_loss([](AuditorState& s) { s.full_subtrees.pop_back(); });
  expect_loss([](AuditorState& s) { s.frontier.pop_back(); });
  expect_loss([](AuditorState& s) { s.frontier[0].timestamp = 1'000'000; });
}

}  // namespace
}  // namespace kt::core
