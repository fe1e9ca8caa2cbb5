// SPDX-License-Identifier: Apache-2.0
//
// The draft's algorithms once more, written from its definitions: whole trees, sets and lists where
// kt-core/ walks along a path. What the real ones are compared with.
#ifndef TESTS_KT_CORE_REFERENCE_H_
#define TESTS_KT_CORE_REFERENCE_H_

#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "kt-core/configuration.h"
#include "tests/support/fake_proof_source.h"

namespace kt::core {

// The log entries of one log, in their implicit binary search tree.
class ReferenceLog {
 public:
  struct Node {
    std::optional<base::LogPosition> parent;
    std::optional<base::LogPosition> left;
    std::optional<base::LogPosition> right;
  };

  ReferenceLog(std::vector<uint64_t> timestamps, const Configuration& config);

  base::TreeSize size() const { return timestamps_.size(); }
  base::LogPosition root() const { return root_; }
  const Node& node(base::LogPosition position) const { return nodes_.at(position); }
  // The parent, its parent and so on.
  std::vector<base::LogPosition> DirectPath(base::LogPosition position) const;
  std::vector<base::LogPosition> Frontier() const;

  bool IsExpired(base::LogPosition position) const;
  bool IsDistinguished(base::LogPosition position) const {
    return distinguished_.contains(position);
  }
  const std::set<base::LogPosition>& distinguished() const { return distinguished_; }
  std::optional<base::LogPosition> RightmostDistinguished() const;

  // Entries whose timestamps update a view, in the order of the draft.
  std::vector<base::LogPosition> UpdateView(std::optional<base::TreeSize> last) const;

 private:
  base::LogPosition Build(base::LogPosition first, base::LogPosition end,
                          std::optional<base::LogPosition> parent);
  void Distinguish(base::LogPosition position, uint64_t left_ms, uint64_t right_ms);

  const std::vector<uint64_t> timestamps_;
  const Configuration config_;
  std::vector<Node> nodes_;
  base::LogPosition root_ = 0;
  std::set<base::LogPosition> distinguished_;
};

// search_binary_ladder of the appendix; no `greatest` means that no version exists.
std::vector<base::Version> ReferenceSearchLadder(
    base::Version target, std::optional<base::Version> greatest,
    const std::set<base::Version>& left_inclusion,
    const std::set<base::Version>& right_non_inclusion);

struct ReferenceSearch {
  enum Result { kFound, kNotFound, kExpired } result = kNotFound;
  base::LogPosition terminal = 0;
  bool right_of_distinguished = false;
  std::vector<base::LogPosition> touched;                // entries, in order
  std::vector<testing::FakeProofSource::Series> series;  // prefix proofs, in order
};

// The greatest version of the label in each log entry.
using GreatestAt = std::function<std::optional<base::Version>(base::LogPosition)>;

// A label all of whose versions up to the greatest exist. The claimed version is the greatest.
ReferenceSearch ReferenceGreatestVersionSearch(const ReferenceLog& log, base::Version target,
                                               const GreatestAt& greatest_at);
ReferenceSearch ReferenceFixedVersionSearch(const ReferenceLog& log, base::Version target,
                                            const GreatestAt& greatest_at);

}  // namespace kt::core
#endif  // TESTS_KT_CORE_REFERENCE_H_
