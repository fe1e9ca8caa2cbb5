// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_LOG_STATE_H_
#define KT_SERVER_LOG_STATE_H_

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kt-core/prover.h"
#include "kt-server/node_cache.h"
#include "kt-server/store.h"
#include "kt-server/timestamp_table.h"
#include "merkle/prefix_tree.h"

namespace kt::server {

// The log at one published tree head: everything that answering a request needs, immutable and
// thread-safe. Holding it keeps its snapshot alive, so hold it for one request only.
//
// Whatever is behind the log's horizon is kOutOfRange, whether or not it has been deleted yet, so
// that one question has one answer.
class LogState : public core::LogView {
 public:
  LogState(std::shared_ptr<const Snapshot> snapshot, std::shared_ptr<const merkle::PrefixTree> tree,
           std::shared_ptr<const TimestampTable> timestamps, std::shared_ptr<NodeCache> nodes,
           core::SignedHead head)
      : snapshot_(std::move(snapshot)),
        tree_(std::move(tree)),
        timestamps_(std::move(timestamps)),
        nodes_(std::move(nodes)),
        head_(std::move(head)) {}

  const core::SignedHead& head() const { return head_; }

  // The same log with a later head of its auditor.
  std::shared_ptr<const LogState> WithAuditorHead(const core::AuditorTreeHead& auditor) const {
    return std::make_shared<const LogState>(snapshot_, tree_, timestamps_, nodes_,
                                            core::SignedHead{head_.tree_head, auditor});
  }

  // The same log at the same head, read through `snapshot`, which is a later one of the store.
  std::shared_ptr<const LogState> WithSnapshot(std::shared_ptr<const Snapshot> snapshot) const {
    return std::make_shared<const LogState>(std::move(snapshot), tree_, timestamps_, nodes_, head_);
  }

  const Snapshot& snapshot() const { return *snapshot_; }

  core::TreeSize size() const override { return head_.tree_head.tree_size; }
  absl::StatusOr<uint64_t> Timestamp(core::LogPosition position) const override;
  absl::StatusOr<std::vector<core::Hash>> PrefixRoots(
      std::span<const core::LogPosition> positions) const override;
  absl::StatusOr<std::vector<core::PrefixProof>> ProvePrefix(
      std::span<const merkle::PrefixProofRequest> requests) const override;
  absl::StatusOr<std::vector<core::Hash>> ReadLogNodes(
      std::span<const merkle::LogNodeId> ids) const override;
  absl::StatusOr<core::ProofParts> ReadProof(const core::ProofQuery& query) const override {
    return ReadProof(query, {}, nullptr);
  }

  // The same, and in the same round the rows under `value_keys`; nullopt for those that are not
  // there.
  absl::StatusOr<core::ProofParts> ReadProof(const core::ProofQuery& query,
                                             std::span<const ValueKey> value_keys,
                                             std::vector<std::optional<base::Bytes>>* values) const;

 private:
  const std::shared_ptr<const Snapshot> snapshot_;
  const std::shared_ptr<const merkle::PrefixTree> tree_;
  const std::shared_ptr<const TimestampTable> timestamps_;
  const std::shared_ptr<NodeCache> nodes_;
  const core::SignedHead head_;
};

}  // namespace kt::server
#endif  // KT_SERVER_LOG_STATE_H_
