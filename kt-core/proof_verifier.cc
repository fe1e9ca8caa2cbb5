// SPDX-License-Identifier: Apache-2.0
#include "kt-core/proof_verifier.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-core/implicit_tree.h"

namespace kt::core {

using merkle::PrefixSearchResultType;

ProofVerifier::ProofVerifier(const CombinedTreeProof& proof, TreeSize size,
                             const UserState* previous, std::map<Version, KnownVersion> versions)
    : proof_(proof), size_(size), previous_(previous), versions_(std::move(versions)) {
  if (previous_ == nullptr) return;
  const std::vector<LogPosition> frontier = Frontier(previous_->tree_size());
  KT_CHECK(frontier.size() == previous_->frontier.size());
  for (size_t i = 0; i < frontier.size(); ++i) {
    timestamps_[frontier[i]] = previous_->frontier[i].timestamp;
    prefix_roots_[frontier[i]] = previous_->frontier[i].prefix_tree;
  }
}

absl::StatusOr<uint64_t> ProofVerifier::Timestamp(LogPosition position) {
  const auto known = timestamps_.find(position);
  if (known != timestamps_.end()) return known->second;
  if (next_timestamp_ == proof_.timestamps.size()) {
    return base::VerificationFailed("timestamps", "the proof has too few timestamps");
  }
  const uint64_t timestamp_ms = proof_.timestamps[next_timestamp_++];
  KT_RETURN_IF_ERROR(CheckMonotonic(position, timestamp_ms));
  timestamps_[position] = timestamp_ms;
  provided_.insert(position);
  return timestamp_ms;
}

absl::Status ProofVerifier::CheckMonotonic(LogPosition position, uint64_t timestamp_ms) const {
  const auto right = timestamps_.upper_bound(position);
  const bool after_left = right == timestamps_.begin() || std::prev(right)->second <= timestamp_ms;
  const bool before_right = right == timestamps_.end() || timestamp_ms <= right->second;
  if (after_left && before_right) return absl::OkStatus();
  return base::VerificationFailed("timestamps",
                                  absl::StrCat("timestamps go backwards at log entry ", position));
}

absl::Status ProofVerifier::BeginLookups(LogPosition position) {
  KT_CHECK(lookup_proof_ == nullptr && timestamps_.contains(position));
  if (next_prefix_proof_ == proof_.prefix_proofs.size()) {
    return base::VerificationFailed("prefix-proofs", "the proof has too few prefix proofs");
  }
  lookup_position_ = position;
  lookup_proof_ = &proof_.prefix_proofs[next_prefix_proof_++];
  lookups_.clear();
  return absl::OkStatus();
}

absl::StatusOr<bool> ProofVerifier::Lookup(Version version) {
  if (lookups_.size() == lookup_proof_->results.size()) {
    return base::VerificationFailed(
        "prefix-proof", absl::StrCat("too few results for log entry ", lookup_position_));
  }
  const bool included =
      lookup_proof_->results[lookups_.size()].result_type == PrefixSearchResultType::kInclusion;
  const auto known = versions_.find(version);
  KT_CHECK(known != versions_.end());
  if (included && !known->second.commitment.has_value()) {
    return base::VerificationFailed(
        "commitment", absl::StrCat("version ", version, " exists, but its commitment is missing"));
  }
  lookups_.push_back({known->second.output, included ? known->second.commitment : std::nullopt});
  return included;
}

absl::Status ProofVerifier::EndLookups() {
  const PrefixProof& proof = *std::exchange(lookup_proof_, nullptr);
  if (proof.results.size() != lookups_.size()) {
    return base::VerificationFailed(
        "prefix-proof", absl::StrCat("too many results for log entry ", lookup_position_));
  }
  Hash root;
  if (lookups_.empty()) {
    // All lookups were redundant: the fewest values that give the root are the root.
    if (proof.elements.size() != 1) {
      return base::VerificationFailed("prefix-proof", "an empty lookup has just the root");
    }
    root = proof.elements[0];
  } else {
    KT_ASSIGN_OR_RETURN(root, merkle::EvaluatePrefixProof(proof, lookups_));
  }
  const auto [known, fresh] = prefix_roots_.try_emplace(lookup_position_, root);
  if (!fresh && known->second != root) {
    return base::VerificationFailed(
        "prefix-root", absl::StrCat("two prefix tree roots for log entry ", lookup_position_));
  }
  return absl::OkStatus();
}

// "The elements of the prefix_roots field are, in left-to-right order, the prefix tree root hashes
// of the log entries that have an associated timestamp from timestamps but no associated prefix
// tree root hash from prefix_proofs."
absl::Status ProofVerifier::ConsumePrefixRoots() {
  size_t next = 0;
  for (const LogPosition position : provided_) {
    if (prefix_roots_.contains(position)) continue;
    if (next == proof_.prefix_roots.size()) {
      return base::VerificationFailed("prefix-roots", "the proof has too few prefix tree roots");
    }
    prefix_roots_[position] = proof_.prefix_roots[next++];
  }
  if (next != proof_.prefix_roots.size()) {
    return base::VerificationFailed("prefix-roots", "the proof has too many prefix tree roots");
  }
  return absl::OkStatus();
}

merkle::LogProofShape ProofVerifier::Shape(std::optional<TreeSize> other_size) const {
  merkle::LogProofShape shape;
  shape.size = size_;
  shape.other_size = other_size;
  shape.leaves.assign(provided_.begin(), provided_.end());
  if (previous_ != nullptr) shape.retained = previous_->tree_size();
  return shape;
}

absl::StatusOr<ProvenView> ProofVerifier::Finish(std::optional<TreeSize> other_size) {
  KT_CHECK(lookup_proof_ == nullptr);
  if (next_timestamp_ != proof_.timestamps.size()) {
    return base::VerificationFailed("timestamps", "the proof has too many timestamps");
  }
  if (next_prefix_proof_ != proof_.prefix_proofs.size()) {
    return base::VerificationFailed("prefix-proofs", "the proof has too many prefix proofs");
  }
  KT_RETURN_IF_ERROR(ConsumePrefixRoots());

  const merkle::LogProofShape shape = Shape(other_size);
  std::vector<Hash> leaf_values;
  leaf_values.reserve(provided_.size());
  for (const LogPosition position : provided_) {
    leaf_values.push_back(base::Sha256(
        codec::Encode(LogEntry{timestamps_.at(position), prefix_roots_.at(position)})));
  }
  const std::vector<Hash> none;
  ProvenView view;
  KT_ASSIGN_OR_RETURN(
      view.log, merkle::EvaluateLogProof(shape, leaf_values,
                                         previous_ != nullptr ? previous_->full_subtrees : none,
                                         proof_.inclusion.elements));
  nodes_.insert(view.log.nodes.begin(), view.log.nodes.end());
  for (const LogPosition position : Frontier(size_)) {
    view.frontier.push_back({timestamps_.at(position), prefix_roots_.at(position)});
  }
  view.rightmost_ms = view.frontier.back().timestamp;
  return view;
}

std::vector<Hash> ProofVerifier::ElementsWithoutOther() const {
  std::vector<Hash> elements;
  // The other tree's edge only takes apart what would be an element otherwise.
  for (const merkle::LogNodeId& id : merkle::RequiredNodes(Shape(std::nullopt))) {
    elements.push_back(nodes_.at(id));
  }
  return elements;
}

std::optional<UserState> ProofVerifier::PrefixState(TreeSize size) const {
  KT_CHECK(size >= 1 && size <= size_);
  UserState state;
  state.tree_head.tree_size = size;
  for (const merkle::LogNodeId& id : merkle::FullSubtrees(size)) {
    const auto node = nodes_.find(id);
    if (node == nodes_.end()) return std::nullopt;
    state.full_subtrees.push_back(node->second);
  }
  for (const LogPosition position : Frontier(size)) {
    const auto timestamp_ms = timestamps_.find(position);
    const auto prefix_root = prefix_roots_.find(position);
    if (timestamp_ms == timestamps_.end() || prefix_root == prefix_roots_.end()) {
      return std::nullopt;
    }
    state.frontier.push_back({timestamp_ms->second, prefix_root->second});
  }
  return state;
}

}  // namespace kt::core
