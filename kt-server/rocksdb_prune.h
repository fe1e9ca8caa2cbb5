// SPDX-License-Identifier: Apache-2.0
//
// Finds the rows of a RocksDB store that its horizon leaves no use for.
#ifndef KT_SERVER_ROCKSDB_PRUNE_H_
#define KT_SERVER_ROCKSDB_PRUNE_H_

#include <rocksdb/write_batch.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/types.h"
#include "kt-server/rocksdb_tables.h"
#include "kt-server/store_codec.h"

namespace kt::server {

using DeletedRows = std::array<uint64_t, kTableCount>;  // by Table

// One pass over the tables for one horizon. It keeps only a cursor: what it has found is deleted by
// the caller, and a pass that is begun anew finds what is left. Not thread-safe.
class PrunePass {
 public:
  // Borrows `database`. `pruned` is what the database says of itself.
  PrunePass(const RocksDatabase& database, const PrunedRow& pruned)
      : database_(database), pruned_(pruned) {}

  base::LogPosition horizon() const { return pruned_.horizon; }
  bool complete() const { return phase_ == Phase::kDone; }

  // Adds the next deletions to `batch`, after looking at about `max_rows` rows.
  absl::Status Next(size_t max_rows, rocksdb::WriteBatch* batch);

  // Rows that the last Next has found, by table; those in ranges are counted as if all were there.
  const DeletedRows& found() const { return found_; }

 private:
  enum class Phase { kLog, kBands, kVersions, kDone };

  void DeleteLog(rocksdb::WriteBatch* batch);
  void DeleteEntries(rocksdb::WriteBatch* batch);
  void DeleteLogNodes(rocksdb::WriteBatch* batch);
  absl::Status NextBands(size_t max_rows, rocksdb::WriteBatch* batch);
  absl::Status NextVersions(size_t max_rows, rocksdb::WriteBatch* batch);
  void Delete(Table table, base::ByteView key, rocksdb::WriteBatch* batch);
  void DeleteRange(Table table, base::ByteView begin, base::ByteView end, uint64_t rows,
                   rocksdb::WriteBatch* batch);
  std::unique_ptr<rocksdb::Iterator> Iterate(Table table) const;

  const RocksDatabase& database_;
  const PrunedRow pruned_;
  Phase phase_ = Phase::kLog;
  base::Bytes cursor_;  // where the phase goes on
  DeletedRows found_{};
};

}  // namespace kt::server
#endif  // KT_SERVER_ROCKSDB_PRUNE_H_
