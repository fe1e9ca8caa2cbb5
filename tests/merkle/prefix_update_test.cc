// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_update.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "merkle/prefix_node.h"
#include "tests/support/fakes.h"
#include "tests/support/naive_prefix_tree.h"
#include "tests/support/status_matchers.h"

namespace kt::merkle {
namespace {

using base::Hash;
using base::VrfOutput;
using testing::FailsCheck;
using testing::IsOk;
using testing::NaivePrefixTree;
using testing::SeededRandom;
using testing::TestSeed;

// A change of keys: their commitments before and after.
using Changes = std::map<VrfOutput, std::pair<std::optional<Hash>, std::optional<Hash>>>;

std::vector<VrfOutput> KeysOf(const Changes& changes) {
  std::vector<VrfOutput> keys;
  for (const auto& [key, change] : changes) keys.push_back(key);
  return keys;
}

absl::StatusOr<PrefixRoots> Evaluate(const PrefixProof& proof, const Changes& changes) {
  std::vector<PrefixChange> list;
  for (const auto& [key, change] : changes) {
    list.push_back({&key, &proof.results.at(list.size()),
                    change.first.has_value() ? &*change.first : nullptr,
                    change.second.has_value() ? &*change.second : nullptr});
  }
  return EvaluatePrefixUpdate(proof.elements, list);
}

NaivePrefixTree Apply(NaivePrefixTree tree, const Changes& changes) {
  for (const auto& [key, change] : changes) {
    if (change.first.has_value()) tree.Remove(key);
    if (change.second.has_value()) tree.Set(key, *change.second);
  }
  return tree;
}

// A key out of few bits, so that keys share long prefixes and stand beside each other.
VrfOutput CrowdedKey(SeededRandom& random) {
  VrfOutput key;
  key.bytes[0] = static_cast<uint8_t>(random.Below(8) << 5);
  const uint64_t bit = random.Below(14);
  if (bit >= 3) {
    const uint64_t at = bit * bit * bit % 256;
    key.bytes[at / 8] |= static_cast<uint8_t>(0x80 >> (at % 8));
  }
  return key;
}

// Names, for each key that goes, the nearest leaf that stays as replaced by itself.
void TouchNeighbours(const NaivePrefixTree& before, Changes* changes) {
  const NaivePrefixTree after = Apply(before, *changes);
  Changes touched;
  for (const auto& [key, change] : *changes) {
    if (change.second.has_value()) continue;
    const NaivePrefixTree::Leaves::value_type* nearest = nullptr;
    for (const auto& leaf : after.leaves()) {
      if (nearest == nullptr || SharedBits(key, leaf.first) > SharedBits(key, nearest->first)) {
        nearest = &leaf;
      }
    }
    if (nearest != nullptr) touched[nearest->first] = {nearest->second, nearest->second};
  }
  changes->merge(touched);
}

TEST(PrefixUpdate, AgreesWithTheNaiveTreeOnRandomAdditionsRemovalsAndReplacements) {
  const uint64_t seed = TestSeed(31);
  SCOPED_TRACE("KT_TEST_SEED=" + std::to_string(seed));
  SeededRandom random(seed);
  int undetermined = 0;
  for (int round = 0; round < 1500; ++round) {
    NaivePrefixTree tree;
    for (uint64_t i = random.Below(12); i > 0; --i) {
      tree.Set(round % 3 == 0 ? random.NextVrfOutput() : CrowdedKey(random), random.NextHash());
    }
    Changes changes;
    for (uint64_t i = random.Below(6); i > 0; --i) {
      const VrfOutput key = CrowdedKey(random);
      if (!tree.leaves().contains(key)) changes[key] = {std::nullopt, random.NextHash()};
    }
    for (const auto& [key, commitment] : tree.leaves()) {
      if (random.Below(4) != 0) continue;
      changes[key] = {commitment, std::nullopt};
      if (random.Below(2) == 0) changes[key].second = random.NextHash();
    }
    const auto bare = Evaluate(tree.Prove(KeysOf(changes)), changes);
    if (bare.ok()) {
      EXPECT_EQ(bare->after, Apply(tree, changes).Root());
    } else {
      ASSERT_THAT(bare, FailsCheck("prefix-update"));
      ++undetermined;
    }
    TouchNeighbours(tree, &changes);
    ASSERT_OK_AND_ASSIGN(const PrefixRoots roots, Evaluate(tree.Prove(KeysOf(changes)), changes));
    ASSERT_EQ(roots.before, tree.Root());
    ASSERT_EQ(roots.after, Apply(tree, changes).Root());
  }
  EXPECT_GT(undetermined, 50);
}

class PrefixUpdateRejects : public ::testing::Test {
 protected:
  PrefixUpdateRejects() : random_(5) {
    for (int i = 0; i < 40; ++i) tree_.Set(random_.NextVrfOutput(), random_.NextHash());
    for (int i = 0; i < 10; ++i) {
      changes_[random_.NextVrfOutput()] = {std::nullopt, random_.NextHash()};
    }
    proof_ = tree_.Prove(KeysOf(changes_));
  }

  SeededRandom random_;
  NaivePrefixTree tree_;
  Changes changes_;
  PrefixProof proof_;
};

TEST_F(PrefixUpdateRejects, NothingOfAnHonestProof) {
  ASSERT_OK_AND_ASSIGN(const PrefixRoots roots, Evaluate(proof_, changes_));
  EXPECT_EQ(roots.before, tree_.Root());
}

TEST_F(PrefixUpdateRejects, MissingAndSurplusElements) {
  PrefixProof proof = proof_;
  proof.elements.pop_back();
  EXPECT_THAT(Evaluate(proof, changes_), FailsCheck("prefix-proof"));
  proof = proof_;
  proof.elements.push_back(Hash{});
  EXPECT_THAT(Evaluate(proof, changes_), FailsCheck("prefix-proof"));
  EXPECT_THAT(EvaluatePrefixUpdate({}, {}), FailsCheck("prefix-proof"));
  EXPECT_THAT(EvaluatePrefixUpdate(std::vector<Hash>(2), {}), FailsCheck("prefix-proof"));
}

// Whatever byte is changed, the old root is another one or the proof is refused.
TEST_F(PrefixUpdateRejects, AnyAlteredResultOrElement) {
  for (size_t i = 0; i < proof_.elements.size(); ++i) {
    PrefixProof proof = proof_;
    proof.elements[i].bytes[i % 32] ^= 1;
    const auto roots = Evaluate(proof, changes_);
    if (roots.ok()) {
      EXPECT_NE(roots->before, tree_.Root());
    }
  }
  for (size_t i = 0; i < proof_.results.size(); ++i) {
    for (const uint8_t depth : {0, 1, 255}) {
      PrefixProof proof = proof_;
      if (proof.results[i].depth == depth) continue;
      proof.results[i].depth = depth;
      const auto roots = Evaluate(proof, changes_);
      if (roots.ok()) {
        EXPECT_NE(roots->before, tree_.Root());
      }
    }
    PrefixProof proof = proof_;
    proof.results[i].leaf.commitment.bytes[0] ^= 1;
    const auto roots = Evaluate(proof, changes_);
    if (roots.ok() && proof.results[i].result_type == PrefixSearchResultType::kNonInclusionLeaf) {
      EXPECT_NE(roots->before, tree_.Root());
    }
  }
}

TEST_F(PrefixUpdateRejects, InclusionWithoutACommitmentAndTheReverse) {
  PrefixProof proof = proof_;
  proof.results[0].result_type = PrefixSearchResultType::kInclusion;
  EXPECT_THAT(Evaluate(proof, changes_), FailsCheck("prefix-proof"));
  changes_.begin()->second.first = Hash{};
  EXPECT_THAT(Evaluate(proof_, changes_), FailsCheck("prefix-proof"));
}

TEST_F(PrefixUpdateRejects, AbsenceShownByTheKeysOwnLeafOrOneOffThePath) {
  PrefixProof proof = proof_;
  for (size_t i = 0; i < proof.results.size(); ++i) {
    PrefixSearchResult& result = proof.results[i];
    if (result.result_type != PrefixSearchResultType::kNonInclusionLeaf) continue;
    const PrefixSearchResult honest = result;
    result.leaf.vrf_output = KeysOf(changes_)[i];
    EXPECT_THAT(Evaluate(proof, changes_), FailsCheck("prefix-proof"));
    result = honest;
    result.leaf.vrf_output.bytes[0] ^= 0x80;
    EXPECT_THAT(Evaluate(proof, changes_), FailsCheck("prefix-proof"));
    return;
  }
  FAIL() << "no search ends at another leaf";
}

VrfOutput Key(uint8_t first, uint8_t last = 0) {
  VrfOutput key;
  key.bytes[0] = first;
  key.bytes[31] = last;
  return key;
}

TEST(PrefixUpdate, RejectsSearchesThatDisagreeAboutOnePlace) {
  // Two keys below an empty place at depth 1.
  const Changes changes = {{Key(0x80), {std::nullopt, Hash{}}},
                           {Key(0xc0), {std::nullopt, Hash{}}}};
  PrefixProof proof;
  proof.results = {{PrefixSearchResultType::kNonInclusionParent, {}, 1},
                   {PrefixSearchResultType::kNonInclusionParent, {}, 1}};
  proof.elements = {testing::SeededRandom(1).NextHash()};
  ASSERT_THAT(Evaluate(proof, changes), IsOk());
  PrefixProof other = proof;
  other.results[1] = {PrefixSearchResultType::kNonInclusionLeaf, {Key(0xa0), Hash{}}, 1};
  EXPECT_THAT(Evaluate(other, changes), FailsCheck("prefix-proof"));
  other = proof;
  other.results[1].depth = 2;
  EXPECT_THAT(Evaluate(other, changes), FailsCheck("prefix-proof"));
}

TEST(PrefixUpdate, RejectsAnOldTreeThatIsNotCanonical) {
  const Changes changes = {{Key(0x80), {std::nullopt, Hash{}}}};
  PrefixProof proof;
  proof.results = {{PrefixSearchResultType::kNonInclusionLeaf, {Key(0xc0), Hash{}}, 1}};
  proof.elements = {Hash{}};  // a lone leaf beside nothing
  EXPECT_THAT(Evaluate(proof, changes), FailsCheck("prefix-proof"));
}

// The nearest that two leaves can stand is depth 255: an octet cannot say 256.
TEST(PrefixUpdate, RejectsLeavesThatDifferInTheirLastBitOnly) {
  NaivePrefixTree tree;
  tree.Set(Key(1, 0), Hash{});
  Changes changes = {{Key(1, 2), {std::nullopt, Hash{}}}};
  ASSERT_OK_AND_ASSIGN(const PrefixRoots roots, Evaluate(tree.Prove(KeysOf(changes)), changes));
  EXPECT_EQ(roots.after, Apply(tree, changes).Root());
  changes = {{Key(1, 1), {std::nullopt, Hash{}}}};
  EXPECT_THAT(Evaluate(tree.Prove(KeysOf(changes)), changes), FailsCheck("prefix-update"));
}

}  // namespace
}  // namespace kt::merkle
