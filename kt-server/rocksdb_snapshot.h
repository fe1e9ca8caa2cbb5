// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_ROCKSDB_SNAPSHOT_H_
#define KT_SERVER_ROCKSDB_SNAPSHOT_H_

#include <rocksdb/db.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kt-server/rocksdb_tables.h"
#include "kt-server/store.h"
#include "kt-server/store_codec.h"

namespace kt::server {

// Reads what rows of versions leave to their leaves. Not thread-safe.
class LeafFinder {
 public:
  // Borrows both.
  LeafFinder(const RocksDatabase& database, const rocksdb::ReadOptions& options)
      : database_(database), options_(options) {}

  // kDataLoss unless the version has one leaf, or needs none.
  absl::Status Complete(StoredVersion* version);

 private:
  const RocksDatabase& database_;
  const rocksdb::ReadOptions& options_;
  std::unique_ptr<rocksdb::Iterator> it_;
};

class RocksSnapshot : public Snapshot {
 public:
  // Of the database as it is now; `database` and `live`, which counts the snapshots that exist,
  // must outlive it. kDataLoss if what is stored of the whole log is corrupt.
  static absl::StatusOr<std::shared_ptr<const RocksSnapshot>> Take(const RocksDatabase& database,
                                                                   std::atomic<int>& live);
  ~RocksSnapshot() override;

  const HeadRow& head() const override { return head_; }
  base::LogPosition horizon() const override { return pruned_.horizon; }
  const PrunedRow& pruned() const { return pruned_; }
  absl::Status Read(std::span<const merkle::SubtreeId> buckets,
                    std::span<const merkle::BandQuery> bands,
                    std::vector<std::vector<merkle::LeafRow>>* leaves,
                    std::vector<std::vector<merkle::BandRow>>* rows) const override;
  absl::Status ScanLeaves(
      const std::function<absl::Status(const merkle::LeafRow&)>& visit) const override;
  absl::Status ScanNewestBands(
      uint8_t depth,
      const std::function<absl::Status(std::span<const merkle::BandRow>)>& visit) const override;
  absl::StatusOr<std::vector<base::Hash>> ReadLogNodes(
      std::span<const merkle::LogNodeId> ids) const override;
  absl::StatusOr<std::vector<EntryRow>> ReadEntries(
      std::span<const base::LogPosition> positions) const override;
  absl::StatusOr<std::vector<std::vector<merkle::SubtreeId>>> ReadChanged(
      std::span<const base::LogPosition> positions) const override;
  absl::StatusOr<std::vector<VersionRow>> ReadVersions(base::ByteView label,
                                                       size_t limit) const override;
  absl::StatusOr<std::vector<VersionRow>> ReadWanted(base::ByteView label, size_t limit,
                                                     const Wanted& wanted) const override;
  absl::Status ScanLabels(
      const std::function<absl::Status(base::ByteView label)>& visit) const override;
  absl::StatusOr<std::vector<std::optional<VersionRow>>> ReadVersionRows(
      base::ByteView label, std::span<const base::Version> versions) const override;
  absl::StatusOr<base::Bytes> ReadValue(const ValueKey& key) const override;
  absl::StatusOr<std::optional<ErasureRow>> ReadErasure(
      const base::Hash& commitment) const override;
  absl::StatusOr<std::vector<ErasureRow>> ReadErasures() const override;

 private:
  RocksSnapshot(const RocksDatabase& database, std::atomic<int>& live);

  absl::Status LoadMeta();
  // nullopt if there is no such row.
  absl::StatusOr<std::optional<std::string>> GetMeta(const rocksdb::Slice& key) const;
  absl::Status ReadBuckets(std::span<const merkle::SubtreeId> buckets,
                           std::vector<std::vector<merkle::LeafRow>>* leaves) const;
  absl::Status ReadBands(std::span<const merkle::BandQuery> bands,
                         std::vector<std::vector<merkle::BandRow>>* rows) const;

  absl::StatusOr<std::vector<StoredVersion>> ScanVersions(base::ByteView label, size_t limit) const;
  absl::StatusOr<std::vector<VersionRow>> Complete(std::vector<StoredVersion> stored) const;

  // Point reads in one round, in the order of the keys that were added.
  class MultiGet;

  const RocksDatabase& database_;
  std::atomic<int>& live_;
  const rocksdb::Snapshot* snapshot_;
  rocksdb::ReadOptions read_options_;
  HeadRow head_;
  PrunedRow pruned_;
};

}  // namespace kt::server
#endif  // KT_SERVER_ROCKSDB_SNAPSHOT_H_
