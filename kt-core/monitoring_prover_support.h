// SPDX-License-Identifier: Apache-2.0
//
// What the provers of monitoring operations share among them and with verifiers. Internal to
// kt-core.
#ifndef KT_CORE_MONITORING_PROVER_SUPPORT_H_
#define KT_CORE_MONITORING_PROVER_SUPPORT_H_

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/prover.h"

namespace kt::core {

// The rules of "Contact Monitor" and "Owner Monitoring" for a monitoring map, in a log of `size`
// entries: kInvalidArgument if one is broken, kInternal if `label` lacks a version.
absl::Status CheckMapEntries(std::span<const MonitorMapEntry> entries, TreeSize size,
                             const LabelRecord& label);

// A map whose entries contradict each other is the user's mistake, not a defect of the log.
absl::Status BlameMap(const absl::Status& status);

// The versions of OwnerInitResponse.binary_ladder, ascending: zero and those of the binary ladders.
std::vector<Version> InitLadderVersions(std::span<const Version> greatest_versions);

}  // namespace kt::core
#endif  // KT_CORE_MONITORING_PROVER_SUPPORT_H_
