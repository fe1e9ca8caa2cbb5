// SPDX-License-Identifier: Apache-2.0
#include "kt-server/rocksdb_reclaim.h"

#include <rocksdb/env.h>
#include <rocksdb/metadata.h>
#include <rocksdb/transaction_log.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "kt-server/rocksdb_snapshot.h"
#include "kt-server/rocksdb_status.h"
#include "kt-server/store_codec.h"

namespace kt::server {
namespace {

// A table is rewritten once a row was deleted for so many that are left.
constexpr uint64_t kRowsLeftPerDeleted = 8;

// Files are deleted a moment after they were replaced, or when the last read in them has ended.
constexpr absl::Duration kDeletionWait = absl::Seconds(10);
constexpr absl::Duration kPoll = absl::Milliseconds(20);

using Bottommost = rocksdb::BottommostLevelCompaction;

class Compactor {
 public:
  // kForceOptimized rewrites all but what this compaction has just written itself; kForce that,
  // too.
  Compactor(const RocksDatabase& database, Bottommost bottommost, std::atomic<bool>& cancelled)
      : database_(database), cancelled_(cancelled) {
    options_.exclusive_manual_compaction = false;
    // Without it, what lies in the last level, which is nearly all, would stay.
    options_.bottommost_level_compaction = bottommost;
    options_.canceled = &cancelled;
  }

  // The files with keys from `begin` to `end`, both included; empty: of the whole table.
  absl::Status Run(Table table, base::ByteView begin, base::ByteView end) {
    if (cancelled_) return absl::CancelledError("reclaiming space was cancelled");
    const rocksdb::Slice first = AsSlice(begin);
    const rocksdb::Slice last = AsSlice(end);
    const rocksdb::Status status = database_.db().CompactRange(options_, database_.table(table),
                                                               begin.empty() ? nullptr : &first,
                                                               end.empty() ? nullptr : &last);
    if (cancelled_) return absl::CancelledError("reclaiming space was cancelled");
    return FromRocksDb(status, absl::StrCat("compacting table ", TableName(table)));
  }

 private:
  const RocksDatabase& database_;
  std::atomic<bool>& cancelled_;
  rocksdb::CompactRangeOptions options_;
};

// The rows from `begin` to `end`; empty: of the whole table.
absl::Status ReclaimIfWorthIt(const RocksDatabase& database, Table table, base::ByteView begin,
                              base::ByteView end, Compactor& compactor, uint64_t* deleted) {
  uint64_t left = 0;
  database.db().GetIntProperty(database.table(table), rocksdb::DB::Properties::kEstimateNumKeys,
                               &left);
  if (*deleted == 0 || *deleted < left / kRowsLeftPerDeleted) return absl::OkStatus();
  KT_RETURN_IF_ERROR(compactor.Run(table, begin, end));
  *deleted = 0;
  return absl::OkStatus();
}

// Names of write-ahead logs that hold anything.
absl::StatusOr<std::set<std::string>> WriteAheadLogs(const RocksDatabase& database) {
  rocksdb::VectorLogPtr logs;
  KT_RETURN_IF_ERROR(FromRocksDb(database.db().GetSortedWalFiles(logs), "write-ahead logs"));
  std::set<std::string> out;
  for (const auto& log : logs) {
    if (log->SizeFileBytes() > 0) out.insert(log->PathName().substr(1));  // without the slash
  }
  return out;
}

// Names of the sorted files that are there and not in use: those that were replaced and are yet to
// be deleted, and those that are being written.
absl::StatusOr<std::set<std::string>> FilesNotInUse(const RocksDatabase& database) {
  std::vector<std::string> names;
  KT_RETURN_IF_ERROR(
      FromRocksDb(database.db().GetEnv()->GetChildren(database.db().GetName(), &names), "files"));
  std::set<std::string> out;
  for (std::string& name : names) {
    if (name.ends_with(".sst")) out.insert(std::move(name));
  }
  std::vector<rocksdb::LiveFileMetaData> live;
  database.db().GetLiveFilesMetaData(&live);
  for (const rocksdb::LiveFileMetaData& file : live) out.erase(file.relative_filename);
  return out;
}

// As long as it lives, RocksDB compacts `table` only when it is told to. Otherwise a compaction
// that was begun for older snapshots could carry a value into a level that ours has left behind.
class OnlyOurCompactions {
 public:
  OnlyOurCompactions(const RocksDatabase& database, Table table)
      : database_(database), table_(table) {}
  OnlyOurCompactions(const OnlyOurCompactions&) = delete;
  OnlyOurCompactions& operator=(const OnlyOurCompactions&) = delete;
  ~OnlyOurCompactions() {
    database_.db().EnableAutoCompaction({database_.table(table_)}).PermitUncheckedError();
  }

  // Returns when none is under way any more.
  absl::Status Begin(const std::atomic<bool>& cancelled) {
    KT_RETURN_IF_ERROR(FromRocksDb(
        database_.db().SetOptions(database_.table(table_), {{"disable_auto_compactions", "true"}}),
        "compactions"));
    while (IsCompacting()) {
      if (cancelled) return absl::CancelledError("reclaiming space was cancelled");
      absl::SleepFor(kPoll);
    }
    return absl::OkStatus();
  }

 private:
  bool IsCompacting() const {
    rocksdb::ColumnFamilyMetaData metadata;
    database_.db().GetColumnFamilyMetaData(database_.table(table_), &metadata);
    return std::any_of(metadata.levels.begin(), metadata.levels.end(),
                       [](const rocksdb::LevelMetaData& level) {
                         return std::any_of(level.files.begin(), level.files.end(),
                                            [](const auto& file) { return file.being_compacted; });
                       });
  }

  const RocksDatabase& database_;
  const Table table_;
};

// Ranges of keys that hold `keys`, which ascend: what lies in one file is one range, so that no
// file is rewritten for each of several values. Files of the first level, which hold whatever came
// at a time, do not count.
struct ValueKeyRange {
  ValueKeyBytes first;
  ValueKeyBytes last;
};
std::vector<ValueKeyRange> RangesOf(const RocksDatabase& database, std::span<const ValueKey> keys) {
  rocksdb::ColumnFamilyMetaData metadata;
  database.db().GetColumnFamilyMetaData(database.table(Table::kValue), &metadata);
  const auto share_a_file = [&](const ValueKeyBytes& first, const ValueKeyBytes& last) {
    for (const rocksdb::LevelMetaData& level : metadata.levels) {
      if (level.level == 0) continue;
      for (const rocksdb::SstFileMetaData& file : level.files) {
        if (AsSlice(first).compare(file.smallestkey) >= 0 &&
            AsSlice(last).compare(file.largestkey) <= 0) {
          return true;
        }
      }
    }
    return false;
  };
  std::vector<ValueKeyRange> ranges;
  for (const ValueKey& key : keys) {
    const ValueKeyBytes bytes = ValueRowKey(key);
    if (!ranges.empty() && share_a_file(ranges.back().last, bytes)) {
      ranges.back().last = bytes;
    } else {
      ranges.push_back({bytes, bytes});
    }
  }
  return ranges;
}

// Waits until none of `logs` is there any more, and no sorted file that was replaced before.
absl::Status AwaitDeletions(const RocksDatabase& database, const std::set<std::string>& logs,
                            const std::atomic<bool>& cancelled) {
  const absl::Time deadline = absl::Now() + kDeletionWait;
  rocksdb::DB& db = database.db();
  KT_ASSIGN_OR_RETURN(std::set<std::string> left, FilesNotInUse(database));
  left.insert(logs.begin(), logs.end());
  while (true) {
    KT_ASSIGN_OR_RETURN(const std::set<std::string> not_in_use, FilesNotInUse(database));
    std::erase_if(left, [&](const std::string& name) {
      if (!logs.contains(name)) return !not_in_use.contains(name);
      return db.GetEnv()->FileExists(db.GetName() + "/" + name).IsNotFound();
    });
    if (left.empty()) return absl::OkStatus();
    if (cancelled) return absl::CancelledError("reclaiming space was cancelled");
    if (absl::Now() >= deadline) {
      return absl::UnavailableError(
          "files that held erased values were rewritten, but are not deleted yet, since a read in "
          "them has not ended, or others are being written");
    }
    absl::SleepFor(kPoll);
  }
}

// Rewrites what held `erased`; `logs` are the write-ahead logs from before the flush.
absl::Status ReclaimErased(const RocksDatabase& database, std::span<const ValueKey> erased,
                           const std::set<std::string>& logs, std::atomic<bool>& cancelled) {
  if (erased.empty()) return absl::OkStatus();
  OnlyOurCompactions alone(database, Table::kValue);
  KT_RETURN_IF_ERROR(alone.Begin(cancelled));
  Compactor compactor(database, Bottommost::kForce, cancelled);
  for (const ValueKeyRange& range : RangesOf(database, erased)) {
    KT_RETURN_IF_ERROR(compactor.Run(Table::kValue, range.first, range.last));
  }
  return AwaitDeletions(database, logs, cancelled);
}

}  // namespace

absl::Status ReclaimSpace(const RocksDatabase& database, base::LogPosition horizon,
                          std::span<const ValueKey> erased, std::atomic<bool>& cancelled,
                          DeletedRows* deleted) {
  const auto count = [&](Table table) -> uint64_t& {
    return (*deleted)[static_cast<size_t>(table)];
  };
  KT_ASSIGN_OR_RETURN(const std::set<std::string> logs, WriteAheadLogs(database));
  KT_RETURN_IF_ERROR(database.Flush());
  Compactor compactor(database, Bottommost::kForceOptimized, cancelled);
  for (const Table table : {Table::kEntry, Table::kChanged}) {
    if (count(table) == 0) continue;
    KT_RETURN_IF_ERROR(compactor.Run(table, EntryKey(0), EntryKey(horizon)));
    count(table) = 0;
  }
  if (count(Table::kLog) > 0) {
    for (uint8_t level = 0; level < 64 && horizon >> level > 0; ++level) {
      KT_RETURN_IF_ERROR(compactor.Run(Table::kLog, LogNodeKey({level, 0}),
                                       LogNodeKey({level, horizon >> level})));
    }
    count(Table::kLog) = 0;
  }
  KT_RETURN_IF_ERROR(
      ReclaimIfWorthIt(database, Table::kBand, {}, {}, compactor, &count(Table::kBand)));
  KT_RETURN_IF_ERROR(ReclaimIfWorthIt(database, Table::kValue, EntryKey(0), EntryKey(horizon),
                                      compactor, &count(Table::kValue)));
  return ReclaimErased(database, erased, logs, cancelled);
}

}  // namespace kt::server
