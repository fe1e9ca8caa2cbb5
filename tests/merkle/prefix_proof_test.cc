// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "base/hash.h"
#include "tests/support/fakes.h"
#include "tests/support/naive_prefix_tree.h"
#include "tests/support/status_matchers.h"

namespace kt::merkle {
namespace {

using base::Bytes;
using base::Hash;
using base::VrfOutput;
using testing::FailsCheck;
using ::testing::IsEmpty;
using testing::IsOkAndHolds;
using testing::NaivePrefixTree;
using testing::SeededRandom;

using Type = PrefixSearchResultType;

constexpr unsigned kKeyBits = 8 * base::kVrfOutputSize;
const char kCheck[] = "prefix-proof";

// The key that begins with the given bits ("0110") and goes on with zeros; blanks are ignored.
VrfOutput Key(const std::string& bits) {
  VrfOutput key;
  unsigned depth = 0;
  for (char bit : bits) {
    if (bit == ' ') continue;
    if (bit == '1') key.bytes[depth / 8] |= static_cast<uint8_t>(0x80 >> (depth % 8));
    ++depth;
  }
  return key;
}

Hash Commitment(uint8_t tag) {
  Hash hash;
  hash.bytes.fill(tag);
  return hash;
}

unsigned SharedBits(const VrfOutput& a, const VrfOutput& b) {
  unsigned shared = 0;
  while (shared < kKeyBits && a.bit(shared) == b.bit(shared)) ++shared;
  return shared;
}

// Distinct keys of which many share long prefixes. None share 255 bits: their leaves would stand at
// depth 256, which the draft's one byte cannot say (and which no VRF output will ever reach).
std::vector<VrfOutput> ClusteredKeys(SeededRandom& random, size_t count) {
  std::vector<VrfOutput> keys;
  while (keys.size() < count) {
    VrfOutput key = random.NextVrfOutput();
    if (!keys.empty() && random.Below(4) != 0) {
      const VrfOutput& model = keys[random.Below(keys.size())];
      const uint64_t shared = random.Below(random.Below(2) == 0 ? 12 : kKeyBits);
      for (unsigned depth = 0; depth < shared; ++depth) {
        if (key.bit(depth) != model.bit(depth)) {
          key.bytes[depth / 8] ^= static_cast<uint8_t>(0x80 >> (depth % 8));
        }
      }
    }
    if (std::none_of(keys.begin(), keys.end(), [&](const VrfOutput& other) {
          return SharedBits(key, other) >= kKeyBits - 1;
        })) {
      keys.push_back(key);
    }
  }
  return keys;
}

// A tree, keys that were looked up in it, and the honest proof.
struct Example {
  NaivePrefixTree tree;
  std::vector<VrfOutput> keys;
  std::vector<PrefixLookup> lookups;
  PrefixProof proof;

  void Prove() {
    lookups = tree.Lookups(keys);
    proof = tree.Prove(keys);
  }
};

// Some of the keys are in the tree, some are looked up, and some are both.
Example RandomExample(SeededRandom& random, size_t max_keys) {
  Example example;
  const std::vector<VrfOutput> keys = ClusteredKeys(random, 1 + random.Below(max_keys));
  const uint64_t tenths_in_tree = random.Below(11);
  const uint64_t tenths_looked_up = random.Below(11);
  for (const VrfOutput& key : keys) {
    if (random.Below(10) < tenths_in_tree) example.tree.Set(key, random.NextHash());
    if (random.Below(10) < tenths_looked_up) {
      const auto at = static_cast<ptrdiff_t>(random.Below(example.keys.size() + 1));
      example.keys.insert(example.keys.begin() + at, key);
    }
  }
  example.Prove();
  return example;
}

// A proof that is written by hand.
PrefixSearchResult Included(uint8_t depth) { return {Type::kInclusion, {}, depth}; }
PrefixSearchResult Missing(uint8_t depth) { return {Type::kNonInclusionParent, {}, depth}; }
PrefixSearchResult OtherLeaf(const PrefixLeaf& leaf, uint8_t depth) {
  return {Type::kNonInclusionLeaf, leaf, depth};
}

TEST(PrefixHashes, FollowTheDraft) {
  const VrfOutput key = Key("0101");
  Bytes leaf = {0x02};
  base::Append(leaf, key.view());
  base::Append(leaf, Commitment(7).view());
  EXPECT_EQ(PrefixLeafHash(key, Commitment(7)), base::Sha256(leaf));

  Bytes parent = {0x03};
  base::Append(parent, Commitment(1).view());
  base::Append(parent, Commitment(2).view());
  EXPECT_EQ(PrefixParentHash(Commitment(1), Commitment(2)), base::Sha256(parent));
}

// The tree of five entries that the draft draws, computed step by step.
TEST(PrefixProofEvaluate, AcceptsTheDraftsTree) {
  const VrfOutput a = Key("00010"), b = Key("00101"), c = Key("10001"), d = Key("10111"),
                  e = Key("11011");
  const Hash leaf_a = PrefixLeafHash(a, Commitment(1)), leaf_b = PrefixLeafHash(b, Commitment(2));
  const Hash leaf_c = PrefixLeafHash(c, Commitment(3)), leaf_d = PrefixLeafHash(d, Commitment(4));
  const Hash leaf_e = PrefixLeafHash(e, Commitment(5));
  const Hash left = PrefixParentHash(PrefixParentHash(leaf_a, leaf_b), Hash{});
  const Hash right = PrefixParentHash(PrefixParentHash(leaf_c, leaf_d), leaf_e);
  const Hash root = PrefixParentHash(left, right);

  EXPECT_THAT(EvaluatePrefixProof({{Included(3)}, {leaf_b, Hash{}, right}}, {{{a, Commitment(1)}}}),
              IsOkAndHolds(root));
  EXPECT_THAT(EvaluatePrefixProof({{Included(2)}, {left, PrefixParentHash(leaf_c, leaf_d)}},
                                  {{{e, Commitment(5)}}}),
              IsOkAndHolds(root));
  // 01101, which the draft adds next, has no leaf yet.
  EXPECT_THAT(EvaluatePrefixProof({{Missing(2)}, {PrefixParentHash(leaf_a, leaf_b), right}},
                                  {{{Key("01101"), std::nullopt}}}),
              IsOkAndHolds(root));
  // 10110 would stand where 10111 stands. Results are in the order of the request.
  EXPECT_THAT(EvaluatePrefixProof({{OtherLeaf({d, Commitment(4)}, 3), Included(3)},
                                   {leaf_b, Hash{}, leaf_c, leaf_e}},
                                  {{{Key("10110"), std::nullopt}, {a, Commitment(1)}}}),
              IsOkAndHolds(root));
}

TEST(PrefixProofEvaluate, EmptyTreeIsZero) {
  const std::vector<VrfOutput> keys = {Key("0"), Key("1"), Key("11")};
  const NaivePrefixTree tree;
  const PrefixProof proof = tree.Prove(keys);
  EXPECT_THAT(proof.elements, IsEmpty());
  EXPECT_EQ(proof.results[0], Missing(0));
  EXPECT_THAT(EvaluatePrefixProof(proof, tree.Lookups(keys)), IsOkAndHolds(Hash{}));
}

TEST(PrefixProofEvaluate, LoneLeafIsTheRoot) {
  NaivePrefixTree tree;
  tree.Set(Key("01"), Commitment(1));
  const std::vector<VrfOutput> keys = {Key("1"), Key("01")};
  const PrefixProof proof = tree.Prove(keys);
  EXPECT_THAT(proof.elements, IsEmpty());
  EXPECT_EQ(proof.results[0], OtherLeaf({Key("01"), Commitment(1)}, 0));
  EXPECT_EQ(proof.results[1], Included(0));
  EXPECT_THAT(EvaluatePrefixProof(proof, tree.Lookups(keys)),
              IsOkAndHolds(PrefixLeafHash(Key("01"), Commitment(1))));
}

TEST(PrefixProofEvaluate, NoLookupsMeanTheRootAlone) {
  EXPECT_THAT(EvaluatePrefixProof({{}, {Commitment(9)}}, {}), IsOkAndHolds(Commitment(9)));
  EXPECT_THAT(EvaluatePrefixProof({{}, {}}, {}), FailsCheck(kCheck));
  EXPECT_THAT(EvaluatePrefixProof({{}, {Commitment(9), Commitment(9)}}, {}), FailsCheck(kCheck));
}

TEST(PrefixProofEvaluate, AcceptsLeavesAtTheGreatestDepth) {
  SeededRandom random(1);
  const VrfOutput left = random.NextVrfOutput();
  VrfOutput right = left;
  right.bytes[31] ^= 0x02;  // 254 bits shared
  Example example;
  example.tree.Set(left, Commitment(1));
  example.tree.Set(right, Commitment(2));
  example.keys = {left, right, random.NextVrfOutput()};
  example.Prove();
  EXPECT_EQ(example.proof.results[0].depth, 255);
  EXPECT_THAT(EvaluatePrefixProof(example.proof, example.lookups),
              IsOkAndHolds(example.tree.Root()));
}

TEST(PrefixProofEvaluate, AcceptsAsManyLookupsAsFit) {
  SeededRandom random(2);
  const std::vector<VrfOutput> keys = ClusteredKeys(random, 2 * kMaxPrefixLookups);
  Example example;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i % 3 != 0) example.tree.Set(keys[i], random.NextHash());
  }
  example.keys.assign(keys.begin(), keys.begin() + kMaxPrefixLookups);
  example.Prove();
  EXPECT_THAT(EvaluatePrefixProof(example.proof, example.lookups),
              IsOkAndHolds(example.tree.Root()));
}

TEST(PrefixProofEvaluate, AcceptsEveryHonestProof) {
  const uint64_t seed = testing::TestSeed(3);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  for (int round = 0; round < 2500; ++round) {
    const Example example = RandomExample(random, round % 100 == 0 ? 120 : 16);
    ASSERT_THAT(EvaluatePrefixProof(example.proof, example.lookups),
                IsOkAndHolds(example.tree.Root()))
        << "round " << round;
  }
}

// Elements follow the tree, whatever the order of the request.
TEST(PrefixProofEvaluate, ResultsFollowTheRequest) {
  const uint64_t seed = testing::TestSeed(4);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  for (int round = 0; round < 200; ++round) {
    const Example example = RandomExample(random, 16);
    std::vector<size_t> order(example.keys.size());
    std::iota(order.begin(), order.end(), size_t{0});
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.Below(i)]);

    PrefixProof proof{{}, example.proof.elements};
    std::vector<PrefixLookup> lookups;
    for (size_t i : order) {
      proof.results.push_back(example.proof.results[i]);
      lookups.push_back(example.lookups[i]);
    }
    ASSERT_THAT(EvaluatePrefixProof(proof, lookups), IsOkAndHolds(example.tree.Root()));
  }
}

// --- what a verifier must not accept --------------------------------------------------------

// A changed bit anywhere in an encoded proof makes it malformed, refused, or one of another root.
TEST(PrefixProofEvaluate, NoFlippedBitLeavesTheRoot) {
  const uint64_t seed = testing::TestSeed(5);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  size_t evaluated = 0;
  for (int round = 0; round < 8; ++round) {
    const Example example = RandomExample(random, 12);
    const Hash root = example.tree.Root();
    Bytes encoded = codec::Encode(example.proof);
    for (uint8_t& byte : encoded) {
      const uint8_t mask = static_cast<uint8_t>(1 << random.Below(8));
      byte ^= mask;
      const auto proof = codec::Decode<PrefixProof>(encoded);
      if (proof.ok()) {
        const auto computed = EvaluatePrefixProof(*proof, example.lookups);
        if (computed.ok()) {
          ++evaluated;
          ASSERT_NE(*computed, root) << "round " << round << ", byte " << &byte - encoded.data();
        } else {
          ASSERT_THAT(computed, FailsCheck(kCheck));
        }
      }
      byte ^= mask;
    }
  }
  EXPECT_GT(evaluated, 500u);
}

// A prover that leaves out an element must not get the verifier to treat the subtree as empty.
TEST(PrefixProofEvaluate, RejectsMissingAndSpareElements) {
  const uint64_t seed = testing::TestSeed(6);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  for (int round = 0; round < 40; ++round) {
    const Example example = RandomExample(random, 16);
    const auto count = static_cast<ptrdiff_t>(example.proof.elements.size());
    for (ptrdiff_t i = 0; i <= count; ++i) {
      PrefixProof longer = example.proof;
      longer.elements.insert(longer.elements.begin() + i, Hash{});
      ASSERT_THAT(EvaluatePrefixProof(longer, example.lookups), FailsCheck(kCheck));
      if (i == count) break;
      PrefixProof shorter = example.proof;
      shorter.elements.erase(shorter.elements.begin() + i);
      ASSERT_THAT(EvaluatePrefixProof(shorter, example.lookups), FailsCheck(kCheck));
    }
  }
}

TEST(PrefixProofEvaluate, RejectsMissingAndSpareResults) {
  SeededRandom random(7);
  Example example;
  example.keys = ClusteredKeys(random, 5);
  for (const VrfOutput& key : example.keys) example.tree.Set(key, random.NextHash());
  example.Prove();
  PrefixProof proof = example.proof;
  proof.results.pop_back();
  EXPECT_THAT(EvaluatePrefixProof(proof, example.lookups), FailsCheck(kCheck));
  proof = example.proof;
  proof.results.push_back(proof.results.back());
  EXPECT_THAT(EvaluatePrefixProof(proof, example.lookups), FailsCheck(kCheck));
  EXPECT_THAT(EvaluatePrefixProof(example.proof, {}), FailsCheck(kCheck));
}

TEST(PrefixProofEvaluate, RejectsOneKeyLookedUpTwice) {
  NaivePrefixTree tree;
  tree.Set(Key("01"), Commitment(1));
  const PrefixLookup lookup{Key("01"), Commitment(1)};
  EXPECT_THAT(EvaluatePrefixProof({{Included(0)}, {}}, {{lookup}}), IsOkAndHolds(tree.Root()));
  EXPECT_THAT(EvaluatePrefixProof({{Included(0), Included(0)}, {}}, {{lookup, lookup}}),
              FailsCheck(kCheck));
}

TEST(PrefixProofEvaluate, RejectsUnknownResultType) {
  const PrefixSearchResult result{static_cast<Type>(4), {}, 0};
  EXPECT_THAT(EvaluatePrefixProof({{result}, {}}, {{{Key("0"), std::nullopt}}}),
              FailsCheck(kCheck));
}

// Without the commitment nothing can be computed, so it must not be taken for zero.
TEST(PrefixProofEvaluate, RejectsInclusionWithoutKnownCommitment) {
  EXPECT_THAT(EvaluatePrefixProof({{Included(0)}, {}}, {{{Key("0"), std::nullopt}}}),
              FailsCheck(kCheck));
}

TEST(PrefixProofEvaluate, WrongCommitmentGivesAnotherRoot) {
  NaivePrefixTree tree;
  tree.Set(Key("0"), Commitment(1));
  tree.Set(Key("1"), Commitment(2));
  const PrefixProof proof = tree.Prove({{Key("0")}});
  EXPECT_THAT(EvaluatePrefixProof(proof, {{{Key("0"), Commitment(1)}}}), IsOkAndHolds(tree.Root()));
  EXPECT_THAT(EvaluatePrefixProof(proof, {{{Key("0"), Commitment(3)}}}),
              IsOkAndHolds(::testing::Ne(tree.Root())));
}

TEST(PrefixProofEvaluate, RejectsTheKeysOwnLeafAsProofOfAbsence) {
  NaivePrefixTree tree;
  tree.Set(Key("0"), Commitment(1));
  tree.Set(Key("1"), Commitment(2));
  PrefixProof proof = tree.Prove({{Key("0")}});
  proof.results[0] = OtherLeaf({Key("0"), Commitment(1)}, 1);
  EXPECT_THAT(EvaluatePrefixProof(proof, {{{Key("0"), std::nullopt}}}), FailsCheck(kCheck));
}

// A leaf from elsewhere in the tree says nothing about the key's place.
TEST(PrefixProofEvaluate, RejectsLeafThatIsNotOnTheKeysPath) {
  const Hash sibling = Commitment(8);
  const PrefixLookup absent{Key("0010"), std::nullopt};
  const auto result = [&](const std::string& leaf, uint8_t depth) {
    return EvaluatePrefixProof(
        {{OtherLeaf({Key(leaf), Commitment(1)}, depth)}, std::vector<Hash>(depth, sibling)},
        {{absent}});
  };
  EXPECT_THAT(result("0000", 2), testing::IsOk());
  EXPECT_THAT(result("0000", 3), FailsCheck(kCheck));
  EXPECT_THAT(result("0100", 1), testing::IsOk());
  EXPECT_THAT(result("0100", 2), FailsCheck(kCheck));
  EXPECT_THAT(result("1000", 0), testing::IsOk());
  EXPECT_THAT(result("1000", 1), FailsCheck(kCheck));
}

TEST(PrefixProofEvaluate, RejectsSearchesThatDisagreeAboutOnePlace) {
  const PrefixLeaf leaf{Key("000"), Commitment(1)};
  const Hash sibling = Commitment(8);
  const PrefixLookup included{Key("000"), Commitment(1)};
  const PrefixLookup absent{Key("001"), std::nullopt}, absent_too{Key("010"), std::nullopt};
  const auto evaluate = [&](const PrefixSearchResult& a, const PrefixSearchResult& b,
                            const PrefixLookup& lookup_a, const PrefixLookup& lookup_b) {
    return EvaluatePrefixProof({{a, b}, {sibling}}, {{lookup_a, lookup_b}});
  };
  const Hash root = PrefixParentHash(PrefixLeafHash(leaf.vrf_output, leaf.commitment), sibling);

  EXPECT_THAT(evaluate(Included(1), OtherLeaf(leaf, 1), included, absent), IsOkAndHolds(root));
  EXPECT_THAT(evaluate(OtherLeaf(leaf, 1), OtherLeaf(leaf, 1), absent, absent_too),
              IsOkAndHolds(root));

  const PrefixLeaf other_commitment{leaf.vrf_output, Commitment(2)};
  const PrefixLeaf other_key{Key("0111"), Commitment(1)};
  for (const PrefixLeaf& other : {other_commitment, other_key}) {
    EXPECT_THAT(evaluate(Included(1), OtherLeaf(other, 1), included, absent), FailsCheck(kCheck));
    EXPECT_THAT(evaluate(OtherLeaf(leaf, 1), OtherLeaf(other, 1), absent, absent_too),
                FailsCheck(kCheck));
  }
  EXPECT_THAT(evaluate(Included(1), Missing(1), included, absent), FailsCheck(kCheck));
  EXPECT_THAT(evaluate(OtherLeaf(leaf, 1), Missing(1), absent, absent_too), FailsCheck(kCheck));
  EXPECT_THAT(evaluate(Included(1), Included(1), included, {Key("001"), Commitment(1)}),
              FailsCheck(kCheck));
}

// Whatever ends a search has nothing below it, so no other search can go past it. The number of
// elements is varied so that no case is refused only for their number.
TEST(PrefixProofEvaluate, RejectsSearchBelowTheEndOfAnother) {
  const VrfOutput shallow = Key("0000"), deep = Key("0001"), next = Key("0011");
  const std::vector<PrefixLookup> lookups = {
      {shallow, Commitment(1)}, {deep, Commitment(2)}, {next, Commitment(3)}};
  for (const PrefixSearchResult& end :
       {Included(2), OtherLeaf({Key("0010"), Commitment(4)}, 2), Missing(2)}) {
    for (size_t elements = 0; elements < 8; ++elements) {
      const std::vector<Hash> values(elements, Commitment(8));
      EXPECT_THAT(EvaluatePrefixProof({{end, Included(4), Included(3)}, values}, lookups),
                  FailsCheck(kCheck));
      EXPECT_THAT(EvaluatePrefixProof({{Included(4), end, Included(3)}, values}, lookups),
                  FailsCheck(kCheck));
      EXPECT_THAT(EvaluatePrefixProof({{Included(4), Included(4), end}, values}, lookups),
                  FailsCheck(kCheck));
    }
  }
}

TEST(PrefixProofEvaluate, RejectsEmptyTreeBesideAnythingElse) {
  EXPECT_THAT(EvaluatePrefixProof({{Missing(0)}, {}}, {{{Key("0"), std::nullopt}}}),
              IsOkAndHolds(Hash{}));
  EXPECT_THAT(EvaluatePrefixProof({{Missing(0)}, {Hash{}}}, {{{Key("0"), std::nullopt}}}),
              FailsCheck(kCheck));
  EXPECT_THAT(EvaluatePrefixProof({{Missing(0), Missing(1)}, {}},
                                  {{{Key("0"), std::nullopt}, {Key("1"), std::nullopt}}}),
              FailsCheck(kCheck));
}

// One content has one tree. A leaf that stands lower than it has to would give the same content a
// second root, and searches from the two would differ.
TEST(PrefixProofEvaluate, RejectsLoneLeafBelowAParent) {
  const PrefixLeaf leaf{Key("00"), Commitment(1)};
  const PrefixLookup included{leaf.vrf_output, leaf.commitment};
  const PrefixLookup absent_below{Key("001"), std::nullopt}, absent_beside{Key("01"), std::nullopt};

  // Shown by an element that is all zeros, ...
  EXPECT_THAT(EvaluatePrefixProof({{Included(1)}, {Hash{}}}, {{included}}), FailsCheck(kCheck));
  EXPECT_THAT(EvaluatePrefixProof({{Included(2)}, {Hash{}, Commitment(8)}}, {{included}}),
              FailsCheck(kCheck));
  EXPECT_THAT(
      EvaluatePrefixProof({{OtherLeaf(leaf, 2)}, {Hash{}, Commitment(8)}}, {{absent_below}}),
      FailsCheck(kCheck));
  // ... on the other side, ...
  EXPECT_THAT(
      EvaluatePrefixProof({{Included(2)}, {Hash{}, Commitment(8)}}, {{{Key("01"), Commitment(1)}}}),
      FailsCheck(kCheck));
  // ... or by another search.
  EXPECT_THAT(EvaluatePrefixProof({{Included(2), Missing(2)}, {Commitment(8)}},
                                  {{included, absent_beside}}),
              FailsCheck(kCheck));
  EXPECT_THAT(EvaluatePrefixProof({{Missing(2), OtherLeaf(leaf, 2)}, {Commitment(8)}},
                                  {{absent_beside, absent_below}}),
              FailsCheck(kCheck));
  // Higher up a parent may lack a child, and a leaf may have a neighbour.
  EXPECT_THAT(EvaluatePrefixProof({{Included(2)}, {Commitment(7), Hash{}}}, {{included}}),
              IsOkAndHolds(PrefixParentHash(
                  PrefixParentHash(PrefixLeafHash(leaf.vrf_output, leaf.commitment), Commitment(7)),
                  Hash{})));
}

TEST(PrefixProofEvaluate, RejectsParentOfNothing) {
  const PrefixLookup left{Key("00"), std::nullopt}, right{Key("01"), std::nullopt};
  EXPECT_THAT(EvaluatePrefixProof({{Missing(2)}, {Hash{}, Commitment(8)}}, {{left}}),
              FailsCheck(kCheck));
  EXPECT_THAT(EvaluatePrefixProof({{Missing(2)}, {Hash{}, Commitment(8)}}, {{right}}),
              FailsCheck(kCheck));
  EXPECT_THAT(EvaluatePrefixProof({{Missing(2), Missing(2)}, {Commitment(8)}}, {{left, right}}),
              FailsCheck(kCheck));
  EXPECT_THAT(EvaluatePrefixProof({{Missing(1)}, {Hash{}}}, {{left}}), FailsCheck(kCheck));
  // A stand-in beside a subtree is the ordinary case.
  EXPECT_THAT(EvaluatePrefixProof({{Missing(1)}, {Commitment(8)}}, {{left}}),
              IsOkAndHolds(PrefixParentHash(Hash{}, Commitment(8))));
}

// Every non-canonical variant of an honest tree: one leaf is pushed one level down, and all that
// the verifier sees is changed to fit.
TEST(PrefixProofEvaluate, RejectsEveryLeafThatIsPushedDown) {
  const uint64_t seed = testing::TestSeed(8);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  int tried = 0;
  for (int round = 0; round < 500; ++round) {
    Example example;
    for (const VrfOutput& key : ClusteredKeys(random, 1 + random.Below(10))) {
      example.tree.Set(key, random.NextHash());
    }
    const size_t chosen = random.Below(example.tree.leaves().size());
    example.keys = {std::next(example.tree.leaves().begin(), static_cast<long>(chosen))->first};
    example.Prove();
    if (example.proof.results[0].depth == 255) continue;
    ++tried;
    ASSERT_THAT(EvaluatePrefixProof(example.proof, example.lookups), testing::IsOk());

    // The new sibling is the first one on the right side, or the last one on the left side.
    const VrfOutput& key = example.keys[0];
    const unsigned depth = example.proof.results[0].depth++;
    size_t lefts = 0;
    for (unsigned i = 0; i < depth; ++i) lefts += key.bit(i);
    example.proof.elements.insert(example.proof.elements.begin() + static_cast<long>(lefts),
                                  Hash{});
    ASSERT_THAT(EvaluatePrefixProof(example.proof, example.lookups), FailsCheck(kCheck));
  }
  EXPECT_GT(tried, 400);
}

}  // namespace
}  // namespace kt::merkle
