// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "merkle/prefix_stage.h"

namespace kt::merkle {
namespace {

using base::LogPosition;

// Enough for full rounds of hashing, and for one iterator to be cheap where leaves are read; what
// is needed for them stays in the processor's caches.
constexpr size_t kBucketsAtOnce = 128;

absl::Status NotAsInMemory(const BucketChanges& bucket) {
  return absl::DataLossError(
      absl::StrCat("prefix tree leaves ", bucket.leaves.has_value() ? "in memory" : "in the store",
                   ", depth ", unsigned{bucket.id.depth}, ", prefix ", bucket.id.bits,
                   ": they do not give the current tree's value"));
}

}  // namespace

absl::Status BucketReplay::Run(const PrefixStoreReader& reader,
                               std::span<const BucketChanges> buckets) {
  while (!buckets.empty()) {
    const size_t count = std::min(buckets.size(), kBucketsAtOnce);
    KT_RETURN_IF_ERROR(ReplaySome(reader, buckets.first(count)));
    buckets = buckets.subspan(count);
  }
  return absl::OkStatus();
}

absl::Status BucketReplay::ReplaySome(const PrefixStoreReader& reader,
                                      std::span<const BucketChanges> changed) {
  KT_ASSIGN_OR_RETURN(const std::vector<std::vector<LeafRow>> read, Read(reader, changed));
  if (buckets_.size() < changed.size()) buckets_.resize(changed.size());
  auto next_read = read.begin();
  for (size_t i = 0; i < changed.size(); ++i) {
    const std::span<const LeafRow> rows =
        changed[i].read ? *next_read++ : std::span<const LeafRow>();
    KT_RETURN_IF_ERROR(Load(changed[i], rows, &buckets_[i]));
  }
  KT_RETURN_IF_ERROR(CheckBefore(changed));
  ReplayChanges(changed);
  for (size_t i = 0; i < changed.size(); ++i) {
    if (buckets_[i].too_deep()) {
      return absl::InvalidArgumentError("two prefix tree keys differ in their last bit only");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::vector<LeafRow>>> BucketReplay::Read(
    const PrefixStoreReader& reader, std::span<const BucketChanges> changed) {
  std::vector<SubtreeId> wanted;
  for (const BucketChanges& bucket : changed) {
    if (bucket.read) wanted.push_back(bucket.id);
  }
  std::vector<std::vector<LeafRow>> read;
  if (wanted.empty()) return read;
  std::vector<std::vector<BandRow>> no_rows;
  KT_RETURN_IF_ERROR(reader.Read(wanted, {}, &read, &no_rows));
  if (read.size() != wanted.size()) {
    return absl::InternalError("prefix tree: the store did not answer every query");
  }
  return read;
}

absl::Status BucketReplay::Load(const BucketChanges& changed, std::span<const LeafRow> read,
                                Bucket* bucket) {
  std::span<const LeafRow> rows = read;
  const LeafRow lone_leaf{.key = changed.lone_leaf.vrf_output,
                          .insert_pos = 0,
                          .commitment = changed.lone_leaf.commitment};
  if (changed.leaves.has_value()) {
    current_.clear();
    changed.leaves->AppendTo(&current_);
    rows = current_;
  } else if (!changed.read && changed.before.kind == NodeKind::kLeaf) {
    rows = {&lone_leaf, 1};
  }
  KT_RETURN_IF_ERROR(CheckLeafRows(changed.id, rows));
  alive_.clear();
  for (const LeafRow& row : rows) {
    const bool removed = row.end_pos != kNeverRemoved;
    if (row.insert_pos >= first_ || (removed && row.end_pos >= first_)) {
      return absl::DataLossError("prefix tree leaves are newer than the current tree");
    }
    if (!removed) alive_.push_back(row);
  }
  KT_RETURN_IF_ERROR(MergeLeaves(changed));
  if (changed.leaves.has_value()) {
    changed_leaves_.push_back({changed.id, OwnedLeaves::Of(merged_)});
  }
  bucket->Reset(changed.id, &merged_);
  return absl::OkStatus();
}

absl::Status BucketReplay::CheckBefore(std::span<const BucketChanges> changed) {
  if (first_ == 0) return absl::OkStatus();
  evaluated_.clear();
  for (size_t i = 0; i < changed.size(); ++i) evaluated_.push_back(&buckets_[i]);
  Evaluate(first_ - 1, evaluated_, &hasher_);
  for (size_t i = 0; i < changed.size(); ++i) {
    if (buckets_[i].root() != changed[i].before) return NotAsInMemory(changed[i]);
  }
  return absl::OkStatus();
}

// Position by position, and at each in the order of the buckets.
void BucketReplay::ReplayChanges(std::span<const BucketChanges> changed) {
  changes_at_.clear();
  for (size_t i = 0; i < changed.size(); ++i) {
    for (const LeafChange& change : changed[i].changes)
      changes_at_.emplace_back(change.position, i);
  }
  std::sort(changes_at_.begin(), changes_at_.end());
  changes_at_.erase(std::unique(changes_at_.begin(), changes_at_.end()), changes_at_.end());
  for (auto begin = changes_at_.begin(); begin != changes_at_.end();) {
    const LogPosition position = begin->first;
    auto end = begin;
    evaluated_.clear();
    for (; end != changes_at_.end() && end->first == position; ++end) {
      evaluated_.push_back(&buckets_[end->second]);
    }
    Evaluate(position, evaluated_, &hasher_);
    for (; begin != end; ++begin) {
      const Bucket& bucket = buckets_[begin->second];
      NodeChange change{.bits = changed[begin->second].id.bits, .value = bucket.root(), .leaf = {}};
      if (change.value.kind == NodeKind::kLeaf) change.leaf = bucket.LoneLeaf();
      by_entry_[position - first_].push_back(change);
    }
  }
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
