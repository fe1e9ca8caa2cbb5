// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_proof.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/hash.h"
#include "base/status.h"
#include "merkle/prefix_node.h"

namespace kt::merkle {
namespace {

using base::Hash;
using base::VrfOutput;

absl::Status Refused(const std::string& why) {
  return base::VerificationFailed("prefix-proof", "prefix tree proof: " + why);
}

// What is known of the leaves below a node. A tree is canonical if each leaf stands as high as it
// can, so no parent has fewer than two leaves below it: a parent of a single leaf, or of none,
// would be a second shape of the same content, with another root.
enum class Population { kNone, kOneLeaf, kOther };

struct Node {
  Hash value;
  Population population = Population::kNone;
};

// Where a search ended.
struct Terminal {
  const VrfOutput* key = nullptr;  // one that was searched; its first `depth` bits are the path
  unsigned depth = 0;
  std::optional<PrefixLeaf> leaf;  // nullopt for the stand-in of a missing leaf

  Node ToNode() const {
    if (!leaf.has_value()) return {};
    return {PrefixLeafHash(leaf->vrf_output, leaf->commitment), Population::kOneLeaf};
  }
};

absl::StatusOr<Terminal> ToTerminal(const PrefixSearchResult& result, const PrefixLookup& lookup) {
  Terminal terminal{.key = &lookup.key, .depth = result.depth, .leaf = std::nullopt};
  switch (result.result_type) {
    case PrefixSearchResultType::kInclusion:
      if (!lookup.commitment.has_value()) {
        return Refused("a key is included whose commitment is not known");
      }
      terminal.leaf = PrefixLeaf{lookup.key, *lookup.commitment};
      return terminal;
    case PrefixSearchResultType::kNonInclusionLeaf:
      if (result.leaf.vrf_output == lookup.key) {
        return Refused("the leaf that should show a key's absence is the key's own");
      }
      if (SharedBits(result.leaf.vrf_output, lookup.key) < result.depth) {
        return Refused("the leaf that should show a key's absence is not on the key's path");
      }
      terminal.leaf = result.leaf;
      return terminal;
    case PrefixSearchResultType::kNonInclusionParent:
      return terminal;
  }
  return Refused("unknown result type");
}

// The places where searches ended, left to right, each once. A node and one below it cannot both be
// such a place. It is enough to compare neighbours: keys that end below one node are contiguous.
absl::StatusOr<std::vector<Terminal>> CollectTerminals(const PrefixProof& proof,
                                                       std::span<const PrefixLookup> lookups) {
  std::vector<size_t> order(lookups.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return lookups[a].key < lookups[b].key; });

  std::vector<Terminal> terminals;
  for (size_t i = 0; i < order.size(); ++i) {
    const PrefixLookup& lookup = lookups[order[i]];
    if (i > 0 && lookup.key == lookups[order[i - 1]].key) {
      return Refused("one key is looked up twice");
    }
    KT_ASSIGN_OR_RETURN(Terminal terminal, ToTerminal(proof.results[order[i]], lookup));
    if (terminals.empty() || SharedBits(*terminals.back().key, *terminal.key) <
                                 std::min(terminals.back().depth, terminal.depth)) {
      terminals.push_back(terminal);
    } else if (terminals.back().depth != terminal.depth) {
      return Refused("one search ends below the place where another one ends");
    } else if (terminals.back().leaf != terminal.leaf) {
      return Refused("searches that end in one place disagree about what is there");
    }
  }
  return terminals;
}

// Hashes from the terminals upwards, in one pass from left to right. The stack holds the finished
// subtrees that still wait for their right sibling, the deepest on top.
class RootComputation {
 public:
  explicit RootComputation(std::span<const Hash> elements) : elements_(elements) {}

  // Takes the next terminal. Its path runs together with the one before for `shared_before` bits
  // and with the next one for `shared_after` bits; nullopt where there is none.
  absl::Status Add(const Terminal& terminal, std::optional<unsigned> shared_before,
                   std::optional<unsigned> shared_after) {
    // Siblings to the left that no search enters, from the top down.
    for (unsigned depth = shared_before.has_value() ? *shared_before + 1 : 0;
         depth < terminal.depth; ++depth) {
      if (!terminal.key->bit(depth)) continue;
      KT_ASSIGN_OR_RETURN(Node left, NextElement());
      waiting_.push_back(left);
    }
    // Up to the child of the node where the next path branches off, or to the root.
    const unsigned top = shared_after.has_value() ? *shared_after + 1 : 0;
    Node node = terminal.ToNode();
    for (unsigned depth = terminal.depth; depth-- > top;) {
      Node left = node, right = node;
      if (terminal.key->bit(depth)) {
        left = waiting_.back();
        waiting_.pop_back();
      } else {
        KT_ASSIGN_OR_RETURN(right, NextElement());
      }
      if (left.population != Population::kOther && right.population != Population::kOther &&
          (left.population == Population::kNone || right.population == Population::kNone)) {
        return Refused("a parent with fewer than two leaves");
      }
      node = {PrefixParentHash(left.value, right.value), Population::kOther};
    }
    waiting_.push_back(node);
    return absl::OkStatus();
  }

  // The root, once every terminal was added.
  absl::StatusOr<Hash> Finish() {
    if (next_ != elements_.size()) return Refused("more elements than the searches need");
    return waiting_.back().value;
  }

 private:
  // An element that is not all zeros may be a leaf or a parent: its hash does not tell.
  absl::StatusOr<Node> NextElement() {
    if (next_ == elements_.size()) return Refused("fewer elements than the searches need");
    const Hash& value = elements_[next_++];
    return Node{value, value.IsZero() ? Population::kNone : Population::kOther};
  }

  std::span<const Hash> elements_;
  size_t next_ = 0;
  std::vector<Node> waiting_;
};

}  // namespace

Hash PrefixLeafHash(const VrfOutput& vrf_output, const Hash& commitment) {
  return base::Sha256({{&kLeafPrefix, 1}, vrf_output.view(), commitment.view()});
}

Hash PrefixParentHash(const Hash& left, const Hash& right) {
  return base::Sha256({{&kParentPrefix, 1}, left.view(), right.view()});
}

absl::StatusOr<Hash> EvaluatePrefixProof(const PrefixProof& proof,
                                         std::span<const PrefixLookup> lookups) {
  if (proof.results.size() != lookups.size()) {
    return Refused("not as many results as keys that were looked up");
  }
  // Without searches, the fewest values that give the root are the root itself.
  if (lookups.empty()) {
    if (proof.elements.size() != 1) return Refused("no results, and not the root alone");
    return proof.elements[0];
  }
  KT_ASSIGN_OR_RETURN(const std::vector<Terminal> terminals, CollectTerminals(proof, lookups));

  RootComputation computation(proof.elements);
  std::optional<unsigned> shared_before;
  for (size_t i = 0; i < terminals.size(); ++i) {
    std::optional<unsigned> shared_after;
    if (i + 1 < terminals.size()) {
      shared_after = SharedBits(*terminals[i].key, *terminals[i + 1].key);
    }
    KT_RETURN_IF_ERROR(computation.Add(terminals[i], shared_before, shared_after));
    shared_before = shared_after;
  }
  return computation.Finish();
}

}  // namespace kt::merkle
