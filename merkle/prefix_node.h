// SPDX-License-Identifier: Apache-2.0
//
// One node of the prefix tree: its value, and what stands below it. Internal to merkle/.
#ifndef MERKLE_PREFIX_NODE_H_
#define MERKLE_PREFIX_NODE_H_

#include <array>
#include <cstdint>

#include "base/types.h"
#include "merkle/node_pair.h"
#include "merkle/prefix_proof.h"
#include "merkle/prefix_store.h"

namespace kt::merkle {

// A leaf stands at the shallowest depth at which no other leaf shares its path. So what counts at a
// place in the tree is whether no leaf, one leaf or several leaves share the path to it: a lone
// leaf is not hashed there with an empty sibling, but moves up unchanged.
enum class NodeKind : uint8_t { kEmpty = 0, kLeaf = 1, kParent = 2 };

struct NodeValue {
  NodeKind kind = NodeKind::kEmpty;
  base::Hash hash;  // all zeros if empty
  bool operator==(const NodeValue&) const = default;
};

// Whether two siblings stand below a parent; otherwise the lone leaf of one of them moves up, if
// there is one.
bool MakesParent(NodeKind left, NodeKind right);

// "Prefix Tree": what the hash of a leaf and of a parent begins with.
inline constexpr uint8_t kLeafPrefix = 0x02;
inline constexpr uint8_t kParentPrefix = 0x03;

// SHA-256 of prefix || input.first || input.second, 32 bytes, by the digest's block function:
// hashing nodes dominates what the tree costs, and this takes 60 % of the time. `hash` may lie
// where the input does.
void HashNode(uint8_t prefix, const NodeInput& input, uint8_t* hash);
// Of two nodes; with the processor's SHA extensions both take little longer than one.
void HashNodePair(uint8_t prefix, const NodeInput inputs[2], uint8_t* const hashes[2]);

// Equal to PrefixLeafHash and PrefixParentHash.
base::Hash LeafNodeHash(const base::VrfOutput& key, const base::Hash& commitment);
base::Hash ParentNodeHash(const base::Hash& left, const base::Hash& right);

struct Siblings {
  const base::Hash& left;
  const base::Hash& right;
};
// The hashes of two parents, of which none is below the other.
std::array<base::Hash, 2> ParentNodeHashes(const Siblings& first, const Siblings& second);

// The first `depth` (0..32) bits of those that are given left aligned, or of `key`; left aligned.
inline uint32_t LeadingBits(uint32_t bits, unsigned depth) {
  return depth == 0 ? 0 : bits & ~uint32_t{0} << (32 - depth);
}
inline uint32_t LeadingBits(const base::VrfOutput& key, unsigned depth) {
  return LeadingBits(uint32_t{key.bytes[0]} << 24 | uint32_t{key.bytes[1]} << 16 |
                         uint32_t{key.bytes[2]} << 8 | uint32_t{key.bytes[3]},
                     depth);
}

// Number of leading bits that the keys share, 256 if they are equal.
unsigned SharedBits(const base::VrfOutput& a, const base::VrfOutput& b);

inline bool Contains(const SubtreeId& id, const base::VrfOutput& key) {
  return LeadingBits(key, id.depth) == id.bits;
}

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_NODE_H_
