// SPDX-License-Identifier: Apache-2.0
#include "kt-core/algorithms.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/implicit_tree.h"

namespace kt::core {

using base::LogPosition;
using base::TreeSize;
using base::Version;

absl::Status UpdateView(ProofSource& source, std::optional<TreeSize> last) {
  const TreeSize size = source.size();
  LogPosition frontier_entry = RootEntry(size);
  if (last.has_value()) {
    KT_CHECK(*last >= 1 && *last <= size);
    // Bottom up, so that positions ascend: ancestors on the right of the last entry that was seen.
    const std::vector<LogPosition> path = PathFromRoot(*last - 1, size);
    frontier_entry = *last - 1;
    for (auto entry = path.rbegin(); entry != path.rend(); ++entry) {
      if (*entry < *last) continue;
      KT_RETURN_IF_ERROR(source.Timestamp(*entry).status());
      frontier_entry = *entry;
    }
  } else {
    KT_RETURN_IF_ERROR(source.Timestamp(frontier_entry).status());
  }
  while (const auto right = RightChild(frontier_entry, size)) {
    frontier_entry = *right;
    KT_RETURN_IF_ERROR(source.Timestamp(frontier_entry).status());
  }
  return absl::OkStatus();
}

bool IsDistinguished(uint64_t left_ms, uint64_t right_ms, const Configuration& config) {
  // No underflow: sources check that timestamps are monotonic.
  return right_ms - left_ms >= config.reasonable_monitoring_window;
}

absl::StatusOr<std::optional<LogPosition>> RightmostDistinguished(ProofSource& source,
                                                                  const Configuration& config) {
  KT_ASSIGN_OR_RETURN(const uint64_t rightmost_ms, source.Timestamp(source.size() - 1));
  std::optional<LogPosition> rightmost;
  uint64_t left_ms = 0;
  for (const LogPosition entry : Frontier(source.size())) {
    if (!IsDistinguished(left_ms, rightmost_ms, config)) break;
    rightmost = entry;
    KT_ASSIGN_OR_RETURN(left_ms, source.Timestamp(entry));
  }
  return rightmost;
}

absl::StatusOr<LadderOutcome> SearchLadder(ProofSource& source, LogPosition position,
                                           Version target, LookupMemory& memory) {
  KT_RETURN_IF_ERROR(source.BeginLookups(position));
  LadderOutcome outcome = LadderOutcome::kEqual;
  for (const Version version : BaseBinaryLadder(target)) {
    std::optional<bool> included = memory.Known(position, version);
    if (!included.has_value()) {
      KT_ASSIGN_OR_RETURN(included, source.Lookup(version));
      memory.Remember(position, version, *included);
    }
    if (*included && version > target) {
      outcome = LadderOutcome::kGreater;
      break;
    }
    if (!*included && version <= target) {
      outcome = LadderOutcome::kLess;
      break;
    }
  }
  KT_RETURN_IF_ERROR(source.EndLookups());
  return outcome;
}

absl::StatusOr<SearchOutcome> GreatestVersionSearch(ProofSource& source, Version target,
                                                    const Configuration& config) {
  const TreeSize size = source.size();
  KT_ASSIGN_OR_RETURN(const std::optional<LogPosition> distinguished,
                      RightmostDistinguished(source, config));
  LookupMemory memory;
  std::optional<LogPosition> terminal;
  for (std::optional<LogPosition> entry = distinguished.value_or(RootEntry(size));
       entry.has_value(); entry = RightChild(*entry, size)) {
    KT_ASSIGN_OR_RETURN(const LadderOutcome outcome, SearchLadder(source, *entry, target, memory));
    if (outcome == LadderOutcome::kGreater) {
      return base::VerificationFailed(
          "greatest-version",
          absl::StrCat("log entry ", *entry, " holds a version greater than ", target));
    }
    if (outcome == LadderOutcome::kEqual && !terminal.has_value()) terminal = *entry;
    if (outcome == LadderOutcome::kLess && *entry == size - 1) {
      return base::VerificationFailed(
          "greatest-version",
          absl::StrCat("log entry ", *entry, " does not hold version ", target));
    }
  }
  KT_CHECK(terminal.has_value());
  return SearchOutcome{*terminal, !distinguished.has_value() || *terminal > *distinguished};
}

absl::Status AbsenceCheck(ProofSource& source, Version version) {
  KT_RETURN_IF_ERROR(source.BeginLookups(source.size() - 1));
  KT_ASSIGN_OR_RETURN(const bool included, source.Lookup(version));
  KT_RETURN_IF_ERROR(source.EndLookups());
  if (included) {
    return base::VerificationFailed("absence", absl::StrCat("version ", version, " is in the log"));
  }
  return absl::OkStatus();
}

}  // namespace kt::core
