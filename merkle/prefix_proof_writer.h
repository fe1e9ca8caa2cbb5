// SPDX-License-Identifier: Apache-2.0
//
// Collects a PrefixProof while a search for several keys descends through the tree. Internal to
// merkle/.
#ifndef MERKLE_PREFIX_PROOF_WRITER_H_
#define MERKLE_PREFIX_PROOF_WRITER_H_

#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "merkle/prefix_node.h"
#include "merkle/prefix_proof.h"

namespace kt::merkle {

// The keys of one proof in ascending order, so that those of a subtree are a range. The descent
// reports, left to right, where each range ends and every subtree that none enters.
class ProofWriter {
 public:
  struct Range {
    size_t begin = 0;
    size_t end = 0;
    bool empty() const { return begin == end; }
  };

  // `keys` outlive the writer.
  explicit ProofWriter(std::span<const base::VrfOutput> keys);

  Range all() const { return {0, order_.size()}; }
  const base::VrfOutput& key(size_t index) const { return keys_[order_[index]]; }
  // The keys of `range` that go left and right below `depth`. They share their first `depth` bits.
  std::pair<Range, Range> Split(Range range, unsigned depth) const;

  void AddElement(const base::Hash& hash) { proof_.elements.push_back(hash); }

  // The searches of `range` end at `depth`: at a missing leaf, or at `leaf`. kDataLoss at depth
  // 256, which a proof cannot express and Stage does not let arise.
  absl::Status EndAtMissing(Range range, unsigned depth);
  absl::Status EndAtLeaf(Range range, unsigned depth, const PrefixLeaf& leaf);

  PrefixProof Finish() && { return std::move(proof_); }

 private:
  std::span<const base::VrfOutput> keys_;
  std::vector<uint32_t> order_;  // indices into keys_
  PrefixProof proof_;
};

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_PROOF_WRITER_H_
