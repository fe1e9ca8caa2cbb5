// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "base/hash.h"
#include "kt-server/commit_batch.h"
#include "kt-server/retention.h"
#include "kt-server/store.h"
#include "kt-server/store_codec.h"
#include "kt-server/versioned_map.h"

namespace kt::server {
namespace {

using LeafOrder = std::pair<base::VrfOutput, base::LogPosition>;
using BandOrder = std::pair<merkle::SubtreeId, uint64_t>;  // ~position: newest first
using LabelOrder = std::pair<std::string, base::Version>;

LeafOrder OrderOf(const merkle::LeafRow& row) { return {row.key, row.insert_pos}; }
BandOrder OrderOf(const merkle::BandRow& row) { return {row.id, ~row.position}; }
LabelOrder OrderOf(const VersionRow& row) { return {base::ToText(row.label), row.version}; }

bool IsInBucket(const base::VrfOutput& key, const merkle::SubtreeId& bucket) {
  for (unsigned depth = 0; depth < bucket.depth; ++depth) {
    if (key.bit(depth) != (((bucket.bits >> (31 - depth)) & 1) != 0)) return false;
  }
  return true;
}

base::VrfOutput FirstKey(const merkle::SubtreeId& bucket) {
  base::VrfOutput key;
  for (size_t i = 0; i < 4; ++i) key.bytes[i] = static_cast<uint8_t>(bucket.bits >> (24 - 8 * i));
  return key;
}

// Of which commits there are snapshots. Thread-safe.
class LiveSnapshots {
 public:
  void Add(CommitNumber commit) {
    absl::MutexLock lock(&mutex_);
    commits_.insert(commit);
  }
  void Remove(CommitNumber commit) {
    absl::MutexLock lock(&mutex_);
    commits_.erase(commits_.find(commit));
  }
  bool empty() const {
    absl::MutexLock lock(&mutex_);
    return commits_.empty();
  }
  // There must be one.
  CommitNumber Oldest() const {
    absl::MutexLock lock(&mutex_);
    return *commits_.begin();
  }

 private:
  mutable absl::Mutex mutex_;
  std::multiset<CommitNumber> commits_ ABSL_GUARDED_BY(mutex_);
};

struct Tables {
  mutable absl::Mutex mutex;
  VersionedMap<LeafOrder, merkle::LeafRow> leaves ABSL_GUARDED_BY(mutex);
  VersionedMap<BandOrder, merkle::BandRow> bands ABSL_GUARDED_BY(mutex);
  VersionedMap<merkle::LogNodeId, base::Hash> log_nodes ABSL_GUARDED_BY(mutex);
  VersionedMap<base::LogPosition, EntryRow> entries ABSL_GUARDED_BY(mutex);
  VersionedMap<LabelOrder, VersionRow> versions ABSL_GUARDED_BY(mutex);
  VersionedMap<ValueKey, base::Bytes> values ABSL_GUARDED_BY(mutex);
  VersionedMap<base::LogPosition, ChangedRow> changed ABSL_GUARDED_BY(mutex);
  VersionedMap<base::Hash, ErasureRow> erasures ABSL_GUARDED_BY(mutex);
};

// Deletes, as of `commit`, at most `limit` rows that `horizon` leaves no use for; returns how many.
size_t DeleteBehind(base::LogPosition horizon, CommitNumber commit, size_t limit, Tables& tables)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(tables.mutex) {
  size_t deleted = tables.entries.DeleteIf(commit, limit, [&](base::LogPosition position, auto&) {
    return !KeepsEntry(horizon, position);
  });
  deleted += tables.log_nodes.DeleteIf(
      commit, limit - deleted,
      [&](const merkle::LogNodeId& id, auto&) { return !KeepsLogNode(horizon, id); });
  // An update tells what changed from the tree before, so the entry at the horizon has none either.
  deleted += tables.changed.DeleteIf(
      commit, limit - deleted,
      [&](base::LogPosition position, auto&) { return horizon > 0 && position <= horizon; });
  std::optional<merkle::SubtreeId> tile;
  bool complete = false;  // what is newer gives the tile as of the horizon
  const auto is_old_band = [&](const BandOrder&, const merkle::BandRow& row) {
    if (tile != row.id) complete = false;
    tile = row.id;
    if (row.position > horizon) return false;
    if (complete) return true;
    complete = row.is_snapshot;
    return false;
  };
  deleted += tables.bands.DeleteIf(commit, limit - deleted, is_old_band);
  std::set<ValueKey> expired;
  const VersionRow* before = nullptr;
  tables.versions.Scan({}, commit, [&](const VersionRow& row) {
    const bool follows = before != nullptr && before->label == row.label &&
                         before->version + 1 == row.version && before->existing.has_value();
    if (follows && row.existing.has_value() && row.existing->position < horizon) {
      expired.insert(before->existing->value_key());
    }
    before = &row;
    return true;
  });
  return deleted + tables.values.DeleteIf(commit, limit - deleted, [&](const ValueKey& key, auto&) {
    return expired.contains(key);
  });
}

class MemorySnapshot : public Snapshot {
 public:
  MemorySnapshot(const Tables& tables, CommitNumber commit, HeadRow head, base::LogPosition horizon,
                 LiveSnapshots& live)
      : tables_(tables), commit_(commit), head_(std::move(head)), horizon_(horizon), live_(live) {
    live_.Add(commit_);
  }
  ~MemorySnapshot() override { live_.Remove(commit_); }

  const HeadRow& head() const override { return head_; }
  base::LogPosition horizon() const override { return horizon_; }

  absl::Status Read(std::span<const merkle::SubtreeId> buckets,
                    std::span<const merkle::BandQuery> bands,
                    std::vector<std::vector<merkle::LeafRow>>* leaves,
                    std::vector<std::vector<merkle::BandRow>>* rows) const override {
    absl::ReaderMutexLock lock(&tables_.mutex);
    leaves->assign(buckets.size(), {});
    for (size_t i = 0; i < buckets.size(); ++i) {
      tables_.leaves.Scan({FirstKey(buckets[i]), 0}, commit_, [&](const merkle::LeafRow& row) {
        if (!IsInBucket(row.key, buckets[i])) return false;
        (*leaves)[i].push_back(row);
        return true;
      });
    }
    rows->assign(bands.size(), {});
    for (size_t i = 0; i < bands.size(); ++i) {
      const BandOrder begin{bands[i].id, ~bands[i].position};
      tables_.bands.Scan(begin, commit_, [&](const merkle::BandRow& row) {
        if (row.id != bands[i].id) return false;
        (*rows)[i].push_back(row);
        return !row.is_snapshot;
      });
    }
    return absl::OkStatus();
  }

  absl::Status ScanLeaves(
      const std::function<absl::Status(const merkle::LeafRow&)>& visit) const override {
    // Visitors run without the lock, so that they may use the store.
    std::vector<merkle::LeafRow> all;
    {
      absl::ReaderMutexLock lock(&tables_.mutex);
      tables_.leaves.Scan({}, commit_, [&](const merkle::LeafRow& row) {
        all.push_back(row);
        return true;
      });
    }
    for (const merkle::LeafRow& row : all) {
      if (absl::Status status = visit(row); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status ScanNewestBands(
      uint8_t depth,
      const std::function<absl::Status(std::span<const merkle::BandRow>)>& visit) const override {
    std::vector<std::vector<merkle::BandRow>> tiles;
    {
      absl::ReaderMutexLock lock(&tables_.mutex);
      const BandOrder begin{merkle::SubtreeId{.depth = depth, .bits = 0}, 0};
      tables_.bands.Scan(begin, commit_, [&](const merkle::BandRow& row) {
        if (row.id.depth != depth) return false;
        if (tiles.empty() || tiles.back().front().id != row.id) {
          tiles.push_back({row});
        } else if (!tiles.back().back().is_snapshot) {
          tiles.back().push_back(row);
        }
        return true;
      });
    }
    for (const std::vector<merkle::BandRow>& tile : tiles) {
      if (absl::Status status = visit(tile); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<base::Hash>> ReadLogNodes(
      std::span<const merkle::LogNodeId> ids) const override {
    absl::ReaderMutexLock lock(&tables_.mutex);
    std::vector<base::Hash> out;
    for (const merkle::LogNodeId& id : ids) {
      const base::Hash* hash = tables_.log_nodes.Find(id, commit_);
      if (hash == nullptr) return absl::DataLossError("table log: a node is missing");
      out.push_back(*hash);
    }
    return out;
  }

  absl::StatusOr<std::vector<EntryRow>> ReadEntries(
      std::span<const base::LogPosition> positions) const override {
    absl::ReaderMutexLock lock(&tables_.mutex);
    std::vector<EntryRow> out;
    for (const base::LogPosition position : positions) {
      if (position >= head_.tree_size) {
        return absl::OutOfRangeError(absl::StrCat("there is no log entry ", position));
      }
      const EntryRow* row = tables_.entries.Find(position, commit_);
      if (row == nullptr) return absl::DataLossError("table entry: a log entry is missing");
      out.push_back(*row);
    }
    return out;
  }

  absl::StatusOr<std::vector<std::vector<merkle::SubtreeId>>> ReadChanged(
      std::span<const base::LogPosition> positions) const override {
    absl::ReaderMutexLock lock(&tables_.mutex);
    std::vector<std::vector<merkle::SubtreeId>> out;
    for (const base::LogPosition position : positions) {
      if (position >= head_.tree_size) {
        return absl::OutOfRangeError(absl::StrCat("there is no log entry ", position));
      }
      const ChangedRow* row = tables_.changed.Find(position, commit_);
      if (row == nullptr) return absl::DataLossError("table changed: a row is missing");
      out.push_back(row->subtrees);
    }
    return out;
  }

  absl::StatusOr<std::vector<VersionRow>> ReadVersions(base::ByteView label,
                                                       size_t limit) const override {
    absl::ReaderMutexLock lock(&tables_.mutex);
    std::vector<VersionRow> out;
    tables_.versions.Scan({base::ToText(label), 0}, commit_, [&](const VersionRow& row) {
      if (base::AsText(row.label) != base::AsText(label)) return false;
      out.push_back(row);
      return true;
    });
    if (limit > 0 && out.size() > limit) {
      out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(limit));
    }
    return out;
  }

  absl::StatusOr<std::vector<std::optional<VersionRow>>> ReadVersionRows(
      base::ByteView label, std::span<const base::Version> versions) const override {
    absl::ReaderMutexLock lock(&tables_.mutex);
    std::vector<std::optional<VersionRow>> out;
    for (const base::Version version : versions) {
      const VersionRow* row = tables_.versions.Find({base::ToText(label), version}, commit_);
      out.push_back(row == nullptr ? std::nullopt : std::make_optional(*row));
    }
    return out;
  }

  absl::StatusOr<base::Bytes> ReadValue(const ValueKey& key) const override {
    absl::ReaderMutexLock lock(&tables_.mutex);
    const base::Bytes* value = tables_.values.Find(key, commit_);
    if (value == nullptr) return absl::NotFoundError("there is no such value");
    return *value;
  }

  absl::StatusOr<std::optional<ErasureRow>> ReadErasure(
      const base::Hash& commitment) const override {
    absl::ReaderMutexLock lock(&tables_.mutex);
    const ErasureRow* row = tables_.erasures.Find(commitment, commit_);
    return row == nullptr ? std::nullopt : std::make_optional(*row);
  }

  absl::StatusOr<std::vector<ErasureRow>> ReadErasures() const override {
    absl::ReaderMutexLock lock(&tables_.mutex);
    std::vector<ErasureRow> out;
    tables_.erasures.Scan({}, commit_, [&](const ErasureRow& row) {
      out.push_back(row);
      return true;
    });
    return out;
  }

 private:
  const Tables& tables_;
  const CommitNumber commit_;
  const HeadRow head_;
  const base::LogPosition horizon_;
  LiveSnapshots& live_;
};

class MemoryStore : public Store {
 public:
  MemoryStore() : current_(std::make_shared<MemorySnapshot>(tables_, 0, HeadRow{}, 0, live_)) {}
  ~MemoryStore() override {
    {
      absl::MutexLock lock(&mutex_);
      current_.reset();
    }
    KT_CHECK(live_.empty());  // a snapshot outlives its store
  }

  absl::StatusOr<std::shared_ptr<const Snapshot>> GetSnapshot() const override {
    absl::MutexLock lock(&mutex_);
    return current_;
  }

  absl::Status Commit(const CommitBatch& batch, base::TreeSize expected_tree_size) override {
    if (absl::Status status = CheckCommitBatch(batch, expected_tree_size); !status.ok()) {
      return status;
    }
    absl::MutexLock commit_lock(&commit_mutex_);
    std::shared_ptr<const Snapshot> before = *GetSnapshot();
    if (before->head().tree_size != expected_tree_size) {
      return absl::AbortedError(absl::StrCat("the log has ", before->head().tree_size,
                                             " entries, not ", expected_tree_size));
    }
    CheckSameHeadIfNoEntries(batch, before->head());
    ++commits_;
    Write(batch, expected_tree_size);
    SetCurrent(batch.head, before->horizon());
    return absl::OkStatus();
  }

  absl::Status SetHorizon(base::LogPosition horizon) override {
    absl::MutexLock commit_lock(&commit_mutex_);
    const std::shared_ptr<const Snapshot> before = *GetSnapshot();
    CheckHorizon(horizon, *before);
    ++commits_;
    SetCurrent(before->head(), horizon);
    return absl::OkStatus();
  }

  absl::StatusOr<PruneStep> PruneSome(size_t max_rows) override {
    KT_CHECK(max_rows > 0);
    absl::MutexLock commit_lock(&commit_mutex_);
    const std::shared_ptr<const Snapshot> before = *GetSnapshot();
    ++commits_;
    PruneStep step;
    {
      absl::MutexLock lock(&tables_.mutex);
      step.rows_deleted = DeleteBehind(before->horizon(), commits_, max_rows, tables_);
    }
    step.complete = step.rows_deleted < max_rows;
    SetCurrent(before->head(), before->horizon());
    return step;
  }

  absl::StatusOr<size_t> Erase(std::span<const ErasureRow> erasures) override {
    absl::MutexLock commit_lock(&commit_mutex_);
    const std::shared_ptr<const Snapshot> before = *GetSnapshot();
    CheckErasures(erasures, before->head());
    ++commits_;
    size_t erased = 0;
    {
      absl::MutexLock lock(&tables_.mutex);
      for (const ErasureRow& row : erasures) {
        unreclaimed_.try_emplace(row.value_key(), commits_);
        if (tables_.erasures.Find(row.commitment, commits_) != nullptr) continue;
        tables_.values.Delete(row.value_key(), commits_);
        tables_.erasures.Put(row.commitment, commits_, row);
        ++erased;
      }
    }
    SetCurrent(before->head(), before->horizon());
    return erased;
  }

  absl::Status Reclaim(std::atomic<bool>& cancelled) override {
    if (cancelled) return absl::CancelledError("reclaiming space was cancelled");
    absl::MutexLock commit_lock(&commit_mutex_);
    const CommitNumber oldest = live_.Oldest();
    absl::MutexLock lock(&tables_.mutex);
    tables_.leaves.Forget(oldest);
    tables_.bands.Forget(oldest);
    tables_.log_nodes.Forget(oldest);
    tables_.entries.Forget(oldest);
    tables_.versions.Forget(oldest);
    tables_.values.Forget(oldest);
    tables_.changed.Forget(oldest);
    std::erase_if(unreclaimed_, [&](const auto& erasure) { return erasure.second <= oldest; });
    if (unreclaimed_.empty()) return absl::OkStatus();
    return absl::UnavailableError("a snapshot from before an erasure shows the value");
  }

  size_t UnreclaimedErasures() const override {
    absl::MutexLock commit_lock(&commit_mutex_);
    return unreclaimed_.size();
  }

  absl::StatusOr<base::Bytes> ReadAuditorHead() const override {
    absl::MutexLock lock(&mutex_);
    if (!auditor_head_.has_value()) return absl::NotFoundError("the log has no head of an auditor");
    return *auditor_head_;
  }

  absl::Status WriteAuditorHead(base::ByteView head) override {
    absl::MutexLock lock(&mutex_);
    auditor_head_ = base::ToBytes(head);
    return absl::OkStatus();
  }

  absl::StatusOr<base::Bytes> ReadProperties() const override {
    absl::MutexLock lock(&mutex_);
    if (!properties_.has_value()) return absl::NotFoundError("the log has no properties");
    return *properties_;
  }

  absl::Status WriteProperties(base::ByteView properties) override {
    absl::MutexLock lock(&mutex_);
    if (properties_.has_value()) return absl::AlreadyExistsError("the log has properties");
    properties_ = base::ToBytes(properties);
    return absl::OkStatus();
  }

 private:
  void SetCurrent(const HeadRow& head, base::LogPosition horizon)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mutex_) {
    auto after = std::make_shared<MemorySnapshot>(tables_, commits_, head, horizon, live_);
    absl::MutexLock lock(&mutex_);
    current_ = std::move(after);
  }

  void Write(const CommitBatch& batch, base::LogPosition position)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mutex_) {
    absl::MutexLock lock(&tables_.mutex);
    for (const EntryRow& row : batch.entries) tables_.entries.Put(position++, commits_, row);
    for (const auto& [id, hash] : batch.log_nodes) tables_.log_nodes.Put(id, commits_, hash);
    for (const merkle::LeafRow& row : batch.prefix.leaves) {
      tables_.leaves.Put(OrderOf(row), commits_, row);
    }
    for (const merkle::BandRow& row : batch.prefix.bands) {
      tables_.bands.Put(OrderOf(row), commits_, row);
    }
    for (const VersionRow& row : batch.versions) {
      tables_.versions.Put(OrderOf(row), commits_, row);
    }
    for (const ChangedRow& row : batch.changed) {
      tables_.changed.Put(row.position, commits_, row);
    }
    for (const auto& [key, value] : batch.values) {
      if (tables_.values.Find(key, commits_) == nullptr) {
        tables_.values.Put(key, commits_, value);
      }
    }
  }

  Tables tables_;
  mutable LiveSnapshots live_;
  mutable absl::Mutex commit_mutex_;
  CommitNumber commits_ ABSL_GUARDED_BY(commit_mutex_) = 0;
  // Keys of erased values, and the commits that erased them.
  std::map<ValueKey, CommitNumber> unreclaimed_ ABSL_GUARDED_BY(commit_mutex_);
  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(commit_mutex_);
  std::shared_ptr<const Snapshot> current_ ABSL_GUARDED_BY(mutex_);
  std::optional<base::Bytes> properties_ ABSL_GUARDED_BY(mutex_);
  std::optional<base::Bytes> auditor_head_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Store> CreateMemoryStore() { return std::make_unique<MemoryStore>(); }

}  // namespace kt::server
