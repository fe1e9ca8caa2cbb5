// SPDX-License-Identifier: Apache-2.0
//
// Proofs of any shape: EvaluatePrefixProof must agree with a plain recursive reading of the draft
// on which are valid and on their roots.
#include <algorithm>
#include <optional>
#include <set>

#include "base/check.h"
#include "base/status.h"
#include "merkle/prefix_proof.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/support/naive_prefix_tree.h"

namespace kt::fuzz {
namespace {

using base::Hash;
using merkle::PrefixLookup;
using merkle::PrefixProof;
using merkle::PrefixSearchResult;
using merkle::PrefixSearchResultType;

// A key with the given first byte, of which bits elsewhere may be set so that keys can share long
// prefixes.
base::VrfOutput TakeKey(FuzzInput& input) {
  base::VrfOutput key;
  key.bytes[0] = input.Byte();
  const uint8_t bit = input.Byte();
  if (bit >= 8) key.bytes[bit / 8] |= static_cast<uint8_t>(0x80 >> (bit % 8));
  return key;
}

struct Case {
  std::vector<PrefixLookup> lookups;
  PrefixProof proof;
};

// Results and elements of any kind. Depths are mostly small, or the elements would never suffice.
Case TakeArbitraryCase(FuzzInput& input) {
  Case taken;
  for (unsigned left = input.Below(12); left > 0; --left) {
    PrefixLookup lookup{TakeKey(input), std::nullopt};
    if (const uint8_t commitment = input.Byte(); commitment != 0) {
      lookup.commitment.emplace().bytes.fill(commitment);
    }
    PrefixSearchResult result{static_cast<PrefixSearchResultType>(1 + input.Below(3)), {}, 0};
    result.depth = input.Byte();
    if (result.depth < 240) result.depth %= 10;
    if (result.result_type == PrefixSearchResultType::kNonInclusionLeaf) {
      result.leaf = {TakeKey(input), input.ShortHash()};
    }
    taken.lookups.push_back(lookup);
    taken.proof.results.push_back(result);
  }
  while (!input.empty()) taken.proof.elements.push_back(input.ShortHash());
  return taken;
}

void Spoil(FuzzInput& input, PrefixProof& proof) {
  std::vector<Hash>& elements = proof.elements;
  const uint8_t which = input.Byte();
  switch (input.Below(5)) {
    case 0:
      elements.insert(elements.begin() + static_cast<long>(which % (elements.size() + 1)),
                      input.ShortHash());
      return;
    case 1:
      if (!elements.empty()) {
        elements.erase(elements.begin() + static_cast<long>(which % elements.size()));
      }
      return;
    case 2:
      if (!elements.empty()) elements[which % elements.size()] = input.ShortHash();
      return;
    case 3:
      if (!proof.results.empty()) proof.results[which % proof.results.size()].depth += input.Byte();
      return;
    default:
      if (!proof.results.empty()) {
        proof.results[which % proof.results.size()].result_type =
            static_cast<PrefixSearchResultType>(1 + input.Below(3));
      }
  }
}

// An honest proof with some damage, perhaps none.
Case TakeSpoiledCase(FuzzInput& input) {
  testing::NaivePrefixTree tree;
  std::set<base::VrfOutput> searched;
  for (unsigned left = input.Below(12); left > 0; --left) {
    const base::VrfOutput key = TakeKey(input);
    const unsigned roles = 1 + input.Below(3);
    if ((roles & 1) != 0) tree.Set(key, input.ShortHash());
    if ((roles & 2) != 0) searched.insert(key);
  }
  const std::vector<base::VrfOutput> keys(searched.begin(), searched.end());
  Case taken{tree.Lookups(keys), tree.Prove(keys)};
  while (!input.empty()) Spoil(input, taken.proof);
  return taken;
}

// The draft's description, top down. Recursion is no danger here: depths are at most 255.
class Reference {
 public:
  explicit Reference(const Case& taken) : case_(taken) {}

  std::optional<Hash> Root() {
    std::vector<size_t> all;
    for (size_t i = 0; i < case_.lookups.size(); ++i) {
      all.push_back(i);
      for (size_t j = 0; j < i; ++j) {
        if (case_.lookups[i].key == case_.lookups[j].key) return std::nullopt;
      }
    }
    const Node root = Evaluate(all, 0);
    if (!valid_ || next_ != case_.proof.elements.size()) return std::nullopt;
    return root.value;
  }

 private:
  struct Node {
    Hash value;
    bool is_lone_leaf = false;
  };

  Node Fail() {
    valid_ = false;
    return {};
  }

  // The subtree at `depth` that the lookups `in` enter.
  Node Evaluate(const std::vector<size_t>& in, unsigned depth) {
    if (!valid_) return {};
    if (in.empty()) {
      if (next_ == case_.proof.elements.size()) return Fail();
      return {case_.proof.elements[next_++], false};
    }
    const auto ends = std::count_if(
        in.begin(), in.end(), [&](size_t i) { return case_.proof.results[i].depth == depth; });
    if (ends == static_cast<long>(in.size())) return Terminal(in, depth);
    if (ends > 0) return Fail();
    std::vector<size_t> left_in, right_in;
    for (size_t i : in) (case_.lookups[i].key.bit(depth) ? right_in : left_in).push_back(i);
    const Node left = Evaluate(left_in, depth + 1);
    const Node right = Evaluate(right_in, depth + 1);
    if ((left.value.IsZero() && (right.value.IsZero() || right.is_lone_leaf)) ||
        (right.value.IsZero() && left.is_lone_leaf)) {
      return Fail();
    }
    return {merkle::PrefixParentHash(left.value, right.value), false};
  }

  Node Terminal(const std::vector<size_t>& in, unsigned depth) {
    std::vector<std::optional<merkle::PrefixLeaf>> leaves;
    for (size_t i : in) {
      const PrefixLookup& lookup = case_.lookups[i];
      const PrefixSearchResult& result = case_.proof.results[i];
      std::optional<merkle::PrefixLeaf> leaf;
      if (result.result_type == PrefixSearchResultType::kInclusion) {
        if (!lookup.commitment.has_value()) return Fail();
        leaf = {lookup.key, *lookup.commitment};
      } else if (result.result_type == PrefixSearchResultType::kNonInclusionLeaf) {
        if (result.leaf.vrf_output == lookup.key) return Fail();
        for (unsigned bit = 0; bit < depth; ++bit) {
          if (result.leaf.vrf_output.bit(bit) != lookup.key.bit(bit)) return Fail();
        }
        leaf = result.leaf;
      }
      leaves.push_back(leaf);
    }
    for (const auto& leaf : leaves) {
      if (leaf != leaves[0]) return Fail();
    }
    if (!leaves[0].has_value()) return {};
    return {merkle::PrefixLeafHash(leaves[0]->vrf_output, leaves[0]->commitment), true};
  }

  const Case& case_;
  size_t next_ = 0;
  bool valid_ = true;
};

}  // namespace
}  // namespace kt::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kt::fuzz::FuzzInput input(data, size);
  const bool arbitrary = input.Byte() % 2 == 0;
  const kt::fuzz::Case taken =
      arbitrary ? kt::fuzz::TakeArbitraryCase(input) : kt::fuzz::TakeSpoiledCase(input);
  const auto root = kt::merkle::EvaluatePrefixProof(taken.proof, taken.lookups);
  const std::optional<kt::base::Hash> expected = kt::fuzz::Reference(taken).Root();
  KT_CHECK(root.ok() == expected.has_value());
  if (root.ok()) {
    KT_CHECK(*root == *expected);
  } else {
    KT_CHECK(kt::base::FailedCheck(root.status()) == "prefix-proof");
  }
  return 0;
}
