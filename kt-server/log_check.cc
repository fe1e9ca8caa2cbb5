// SPDX-License-Identifier: Apache-2.0
#include "kt-server/log_check.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/signature.h"
#include "base/status.h"
#include "kt-core/commitment_value.h"
#include "kt-core/structures.h"
#include "kt-core/tree_head.h"
#include "kt-server/retention.h"
#include "kt-server/version_rows.h"
#include "merkle/log_tree.h"
#include "vrf/vrf.h"

namespace kt::server {
namespace {

using base::LogPosition;
using base::TreeSize;

constexpr size_t kEntriesPerRead = 4096;

absl::Status Damaged(const std::string& what) { return absl::DataLossError(what); }

// What the stored rows show, as opposed to a disk that cannot be read or a check that was ended.
bool IsDamage(const absl::Status& status) {
  return absl::IsDataLoss(status) || base::IsVerificationFailure(status);
}

base::VrfOutput WithBitFlipped(base::VrfOutput key, unsigned bit) {
  key.bytes[bit / 8] ^= static_cast<uint8_t>(0x80 >> bit % 8);
  return key;
}

class LogChecker {
 public:
  LogChecker(const core::Configuration& config, const merkle::PrefixTreeLayout& layout,
             const Snapshot& snapshot, const CheckOptions& options)
      : config_(config),
        layout_(layout),
        snapshot_(snapshot),
        options_(options),
        size_(snapshot.head().tree_size),
        horizon_(snapshot.horizon()) {}

  absl::StatusOr<CheckReport> Check() {
    if (size_ == 0) return report_;
    KT_RETURN_IF_ERROR(Note(CheckHead()));
    const absl::Status entries = CheckEntries();
    KT_RETURN_IF_ERROR(Note(entries));
    // Without roots to compare with, there is nothing to say about the trees.
    if (entries.ok()) KT_RETURN_IF_ERROR(Note(CheckPrefixTrees()));
    tree_.reset();  // more than a gigabyte in large logs, and what follows takes long
    KT_RETURN_IF_ERROR(Note(CheckLabels()));
    return std::move(report_);
  }

 private:
  // Puts damage into the report; any other error is the caller's.
  absl::Status Note(const absl::Status& status) {
    if (!IsDamage(status)) return status;
    report_.damage.emplace_back(status.message());
    return absl::OkStatus();
  }

  absl::Status Progress(const char* step, uint64_t done, uint64_t total) const {
    return options_.progress == nullptr ? absl::OkStatus() : options_.progress({step, done, total});
  }

  absl::Status CheckHead() const {
    KT_ASSIGN_OR_RETURN(const auto verifier,
                        base::CreateVerifier(core::SignatureAlgorithmOf(config_.ciphersuite),
                                             config_.signature_public_key));
    const HeadRow& head = snapshot_.head();
    const absl::Status status = verifier->Verify(
        core::EncodeTreeHeadTbs(config_, head.tree_size, head.root), head.signature);
    if (base::IsVerificationFailure(status)) return Damaged("the head's signature is not valid");
    return status;
  }

  // --- entries and the log tree ---------------------------------------------------------------

  absl::Status CheckEntries() {
    KT_RETURN_IF_ERROR(CheckKept());
    KT_ASSIGN_OR_RETURN(std::vector<base::Hash> heads,
                        snapshot_.ReadLogNodes(merkle::FullSubtrees(horizon_)));
    merkle::LogTreeBuilder builder(horizon_, std::move(heads));
    while (builder.size() < size_) {
      std::vector<LogPosition> positions;
      for (TreeSize i = builder.size(); i < std::min(builder.size() + kEntriesPerRead, size_);
           ++i) {
        positions.push_back(i);
      }
      KT_ASSIGN_OR_RETURN(const std::vector<EntryRow> rows, snapshot_.ReadEntries(positions));
      std::vector<std::pair<merkle::LogNodeId, base::Hash>> nodes;
      for (const EntryRow& row : rows) {
        KT_RETURN_IF_ERROR(CheckTimestamp(row));
        roots_.push_back(row.prefix_tree);
        builder.Append(LeafOf(row), &nodes);
      }
      KT_RETURN_IF_ERROR(CheckNodes(nodes));
      report_.entries += rows.size();
      KT_RETURN_IF_ERROR(Progress("entries", builder.size() - horizon_, size_ - horizon_));
    }
    const HeadRow& head = snapshot_.head();
    if (builder.Root() != head.root || builder.heads() != head.full_subtrees) {
      return Damaged("table entry: the log entries do not give the head's root");
    }
    return absl::OkStatus();
  }

  static base::Hash LeafOf(const EntryRow& row) {
    return base::Sha256(base::codec::Encode(core::LogEntry{row.timestamp_ms, row.prefix_tree}));
  }

  absl::Status CheckTimestamp(const EntryRow& row) {
    if (row.timestamp_ms < newest_ms_) return Damaged("table entry: a timestamp goes back");
    newest_ms_ = row.timestamp_ms;
    return absl::OkStatus();
  }

  absl::Status CheckNodes(
      const std::vector<std::pair<merkle::LogNodeId, base::Hash>>& expected) const {
    std::vector<merkle::LogNodeId> ids;
    for (const auto& [id, hash] : expected) {
      if (KeepsLogNode(horizon_, id)) ids.push_back(id);
    }
    KT_ASSIGN_OR_RETURN(const std::vector<base::Hash> stored, snapshot_.ReadLogNodes(ids));
    size_t i = 0;
    for (const auto& [id, hash] : expected) {
      if (!KeepsLogNode(horizon_, id)) continue;
      if (stored[i++] == hash) continue;
      return Damaged(absl::StrCat("table log: node ", id.index, " of level ", uint64_t{id.level},
                                  " is not what the log entries give"));
    }
    return absl::OkStatus();
  }

  // What is kept of the entries before the horizon: the last leaf of each full subtree, its copath
  // and the subtree's head.
  absl::Status CheckKept() {
    const std::vector<LogPosition> kept = KeptEntries(horizon_);
    const std::vector<merkle::LogNodeId> subtrees = merkle::FullSubtrees(horizon_);
    KT_ASSIGN_OR_RETURN(const std::vector<EntryRow> rows, snapshot_.ReadEntries(kept));
    for (size_t i = 0; i < kept.size(); ++i) {
      KT_RETURN_IF_ERROR(CheckTimestamp(rows[i]));
      // The last leaf is right of everything else in its subtree.
      std::vector<merkle::LogNodeId> ids;
      const LogPosition end = kept[i] + 1;
      for (uint8_t level = 0; level < subtrees[i].level; ++level) {
        ids.push_back({level, (end >> level) - 2});
      }
      ids.push_back(subtrees[i]);
      KT_ASSIGN_OR_RETURN(std::vector<base::Hash> nodes, snapshot_.ReadLogNodes(ids));
      const base::Hash head = nodes.back();
      nodes.back() = LeafOf(rows[i]);
      // From the top down, as the heads of a log whose last full subtree is the leaf itself.
      std::reverse(nodes.begin(), nodes.end() - 1);
      const TreeSize leaves = TreeSize{1} << subtrees[i].level;
      merkle::LogTreeBuilder builder(leaves - 1, {nodes.begin(), nodes.end() - 1});
      std::vector<std::pair<merkle::LogNodeId, base::Hash>> completed;
      builder.Append(nodes.back(), &completed);
      if (builder.heads() != std::vector<base::Hash>{head}) {
        return Damaged(absl::StrCat("table log: what is kept of entry ", kept[i],
                                    " does not give its subtree's head"));
      }
      ++report_.entries;
    }
    return absl::OkStatus();
  }

  // --- prefix trees -----------------------------------------------------------------------------

  absl::Status CheckPrefixTrees() {
    KT_ASSIGN_OR_RETURN(tree_, merkle::PrefixTree::Load(layout_, snapshot_, size_, {}));
    // How many leaves each entry added; those before the horizon count as of it.
    std::vector<uint64_t> added(size_ - horizon_);
    KT_RETURN_IF_ERROR(ScanLeaves([&](const merkle::LeafRow& row) -> absl::Status {
      if (row.insert_pos >= size_) return Damaged("table leaf: a leaf is beyond the log's end");
      ++added[std::max(row.insert_pos, horizon_) - horizon_];
      ++report_.leaves;
      return absl::OkStatus();
    }));
    LogPosition begin = horizon_;
    while (begin < size_) {
      LogPosition end = begin;
      uint64_t leaves = 0;
      do {
        leaves += added[end++ - horizon_];
      } while (end < size_ && leaves + added[end - horizon_] <= options_.max_leaves_in_memory);
      KT_RETURN_IF_ERROR(CheckPrefixTrees(begin, end));
      begin = end;
    }
    return absl::OkStatus();
  }

  // A row that is only read counts little.
  absl::Status ScanLeaves(const std::function<absl::Status(const merkle::LeafRow&)>& visit) const {
    constexpr uint64_t kRowsPerStep = 64;
    uint64_t rows = 0;
    return snapshot_.ScanLeaves([&](const merkle::LeafRow& row) -> absl::Status {
      if (++rows % kRowsPerStep == 0) KT_RETURN_IF_ERROR(Progress("leaves", rows, report_.leaves));
      return visit(row);
    });
  }

  // At the positions from `begin` to before `end`.
  absl::Status CheckPrefixTrees(LogPosition begin, LogPosition end) {
    std::vector<std::vector<merkle::PrefixLeaf>> added(end - begin);
    KT_RETURN_IF_ERROR(ScanLeaves([&](const merkle::LeafRow& row) {
      const LogPosition position = std::max(row.insert_pos, horizon_);
      if (position >= begin && position < end) {
        added[position - begin].push_back({row.key, row.commitment});
      }
      return absl::OkStatus();
    }));
    for (LogPosition position = begin; position < end; ++position) {
      KT_RETURN_IF_ERROR(CheckPrefixTree(position, added[position - begin]));
    }
    return absl::OkStatus();
  }

  absl::Status CheckPrefixTree(LogPosition position, std::span<const merkle::PrefixLeaf> added) {
    KT_ASSIGN_OR_RETURN(const base::Hash root, tree_->RootAt(snapshot_, position));
    KT_RETURN_IF_ERROR(CheckRoot(position, root));
    // A key for the leaf itself and one beside it in each tile.
    const size_t keys_per_leaf = size_t{1} + layout_.bucket_depth / 4;
    const size_t leaves_per_proof = merkle::kMaxPrefixLookups / keys_per_leaf;
    for (size_t i = 0; i < added.size(); i += leaves_per_proof) {
      const auto some = added.subspan(i, std::min(leaves_per_proof, added.size() - i));
      KT_RETURN_IF_ERROR(CheckLeaves(position, some));
      leaves_checked_ += some.size();
      KT_RETURN_IF_ERROR(Progress("prefix trees", leaves_checked_, report_.leaves));
    }
    return absl::OkStatus();
  }

  // The proof of a leaf uses its bucket, and in each tile all children but the one on the way; the
  // place beside it, at the tile's last level, uses that child too.
  absl::Status CheckLeaves(LogPosition position, std::span<const merkle::PrefixLeaf> leaves) {
    std::map<base::VrfOutput, std::optional<base::Hash>> commitments;
    for (const merkle::PrefixLeaf& leaf : leaves) {
      for (unsigned bit = 3; bit < layout_.bucket_depth; bit += 4) {
        commitments.try_emplace(WithBitFlipped(leaf.vrf_output, bit));
      }
    }
    for (const merkle::PrefixLeaf& leaf : leaves) commitments[leaf.vrf_output] = leaf.commitment;
    merkle::PrefixProofRequest request;
    request.position = position;
    std::vector<merkle::PrefixLookup> lookups;
    for (const auto& [key, commitment] : commitments) {
      request.keys.push_back(key);
      lookups.push_back({key, commitment});
    }
    KT_ASSIGN_OR_RETURN(const std::vector<merkle::PrefixProof> proofs,
                        tree_->Prove(snapshot_, {&request, 1}));
    KT_ASSIGN_OR_RETURN(const base::Hash root, merkle::EvaluatePrefixProof(proofs[0], lookups));
    return CheckRoot(position, root);
  }

  absl::Status CheckRoot(LogPosition position, const base::Hash& root) const {
    if (root == roots_[position - horizon_]) return absl::OkStatus();
    return Damaged(absl::StrCat("tables leaf and band: the prefix tree of log entry ", position,
                                " has not the root that the entry records"));
  }

  // --- versions ---------------------------------------------------------------------------------

  absl::Status CheckLabels() {
    KT_ASSIGN_OR_RETURN(
        vrf_, vrf::CreateVerifier(core::VrfSuiteOf(config_.ciphersuite), config_.vrf_public_key));
    KT_RETURN_IF_ERROR(
        snapshot_.ScanLabels([&](base::ByteView label) { return Note(CheckLabel(label)); }));
    if (report_.leaves == report_.versions || !report_.sound()) return absl::OkStatus();
    return Damaged(absl::StrCat("table version: there are ", report_.versions, " versions and ",
                                report_.leaves, " leaves"));
  }

  absl::Status CheckLabel(base::ByteView label) {
    KT_ASSIGN_OR_RETURN(const LabelRows rows, ReadWholeLabel(snapshot_, label));
    ++report_.labels;
    KT_RETURN_IF_ERROR(CheckVrf(label, rows));
    LogPosition last = 0;
    for (base::Version version = 0; rows.greatest.has_value() && version <= *rows.greatest;
         ++version) {
      const auto row = rows.rows.find(version);
      if (row == rows.rows.end() || !row->second.existing.has_value()) {
        return Damaged("table version: a version of a label is missing");
      }
      if (row->second.existing->position < last) {
        return Damaged("table version: the versions of a label are not in the order of entries");
      }
      last = row->second.existing->position;
      ++report_.versions;
      KT_RETURN_IF_ERROR(CheckLeafOf(row->second));
      KT_RETURN_IF_ERROR(CheckValue(rows, row->second));
      KT_RETURN_IF_ERROR(Progress("versions", report_.versions, report_.leaves));
      if (version == *rows.greatest) break;  // it may be the greatest number that there is
    }
    return absl::OkStatus();
  }

  absl::Status CheckVrf(base::ByteView label, const LabelRows& rows) const {
    std::vector<base::Bytes> alphas;
    for (const auto& [version, row] : rows.rows) {
      KT_ASSIGN_OR_RETURN(alphas.emplace_back(), core::EncodeVrfInput(label, version));
    }
    std::vector<vrf::Claim> claims;
    std::vector<base::VrfOutput> outputs;
    for (const auto& [version, row] : rows.rows) {
      claims.push_back({alphas[claims.size()], row.vrf_proof});
      outputs.push_back(row.vrf_output);
    }
    const auto proven = vrf_->Verify(claims);
    if (proven.ok() && *proven == outputs) return absl::OkStatus();
    return Damaged("table version: a VRF output or proof is not right");
  }

  absl::Status CheckLeafOf(const VersionRow& row) const {
    const auto& key = row.vrf_output.bytes;
    const merkle::SubtreeId id{
        24, uint32_t{key[0]} << 24 | uint32_t{key[1]} << 16 | uint32_t{key[2]} << 8};
    std::vector<std::vector<merkle::LeafRow>> leaves;
    std::vector<std::vector<merkle::BandRow>> bands;
    KT_RETURN_IF_ERROR(snapshot_.Read({&id, 1}, {}, &leaves, &bands));
    const bool found =
        std::any_of(leaves[0].begin(), leaves[0].end(), [&](const merkle::LeafRow& leaf) {
          return leaf.key == row.vrf_output && leaf.insert_pos == row.existing->position &&
                 leaf.commitment == row.existing->commitment;
        });
    if (!found) return Damaged("table version: a version has no leaf");
    // The row of the entry at the horizon is pruned, too.
    const bool is_pruned = horizon_ > 0 && row.existing->position <= horizon_;
    if (config_.mode != core::DeploymentMode::kThirdPartyAuditing || is_pruned) {
      return absl::OkStatus();
    }
    KT_ASSIGN_OR_RETURN(const auto changed, snapshot_.ReadChanged({&row.existing->position, 1}));
    if (std::binary_search(changed[0].begin(), changed[0].end(), id)) return absl::OkStatus();
    return Damaged("table changed: a log entry does not list a leaf that it added");
  }

  absl::Status CheckValue(const LabelRows& rows, const VersionRow& row) {
    // Which compares it with the commitment.
    const auto opened = ReadOpenedValue(snapshot_, row, config_);
    if (absl::IsPermissionDenied(opened.status())) return absl::OkStatus();  // erased
    if (!opened.ok() && HasExpired(rows, row.version, horizon_)) return absl::OkStatus();
    KT_RETURN_IF_ERROR(opened.status());
    ++report_.values;
    return absl::OkStatus();
  }

  const core::Configuration& config_;
  const merkle::PrefixTreeLayout layout_;
  const Snapshot& snapshot_;
  const CheckOptions& options_;
  const TreeSize size_;
  const LogPosition horizon_;
  CheckReport report_;
  uint64_t newest_ms_ = 0;
  std::vector<base::Hash> roots_;  // of the prefix trees, from the horizon on
  std::unique_ptr<merkle::PrefixTree> tree_;
  uint64_t leaves_checked_ = 0;
  std::unique_ptr<vrf::Verifier> vrf_;
};

}  // namespace

absl::StatusOr<CheckReport> CheckLog(const core::Configuration& config,
                                     const merkle::PrefixTreeLayout& layout,
                                     const Snapshot& snapshot, const CheckOptions& options) {
  return LogChecker(config, layout, snapshot, options).Check();
}

}  // namespace kt::server
