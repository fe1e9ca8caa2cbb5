// SPDX-License-Identifier: Apache-2.0
//
// "Monitoring the Tree / Owner Algorithm"; step numbers are its.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/monitoring.h"

namespace kt::core {
namespace {

// A search binary ladder without omitting redundant lookups, which must show that `expected` is the
// greatest version.
absl::Status OwnerLadder(ProofSource& source, LogPosition position,
                         std::optional<Version> expected) {
  KT_RETURN_IF_ERROR(source.Timestamp(position).status());
  LookupMemory none;
  KT_ASSIGN_OR_RETURN(const LadderOutcome outcome,
                      SearchLadder(source, position, expected.value_or(0), none));
  if (outcome == (expected.has_value() ? LadderOutcome::kEqual : LadderOutcome::kLess)) {
    return absl::OkStatus();
  }
  return base::VerificationFailed(
      "owner-ladder",
      expected.has_value()
          ? absl::StrCat("log entry ", position, " should hold version ", *expected,
                         " as the greatest; it holds a ",
                         outcome == LadderOutcome::kGreater ? "greater" : "smaller", " one")
          : absl::StrCat("log entry ", position, " should not hold the label"));
}

absl::Status RefuseStart(LogPosition start, const char* why) {
  return base::VerificationFailed("starting-position", absl::StrCat("log entry ", start, why));
}

}  // namespace

absl::StatusOr<std::vector<LogPosition>> OwnerInitEntries(ProofSource& source, LogPosition start,
                                                          const Configuration& config) {
  if (start >= source.size()) return RefuseStart(start, " does not exist");
  KT_ASSIGN_OR_RETURN(const DistinguishedPath walk, WalkTowards(source, start, config));
  if (!walk.ends_distinguished()) return RefuseStart(start, " is not distinguished");
  KT_RETURN_IF_ERROR(source.Timestamp(start).status());
  KT_ASSIGN_OR_RETURN(const uint64_t rightmost_ms, source.Timestamp(source.size() - 1));
  std::vector<LogPosition> entries;
  for (auto entry = walk.path.rbegin(); entry != walk.path.rend(); ++entry) {
    if (*entry > start) continue;
    KT_ASSIGN_OR_RETURN(const uint64_t timestamp_ms, source.Timestamp(*entry));
    if (config.maximum_lifetime.has_value() &&
        rightmost_ms - timestamp_ms >= *config.maximum_lifetime) {
      break;
    }
    entries.push_back(*entry);
  }
  if (entries.empty()) return RefuseStart(start, " has expired");
  return entries;
}

absl::Status OwnerInitLadders(ProofSource& source, std::span<const LogPosition> entries,
                              std::span<const Version> greatest_versions) {
  if (greatest_versions.size() > entries.size()) {
    return base::VerificationFailed("greatest-versions",
                                    "there are more greatest versions than log entries");
  }
  if (!std::is_sorted(greatest_versions.rbegin(), greatest_versions.rend())) {
    return base::VerificationFailed("greatest-versions",
                                    "an earlier log entry has a greater version");
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::optional<Version> expected =
        i < greatest_versions.size() ? std::optional(greatest_versions[i]) : std::nullopt;
    KT_RETURN_IF_ERROR(OwnerLadder(source, entries[i], expected));
  }
  return absl::OkStatus();
}

namespace {

// The second algorithm.
class OwnerWalk {
 public:
  OwnerWalk(ProofSource& source, const OwnerView& view, const Configuration& config)
      : source_(source), view_(view), config_(config), verified_(view.start) {}

  absl::Status Run() {
    KT_ASSIGN_OR_RETURN(const uint64_t rightmost_ms, source_.Timestamp(source_.size() - 1));
    return Visit(RootEntry(source_.size()), 0, rightmost_ms);
  }
  LogPosition verified() const { return verified_; }
  bool stopped() const { return stopped_; }

 private:
  // At most 64 deep: a level of the tree each.
  absl::Status Visit(LogPosition entry, uint64_t left_ms, uint64_t right_ms) {
    if (!IsDistinguished(left_ms, right_ms, config_)) return absl::OkStatus();  // 1
    const std::optional<LogPosition> right = RightChild(entry, source_.size());
    if (entry > view_.start) {
      if (const std::optional<LogPosition> left = LeftChild(entry)) {  // 3
        KT_ASSIGN_OR_RETURN(const uint64_t timestamp_ms, source_.Timestamp(entry));
        KT_RETURN_IF_ERROR(Visit(*left, left_ms, timestamp_ms));
      }
      if (stopped_ || view_.stop(entry)) {  // 4
        stopped_ = true;
        return absl::OkStatus();
      }
      KT_RETURN_IF_ERROR(OwnerLadder(source_, entry, view_.expected(entry)));  // 5
      verified_ = entry;
    }
    if (!right.has_value()) return absl::OkStatus();
    KT_ASSIGN_OR_RETURN(const uint64_t timestamp_ms, source_.Timestamp(entry));
    return Visit(*right, timestamp_ms, right_ms);  // 2.1 and 6
  }

  ProofSource& source_;
  const OwnerView& view_;
  const Configuration& config_;
  LogPosition verified_;
  bool stopped_ = false;
};

}  // namespace

absl::StatusOr<OwnerMonitorOutcome> OwnerMonitor(ProofSource& source, const OwnerView& view,
                                                 const Configuration& config) {
  KT_ASSIGN_OR_RETURN(const std::vector<MonitoredEntry> monitored,
                      ContactMonitor(source, view.entries, view.start, config));
  OwnerWalk walk(source, view, config);
  KT_RETURN_IF_ERROR(walk.Run());
  OwnerMonitorOutcome outcome;
  outcome.verified = walk.verified();
  outcome.complete = !walk.stopped();
  for (const MonitoredEntry& entry : monitored) {
    // The ladder from the distinguished entry had the greatest version as its target, which is that
    // of the map or covers it.
    if (entry.left_to_owner.has_value() && *entry.left_to_owner <= walk.verified()) continue;
    outcome.entries.push_back(entry.entry);
  }
  return outcome;
}

}  // namespace kt::core
