// SPDX-License-Identifier: Apache-2.0
#include "kt-core/auditor_update_verifier.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-core/implicit_tree.h"
#include "merkle/log_tree.h"
#include "merkle/prefix_update.h"

namespace kt::core {
namespace {

using merkle::PrefixChange;
using merkle::PrefixSearchResult;
using merkle::PrefixSearchResultType;

constexpr TreeSize kMaxTreeSize = TreeSize{std::numeric_limits<int64_t>::max()};

Hash LeafValue(const LogEntry& entry) { return base::Sha256(codec::Encode(entry)); }

bool TimestampsGoBack(std::span<const LogEntry> entries) {
  return !std::is_sorted(entries.begin(), entries.end(), [](const LogEntry& a, const LogEntry& b) {
    return a.timestamp < b.timestamp;
  });
}

// Step 2.
absl::Status CheckOrder(const char* list, std::span<const PrefixLeaf> leaves) {
  for (size_t i = 1; i < leaves.size(); ++i) {
    if (!(leaves[i - 1].vrf_output < leaves[i].vrf_output)) {
      return base::VerificationFailed(
          "auditor-order",
          absl::StrCat(list, ": leaf ", i, " does not stand after the one before it"));
    }
  }
  return absl::OkStatus();
}

absl::Status WrongResult(const char* why) {
  return base::VerificationFailed("auditor-results", why);
}

// Steps 3 and 4; joins the two sorted lists into one.
absl::StatusOr<std::vector<PrefixChange>> MergeChanges(const AuditorUpdate& update) {
  const std::vector<PrefixSearchResult>& results = update.proof.results;
  if (results.size() != update.added.size() + update.removed.size()) {
    return WrongResult("the proof has not one result for each leaf added or removed");
  }
  std::vector<PrefixChange> changes;
  changes.reserve(results.size());
  auto added = update.added.begin();
  auto removed = update.removed.begin();
  auto added_result = results.begin();
  auto removed_result = added_result + static_cast<std::ptrdiff_t>(update.added.size());
  const auto is_included = [](const PrefixSearchResult& result) {
    return result.result_type == PrefixSearchResultType::kInclusion;
  };
  while (added != update.added.end() || removed != update.removed.end()) {
    const bool takes_added =
        removed == update.removed.end() ||
        (added != update.added.end() && added->vrf_output <= removed->vrf_output);
    const bool takes_removed =
        added == update.added.end() ||
        (removed != update.removed.end() && removed->vrf_output <= added->vrf_output);
    PrefixChange& change = changes.emplace_back();
    if (takes_removed) {
      if (!is_included(*removed_result)) {
        return WrongResult("a leaf is removed that was not in the tree");
      }
      // One search, named twice.
      if (takes_added && *added_result != *removed_result) {
        return WrongResult("two searches for one key end differently");
      }
      change.key = &removed->vrf_output;
      change.result = &*removed_result++;
      change.before = &removed++->commitment;
    }
    if (takes_added) {
      if (!takes_removed && is_included(*added_result)) {
        return WrongResult("a leaf is added that was in the tree and is not removed");
      }
      change.key = &added->vrf_output;
      change.result = &*added_result++;
      change.after = &added++->commitment;
    }
  }
  return changes;
}

// Step 5.
absl::Status CheckRemovals(const Configuration& config, const AuditorUpdate& update,
                           const PrefixProof* published, const AuditorState& state) {
  const auto refused = [](const std::string& why) {
    return base::VerificationFailed("auditor-removal", why);
  };
  if (update.removed.empty()) {
    if (published == nullptr) return absl::OkStatus();
    return refused("there is a proof of publication, but nothing is removed");
  }
  if (published == nullptr) {
    return refused("nothing shows that the removed leaves were in a distinguished log entry");
  }
  const std::optional<size_t> distinguished =
      NewestDistinguished(state.frontier, update.timestamp, config.reasonable_monitoring_window);
  if (!distinguished.has_value()) {
    return refused("leaves are removed before there is a distinguished log entry");
  }
  std::vector<merkle::PrefixLookup> lookups;
  lookups.reserve(update.removed.size());
  for (const PrefixLeaf& leaf : update.removed) {
    lookups.push_back({leaf.vrf_output, leaf.commitment});
  }
  const absl::StatusOr<Hash> root = merkle::EvaluatePrefixProof(*published, lookups);
  if (!root.ok()) return refused(std::string(root.status().message()));
  const bool all_included = std::all_of(
      published->results.begin(), published->results.end(),
      [](const auto& result) { return result.result_type == PrefixSearchResultType::kInclusion; });
  if (!all_included || *root != state.frontier[*distinguished].prefix_tree) {
    return refused("a removed leaf was not in the newest distinguished log entry");
  }
  return absl::OkStatus();
}

// Appends the entry to the log tree and to the frontier.
void Advance(const LogEntry& entry, AuditorState* state) {
  const LogPosition position = state->tree_size;
  std::vector<std::pair<merkle::LogNodeId, Hash>> completed;
  merkle::LogTreeBuilder builder(position, std::move(state->full_subtrees));
  builder.Append(LeafValue(entry), &completed);
  state->full_subtrees = builder.heads();
  state->tree_size = builder.size();

  // The path to the new entry goes along the old frontier, whose end it leaves out.
  const std::vector<LogPosition> after = Frontier(state->tree_size);
  if (position > 0) {
    const std::vector<LogPosition> before = Frontier(position);
    KT_CHECK(after.size() <= before.size() + 1);
    for (size_t i = 0; i + 1 < after.size(); ++i) KT_CHECK(after[i] == before[i]);
  }
  state->frontier.resize(after.size() - 1);
  state->frontier.push_back(entry);
}

}  // namespace

absl::Status ValidateAuditorState(const AuditorState& state) {
  const size_t frontier_size =
      state.tree_size == 0 || state.tree_size > kMaxTreeSize ? 0 : Frontier(state.tree_size).size();
  if (state.tree_size > kMaxTreeSize ||
      state.full_subtrees.size() != static_cast<size_t>(std::popcount(state.tree_size)) ||
      state.frontier.size() != frontier_size) {
    return absl::DataLossError("the auditor's state does not fit its tree size");
  }
  if (TimestampsGoBack(state.frontier)) {
    return absl::DataLossError("timestamps in the auditor's state go backwards");
  }
  return absl::OkStatus();
}

Hash RootOf(const AuditorState& state) {
  return merkle::LogRoot(state.tree_size, state.full_subtrees);
}

absl::StatusOr<AuditorState> BeginAuditing(const AuditorStart& start) {
  const auto refused = [](const char* why) {
    return base::VerificationFailed("auditor-start", why);
  };
  AuditorState state;
  if (start.tree_size == 0) {
    if (!start.frontier.empty() || !start.inclusion.elements.empty()) {
      return refused("an empty log has neither entries nor a proof");
    }
    return state;
  }
  if (start.tree_size > kMaxTreeSize) return refused("the tree size is out of range");
  merkle::LogProofShape shape;
  shape.size = start.tree_size;
  shape.leaves = Frontier(start.tree_size);
  if (start.frontier.size() != shape.leaves.size()) {
    return refused("the frontier has another number of entries");
  }
  if (TimestampsGoBack(start.frontier)) return refused("timestamps go backwards");
  std::vector<Hash> leaves;
  for (const LogEntry& entry : start.frontier) leaves.push_back(LeafValue(entry));
  absl::StatusOr<merkle::LogProofResult> proven =
      merkle::EvaluateLogProof(shape, leaves, {}, start.inclusion.elements);
  if (!proven.ok()) return refused("the proof of the frontier's entries is malformed");
  state.tree_size = start.tree_size;
  state.full_subtrees = std::move(proven->full_subtrees);
  state.frontier = start.frontier;
  return state;
}

// "Reasonable Monitoring Window". The entry that is added becomes the rightmost one; wherever it
// goes in the implicit search tree, every entry of the old frontier then has the same right bound:
// the new timestamp. Left bounds are the entries before in the frontier. An entry that is not in
// the frontier lies left of one that is, or below one that is not distinguished.
std::optional<size_t> NewestDistinguished(std::span<const LogEntry> frontier, uint64_t timestamp_ms,
                                          uint64_t reasonable_monitoring_window) {
  std::optional<size_t> found;
  uint64_t left_ms = 0;
  for (size_t i = 0; i < frontier.size(); ++i) {
    if (timestamp_ms - left_ms < reasonable_monitoring_window) break;
    found = i;
    left_ms = frontier[i].timestamp;
  }
  return found;
}

absl::Status ApplyAuditorUpdate(const Configuration& config, const AuditorUpdate& update,
                                const PrefixProof* published, AuditorState* state) {
  const bool is_first = state->frontier.empty();
  const uint64_t last_ms = is_first ? 0 : state->frontier.back().timestamp;
  if (update.timestamp < last_ms) {
    return base::VerificationFailed("auditor-timestamp",
                                    absl::StrCat("the entry's timestamp ", update.timestamp,
                                                 " is before that of the entry before, ", last_ms));
  }
  if (state->tree_size >= kMaxTreeSize) {
    return absl::ResourceExhaustedError("the log is as long as a log can be");
  }
  KT_RETURN_IF_ERROR(CheckOrder("added", update.added));
  KT_RETURN_IF_ERROR(CheckOrder("removed", update.removed));
  KT_ASSIGN_OR_RETURN(const std::vector<PrefixChange> changes, MergeChanges(update));
  KT_RETURN_IF_ERROR(CheckRemovals(config, update, published, *state));
  KT_ASSIGN_OR_RETURN(const merkle::PrefixRoots roots,
                      merkle::EvaluatePrefixUpdate(update.proof.elements, changes));
  // Before the first entry the prefix tree is empty, with a root of all zeros.
  const Hash expected = is_first ? Hash{} : state->frontier.back().prefix_tree;
  if (roots.before != expected) {
    return base::VerificationFailed("auditor-prefix-root",
                                    "the proof is not from the prefix tree of the entry before");
  }
  Advance({update.timestamp, roots.after}, state);
  return absl::OkStatus();
}

}  // namespace kt::core
