// SPDX-License-Identifier: Apache-2.0
#include "kt-core/user_state.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "kt-core/implicit_tree.h"

namespace kt::core {

absl::Status ValidateUserState(const UserState& state) {
  const TreeSize size = state.tree_size();
  const bool fits = size > 0 && size <= TreeSize{std::numeric_limits<int64_t>::max()} &&
                    state.full_subtrees.size() == static_cast<size_t>(std::popcount(size)) &&
                    state.frontier.size() == Frontier(size).size();
  if (!fits) return absl::DataLossError("retained state does not fit its tree size");
  const bool monotonic = std::is_sorted(
      state.frontier.begin(), state.frontier.end(),
      [](const LogEntry& a, const LogEntry& b) { return a.timestamp < b.timestamp; });
  if (!monotonic) return absl::DataLossError("timestamps in the retained state go backwards");
  return absl::OkStatus();
}

}  // namespace kt::core
