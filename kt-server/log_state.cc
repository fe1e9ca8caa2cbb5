// SPDX-License-Identifier: Apache-2.0
#include "kt-server/log_state.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-server/retention.h"

namespace kt::server {

absl::Status LogState::CheckKept(core::LogPosition position) const {
  if (KeepsEntry(snapshot_->horizon(), position)) return absl::OkStatus();
  return Expired(absl::StrCat("log entry ", position));
}

absl::StatusOr<uint64_t> LogState::Timestamp(core::LogPosition position) const {
  if (position >= size()) return absl::OutOfRangeError("there is no such log entry");
  KT_RETURN_IF_ERROR(CheckKept(position));
  return timestamps_->At(position);
}

absl::StatusOr<std::vector<core::Hash>> LogState::PrefixRoots(
    std::span<const core::LogPosition> positions) const {
  for (const core::LogPosition position : positions) KT_RETURN_IF_ERROR(CheckKept(position));
  KT_ASSIGN_OR_RETURN(const std::vector<EntryRow> entries, snapshot_->ReadEntries(positions));
  std::vector<core::Hash> roots;
  roots.reserve(entries.size());
  for (const EntryRow& entry : entries) roots.push_back(entry.prefix_tree);
  return roots;
}

absl::StatusOr<std::vector<core::PrefixProof>> LogState::ProvePrefix(
    std::span<const merkle::PrefixProofRequest> requests) const {
  for (const merkle::PrefixProofRequest& request : requests) {
    if (request.position >= snapshot_->horizon()) continue;
    return Expired(absl::StrCat("the prefix tree of log entry ", request.position));
  }
  return tree_->Prove(*snapshot_, requests);
}

absl::StatusOr<std::vector<core::Hash>> LogState::ReadLogNodes(
    std::span<const merkle::LogNodeId> ids) const {
  for (const merkle::LogNodeId& id : ids) {
    if (KeepsLogNode(snapshot_->horizon(), id)) continue;
    return Expired(absl::StrCat("the log up to entry ", id.index << id.level));
  }
  return snapshot_->ReadLogNodes(ids);
}

}  // namespace kt::server
