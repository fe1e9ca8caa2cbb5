// SPDX-License-Identifier: Apache-2.0
//
// The algorithms of "Monitoring the Tree" and "Updating a Label" over a ProofSource, one
// implementation for provers and verifiers, as those in algorithms.h. All of them come after
// UpdateView. The timestamp of a log entry is asked for before the first ladder from it, if it was
// not before: without it the entry's leaf value, and so the ladder, would not be bound to the log
// (docs/draft-notes.md).
#ifndef KT_CORE_MONITORING_H_
#define KT_CORE_MONITORING_H_

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kt-core/algorithms.h"
#include "kt-core/operations.h"

namespace kt::core {

// Where a walk from the root towards a log entry leads.
struct DistinguishedPath {
  std::vector<LogPosition> path;  // root first, the entry itself last
  size_t distinguished = 0;       // how many of them, from the root on, are distinguished

  bool ends_distinguished() const { return distinguished == path.size(); }
};

// Asks for the timestamps of the distinguished entries between the root and `position`: "from the
// root to the parent [...], stopping if a non-distinguished log entry is established". `position`
// is less than the source's size.
absl::StatusOr<DistinguishedPath> WalkTowards(ProofSource& source, LogPosition position,
                                              const Configuration& config);

// "Monitoring the Tree / Binary Ladder": shows that `target` exists at `position`. A verification
// failure ("monitoring-ladder") if a lookup shows non-inclusion.
absl::Status MonitoringLadder(ProofSource& source, LogPosition position, Version target);

// --- "Contact Algorithm" -------------------------------------------------------------------

// An entry of the updated map that is still to be monitored.
struct MonitoredEntry {
  MonitorMapEntry entry;
  // An owner's only: the distinguished log entry that step 2.4 leaves to the owner algorithm.
  std::optional<LogPosition> left_to_owner;
};

// `entries` ascend by position and lie within the source's size. `owner_start`: the position that
// an owner advertises; nullopt for a contact. Returns the updated entries without those that a
// distinguished log entry covers, in ascending order of the original ones. A verification failure
// ("monitoring-map") if a greater or equal version stands further left on the same path.
absl::StatusOr<std::vector<MonitoredEntry>> ContactMonitor(ProofSource& source,
                                                           std::span<const MonitorMapEntry> entries,
                                                           std::optional<LogPosition> owner_start,
                                                           const Configuration& config);

// --- "Owner Algorithm" ---------------------------------------------------------------------

// Step 1 of the first algorithm: the log entries to inspect, from `start` leftwards. A verification
// failure ("starting-position") unless `start` is less than the source's size, unexpired and
// distinguished.
absl::StatusOr<std::vector<LogPosition>> OwnerInitEntries(ProofSource& source, LogPosition start,
                                                          const Configuration& config);

// Steps 2 and 5 of the first algorithm. `greatest_versions` belong to the first of `entries`; in
// the others the label does not exist. A verification failure ("greatest-versions") if there are
// too many or they ascend, "owner-ladder" if a ladder contradicts them.
absl::Status OwnerInitLadders(ProofSource& source, std::span<const LogPosition> entries,
                              std::span<const Version> greatest_versions);

// What the second algorithm goes by.
struct OwnerView {
  std::span<const MonitorMapEntry> entries;  // the monitoring map
  LogPosition start = 0;                     // the advertised position; less than the size
  // The greatest version expected in a log entry after `start`.
  std::function<std::optional<Version>(LogPosition)> expected;
  // Whether to stop instead of inspecting this log entry (step 4).
  std::function<bool(LogPosition)> stop;
};

struct OwnerMonitorOutcome {
  std::vector<MonitorMapEntry> entries;  // of the map, not yet covered
  LogPosition verified = 0;  // the rightmost distinguished entry inspected; `start` if none was
  bool complete = false;     // no stop condition was met: that is the rightmost one there is
};

// "Owner Monitoring": the contact algorithm, then the second owner algorithm. A verification
// failure ("owner-ladder") if a ladder contradicts the expected version, or as ContactMonitor.
absl::StatusOr<OwnerMonitorOutcome> OwnerMonitor(ProofSource& source, const OwnerView& view,
                                                 const Configuration& config);

// --- "Updating a Label" --------------------------------------------------------------------

// What "Updating a Label / Algorithm" goes by.
struct UpdateClaim {
  LogPosition position = 0;         // where the new versions were added; less than the size
  std::optional<Version> previous;  // the greatest version before; less than `greatest`
  Version greatest = 0;             // the greatest of the new versions
  // Step 2.1, if there is a previous version: log entries up to this one are not inspected.
  LogPosition known_through = 0;
  // Whether a version up to `previous` existed in such a log entry.
  std::function<bool(LogPosition, Version)> existed;
};

// Returns whether the log entry is distinguished in the current tree, in which case the greatest
// version there is still to be verified by the owner algorithm. A verification failure
// ("update-ladder") if a ladder contradicts the claim, "new-versions" if a new version is missing.
absl::StatusOr<bool> VerifyNewVersions(ProofSource& source, const UpdateClaim& claim,
                                       const Configuration& config);

}  // namespace kt::core
#endif  // KT_CORE_MONITORING_H_
