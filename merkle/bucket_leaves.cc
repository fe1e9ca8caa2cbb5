// SPDX-License-Identifier: Apache-2.0
#include "merkle/bucket_leaves.h"

#include <algorithm>

namespace kt::merkle {

size_t BucketLeaves::bytes() const {
  // The allocator rounds up to a multiple of its unit what it is asked for and eight of its own.
  constexpr size_t kOverhead = 8, kUnit = 16;
  return leaves_ == nullptr ? 0 : (kOverhead + count_ * sizeof(Leaf) + kUnit - 1) / kUnit * kUnit;
}

void BucketLeaves::AppendTo(std::vector<LeafRow>* rows) const {
  for (size_t i = 0; i < count_; ++i) {
    rows->push_back({.key = leaves_[i].key,
                     .insert_pos = leaves_[i].insert_pos,
                     .commitment = leaves_[i].commitment});
  }
}

std::optional<OwnedLeaves> OwnedLeaves::Of(std::span<const LeafRow> rows) {
  const bool ended = std::any_of(rows.begin(), rows.end(),
                                 [](const LeafRow& row) { return row.end_pos != kNeverRemoved; });
  if (ended) return std::nullopt;
  if (rows.empty()) return OwnedLeaves(BucketLeaves());
  auto leaves = std::make_unique_for_overwrite<BucketLeaves::Leaf[]>(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    leaves[i] = {rows[i].key, rows[i].commitment, rows[i].insert_pos};
  }
  return OwnedLeaves(BucketLeaves(leaves.release(), rows.size()));
}

}  // namespace kt::merkle
