// SPDX-License-Identifier: Apache-2.0
//
// Logs that hold the right keys and lie: forks, histories taken back, clocks that run backwards,
// versions hidden or invented, auditors that lag. Whatever they sign, a user notices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "kt-core/algorithms.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/prover.h"
#include "kt-core/response_verifier.h"
#include "kt-core/tree_head.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::core {
namespace {

using testing::FailsCheck;
using testing::IsOk;
using testing::IsVerificationFailure;
using testing::StatusIs;
using testing::TestLog;
using testing::TestLogOptions;
using testing::TestUpdate;
using testing::TestUser;

constexpr uint64_t kStartMs = 1'000'000;

// A log with an entry each 100 ms, in which "alice" gets a version every third entry.
void Grow(TestLog& log, TreeSize size, const std::string& flavour = "") {
  while (log.size() < size) {
    std::vector<TestUpdate> updates = {{absl::StrCat("other", log.size(), flavour), "value"}};
    if (log.size() % 3 == 0) updates.push_back({"alice", absl::StrCat(log.size(), flavour)});
    log.Append(kStartMs + 100 * log.size(), updates);
  }
}

class LyingLog : public ::testing::TestWithParam<CipherSuite> {
 protected:
  TestLogOptions Options() const {
    TestLogOptions options;
    options.suite = GetParam();
    options.reasonable_monitoring_window_ms = 350;
    return options;
  }
  std::unique_ptr<ResponseVerifier> VerifierOf(const TestLog& log) const {
    return ResponseVerifier::Create(log.config()).value();
  }
};
INSTANTIATE_TEST_SUITE_P(Suites, LyingLog,
                         ::testing::Values(CipherSuite::kP256, CipherSuite::kEd25519),
                         [](const auto& param_info) { return NameOf(param_info.param); });

// --- forks -------------------------------------------------------------------------------

// A user who has seen one branch is shown a longer other one, for every place where they part. The
// two differ in what a signature covers, in the retained subtrees that a proof recomputes, or in
// the retained entries, so the check that fails depends on what the proof touches.
TEST_P(LyingLog, CannotShowAFork) {
  const std::set<std::string> kChecks = {"tree-head-signature", "retained-subtree", "prefix-root",
                                         "timestamps"};
  std::set<std::string> met;
  TestLog log(Options());
  Grow(log, 14);
  const auto verifier = VerifierOf(log);
  for (TreeSize seen = 2; seen <= 14; ++seen) {
    for (TreeSize common = 1; common < seen; ++common) {
      TestLog fork = log.Prefix(common);
      Grow(fork, 16, " forked");
      for (const TreeSize size : {seen + 1, TreeSize{16}}) {
        for (const std::optional<Version>& version :
             {std::optional<Version>(), std::optional<Version>(0)}) {
          SCOPED_TRACE(absl::StrCat("seen ", seen, ", common ", common, ", shown ", size));
          TestUser user(*verifier);
          user.set_state(log.StateAt(seen));
          const SearchRequest request = user.Request("alice", version);
          ASSERT_OK_AND_ASSIGN(const Bytes response, fork.Search(request, size));
          const absl::Status status =
              user.Search(request, response, fork.TimestampOf(size - 1)).status();
          ASSERT_THAT(status, IsVerificationFailure());
          EXPECT_TRUE(kChecks.contains(*base::FailedCheck(status))) << status;
          met.insert(*base::FailedCheck(status));
          // What failed changes nothing.
          ASSERT_EQ(user.state(), log.StateAt(seen));
        }
      }
    }
  }
  EXPECT_TRUE(met.contains("tree-head-signature"));
}

// Entry 5 lies in the subtree of entries 0 to 7 that the user retained; looking into it recomputes
// that subtree, and the proof would be sound without the retained value. The fork has another time
// there and nothing else, so that the entry that the user retained is the same one in both.
TEST_P(LyingLog, CannotReplaceEntriesInsideARetainedSubtree) {
  const auto grow = [](TestLog& log, uint64_t ms_later) {
    while (log.size() < 9) {
      const LogPosition next = log.size();
      std::vector<TestUpdate> updates = {{absl::StrCat("other", next), "value"}};
      if (next == 2 || next == 5 || next == 6) updates.push_back({"alice", absl::StrCat(next)});
      log.Append(kStartMs + 100 * next + (next == 5 ? ms_later : 0), updates);
    }
  };
  TestLog log(Options());
  grow(log, 0);
  TestLog fork = log.Prefix(5);
  grow(fork, 1);
  ASSERT_EQ(log.StateAt(8).frontier, fork.StateAt(8).frontier);
  const auto verifier = VerifierOf(log);
  const auto ask = [&](const TestLog& asked, std::optional<UserState> state) {
    TestUser user(*verifier);
    user.set_state(std::move(state));
    const SearchRequest request = user.Request("alice", 1);  // through entries 7, 3 and 5
    return user.Search(request, asked.Search(request).value(), log.RightmostMs());
  };
  EXPECT_THAT(ask(log, log.StateAt(8)), IsOk());
  EXPECT_THAT(ask(fork, log.StateAt(8)), FailsCheck("retained-subtree"));
  // A user who knows nothing of the other branch cannot tell.
  EXPECT_THAT(ask(fork, std::nullopt), IsOk());
}

TEST_P(LyingLog, CannotShowAForkOfTheSameSize) {
  TestLog log(Options());
  Grow(log, 9);
  const auto verifier = VerifierOf(log);
  for (TreeSize common = 1; common < 9; ++common) {
    TestLog fork = log.Prefix(common);
    Grow(fork, 9, " forked");
    for (const std::optional<Version>& version :
         {std::optional<Version>(), std::optional<Version>(0)}) {
      TestUser user(*verifier);
      user.set_state(log.StateAt(9));
      const SearchRequest request = user.Request("alice", version);
      // Presented as `same`. A search for version 0 goes through entry 7 and then left, and a
      // greatest-version search ends in entry 8: where the branches agree on all of that, so do the
      // answers.
      ASSERT_OK_AND_ASSIGN(SearchResponse response, fork.SearchResponse(request));
      ASSERT_EQ(response.full_tree_head.head_type, FullTreeHeadType::kSame);
      const auto encode = [&] { return codec::Encode(response, log.context(version.has_value())); };
      const bool agree = version.has_value() && common == 8;
      const absl::Status same = user.Search(request, encode(), fork.RightmostMs()).status();
      EXPECT_EQ(base::IsVerificationFailure(same), !agree) << same;
      EXPECT_EQ(same.ok(), agree) << same;
      // Presented as `updated`.
      response.full_tree_head.head_type = FullTreeHeadType::kUpdated;
      response.full_tree_head.tree_head = fork.HeadAt(9).tree_head;
      EXPECT_THAT(user.Search(request, encode(), fork.RightmostMs()), FailsCheck("tree-size"));
    }
  }
}

// The log's own newer head on top of another branch's entries.
TEST_P(LyingLog, CannotMixBranches) {
  TestLog log(Options());
  Grow(log, 12);
  TestLog fork = log.Prefix(9);
  Grow(fork, 12, " forked");
  const auto verifier = VerifierOf(log);
  TestUser user(*verifier);
  user.set_state(log.StateAt(8));
  const SearchRequest request = user.Request("alice");
  ASSERT_OK_AND_ASSIGN(SearchResponse response, fork.SearchResponse(request));
  EXPECT_THAT(verifier->VerifySearch(request, codec::Encode(response, log.context()),
                                     &*user.state(), fork.RightmostMs()),
              IsOk());
  response.full_tree_head.tree_head = log.HeadAt(12).tree_head;
  EXPECT_THAT(user.Search(request, codec::Encode(response, log.context()), fork.RightmostMs()),
              FailsCheck("tree-head-signature"));
}

// --- histories taken back ----------------------------------------------------------------

TEST_P(LyingLog, CannotGoBack) {
  TestLog log(Options());
  Grow(log, 12);
  const auto verifier = VerifierOf(log);
  TestUser user(*verifier);
  user.set_state(log.StateAt(12));
  const SearchRequest request = user.Request("alice");
  for (TreeSize size = 1; size < 12; ++size) {
    // As if the user had seen nothing, or a smaller tree; the honest prover would refuse her size.
    EXPECT_THAT(log.Search(request, size), StatusIs(absl::StatusCode::kInvalidArgument));
    for (const std::optional<TreeSize>& last :
         {std::optional<TreeSize>(), std::optional<TreeSize>(1), std::optional<TreeSize>(size)}) {
      SearchRequest forged = request;
      forged.last = last;
      ASSERT_OK_AND_ASSIGN(SearchResponse response, log.SearchResponse(forged, size));
      response.full_tree_head.head_type = FullTreeHeadType::kUpdated;
      response.full_tree_head.tree_head = log.HeadAt(size).tree_head;
      EXPECT_THAT(
          user.Search(request, codec::Encode(response, log.context()), log.TimestampOf(size - 1)),
          FailsCheck("tree-size"));
    }
  }
  EXPECT_EQ(user.state(), log.StateAt(12));
}

TEST_P(LyingLog, CannotPresentWhatWasSeenAsNews) {
  TestLog log(Options());
  Grow(log, 12);
  const auto verifier = VerifierOf(log);
  TestUser user(*verifier);
  user.set_state(log.StateAt(12));
  const SearchRequest request = user.Request("alice");
  ASSERT_OK_AND_ASSIGN(SearchResponse response, log.SearchResponse(request));
  response.full_tree_head = {FullTreeHeadType::kUpdated, log.HeadAt(12).tree_head, {}};
  EXPECT_THAT(user.Search(request, codec::Encode(response, log.context()), log.RightmostMs()),
              FailsCheck("tree-size"));
}

TEST_P(LyingLog, CannotReferToAHeadThatAFreshUserNeverSaw) {
  TestLog log(Options());
  Grow(log, 12);
  const auto verifier = VerifierOf(log);
  TestUser user(*verifier);
  const SearchRequest request = user.Request("alice");
  ASSERT_OK_AND_ASSIGN(SearchResponse response, log.SearchResponse(request));
  response.full_tree_head = {};
  EXPECT_THAT(user.Search(request, codec::Encode(response, log.context()), log.RightmostMs()),
              FailsCheck("tree-size"));
}

// --- time --------------------------------------------------------------------------------

// One entry is a millisecond earlier than its left neighbour. Whoever learns both timestamps, from
// the proof or from what she retained, refuses.
TEST_P(LyingLog, CannotLetTimeRunBackwards) {
  int caught = 0;
  for (LogPosition broken = 1; broken < 13; ++broken) {
    TestLog log(Options());
    for (LogPosition position = 0; position < 13; ++position) {
      const uint64_t timestamp_ms = kStartMs + 100 * position;
      log.Append(position == broken ? timestamp_ms - 101 : timestamp_ms, {{"alice", "value"}});
    }
    const auto verifier = VerifierOf(log);
    for (TreeSize seen = 0; seen < 13; ++seen) {
      TestUser user(*verifier);
      std::vector<LogPosition> retained;
      if (seen > 0) {
        user.set_state(log.StateAt(seen));
        if (!ValidateUserState(*user.state()).ok()) continue;
        retained = Frontier(seen);
      }
      const auto version = static_cast<Version>((seen + broken) % 13);
      const SearchRequest request = user.Request("alice", version);
      ASSERT_OK_AND_ASSIGN(const SearchResponse response, log.SearchResponse(request));
      const auto known = [&](LogPosition position) {
        const std::vector<uint64_t>& shown = response.search.timestamps;
        return std::count(shown.begin(), shown.end(), log.TimestampOf(position)) > 0 ||
               std::count(retained.begin(), retained.end(), position) > 0;
      };
      if (!known(broken) || !known(broken - 1)) continue;
      ++caught;
      EXPECT_THAT(
          user.Search(request, codec::Encode(response, log.context(true)), log.RightmostMs()),
          FailsCheck("timestamps"))
          << "entry " << broken << ", seen " << seen << ", version " << version;
    }
  }
  EXPECT_GT(caught, 20);
}

TEST_P(LyingLog, CannotAppendAnEntryOlderThanTheRetainedOne) {
  for (const TreeSize seen : {1, 2, 3, 5, 7, 8}) {
    TestLog log(Options());
    Grow(log, seen);
    const uint64_t seen_ms = log.RightmostMs();
    const auto verifier = VerifierOf(log);
    for (const uint64_t timestamp_ms : {seen_ms, seen_ms - 1}) {
      TestLog next = log.Prefix(seen);
      next.Append(timestamp_ms);
      TestUser user(*verifier);
      user.set_state(log.StateAt(seen));
      const SearchRequest request = user.Request("alice");
      // The prover's own algorithms take timestamps as they come.
      ASSERT_OK_AND_ASSIGN(const Bytes response, next.Search(request));
      const auto result = user.Search(request, response, seen_ms);
      if (timestamp_ms < seen_ms) {
        EXPECT_THAT(result, FailsCheck("timestamps"));
      } else {
        EXPECT_THAT(result, IsOk());
      }
    }
  }
}

TEST_P(LyingLog, CannotBeStaleOrAheadBeyondTheExactBounds) {
  TestLog log(Options());
  Grow(log, 5);
  const auto verifier = VerifierOf(log);
  const Configuration& config = log.config();
  const uint64_t head_ms = log.RightmostMs();
  for (const bool same : {false, true}) {
    TestUser user(*verifier);
    if (same) user.set_state(log.StateAt(5));
    const SearchRequest request = user.Request("alice");
    ASSERT_OK_AND_ASSIGN(const Bytes response, log.Search(request));
    const auto at = [&](uint64_t now_ms) {
      return verifier->VerifySearch(request, response, same ? &*user.state() : nullptr, now_ms);
    };
    EXPECT_THAT(at(head_ms + config.max_behind), IsOk());
    EXPECT_THAT(at(head_ms + config.max_behind + 1), FailsCheck("timestamp-bounds"));
    EXPECT_THAT(at(head_ms - config.max_ahead), IsOk());
    EXPECT_THAT(at(head_ms - config.max_ahead - 1), FailsCheck("timestamp-bounds"));
  }
}

// --- versions ----------------------------------------------------------------------------

// Answers with a record of the label that is not what the log holds.
absl::StatusOr<Bytes> SearchWithRecord(const TestLog& log, const SearchRequest& request,
                                       Version target, const LabelRecord& record) {
  const TestLog::VersionData* data = log.Find(base::ToText(request.label), target);
  const TestLog::VersionData invented;
  if (data == nullptr) data = &invented;
  KT_ASSIGN_OR_RETURN(const SearchResponse response,
                      ProveSearch(log.config(), *log.ViewAt(log.size()), log.HeadAt(log.size()),
                                  request, target, record, data->opening, data->update));
  return codec::TryEncode(response, log.context(request.version.has_value()));
}

TEST_P(LyingLog, CannotHideTheGreatestVersion) {
  TestLog log(Options());
  Grow(log, 13);  // alice has versions 0 to 4
  const auto verifier = VerifierOf(log);
  for (Version claimed = 0; claimed < 4; ++claimed) {
    LabelRecord record = log.Record("alice", BaseBinaryLadder(claimed));
    for (auto& [version, row] : record) {
      if (version > claimed) row.existing.reset();
    }
    TestUser user(*verifier);
    const SearchRequest request = user.Request("alice");
    ASSERT_OK_AND_ASSIGN(const Bytes response, SearchWithRecord(log, request, claimed, record));
    // The prefix tree shows the version to exist, and its commitment is not there to prove it.
    EXPECT_THAT(user.Search(request, response, log.RightmostMs()), FailsCheck("commitment"));

    // With the commitment, which a greatest-version search has no use for.
    SearchResponse decoded = codec::Decode<SearchResponse>(response, log.context()).value();
    const std::vector<Version> ladder = BaseBinaryLadder(claimed);
    for (size_t i = 0; i < ladder.size(); ++i) {
      const TestLog::VersionData* data = log.Find("alice", ladder[i]);
      if (ladder[i] > claimed && data != nullptr) {
        decoded.binary_ladder[i].commitment = data->commitment;
      }
    }
    EXPECT_THAT(user.Search(request, codec::Encode(decoded, log.context()), log.RightmostMs()),
                FailsCheck("binary-ladder"));
  }
}

TEST_P(LyingLog, CannotInventAVersion) {
  TestLog log(Options());
  Grow(log, 13);
  const auto verifier = VerifierOf(log);
  for (const Version claimed : {5, 6, 7, 8, 100}) {
    LabelRecord record = log.Record("alice", BaseBinaryLadder(claimed));
    for (auto& [version, row] : record) {
      if (version <= claimed && !row.existing.has_value()) {
        row.existing = VersionRecord::Existing{0, Hash{}};
      }
    }
    TestUser user(*verifier);
    const SearchRequest request = user.Request("alice");
    ASSERT_OK_AND_ASSIGN(const Bytes response, SearchWithRecord(log, request, claimed, record));
    // The ladder ends at the first version that is not there, before the results do.
    EXPECT_THAT(user.Search(request, response, log.RightmostMs()), FailsCheck("prefix-proof"));
  }
}

// A prefix tree that really lacks the version in the newest entries, while an entry that the
// label's owner checks still has it.
TEST_P(LyingLog, CannotTakeAVersionBackAfterADistinguishedEntry) {
  TestLog log(Options());
  Grow(log, 13);
  // Version 3 is in entry 9, and entry 11 is the rightmost distinguished one.
  log.Hide("alice", 3);
  log.Append(log.RightmostMs() + 1);
  ASSERT_EQ(log.PrefixTreeOf(13).leaves().contains(log.OutputOf("alice", 3)), false);
  const auto verifier = VerifierOf(log);
  LabelRecord record = log.Record("alice", BaseBinaryLadder(2));
  record.at(3).existing.reset();
  TestUser user(*verifier);
  const SearchRequest request = user.Request("alice");
  ASSERT_OK_AND_ASSIGN(const Bytes response, SearchWithRecord(log, request, 2, record));
  EXPECT_THAT(user.Search(request, response, log.RightmostMs()), IsVerificationFailure());
}

TEST_P(LyingLog, CannotGiveAnotherValueOrOpening) {
  TestLog log(Options());
  Grow(log, 13);
  const auto verifier = VerifierOf(log);
  for (const std::optional<Version>& version :
       {std::optional<Version>(), std::optional<Version>(4), std::optional<Version>(1)}) {
    TestUser user(*verifier);
    const SearchRequest request = user.Request("alice", version);
    ASSERT_OK_AND_ASSIGN(const SearchResponse honest, log.SearchResponse(request));
    const auto refused = [&](const std::function<void(SearchResponse&)>& change) {
      SearchResponse response = honest;
      change(response);
      EXPECT_THAT(user.Search(request, codec::Encode(response, log.context(version.has_value())),
                              log.RightmostMs()),
                  IsVerificationFailure());
    };
    refused([](SearchResponse& response) { response.value.value = base::ToBytes("forged"); });
    refused([](SearchResponse& response) { response.value.value.push_back(0); });
    refused([](SearchResponse& response) { response.value.value.clear(); });
    refused([](SearchResponse& response) { response.opening.fill(0); });
    // Another version's, and another label's.
    refused([&](SearchResponse& response) {
      response.opening = log.Find("alice", 2)->opening;
      response.value = log.Find("alice", 2)->update;
    });
    refused([&](SearchResponse& response) {
      response.opening = log.Find("other1", 0)->opening;
      response.value = log.Find("other1", 0)->update;
    });
  }
}

// "clients MUST consider any SearchResponse with a negative result as invalid". The proof of an
// expired or absent version is sound up to its last step.
TEST_P(LyingLog, CannotPassANegativeResultOffAsASearch) {
  TestLogOptions options = Options();
  options.maximum_lifetime_ms = 360;
  TestLog log(options);
  Grow(log, 13);
  const auto verifier = VerifierOf(log);
  for (const Version target : {0, 1, 5, 9}) {
    SCOPED_TRACE(target);
    TestUser user(*verifier);
    const SearchRequest request = user.Request("alice", target);
    const LabelRecord record = log.Record("alice", BaseBinaryLadder(target));
    const auto view = log.ViewAt(13);
    ProofRecorder recorder(*view, std::nullopt, record);
    ASSERT_THAT(UpdateView(recorder, std::nullopt), IsOk());
    EXPECT_THAT(FixedVersionSearch(recorder, target, log.config()),
                StatusIs(target > 4 ? absl::StatusCode::kNotFound : absl::StatusCode::kOutOfRange));

    SearchResponse response;
    response.full_tree_head = {FullTreeHeadType::kUpdated, log.HeadAt(13).tree_head, {}};
    if (const auto* data = log.Find("alice", target)) {
      response.opening = data->opening;
      response.value = data->update;
    }
    for (const Version version : BaseBinaryLadder(target)) {
      BinaryLadderStep step{record.at(version).vrf_proof, std::nullopt};
      if (version != target && record.at(version).existing.has_value()) {
        step.commitment = record.at(version).existing->commitment;
      }
      response.binary_ladder.push_back(step);
    }
    ASSERT_OK_AND_ASSIGN(response.search, recorder.Finish(std::nullopt));
    EXPECT_THAT(user.Search(request, codec::Encode(response, log.context(true)), log.RightmostMs()),
                FailsCheck("negative-result"));
  }
}

// --- absence -----------------------------------------------------------------------------

TEST_P(LyingLog, CannotDenyALabelThatItsTreesHold) {
  TestLog log(Options());
  Grow(log, 13);
  const auto verifier = VerifierOf(log);
  for (const std::optional<Version>& version :
       {std::optional<Version>(), std::optional<Version>(0), std::optional<Version>(2)}) {
    TestUser user(*verifier);
    const SearchRequest request = user.Request("alice", version);
    const Version looked_up[] = {version.value_or(0)};
    LabelRecord record = log.Record("alice", looked_up);
    record.at(looked_up[0]).existing.reset();
    ASSERT_OK_AND_ASSIGN(const AbsenceResponse response,
                         ProveAbsence(*log.ViewAt(13), log.HeadAt(13), request, record));
    EXPECT_THAT(user.Absence(request, codec::Encode(response, log.context()), log.RightmostMs()),
                FailsCheck("commitment"));
  }
}

TEST_P(LyingLog, CannotProveAnAbsenceWithAnothersKey) {
  TestLog log(Options());
  Grow(log, 13);
  const auto verifier = VerifierOf(log);
  TestUser user(*verifier);
  const SearchRequest request = user.Request("alice");
  SearchRequest about_nobody = request;
  about_nobody.label = base::ToBytes("nobody");
  EXPECT_THAT(user.Absence(request, log.Absence(about_nobody).value(), log.RightmostMs()),
              FailsCheck("vrf-proof"));
}

}  // namespace
}  // namespace kt::core
