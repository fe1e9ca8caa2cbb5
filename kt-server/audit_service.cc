// SPDX-License-Identifier: Apache-2.0
#include "kt-server/audit_service.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/auditor_update_verifier.h"
#include "kt-core/implicit_tree.h"
#include "kt-server/retention.h"
#include "merkle/log_tree.h"

namespace kt::server {
namespace {

using merkle::PrefixProof;
using merkle::PrefixSearchResultType;

// The leaves that each entry added, ascending: those in the subtrees that it changed which came
// with it.
absl::StatusOr<std::vector<std::vector<merkle::PrefixLeaf>>> ReadAdded(
    const Snapshot& snapshot, std::span<const base::LogPosition> positions) {
  KT_ASSIGN_OR_RETURN(const auto changed, snapshot.ReadChanged(positions));
  std::vector<merkle::SubtreeId> buckets;
  for (const auto& subtrees : changed) {
    buckets.insert(buckets.end(), subtrees.begin(), subtrees.end());
  }
  std::vector<std::vector<merkle::LeafRow>> rows;
  std::vector<std::vector<merkle::BandRow>> bands;
  KT_RETURN_IF_ERROR(snapshot.Read(buckets, {}, &rows, &bands));
  std::vector<std::vector<merkle::PrefixLeaf>> added(positions.size());
  auto bucket = rows.begin();
  for (size_t i = 0; i < positions.size(); ++i) {
    for (size_t left = changed[i].size(); left > 0; --left, ++bucket) {
      const size_t before = added[i].size();
      for (const merkle::LeafRow& row : *bucket) {
        if (row.insert_pos == positions[i]) added[i].push_back({row.key, row.commitment});
      }
      if (added[i].size() == before) {
        return absl::DataLossError(
            absl::StrCat("a leaf that entry ", positions[i], " added is missing"));
      }
    }
  }
  return added;
}

// The proof of searches in the empty tree before the first entry.
PrefixProof EmptyTreeProof(size_t searches) {
  PrefixProof proof;
  proof.results.assign(searches, {PrefixSearchResultType::kNonInclusionParent, {}, 0});
  if (searches == 0) proof.elements.emplace_back();
  return proof;
}

}  // namespace

absl::StatusOr<std::vector<core::AuditorUpdate>> AuditService::MakeUpdates(const LogState& state,
                                                                           base::LogPosition first,
                                                                           size_t count) {
  if (const base::LogPosition horizon = state.snapshot().horizon();
      horizon > 0 && first <= horizon) {
    return absl::OutOfRangeError(absl::StrCat("the updates up to log entry ", horizon,
                                              " have expired, and the log no longer keeps them"));
  }
  std::vector<base::LogPosition> positions(count);
  for (size_t i = 0; i < count; ++i) positions[i] = first + i;
  KT_ASSIGN_OR_RETURN(auto added, ReadAdded(state.snapshot(), positions));
  std::vector<merkle::PrefixProofRequest> requests;
  for (size_t i = 0; i < count; ++i) {
    if (positions[i] == 0) continue;
    merkle::PrefixProofRequest& request = requests.emplace_back();
    request.position = positions[i] - 1;
    for (const merkle::PrefixLeaf& leaf : added[i]) request.keys.push_back(leaf.vrf_output);
  }
  KT_ASSIGN_OR_RETURN(std::vector<PrefixProof> proofs, state.ProvePrefix(requests));
  auto proof = proofs.begin();
  std::vector<core::AuditorUpdate> updates(count);
  for (size_t i = 0; i < count; ++i) {
    KT_ASSIGN_OR_RETURN(updates[i].timestamp, state.Timestamp(positions[i]));
    updates[i].proof = positions[i] == 0 ? EmptyTreeProof(added[i].size()) : std::move(*proof++);
    updates[i].added = std::move(added[i]);
  }
  return updates;
}

absl::StatusOr<base::Bytes> AuditService::Start(base::TreeSize tree_size) const {
  core::AuditorStart start;
  start.tree_size = tree_size;
  if (tree_size == 0) return base::codec::Encode(start);
  const std::shared_ptr<const LogState> state = log_.newest();
  const base::TreeSize size = state == nullptr ? 0 : state->size();
  if (tree_size > size) {
    return absl::FailedPreconditionError(
        absl::StrCat("this log has ", size, " entries, not ", tree_size));
  }
  if (tree_size < state->snapshot().horizon()) {
    return Expired(absl::StrCat("log entry ", tree_size - 1));
  }
  merkle::LogProofShape shape;
  shape.size = tree_size;
  shape.leaves = core::Frontier(tree_size);
  KT_ASSIGN_OR_RETURN(const std::vector<EntryRow> entries,
                      state->snapshot().ReadEntries(shape.leaves));
  for (const EntryRow& entry : entries) {
    start.frontier.push_back({entry.timestamp_ms, entry.prefix_tree});
  }
  KT_ASSIGN_OR_RETURN(start.inclusion.elements, state->ReadLogNodes(merkle::RequiredNodes(shape)));
  return base::codec::Encode(start);
}

absl::Status AuditService::Submit(base::ByteView head) {
  const auto decoded = base::codec::Decode<core::AuditorTreeHead>(head);
  if (!decoded.ok()) return base::Annotate(decoded.status(), "AuditorTreeHead");
  return log_.SubmitAuditorHead(*decoded);
}

}  // namespace kt::server
