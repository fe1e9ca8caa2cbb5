// SPDX-License-Identifier: Apache-2.0
#include "merkle/bucket_leaves.h"

#include <algorithm>
#include <utility>

namespace kt::merkle {

std::optional<BucketLeaves> BucketLeaves::Of(std::span<const LeafRow> rows) {
  const bool ended = std::any_of(rows.begin(), rows.end(),
                                 [](const LeafRow& row) { return row.end_pos != kNeverRemoved; });
  if (ended) return std::nullopt;
  BucketLeaves of;
  if (rows.empty()) return of;
  std::shared_ptr<Leaf[]> leaves = std::make_shared_for_overwrite<Leaf[]>(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    leaves[i] = {rows[i].key, rows[i].commitment, rows[i].insert_pos};
  }
  of.leaves_ = std::move(leaves);
  of.count_ = rows.size();
  return of;
}

size_t BucketLeaves::bytes() const {
  // The shared block's pointer, counts of references and number of leaves, and the allocator's own.
  constexpr size_t kOverhead = 40;
  return leaves_ == nullptr ? 0 : kOverhead + count_ * sizeof(Leaf);
}

void BucketLeaves::AppendTo(std::vector<LeafRow>* rows) const {
  for (size_t i = 0; i < count_; ++i) {
    rows->push_back({.key = leaves_[i].key,
                     .insert_pos = leaves_[i].insert_pos,
                     .commitment = leaves_[i].commitment});
  }
}

}  // namespace kt::merkle
