// SPDX-License-Identifier: Apache-2.0
//
// Searches of a real log, by fresh and by returning users: prover and verifier together, and both
// against a proof that is composed from the draft's definitions and naive trees.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "kt-core/algorithms.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/prover.h"
#include "kt-core/response_verifier.h"
#include "tests/kt-core/random_history.h"
#include "tests/kt-core/reference.h"
#include "tests/support/naive_log_tree.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::core {
namespace {

using testing::FailsCheck;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::NaiveLogTree;
using testing::SeededRandom;
using ::testing::SizeIs;
using testing::StatusIs;
using testing::TestLog;
using testing::TestLogOptions;
using testing::TestUser;

// --- trees only: many histories ----------------------------------------------------------

class ProofOfHistory {
 public:
  explicit ProofOfHistory(const TestLog& log) : log_(log) {
    for (LogPosition position = 0; position < log.size(); ++position) {
      leaves_.Append(base::Sha256(
          codec::Encode(LogEntry{log.TimestampOf(position), log.PrefixRootOf(position)})));
    }
  }

  // "Tree Proofs / Combined Tree", for a search that asks for what `search` says.
  CombinedTreeProof Compose(const ReferenceLog& reference, const ReferenceSearch& search,
                            const std::string& label, std::optional<TreeSize> last,
                            std::optional<TreeSize> other_size) const {
    std::set<LogPosition> known, provided;
    if (last.has_value()) {
      for (const LogPosition position : ReferenceOf(log_, *last).Frontier()) known.insert(position);
    }
    CombinedTreeProof proof;
    std::vector<LogPosition> asked = reference.UpdateView(last);
    asked.insert(asked.end(), search.touched.begin(), search.touched.end());
    for (const LogPosition position : asked) {
      if (!known.insert(position).second) continue;
      provided.insert(position);
      proof.timestamps.push_back(log_.TimestampOf(position));
    }
    std::set<LogPosition> searched;
    for (const auto& [position, versions] : search.series) {
      std::vector<base::VrfOutput> keys;
      for (const Version version : versions) keys.push_back(log_.OutputOf(label, version));
      proof.prefix_proofs.push_back(log_.PrefixTreeOf(position).Prove(keys));
      searched.insert(position);
    }
    for (const LogPosition position : provided) {
      if (!searched.contains(position)) {
        proof.prefix_roots.push_back(log_.PrefixRootOf(position));
      }
    }
    proof.inclusion.elements = leaves_.Nodes(merkle::RequiredNodes(
        {reference.size(), {provided.begin(), provided.end()}, last, other_size}));
    return proof;
  }

  Hash Root(TreeSize size) const { return leaves_.Root(size); }

 private:
  const TestLog& log_;
  NaiveLogTree leaves_;
};

// What a verifier that has checked the VRF proofs knows of a label.
std::map<Version, KnownVersion> KnownVersions(const TestLog& log, const std::string& label,
                                              Version target) {
  std::map<Version, KnownVersion> versions;
  for (const Version version : BaseBinaryLadder(target)) {
    const TestLog::VersionData* data = log.Find(label, version);
    versions[version] = {log.OutputOf(label, version),
                         data != nullptr ? std::optional(data->commitment) : std::nullopt};
  }
  return versions;
}

struct Counts {
  int greatest = 0, fixed = 0, expired = 0, monitoring = 0;
};

// One search of the log as it was at `size`, by a user who has seen `last` entries.
void CheckSearch(const TestLog& log, const ProofOfHistory& naive, TreeSize size,
                 std::optional<TreeSize> last, const std::string& label, Version target,
                 bool greatest, std::optional<TreeSize> other_size, Counts* counts) {
  SCOPED_TRACE(absl::StrCat("size ", size, ", last ", last.value_or(0), ", ", label, " version ",
                            target, greatest ? " (greatest)" : ""));
  const ReferenceLog reference = ReferenceOf(log, size);
  const ReferenceSearch expected =
      greatest ? ReferenceGreatestVersionSearch(reference, target, GreatestIn(log, label))
               : ReferenceFixedVersionSearch(reference, target, GreatestIn(log, label));
  const auto run = [&](ProofSource& source) {
    return greatest ? GreatestVersionSearch(source, target, log.config())
                    : FixedVersionSearch(source, target, log.config());
  };

  const auto view = log.ViewAt(size);
  const LabelRecord record = log.Record(label, BaseBinaryLadder(target));
  ProofRecorder recorder(*view, last, record);
  ASSERT_THAT(UpdateView(recorder, last), IsOk());
  const absl::StatusOr<SearchOutcome> proven = run(recorder);
  ASSERT_OK_AND_ASSIGN(const CombinedTreeProof proof, recorder.Finish(other_size));
  ASSERT_EQ(proof, naive.Compose(reference, expected, label, last, other_size));

  std::optional<UserState> state;
  if (last.has_value()) state = log.StateAt(*last);
  ProofVerifier verifier(proof, size, state.has_value() ? &*state : nullptr,
                         KnownVersions(log, label, target));
  ASSERT_THAT(UpdateView(verifier, last), IsOk());
  const absl::StatusOr<SearchOutcome> verified = run(verifier);
  ASSERT_OK_AND_ASSIGN(const ProvenView proven_view, verifier.Finish(other_size));
  ASSERT_EQ(proven_view.log.root, naive.Root(size));
  if (other_size.has_value()) {
    ASSERT_EQ(proven_view.log.other_root, naive.Root(*other_size));
  }
  ASSERT_EQ(proven_view.log.full_subtrees, log.StateAt(size).full_subtrees);
  ASSERT_EQ(proven_view.frontier, log.StateAt(size).frontier);
  ASSERT_EQ(proven_view.rightmost_ms, log.TimestampOf(size - 1));

  ASSERT_EQ(proven.status().code(), verified.status().code());
  if (expected.result == ReferenceSearch::kFound) {
    ASSERT_THAT(proven, IsOk());
    for (const SearchOutcome& outcome : {*proven, *verified}) {
      ASSERT_EQ(outcome.terminal, expected.terminal);
      ASSERT_EQ(outcome.right_of_distinguished, expected.right_of_distinguished);
    }
    ++(greatest ? counts->greatest : counts->fixed);
    counts->monitoring += expected.right_of_distinguished;
  } else {
    ASSERT_THAT(proven, StatusIs(expected.result == ReferenceSearch::kExpired
                                     ? absl::StatusCode::kOutOfRange
                                     : absl::StatusCode::kNotFound));
    counts->expired += expected.result == ReferenceSearch::kExpired;
  }
}

// A log of `entries` entries; each earlier size is a user's, and each size beyond it may be the
// log's. `step` thins the sizes out.
void CheckHistory(SeededRandom& random, TreeSize entries, TreeSize step, Counts* counts) {
  TestLogOptions options = RandomOptions(random, entries);
  TestLog log(options);
  RandomHistory history(random, 3);
  while (log.size() < entries) history.Grow(log);
  const ProofOfHistory naive(log);
  for (TreeSize seen = 0; seen <= entries; seen += 1 + random.Below(step)) {
    const std::optional<TreeSize> last = seen == 0 ? std::nullopt : std::optional(seen);
    const TreeSize size = random.Below(2) == 0
                              ? entries
                              : std::max<TreeSize>(1, seen + random.Below(entries - seen + 1));
    const std::string label = history.AnyLabel();
    const std::optional<Version> greatest = log.Greatest(label, size);
    std::optional<TreeSize> other_size;
    if (random.Below(3) == 0) other_size = 1 + random.Below(size);
    if (greatest.has_value()) {
      CheckSearch(log, naive, size, last, label, *greatest, true, other_size, counts);
      if (::testing::Test::HasFatalFailure()) return;
    }
    const auto any = static_cast<Version>(random.Below(greatest.value_or(0) + 2));
    CheckSearch(log, naive, size, last, label, any, false, other_size, counts);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(SearchProofs, AreThoseOfTheDraftInRandomHistories) {
  const uint64_t seed = testing::TestSeed(31);
  Counts counts;
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    CheckHistory(random, 1 + random.Below(60), 3, &counts);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(counts.greatest, 200);
  EXPECT_GT(counts.fixed, 200);
  EXPECT_GT(counts.expired, 20);
  EXPECT_GT(counts.monitoring, 100);
}

TEST(SearchProofs, AreThoseOfTheDraftInLongHistories) {
  const uint64_t seed = testing::TestSeed(32);
  Counts counts;
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    CheckHistory(random, 300, 30, &counts);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(counts.greatest, 20);
}

// --- whole responses: both suites, every mode --------------------------------------------

struct Deployment {
  CipherSuite suite;
  DeploymentMode mode;
};
std::string Name(const ::testing::TestParamInfo<Deployment>& info) {
  const char* const modes[] = {"", "Contact", "Managed", "Audited"};
  return absl::StrCat(info.param.suite == CipherSuite::kP256 ? "P256" : "Ed25519",
                      modes[static_cast<int>(info.param.mode)]);
}

class SearchOperation : public ::testing::TestWithParam<Deployment> {
 protected:
  TestLogOptions Options(uint64_t seed = 1) const {
    TestLogOptions options;
    options.suite = GetParam().suite;
    options.mode = GetParam().mode;
    options.seed = seed;
    return options;
  }
};
INSTANTIATE_TEST_SUITE_P(
    Deployments, SearchOperation,
    ::testing::Values(Deployment{CipherSuite::kP256, DeploymentMode::kContactMonitoring},
                      Deployment{CipherSuite::kP256, DeploymentMode::kThirdPartyManagement},
                      Deployment{CipherSuite::kP256, DeploymentMode::kThirdPartyAuditing},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kContactMonitoring},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kThirdPartyManagement},
                      Deployment{CipherSuite::kEd25519, DeploymentMode::kThirdPartyAuditing}),
    Name);

// One request to the log as it was at `size`, whatever its answer is; checks the answer and returns
// whether the label-version was found.
bool CheckOperation(const TestLog& log, TreeSize size, const std::string& label,
                    std::optional<Version> version, TestUser& user) {
  const SearchRequest request = user.Request(label, version);
  const uint64_t now_ms = log.TimestampOf(size - 1);
  const std::optional<Version> greatest = log.Greatest(label, size);
  const ReferenceLog reference = ReferenceOf(log, size);
  const bool exists = greatest.has_value() && version.value_or(0) <= *greatest;
  if (!exists) {
    const auto response = log.Absence(request, size);
    EXPECT_THAT(response, IsOk());
    if (!response.ok()) return false;
    const auto result = user.Absence(request, *response, now_ms);
    EXPECT_THAT(result, IsOk());
    if (!result.ok()) return false;
    EXPECT_EQ(result->version, version.value_or(0));
    EXPECT_EQ(user.state(), log.StateAt(size));
    return false;
  }
  const ReferenceSearch expected =
      version.has_value()
          ? ReferenceFixedVersionSearch(reference, *version, GreatestIn(log, label))
          : ReferenceGreatestVersionSearch(reference, *greatest, GreatestIn(log, label));
  const auto response = log.Search(request, size);
  if (expected.result == ReferenceSearch::kExpired) {
    EXPECT_THAT(response, StatusIs(absl::StatusCode::kOutOfRange));
    return false;
  }
  EXPECT_THAT(response, IsOk());
  if (!response.ok()) return false;
  const auto result = user.Search(request, *response, now_ms);
  EXPECT_THAT(result, IsOk());
  if (!result.ok()) return false;
  const Version target = version.value_or(*greatest);
  EXPECT_EQ(result->version, target);
  EXPECT_EQ(result->value, log.Find(label, target)->update.value);
  EXPECT_EQ(result->terminal, expected.terminal);
  EXPECT_EQ(result->monitoring_required, log.config().mode == DeploymentMode::kContactMonitoring &&
                                             expected.right_of_distinguished);
  EXPECT_EQ(result->state, log.StateAt(size));
  EXPECT_EQ(user.state(), log.StateAt(size));
  return true;
}

// Users who retained any earlier size, one operation each, and go on from what they then retain.
TEST_P(SearchOperation, ServesUsersFromAnyEarlierSize) {
  const uint64_t seed = testing::TestSeed(33);
  int found = 0;
  for (int round = 0; round < 2; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    TestLogOptions options = RandomOptions(random, 25);
    options.suite = GetParam().suite;
    options.mode = GetParam().mode;
    TestLog log(options);
    log.SetAuditorLag(random.Below(6));
    RandomHistory history(random, 3);
    while (log.size() < 25) history.Grow(log);
    ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
    for (TreeSize seen = 0; seen <= 25; ++seen) {
      SCOPED_TRACE(seen);
      TestUser user(*verifier);
      if (seen > 0) user.set_state(log.StateAt(seen));
      const TreeSize size = std::max<TreeSize>(1, seen + random.Below(25 - seen + 1));
      const std::string label = history.AnyLabel();
      const auto version = static_cast<Version>(random.Below(6));
      found += CheckOperation(log, size, label, std::nullopt, user);
      // The same head again, then the log's newest, with what was retained.
      found += CheckOperation(log, size, label, version, user);
      found += CheckOperation(log, 25, history.AnyLabel(), std::nullopt, user);
      CheckOperation(log, 25, "nobody", std::nullopt, user);
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(found, 60);
}

// Two users of a growing log, one who asks after each entry and one who asks now and then, agree
// with a third who has never asked before.
TEST_P(SearchOperation, LeavesAllUsersWithOneState) {
  const uint64_t seed = testing::TestSeed(34);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  TestLog log(Options());
  ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
  RandomHistory history(random, 2);
  log.Append(0, {{"label0", "a"}, {"label1", "b"}});
  TestUser often(*verifier), rarely(*verifier);
  while (log.size() < 40) {
    history.Grow(log);
    CheckOperation(log, log.size(), history.AnyLabel(), std::nullopt, often);
    if (random.Below(6) != 0) continue;
    TestUser fresh(*verifier);
    CheckOperation(log, log.size(), history.AnyLabel(), std::nullopt, rarely);
    CheckOperation(log, log.size(), "nobody", std::nullopt, fresh);
    ASSERT_EQ(often.state(), rarely.state());
    ASSERT_EQ(often.state(), fresh.state());
  }
}

TEST_P(SearchOperation, FindsEveryVersion) {
  TestLog log(Options());
  uint64_t now_ms = 1000;
  for (int entry = 0; entry < 20; ++entry) {
    log.Append(now_ms += 300, std::vector<testing::TestUpdate>(static_cast<size_t>(entry % 3),
                                                               {"alice", absl::StrCat(entry)}));
  }
  ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
  const Version greatest = *log.Greatest("alice", log.size());
  EXPECT_GT(greatest, 15u);
  for (Version version = 0; version <= greatest; ++version) {
    TestUser user(*verifier);
    EXPECT_TRUE(CheckOperation(log, log.size(), "alice", version, user));
  }
  TestUser user(*verifier);
  EXPECT_FALSE(CheckOperation(log, log.size(), "alice", greatest + 1, user));
}

// The ladder of the greatest possible version has no version above it, so that all its lookups are
// redundant in the second entry: a prefix proof of no results, and the root.
TEST_P(SearchOperation, HandlesTheLargestVersion) {
  constexpr Version kTop = std::numeric_limits<Version>::max();
  TestLogOptions options = Options();
  options.reasonable_monitoring_window_ms = 1'000'000'000;  // nothing is distinguished
  TestLog log(options);
  for (const Version version : BaseBinaryLadder(kTop)) log.AddVersion("alice", version, "value");
  log.AddVersion("alice", 2, "two");
  log.Append(1000);
  log.Append(2000, {{"bob", "value"}});
  log.Append(3000);
  ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
  TestUser user(*verifier);
  const SearchRequest request = user.Request("alice");
  ASSERT_OK_AND_ASSIGN(const SearchResponse response, log.SearchResponse(request));
  EXPECT_THAT(response.search.prefix_proofs, SizeIs(2));
  EXPECT_THAT(response.search.prefix_proofs[1].results, IsEmpty());
  EXPECT_THAT(response.search.prefix_proofs[1].elements,
              ::testing::ElementsAre(log.PrefixRootOf(2)));
  EXPECT_THAT(response.binary_ladder, SizeIs(33));
  ASSERT_OK_AND_ASSIGN(const Bytes bytes, log.Search(request));
  ASSERT_OK_AND_ASSIGN(const VerifiedSearch result, user.Search(request, bytes, 3000));
  EXPECT_EQ(result.version, kTop);
  EXPECT_EQ(result.terminal, 1u);
}

// "Skipped versions are inserted into the prefix tree with an all-zero commitment value."
TEST_P(SearchOperation, PassesOverSkippedVersions) {
  TestLog log(Options());
  log.AddVersion("alice", 0, "first");
  log.SkipVersion("alice", 1);
  log.SkipVersion("alice", 2);
  log.AddVersion("alice", 3, "fourth");
  log.Append(1000);
  ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
  for (const std::optional<Version>& version :
       {std::optional<Version>(), std::optional<Version>(0), std::optional<Version>(3)}) {
    TestUser user(*verifier);
    EXPECT_TRUE(CheckOperation(log, 1, "alice", version, user));
  }
  // No value opens the commitment of a skipped version.
  TestUser user(*verifier);
  const SearchRequest request = user.Request("alice", 1);
  ASSERT_OK_AND_ASSIGN(const Bytes bytes, log.Search(request));
  EXPECT_THAT(user.Search(request, bytes, 1000), testing::IsVerificationFailure());
}

TEST_P(SearchOperation, TakesAnyLabelOfUpTo255Bytes) {
  TestLog log(Options());
  const std::string longest(255, 'x');
  const std::string odd("\0\xff label", 8);
  log.Append(1000, {{longest, "a"}, {odd, "b"}, {"", "c"}});
  ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
  for (const std::string& label : {longest, odd, std::string()}) {
    TestUser user(*verifier);
    EXPECT_TRUE(CheckOperation(log, 1, label, std::nullopt, user));
  }
  TestUser user(*verifier);
  EXPECT_THAT(
      user.Search(user.Request(longest + "x"), log.Search(user.Request(longest)).value(), 1000),
      ::testing::Not(IsOk()));
}

// --- what a prover refuses ---------------------------------------------------------------

TEST(Prover, RefusesASizeThatTheLogNeverHad) {
  TestLog log(TestLogOptions{});
  for (uint64_t timestamp_ms : {1, 2, 3}) log.Append(timestamp_ms, {{"alice", "a"}});
  for (const TreeSize last : {TreeSize{0}, TreeSize{4}, ~TreeSize{0}}) {
    const SearchRequest request{last, base::ToBytes("alice"), std::nullopt};
    EXPECT_THAT(log.SearchResponse(request), StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(log.AbsenceResponse(request), StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

// Answers as another view does, or fails, or is empty.
class BrokenView : public LogView {
 public:
  enum What { kNothing, kEmpty, kTimestamp, kPrefixRoots, kProvePrefix, kLogNodes };
  BrokenView(const LogView& view, What what) : view_(view), what_(what) {}
  TreeSize size() const override { return what_ == kEmpty ? 0 : view_.size(); }
  absl::StatusOr<uint64_t> Timestamp(LogPosition position) const override {
    if (what_ == kTimestamp) return Lost();
    return view_.Timestamp(position);
  }
  absl::StatusOr<std::vector<Hash>> PrefixRoots(
      std::span<const LogPosition> positions) const override {
    if (what_ == kPrefixRoots) return Lost();
    return view_.PrefixRoots(positions);
  }
  absl::StatusOr<std::vector<PrefixProof>> ProvePrefix(
      std::span<const merkle::PrefixProofRequest> requests) const override {
    if (what_ == kProvePrefix) return Lost();
    return view_.ProvePrefix(requests);
  }
  absl::StatusOr<std::vector<Hash>> ReadLogNodes(
      std::span<const merkle::LogNodeId> ids) const override {
    if (what_ == kLogNodes) return Lost();
    return view_.ReadLogNodes(ids);
  }

 private:
  static absl::Status Lost() { return absl::DataLossError("lost"); }
  const LogView& view_;
  const What what_;
};

TEST(Prover, PassesFailuresOfTheStoreOn) {
  TestLog log(TestLogOptions{});
  for (uint64_t timestamp_ms : {1, 2, 3}) log.Append(timestamp_ms, {{"alice", "a"}});
  const auto view = log.ViewAt(3);
  const SearchRequest request{std::nullopt, base::ToBytes("alice"), std::nullopt};
  const LabelRecord record = log.Record("alice", BaseBinaryLadder(2));
  const auto prove = [&](BrokenView::What what) {
    return ProveSearch(log.config(), BrokenView(*view, what), log.HeadAt(3), request, 2, record,
                       log.Find("alice", 2)->opening, log.Find("alice", 2)->update)
        .status();
  };
  EXPECT_THAT(prove(BrokenView::kNothing), IsOk());
  EXPECT_THAT(prove(BrokenView::kEmpty), StatusIs(absl::StatusCode::kUnavailable));
  for (const auto what : {BrokenView::kTimestamp, BrokenView::kPrefixRoots,
                          BrokenView::kProvePrefix, BrokenView::kLogNodes}) {
    EXPECT_THAT(prove(what), StatusIs(absl::StatusCode::kDataLoss));
  }
}

TEST(Prover, RefusesARecordThatLacksAVersion) {
  TestLog log(TestLogOptions{});
  log.Append(1, {{"alice", "a"}, {"alice", "b"}, {"alice", "c"}});
  const auto view = log.ViewAt(1);
  const SearchRequest request{std::nullopt, base::ToBytes("alice"), std::nullopt};
  const LabelRecord complete = log.Record("alice", BaseBinaryLadder(2));
  for (const auto& [version, unused] : complete) {
    LabelRecord record = complete;
    record.erase(version);
    EXPECT_THAT(ProveSearch(log.config(), *view, log.HeadAt(1), request, 2, record, Opening{}, {}),
                StatusIs(absl::StatusCode::kInternal));
  }
}

// A prover whose data says that its label's version is not the greatest has a defect; it must not
// send a proof of it.
TEST(Prover, RefusesToProveAnotherVersionThanTheGreatest) {
  TestLog log(TestLogOptions{});
  log.Append(1, {{"alice", "a"}, {"alice", "b"}});
  const SearchRequest request{std::nullopt, base::ToBytes("alice"), std::nullopt};
  for (const Version claimed : {0, 2}) {
    EXPECT_THAT(ProveSearch(log.config(), *log.ViewAt(1), log.HeadAt(1), request, claimed,
                            log.Record("alice", BaseBinaryLadder(claimed)), Opening{}, {}),
                FailsCheck("greatest-version"));
  }
  EXPECT_THAT(log.AbsenceResponse(request), FailsCheck("absence"));
}

}  // namespace
}  // namespace kt::core
