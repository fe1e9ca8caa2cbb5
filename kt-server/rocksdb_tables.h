// SPDX-License-Identifier: Apache-2.0
//
// The RocksDB database of a log: its column families ("tables"), their options, and opening it
// without taking a damaged or foreign database for a good one.
#ifndef KT_SERVER_ROCKSDB_TABLES_H_
#define KT_SERVER_ROCKSDB_TABLES_H_

#include <rocksdb/db.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/file.h"
#include "kt-server/store.h"

namespace kt::server {

enum class Table : size_t { kMeta, kLeaf, kBand, kLog, kEntry, kVersion, kValue };
inline constexpr size_t kTableCount = 7;
const char* TableName(Table table);

inline constexpr const char* kSchemaKey = "schema";
inline constexpr const char* kHeadKey = "head";
inline constexpr const char* kPropertiesKey = "properties";

// Of keys and rows, as in store_codec.h. A database of a later version is refused.
inline constexpr uint64_t kSchemaVersion = 1;

inline rocksdb::Slice AsSlice(base::ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline base::ByteView AsView(const rocksdb::Slice& slice) {
  return {reinterpret_cast<const uint8_t*>(slice.data()), slice.size()};
}

// kDataLoss for corruption, kNotFound, kResourceExhausted for a full disk, kUnavailable for other
// I/O errors; `context` names the table or what was done.
absl::Status FromRocksDb(const rocksdb::Status& status, const std::string& context);

// An open database. Thread-safe, as RocksDB is.
class RocksDatabase {
 public:
  // See OpenRocksDbStore. kFailedPrecondition if a later version of this program made it.
  static absl::StatusOr<std::unique_ptr<RocksDatabase>> Open(const RocksDbOptions& options);
  RocksDatabase(const RocksDatabase&) = delete;
  RocksDatabase& operator=(const RocksDatabase&) = delete;
  ~RocksDatabase();

  rocksdb::DB& db() const { return *db_; }
  rocksdb::ColumnFamilyHandle* table(Table table) const {
    return handles_[static_cast<size_t>(table)];
  }

  // How many commits the database has seen. Every commit leaves that number in every table, so
  // that a table that lost some of its newest data is noticed when the database is opened.
  uint64_t commits_when_opened() const { return commits_; }

 private:
  explicit RocksDatabase(base::FileLock lock) : lock_(std::move(lock)) {}

  absl::Status OpenTables(const RocksDbOptions& options, bool may_create);
  absl::Status CheckSchema(bool may_create);
  absl::Status CheckMarks();
  // nullopt if there is no such row.
  absl::StatusOr<std::optional<std::string>> Get(Table table, const rocksdb::Slice& key) const;

  base::FileLock lock_;
  std::unique_ptr<rocksdb::DB> db_;
  std::array<rocksdb::ColumnFamilyHandle*, kTableCount> handles_{};
  rocksdb::ColumnFamilyHandle* default_handle_ = nullptr;
  uint64_t commits_ = 0;
};

}  // namespace kt::server
#endif  // KT_SERVER_ROCKSDB_TABLES_H_
