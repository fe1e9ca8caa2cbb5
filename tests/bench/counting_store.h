// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_BENCH_COUNTING_STORE_H_
#define TESTS_BENCH_COUNTING_STORE_H_

#include <atomic>
#include <memory>
#include <utility>

#include "kt-server/store.h"

namespace kt::bench {

// A store that counts what searches read: calls, which are rounds, and the keys and ranges in them.
class CountingStore : public server::Store {
 public:
  explicit CountingStore(server::Store& store) : store_(store) {}

  void Reset() { counts_.rounds = counts_.tree_rounds = counts_.keys = 0; }
  uint64_t rounds() const { return counts_.rounds; }
  uint64_t tree_rounds() const { return counts_.tree_rounds; }  // of the prefix tree alone
  uint64_t keys() const { return counts_.keys; }

  absl::StatusOr<std::shared_ptr<const server::Snapshot>> GetSnapshot() const override {
    auto snapshot = store_.GetSnapshot();
    if (!snapshot.ok()) return snapshot.status();
    return std::make_shared<const CountingSnapshot>(*std::move(snapshot), counts_);
  }
  absl::Status Commit(const server::CommitBatch& batch, base::TreeSize expected) override {
    return store_.Commit(batch, expected);
  }
  absl::Status SetHorizon(base::LogPosition horizon) override { return store_.SetHorizon(horizon); }
  absl::StatusOr<server::PruneStep> PruneSome(size_t max_rows) override {
    return store_.PruneSome(max_rows);
  }
  absl::StatusOr<size_t> Erase(std::span<const server::ErasureRow> erasures) override {
    return store_.Erase(erasures);
  }
  absl::Status Reclaim(std::atomic<bool>& cancelled) override { return store_.Reclaim(cancelled); }
  size_t UnreclaimedErasures() const override { return store_.UnreclaimedErasures(); }
  absl::StatusOr<base::Bytes> ReadAuditorHead() const override { return store_.ReadAuditorHead(); }
  absl::Status WriteAuditorHead(base::ByteView head) override {
    return store_.WriteAuditorHead(head);
  }
  absl::StatusOr<base::Bytes> ReadProperties() const override { return store_.ReadProperties(); }
  absl::Status WriteProperties(base::ByteView properties) override {
    return store_.WriteProperties(properties);
  }

 private:
  struct Counts {
    std::atomic<uint64_t> rounds = 0;
    std::atomic<uint64_t> tree_rounds = 0;
    std::atomic<uint64_t> keys = 0;
    void Add(size_t n) {
      if (n == 0) return;
      ++rounds;
      keys += n;
    }
  };

  class CountingSnapshot : public server::Snapshot {
   public:
    CountingSnapshot(std::shared_ptr<const server::Snapshot> snapshot, Counts& counts)
        : snapshot_(std::move(snapshot)), counts_(counts) {}

    const server::HeadRow& head() const override { return snapshot_->head(); }
    base::LogPosition horizon() const override { return snapshot_->horizon(); }
    absl::StatusOr<std::vector<server::EntryRow>> ReadEntries(
        std::span<const base::LogPosition> positions) const override {
      counts_.Add(positions.size());
      return snapshot_->ReadEntries(positions);
    }
    absl::StatusOr<std::vector<std::vector<merkle::SubtreeId>>> ReadChanged(
        std::span<const base::LogPosition> positions) const override {
      counts_.Add(positions.size());
      return snapshot_->ReadChanged(positions);
    }
    absl::StatusOr<std::vector<server::VersionRow>> ReadVersions(base::ByteView label,
                                                                 size_t limit) const override {
      counts_.Add(1);
      return snapshot_->ReadVersions(label, limit);
    }
    absl::StatusOr<std::vector<server::VersionRow>> ReadWanted(
        base::ByteView label, size_t limit, const Wanted& wanted) const override {
      counts_.Add(1);
      return snapshot_->ReadWanted(label, limit, wanted);
    }
    absl::StatusOr<std::vector<std::optional<server::VersionRow>>> ReadVersionRows(
        base::ByteView label, std::span<const base::Version> versions) const override {
      counts_.Add(versions.size());
      return snapshot_->ReadVersionRows(label, versions);
    }
    absl::StatusOr<base::Bytes> ReadValue(const server::ValueKey& key) const override {
      counts_.Add(1);
      return snapshot_->ReadValue(key);
    }
    absl::StatusOr<std::optional<server::ErasureRow>> ReadErasure(
        const base::Hash& commitment) const override {
      return snapshot_->ReadErasure(commitment);
    }
    absl::StatusOr<std::vector<server::ErasureRow>> ReadErasures() const override {
      return snapshot_->ReadErasures();
    }
    absl::StatusOr<std::vector<base::Hash>> ReadLogNodes(
        std::span<const merkle::LogNodeId> ids) const override {
      counts_.Add(ids.size());
      return snapshot_->ReadLogNodes(ids);
    }
    absl::Status Read(std::span<const merkle::SubtreeId> buckets,
                      std::span<const merkle::BandQuery> bands,
                      std::vector<std::vector<merkle::LeafRow>>* leaves,
                      std::vector<std::vector<merkle::BandRow>>* rows) const override {
      counts_.Add(buckets.size() + bands.size());
      ++counts_.tree_rounds;
      return snapshot_->Read(buckets, bands, leaves, rows);
    }
    absl::StatusOr<server::ProofRows> ReadProof(const server::ProofReads& reads) const override {
      const size_t tree = reads.buckets.size() + reads.bands.size();
      counts_.Add(tree + reads.entries.size() + reads.nodes.size() + reads.values.size());
      if (tree > 0) ++counts_.tree_rounds;
      return snapshot_->ReadProof(reads);
    }
    absl::Status ScanLeaves(
        const std::function<absl::Status(const merkle::LeafRow&)>& visit) const override {
      return snapshot_->ScanLeaves(visit);
    }
    absl::Status ScanNewestBands(
        uint8_t depth,
        const std::function<absl::Status(std::span<const merkle::BandRow>)>& visit) const override {
      return snapshot_->ScanNewestBands(depth, visit);
    }

   private:
    const std::shared_ptr<const server::Snapshot> snapshot_;
    Counts& counts_;
  };

  server::Store& store_;
  mutable Counts counts_;
};

}  // namespace kt::bench
#endif  // TESTS_BENCH_COUNTING_STORE_H_
