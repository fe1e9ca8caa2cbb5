// SPDX-License-Identifier: Apache-2.0
//
// The log's side of contact monitoring, owner initialization, owner monitoring and updates; like
// prover.h. Requests that break a rule which the draft has the log check are kInvalidArgument;
// those of which no response can hold the proof are kResourceExhausted, since nothing is wrong with
// them; what the caller says of the label but cannot be is kInternal.
#ifndef KT_CORE_MONITORING_PROVER_H_
#define KT_CORE_MONITORING_PROVER_H_

#include <map>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kt-core/prover.h"

namespace kt::core {

// The log entries that added versions of a label, all of them, with the greatest version from then
// on.
using LabelHistory = std::map<LogPosition, Version>;

// --- "Contact Monitor" ---------------------------------------------------------------------

// The versions that a LabelRecord must hold for ProveContactMonitor.
std::vector<Version> ContactMonitorVersions(const ContactMonitorRequest& request);

// kInvalidArgument unless request.entries ascend by position, repeat no version, and each position
// is that of the log entry which added its version or on the direct path of it.
absl::StatusOr<ContactMonitorResponse> ProveContactMonitor(const Configuration& config,
                                                           const LogView& log,
                                                           const SignedHead& head,
                                                           const ContactMonitorRequest& request,
                                                           const LabelRecord& label);

// --- "Owner Initialization" ----------------------------------------------------------------

// At least the versions that a LabelRecord must hold for ProveOwnerInit; `size` is the log's.
std::vector<Version> OwnerInitVersions(const OwnerInitRequest& request, TreeSize size,
                                       const LabelHistory& history);

// kInvalidArgument unless request.start is a distinguished log entry that has not expired.
absl::StatusOr<OwnerInitResponse> ProveOwnerInit(const Configuration& config, const LogView& log,
                                                 const SignedHead& head,
                                                 const OwnerInitRequest& request,
                                                 const LabelHistory& history,
                                                 const LabelRecord& label);

// --- "Owner Monitoring" --------------------------------------------------------------------

// At least the versions that a LabelRecord must hold for ProveOwnerMonitor.
std::vector<Version> OwnerMonitorVersions(const OwnerMonitorRequest& request, TreeSize size,
                                          const LabelHistory& history);

// "the Transparency Log SHOULD limit the number of distinguished log entries that it provides
// binary ladders for in a single response."
inline constexpr size_t kMaxOwnerLadders = 32;

// kInvalidArgument as ProveContactMonitor for request.entries, if request.start is beyond the tree,
// or if request.greatest_version does not exist or is less than the greatest version at
// request.start.
absl::StatusOr<OwnerMonitorResponse> ProveOwnerMonitor(const Configuration& config,
                                                       const LogView& log, const SignedHead& head,
                                                       const OwnerMonitorRequest& request,
                                                       const LabelHistory& history,
                                                       const LabelRecord& label,
                                                       size_t max_ladders = kMaxOwnerLadders);

}  // namespace kt::core
#endif  // KT_CORE_MONITORING_PROVER_H_
