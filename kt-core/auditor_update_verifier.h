// SPDX-License-Identifier: Apache-2.0
//
// The auditor's side of draft-ietf-keytrans-protocol, "Third Parties / Auditing": follows a log
// entry by entry, from the changes that the log says it made.
#ifndef KT_CORE_AUDITOR_UPDATE_VERIFIER_H_
#define KT_CORE_AUDITOR_UPDATE_VERIFIER_H_

#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kt-core/operations.h"
#include "kt-core/structures.h"

namespace kt::core {

// What an auditor retains of the log: O(log n) whatever the log holds.
struct AuditorState {
  TreeSize tree_size = 0;
  std::vector<Hash> full_subtrees;  // heads of merkle::FullSubtrees(tree_size), left to right
  std::vector<LogEntry> frontier;   // entries at Frontier(tree_size), root first; the last one is
                                    // the rightmost entry

  bool operator==(const AuditorState&) const = default;

  // For storing it; not part of the draft.
  static constexpr auto Fields() {
    return codec::List(&AuditorState::tree_size,
                       codec::Vector<uint8_t>(&AuditorState::full_subtrees),
                       codec::Vector<uint8_t>(&AuditorState::frontier));
  }
};

// kDataLoss unless the lists are as long as the tree size says and timestamps do not go backwards:
// stored state must not be able to break an invariant.
absl::Status ValidateAuditorState(const AuditorState& state);

// The log tree's root. `state` is valid and has entries.
Hash RootOf(const AuditorState& state);

// What an auditor needs to begin within a log: the entries that a state retains, with the proof
// that they belong together. docs/extensions.md, "Auditing".
//
//   struct {
//     uint64 tree_size;
//     LogEntry frontier<0..2^8-1>;
//     InclusionProof inclusion;
//   } AuditorStart;
//
// `inclusion` shows the frontier's entries in the log tree of `tree_size` leaves.
struct AuditorStart {
  TreeSize tree_size = 0;
  std::vector<LogEntry> frontier;
  InclusionProof inclusion;

  bool operator==(const AuditorStart&) const = default;
  static constexpr auto Fields() {
    return codec::List(&AuditorStart::tree_size, codec::Vector<uint8_t>(&AuditorStart::frontier),
                       &AuditorStart::inclusion);
  }
};

// The state at `start`: consistent in itself, but nothing says yet that it is of the log. That
// shows with the first signature of the log over a root that is computed from it.
// A verification failure ("auditor-start") if the parts do not fit together.
absl::StatusOr<AuditorState> BeginAuditing(const AuditorStart& start);

// The index in state.frontier of the rightmost entry that is distinguished once an entry with
// `timestamp_ms` is added, that entry itself excepted; nullopt if there is none. O(log n).
std::optional<size_t> NewestDistinguished(std::span<const LogEntry> frontier, uint64_t timestamp_ms,
                                          uint64_t reasonable_monitoring_window);

// Verifies `update` for the entry at position state->tree_size by the draft's steps 1 to 7 and
// moves `state` past it. `published` (nullptr: none was given) shows that the removed leaves were
// in the prefix tree of the entry that NewestDistinguished names, in the order of
// update.removed; without removals there must be none. docs/extensions.md, "Auditing".
//
// Every violation is a verification failure, and leaves `state` as it was: "auditor-timestamp"
// (step 1), "auditor-order" (2), "auditor-results" (3 and 4, and the number of results),
// "auditor-removal" (5), "auditor-prefix-root" (6), and those of merkle::EvaluatePrefixUpdate.
absl::Status ApplyAuditorUpdate(const Configuration& config, const AuditorUpdate& update,
                                const PrefixProof* published, AuditorState* state);

}  // namespace kt::core
#endif  // KT_CORE_AUDITOR_UPDATE_VERIFIER_H_
