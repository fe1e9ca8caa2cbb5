// SPDX-License-Identifier: Apache-2.0
#include "kt-server/log_state.h"

#include "base/status.h"

namespace kt::server {

absl::StatusOr<uint64_t> LogState::Timestamp(core::LogPosition position) const {
  if (position >= size()) return absl::OutOfRangeError("there is no such log entry");
  return timestamps_->At(position);
}

absl::StatusOr<std::vector<core::Hash>> LogState::PrefixRoots(
    std::span<const core::LogPosition> positions) const {
  KT_ASSIGN_OR_RETURN(const std::vector<EntryRow> entries, snapshot_->ReadEntries(positions));
  std::vector<core::Hash> roots;
  roots.reserve(entries.size());
  for (const EntryRow& entry : entries) roots.push_back(entry.prefix_tree);
  return roots;
}

absl::StatusOr<std::vector<core::PrefixProof>> LogState::ProvePrefix(
    std::span<const merkle::PrefixProofRequest> requests) const {
  return tree_->Prove(*snapshot_, requests);
}

absl::StatusOr<std::vector<core::Hash>> LogState::ReadLogNodes(
    std::span<const merkle::LogNodeId> ids) const {
  return snapshot_->ReadLogNodes(ids);
}

}  // namespace kt::server
