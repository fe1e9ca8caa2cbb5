// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/monitoring.h"
#include "kt-core/monitoring_prover.h"
#include "kt-core/monitoring_prover_support.h"
#include "kt-core/prover_support.h"

namespace kt::core {

absl::Status CheckMapEntries(std::span<const MonitorMapEntry> entries, TreeSize size,
                             const LabelRecord& label) {
  std::set<Version> versions;
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto [position, version] = entries[i];
    const auto refuse = [&](const std::string& why) {
      return absl::InvalidArgumentError(absl::StrCat("entries: ", why));
    };
    if (position >= size) return refuse(absl::StrCat("this log has no entry ", position));
    if (i > 0 && position <= entries[i - 1].position) return refuse("positions do not ascend");
    if (!versions.insert(version).second) return refuse("a version occurs twice");
    const auto record = label.find(version);
    if (record == label.end()) {
      return absl::InternalError(absl::StrCat("the label's record lacks version ", version));
    }
    if (!record->second.existing.has_value() || record->second.existing->position >= size) {
      return refuse(absl::StrCat("version ", version, " does not exist"));
    }
    const LogPosition added = record->second.existing->position;
    if (position != added && !IsInLeftSubtree(position, added)) {
      return refuse(
          absl::StrCat("log entry ", position, " is not on the path of version ", version));
    }
  }
  return absl::OkStatus();
}

absl::Status BlameMap(const absl::Status& status) {
  if (base::FailedCheck(status) != "monitoring-map") return status;
  return absl::InvalidArgumentError(absl::StrCat("entries: ", std::string(status.message())));
}

std::vector<Version> ContactMonitorVersions(const ContactMonitorRequest& request) {
  std::set<Version> versions;
  for (const MonitorMapEntry& entry : request.entries) {
    const std::vector<Version> ladder = MonitoringBinaryLadder(entry.version);
    versions.insert(ladder.begin(), ladder.end());
  }
  return {versions.begin(), versions.end()};
}

absl::StatusOr<ContactMonitorResponse> ProveContactMonitor(const Configuration& config,
                                                           const LogView& log,
                                                           const SignedHead& head,
                                                           const ContactMonitorRequest& request,
                                                           const LabelRecord& label) {
  KT_RETURN_IF_ERROR(CheckLast(request.last, log));
  KT_RETURN_IF_ERROR(CheckMapEntries(request.entries, log.size(), label));
  ProofRecorder recorder(log, request.last, label);
  KT_RETURN_IF_ERROR(UpdateView(recorder, request.last));
  KT_RETURN_IF_ERROR(
      BlameMap(ContactMonitor(recorder, request.entries, std::nullopt, config).status()));
  ContactMonitorResponse response;
  response.full_tree_head = PresentHead(head, request.last);
  KT_ASSIGN_OR_RETURN(response.monitor, recorder.Finish(OtherSize(head, response.full_tree_head)));
  return response;
}

}  // namespace kt::core
