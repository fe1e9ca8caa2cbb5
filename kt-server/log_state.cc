// SPDX-License-Identifier: Apache-2.0
#include "kt-server/log_state.h"

#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-server/retention.h"

namespace kt::server {
namespace {

// Joins what else is to be read to the one round of reads that the prefix tree makes.
class OneRound : public merkle::PrefixStoreReader {
 public:
  // `others` has no buckets and no bands; what it spans outlives this.
  OneRound(const Snapshot& snapshot, const ProofReads& others)
      : snapshot_(snapshot), others_(others) {}

  absl::Status Read(std::span<const merkle::SubtreeId> buckets,
                    std::span<const merkle::BandQuery> bands,
                    std::vector<std::vector<merkle::LeafRow>>* leaves,
                    std::vector<std::vector<merkle::BandRow>>* rows) const override {
    ProofReads reads = others_;
    reads.buckets = buckets;
    reads.bands = bands;
    KT_ASSIGN_OR_RETURN(found_, snapshot_.ReadProof(reads));
    others_ = {};
    *leaves = std::move(found_.leaves);
    *rows = std::move(found_.bands);
    return absl::OkStatus();
  }
  absl::Status ScanLeaves(
      const std::function<absl::Status(const merkle::LeafRow&)>& visit) const override {
    return snapshot_.ScanLeaves(visit);
  }
  absl::Status ScanNewestBands(
      uint8_t depth,
      const std::function<absl::Status(std::span<const merkle::BandRow>)>& visit) const override {
    return snapshot_.ScanNewestBands(depth, visit);
  }

  // What was asked for beside the tree; read now if the tree needed nothing.
  absl::StatusOr<ProofRows> TakeOthers() {
    if (!others_.entries.empty() || !others_.nodes.empty() || !others_.values.empty()) {
      KT_ASSIGN_OR_RETURN(found_, snapshot_.ReadProof(others_));
    }
    return std::move(found_);
  }

 private:
  const Snapshot& snapshot_;
  mutable ProofReads others_;  // not read yet
  mutable ProofRows found_;
};

// The ids that `known` has nothing for.
template <typename Id>
std::vector<Id> Unknown(std::span<const Id> ids,
                        const std::vector<std::optional<base::Hash>>& known) {
  std::vector<Id> out;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!known[i].has_value()) out.push_back(ids[i]);
  }
  return out;
}

// Puts `read`, in order, where `known` has nothing.
std::vector<base::Hash> Complete(const std::vector<std::optional<base::Hash>>& known,
                                 std::span<const base::Hash> read) {
  std::vector<base::Hash> out;
  out.reserve(known.size());
  for (const std::optional<base::Hash>& hash : known) {
    out.push_back(hash.has_value() ? *hash : read.front());
    if (!hash.has_value()) read = read.subspan(1);
  }
  return out;
}

// OK, or kOutOfRange for what a log with this horizon may have pruned.
absl::Status CheckKept(core::LogPosition horizon, core::LogPosition position) {
  if (KeepsEntry(horizon, position)) return absl::OkStatus();
  return Expired(absl::StrCat("log entry ", position));
}
absl::Status CheckKept(core::LogPosition horizon, const merkle::PrefixProofRequest& request) {
  if (request.position >= horizon) return absl::OkStatus();
  return Expired(absl::StrCat("the prefix tree of log entry ", request.position));
}
absl::Status CheckKept(core::LogPosition horizon, const merkle::LogNodeId& id) {
  if (KeepsLogNode(horizon, id)) return absl::OkStatus();
  return Expired(absl::StrCat("the log up to entry ", id.index << id.level));
}
template <typename Item>
absl::Status CheckAllKept(core::LogPosition horizon, std::span<const Item> items) {
  for (const Item& item : items) KT_RETURN_IF_ERROR(CheckKept(horizon, item));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint64_t> LogState::Timestamp(core::LogPosition position) const {
  if (position >= size()) return absl::OutOfRangeError("there is no such log entry");
  KT_RETURN_IF_ERROR(CheckKept(snapshot_->horizon(), position));
  return timestamps_->At(position);
}

absl::StatusOr<std::vector<core::Hash>> LogState::PrefixRoots(
    std::span<const core::LogPosition> positions) const {
  KT_RETURN_IF_ERROR(CheckAllKept(snapshot_->horizon(), positions));
  KT_ASSIGN_OR_RETURN(const std::vector<EntryRow> entries, snapshot_->ReadEntries(positions));
  std::vector<core::Hash> roots;
  roots.reserve(entries.size());
  for (const EntryRow& entry : entries) roots.push_back(entry.prefix_tree);
  return roots;
}

absl::StatusOr<std::vector<core::PrefixProof>> LogState::ProvePrefix(
    std::span<const merkle::PrefixProofRequest> requests) const {
  KT_RETURN_IF_ERROR(CheckAllKept(snapshot_->horizon(), requests));
  return tree_->Prove(*snapshot_, requests);
}

absl::StatusOr<std::vector<core::Hash>> LogState::ReadLogNodes(
    std::span<const merkle::LogNodeId> ids) const {
  KT_RETURN_IF_ERROR(CheckAllKept(snapshot_->horizon(), ids));
  return snapshot_->ReadLogNodes(ids);
}

absl::StatusOr<core::ProofParts> LogState::ReadProof(
    const core::ProofQuery& query, std::span<const ValueKey> value_keys,
    std::vector<std::optional<base::Bytes>>* values) const {
  KT_RETURN_IF_ERROR(CheckAllKept(snapshot_->horizon(), query.prefix));
  KT_RETURN_IF_ERROR(CheckAllKept(snapshot_->horizon(), query.roots));
  KT_RETURN_IF_ERROR(CheckAllKept(snapshot_->horizon(), query.nodes));
  const auto known_nodes = nodes_->Nodes(query.nodes);
  const auto known_roots = nodes_->Roots(query.roots);
  const std::vector<merkle::LogNodeId> nodes = Unknown(query.nodes, known_nodes);
  const std::vector<core::LogPosition> entries = Unknown(query.roots, known_roots);
  OneRound round(*snapshot_, {{}, {}, entries, nodes, value_keys});
  core::ProofParts parts;
  KT_ASSIGN_OR_RETURN(parts.prefix, tree_->Prove(round, query.prefix));
  KT_ASSIGN_OR_RETURN(ProofRows others, round.TakeOthers());

  std::vector<core::Hash> roots;
  for (const EntryRow& entry : others.entries) roots.push_back(entry.prefix_tree);
  if (roots.size() != entries.size() || others.nodes.size() != nodes.size() ||
      others.values.size() != value_keys.size()) {
    return absl::InternalError("the store did not answer every question");
  }
  if (!nodes.empty() || !entries.empty()) nodes_->Put(nodes, others.nodes, entries, roots);
  parts.nodes = Complete(known_nodes, others.nodes);
  parts.roots = Complete(known_roots, roots);
  if (values != nullptr) *values = std::move(others.values);
  return parts;
}

}  // namespace kt::server
