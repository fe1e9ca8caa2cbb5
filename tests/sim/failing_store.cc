// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/failing_store.h"

#include <utility>

#include "base/check.h"
#include "base/status.h"

namespace kt::sim {

using server::Snapshot;

namespace {

absl::Status Injected() { return absl::UnavailableError("injected: the disk fails"); }

}  // namespace

class FailingStore::FailingSnapshot : public Snapshot {
 public:
  // Borrows `store`.
  FailingSnapshot(const FailingStore& store, std::shared_ptr<const Snapshot> snapshot)
      : store_(store), snapshot_(std::move(snapshot)) {}

  const server::HeadRow& head() const override { return snapshot_->head(); }
  base::LogPosition horizon() const override { return snapshot_->horizon(); }
  absl::StatusOr<std::vector<server::EntryRow>> ReadEntries(
      std::span<const base::LogPosition> positions) const override {
    if (store_.Fails()) return Injected();
    return snapshot_->ReadEntries(positions);
  }
  absl::StatusOr<std::vector<std::vector<merkle::SubtreeId>>> ReadChanged(
      std::span<const base::LogPosition> positions) const override {
    if (store_.Fails()) return Injected();
    return snapshot_->ReadChanged(positions);
  }
  absl::StatusOr<std::vector<server::VersionRow>> ReadVersions(base::ByteView label,
                                                               size_t limit) const override {
    if (store_.Fails()) return Injected();
    return snapshot_->ReadVersions(label, limit);
  }
  absl::StatusOr<std::vector<std::optional<server::VersionRow>>> ReadVersionRows(
      base::ByteView label, std::span<const base::Version> versions) const override {
    if (store_.Fails()) return Injected();
    return snapshot_->ReadVersionRows(label, versions);
  }
  absl::StatusOr<base::Bytes> ReadValue(const server::ValueKey& key) const override {
    if (store_.Fails()) return Injected();
    return snapshot_->ReadValue(key);
  }
  absl::StatusOr<std::optional<server::ErasureRow>> ReadErasure(
      const base::Hash& commitment) const override {
    if (store_.Fails()) return Injected();
    return snapshot_->ReadErasure(commitment);
  }
  absl::StatusOr<std::vector<server::ErasureRow>> ReadErasures() const override {
    if (store_.Fails()) return Injected();
    return snapshot_->ReadErasures();
  }
  absl::StatusOr<std::vector<base::Hash>> ReadLogNodes(
      std::span<const merkle::LogNodeId> ids) const override {
    if (store_.Fails()) return Injected();
    return snapshot_->ReadLogNodes(ids);
  }
  absl::Status Read(std::span<const merkle::SubtreeId> buckets,
                    std::span<const merkle::BandQuery> bands,
                    std::vector<std::vector<merkle::LeafRow>>* leaves,
                    std::vector<std::vector<merkle::BandRow>>* rows) const override {
    if (store_.Fails()) return Injected();
    return snapshot_->Read(buckets, bands, leaves, rows);
  }
  absl::Status ScanLeaves(
      const std::function<absl::Status(const merkle::LeafRow&)>& visit) const override {
    if (store_.Fails()) return Injected();
    return snapshot_->ScanLeaves(visit);
  }
  absl::Status ScanNewestBands(
      uint8_t depth,
      const std::function<absl::Status(std::span<const merkle::BandRow>)>& visit) const override {
    if (store_.Fails()) return Injected();
    return snapshot_->ScanNewestBands(depth, visit);
  }

 private:
  const FailingStore& store_;
  const std::shared_ptr<const Snapshot> snapshot_;
};

FailingStore::FailingStore(const FailingStore& other, size_t commits, base::ByteView auditor_head)
    : store_(server::CreateMemoryStore()) {
  KT_CHECK(commits <= other.batches_.size());
  for (size_t i = 0; i < commits; ++i) {
    KT_CHECK(Commit(*other.batches_[i], other.SizeAfter(i)).ok());
  }
  if (!auditor_head.empty()) KT_CHECK(store_->WriteAuditorHead(auditor_head).ok());
}

void FailingStore::FailAfter(uint64_t operations, bool written) {
  fault_ = Fault{operations, written, false};
}

bool FailingStore::EndFault() {
  const std::optional<Fault> fault = std::exchange(fault_, std::nullopt);
  return fault.has_value() && fault->happened;
}

bool FailingStore::Fails() const {
  if (!fault_.has_value() || fault_->happened) return false;
  if (fault_->operations > 0) {
    --fault_->operations;
    return false;
  }
  fault_->happened = true;
  return true;
}

absl::StatusOr<std::shared_ptr<const Snapshot>> FailingStore::GetSnapshot() const {
  if (Fails()) return Injected();
  KT_ASSIGN_OR_RETURN(std::shared_ptr<const Snapshot> snapshot, store_->GetSnapshot());
  return std::make_shared<const FailingSnapshot>(*this, std::move(snapshot));
}

absl::Status FailingStore::Commit(const server::CommitBatch& batch, base::TreeSize expected) {
  const bool fails = Fails();
  if (fails && !fault_->written) return Injected();
  KT_RETURN_IF_ERROR(store_->Commit(batch, expected));
  batches_.push_back(std::make_shared<const server::CommitBatch>(batch));
  return fails ? Injected() : absl::OkStatus();
}

absl::Status FailingStore::SetHorizon(base::LogPosition horizon) {
  const bool fails = Fails();
  if (fails && !fault_->written) return Injected();
  KT_RETURN_IF_ERROR(store_->SetHorizon(horizon));
  return fails ? Injected() : absl::OkStatus();
}

absl::StatusOr<server::PruneStep> FailingStore::PruneSome(size_t max_rows) {
  const bool fails = Fails();
  if (fails && !fault_->written) return Injected();
  KT_ASSIGN_OR_RETURN(const server::PruneStep step, store_->PruneSome(max_rows));
  if (fails) return Injected();
  return step;
}

absl::StatusOr<size_t> FailingStore::Erase(std::span<const server::ErasureRow> erasures) {
  const bool fails = Fails();
  if (fails && !fault_->written) return Injected();
  KT_ASSIGN_OR_RETURN(const size_t erased, store_->Erase(erasures));
  if (fails) return Injected();
  return erased;
}

absl::StatusOr<base::Bytes> FailingStore::ReadAuditorHead() const {
  if (Fails()) return Injected();
  return store_->ReadAuditorHead();
}

absl::Status FailingStore::WriteAuditorHead(base::ByteView head) {
  const bool fails = Fails();
  if (fails && !fault_->written) return Injected();
  KT_RETURN_IF_ERROR(store_->WriteAuditorHead(head));
  return fails ? Injected() : absl::OkStatus();
}

}  // namespace kt::sim
