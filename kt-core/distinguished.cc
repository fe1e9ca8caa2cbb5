// SPDX-License-Identifier: Apache-2.0
#include "kt-core/distinguished.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-core/algorithms.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/prover_support.h"
#include "kt-core/tree_head.h"
#include "merkle/log_tree.h"

namespace kt::core {
namespace {

// The right-to-left depth-first search. It is as deep as the implicit search tree: at most 64.
class Walk {
 public:
  Walk(ProofSource& source, const Configuration& config, const RecentDefinition& recent,
       std::optional<LogPosition> stop)
      : source_(source), config_(config), recent_(recent), stop_(stop) {}

  absl::StatusOr<DistinguishedWalk> Run() {
    const TreeSize size = source_.size();
    KT_ASSIGN_OR_RETURN(rightmost_ms_, source_.Timestamp(size - 1));
    KT_RETURN_IF_ERROR(Visit(RootEntry(size), 0, rightmost_ms_));
    std::reverse(walk_.positions.begin(), walk_.positions.end());
    return std::move(walk_);
  }

 private:
  absl::Status Visit(LogPosition entry, uint64_t left_ms, uint64_t right_ms) {
    if (!IsDistinguished(left_ms, right_ms, config_)) return absl::OkStatus();  // step 1
    KT_ASSIGN_OR_RETURN(const uint64_t timestamp_ms, source_.Timestamp(entry));
    if (const auto right = RightChild(entry, source_.size())) {  // step 2
      KT_RETURN_IF_ERROR(Visit(*right, timestamp_ms, right_ms));
    }
    const bool stopped = stop_.has_value() && entry <= *stop_;  // step 3
    if (stopped || !IsRecent(config_, recent_, walk_.positions.size(), timestamp_ms,
                             rightmost_ms_)) {  // step 4
      // The first one is the rightmost: what remains of the walk is above it and to its left.
      if (!walk_.ended_at.has_value()) walk_.ended_at = entry;
      return absl::OkStatus();
    }
    walk_.positions.push_back(entry);
    if (const auto left = LeftChild(entry)) return Visit(*left, left_ms, timestamp_ms);  // step 5
    return absl::OkStatus();
  }

  ProofSource& source_;
  const Configuration& config_;
  const RecentDefinition& recent_;
  const std::optional<LogPosition> stop_;
  uint64_t rightmost_ms_ = 0;
  DistinguishedWalk walk_;  // positions descend until the end
};

absl::Status Contradiction(LogPosition position) {
  return base::VerificationFailed(
      "distinguished-heads",
      absl::StrCat("the log shows another history up to its distinguished entry ", position,
                   " than it showed before"));
}

}  // namespace

bool IsRecent(const Configuration& config, const RecentDefinition& recent, size_t newer,
              uint64_t timestamp_ms, uint64_t rightmost_ms) {
  KT_CHECK(recent.rightmost > 0);
  const uint64_t age_ms = rightmost_ms - std::min(timestamp_ms, rightmost_ms);
  if (config.maximum_lifetime.has_value() && age_ms >= *config.maximum_lifetime) return false;
  if (recent.max_age_ms.has_value() && age_ms >= *recent.max_age_ms) return false;
  return newer < recent.rightmost;
}

absl::StatusOr<DistinguishedWalk> WalkDistinguished(ProofSource& source,
                                                    const Configuration& config,
                                                    const RecentDefinition& recent,
                                                    std::optional<LogPosition> stop) {
  return Walk(source, config, recent, stop).Run();
}

Hash DistinguishedEntry::root() const { return merkle::LogRoot(tree_size(), full_subtrees); }

UserState DistinguishedEntry::AsUserState() const {
  UserState state;
  state.tree_head.tree_size = tree_size();
  state.full_subtrees = full_subtrees;
  state.frontier = frontier;
  return state;
}

const DistinguishedEntry* DistinguishedState::Find(LogPosition position) const {
  const DistinguishedEntry* entry = FirstFrom(position);
  return entry != nullptr && entry->position == position ? entry : nullptr;
}

const DistinguishedEntry* DistinguishedState::FirstFrom(LogPosition position) const {
  const auto entry =
      std::lower_bound(entries.begin(), entries.end(), position,
                       [](const DistinguishedEntry& a, LogPosition b) { return a.position < b; });
  return entry == entries.end() ? nullptr : &*entry;
}

std::optional<LogPosition> DistinguishedState::stop() const {
  if (entries.empty()) return std::nullopt;
  return entries.back().position;
}

absl::Status ValidateDistinguishedState(const DistinguishedState& state) {
  std::optional<LogPosition> left;
  for (const DistinguishedEntry& entry : state.entries) {
    const bool in_range = entry.position < LogPosition{std::numeric_limits<int64_t>::max()};
    if (!in_range || (left.has_value() && entry.position <= *left)) {
      return absl::DataLossError("retained distinguished entries are out of order");
    }
    KT_RETURN_IF_ERROR(ValidateUserState(entry.AsUserState()));
    left = entry.position;
  }
  return absl::OkStatus();
}

absl::StatusOr<DistinguishedResponse> ProveDistinguished(const Configuration& config,
                                                         const RecentDefinition& recent,
                                                         const LogView& log, const SignedHead& head,
                                                         const DistinguishedRequest& request) {
  KT_RETURN_IF_ERROR(CheckLast(request.last, log));
  const LabelRecord no_label;
  ProofRecorder recorder(log, request.last, no_label);
  KT_RETURN_IF_ERROR(UpdateView(recorder, request.last));
  KT_RETURN_IF_ERROR(WalkDistinguished(recorder, config, recent, request.stop).status());
  DistinguishedResponse response;
  response.full_tree_head = PresentHead(head, request.last);
  KT_ASSIGN_OR_RETURN(response.distinguished,
                      recorder.Finish(OtherSize(head, response.full_tree_head)));
  return response;
}

absl::StatusOr<VerifiedDistinguished> VerifyDistinguished(const ResponseVerifier& verifier,
                                                          const RecentDefinition& recent,
                                                          const DistinguishedRequest& request,
                                                          ByteView response_bytes,
                                                          const UserState* previous,
                                                          uint64_t now_ms) {
  const Configuration& config = verifier.config();
  KT_RETURN_IF_ERROR(CheckAdvertised(request.last, previous));
  KT_ASSIGN_OR_RETURN(
      const DistinguishedResponse response,
      DecodeResponse<DistinguishedResponse>(response_bytes, WireContext::For(config)));
  KT_ASSIGN_OR_RETURN(const TreeSize size, PresentedTreeSize(response.full_tree_head, previous));

  ProofVerifier proof(response.distinguished, size, previous, {});
  KT_RETURN_IF_ERROR(UpdateView(proof, request.last));
  KT_ASSIGN_OR_RETURN(const DistinguishedWalk walk,
                      WalkDistinguished(proof, config, recent, request.stop));
  VerifiedDistinguished result;
  KT_ASSIGN_OR_RETURN(result.state, verifier.context().VerifyHead(response.full_tree_head, proof,
                                                                  previous, now_ms));
  for (const LogPosition position : walk.positions) {
    // The walk has visited all ancestors of the entry, among which is its frontier.
    std::optional<UserState> state = proof.PrefixState(position + 1);
    KT_CHECK(state.has_value());
    result.entries.push_back(
        {position, std::move(state->full_subtrees), std::move(state->frontier)});
  }
  return result;
}

absl::StatusOr<DistinguishedState> MergeWalk(const Configuration& config,
                                             const RecentDefinition& recent,
                                             const DistinguishedState& known,
                                             const DistinguishedRequest& request,
                                             const VerifiedDistinguished& walk) {
  KT_RETURN_IF_ERROR(ValidateDistinguishedState(known));
  DistinguishedState merged;
  if (request.stop.has_value()) {
    if (request.stop != known.stop()) {
      return absl::InvalidArgumentError("the walk stopped at another entry than the last known");
    }
    merged.entries = known.entries;
  }
  for (const DistinguishedEntry& entry : known.entries) {
    if (entry.position >= walk.state.tree_size()) return Contradiction(entry.position);
    // A walk shows all distinguished entries from its leftmost one on, and "once a log entry is
    // chosen to be distinguished, it will never stop being distinguished".
    const bool covered = !walk.entries.empty() && entry.position >= walk.entries.front().position;
    if (!covered) continue;
    const auto same = std::find(walk.entries.begin(), walk.entries.end(), entry);
    if (same == walk.entries.end()) return Contradiction(entry.position);
  }
  merged.entries.insert(merged.entries.end(), walk.entries.begin(), walk.entries.end());

  const uint64_t rightmost_ms = walk.state.frontier.back().timestamp;
  size_t newer = 0;
  for (auto entry = merged.entries.rbegin(); entry != merged.entries.rend(); ++entry, ++newer) {
    if (entry->entry().timestamp > rightmost_ms) return Contradiction(entry->position);
    if (!IsRecent(config, recent, newer, entry->entry().timestamp, rightmost_ms)) break;
  }
  merged.entries.erase(merged.entries.begin(),
                       merged.entries.end() - static_cast<ptrdiff_t>(newer));
  return merged;
}

}  // namespace kt::core
