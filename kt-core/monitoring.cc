// SPDX-License-Identifier: Apache-2.0
//
// "Monitoring the Tree": the contact algorithm and what it shares with the owner's.
#include "kt-core/monitoring.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/implicit_tree.h"

namespace kt::core {

absl::StatusOr<DistinguishedPath> WalkTowards(ProofSource& source, LogPosition position,
                                              const Configuration& config) {
  DistinguishedPath walk;
  walk.path = PathFromRoot(position, source.size());
  walk.path.push_back(position);
  uint64_t left_ms = 0;
  KT_ASSIGN_OR_RETURN(uint64_t right_ms, source.Timestamp(source.size() - 1));
  for (const LogPosition entry : walk.path) {
    if (!IsDistinguished(left_ms, right_ms, config)) break;
    ++walk.distinguished;
    if (entry == position) break;
    KT_ASSIGN_OR_RETURN((entry < position ? left_ms : right_ms), source.Timestamp(entry));
  }
  return walk;
}

absl::Status MonitoringLadder(ProofSource& source, LogPosition position, Version target) {
  KT_RETURN_IF_ERROR(source.Timestamp(position).status());
  KT_RETURN_IF_ERROR(source.BeginLookups(position));
  for (const Version version : MonitoringBinaryLadder(target)) {
    KT_ASSIGN_OR_RETURN(const bool included, source.Lookup(version));
    if (!included) {
      return base::VerificationFailed(
          "monitoring-ladder",
          absl::StrCat("log entry ", position, " no longer holds version ", version));
    }
  }
  return source.EndLookups();
}

namespace {

// "Contact Algorithm", step 2: the entries to inspect, left to right, which is upwards.
struct Inspection {
  std::vector<LogPosition> entries;
  bool ends_distinguished = false;  // the last of them is distinguished
};

Inspection EntriesToInspect(const DistinguishedPath& walk) {
  const LogPosition position = walk.path.back();
  Inspection inspection;
  for (size_t i = walk.path.size() - 1; i-- > 0;) {
    if (walk.path[i] < position) continue;
    inspection.entries.push_back(walk.path[i]);
    if (i < walk.distinguished) {
      inspection.ends_distinguished = true;
      break;
    }
  }
  return inspection;
}

// One run over a monitoring map.
class ContactAlgorithm {
 public:
  ContactAlgorithm(ProofSource& source, std::optional<LogPosition> owner_start,
                   const Configuration& config)
      : source_(source), owner_start_(owner_start), config_(config) {}

  // nullopt if the entry need not be monitored any longer.
  absl::StatusOr<std::optional<MonitoredEntry>> Update(MonitorMapEntry entry) {
    KT_ASSIGN_OR_RETURN(const DistinguishedPath walk,
                        WalkTowards(source_, entry.position, config_));
    if (walk.ends_distinguished()) return std::optional<MonitoredEntry>();  // step 1
    Inspection inspection = EntriesToInspect(walk);
    MonitoredEntry updated;
    if (inspection.ends_distinguished && owner_start_.has_value() &&
        entry.position >= *owner_start_) {  // step 2.4
      updated.left_to_owner = inspection.entries.back();
      inspection.entries.pop_back();
      inspection.ends_distinguished = false;
    }
    for (const LogPosition inspected : inspection.entries) {
      const auto earlier = targets_.find(inspected);
      if (earlier != targets_.end()) {  // step 3.1
        if (earlier->second > entry.version) return std::optional<MonitoredEntry>();
        return base::VerificationFailed(
            "monitoring-map", absl::StrCat("log entry ", inspected, " is monitored for version ",
                                           earlier->second, " and then for ", entry.version));
      }
      KT_RETURN_IF_ERROR(MonitoringLadder(source_, inspected, entry.version));  // steps 3.2, 3.3
      targets_[inspected] = entry.version;
      entry.position = inspected;
    }
    if (inspection.ends_distinguished) return std::optional<MonitoredEntry>();
    updated.entry = entry;
    return std::optional(updated);
  }

 private:
  ProofSource& source_;
  const std::optional<LogPosition> owner_start_;
  const Configuration& config_;
  std::map<LogPosition, Version> targets_;  // of the ladders that were obtained
};

}  // namespace

absl::StatusOr<std::vector<MonitoredEntry>> ContactMonitor(ProofSource& source,
                                                           std::span<const MonitorMapEntry> entries,
                                                           std::optional<LogPosition> owner_start,
                                                           const Configuration& config) {
  ContactAlgorithm algorithm(source, owner_start, config);
  std::vector<MonitoredEntry> updated;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    KT_ASSIGN_OR_RETURN(const std::optional<MonitoredEntry> monitored, algorithm.Update(*entry));
    if (monitored.has_value()) updated.push_back(*monitored);
  }
  std::reverse(updated.begin(), updated.end());
  return updated;
}

}  // namespace kt::core
