// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CORE_USER_STATE_H_
#define KT_CORE_USER_STATE_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "kt-core/structures.h"

namespace kt::core {

// What a user retains of the last tree head that she verified: draft-ietf-keytrans-protocol,
// "Updating Views of the Tree / Algorithm" and the introduction of "User Operations".
struct UserState {
  TreeHead tree_head;
  std::optional<AuditorTreeHead> auditor_tree_head;
  std::vector<Hash> full_subtrees;  // heads of merkle::FullSubtrees(tree_size), left to right
  std::vector<LogEntry> frontier;   // entries at Frontier(tree_size), root first

  bool operator==(const UserState&) const = default;
  TreeSize tree_size() const { return tree_head.tree_size; }

  // For storing it; not part of the draft.
  static constexpr auto Fields() {
    return codec::List(&UserState::tree_head, &UserState::auditor_tree_head,
                       codec::Vector<uint8_t>(&UserState::full_subtrees),
                       codec::Vector<uint8_t>(&UserState::frontier));
  }
};

// kDataLoss unless the lists are as long as the tree size says and timestamps are monotonic: stored
// state must not be able to break an invariant.
absl::Status ValidateUserState(const UserState& state);

}  // namespace kt::core
#endif  // KT_CORE_USER_STATE_H_
