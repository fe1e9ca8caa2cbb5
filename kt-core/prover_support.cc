// SPDX-License-Identifier: Apache-2.0
#include "kt-core/prover_support.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "kt-core/binary_ladder.h"

namespace kt::core {

absl::Status CheckLast(std::optional<TreeSize> last, const LogView& log) {
  if (log.size() == 0) return absl::UnavailableError("the log has no entries yet");
  if (last.has_value() && (*last == 0 || *last > log.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("last: this log has ", log.size(), " entries, not ", *last));
  }
  return absl::OkStatus();
}

FullTreeHead PresentHead(const SignedHead& head, std::optional<TreeSize> last) {
  FullTreeHead full;
  if (last == head.tree_head.tree_size) {
    full.head_type = FullTreeHeadType::kSame;
    return full;
  }
  full.head_type = FullTreeHeadType::kUpdated;
  full.tree_head = head.tree_head;
  if (head.auditor_tree_head.has_value()) full.auditor_tree_head = *head.auditor_tree_head;
  return full;
}

std::optional<TreeSize> OtherSize(const SignedHead& head, const FullTreeHead& presented) {
  if (presented.head_type == FullTreeHeadType::kSame) return std::nullopt;
  if (!head.auditor_tree_head.has_value()) return std::nullopt;
  return head.auditor_tree_head->tree_size;
}

absl::StatusOr<std::vector<BinaryLadderStep>> LadderSteps(Version target, bool greatest,
                                                          const LabelRecord& label) {
  std::vector<BinaryLadderStep> steps;
  for (const Version version : BaseBinaryLadder(target)) {
    const auto record = label.find(version);
    if (record == label.end()) {
      return absl::InternalError(absl::StrCat("the label's record lacks version ", version));
    }
    BinaryLadderStep step{record->second.vrf_proof, std::nullopt};
    const bool shown = version != target && !(greatest && version > target);
    if (shown && record->second.existing.has_value()) {
      step.commitment = record->second.existing->commitment;
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace kt::core
