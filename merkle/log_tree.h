// SPDX-License-Identifier: Apache-2.0
//
// The log tree: a left-balanced hash tree over log entries.
// draft-ietf-keytrans-protocol, "Tree Construction / Log Tree", "Cryptographic Computations / Log
// Tree" and "Tree Proofs / Log Tree".
//
// Proofs contain heads of balanced subtrees only. Which ones follows from a LogProofShape, so
// prover and verifier call the same RequiredNodes: one to fetch them, the other to know what
// arrived.
#ifndef MERKLE_LOG_TREE_H_
#define MERKLE_LOG_TREE_H_

#include <compare>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/types.h"

namespace kt::merkle {

// The balanced subtree over the leaves [index << level, (index + 1) << level).
struct LogNodeId {
  uint8_t level = 0;  // 0 for a leaf, at most 63
  uint64_t index = 0;
  auto operator<=>(const LogNodeId&) const = default;
};

// The full subtrees of a tree of `size` leaves, left to right: one for each bit of `size`.
std::vector<LogNodeId> FullSubtrees(base::TreeSize size);

// The root of the tree whose full subtrees have the values `heads` (as many as FullSubtrees(size)).
// `size` is at least 1.
base::Hash LogRoot(base::TreeSize size, std::span<const base::Hash> heads);

// What a proof has to show, and what its receiver already knows.
struct LogProofShape {
  base::TreeSize size = 0;                   // of the tree whose root is computed; at least 1
  std::vector<base::LogPosition> leaves;     // known leaves: ascending, distinct, below `size`
  std::optional<base::TreeSize> retained;    // size whose full subtrees are retained; 1..size
  std::optional<base::TreeSize> other_size;  // also compute the root at this size; 1..size
};

// Nodes in the order of InclusionProof.elements: the fewest heads of balanced subtrees that, with
// the known leaves and the retained heads, give the root at `size` (and at `other_size`), such that
// each known value goes into it: a subtree that holds a known leaf, or in which the retained or the
// other tree ends, is computed from its halves. So a retained subtree in which the other tree ends
// is recomputed as a whole: otherwise nothing would tie the other root to this log.
// O((leaves + 2) * 64) work for any size.
std::vector<LogNodeId> RequiredNodes(const LogProofShape& shape);

struct LogProofResult {
  base::Hash root;
  std::optional<base::Hash> other_root;   // if shape.other_size
  std::vector<base::Hash> full_subtrees;  // heads of FullSubtrees(size), to be retained
  // Every balanced subtree that the root was computed from or through, children first. For a known
  // leaf p, those of FullSubtrees(p) and FullSubtrees(p + 1) are among them; so are those of
  // FullSubtrees(*shape.retained), and of each prefix of that list.
  std::vector<std::pair<LogNodeId, base::Hash>> nodes;
};

// Computes the roots from `leaf_values` (as shape.leaves), `retained_heads` (as
// FullSubtrees(*shape.retained)) and a received proof's `elements`. A verification failure if there
// are not exactly as many elements as required, or if a retained head that the proof recomputes
// differs ("Tree Proofs / Log Tree", last paragraph).
absl::StatusOr<LogProofResult> EvaluateLogProof(const LogProofShape& shape,
                                                std::span<const base::Hash> leaf_values,
                                                std::span<const base::Hash> retained_heads,
                                                std::span<const base::Hash> elements);

// The right edge of a growing tree: all that appending needs. Copyable, so that a writer can work
// on a copy and keep it only once its nodes are stored.
class LogTreeBuilder {
 public:
  LogTreeBuilder() = default;
  // `heads` are the values of FullSubtrees(size).
  LogTreeBuilder(base::TreeSize size, std::vector<base::Hash> heads);

  // Adds a leaf and appends every balanced subtree that it completes (itself first) to `completed`.
  void Append(const base::Hash& leaf, std::vector<std::pair<LogNodeId, base::Hash>>* completed);

  base::TreeSize size() const { return size_; }
  const std::vector<base::Hash>& heads() const { return heads_; }
  base::Hash Root() const;  // size() >= 1

 private:
  base::TreeSize size_ = 0;
  std::vector<base::Hash> heads_;
};

// Where completed balanced subtrees are read from. Thread-safe.
class LogNodeReader {
 public:
  virtual ~LogNodeReader() = default;
  // Values in the order of `ids`, read in one round. kDataLoss if a node is missing.
  virtual absl::StatusOr<std::vector<base::Hash>> ReadLogNodes(
      std::span<const LogNodeId> ids) const = 0;
};

}  // namespace kt::merkle
#endif  // MERKLE_LOG_TREE_H_
