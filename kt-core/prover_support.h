// SPDX-License-Identifier: Apache-2.0
//
// What the provers of all operations share. Internal to kt-core.
#ifndef KT_CORE_PROVER_SUPPORT_H_
#define KT_CORE_PROVER_SUPPORT_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kt-core/prover.h"

namespace kt::core {

// kUnavailable if the log is empty, kInvalidArgument if it never had `last` entries.
absl::Status CheckLast(std::optional<TreeSize> last, const LogView& log);

// "Full Tree Head Verification": a user who has seen this very head is told so; anybody else gets
// it.
FullTreeHead PresentHead(const SignedHead& head, std::optional<TreeSize> last);

// The auditor's tree size, if its head is presented.
std::optional<TreeSize> OtherSize(const SignedHead& head, const FullTreeHead& presented);

// "Search": a step for each version of the target's binary ladder, with the commitments of existing
// versions other than the target; `greatest`: and of none beyond it. kInternal if `label` lacks
// one.
absl::StatusOr<std::vector<BinaryLadderStep>> LadderSteps(Version target, bool greatest,
                                                          const LabelRecord& label);

}  // namespace kt::core
#endif  // KT_CORE_PROVER_SUPPORT_H_
