// SPDX-License-Identifier: Apache-2.0
//
// Walks along the distinguished entries of a real log: prover and verifier together, both against a
// proof that is composed from the draft's definitions; what users retain of it; and every way to
// answer wrongly.
#include "kt-core/distinguished.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "kt-core/algorithms.h"
#include "tests/kt-core/distinguished_fixture.h"
#include "tests/kt-core/random_history.h"
#include "tests/support/naive_log_tree.h"
#include "tests/support/status_matchers.h"

namespace kt::core {
namespace {

using ::testing::ElementsAre;
using testing::FailsCheck;
using testing::FakeProofSource;
using testing::IsOk;
using testing::IsVerificationFailure;
using testing::NaiveLogTree;
using testing::SeededRandom;
using testing::StatusIs;
using testing::TestLog;
using testing::TestLogOptions;

// --- the draft's definitions once more ---------------------------------------------------

// The entries that reach step 2: distinguished, and not in the left subtree of an entry at which
// the walk stops.
void ReachingStep2(const ReferenceLog& reference, const std::set<LogPosition>& recent,
                   LogPosition entry, std::vector<LogPosition>* asked) {
  if (!reference.IsDistinguished(entry)) return;
  asked->push_back(entry);
  if (reference.node(entry).right)
    ReachingStep2(reference, recent, *reference.node(entry).right, asked);
  if (recent.contains(entry) && reference.node(entry).left) {
    ReachingStep2(reference, recent, *reference.node(entry).left, asked);
  }
}

// "Tree Proofs / Combined Tree / Walking Distinguished Heads".
CombinedTreeProof ComposeWalk(const TestLog& log, const NaiveLogTree& leaves,
                              const ReferenceLog& reference, const std::set<LogPosition>& recent,
                              std::optional<TreeSize> last, std::optional<TreeSize> other_size) {
  std::set<LogPosition> known, provided;
  if (last.has_value()) {
    for (const LogPosition position : ReferenceOf(log, *last).Frontier()) known.insert(position);
  }
  std::vector<LogPosition> asked = reference.UpdateView(last);
  ReachingStep2(reference, recent, reference.root(), &asked);
  CombinedTreeProof proof;
  for (const LogPosition position : asked) {
    if (!known.insert(position).second) continue;
    provided.insert(position);
    proof.timestamps.push_back(log.TimestampOf(position));
  }
  for (const LogPosition position : provided) {
    proof.prefix_roots.push_back(log.PrefixRootOf(position));
  }
  proof.inclusion.elements = leaves.Nodes(merkle::RequiredNodes(
      {reference.size(), {provided.begin(), provided.end()}, last, other_size}));
  return proof;
}

NaiveLogTree LeavesOf(const TestLog& log) {
  NaiveLogTree leaves;
  for (LogPosition position = 0; position < log.size(); ++position) {
    leaves.Append(base::Sha256(
        codec::Encode(LogEntry{log.TimestampOf(position), log.PrefixRootOf(position)})));
  }
  return leaves;
}

// --- the walk ----------------------------------------------------------------------------

// Fourteen entries a second apart and a window of three seconds: the root 7, then 11 and 3 at
// either side of it, since 13 - 7 and 7 - 0 reach three; 13 does not (13 - 11), nor 9 (11 - 7 is
// four: it does).
TEST(WalkDistinguished, GoesFromRightToLeftAndAsksForEachTimestampOnce) {
  Configuration config;
  config.reasonable_monitoring_window = 3000;
  std::vector<uint64_t> timestamps;
  for (uint64_t i = 0; i < 14; ++i) timestamps.push_back(1000 * i);
  RecentDefinition recent;
  FakeProofSource source(timestamps);
  ASSERT_OK_AND_ASSIGN(const DistinguishedWalk all,
                       WalkDistinguished(source, config, recent, std::nullopt));
  EXPECT_EQ(all.ended_at, std::nullopt);
  EXPECT_THAT(all.positions, ElementsAre(1, 3, 5, 7, 9, 11));
  // The rightmost entry for its time, then each distinguished entry before its right subtree.
  EXPECT_THAT(source.timestamps_asked(), ElementsAre(13, 7, 11, 9, 3, 5, 1));

  FakeProofSource stopped(timestamps);
  ASSERT_OK_AND_ASSIGN(const DistinguishedWalk after_five,
                       WalkDistinguished(stopped, config, recent, 5));
  EXPECT_EQ(after_five.ended_at, LogPosition{5});
  EXPECT_THAT(after_five.positions, ElementsAre(7, 9, 11));
  EXPECT_THAT(stopped.timestamps_asked(), ElementsAre(13, 7, 11, 9, 3, 5));

  recent.rightmost = 2;
  FakeProofSource two(timestamps);
  ASSERT_OK_AND_ASSIGN(const DistinguishedWalk rightmost,
                       WalkDistinguished(two, config, recent, std::nullopt));
  EXPECT_EQ(rightmost.ended_at, LogPosition{7});
  EXPECT_THAT(rightmost.positions, ElementsAre(9, 11));
  EXPECT_THAT(two.timestamps_asked(), ElementsAre(13, 7, 11, 9));
}

TEST(WalkDistinguished, LeavesOutWhatIsTooOldOrExpired) {
  Configuration config;
  config.reasonable_monitoring_window = 0;
  const std::vector<uint64_t> timestamps = {0, 1000, 2000, 3000, 4000, 5000};
  const auto walk = [&](const RecentDefinition& recent) {
    FakeProofSource source(timestamps);
    return WalkDistinguished(source, config, recent, std::nullopt).value().positions;
  };
  EXPECT_THAT(walk({10, std::nullopt}), ElementsAre(0, 1, 2, 3, 4, 5));
  // "Yields a value less than some threshold."
  EXPECT_THAT(walk({10, 2000}), ElementsAre(4, 5));
  EXPECT_THAT(walk({10, 2001}), ElementsAre(3, 4, 5));
  EXPECT_THAT(walk({2, 2001}), ElementsAre(4, 5));
  EXPECT_THAT(walk({10, 0}), ElementsAre());
  // "MUST NOT include any expired distinguished log entries."
  config.maximum_lifetime = 3000;
  EXPECT_THAT(walk({10, std::nullopt}), ElementsAre(3, 4, 5));
  EXPECT_THAT(walk({10, 9000}), ElementsAre(3, 4, 5));
}

// "An application's definition of 'recent' SHOULD NOT include more than ten [...] entries."
TEST(WalkDistinguished, ListsAtMostTenUnlessToldOtherwise) {
  Configuration config;
  config.reasonable_monitoring_window = 0;
  FakeProofSource source(std::vector<uint64_t>(12, 1000));
  EXPECT_THAT(WalkDistinguished(source, config, {}, std::nullopt).value().positions,
              ElementsAre(2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
}

TEST(WalkDistinguished, PassesFailuresOfTheSourceOn) {
  Configuration config;
  for (const LogPosition missing : {0, 1, 2, 3}) {
    FakeProofSource source({0, 1, 2, 3});
    source.FailAtTimestamp(missing);
    EXPECT_THAT(WalkDistinguished(source, config, {}, std::nullopt),
                StatusIs(absl::StatusCode::kUnavailable));
  }
}

// --- random histories --------------------------------------------------------------------

TEST(DistinguishedProofs, AreThoseOfTheDraftInRandomHistories) {
  const uint64_t seed = testing::TestSeed(51);
  int walks = 0, found = 0, stopped = 0;
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    const TreeSize entries = 1 + random.Below(round % 10 == 0 ? 300 : 60);
    TestLog log(RandomOptions(random, entries));
    RandomHistory history(random, 2);
    while (log.size() < entries) history.Grow(log);
    const NaiveLogTree leaves = LeavesOf(log);
    const RecentDefinition recent = RandomRecent(random, entries);
    for (int i = 0; i < 12; ++i) {
      const TreeSize size = 1 + random.Below(entries);
      std::optional<TreeSize> last, other_size;
      std::optional<LogPosition> stop;
      if (random.Below(3) != 0) last = 1 + random.Below(size);
      if (random.Below(3) == 0) stop = random.Below(size + 2);
      if (random.Below(3) == 0) other_size = 1 + random.Below(size);
      SCOPED_TRACE(absl::StrCat("size ", size, ", last ", last.value_or(0)));
      const ReferenceLog reference = ReferenceOf(log, size);
      const std::set<LogPosition> expected = ReferenceRecent(reference, log, recent, stop);

      const auto view = log.ViewAt(size);
      const LabelRecord no_label;
      ProofRecorder recorder(*view, last, no_label);
      ASSERT_THAT(UpdateView(recorder, last), IsOk());
      ASSERT_OK_AND_ASSIGN(const DistinguishedWalk walk,
                           WalkDistinguished(recorder, log.config(), recent, stop));
      const std::vector<LogPosition>& proven = walk.positions;
      ASSERT_EQ(std::set<LogPosition>(proven.begin(), proven.end()), expected);
      ASSERT_TRUE(std::is_sorted(proven.begin(), proven.end()));
      ASSERT_OK_AND_ASSIGN(const CombinedTreeProof proof, recorder.Finish(other_size));
      ASSERT_EQ(proof, ComposeWalk(log, leaves, reference, expected, last, other_size));

      std::optional<UserState> state;
      if (last.has_value()) state = log.StateAt(*last);
      ProofVerifier verifier(proof, size, state.has_value() ? &*state : nullptr, {});
      ASSERT_THAT(UpdateView(verifier, last), IsOk());
      ASSERT_OK_AND_ASSIGN(const DistinguishedWalk verified_walk,
                           WalkDistinguished(verifier, log.config(), recent, stop));
      const std::vector<LogPosition>& verified = verified_walk.positions;
      ASSERT_EQ(verified, proven);
      ASSERT_EQ(verified_walk.ended_at, EndOf(reference, expected));
      ASSERT_EQ(walk.ended_at, verified_walk.ended_at);
      ASSERT_THAT(verifier.Finish(other_size), IsOk());
      for (const LogPosition position : verified) {
        const std::optional<UserState> prefix = verifier.PrefixState(position + 1);
        ASSERT_TRUE(prefix.has_value());
        ASSERT_EQ(prefix->full_subtrees, log.StateAt(position + 1).full_subtrees);
        ASSERT_EQ(prefix->frontier, log.StateAt(position + 1).frontier);
      }
      for (const auto& [id, value] : verifier.nodes()) ASSERT_EQ(value, log.LogNode(id));
      ++walks;
      found += static_cast<int>(verified.size());
      stopped += stop.has_value() && !verified.empty();
    }
  }
  EXPECT_EQ(walks, 480);
  EXPECT_GT(found, 800);
  EXPECT_GT(stopped, 30);
}

// --- whole responses ---------------------------------------------------------------------

class DistinguishedOperation : public ::testing::TestWithParam<Deployment> {
 protected:
  TestLogOptions Options() const { return OptionsOf(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(
    Deployments, DistinguishedOperation,
    ::testing::Values(Deployment{CipherSuite::kP256, DeploymentMode::kContactMonitoring},
                      Deployment{CipherSuite::kP256, DeploymentMode::kThirdPartyAuditing},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kContactMonitoring},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kThirdPartyManagement},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kThirdPartyAuditing}),
    NameOfDeployment);

// A user who walks now and then, asking each time to stop at what she knows, is always aware of the
// same entries as one who walks the whole of it.
TEST_P(DistinguishedOperation, KeepsUsersAwareOfTheSameEntries) {
  const uint64_t seed = testing::TestSeed(52);
  int known = 0, stops = 0;
  for (int round = 0; round < 4; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    TestLogOptions options = RandomOptions(random, 60);
    options.suite = GetParam().suite;
    options.mode = GetParam().mode;
    options.reasonable_monitoring_window_ms /= 8;
    TestLog log(options);
    log.SetAuditorLag(random.Below(6));
    ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
    const RecentDefinition recent = RandomRecent(random, 60);
    RandomHistory history(random, 2);
    std::optional<UserState> state;
    DistinguishedState aware;
    while (log.size() < 60) {
      history.Grow(log);
      if (random.Below(4) == 0) continue;
      DistinguishedRequest request;
      if (state.has_value()) request.last = state->tree_size();
      if (random.Below(4) != 0) request.stop = aware.stop();
      stops += request.stop.has_value();
      ASSERT_OK_AND_ASSIGN(const Bytes bytes, Respond(log, recent, log.size(), request));
      ASSERT_OK_AND_ASSIGN(
          const VerifiedDistinguished walk,
          VerifyDistinguished(*verifier, recent, request, bytes,
                              state.has_value() ? &*state : nullptr, log.RightmostMs()));
      ASSERT_EQ(walk.state, log.StateAt(log.size()));
      state = walk.state;
      ASSERT_OK_AND_ASSIGN(aware, MergeWalk(log.config(), recent, aware, request, walk));
      DistinguishedState expected;
      for (const LogPosition position :
           ReferenceRecent(ReferenceOf(log, log.size()), log, recent, std::nullopt)) {
        expected.entries.push_back(EntryOf(log, position));
        ASSERT_EQ(expected.entries.back().root(), log.RootAt(position + 1));
      }
      ASSERT_EQ(aware, expected);
      ASSERT_THAT(ValidateDistinguishedState(aware), IsOk());
      ASSERT_THAT(codec::Decode<DistinguishedState>(codec::Encode(aware)),
                  testing::IsOkAndHolds(aware));
      known += static_cast<int>(aware.entries.size());
      // The same head once more, for a user who has it.
      request = {state->tree_size(), std::nullopt};
      ASSERT_OK_AND_ASSIGN(const Bytes again, Respond(log, recent, log.size(), request));
      ASSERT_OK_AND_ASSIGN(
          const VerifiedDistinguished same,
          VerifyDistinguished(*verifier, recent, request, again, &*state, log.RightmostMs()));
      ASSERT_EQ(same.entries, expected.entries);
      ASSERT_EQ(same.state, *state);
    }
  }
  EXPECT_GT(known, 100);
  EXPECT_GT(stops, 20);
}

// --- rejects -----------------------------------------------------------------------------

constexpr uint64_t kNowMs = 1'000'000;
const RecentDefinition kRecent = {4, std::nullopt};

// A log of 23 entries of which several are distinguished; the auditor, if any, has seen 20.
struct Exchange {
  explicit Exchange(const TestLogOptions& base_options, std::optional<TreeSize> last,
                    std::optional<LogPosition> stop)
      : log([&] {
          TestLogOptions options = base_options;
          options.reasonable_monitoring_window_ms = 250;
          return options;
        }()),
        request{last, stop} {
    log.SetAuditorLag(3);
    for (uint64_t i = 0; i < 23; ++i) {
      log.Append(kNowMs - 100 * (22 - i), {{absl::StrCat("label", i % 5), absl::StrCat(i)}});
    }
    if (last.has_value()) state = log.StateAt(*last);
    verifier = ResponseVerifier::Create(log.config()).value();
  }
  DistinguishedResponse Honest() const {
    return ProveDistinguished(log.config(), kRecent, *log.ViewAt(23), log.HeadAt(23), request)
        .value();
  }
  absl::StatusOr<VerifiedDistinguished> Verify(ByteView bytes, uint64_t now_ms = kNowMs) const {
    return VerifyDistinguished(*verifier, kRecent, request, bytes,
                               state.has_value() ? &*state : nullptr, now_ms);
  }
  absl::Status Status(const DistinguishedResponse& response) const {
    return Verify(codec::Encode(response, log.context())).status();
  }

  TestLog log;
  DistinguishedRequest request;
  std::optional<UserState> state;
  std::unique_ptr<ResponseVerifier> verifier;
};

std::vector<std::pair<std::optional<TreeSize>, std::optional<LogPosition>>> Users() {
  return {{std::nullopt, std::nullopt},
          {std::nullopt, 15},
          {9, std::nullopt},
          {9, 11},
          {23, std::nullopt},
          {23, 15}};
}

// Every byte of a response is authenticated: there is nothing in it that could change unseen.
TEST_P(DistinguishedOperation, RefusesEveryFlippedBitAndTruncation) {
  for (const auto& [last, stop] : Users()) {
    SCOPED_TRACE(absl::StrCat(last.value_or(0), " ", stop.value_or(0)));
    const Exchange exchange(Options(), last, stop);
    const Bytes bytes = codec::Encode(exchange.Honest(), exchange.log.context());
    ASSERT_OK_AND_ASSIGN(const VerifiedDistinguished honest, exchange.Verify(bytes));
    ASSERT_FALSE(honest.entries.empty());
    for (size_t i = 0; i < bytes.size(); ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        const bool every_bit = GetParam().suite == CipherSuite::kEd25519 &&
                               GetParam().mode == DeploymentMode::kThirdPartyAuditing;
        if (!every_bit && bit != static_cast<int>(i % 8)) continue;
        Bytes flipped = bytes;
        flipped[i] = static_cast<uint8_t>(flipped[i] ^ (1 << bit));
        ASSERT_THAT(exchange.Verify(flipped), IsVerificationFailure())
            << "byte " << i << ", bit " << bit;
      }
      ASSERT_THAT(exchange.Verify(ByteView(bytes).first(i)), FailsCheck("malformed-response"));
    }
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_THAT(exchange.Verify(longer), FailsCheck("malformed-response"));
  }
}

template <typename T>
void ForEachChange(std::vector<T>& list, const std::function<void()>& visit) {
  const std::vector<T> original = list;
  for (size_t i = 0; i < original.size(); ++i) {
    list.erase(list.begin() + static_cast<ptrdiff_t>(i));
    visit();
    list = original;
    list.insert(list.begin() + static_cast<ptrdiff_t>(i), original[i]);
    visit();
    list = original;
  }
  list.emplace_back();
  visit();
  list = original;
}

TEST_P(DistinguishedOperation, RefusesEveryChangeOfAList) {
  for (const auto& [last, stop] : Users()) {
    const Exchange exchange(Options(), last, stop);
    DistinguishedResponse response = exchange.Honest();
    int changes = 0;
    const auto expect_refused = [&] {
      ++changes;
      EXPECT_THAT(exchange.Status(response), IsVerificationFailure());
    };
    ForEachChange(response.distinguished.timestamps, expect_refused);
    ForEachChange(response.distinguished.prefix_proofs, expect_refused);
    ForEachChange(response.distinguished.prefix_roots, expect_refused);
    ForEachChange(response.distinguished.inclusion.elements, expect_refused);
    EXPECT_GT(changes, 3);
    EXPECT_THAT(exchange.Status(response), IsOk());
  }
}

TEST_P(DistinguishedOperation, RefusesTheAnswerToAnotherRequest) {
  std::vector<Exchange> exchanges;
  for (const auto& [last, stop] : Users()) exchanges.emplace_back(Options(), last, stop);
  int refused = 0;
  for (const Exchange& asked : exchanges) {
    for (const Exchange& other : exchanges) {
      const DistinguishedResponse answer = other.Honest(), expected = asked.Honest();
      // A stop may change nothing.
      if (answer.distinguished == expected.distinguished &&
          answer.full_tree_head.head_type == expected.full_tree_head.head_type) {
        EXPECT_THAT(asked.Status(answer), IsOk());
      } else {
        EXPECT_THAT(asked.Status(answer), IsVerificationFailure());
        ++refused;
      }
    }
  }
  EXPECT_GE(refused, 26);
}

// The definition of "recent" is part of the question.
TEST_P(DistinguishedOperation, RefusesTheAnswerUnderAnotherDefinition) {
  const Exchange exchange(Options(), std::nullopt, std::nullopt);
  const Bytes bytes = codec::Encode(exchange.Honest(), exchange.log.context());
  for (const size_t rightmost : {1, 8}) {
    EXPECT_THAT(VerifyDistinguished(*exchange.verifier, {rightmost, std::nullopt}, exchange.request,
                                    bytes, nullptr, kNowMs),
                FailsCheck("timestamps"));
  }
}

TEST_P(DistinguishedOperation, RefusesAnotherConfigurationAndTimesOutOfBounds) {
  const Exchange exchange(Options(), std::nullopt, std::nullopt);
  const Bytes bytes = codec::Encode(exchange.Honest(), exchange.log.context());
  Configuration config = exchange.log.config();
  config.max_ahead += 1;
  ASSERT_OK_AND_ASSIGN(const auto other, ResponseVerifier::Create(config));
  EXPECT_THAT(VerifyDistinguished(*other, kRecent, exchange.request, bytes, nullptr, kNowMs),
              FailsCheck("tree-head-signature"));
  const Configuration& honest = exchange.log.config();
  EXPECT_THAT(exchange.Verify(bytes, kNowMs + honest.max_behind), IsOk());
  EXPECT_THAT(exchange.Verify(bytes, kNowMs + honest.max_behind + 1),
              FailsCheck("timestamp-bounds"));
  EXPECT_THAT(exchange.Verify(bytes, kNowMs - honest.max_ahead), IsOk());
  EXPECT_THAT(exchange.Verify(bytes, kNowMs - honest.max_ahead - 1),
              FailsCheck("timestamp-bounds"));
}

// A fork before what the user has seen shows at once.
TEST_P(DistinguishedOperation, RefusesAForkBeforeTheRetainedSize) {
  const Exchange exchange(Options(), TreeSize{9}, std::nullopt);
  for (const TreeSize shared : {1, 4, 8}) {
    TestLog fork = exchange.log.Prefix(shared);
    while (fork.size() < 23) {
      fork.Append(exchange.log.TimestampOf(fork.size()), {{"mallory", absl::StrCat(fork.size())}});
    }
    ASSERT_OK_AND_ASSIGN(const Bytes bytes, Respond(fork, kRecent, 23, exchange.request));
    EXPECT_THAT(exchange.Verify(bytes), IsVerificationFailure());
  }
}

TEST_P(DistinguishedOperation, RefusesARequestThatDoesNotFitTheState) {
  Exchange exchange(Options(), TreeSize{9}, std::nullopt);
  const Bytes bytes = codec::Encode(exchange.Honest(), exchange.log.context());
  for (const std::optional<TreeSize>& last :
       {std::optional<TreeSize>(), std::optional<TreeSize>(8), std::optional<TreeSize>(23)}) {
    exchange.request.last = last;
    EXPECT_THAT(exchange.Verify(bytes), StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

// --- provers -----------------------------------------------------------------------------

TEST(ProveDistinguished, RefusesASizeThatTheLogNeverHad) {
  TestLog log(TestLogOptions{});
  for (uint64_t timestamp_ms : {1, 2, 3}) log.Append(timestamp_ms);
  for (const TreeSize last : {TreeSize{0}, TreeSize{4}, ~TreeSize{0}}) {
    EXPECT_THAT(Respond(log, kRecent, 3, {last, std::nullopt}),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(Respond(log, kRecent, 3, {3, ~LogPosition{0}}), IsOk());
}

TEST(ProveDistinguished, RefusesMoreThanAResponseCanCarry) {
  TestLogOptions options;
  options.reasonable_monitoring_window_ms = 0;
  TestLog log(options);
  while (log.size() < 255) log.Append(log.size());
  const RecentDefinition everything{1000, std::nullopt};
  ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
  ASSERT_OK_AND_ASSIGN(const Bytes bytes, Respond(log, everything, 255, {}));
  ASSERT_OK_AND_ASSIGN(const VerifiedDistinguished walk,
                       VerifyDistinguished(*verifier, everything, {}, bytes, nullptr, 254));
  EXPECT_EQ(walk.entries.size(), 255u);
  log.Append(255);
  EXPECT_THAT(Respond(log, everything, 256, {}), StatusIs(absl::StatusCode::kResourceExhausted));
}

// --- what users retain -------------------------------------------------------------------

class RetainedEntries : public ::testing::Test {
 protected:
  RetainedEntries() : exchange_(TestLogOptions{}, std::nullopt, std::nullopt) {
    const Bytes bytes = codec::Encode(exchange_.Honest(), exchange_.log.context());
    walk_ = exchange_.Verify(bytes).value();
    known_ = Merge({}, {}).value();
  }
  absl::StatusOr<DistinguishedState> Merge(const DistinguishedState& known,
                                           const DistinguishedRequest& request) const {
    return MergeWalk(exchange_.log.config(), kRecent, known, request, walk_);
  }

  Exchange exchange_;
  VerifiedDistinguished walk_;
  DistinguishedState known_;
};

TEST_F(RetainedEntries, AreFoundByPosition) {
  ASSERT_EQ(known_.entries.size(), 4u);
  for (const DistinguishedEntry& entry : known_.entries) {
    EXPECT_EQ(known_.Find(entry.position), &entry);
    EXPECT_EQ(known_.FirstFrom(entry.position), &entry);
    EXPECT_EQ(entry.entry().timestamp, exchange_.log.TimestampOf(entry.position));
  }
  const LogPosition first = known_.entries.front().position;
  EXPECT_EQ(known_.Find(first - 1), nullptr);
  EXPECT_EQ(known_.FirstFrom(0), &known_.entries.front());
  EXPECT_EQ(known_.FirstFrom(*known_.stop() + 1), nullptr);
  EXPECT_EQ(DistinguishedState{}.stop(), std::nullopt);
}

TEST_F(RetainedEntries, ThatContradictAWalkAreRefused) {
  EXPECT_THAT(Merge(known_, {}), testing::IsOkAndHolds(known_));
  DistinguishedState other = known_;
  other.entries[1].full_subtrees[0].bytes[0] ^= 1;
  EXPECT_THAT(Merge(other, {}), FailsCheck("distinguished-heads"));
  // One that the walk does not show, although it covers the position.
  other = known_;
  other.entries[1] = EntryOf(exchange_.log, known_.entries[1].position - 1);
  EXPECT_THAT(Merge(other, {}), FailsCheck("distinguished-heads"));
  // One beyond the tree of the walk.
  other = known_;
  TestLog longer = exchange_.log;
  longer.Append(kNowMs + 1000);
  other.entries.push_back(EntryOf(longer, 23));
  EXPECT_THAT(Merge(other, {std::nullopt, 23}), FailsCheck("distinguished-heads"));
}

TEST_F(RetainedEntries, AreMergedOnlyWithAWalkThatStoppedAtTheLast) {
  EXPECT_THAT(Merge(known_, {std::nullopt, known_.entries[0].position}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Merge({}, {std::nullopt, 3}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(RetainedEntries, ThatWereDamagedAreRefused) {
  const std::function<void(DistinguishedState&)> damages[] = {
      [](DistinguishedState& state) { std::swap(state.entries[0], state.entries[1]); },
      [](DistinguishedState& state) { state.entries[1] = state.entries[0]; },
      [](DistinguishedState& state) { state.entries[0].frontier.clear(); },
      [](DistinguishedState& state) { state.entries[0].frontier.emplace_back(); },
      [](DistinguishedState& state) { state.entries[0].full_subtrees.clear(); },
      [](DistinguishedState& state) { state.entries[0].full_subtrees.emplace_back(); },
      [](DistinguishedState& state) { state.entries[3].position = ~LogPosition{0}; },
      [](DistinguishedState& state) { state.entries[3].frontier[0].timestamp = ~uint64_t{0}; },
  };
  for (const auto& damage : damages) {
    DistinguishedState state = known_;
    damage(state);
    EXPECT_THAT(ValidateDistinguishedState(state), StatusIs(absl::StatusCode::kDataLoss));
    EXPECT_THAT(Merge(state, {}), StatusIs(absl::StatusCode::kDataLoss));
  }
}

}  // namespace
}  // namespace kt::core
