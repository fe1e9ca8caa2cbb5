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
namespace {

// The greatest version in the log entry at `position`.
std::optional<Version> GreatestAt(const LabelHistory& history, LogPosition position) {
  const auto after = history.upper_bound(position);
  if (after == history.begin()) return std::nullopt;
  return std::prev(after)->second;
}

void AddLadder(std::optional<Version> target, std::set<Version>* versions) {
  const std::vector<Version> ladder = BaseBinaryLadder(target.value_or(0));
  versions->insert(ladder.begin(), ladder.end());
}

// "Owner Monitoring", steps 2 and 3.
absl::Status CheckOwner(const OwnerMonitorRequest& request, TreeSize size,
                        const LabelHistory& history) {
  if (request.start >= size) {
    return absl::InvalidArgumentError(absl::StrCat("start: this log has no entry ", request.start));
  }
  const std::optional<Version> greatest = GreatestAt(history, size - 1);
  const std::optional<Version> at_start = GreatestAt(history, request.start);
  if (request.greatest_version.has_value() &&
      (!greatest.has_value() || *request.greatest_version > *greatest)) {
    return absl::InvalidArgumentError("greatest_version: there is no such version");
  }
  if (at_start.has_value() &&
      (!request.greatest_version.has_value() || *request.greatest_version < *at_start)) {
    return absl::InvalidArgumentError("greatest_version: start has a greater version");
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Version> OwnerInitVersions(const OwnerInitRequest& request, TreeSize size,
                                       const LabelHistory& history) {
  std::set<Version> versions;
  if (request.start < size) {
    std::vector<LogPosition> entries = PathFromRoot(request.start, size);
    entries.push_back(request.start);
    for (const LogPosition entry : entries) {
      if (entry <= request.start) AddLadder(GreatestAt(history, entry), &versions);
    }
  }
  return {versions.begin(), versions.end()};
}

std::vector<Version> InitLadderVersions(std::span<const Version> greatest_versions) {
  std::set<Version> versions = {0};
  for (const Version greatest : greatest_versions) AddLadder(greatest, &versions);
  return {versions.begin(), versions.end()};
}

absl::StatusOr<OwnerInitResponse> ProveOwnerInit(const Configuration& config, const LogView& log,
                                                 const SignedHead& head,
                                                 const OwnerInitRequest& request,
                                                 const LabelHistory& history,
                                                 const LabelRecord& label) {
  KT_RETURN_IF_ERROR(CheckLast(request.last, log));
  ProofRecorder recorder(log, request.last, label);
  KT_RETURN_IF_ERROR(UpdateView(recorder, request.last));
  const absl::StatusOr<std::vector<LogPosition>> entries =
      OwnerInitEntries(recorder, request.start, config);
  if (!entries.ok()) {
    if (base::FailedCheck(entries.status()) != "starting-position") return entries.status();
    return absl::InvalidArgumentError(
        absl::StrCat("start: ", std::string(entries.status().message())));
  }
  OwnerInitResponse response;
  for (const LogPosition entry : *entries) {
    const std::optional<Version> greatest = GreatestAt(history, entry);
    if (!greatest.has_value()) break;
    response.greatest_versions.push_back(*greatest);
  }
  KT_RETURN_IF_ERROR(OwnerInitLadders(recorder, *entries, response.greatest_versions));
  for (const Version version : InitLadderVersions(response.greatest_versions)) {
    const auto record = label.find(version);
    if (record == label.end()) {
      return absl::InternalError(absl::StrCat("the label's record lacks version ", version));
    }
    BinaryLadderStep step{record->second.vrf_proof, std::nullopt};
    const bool exists =
        !response.greatest_versions.empty() && version <= response.greatest_versions.front();
    if (exists && record->second.existing.has_value()) {
      step.commitment = record->second.existing->commitment;
    }
    response.binary_ladder.push_back(std::move(step));
  }
  response.full_tree_head = PresentHead(head, request.last);
  KT_ASSIGN_OR_RETURN(response.init, recorder.Finish(OtherSize(head, response.full_tree_head)));
  return response;
}

std::vector<Version> OwnerMonitorVersions(const OwnerMonitorRequest& request, TreeSize size,
                                          const LabelHistory& history) {
  std::set<Version> versions;
  for (const MonitorMapEntry& entry : request.entries) {
    const std::vector<Version> ladder = MonitoringBinaryLadder(entry.version);
    versions.insert(ladder.begin(), ladder.end());
  }
  AddLadder(GreatestAt(history, request.start), &versions);
  for (auto added = history.upper_bound(request.start);
       added != history.end() && added->first < size; ++added) {
    if (!request.greatest_version.has_value() || added->second > *request.greatest_version) break;
    AddLadder(added->second, &versions);
  }
  return {versions.begin(), versions.end()};
}

absl::StatusOr<OwnerMonitorResponse> ProveOwnerMonitor(const Configuration& config,
                                                       const LogView& log, const SignedHead& head,
                                                       const OwnerMonitorRequest& request,
                                                       const LabelHistory& history,
                                                       const LabelRecord& label,
                                                       size_t max_ladders) {
  KT_RETURN_IF_ERROR(CheckLast(request.last, log));
  KT_RETURN_IF_ERROR(CheckMapEntries(request.entries, log.size(), label));
  KT_RETURN_IF_ERROR(CheckOwner(request, log.size(), history));
  size_t ladders = 0;
  OwnerView view;
  view.entries = request.entries;
  view.start = request.start;
  view.expected = [&](LogPosition position) { return GreatestAt(history, position); };
  view.stop = [&](LogPosition position) {
    const std::optional<Version> greatest = GreatestAt(history, position);
    // No version, an absent optional, is less than any.
    return greatest > request.greatest_version || ladders++ == max_ladders;
  };
  ProofRecorder recorder(log, request.last, label);
  KT_RETURN_IF_ERROR(UpdateView(recorder, request.last));
  KT_RETURN_IF_ERROR(BlameMap(OwnerMonitor(recorder, view, config).status()));
  OwnerMonitorResponse response;
  response.full_tree_head = PresentHead(head, request.last);
  KT_ASSIGN_OR_RETURN(response.monitor, recorder.Finish(OtherSize(head, response.full_tree_head)));
  return response;
}

}  // namespace kt::core
