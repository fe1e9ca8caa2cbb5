// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "merkle/prefix_stage.h"

namespace kt::merkle {
namespace {

using base::LogPosition;

constexpr size_t kBucketsPerRead = 512;

absl::Status NotAsInMemory(const BucketChanges& bucket) {
  return absl::DataLossError(
      absl::StrCat("prefix tree leaves ", bucket.leaves.has_value() ? "in memory" : "in the store",
                   ", depth ", unsigned{bucket.id.depth}, ", prefix ", bucket.id.bits,
                   ": they do not give the current tree's value"));
}

}  // namespace

absl::Status BucketReplay::Run(const PrefixStoreReader& reader,
                               std::span<const BucketChanges> buckets) {
  std::vector<SubtreeId> wanted;
  std::vector<std::vector<LeafRow>> read;
  std::vector<std::vector<BandRow>> no_rows;
  size_t next_wanted = 0, next_read = 0;  // of `buckets`, of `read`
  for (const BucketChanges& bucket : buckets) {
    if (bucket.read && next_read == read.size()) {
      wanted.clear();
      for (; next_wanted < buckets.size() && wanted.size() < kBucketsPerRead; ++next_wanted) {
        if (buckets[next_wanted].read) wanted.push_back(buckets[next_wanted].id);
      }
      KT_RETURN_IF_ERROR(reader.Read(wanted, {}, &read, &no_rows));
      if (read.size() != wanted.size()) {
        return absl::InternalError("prefix tree: the store did not answer every query");
      }
      next_read = 0;
    }
    std::span<const LeafRow> rows;
    const LeafRow lone_leaf{.key = bucket.lone_leaf.vrf_output,
                            .insert_pos = 0,
                            .commitment = bucket.lone_leaf.commitment};
    if (bucket.read) {
      rows = read[next_read++];
    } else if (bucket.leaves.has_value()) {
      current_.clear();
      bucket.leaves->AppendTo(&current_);
      rows = current_;
    } else if (bucket.before.kind == NodeKind::kLeaf) {
      rows = {&lone_leaf, 1};
    }
    KT_RETURN_IF_ERROR(ReplayBucket(bucket, rows));
  }
  return absl::OkStatus();
}

absl::Status BucketReplay::ReplayBucket(const BucketChanges& bucket,
                                        std::span<const LeafRow> current) {
  KT_RETURN_IF_ERROR(CheckLeafRows(bucket.id, current));
  alive_.clear();
  for (const LeafRow& row : current) {
    const bool removed = row.end_pos != kNeverRemoved;
    if (row.insert_pos >= first_ || (removed && row.end_pos >= first_)) {
      return absl::DataLossError("prefix tree leaves are newer than the current tree");
    }
    if (!removed) alive_.push_back(row);
  }
  KT_RETURN_IF_ERROR(MergeLeaves(bucket));
  if (bucket.leaves.has_value()) {
    changed_leaves_.push_back({bucket.id, BucketLeaves::Of(merged_)});
  }
  bucket_.Reset(bucket.id, &merged_);
  if (first_ > 0 && bucket_.RootAt(first_ - 1) != bucket.before) {
    return NotAsInMemory(bucket);
  }
  positions_.clear();
  for (const LeafChange& change : bucket.changes) positions_.push_back(change.position);
  std::sort(positions_.begin(), positions_.end());
  positions_.erase(std::unique(positions_.begin(), positions_.end()), positions_.end());
  for (const LogPosition position : positions_) {
    NodeChange change{.bits = bucket.id.bits, .value = bucket_.RootAt(position), .leaf = {}};
    if (change.value.kind == NodeKind::kLeaf) change.leaf = bucket_.LoneLeafAt(position);
    by_entry_[position - first_].push_back(change);
  }
  if (bucket_.too_deep()) {
    return absl::InvalidArgumentError("two prefix tree keys differ in their last bit only");
  }
  return absl::OkStatus();
}

absl::Status BucketReplay::MergeLeaves(const BucketChanges& bucket) {
  merged_.clear();
  auto next = alive_.begin();
  for (auto change = bucket.changes.begin(); change != bucket.changes.end();) {
    const base::VrfOutput& key = *change->key;
    while (next != alive_.end() && next->key < key) merged_.push_back(*next++);
    std::optional<LeafRow> leaf;
    if (next != alive_.end() && next->key == key) leaf = *next++;
    for (; change != bucket.changes.end() && *change->key == key; ++change) {
      if (change->commitment != nullptr) {
        if (leaf.has_value()) {
          return absl::AlreadyExistsError(absl::StrCat("prefix tree: log entry ", change->position,
                                                       " adds a key that is there"));
        }
        leaf =
            LeafRow{.key = key, .insert_pos = change->position, .commitment = *change->commitment};
        continue;
      }
      if (!leaf.has_value()) {
        return absl::NotFoundError(absl::StrCat("prefix tree: log entry ", change->position,
                                                " removes a key that is not there"));
      }
      leaf->end_pos = change->position;
      merged_.push_back(*leaf);
      leaves_.push_back(*leaf);
      leaf.reset();
    }
    if (leaf.has_value()) {
      merged_.push_back(*leaf);
      if (leaf->insert_pos >= first_) leaves_.push_back(*leaf);
    }
  }
  merged_.insert(merged_.end(), next, alive_.end());
  return absl::OkStatus();
}

}  // namespace kt::merkle
