// SPDX-License-Identifier: Apache-2.0
#include "kt-core/monitoring_state.h"

#include <algorithm>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/implicit_tree.h"

namespace kt::core {
namespace {

constexpr size_t kMaxMapEntries = 255;  // ContactMonitorRequest.entries

bool Ascends(std::span<const MonitorMapEntry> entries) {
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].position > LogPosition{std::numeric_limits<int64_t>::max()}) return false;
    if (i == 0) continue;
    if (entries[i].position <= entries[i - 1].position) return false;
    if (entries[i].version <= entries[i - 1].version) return false;
  }
  return true;
}

// See InsertIntoMap.
bool Covers(const MonitorMapEntry& a, const MonitorMapEntry& b) {
  return a.version >= b.version &&
         (a.position == b.position || IsInLeftSubtree(b.position, a.position));
}

std::set<Version> NeededBy(const ContactState& state) {
  std::set<Version> needed;
  for (const MonitorMapEntry& entry : state.map) {
    const std::vector<Version> ladder = MonitoringBinaryLadder(entry.version);
    needed.insert(ladder.begin(), ladder.end());
  }
  return needed;
}

std::set<Version> NeededBy(const OwnerState& state) {
  std::set<Version> needed = {0};
  const auto need = [&](Version target) {
    const std::vector<Version> ladder = BaseBinaryLadder(target);
    needed.insert(ladder.begin(), ladder.end());
  };
  if (state.greatest_at_start.has_value()) need(*state.greatest_at_start);
  for (const MonitorMapEntry& entry : state.upcoming) need(entry.version);
  for (const MonitorMapEntry& entry : state.map) {
    const std::vector<Version> ladder = MonitoringBinaryLadder(entry.version);
    needed.insert(ladder.begin(), ladder.end());
  }
  return needed;
}

// Ascending, complete, and with a commitment for each needed version up to `greatest`.
bool Suffices(std::span<const RetainedVersion> versions, const std::set<Version>& needed,
              std::optional<Version> greatest) {
  const std::map<Version, KnownVersion> known = ToKnownVersions(versions);
  if (known.size() != versions.size()) return false;
  if (!std::is_sorted(versions.begin(), versions.end(),
                      [](const auto& a, const auto& b) { return a.version < b.version; })) {
    return false;
  }
  return std::all_of(needed.begin(), needed.end(), [&](Version version) {
    const auto found = known.find(version);
    if (found == known.end()) return false;
    return !greatest.has_value() || version > *greatest || found->second.commitment.has_value();
  });
}

void Merge(std::span<const RetainedVersion> more, const std::set<Version>& needed,
           std::vector<RetainedVersion>* versions) {
  std::map<Version, KnownVersion> known = ToKnownVersions(*versions);
  for (const RetainedVersion& version : more) {
    const auto [entry, fresh] =
        known.try_emplace(version.version, KnownVersion{version.output, version.commitment});
    if (!fresh && !entry->second.commitment.has_value()) {
      entry->second.commitment = version.commitment;
    }
  }
  std::erase_if(known, [&](const auto& entry) { return !needed.contains(entry.first); });
  *versions = ToRetainedVersions(known);
}

}  // namespace

std::optional<Version> OwnerState::greatest_version() const {
  return upcoming.empty() ? greatest_at_start : upcoming.back().version;
}

std::optional<Version> OwnerState::ExpectedAt(LogPosition position) const {
  std::optional<Version> expected = greatest_at_start;
  for (const MonitorMapEntry& entry : upcoming) {
    if (entry.position > position) break;
    expected = entry.version;
  }
  return expected;
}

LogPosition OwnerState::LastPosition() const {
  LogPosition last = start;
  if (!upcoming.empty()) last = std::max(last, upcoming.back().position);
  if (!map.empty()) last = std::max(last, map.back().position);
  return last;
}

absl::Status ValidateContactState(const ContactState& state) {
  if (state.map.size() > kMaxMapEntries || !Ascends(state.map)) {
    return absl::DataLossError("the monitoring map in the retained state is out of order");
  }
  const std::optional<Version> greatest =
      state.map.empty() ? std::nullopt : std::optional(state.map.back().version);
  if (!Suffices(state.versions, NeededBy(state), greatest)) {
    return absl::DataLossError("the retained state lacks versions that it monitors");
  }
  return absl::OkStatus();
}

absl::Status ValidateOwnerState(const OwnerState& state) {
  const bool ordered = state.map.size() <= kMaxMapEntries && Ascends(state.map) &&
                       Ascends(state.upcoming) &&
                       state.start <= LogPosition{std::numeric_limits<int64_t>::max()};
  if (!ordered) return absl::DataLossError("the owner's retained state is out of order");
  if (!state.upcoming.empty()) {
    const MonitorMapEntry& first = state.upcoming.front();
    if (first.position <= state.start ||
        (state.greatest_at_start.has_value() && first.version <= *state.greatest_at_start)) {
      return absl::DataLossError("the owner's retained state contradicts its starting position");
    }
  }
  for (const MonitorMapEntry& entry : state.map) {
    const std::optional<Version> expected = state.ExpectedAt(entry.position);
    if (!expected.has_value() || *expected < entry.version) {
      return absl::DataLossError("the owner monitors a version that she does not know of");
    }
  }
  if (!Suffices(state.versions, NeededBy(state), state.greatest_version())) {
    return absl::DataLossError("the owner's retained state lacks versions that it monitors");
  }
  return absl::OkStatus();
}

absl::Status InsertIntoMap(const MonitorMapEntry& entry, MonitoringMap* map) {
  MonitoringMap updated = *map;
  const auto covers_entry = [&](const MonitorMapEntry& other) { return Covers(other, entry); };
  if (std::any_of(updated.begin(), updated.end(), covers_entry)) return absl::OkStatus();
  std::erase_if(updated, [&](const MonitorMapEntry& other) { return Covers(entry, other); });
  const auto after = std::find_if(updated.begin(), updated.end(), [&](const auto& other) {
    return other.position > entry.position;
  });
  updated.insert(after, entry);
  if (!Ascends(updated)) {
    return base::VerificationFailed(
        "monitoring-map", absl::StrCat("version ", entry.version, " at log entry ", entry.position,
                                       " contradicts what the log has shown before"));
  }
  if (updated.size() > kMaxMapEntries) {
    return absl::ResourceExhaustedError("too many versions of one label are being monitored");
  }
  *map = std::move(updated);
  return absl::OkStatus();
}

absl::Status InsertMonitored(const MonitorMapEntry& entry, std::span<const RetainedVersion> ladder,
                             ContactState* state) {
  ContactState updated = *state;
  KT_RETURN_IF_ERROR(InsertIntoMap(entry, &updated.map));
  RetainVersions(ladder, &updated);
  *state = std::move(updated);
  return absl::OkStatus();
}

void RetainVersions(std::span<const RetainedVersion> more, ContactState* state) {
  Merge(more, NeededBy(*state), &state->versions);
}

void RetainVersions(std::span<const RetainedVersion> more, OwnerState* state) {
  Merge(more, NeededBy(*state), &state->versions);
}

std::map<Version, KnownVersion> ToKnownVersions(std::span<const RetainedVersion> versions) {
  std::map<Version, KnownVersion> known;
  for (const RetainedVersion& version : versions) {
    known[version.version] = {version.output, version.commitment};
  }
  return known;
}

std::vector<RetainedVersion> ToRetainedVersions(const std::map<Version, KnownVersion>& versions) {
  std::vector<RetainedVersion> retained;
  retained.reserve(versions.size());
  for (const auto& [version, known] : versions) {
    retained.push_back({version, known.output, known.commitment});
  }
  return retained;
}

ContactMonitorRequest MakeContactMonitorRequest(ByteView label, const ContactState& state,
                                                std::optional<TreeSize> last) {
  return {last, base::ToBytes(label), state.map};
}

OwnerMonitorRequest MakeOwnerMonitorRequest(ByteView label, const OwnerState& state,
                                            std::optional<TreeSize> last) {
  return {last, base::ToBytes(label), state.map, state.start, state.greatest_version()};
}

}  // namespace kt::core
