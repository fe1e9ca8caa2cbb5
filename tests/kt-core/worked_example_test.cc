// SPDX-License-Identifier: Apache-2.0
//
// draft-ietf-keytrans-protocol, "CombinedTreeProof Implementation / Worked Example": a log of 13
// entries, a user who has seen 4, a label whose greatest version is 2.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "kt-core/algorithms.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/response_verifier.h"
#include "tests/support/fake_proof_source.h"
#include "tests/support/naive_log_tree.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::core {
namespace {

using ::testing::ElementsAre;
using testing::FakeProofSource;
using testing::IsOk;
using testing::NaiveLogTree;
using ::testing::SizeIs;
using testing::TestLog;

constexpr uint64_t kStartMs = 1'000'000;

// T_12 - T_7 is 500 and T_12 - T_11 is 100, on either side of the Reasonable Monitoring Window.
uint64_t TimestampMs(LogPosition position) { return kStartMs + 100 * position; }
constexpr uint64_t kWindowMs = 300;

TEST(WorkedExample, AsksTheDraftsQuestions) {
  std::vector<uint64_t> timestamps;
  for (LogPosition position = 0; position < 13; ++position) {
    timestamps.push_back(TimestampMs(position));
  }
  FakeProofSource source(timestamps, [](LogPosition, Version version) { return version <= 2; });
  Configuration config;
  config.reasonable_monitoring_window = kWindowMs;

  ASSERT_THAT(UpdateView(source, 4), IsOk());
  EXPECT_THAT(source.log(), ElementsAre("T7", "T11", "T12"));

  ASSERT_OK_AND_ASSIGN(const SearchOutcome outcome, GreatestVersionSearch(source, 2, config));
  EXPECT_THAT(source.series(), ElementsAre(FakeProofSource::Series{11, {0, 1, 3, 2}},
                                           FakeProofSource::Series{12, {3}}));
  // Timestamps that the search asks for were all asked before.
  for (const LogPosition position : source.timestamps_asked()) {
    EXPECT_THAT(position, ::testing::AnyOf(7, 11, 12));
  }
  EXPECT_EQ(outcome.terminal, 11u);
  EXPECT_FALSE(outcome.right_of_distinguished);
}

class WorkedExampleLog : public ::testing::TestWithParam<CipherSuite> {
 protected:
  WorkedExampleLog() : log_({.suite = GetParam(), .reasonable_monitoring_window_ms = kWindowMs}) {
    for (LogPosition position = 0; position < 13; ++position) {
      // Versions 0 to 2 in entries 1, 5 and 9; other labels around them.
      std::vector<testing::TestUpdate> updates = {{"other", "value"}};
      if (position % 4 == 1) updates.push_back({"alice", std::to_string(position)});
      log_.Append(TimestampMs(position), updates);
      leaves_.Append(base::Sha256(
          codec::Encode(LogEntry{TimestampMs(position), log_.PrefixTreeOf(position).Root()})));
    }
  }

  Hash Subtree(uint8_t level, uint64_t index) const { return leaves_.Node({level, index}); }

  TestLog log_;
  NaiveLogTree leaves_;
};
INSTANTIATE_TEST_SUITE_P(Suites, WorkedExampleLog,
                         ::testing::Values(CipherSuite::kP256, CipherSuite::kEd25519),
                         [](const auto& param_info) { return NameOf(param_info.param); });

TEST_P(WorkedExampleLog, ComposesTheDraftsProof) {
  const SearchRequest request{4, base::ToBytes("alice"), std::nullopt};
  ASSERT_OK_AND_ASSIGN(const SearchResponse response, log_.SearchResponse(request));
  const CombinedTreeProof& proof = response.search;

  EXPECT_THAT(proof.timestamps, ElementsAre(TimestampMs(7), TimestampMs(11), TimestampMs(12)));

  // Entry 11: inclusion of 0 and 1, non-inclusion of 3, inclusion of 2. Entry 12: non-inclusion of
  // 3.
  std::vector<base::VrfOutput> keys;
  for (const Version version : {0, 1, 3, 2}) keys.push_back(log_.OutputOf("alice", version));
  EXPECT_THAT(proof.prefix_proofs,
              ElementsAre(log_.PrefixTreeOf(11).Prove(keys),
                          log_.PrefixTreeOf(12).Prove({{log_.OutputOf("alice", 3)}})));
  ASSERT_THAT(proof.prefix_proofs[0].results, SizeIs(4));
  using merkle::PrefixSearchResultType;
  for (const size_t included : {0, 1, 3}) {
    EXPECT_EQ(proof.prefix_proofs[0].results[included].result_type,
              PrefixSearchResultType::kInclusion);
  }
  EXPECT_NE(proof.prefix_proofs[0].results[2].result_type, PrefixSearchResultType::kInclusion);
  ASSERT_THAT(proof.prefix_proofs[1].results, SizeIs(1));
  EXPECT_NE(proof.prefix_proofs[1].results[0].result_type, PrefixSearchResultType::kInclusion);

  EXPECT_THAT(proof.prefix_roots, ElementsAre(log_.PrefixTreeOf(7).Root()));

  // The subtree of leaves 4 and 5, leaf 6, the subtree of leaves 8 and 9, leaf 10.
  EXPECT_THAT(proof.inclusion.elements,
              ElementsAre(Subtree(1, 2), Subtree(0, 6), Subtree(1, 4), Subtree(0, 10)));

  // Versions 0, 1, 3 and 2; commitments of those that exist, apart from the target.
  ASSERT_THAT(response.binary_ladder, SizeIs(4));
  EXPECT_EQ(response.binary_ladder[0].commitment, log_.Find("alice", 0)->commitment);
  EXPECT_EQ(response.binary_ladder[1].commitment, log_.Find("alice", 1)->commitment);
  EXPECT_EQ(response.binary_ladder[2].commitment, std::nullopt);
  EXPECT_EQ(response.binary_ladder[3].commitment, std::nullopt);
}

TEST_P(WorkedExampleLog, LeavesTheUserWithTheNewTree) {
  ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log_.config()));
  const UserState before = log_.StateAt(4);
  // What the draft says that the user retained.
  EXPECT_THAT(before.full_subtrees, ElementsAre(Subtree(2, 0)));
  EXPECT_THAT(before.frontier, ElementsAre(LogEntry{TimestampMs(3), log_.PrefixRootOf(3)}));

  const SearchRequest request{4, base::ToBytes("alice"), std::nullopt};
  ASSERT_OK_AND_ASSIGN(const Bytes response, log_.Search(request));
  ASSERT_OK_AND_ASSIGN(const VerifiedSearch result,
                       verifier->VerifySearch(request, response, &before, TimestampMs(12)));

  EXPECT_EQ(result.version, 2u);
  EXPECT_EQ(base::ToText(result.value), "9");
  EXPECT_EQ(result.terminal, 11u);
  EXPECT_FALSE(result.monitoring_required);
  EXPECT_EQ(result.state.tree_head, log_.HeadAt(13).tree_head);
  EXPECT_THAT(result.state.full_subtrees,
              ElementsAre(Subtree(3, 0), Subtree(2, 2), Subtree(0, 12)));
  EXPECT_THAT(result.state.frontier, ElementsAre(LogEntry{TimestampMs(7), log_.PrefixRootOf(7)},
                                                 LogEntry{TimestampMs(11), log_.PrefixRootOf(11)},
                                                 LogEntry{TimestampMs(12), log_.PrefixRootOf(12)}));
}

}  // namespace
}  // namespace kt::core
