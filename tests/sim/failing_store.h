// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SIM_FAILING_STORE_H_
#define TESTS_SIM_FAILING_STORE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kt-server/store.h"

namespace kt::sim {

// A store in memory of which any single operation can be made to fail, and whose commits can be
// made again elsewhere: what is committed there afterwards is a fork.
class FailingStore : public server::Store {
 public:
  FailingStore() : store_(server::CreateMemoryStore()) {}
  // With the first `commits` commits of `other`, and what its auditor has signed of them if
  // `auditor_head` is not empty.
  FailingStore(const FailingStore& other, size_t commits, base::ByteView auditor_head);

  // Lets `operations` operations pass, each read of a snapshot being one, and fails the one after
  // them. A write fails after it was written, if `written`.
  void FailAfter(uint64_t operations, bool written);
  // Whether that has happened; nothing is to fail afterwards.
  bool EndFault();

  size_t commits() const { return batches_.size(); }
  // How many entries the log has after the first `commits` commits.
  base::TreeSize SizeAfter(size_t commits) const {
    return commits == 0 ? 0 : batches_[commits - 1]->head.tree_size;
  }

  absl::StatusOr<std::shared_ptr<const server::Snapshot>> GetSnapshot() const override;
  absl::Status Commit(const server::CommitBatch& batch, base::TreeSize expected) override;
  absl::Status SetHorizon(base::LogPosition horizon) override;
  absl::StatusOr<server::PruneStep> PruneSome(size_t max_rows) override;
  absl::StatusOr<size_t> Erase(std::span<const server::ErasureRow> erasures) override;
  absl::Status Reclaim(std::atomic<bool>& cancelled) override { return store_->Reclaim(cancelled); }
  size_t UnreclaimedErasures() const override { return store_->UnreclaimedErasures(); }
  absl::StatusOr<base::Bytes> ReadAuditorHead() const override;
  absl::Status WriteAuditorHead(base::ByteView head) override;
  absl::StatusOr<base::Bytes> ReadProperties() const override { return store_->ReadProperties(); }
  absl::Status WriteProperties(base::ByteView properties) override {
    return store_->WriteProperties(properties);
  }

 private:
  class FailingSnapshot;
  struct Fault {
    uint64_t operations = 0;
    bool written = false;
    bool happened = false;
  };

  // Counts one operation. Whether it is the one to fail.
  bool Fails() const;

  const std::unique_ptr<server::Store> store_;
  std::vector<std::shared_ptr<const server::CommitBatch>> batches_;
  mutable std::optional<Fault> fault_;
};

}  // namespace kt::sim
#endif  // TESTS_SIM_FAILING_STORE_H_
