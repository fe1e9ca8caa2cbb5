// SPDX-License-Identifier: Apache-2.0
//
// What an honest operator of a TestLog sends to its auditor.
#ifndef TESTS_SUPPORT_AUDITOR_ANSWERS_H_
#define TESTS_SUPPORT_AUDITOR_ANSWERS_H_

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "base/types.h"
#include "kt-core/operations.h"
#include "tests/support/naive_prefix_tree.h"
#include "tests/support/test_log.h"

namespace kt::testing {

// The draft's recursive algorithm, "Reasonable Monitoring Window", as it is written: adds the
// distinguished entries of the subtree of `entry` to `out`.
void AddDistinguished(base::LogPosition entry, uint64_t left_ms, uint64_t right_ms,
                      uint64_t window_ms, const std::vector<uint64_t>& timestamps,
                      std::set<base::LogPosition>* out);

// The rightmost distinguished entry to the left of `position`, in a log with these timestamps.
std::optional<base::LogPosition> DistinguishedBefore(base::LogPosition position,
                                                     const std::vector<uint64_t>& timestamps,
                                                     uint64_t window_ms);

// What a log sends for one entry; docs/extensions.md, "Auditing".
struct AuditorMessage {
  core::AuditorUpdate update;
  std::optional<core::PrefixProof> published;  // if leaves are removed

  const core::PrefixProof* published_or_null() const {
    return published.has_value() ? &*published : nullptr;
  }
};

// The proof for keys in the order of `added` and then `removed`; a key in both has its result
// twice.
core::PrefixProof ProveBoth(const NaivePrefixTree& tree, const core::AuditorUpdate& update);

// An operator who also tells of what was removed, whether or not the rules allow it.
AuditorMessage AnswerAuditor(const TestLog& log, base::LogPosition position);

}  // namespace kt::testing
#endif  // TESTS_SUPPORT_AUDITOR_ANSWERS_H_
