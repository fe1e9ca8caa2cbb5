// SPDX-License-Identifier: Apache-2.0
#include "kt-server/commit_batch.h"

#include <bit>

#include "base/check.h"
#include "base/status.h"
#include "kt-server/store_codec.h"

namespace kt::server {
namespace {

// A balanced subtree is stored once all of its leaves are there.
bool IsComplete(const merkle::LogNodeId& id, base::TreeSize size) {
  return id.level < 64 && id.index < size >> id.level;
}

void CheckPrefixWrites(const merkle::PrefixWrites& writes, base::TreeSize size) {
  for (const merkle::LeafRow& row : writes.leaves) {
    KT_CHECK(row.insert_pos < size);
    KT_CHECK(row.end_pos == merkle::kNeverRemoved || row.end_pos < size);
    KT_CHECK(row.end_pos > row.insert_pos);
  }
  for (const merkle::BandRow& row : writes.bands) KT_CHECK(row.position < size);
}

void CheckSubtrees(const std::vector<merkle::SubtreeId>& subtrees) {
  for (size_t i = 0; i < subtrees.size(); ++i) {
    KT_CHECK(subtrees[i].depth == kChangedDepth && (subtrees[i].bits & 0xff) == 0);
    KT_CHECK(i == 0 || subtrees[i - 1].bits < subtrees[i].bits);
  }
}

}  // namespace

absl::Status CheckCommitBatch(const CommitBatch& batch, base::TreeSize expected_tree_size) {
  const base::TreeSize size = batch.head.tree_size;
  KT_CHECK(size >= expected_tree_size && size - expected_tree_size == batch.entries.size());
  KT_CHECK(batch.head.full_subtrees.size() == static_cast<size_t>(std::popcount(size)));
  for (const auto& [id, hash] : batch.log_nodes) KT_CHECK(IsComplete(id, size));
  CheckPrefixWrites(batch.prefix, size);

  KT_CHECK(batch.changed.empty() || batch.changed.size() == batch.entries.size());
  for (size_t i = 0; i < batch.changed.size(); ++i) {
    KT_CHECK(batch.changed[i].position == expected_tree_size + i);
    CheckSubtrees(batch.changed[i].subtrees);
  }

  for (const VersionRow& row : batch.versions) {
    KT_CHECK(!row.existing.has_value() || row.existing->position < size);
    if (row.label.size() > kMaxLabelSize) {
      return absl::InvalidArgumentError("a label is longer than 255 bytes");
    }
    if (row.vrf_proof.size() > kMaxVrfProofSize) {
      return absl::InvalidArgumentError("a VRF proof is longer than 255 bytes");
    }
  }
  for (const auto& [key, value] : batch.values) KT_CHECK(key.position < size);
  if (batch.head.signature.size() > kMaxHeadSignatureSize) {
    return absl::InvalidArgumentError("a tree head's signature is longer than 65,535 bytes");
  }
  return absl::OkStatus();
}

void CheckSameHeadIfNoEntries(const CommitBatch& batch, const HeadRow& current) {
  KT_CHECK(!batch.entries.empty() || batch.head == current);
}

void CheckErasures(std::span<const ErasureRow> erasures, const HeadRow& current) {
  for (const ErasureRow& row : erasures) KT_CHECK(row.position < current.tree_size);
}

void CheckHorizon(base::LogPosition horizon, const Snapshot& current) {
  KT_CHECK(horizon >= current.horizon());
  KT_CHECK(horizon == 0 || horizon < current.head().tree_size);
}

}  // namespace kt::server
