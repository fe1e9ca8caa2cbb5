// SPDX-License-Identifier: Apache-2.0
//
// A bucket: the subtree below the deepest tiles, computed at any log position from its leaves.
// Internal to merkle/.
#ifndef MERKLE_PREFIX_BUCKET_H_
#define MERKLE_PREFIX_BUCKET_H_

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "merkle/node_hasher.h"
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
//
// To evaluate a position is to plan what has to be hashed for it, and to have a NodeHasher do so.
class Bucket {
 public:
  // A bucket without leaves.
  Bucket() = default;

  // Makes this the bucket `id` with `rows`, which passed CheckLeafRows; `rows` gets the storage of
  // the previous ones, as what it holds does not matter any more.
  void Reset(const SubtreeId& id, std::vector<LeafRow>* rows);

  // Of the position at which Evaluate, below, saw it last, as it must have: the value of the
  // bucket's root node, and the leaf that this is, if its kind is kLeaf.
  NodeValue root() const;
  PrefixLeaf LoneLeaf() const;
  // Whether any position that was evaluated since Reset had two leaves that differ in their last
  // bit only, which would stand at depth 256.
  bool too_deep() const { return too_deep_; }

  // Continues the search for the keys of `range` (not empty) from the bucket's root node, at the
  // position at which it was evaluated last.
  absl::Status Search(ProofWriter::Range range, ProofWriter* writer) const;

 private:
  friend void Evaluate(base::LogPosition position, std::span<Bucket* const> buckets,
                       NodeHasher* hasher);

  struct Node {
    // As of the positions [from, until).
    base::LogPosition from = 1;
    base::LogPosition until = 0;
    // Whose hash is this node's, too: a key's if the node is that lone leaf, otherwise its own.
    uint32_t hash_of = 0;
    NodeKind kind = NodeKind::kEmpty;

    // Where the children part; 256 for a trie leaf (a key).
    uint16_t depth = 0;
    // Of the place whose value this node's is: below the trie parent's branch.
    uint16_t top = 0;
    uint32_t left = 0;
    uint32_t right = 0;
    // A key's rows, which are its lifetimes; of a branch, row_begin is the first row below it.
    uint32_t row_begin = 0;
    uint32_t row_end = 0;
    uint32_t alive_row = 0;  // of a key that is there
  };

  void Build();
  // Once `hasher` has run, the bucket is evaluated at `position`.
  void Plan(base::LogPosition position, NodeHasher* hasher);
  // Returns from which level of `hasher` on the node's hash is there.
  size_t PlanNode(uint32_t index, base::LogPosition position, NodeHasher* hasher);
  void PlanKey(uint32_t index, base::LogPosition position, NodeHasher* hasher);
  size_t PlanParent(uint32_t index, size_t level, NodeHasher* hasher);
  const Node& Root() const;
  const base::Hash& HashOf(const Node& node) const { return hashes_[node.hash_of]; }
  // Of the place at `depth` (top..branch) above an evaluated node.
  base::Hash HashAt(const Node& node, unsigned depth) const;
  PrefixLeaf LeafOf(const Node& node) const;
  absl::Status SearchBelow(uint32_t index, unsigned depth, ProofWriter::Range range,
                           ProofWriter* writer) const;

  SubtreeId id_;
  std::vector<LeafRow> rows_;
  std::vector<Node> nodes_;         // empty without rows
  std::vector<base::Hash> hashes_;  // by node
  std::vector<uint32_t> edge_;      // of use to Build only
  uint32_t root_ = 0;
  bool too_deep_ = false;
};

// Evaluates `buckets` at `position`, with what they need hashed together.
void Evaluate(base::LogPosition position, std::span<Bucket* const> buckets, NodeHasher* hasher);

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_BUCKET_H_
