// SPDX-License-Identifier: Apache-2.0
//
// A bucket: the subtree below the deepest tiles, computed at any log position from its leaves.
// Internal to merkle/.
#ifndef MERKLE_PREFIX_BUCKET_H_
#define MERKLE_PREFIX_BUCKET_H_

#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "merkle/prefix_node.h"
#include "merkle/prefix_proof_writer.h"
#include "merkle/prefix_store.h"

namespace kt::merkle {

// kDataLoss unless `rows` are strictly ascending by (key, insert_pos), all in the subtree `id`, and
// each key's lifetimes are not empty and do not overlap.
absl::Status CheckLeafRows(const SubtreeId& id, std::span<const LeafRow> rows);

// A binary trie over all leaves that the bucket ever had. Each node remembers its value together
// with the span of positions at which it holds, so that asking at one position after another, in
// whichever direction, hashes again only what changed in between. Not thread-safe.
class Bucket {
 public:
  // A bucket without leaves.
  Bucket() = default;

  // Makes this the bucket `id` with `rows`, which passed CheckLeafRows; `rows` gets the storage of
  // the previous ones, as what it holds does not matter any more.
  void Reset(const SubtreeId& id, std::vector<LeafRow>* rows);

  // The value of the bucket's root node as of `position`.
  NodeValue RootAt(base::LogPosition position);
  // The leaf that RootAt(position) is, if its kind is kLeaf.
  PrefixLeaf LoneLeafAt(base::LogPosition position);
  // Whether a position that was asked for had two leaves that differ in their last bit only, which
  // would stand at depth 256.
  bool too_deep() const { return too_deep_; }

  // Continues the search for the keys of `range` (not empty) from the bucket's root node.
  absl::Status Search(base::LogPosition position, ProofWriter::Range range, ProofWriter* writer);

 private:
  struct Node {
    // Where the children part; 256 for a trie leaf (a key).
    unsigned depth = 0;
    // `value` is that of the place at this depth: below the trie parent's branch.
    unsigned top = 0;
    uint32_t left = 0;
    uint32_t right = 0;
    // A trie leaf's rows, which are the lifetimes of its key; of a branch, row_begin is the first
    // row below it.
    uint32_t row_begin = 0;
    uint32_t row_end = 0;

    // As of the positions [from, until).
    NodeValue value;
    uint32_t leaf_row = 0;  // if value.kind is kLeaf
    base::LogPosition from = 1;
    base::LogPosition until = 0;
  };

  void Build();
  const Node& Evaluate(uint32_t index, base::LogPosition position);
  void EvaluateKey(base::LogPosition position, Node* node);
  // Of the leaf of a row that is in the tree at `position`.
  const base::Hash& LeafHash(uint32_t row, base::LogPosition position);
  // The value of the place at `depth` (top..branch) above the evaluated node.
  NodeValue ValueAt(const Node& node, unsigned depth) const;
  NodeValue Lift(const Node& node, NodeValue value, unsigned from_depth, unsigned to_depth) const;
  absl::Status SearchBelow(uint32_t index, unsigned depth, base::LogPosition position,
                           ProofWriter::Range range, ProofWriter* writer);

  SubtreeId id_;
  std::vector<LeafRow> rows_;
  std::vector<Node> nodes_;                             // empty without rows
  std::vector<std::optional<base::Hash>> leaf_hashes_;  // by row; those that were needed
  std::vector<uint32_t> edge_;                          // of use to Build only
  uint32_t root_ = 0;
  bool too_deep_ = false;
};

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_BUCKET_H_
