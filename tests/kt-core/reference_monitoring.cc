// SPDX-License-Identifier: Apache-2.0
#include "tests/kt-core/reference_monitoring.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"

namespace kt::core {

using base::LogPosition;
using base::Version;

void ReferenceQuestions::NeedTimestamp(LogPosition position) {
  if (std::find(timestamps.begin(), timestamps.end(), position) == timestamps.end()) {
    timestamps.push_back(position);
  }
}

void ReferenceQuestions::Ladder(LogPosition position, std::vector<Version> versions) {
  NeedTimestamp(position);
  series.push_back({position, std::move(versions)});
}

void ReferencePath(const ReferenceLog& log, LogPosition position, ReferenceQuestions* questions) {
  std::vector<LogPosition> path = log.DirectPath(position);
  std::reverse(path.begin(), path.end());
  for (const LogPosition entry : path) {
    if (!log.IsDistinguished(entry)) break;
    questions->NeedTimestamp(entry);
  }
}

namespace {

// monitoring_binary_ladder of the appendix.
std::vector<Version> MonitoringLadderOf(Version target) {
  std::vector<Version> ladder = ReferenceSearchLadder(target, target, {}, {});
  std::erase_if(ladder, [&](Version version) { return version > target; });
  return ladder;
}

}  // namespace

std::map<LogPosition, Version> ReferenceContactMonitor(const ReferenceLog& log,
                                                       const std::vector<MonitorMapEntry>& entries,
                                                       std::optional<LogPosition> owner_start,
                                                       ReferenceQuestions* questions) {
  std::map<LogPosition, Version> map;
  for (const MonitorMapEntry& entry : entries) map[entry.position] = entry.version;
  const std::map<LogPosition, Version> original = map;
  std::map<LogPosition, Version> provided;  // ladders and their targets
  for (auto entry = original.rbegin(); entry != original.rend(); ++entry) {
    const auto [position, version] = *entry;
    ReferencePath(log, position, questions);
    if (log.IsDistinguished(position)) continue;  // 1
    std::vector<LogPosition> list;                // 2
    for (const LogPosition up : log.DirectPath(position)) {
      if (up < position) continue;
      list.push_back(up);
      if (!log.IsDistinguished(up)) continue;
      if (owner_start.has_value() && position >= *owner_start) list.pop_back();
      break;
    }
    LogPosition at = position;  // 3
    for (const LogPosition up : list) {
      if (provided.contains(up)) {
        KT_CHECK(provided[up] > version);
        map.erase(at);
        break;
      }
      questions->Ladder(up, MonitoringLadderOf(version));
      provided[up] = version;
      map.erase(at);
      at = up;
      // "The version counter is the greatest version of the label proven to exist at that log
      // position."
      map[at] = std::max(map.contains(at) ? map[at] : 0, version);
    }
  }
  std::erase_if(map, [&](const auto& entry) { return log.IsDistinguished(entry.first); });
  return map;
}

std::vector<LogPosition> ReferenceOwnerInit(const ReferenceLog& log, LogPosition start,
                                            const GreatestAt& greatest_at,
                                            ReferenceQuestions* questions) {
  std::vector<LogPosition> path = log.DirectPath(start);
  for (auto entry = path.rbegin(); entry != path.rend(); ++entry) questions->NeedTimestamp(*entry);
  questions->NeedTimestamp(start);
  std::vector<LogPosition> list = {start};
  for (const LogPosition entry : path) {
    if (entry > start) continue;
    if (log.IsExpired(entry)) break;
    list.push_back(entry);
  }
  for (const LogPosition entry : list) {
    const std::optional<Version> greatest = greatest_at(entry);
    questions->Ladder(entry, ReferenceSearchLadder(greatest.value_or(0), greatest, {}, {}));
  }
  return list;
}

namespace {

struct OwnerRecursion {
  const ReferenceLog& log;
  const LogPosition start;
  const std::optional<Version> known;
  const size_t max_ladders;
  const GreatestAt& greatest_at;
  ReferenceQuestions* const questions;
  size_t ladders = 0;
  ReferenceOwner owner;

  void Visit(LogPosition entry) {
    if (!log.IsDistinguished(entry)) return;  // 1
    const ReferenceLog::Node& node = log.node(entry);
    if (entry <= start) {  // 2
      if (!node.right) return;
      questions->NeedTimestamp(entry);
      return Visit(*node.right);
    }
    if (node.left) {  // 3
      questions->NeedTimestamp(entry);
      Visit(*node.left);
    }
    const std::optional<Version> greatest = greatest_at(entry);  // 4
    if (ladders == max_ladders || greatest > known) owner.complete = false;
    if (!owner.complete) return;
    questions->Ladder(entry, ReferenceSearchLadder(greatest.value_or(0), greatest, {}, {}));  // 5
    ++ladders;
    owner.verified = entry;
    if (node.right) Visit(*node.right);  // 6
  }
};

}  // namespace

ReferenceOwner ReferenceOwnerMonitor(const ReferenceLog& log,
                                     const std::vector<MonitorMapEntry>& entries, LogPosition start,
                                     std::optional<Version> known, size_t max_ladders,
                                     const GreatestAt& greatest_at, ReferenceQuestions* questions) {
  ReferenceContactMonitor(log, entries, start, questions);
  OwnerRecursion recursion{log,         start,     known, max_ladders,
                           greatest_at, questions, 0,     {start, true}};
  recursion.Visit(log.root());
  return recursion.owner;
}

void ReferenceUpdate(const ReferenceLog& log, const ReferenceLog* previous_tree,
                     LogPosition position, std::optional<Version> previous,
                     LogPosition previous_position, const GreatestAt& greatest_at,
                     ReferenceQuestions* questions) {
  std::set<Version> shown;  // included in an entry further left
  const auto ladder = [&](LogPosition entry, Version target) {
    const std::optional<Version> greatest = greatest_at(entry);
    const std::vector<Version> versions = ReferenceSearchLadder(target, greatest, shown, {});
    for (const Version version : versions) {
      if (greatest.has_value() && version <= *greatest) shown.insert(version);
    }
    return versions;
  };
  if (previous_tree != nullptr) {  // 1 and 2
    ReferencePath(log, position - 1, questions);
    for (const LogPosition entry : previous_tree->Frontier()) {
      if (log.IsDistinguished(entry)) continue;
      const std::vector<Version> versions = ladder(entry, previous.value_or(0));
      if (previous.has_value() && entry <= previous_position) continue;
      questions->Ladder(entry, versions);
    }
  }
  ReferencePath(log, position, questions);
  const Version greatest = *greatest_at(position);
  const std::vector<Version> full = ReferenceSearchLadder(greatest, greatest, {}, {});
  std::vector<Version> others;
  for (Version version = previous.has_value() ? *previous + 1 : 0; version <= greatest; ++version) {
    if (std::find(full.begin(), full.end(), version) == full.end()) others.push_back(version);
  }
  if (!log.IsDistinguished(position)) questions->Ladder(position, ladder(position, greatest));  // 4
  if (!others.empty()) questions->Ladder(position, others);  // 3 and 4
}

}  // namespace kt::core
