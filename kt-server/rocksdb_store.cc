// SPDX-License-Identifier: Apache-2.0
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-server/commit_batch.h"
#include "kt-server/rocksdb_prune.h"
#include "kt-server/rocksdb_reclaim.h"
#include "kt-server/rocksdb_snapshot.h"
#include "kt-server/rocksdb_status.h"
#include "kt-server/rocksdb_tables.h"
#include "kt-server/store.h"
#include "kt-server/store_codec.h"

namespace kt::server {
namespace {

rocksdb::WriteOptions Synced() {
  rocksdb::WriteOptions options;
  options.sync = true;
  return options;
}

// Collects the rows of one atomic write. Filling a batch fails only when it outgrows the size it
// was given, and ours is given none.
class RowWriter {
 public:
  explicit RowWriter(const RocksDatabase& database) : database_(database) {}

  void Put(Table table, base::ByteView key, base::ByteView value) {
    const rocksdb::Status status = batch_.Put(database_.table(table), AsSlice(key), AsSlice(value));
    KT_CHECK(status.ok());
  }
  void Delete(Table table, base::ByteView key) {
    KT_CHECK(batch_.Delete(database_.table(table), AsSlice(key)).ok());
  }
  // The marks of one more write, in every table.
  void PutMarks(const RocksDatabase::Marks& marks, bool seal) {
    const base::Bytes mark = EncodeMark(marks.writes, marks.seals);
    const PositionKeyBytes number = EncodeUint64(marks.writes);
    for (size_t i = 0; i < kTableCount; ++i) {
      Put(static_cast<Table>(i), MarkKey(), mark);
      if (seal) Put(static_cast<Table>(i), SealKey(marks.seals), number);
    }
  }
  rocksdb::WriteBatch& batch() { return batch_; }

 private:
  const RocksDatabase& database_;
  rocksdb::WriteBatch batch_;
};

// In the order of the rows' keys, which makes inserting them cheaper
// (TableOptions::sorted_inserts).
template <typename Row, typename Before>
std::vector<const Row*> Sorted(const std::vector<Row>& rows, Before before) {
  std::vector<const Row*> out;
  out.reserve(rows.size());
  for (const Row& row : rows) out.push_back(&row);
  std::stable_sort(out.begin(), out.end(),
                   [&](const Row* a, const Row* b) { return before(*a, *b); });
  return out;
}
bool ValueBefore(const std::pair<ValueKey, base::Bytes>& a,
                 const std::pair<ValueKey, base::Bytes>& b) {
  return a.first < b.first;
}

// Rows of versions that exist leave to their leaves what those hold, if the batch has them.
void PutVersions(const CommitBatch& batch, RowWriter& out) {
  absl::flat_hash_map<absl::string_view, const merkle::LeafRow*> leaves;  // by key
  leaves.reserve(batch.prefix.leaves.size());
  const auto as_key = [](const base::VrfOutput& output) -> absl::string_view {
    return {reinterpret_cast<const char*>(output.bytes.data()), output.bytes.size()};
  };
  for (const merkle::LeafRow& row : batch.prefix.leaves) leaves[as_key(row.key)] = &row;
  std::vector<std::pair<base::Bytes, const VersionRow*>> rows;
  rows.reserve(batch.versions.size());
  for (const VersionRow& row : batch.versions) {
    rows.emplace_back(VersionKey(row.label, row.version), &row);
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [key, row] : rows) {
    const auto leaf = leaves.find(as_key(row->vrf_output));
    const bool has_leaf = row->existing.has_value() && leaf != leaves.end() &&
                          leaf->second->insert_pos == row->existing->position &&
                          leaf->second->commitment == row->existing->commitment;
    out.Put(Table::kVersion, key, EncodeVersion(*row, has_leaf));
  }
}

void PutRows(const CommitBatch& batch, base::LogPosition position, RowWriter& out) {
  for (const EntryRow& row : batch.entries) {
    out.Put(Table::kEntry, EntryKey(position++), EncodeEntry(row));
  }
  for (const auto& [id, hash] : batch.log_nodes) out.Put(Table::kLog, LogNodeKey(id), hash.bytes);
  for (const merkle::LeafRow& row : batch.prefix.leaves) {
    out.Put(Table::kLeaf, LeafKey(row.key, row.insert_pos), EncodeLeaf(row));
  }
  for (const merkle::BandRow& row : batch.prefix.bands) {
    out.Put(Table::kBand, BandKey(row.id, row.position), EncodeBand(row));
  }
  PutVersions(batch, out);
  for (const auto* value : Sorted(batch.values, ValueBefore)) {
    out.Put(Table::kValue, ValueRowKey(value->first), EncodeValue(value->first, value->second));
  }
  for (const ChangedRow& row : batch.changed) {
    out.Put(Table::kChanged, EntryKey(row.position), EncodeChanged(row));
  }
  if (batch.head.tree_size > 0) {
    out.Put(Table::kMeta, base::AsBytes(kHeadKey), EncodeHead(batch.head));
  }
}

absl::StatusOr<base::Bytes> ReadMeta(const RocksDatabase& database, const char* key,
                                     const char* if_missing) {
  std::string value;
  const rocksdb::Status status =
      database.db().Get(rocksdb::ReadOptions(), database.table(Table::kMeta), key, &value);
  if (status.IsNotFound()) return absl::NotFoundError(if_missing);
  if (!status.ok()) return FromRocksDb(status, "table meta");
  return base::ToBytes(value);
}

absl::StatusOr<base::Bytes> ReadPropertiesOf(const RocksDatabase& database) {
  return ReadMeta(database, kPropertiesKey, "the log has no properties");
}

class RocksStore : public Store {
 public:
  RocksStore(std::unique_ptr<RocksDatabase> database, const RocksDbOptions& options)
      : database_(std::move(database)),
        min_free_bytes_(options.min_free_bytes),
        snapshot_wait_(absl::Milliseconds(static_cast<int64_t>(options.snapshot_wait_ms))),
        marks_(database_->marks()) {
    absl::MutexLock lock(&commit_mutex_);
    if (options.read_only) failure_ = absl::FailedPreconditionError("it was opened for reading");
  }

  ~RocksStore() override {
    Settle();
    {
      absl::MutexLock lock(&snapshot_mutex_);
      current_.reset();
    }
    KT_CHECK(live_snapshots_ == 0);  // a snapshot outlives its store
  }

  // Must succeed before anything else is called.
  absl::Status Init() {
    absl::MutexLock lock(&commit_mutex_);
    if (!failure_.ok()) return Refresh();  // opened for reading
    KT_RETURN_IF_ERROR(WriteSeal());
    if (database_->recovered()) {  // see RocksDatabase
      KT_RETURN_IF_ERROR(database_->Flush());
    }
    KT_RETURN_IF_ERROR(LoadUnreclaimed());
    return Refresh();
  }

  absl::StatusOr<std::shared_ptr<const Snapshot>> GetSnapshot() const override { return Current(); }

  absl::Status CheckRoom() override {
    absl::MutexLock lock(&commit_mutex_);
    return CheckUsableWithRoom();
  }

  absl::Status Commit(const CommitBatch& batch, base::TreeSize expected_tree_size) override {
    KT_RETURN_IF_ERROR(CheckCommitBatch(batch, expected_tree_size));
    RowWriter rows(*database_);
    PutRows(batch, expected_tree_size, rows);

    absl::MutexLock lock(&commit_mutex_);
    KT_RETURN_IF_ERROR(CheckUsable());
    {
      const std::shared_ptr<const RocksSnapshot> before = Current();
      if (before->head().tree_size != expected_tree_size) {
        return absl::AbortedError(absl::StrCat("the log has ", before->head().tree_size,
                                               " entries, not ", expected_tree_size));
      }
      CheckSameHeadIfNoEntries(batch, before->head());
    }
    return WriteAndRefresh(rows);
  }

  absl::Status SetHorizon(base::LogPosition horizon) override {
    absl::MutexLock lock(&commit_mutex_);
    KT_RETURN_IF_ERROR(CheckUsable());
    const std::shared_ptr<const RocksSnapshot> before = Current();
    CheckHorizon(horizon, *before);
    RowWriter rows(*database_);
    rows.Put(Table::kMeta, base::AsBytes(kPrunedKey),
             EncodePruned({horizon, before->pruned().completed}));
    return WriteAndRefresh(rows);
  }

  absl::StatusOr<PruneStep> PruneSome(size_t max_rows) override {
    absl::MutexLock pruning(&prune_mutex_);
    const PrunedRow pruned = Current()->pruned();
    PruneStep step;
    step.complete = pruned.completed == pruned.horizon;
    if (step.complete) return step;
    if (!pass_.has_value() || pass_->horizon() != pruned.horizon) pass_.emplace(*database_, pruned);
    RowWriter rows(*database_);
    // Reads without the lock: what this may delete nobody writes.
    KT_RETURN_IF_ERROR(pass_->Next(max_rows, &rows.batch()));
    step.complete = pass_->complete();
    for (size_t i = 0; i < kTableCount; ++i) {
      deleted_[i] += pass_->found()[i];
      step.rows_deleted += pass_->found()[i];
    }
    if (step.complete) {
      rows.Put(Table::kMeta, base::AsBytes(kPrunedKey),
               EncodePruned({pruned.horizon, pruned.horizon}));
      pass_.reset();
    }
    if (rows.batch().Count() == 0) return step;
    absl::MutexLock lock(&commit_mutex_);
    KT_RETURN_IF_ERROR(CheckUsable());
    KT_RETURN_IF_ERROR(WriteAndRefresh(rows));
    return step;
  }

  absl::StatusOr<size_t> Erase(std::span<const ErasureRow> erasures) override {
    absl::MutexLock lock(&commit_mutex_);
    KT_RETURN_IF_ERROR(CheckUsable());
    const std::shared_ptr<const RocksSnapshot> before = Current();
    CheckErasures(erasures, before->head());
    RowWriter rows(*database_);
    size_t erased = 0;
    for (const ErasureRow& row : erasures) {
      KT_ASSIGN_OR_RETURN(const auto earlier, before->ReadErasure(row.commitment));
      if (earlier.has_value()) continue;
      rows.Delete(Table::kValue, ValueRowKey(row.value_key()));
      rows.Put(Table::kMeta, ErasureKey(row.commitment), EncodeErasure(row));
      ++erased;
    }
    if (erasures.empty()) return erased;
    // Also of those that were erased before: whoever asks again wants to be sure of the files.
    Unreclaimed unreclaimed = unreclaimed_;
    for (const ErasureRow& row : erasures) unreclaimed.try_emplace(row.value_key(), kNotWritten);
    PutUnreclaimed(unreclaimed, rows);
    KT_RETURN_IF_ERROR(WriteAndRefresh(rows));
    const rocksdb::SequenceNumber written = database_->db().GetLatestSequenceNumber();
    for (auto& [key, number] : unreclaimed) number = std::min(number, written);
    unreclaimed_ = std::move(unreclaimed);
    return erased;
  }

  absl::Status Reclaim(std::atomic<bool>& cancelled) override {
    absl::MutexLock pruning(&prune_mutex_);
    {
      absl::MutexLock lock(&commit_mutex_);
      KT_RETURN_IF_ERROR(CheckUsable());
      KT_RETURN_IF_ERROR(WriteSeal());
      KT_RETURN_IF_ERROR(Refresh());  // the snapshot before may pin what was deleted
    }
    const std::vector<ValueKey> erased = AwaitReclaimable(cancelled);
    KT_RETURN_IF_ERROR(
        ReclaimSpace(*database_, Current()->horizon(), erased, cancelled, &deleted_));
    absl::MutexLock lock(&commit_mutex_);
    KT_RETURN_IF_ERROR(ForgetUnreclaimed(erased));
    if (unreclaimed_.empty()) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat(
        unreclaimed_.size(), " erased values are still in files of the database, since an answer, ",
        "a check or an older state that was begun before their erasure still reads them"));
  }

  bool manifest_was_torn() const override { return database_->manifest_was_torn(); }

  size_t UnreclaimedErasures() const override {
    absl::MutexLock lock(&commit_mutex_);
    return unreclaimed_.size();
  }

  absl::StatusOr<base::Bytes> ReadAuditorHead() const override {
    return ReadMeta(kAuditorHeadKey, "the log has no head of an auditor");
  }

  absl::Status WriteAuditorHead(base::ByteView head) override {
    absl::MutexLock lock(&commit_mutex_);
    KT_RETURN_IF_ERROR(CheckUsable());
    RowWriter rows(*database_);
    rows.Put(Table::kMeta, base::AsBytes(kAuditorHeadKey), head);
    return WriteMarked(rows, /*seal=*/false);
  }

  absl::Status CheckFiles(const std::function<absl::Status()>& next) const override {
    return database_->CheckFiles(next);
  }

  absl::StatusOr<base::Bytes> ReadProperties() const override {
    return ReadPropertiesOf(*database_);
  }

  absl::Status WriteProperties(base::ByteView properties) override {
    absl::MutexLock lock(&commit_mutex_);
    KT_RETURN_IF_ERROR(CheckUsable());
    const absl::StatusOr<base::Bytes> written = ReadProperties();
    if (written.ok()) return absl::AlreadyExistsError("the log has properties");
    if (!absl::IsNotFound(written.status())) return written.status();
    RowWriter rows(*database_);
    rows.Put(Table::kMeta, base::AsBytes(kPropertiesKey), properties);
    return Write(rows);
  }

 private:
  // Keys of erased values that files may still hold, each with the sequence number of the write
  // that erased it or of a later one. What an earlier opening of the database has left has 0: no
  // snapshot is older.
  using Unreclaimed = std::map<ValueKey, rocksdb::SequenceNumber>;
  static constexpr rocksdb::SequenceNumber kNotWritten =
      std::numeric_limits<rocksdb::SequenceNumber>::max();

  static void PutUnreclaimed(const Unreclaimed& unreclaimed, RowWriter& rows) {
    std::set<ValueKey> keys;
    for (const auto& [key, number] : unreclaimed) keys.insert(key);
    rows.Put(Table::kMeta, base::AsBytes(kUnreclaimedKey), EncodeUnreclaimed(keys));
  }

  absl::Status LoadUnreclaimed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mutex_) {
    const absl::StatusOr<base::Bytes> row = ReadMeta(kUnreclaimedKey, "nothing was erased");
    if (absl::IsNotFound(row.status())) return absl::OkStatus();
    KT_RETURN_IF_ERROR(row.status());
    KT_ASSIGN_OR_RETURN(const std::set<ValueKey> keys, DecodeUnreclaimed(*row));
    for (const ValueKey& key : keys) unreclaimed_[key] = 0;
    return absl::OkStatus();
  }

  // Those of them that no snapshot shows any more, after a wait for the others. Looked at before
  // the files are rewritten: a snapshot that is gone afterwards may have kept a value in them.
  std::vector<ValueKey> AwaitReclaimable(const std::atomic<bool>& cancelled) const {
    constexpr absl::Duration kPoll = absl::Milliseconds(10);
    const absl::Time deadline = absl::Now() + snapshot_wait_;
    while (true) {
      std::vector<ValueKey> out;
      {
        absl::MutexLock lock(&commit_mutex_);
        const rocksdb::SequenceNumber oldest = database_->OldestSnapshot();
        for (const auto& [key, number] : unreclaimed_) {
          if (number <= oldest) out.push_back(key);
        }
        if (out.size() == unreclaimed_.size()) return out;
      }
      if (cancelled || absl::Now() >= deadline) return out;
      absl::SleepFor(kPoll);
    }
  }

  absl::Status ForgetUnreclaimed(const std::vector<ValueKey>& reclaimed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mutex_) {
    if (reclaimed.empty()) return absl::OkStatus();
    KT_RETURN_IF_ERROR(CheckUsable());
    Unreclaimed left = unreclaimed_;
    for (const ValueKey& key : reclaimed) left.erase(key);
    RowWriter rows(*database_);
    PutUnreclaimed(left, rows);
    KT_RETURN_IF_ERROR(WriteMarked(rows, /*seal=*/false));
    unreclaimed_ = std::move(left);
    return absl::OkStatus();
  }

  // Leaves the next opening little to replay. Everything is synced already, so what fails here
  // costs time there and nothing else.
  void Settle() {
    constexpr uint64_t kWorthAFile = 8u << 20;
    absl::MutexLock lock(&commit_mutex_);
    if (!CheckUsableWithRoom().ok() || database_->UnflushedBytes() < kWorthAFile) return;
    if (WriteSeal().ok()) database_->Flush().IgnoreError();
  }

  absl::Status WriteAndRefresh(RowWriter& rows) ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mutex_) {
    KT_RETURN_IF_ERROR(WriteMarked(rows, unsealed_bytes_ >= RocksDatabase::kSealBytes));
    failure_ = Refresh();
    return failure_;
  }

  absl::StatusOr<base::Bytes> ReadMeta(const char* key, const char* if_missing) const {
    return server::ReadMeta(*database_, key, if_missing);
  }

  std::shared_ptr<const RocksSnapshot> Current() const {
    absl::MutexLock lock(&snapshot_mutex_);
    return current_;
  }

  absl::Status CheckUsable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mutex_) {
    if (failure_.ok() && database_->sync_failed()) {
      failure_ = absl::UnavailableError("a sync failed, so nobody knows what is on the disk");
    }
    if (failure_.ok()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("an earlier write failed, so the store must be opened again before it is "
                     "written to: ",
                     std::string(failure_.message())));
  }

  absl::Status CheckUsableWithRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mutex_) {
    KT_ASSIGN_OR_RETURN(const uint64_t free_bytes, database_->FreeBytes());
    if (free_bytes >= min_free_bytes_ || !failure_.ok()) return CheckUsable();
    return absl::ResourceExhaustedError(absl::StrCat("the disk of the database has ", free_bytes,
                                                     " bytes left, and ", min_free_bytes_,
                                                     " are to be free"));
  }

  // After a failure nobody knows what reached the disk, so there is no second write. That goes for
  // a full disk too: RocksDB could go on after it, but leaves a torn record in the middle of its
  // write-ahead log, behind which recovery from a later crash does not get.
  absl::Status Write(RowWriter& rows) ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mutex_) {
    failure_ = FromRocksDb(database_->db().Write(Synced(), &rows.batch()), "writing to the log");
    return failure_;
  }

  absl::Status WriteMarked(RowWriter& rows, bool seal)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mutex_) {
    RocksDatabase::Marks marks = marks_;
    ++marks.writes;
    if (seal) ++marks.seals;
    rows.PutMarks(marks, seal);
    KT_RETURN_IF_ERROR(Write(rows));
    marks_ = marks;
    unsealed_bytes_ = (seal ? 0 : unsealed_bytes_) + rows.batch().GetDataSize();
    return absl::OkStatus();
  }

  // Before a flush: each sorted file holds a seal.
  absl::Status WriteSeal() ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mutex_) {
    RowWriter rows(*database_);
    return WriteMarked(rows, /*seal=*/true);
  }

  // Makes what is committed the state that readers get.
  absl::Status Refresh() {
    absl::StatusOr<std::shared_ptr<const RocksSnapshot>> snapshot =
        RocksSnapshot::Take(*database_, live_snapshots_);
    if (!snapshot.ok()) return snapshot.status();
    std::shared_ptr<const RocksSnapshot> before = *std::move(snapshot);
    absl::MutexLock lock(&snapshot_mutex_);
    current_.swap(before);
    return absl::OkStatus();
  }

  const std::unique_ptr<RocksDatabase> database_;
  const uint64_t min_free_bytes_;
  const absl::Duration snapshot_wait_;
  std::atomic<int> live_snapshots_ = 0;

  // One step of pruning at a time; held while it reads.
  absl::Mutex prune_mutex_ ABSL_ACQUIRED_BEFORE(commit_mutex_);
  std::optional<PrunePass> pass_ ABSL_GUARDED_BY(prune_mutex_);
  DeletedRows deleted_ ABSL_GUARDED_BY(prune_mutex_) = {};  // since they were reclaimed

  mutable absl::Mutex commit_mutex_;
  Unreclaimed unreclaimed_ ABSL_GUARDED_BY(commit_mutex_);
  RocksDatabase::Marks marks_ ABSL_GUARDED_BY(commit_mutex_);
  uint64_t unsealed_bytes_ ABSL_GUARDED_BY(commit_mutex_) = 0;  // written since the newest seal
  absl::Status failure_ ABSL_GUARDED_BY(commit_mutex_);

  // Held for a pointer's copy only: readers do not wait for the writer.
  mutable absl::Mutex snapshot_mutex_ ABSL_ACQUIRED_AFTER(commit_mutex_);
  std::shared_ptr<const RocksSnapshot> current_ ABSL_GUARDED_BY(snapshot_mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenRocksDbStore(const RocksDbOptions& options) {
  const auto check_torn = [&](const RocksDatabase& database) -> absl::Status {
    std::atomic<int> live_snapshots = 0;
    KT_ASSIGN_OR_RETURN(const auto snapshot, RocksSnapshot::Take(database, live_snapshots));
    return options.check_torn(*snapshot, ReadPropertiesOf(database));
  };
  KT_ASSIGN_OR_RETURN(
      std::unique_ptr<RocksDatabase> database,
      RocksDatabase::Open(options, options.check_torn ? check_torn : RocksDatabase::Check()));
  auto store = std::make_unique<RocksStore>(std::move(database), options);
  KT_RETURN_IF_ERROR(store->Init());
  return store;
}

}  // namespace kt::server
