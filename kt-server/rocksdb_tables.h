// SPDX-License-Identifier: Apache-2.0
//
// The RocksDB database of a log: its column families ("tables"), their options, and opening it
// without taking a damaged or foreign database for a good one.
#ifndef KT_SERVER_ROCKSDB_TABLES_H_
#define KT_SERVER_ROCKSDB_TABLES_H_

#include <rocksdb/db.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/file.h"
#include "kt-server/store.h"
#include "kt-server/sync_watch.h"

namespace kt::server {

enum class Table : size_t { kMeta, kLeaf, kBand, kLog, kEntry, kVersion, kValue, kChanged };
inline constexpr size_t kTableCount = 8;
const char* TableName(Table table);

inline constexpr const char* kSchemaKey = "schema";
inline constexpr const char* kHeadKey = "head";
inline constexpr const char* kAuditorHeadKey = "auditor_head";
inline constexpr const char* kPropertiesKey = "properties";
inline constexpr const char* kPrunedKey = "pruned";
inline constexpr const char* kUnreclaimedKey = "unreclaimed";

// Of keys and rows, as in store_codec.h. A database of another version is refused.
inline constexpr uint64_t kSchemaVersion = 5;

inline rocksdb::Slice AsSlice(base::ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline base::ByteView AsView(const rocksdb::Slice& slice) {
  return {reinterpret_cast<const uint8_t*>(slice.data()), slice.size()};
}

// An open database. Thread-safe, as RocksDB is.
//
// RocksDB checks each file, but if the end of its manifest is lost it takes files that it no longer
// knows for rubbish, removes them and goes on. So a database whose manifest does not end with a
// whole record is opened for reading first, and every table holds two kinds of marks:
//   the mark   the numbers of the last write and of the newest seal, replaced by every write. If
//              one table lost its newest rows, the tables disagree.
//   seals      numbered from 1, one written at each opening and one every kSealBytes, and kept for
//              ever. What a table collects in memory before it is flushed into a sorted file holds
//              at least one, so if such a file is lost, a number is missing. What an opening has
//              replayed and flushed may hold none; but then the seal of that opening is flushed
//              right after it, and a manifest that lost the one has lost the other.
class RocksDatabase {
 public:
  static constexpr uint64_t kSealBytes = 4u << 20;

  struct Marks {
    uint64_t writes = 0;
    uint64_t seals = 0;
    bool operator==(const Marks&) const = default;
  };

  // Asked of a database that is open for reading.
  using Check = std::function<absl::Status(const RocksDatabase&)>;

  // See OpenRocksDbStore. kFailedPrecondition if a later version of this program made it. A
  // database whose manifest ends torn must pass `check_torn`, if given, before it is opened for
  // writing.
  static absl::StatusOr<std::unique_ptr<RocksDatabase>> Open(const RocksDbOptions& options,
                                                             const Check& check_torn = {});
  RocksDatabase(const RocksDatabase&) = delete;
  RocksDatabase& operator=(const RocksDatabase&) = delete;
  ~RocksDatabase();

  rocksdb::DB& db() const { return *db_; }
  rocksdb::ColumnFamilyHandle* table(Table table) const {
    return handles_[static_cast<size_t>(table)];
  }
  // As found when the database was opened.
  const Marks& marks() const { return marks_; }
  // Whether opening it replayed a write-ahead log.
  bool recovered() const { return recovered_; }
  // Whether its manifest ended in a torn record when it was opened, as after a power cut, which was
  // left out. If it held what the write-ahead log does not, the opening failed.
  bool manifest_was_torn() const { return manifest_was_torn_; }

  // Whether a sync of any file failed since then: what was written before it may be lost, although
  // a later sync succeeds.
  bool sync_failed() const { return sync_watch_->failed(); }
  // The sequence number of the last write that the oldest snapshot shows; the greatest number there
  // is if there is no snapshot.
  rocksdb::SequenceNumber OldestSnapshot() const;
  // What the file system has left.
  absl::StatusOr<uint64_t> FreeBytes() const;
  // Of rows that no sorted file holds yet: what opening the database again would have to replay.
  uint64_t UnflushedBytes() const;
  // Writes them to sorted files, which ends the write-ahead logs there are.
  absl::Status Flush() const;
  // As Store::CheckFiles; also kDataLoss if work in the background met damage since the opening,
  // though the file that it was in may be gone.
  absl::Status CheckFiles(const std::function<absl::Status()>& next) const;

 private:
  class BackgroundWatch;

  RocksDatabase() = default;

  // Opens it for reading, which changes nothing on the disk, and asks `check`.
  static absl::Status CheckWithoutWriting(const RocksDbOptions& options,
                                          const std::shared_ptr<rocksdb::FileSystem>& files,
                                          const Check& check);
  absl::Status OpenTables(const RocksDbOptions& options,
                          const std::shared_ptr<rocksdb::FileSystem>& files);
  absl::Status CheckSchema(bool may_create);
  absl::Status CheckMarks();
  absl::StatusOr<Marks> ReadMarks(Table table) const;
  // nullopt if there is no such row.
  absl::StatusOr<std::optional<std::string>> Get(Table table, const rocksdb::Slice& key) const;

  std::optional<base::FileLock> lock_;
  std::shared_ptr<SyncWatch> sync_watch_;
  std::shared_ptr<BackgroundWatch> background_watch_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<rocksdb::DB> db_;
  std::array<rocksdb::ColumnFamilyHandle*, kTableCount> handles_{};
  rocksdb::ColumnFamilyHandle* default_handle_ = nullptr;
  Marks marks_;
  bool recovered_ = false;
  bool manifest_was_torn_ = false;
};

}  // namespace kt::server
#endif  // KT_SERVER_ROCKSDB_TABLES_H_
