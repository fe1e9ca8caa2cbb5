// SPDX-License-Identifier: Apache-2.0
//
// What users retain, for each label, to monitor it: draft-ietf-keytrans-protocol, "Monitoring the
// Tree". The encodings are for storing it and no part of the draft.
//
// The responses to monitoring requests carry no VRF proofs: a user evaluates them with the VRF
// outputs and commitments that she kept from the search, the initialization or the updates before.
#ifndef KT_CORE_MONITORING_STATE_H_
#define KT_CORE_MONITORING_STATE_H_

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "kt-core/operations.h"
#include "kt-core/proof_verifier.h"

namespace kt::core {

// One version of the label, from verified VRF proofs. The commitment is set if the version exists.
struct RetainedVersion {
  Version version = 0;
  base::VrfOutput output;
  std::optional<Hash> commitment;

  bool operator==(const RetainedVersion&) const = default;
  static constexpr auto Fields() {
    return codec::List(&RetainedVersion::version, &RetainedVersion::output,
                       &RetainedVersion::commitment);
  }
};

// The monitoring map of "Contact Algorithm": log positions and the greatest version that was proven
// to exist there. Ascending by position and by version, at most 255 entries.
using MonitoringMap = std::vector<MonitorMapEntry>;

// What a user who looked a label up retains until a distinguished log entry covers what she saw.
struct ContactState {
  MonitoringMap map;
  std::vector<RetainedVersion> versions;  // ascending; those of the map's monitoring ladders

  bool operator==(const ContactState&) const = default;
  // Nothing is left to monitor: the state can be forgotten.
  bool done() const { return map.empty(); }

  static constexpr auto Fields() {
    return codec::List(codec::Vector<uint8_t>(&ContactState::map),
                       codec::Vector<uint16_t>(&ContactState::versions));
  }
};

// What the owner of a label retains: "Owner Algorithm" and "Updating a Label".
struct OwnerState {
  // The rightmost distinguished log entry that was verified, at first the starting position, and
  // the greatest version that exists there, if any.
  LogPosition start = 0;
  std::optional<Version> greatest_at_start;
  // The log entries after `start` that added versions, and the greatest version from then on.
  // Ascending by position and by version.
  std::vector<MonitorMapEntry> upcoming;
  // Versions that no distinguished log entry is known to cover yet.
  MonitoringMap map;
  // Ascending; those of the binary ladders of all versions above, and at least version 0.
  std::vector<RetainedVersion> versions;

  bool operator==(const OwnerState&) const = default;
  // The greatest version that the owner knows of.
  std::optional<Version> greatest_version() const;
  // The greatest version that must exist in a log entry from `start` on.
  std::optional<Version> ExpectedAt(LogPosition position) const;

  // The rightmost log entry that the state refers to.
  LogPosition LastPosition() const;

  static constexpr auto Fields() {
    return codec::List(&OwnerState::start, &OwnerState::greatest_at_start,
                       codec::Vector<uint16_t>(&OwnerState::upcoming),
                       codec::Vector<uint8_t>(&OwnerState::map),
                       codec::Vector<uint16_t>(&OwnerState::versions));
  }
};

// kDataLoss unless the lists are ordered, agree with each other and hold the versions that the next
// response is verified with: stored state must not be able to break an invariant.
absl::Status ValidateContactState(const ContactState& state);
absl::Status ValidateOwnerState(const OwnerState& state);

// Adds `entry` to a map. An entry is covered by one of the same or a greater version at the same
// position, or at one whose path to the root leads rightwards to it, since monitoring the latter
// inspects every log entry that monitoring the former would; covered entries are left out. A
// verification failure ("monitoring-map") if the log has shown a smaller version at a later entry
// otherwise, which no honest log does; kResourceExhausted beyond 255 entries.
absl::Status InsertIntoMap(const MonitorMapEntry& entry, MonitoringMap* map);

// The same for a contact's state; `ladder` holds at least the monitoring ladder of entry.version.
absl::Status InsertMonitored(const MonitorMapEntry& entry, std::span<const RetainedVersion> ladder,
                             ContactState* state);

// Adds `more` to `versions` and drops what the state no longer needs. A version that was known
// keeps its output, and its commitment if it had one.
void RetainVersions(std::span<const RetainedVersion> more, ContactState* state);
void RetainVersions(std::span<const RetainedVersion> more, OwnerState* state);

std::map<Version, KnownVersion> ToKnownVersions(std::span<const RetainedVersion> versions);
std::vector<RetainedVersion> ToRetainedVersions(const std::map<Version, KnownVersion>& versions);

// The requests that the states make. `last`: the tree size that the user retained.
ContactMonitorRequest MakeContactMonitorRequest(ByteView label, const ContactState& state,
                                                std::optional<TreeSize> last);
OwnerMonitorRequest MakeOwnerMonitorRequest(ByteView label, const OwnerState& state,
                                            std::optional<TreeSize> last);

}  // namespace kt::core
#endif  // KT_CORE_MONITORING_STATE_H_
