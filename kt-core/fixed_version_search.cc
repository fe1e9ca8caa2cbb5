// SPDX-License-Identifier: Apache-2.0
//
// draft-ietf-keytrans-protocol, "Fixed-Version Search / Algorithm"; step numbers are its.
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/algorithms.h"
#include "kt-core/implicit_tree.h"

namespace kt::core {

using base::LogPosition;
using base::TreeSize;
using base::Version;

namespace {

// One run of the search, going down the implicit binary search tree.
class Search {
 public:
  Search(ProofSource& source, Version target, const Configuration& config)
      : source_(source), target_(target), config_(config), size_(source.size()) {}

  absl::StatusOr<SearchOutcome> Run() {
    KT_ASSIGN_OR_RETURN(rightmost_ms_, source_.Timestamp(size_ - 1));
    right_ms_ = rightmost_ms_;
    std::optional<LogPosition> entry = RootEntry(size_);
    while (entry.has_value()) {
      KT_ASSIGN_OR_RETURN(const uint64_t timestamp_ms, source_.Timestamp(*entry));
      distinguished_ = IsDistinguished(left_ms_, right_ms_, config_);
      if (IsExpired(timestamp_ms)) {  // step 1
        met_expired_ = true;
        entry = GoRight(*entry, timestamp_ms);
        continue;
      }
      KT_ASSIGN_OR_RETURN(const LadderOutcome outcome,
                          SearchLadder(source_, *entry, target_, memory_));  // step 2
      if (distinguished_ && (!leftmost_distinguished_ || *entry < *leftmost_distinguished_)) {
        leftmost_distinguished_ = *entry;
      }
      if (outcome == LadderOutcome::kEqual) return StopAtEqual(*entry);  // step 5
      if (outcome == LadderOutcome::kLess) {                             // step 3
        entry = GoRight(*entry, timestamp_ms);
      } else {  // step 4
        // Entries with a greater version are met from right to left.
        leftmost_greater_ = *entry;
        entry = GoLeft(*entry, timestamp_ms);
      }
    }
    return StopWithoutEqual();  // step 6
  }

 private:
  bool IsExpired(uint64_t timestamp_ms) const {
    return config_.maximum_lifetime.has_value() &&
           rightmost_ms_ - timestamp_ms >= *config_.maximum_lifetime;
  }

  std::optional<LogPosition> GoRight(LogPosition entry, uint64_t timestamp_ms) {
    left_ms_ = timestamp_ms;
    return RightChild(entry, size_);
  }
  std::optional<LogPosition> GoLeft(LogPosition entry, uint64_t timestamp_ms) {
    right_ms_ = timestamp_ms;
    return LeftChild(entry);
  }

  absl::Status Expired() const {
    return absl::OutOfRangeError(absl::StrCat("version ", target_, " has expired"));
  }

  // Step 5. All entries met before are in the direct path of `entry`.
  absl::StatusOr<SearchOutcome> StopAtEqual(LogPosition entry) {
    const bool vouched_for = leftmost_distinguished_ && *leftmost_distinguished_ <= entry;
    if (met_expired_ && !vouched_for) return Expired();
    return Finish(entry);
  }

  // Step 6.
  absl::StatusOr<SearchOutcome> StopWithoutEqual() {
    if (!leftmost_greater_.has_value()) {
      return absl::NotFoundError(absl::StrCat("version ", target_, " does not exist"));
    }
    const bool vouched_for =
        leftmost_distinguished_ && *leftmost_distinguished_ < *leftmost_greater_;
    if (met_expired_ && !vouched_for) return Expired();
    KT_RETURN_IF_ERROR(source_.BeginLookups(*leftmost_greater_));
    KT_ASSIGN_OR_RETURN(const bool included, source_.Lookup(target_));
    KT_RETURN_IF_ERROR(source_.EndLookups());
    if (!included) {
      return absl::NotFoundError(absl::StrCat("version ", target_, " does not exist"));
    }
    return Finish(*leftmost_greater_);
  }

  absl::StatusOr<SearchOutcome> Finish(LogPosition terminal) {
    KT_ASSIGN_OR_RETURN(const std::optional<LogPosition> rightmost,
                        RightmostDistinguished(source_, config_));
    return SearchOutcome{terminal, !rightmost.has_value() || terminal > *rightmost};
  }

  ProofSource& source_;
  const Version target_;
  const Configuration& config_;
  const TreeSize size_;
  LookupMemory memory_;
  uint64_t rightmost_ms_ = 0;
  uint64_t left_ms_ = 0;  // bounding timestamps of the current entry
  uint64_t right_ms_ = 0;
  bool distinguished_ = false;  // the current entry
  bool met_expired_ = false;
  std::optional<LogPosition> leftmost_distinguished_;  // unexpired ones that were inspected
  std::optional<LogPosition> leftmost_greater_;
};

}  // namespace

absl::StatusOr<SearchOutcome> FixedVersionSearch(ProofSource& source, Version target,
                                                 const Configuration& config) {
  return Search(source, target, config).Run();
}

}  // namespace kt::core
