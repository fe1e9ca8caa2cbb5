// SPDX-License-Identifier: Apache-2.0
//
// The monitoring algorithms once more, written from the draft's definitions over whole trees.
#ifndef TESTS_KT_CORE_REFERENCE_MONITORING_H_
#define TESTS_KT_CORE_REFERENCE_MONITORING_H_

#include <map>
#include <optional>
#include <vector>

#include "kt-core/operations.h"
#include "tests/kt-core/reference.h"

namespace kt::core {

// What an algorithm asks for: entries whose timestamps it needs, in the order in which it first
// does, and series of lookups.
struct ReferenceQuestions {
  std::vector<base::LogPosition> timestamps;
  std::vector<testing::FakeProofSource::Series> series;

  void NeedTimestamp(base::LogPosition position);
  // Lookups that show what is the greatest version there.
  void Ladder(base::LogPosition position, std::vector<base::Version> versions);
};

// Timestamps on the path to `position`, parents only, down to the first entry that is not
// distinguished.
void ReferencePath(const ReferenceLog& log, base::LogPosition position,
                   ReferenceQuestions* questions);

// "Contact Algorithm" of an honest log. Returns the updated map, by position.
std::map<base::LogPosition, base::Version> ReferenceContactMonitor(
    const ReferenceLog& log, const std::vector<MonitorMapEntry>& entries,
    std::optional<base::LogPosition> owner_start, ReferenceQuestions* questions);

// "Owner Algorithm", the first one. `start` is distinguished and unexpired. Returns the log entries
// inspected.
std::vector<base::LogPosition> ReferenceOwnerInit(const ReferenceLog& log, base::LogPosition start,
                                                  const GreatestAt& greatest_at,
                                                  ReferenceQuestions* questions);

// "Owner Monitoring" by an owner who knows of versions up to `known`, from a log that provides
// `max_ladders` at most. Returns the rightmost log entry inspected, or `start`, and whether the
// rightmost distinguished one was reached.
struct ReferenceOwner {
  base::LogPosition verified = 0;
  bool complete = true;
};
ReferenceOwner ReferenceOwnerMonitor(const ReferenceLog& log,
                                     const std::vector<MonitorMapEntry>& entries,
                                     base::LogPosition start, std::optional<base::Version> known,
                                     size_t max_ladders, const GreatestAt& greatest_at,
                                     ReferenceQuestions* questions);

// "Updating a Label / Algorithm": versions were added at `position`, after `previous`, which was
// added at `previous_position`. `previous_tree` has the entries before `position`.
void ReferenceUpdate(const ReferenceLog& log, const ReferenceLog* previous_tree,
                     base::LogPosition position, std::optional<base::Version> previous,
                     base::LogPosition previous_position, const GreatestAt& greatest_at,
                     ReferenceQuestions* questions);

}  // namespace kt::core
#endif  // TESTS_KT_CORE_REFERENCE_MONITORING_H_
