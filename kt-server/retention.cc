// SPDX-License-Identifier: Apache-2.0
#include "kt-server/retention.h"

#include <bit>

#include "absl/strings/str_cat.h"

namespace kt::server {
namespace {

// Whether a full subtree of the first `horizon` entries ends before the entry at `end`.
bool EndsFullSubtree(base::LogPosition horizon, base::LogPosition end) {
  if (end == 0 || end > horizon) return false;
  const int level = std::countr_zero(end);
  return horizon >> level << level == end;
}

}  // namespace

bool KeepsEntry(base::LogPosition horizon, base::LogPosition position) {
  return position >= horizon || EndsFullSubtree(horizon, position + 1);
}

bool KeepsLogNode(base::LogPosition horizon, const merkle::LogNodeId& id) {
  // No leaf of it is before the horizon; also avoids shifts that overflow.
  if (id.index > horizon >> id.level) return true;
  const base::LogPosition last = ((id.index + 1) << id.level) - 1;
  if (last >= horizon) return true;
  const bool is_full = EndsFullSubtree(horizon, last + 1) && std::countr_zero(last + 1) == id.level;
  if (is_full) return true;
  const bool is_left = id.index % 2 == 0;
  return is_left && EndsFullSubtree(horizon, last + 1 + (base::LogPosition{1} << id.level));
}

std::vector<base::LogPosition> KeptEntries(base::LogPosition horizon) {
  std::vector<base::LogPosition> kept;
  for (const merkle::LogNodeId& subtree : merkle::FullSubtrees(horizon)) {
    kept.push_back(((subtree.index + 1) << subtree.level) - 1);
  }
  return kept;
}

std::vector<merkle::LogNodeId> KeptLogNodes(base::LogPosition horizon) {
  std::vector<merkle::LogNodeId> kept;
  for (const merkle::LogNodeId& subtree : merkle::FullSubtrees(horizon)) {
    kept.push_back(subtree);
    const base::LogPosition end = (subtree.index + 1) << subtree.level;
    for (uint8_t level = 0; level < subtree.level; ++level) {
      kept.push_back({level, (end >> level) - 2});
    }
  }
  return kept;
}

absl::Status Expired(const std::string& what) {
  return absl::OutOfRangeError(absl::StrCat(what, " has expired, and the log no longer keeps it"));
}

}  // namespace kt::server
