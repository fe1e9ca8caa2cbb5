// SPDX-License-Identifier: Apache-2.0
#include "kt-core/proof_verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "base/status.h"
#include "kt-core/prover.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::core {
namespace {

using testing::FailsCheck;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;
using testing::TestLog;
using testing::TestLogOptions;

// "Users verify that any given timestamp is greater than or equal to all observed timestamps to its
// left."
TEST(ProofVerifierTest, TimeMayStandStillButNotGoBack) {
  const auto third = [](uint64_t timestamp_ms) {
    CombinedTreeProof proof;
    proof.timestamps = {5, 7, timestamp_ms};
    ProofVerifier verifier(proof, 13, nullptr, {});
    EXPECT_THAT(verifier.Timestamp(7), IsOkAndHolds(5u));
    EXPECT_THAT(verifier.Timestamp(12), IsOkAndHolds(7u));
    return verifier.Timestamp(11);
  };
  EXPECT_THAT(third(4), FailsCheck("timestamps"));
  EXPECT_THAT(third(5), IsOkAndHolds(5u));
  EXPECT_THAT(third(6), IsOkAndHolds(6u));
  EXPECT_THAT(third(7), IsOkAndHolds(7u));
  EXPECT_THAT(third(8), FailsCheck("timestamps"));
}

// A log of one entry, from whose prefix tree nothing is looked up.
absl::Status Finish(const CombinedTreeProof& proof) {
  ProofVerifier verifier(proof, 1, nullptr, {});
  KT_RETURN_IF_ERROR(verifier.Timestamp(0).status());
  return verifier.Finish(std::nullopt).status();
}

// "Exactly the expected number of entries -- no more and no less."
TEST(ProofVerifierTest, ListsAreOfTheirExactLengths) {
  const Hash root{{1}};
  CombinedTreeProof proof;
  proof.timestamps = {5};
  proof.prefix_roots = {root};
  EXPECT_THAT(Finish(proof), IsOk());
  CombinedTreeProof other = proof;
  other.timestamps = {};
  EXPECT_THAT(Finish(other), FailsCheck("timestamps"));
  other.timestamps = {5, 5};
  EXPECT_THAT(Finish(other), FailsCheck("timestamps"));
  other = proof;
  other.prefix_proofs.emplace_back();
  EXPECT_THAT(Finish(other), FailsCheck("prefix-proofs"));
  other = proof;
  other.prefix_roots = {};
  EXPECT_THAT(Finish(other), FailsCheck("prefix-roots"));
  other.prefix_roots = {root, root};
  EXPECT_THAT(Finish(other), FailsCheck("prefix-roots"));
  other = proof;
  other.inclusion.elements = {root};
  EXPECT_THAT(Finish(other), FailsCheck("inclusion-proof"));
}

// All lookups of a series can be redundant.
TEST(ProofVerifierTest, ASeriesWithoutLookupsHasTheRootAlone) {
  for (const size_t elements : {0, 1, 2}) {
    CombinedTreeProof proof;
    proof.timestamps = {5};
    proof.prefix_proofs = {{{}, std::vector<Hash>(elements)}};
    ProofVerifier verifier(proof, 1, nullptr, {});
    ASSERT_THAT(verifier.Timestamp(0), IsOkAndHolds(5u));
    ASSERT_THAT(verifier.BeginLookups(0), IsOk());
    if (elements == 1) {
      EXPECT_THAT(verifier.EndLookups(), IsOk());
      EXPECT_THAT(verifier.Finish(std::nullopt), IsOk());
    } else {
      EXPECT_THAT(verifier.EndLookups(), FailsCheck("prefix-proof"));
    }
  }
}

TEST(ProofRecorderTest, ListsAreNoLongerThanCanBeEncoded) {
  TestLog log(TestLogOptions{});
  while (log.size() < 300) log.Append(log.size());
  const auto view = log.ViewAt(300);
  const LabelRecord no_label;
  ProofRecorder timestamps(*view, std::nullopt, no_label);
  for (LogPosition position = 0; position < 255; ++position) {
    ASSERT_THAT(timestamps.Timestamp(position), IsOk());
    ASSERT_THAT(timestamps.Timestamp(position / 2), IsOk());  // once is enough
  }
  ProofRecorder searches(*view, 300, no_label);
  ASSERT_THAT(searches.Timestamp(299), IsOk());  // retained, and so not listed
  for (int i = 0; i < 255; ++i) {
    ASSERT_THAT(searches.BeginLookups(299), IsOk());
    ASSERT_THAT(searches.EndLookups(), IsOk());
  }
  EXPECT_THAT(timestamps.Timestamp(255), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(searches.BeginLookups(299), StatusIs(absl::StatusCode::kResourceExhausted));
  for (ProofRecorder* recorder : {&timestamps, &searches}) {
    ASSERT_OK_AND_ASSIGN(const CombinedTreeProof proof, recorder->Finish(std::nullopt));
    EXPECT_THAT(codec::TryEncode(proof, log.context()), IsOk());
  }
}

}  // namespace
}  // namespace kt::core
