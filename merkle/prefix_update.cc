// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_update.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "merkle/prefix_node.h"

namespace kt::merkle {
namespace {

using base::Hash;
using base::VrfOutput;

constexpr unsigned kMaxDepth = 255;  // PrefixSearchResult.depth is an octet

absl::Status RefusedProof(const char* why) {
  return base::VerificationFailed("prefix-proof", std::string("prefix tree proof: ") + why);
}
absl::Status RefusedUpdate(const char* why) {
  return base::VerificationFailed("prefix-update", std::string("prefix tree update: ") + why);
}

// What is known of the leaves below a node. An element that is not all zeros may be a lone leaf or
// a parent: its hash does not tell.
enum class Population : uint8_t { kNone, kOneLeaf, kSeveral, kUnknown };

struct Node {
  Hash value;
  Population population = Population::kNone;
};

// One place in the tree, before and after the update.
struct Place {
  Node before;
  Node after;
};

struct LeafRef {
  const VrfOutput* key = nullptr;
  const Hash* commitment = nullptr;
};

Node LeafNode(const LeafRef& leaf) {
  return {LeafNodeHash(*leaf.key, *leaf.commitment), Population::kOneLeaf};
}
Node Parent(const Node& left, const Node& right) {
  return {ParentNodeHash(left.value, right.value), Population::kSeveral};
}

// In a canonical tree no parent has fewer than two leaves below it.
bool HasTooFewLeaves(const Node& left, const Node& right) {
  const auto few = [](const Node& node) { return node.population <= Population::kOneLeaf; };
  return few(left) && few(right) &&
         (left.population == Population::kNone || right.population == Population::kNone);
}

// Where a search ended in the tree before.
struct Terminal {
  unsigned depth = 0;
  LeafRef leaf;  // null for the stand-in of a missing leaf
};

absl::StatusOr<Terminal> ToTerminal(const PrefixChange& change) {
  const PrefixSearchResult& result = *change.result;
  const bool included = result.result_type == PrefixSearchResultType::kInclusion;
  if (included != (change.before != nullptr)) {
    return RefusedProof("a key is included that was not in the tree, or the reverse");
  }
  switch (result.result_type) {
    case PrefixSearchResultType::kInclusion:
      return Terminal{result.depth, {change.key, change.before}};
    case PrefixSearchResultType::kNonInclusionLeaf: {
      const unsigned shared = SharedBits(result.leaf.vrf_output, *change.key);
      if (shared == 8 * base::kVrfOutputSize) {
        return RefusedProof("the leaf that should show a key's absence is the key's own");
      }
      if (shared < result.depth) {
        return RefusedProof("the leaf that should show a key's absence is not on the key's path");
      }
      return Terminal{result.depth, {&result.leaf.vrf_output, &result.leaf.commitment}};
    }
    case PrefixSearchResultType::kNonInclusionParent:
      return Terminal{result.depth, {}};
  }
  return RefusedProof("unknown result type");
}

bool SameLeaf(const LeafRef& a, const LeafRef& b) {
  if (a.key == nullptr || b.key == nullptr) return a.key == b.key;
  return *a.key == *b.key && *a.commitment == *b.commitment;
}

// Hashes from the places where searches ended upwards, in one pass from left to right, in both
// trees at once: outside of those places they have the same shape and the same elements.
class UpdateEvaluation {
 public:
  explicit UpdateEvaluation(std::span<const Hash> elements) : elements_(elements) {}

  absl::StatusOr<PrefixRoots> Run(std::span<const PrefixChange> changes) {
    std::optional<unsigned> shared_before;
    while (!changes.empty()) {
      KT_ASSIGN_OR_RETURN(const Terminal terminal, ToTerminal(changes[0]));
      std::optional<unsigned> shared_after;
      KT_ASSIGN_OR_RETURN(const size_t count, GroupSize(terminal, changes, &shared_after));
      Place place;
      if (terminal.leaf.key != nullptr) place.before = LeafNode(terminal.leaf);
      KT_ASSIGN_OR_RETURN(place.after, After(terminal, changes.first(count)));
      KT_RETURN_IF_ERROR(
          Climb(*changes[0].key, terminal.depth, place, shared_before, shared_after));
      changes = changes.subspan(count);
      shared_before = shared_after;
    }
    if (next_ != elements_.size()) return RefusedProof("more elements than the searches need");
    return PrefixRoots{waiting_.back().before.value, waiting_.back().after.value};
  }

 private:
  // How many changes, from the first on, are searches that ended in the first one's place. Sets
  // `shared` to the bits that the path of the change after them has in common with this one's.
  static absl::StatusOr<size_t> GroupSize(const Terminal& first,
                                          std::span<const PrefixChange> changes,
                                          std::optional<unsigned>* shared) {
    for (size_t i = 1; i < changes.size(); ++i) {
      const unsigned bits = SharedBits(*changes[0].key, *changes[i].key);
      if (bits < std::min<unsigned>(first.depth, changes[i].result->depth)) {
        *shared = bits;
        return i;
      }
      KT_ASSIGN_OR_RETURN(const Terminal terminal, ToTerminal(changes[i]));
      if (terminal.depth != first.depth) {
        return RefusedProof("one search ends below the place where another one ends");
      }
      if (!SameLeaf(terminal.leaf, first.leaf)) {
        return RefusedProof("searches that end in one place disagree about what is there");
      }
    }
    return changes.size();
  }

  // What stands, after the update, in the place where the searches of `changes` ended.
  absl::StatusOr<Node> After(const Terminal& terminal, std::span<const PrefixChange> changes) {
    // A leaf that was there stays unless it is one of the changed keys itself.
    const bool stays = terminal.leaf.key != nullptr &&
                       std::none_of(changes.begin(), changes.end(), [](const PrefixChange& change) {
                         return change.before != nullptr;
                       });
    leaves_.clear();
    for (const PrefixChange& change : changes) {
      if (change.after != nullptr) leaves_.push_back({change.key, change.after});
    }
    if (stays) {
      const auto at = std::find_if(leaves_.begin(), leaves_.end(), [&](const LeafRef& leaf) {
        return *terminal.leaf.key < *leaf.key;
      });
      leaves_.insert(at, terminal.leaf);
    }
    if (leaves_.empty()) return Node{};
    if (leaves_.size() == 1) return LeafNode(leaves_[0]);
    return Subtree(terminal.depth);
  }

  // The subtree at `depth` that holds exactly leaves_, which are several.
  absl::StatusOr<Node> Subtree(unsigned depth) {
    branches_.clear();
    Node node;
    std::optional<unsigned> shared_before;
    for (size_t i = 0; i < leaves_.size(); ++i) {
      const LeafRef& leaf = leaves_[i];
      std::optional<unsigned> shared_after;
      if (i + 1 < leaves_.size()) shared_after = SharedBits(*leaf.key, *leaves_[i + 1].key);
      const unsigned leaf_depth = std::max(shared_before.value_or(0), shared_after.value_or(0)) + 1;
      if (leaf_depth > kMaxDepth) return RefusedUpdate("two leaves differ in their last bit only");
      node = LeafNode(leaf);
      const unsigned top = shared_after.has_value() ? *shared_after + 1 : depth;
      for (unsigned parent = leaf_depth; parent-- > top;) {
        if (!branches_.empty() && branches_.back().depth == parent) {
          node = Parent(branches_.back().left, node);
          branches_.pop_back();
        } else if (leaf.key->bit(parent)) {
          node = Parent(Node{}, node);
        } else {
          node = Parent(node, Node{});
        }
      }
      if (shared_after.has_value()) branches_.push_back({*shared_after, node});
      shared_before = shared_after;
    }
    return node;
  }

  // From a finished place up to the child of the node where the next path branches off, or to the
  // root. `shared_before` and `shared_after`: the bits that this path has in common with the one
  // before and the next one; nullopt where there is none.
  absl::Status Climb(const VrfOutput& key, unsigned depth, Place place,
                     std::optional<unsigned> shared_before, std::optional<unsigned> shared_after) {
    // Siblings to the left that no search enters, from the top down.
    for (unsigned d = shared_before.has_value() ? *shared_before + 1 : 0; d < depth; ++d) {
      if (!key.bit(d)) continue;
      KT_ASSIGN_OR_RETURN(const Place left, NextElement());
      waiting_.push_back(left);
    }
    const unsigned top = shared_after.has_value() ? *shared_after + 1 : 0;
    for (unsigned d = depth; d-- > top;) {
      if (key.bit(d)) {
        KT_ASSIGN_OR_RETURN(place, PlaceAbove(waiting_.back(), place));
        waiting_.pop_back();
      } else {
        KT_ASSIGN_OR_RETURN(const Place right, NextElement());
        KT_ASSIGN_OR_RETURN(place, PlaceAbove(place, right));
      }
    }
    waiting_.push_back(place);
    return absl::OkStatus();
  }

  static absl::StatusOr<Place> PlaceAbove(const Place& left, const Place& right) {
    if (HasTooFewLeaves(left.before, right.before)) {
      return RefusedProof("a parent with fewer than two leaves");
    }
    KT_ASSIGN_OR_RETURN(const std::optional<Node> lone, LoneAfter(left.after, right.after));
    if (lone.has_value()) return Place{Parent(left.before, right.before), *lone};
    const auto [before, after] = ParentNodeHashes({left.before.value, right.before.value},
                                                  {left.after.value, right.after.value});
    return Place{{before, Population::kSeveral}, {after, Population::kSeveral}};
  }

  // What moves up to stand above both after the update, or that nothing does; nullopt if that is
  // their parent.
  static absl::StatusOr<std::optional<Node>> LoneAfter(const Node& left, const Node& right) {
    const bool left_empty = left.population == Population::kNone;
    const bool right_empty = right.population == Population::kNone;
    if ((left_empty && right.population == Population::kUnknown) ||
        (right_empty && left.population == Population::kUnknown)) {
      return RefusedUpdate(
          "a leaf is removed beside a subtree of which the proof does not show whether it moves "
          "up");
    }
    if (left_empty && right.population != Population::kSeveral) return right;
    if (right_empty && left.population != Population::kSeveral) return left;
    return std::nullopt;
  }

  absl::StatusOr<Place> NextElement() {
    if (next_ == elements_.size()) return RefusedProof("fewer elements than the searches need");
    const Hash& value = elements_[next_++];
    const Node node{value, value.IsZero() ? Population::kNone : Population::kUnknown};
    return Place{node, node};
  }

  // A subtree to the left of the branch at `depth` that waits for its right sibling.
  struct Branch {
    unsigned depth = 0;
    Node left;
  };

  const std::span<const Hash> elements_;
  size_t next_ = 0;
  std::vector<Place> waiting_;  // finished, without their right siblings; the deepest on top
  // Of the place at hand; the next one takes over their storage.
  std::vector<LeafRef> leaves_;
  std::vector<Branch> branches_;
};

}  // namespace

absl::StatusOr<PrefixRoots> EvaluatePrefixUpdate(std::span<const Hash> elements,
                                                 std::span<const PrefixChange> changes) {
  // Without searches, the fewest values that give the root are the root itself.
  if (changes.empty()) {
    if (elements.size() != 1) return RefusedProof("no results, and not the root alone");
    return PrefixRoots{elements[0], elements[0]};
  }
  return UpdateEvaluation(elements).Run(changes);
}

}  // namespace kt::merkle
