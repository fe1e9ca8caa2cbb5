// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_KT_CORE_EXPECT_PROOF_H_
#define TESTS_KT_CORE_EXPECT_PROOF_H_

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "kt-core/implicit_tree.h"
#include "tests/kt-core/random_history.h"
#include "tests/kt-core/reference_monitoring.h"
#include "tests/support/test_log.h"

namespace kt::core {

// That `proof` answers `questions`, in their order and nothing else, for a user who has seen `last`
// of the log's `size` entries: timestamps, prefix proofs and prefix tree roots.
inline void ExpectProof(const testing::TestLog& log, const std::string& label, TreeSize size,
                        std::optional<TreeSize> last, const ReferenceQuestions& questions,
                        const CombinedTreeProof& proof) {
  std::set<LogPosition> known, provided;
  if (last.has_value()) {
    for (const LogPosition position : Frontier(*last)) known.insert(position);
  }
  std::vector<LogPosition> asked = ReferenceOf(log, size).UpdateView(last);
  asked.insert(asked.end(), questions.timestamps.begin(), questions.timestamps.end());
  std::vector<uint64_t> timestamps;
  for (const LogPosition position : asked) {
    if (!known.insert(position).second) continue;
    timestamps.push_back(log.TimestampOf(position));
    provided.insert(position);
  }
  EXPECT_EQ(proof.timestamps, timestamps);
  std::vector<PrefixProof> prefix_proofs;
  for (const auto& [position, versions] : questions.series) {
    std::vector<base::VrfOutput> keys;
    for (const Version version : versions) keys.push_back(log.OutputOf(label, version));
    prefix_proofs.push_back(log.PrefixTreeOf(position).Prove(keys));
    provided.erase(position);
  }
  EXPECT_EQ(proof.prefix_proofs, prefix_proofs);
  std::vector<Hash> prefix_roots;
  for (const LogPosition position : provided) prefix_roots.push_back(log.PrefixRootOf(position));
  EXPECT_EQ(proof.prefix_roots, prefix_roots);
}

}  // namespace kt::core
#endif  // TESTS_KT_CORE_EXPECT_PROOF_H_
