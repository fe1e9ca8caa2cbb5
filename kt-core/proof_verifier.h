// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CORE_PROOF_VERIFIER_H_
#define KT_CORE_PROOF_VERIFIER_H_

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "absl/status/statusor.h"
#include "kt-core/proof_source.h"
#include "kt-core/structures.h"
#include "kt-core/user_state.h"
#include "merkle/log_tree.h"
#include "merkle/prefix_proof.h"

namespace kt::core {

// What a verifier knows of one version of the label, from its VRF proof and the response.
struct KnownVersion {
  base::VrfOutput output;
  std::optional<Hash> commitment;
};

// What a fully consumed proof establishes about the log.
struct ProvenView {
  merkle::LogProofResult log;
  std::vector<LogEntry> frontier;  // at Frontier(size), root first
  uint64_t rightmost_ms = 0;
};

// Consumes a received CombinedTreeProof: draft-ietf-keytrans-protocol, "Tree Proofs / Combined
// Tree". Nothing that it answers is proven before Finish has returned a root and that root's
// signature has been verified.
class ProofVerifier : public ProofSource {
 public:
  // `size` is that of the presented tree, and `previous` (nullptr: none) what the user retained of
  // an earlier or the same tree; it satisfies ValidateUserState. Borrows `proof`.
  ProofVerifier(const CombinedTreeProof& proof, TreeSize size, const UserState* previous,
                std::map<Version, KnownVersion> versions);

  TreeSize size() const override { return size_; }
  absl::StatusOr<uint64_t> Timestamp(LogPosition position) override;
  absl::Status BeginLookups(LogPosition position) override;
  absl::StatusOr<bool> Lookup(Version version) override;
  absl::Status EndLookups() override;

  // Whether the proof has no further series of lookups.
  bool PrefixProofsConsumed() const { return next_prefix_proof_ == proof_.prefix_proofs.size(); }

  // Checks that everything was consumed and computes the root, also at `other_size` if given.
  absl::StatusOr<ProvenView> Finish(std::optional<TreeSize> other_size);

  // After Finish: what a user retains who has seen the first `size` entries of this tree, without a
  // signature. nullopt unless the proof shows all of it; it does if the timestamps of the frontier
  // of these entries were asked for. 1 <= size <= size().
  std::optional<UserState> PrefixState(TreeSize size) const;

  // After Finish: what InclusionProof.elements would be if no root at another size were shown.
  std::vector<Hash> ElementsWithoutOther() const;

  // After Finish: the balanced subtrees of the log tree that the proof shows.
  const std::map<merkle::LogNodeId, Hash>& nodes() const { return nodes_; }

 private:
  absl::Status CheckMonotonic(LogPosition position, uint64_t timestamp_ms) const;
  absl::Status ConsumePrefixRoots();
  merkle::LogProofShape Shape(std::optional<TreeSize> other_size) const;

  const CombinedTreeProof& proof_;
  const TreeSize size_;
  const UserState* const previous_;
  const std::map<Version, KnownVersion> versions_;

  size_t next_timestamp_ = 0;
  size_t next_prefix_proof_ = 0;
  std::map<LogPosition, uint64_t> timestamps_;
  std::map<LogPosition, Hash> prefix_roots_;
  std::set<LogPosition> provided_;  // entries whose timestamp came with the proof
  std::map<merkle::LogNodeId, Hash> nodes_;

  // The series of lookups between BeginLookups and EndLookups.
  LogPosition lookup_position_ = 0;
  const PrefixProof* lookup_proof_ = nullptr;
  std::vector<merkle::PrefixLookup> lookups_;
};

}  // namespace kt::core
#endif  // KT_CORE_PROOF_VERIFIER_H_
