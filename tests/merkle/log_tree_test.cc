// SPDX-License-Identifier: Apache-2.0
#include "merkle/log_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <set>
#include <sstream>

#include "tests/support/fakes.h"
#include "tests/support/naive_log_tree.h"
#include "tests/support/status_matchers.h"

namespace kt::merkle {
namespace {

using base::Hash;
using base::LogPosition;
using base::TreeSize;
using ::testing::ElementsAre;
using testing::FailsCheck;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::NaiveLogTree;
using testing::SeededRandom;
using testing::StatusIs;

NaiveLogTree RandomLog(SeededRandom& random, TreeSize size) {
  NaiveLogTree log;
  while (log.size() < size) log.Append(random.NextHash());
  return log;
}

LogPosition Begin(const LogNodeId& node) { return node.index << node.level; }
LogPosition End(const LogNodeId& node) { return (node.index + 1) << node.level; }
bool Contains(const LogNodeId& outer, const LogNodeId& inner) {
  return Begin(outer) <= Begin(inner) && End(inner) <= End(outer);
}

std::string Describe(const LogProofShape& shape) {
  std::ostringstream out;
  out << "size " << shape.size << ", leaves";
  for (LogPosition leaf : shape.leaves) out << " " << leaf;
  if (shape.retained.has_value()) out << ", retained " << *shape.retained;
  if (shape.other_size.has_value()) out << ", other " << *shape.other_size;
  return out.str();
}

// Calls `visit` with every shape of `size`: all sets of leaves, all retained and other sizes.
template <typename Visit>
void ForEachShape(TreeSize size, Visit visit) {
  for (uint64_t set = 0; set < uint64_t{1} << size; ++set) {
    LogProofShape shape;
    shape.size = size;
    for (LogPosition leaf = 0; leaf < size; ++leaf) {
      if ((set >> leaf) & 1) shape.leaves.push_back(leaf);
    }
    for (TreeSize retained = 0; retained <= size; ++retained) {
      shape.retained = retained == 0 ? std::nullopt : std::optional(retained);
      for (TreeSize other = 0; other <= size; ++other) {
        shape.other_size = other == 0 ? std::nullopt : std::optional(other);
        visit(shape);
      }
    }
  }
}

LogProofShape RandomShape(SeededRandom& random, TreeSize size, uint64_t max_leaves) {
  LogProofShape shape;
  shape.size = size;
  std::set<LogPosition> leaves;
  for (uint64_t left = random.Below(max_leaves + 1); left > 0; --left) {
    leaves.insert(random.Below(size));
  }
  shape.leaves.assign(leaves.begin(), leaves.end());
  if (random.Below(2) == 0) shape.retained = 1 + random.Below(size);
  if (random.Below(2) == 0) shape.other_size = 1 + random.Below(size);
  return shape;
}

// What an honest prover sends, and what its receiver already knows.
struct Inputs {
  std::vector<Hash> leaf_values;
  std::vector<Hash> retained_heads;
  std::vector<Hash> elements;
};

Inputs HonestInputs(const NaiveLogTree& log, const LogProofShape& shape) {
  return {log.LeafValues(shape.leaves), log.Nodes(FullSubtrees(shape.retained.value_or(0))),
          log.Nodes(RequiredNodes(shape))};
}

absl::StatusOr<LogProofResult> Evaluate(const LogProofShape& shape, const Inputs& inputs) {
  return EvaluateLogProof(shape, inputs.leaf_values, inputs.retained_heads, inputs.elements);
}

void ExpectHonestResult(const NaiveLogTree& log, const LogProofShape& shape) {
  const auto result = Evaluate(shape, HonestInputs(log, shape));
  ASSERT_THAT(result, IsOk()) << Describe(shape);
  ASSERT_EQ(result->root, log.Root(shape.size)) << Describe(shape);
  ASSERT_EQ(result->other_root.has_value(), shape.other_size.has_value());
  if (shape.other_size.has_value()) {
    ASSERT_EQ(*result->other_root, log.Root(*shape.other_size)) << Describe(shape);
  }
  ASSERT_EQ(result->full_subtrees, log.Nodes(FullSubtrees(shape.size))) << Describe(shape);
}

// --- structure and values -------------------------------------------------------------------

TEST(LogTree, FullSubtreesAreTheBitsOfTheSize) {
  EXPECT_THAT(FullSubtrees(0), IsEmpty());
  EXPECT_THAT(FullSubtrees(1), ElementsAre(LogNodeId{0, 0}));
  EXPECT_THAT(FullSubtrees(13), ElementsAre(LogNodeId{3, 0}, LogNodeId{2, 2}, LogNodeId{0, 12}));
  const std::vector<LogNodeId> most = FullSubtrees(std::numeric_limits<TreeSize>::max());
  ASSERT_EQ(most.size(), 64u);
  EXPECT_EQ(most.front(), (LogNodeId{63, 0}));
  EXPECT_EQ(most.back(), (LogNodeId{0, std::numeric_limits<TreeSize>::max() - 1}));
}

TEST(LogTree, RootOfOneLeafIsItsValue) {
  const NaiveLogTree log({SeededRandom(1).NextHash()});
  EXPECT_EQ(LogRoot(1, log.leaves()), log.leaves()[0]);
}

TEST(LogTree, RootFollowsTheDraft) {
  SeededRandom random(2);
  const NaiveLogTree log = RandomLog(random, 130);
  for (TreeSize size = 1; size <= log.size(); ++size) {
    ASSERT_EQ(LogRoot(size, log.Nodes(FullSubtrees(size))), log.Root(size)) << size;
  }
}

TEST(LogTreeBuilder, CompletesEverySubtreeOnce) {
  SeededRandom random(3);
  const NaiveLogTree log = RandomLog(random, 130);
  LogTreeBuilder builder;
  for (TreeSize size = 1; size <= log.size(); ++size) {
    std::vector<std::pair<LogNodeId, Hash>> completed;
    builder.Append(log.leaves()[size - 1], &completed);

    ASSERT_EQ(builder.size(), size);
    ASSERT_EQ(builder.Root(), log.Root(size));
    ASSERT_EQ(builder.heads(), log.Nodes(FullSubtrees(size)));
    // All balanced subtrees whose last leaf is the new one, upwards.
    std::vector<std::pair<LogNodeId, Hash>> expected;
    for (uint8_t level = 0; size % (uint64_t{1} << level) == 0; ++level) {
      const LogNodeId id{level, (size >> level) - 1};
      expected.emplace_back(id, log.Node(id));
    }
    ASSERT_EQ(completed, expected);
  }
}

TEST(LogTreeBuilder, ContinuesFromStoredHeads) {
  SeededRandom random(4);
  const NaiveLogTree log = RandomLog(random, 40);
  for (TreeSize size = 0; size < log.size(); ++size) {
    LogTreeBuilder builder(size, log.Nodes(FullSubtrees(size)));
    std::vector<std::pair<LogNodeId, Hash>> completed;
    for (TreeSize next = size; next < log.size(); ++next) {
      builder.Append(log.leaves()[next], &completed);
    }
    ASSERT_EQ(builder.Root(), log.Root());
  }
}

// A writer works on a copy and drops it when storing fails.
TEST(LogTreeBuilder, CopyIsIndependent) {
  SeededRandom random(5);
  const NaiveLogTree log = RandomLog(random, 8);
  LogTreeBuilder builder(7, log.Nodes(FullSubtrees(7)));
  LogTreeBuilder copy = builder;
  std::vector<std::pair<LogNodeId, Hash>> completed;
  copy.Append(log.leaves()[7], &completed);
  EXPECT_EQ(copy.Root(), log.Root(8));
  EXPECT_EQ(builder.Root(), log.Root(7));
}

TEST(LogTreeBuilderDeathTest, RefusesHeadsThatDoNotFitTheSize) {
  EXPECT_DEATH(LogTreeBuilder(3, {Hash{}}), "");
  EXPECT_DEATH(LogTreeBuilder().Root(), "");
}

// --- which nodes a proof contains -----------------------------------------------------------

// The draft's last appendix: a returning user's search in a log of 13 entries.
TEST(LogRequiredNodes, AreThoseOfTheDraftsWorkedExample) {
  const LogProofShape shape{13, {7, 11, 12}, 4, std::nullopt};
  EXPECT_THAT(RequiredNodes(shape),
              ElementsAre(LogNodeId{1, 2}, LogNodeId{0, 6}, LogNodeId{1, 4}, LogNodeId{0, 10}));
  SeededRandom random(6);
  ExpectHonestResult(RandomLog(random, 13), shape);
}

// "Tree Construction / Log Tree": leaf 2 of 6, and from 5 to 7 leaves.
TEST(LogRequiredNodes, AreThoseOfTheDraftsFigures) {
  EXPECT_THAT(RequiredNodes({6, {2}, std::nullopt, std::nullopt}),
              ElementsAre(LogNodeId{1, 0}, LogNodeId{0, 3}, LogNodeId{1, 2}));
  EXPECT_THAT(RequiredNodes({7, {}, 5, std::nullopt}),
              ElementsAre(LogNodeId{0, 5}, LogNodeId{0, 6}));
}

TEST(LogRequiredNodes, NothingKnownMeansTheFullSubtrees) {
  EXPECT_EQ(RequiredNodes({13, {}, std::nullopt, std::nullopt}), FullSubtrees(13));
}

TEST(LogRequiredNodes, NothingIsNeededWhenAllIsKnown) {
  EXPECT_THAT(RequiredNodes({13, {}, 13, std::nullopt}), IsEmpty());
  EXPECT_THAT(RequiredNodes({13, {}, 13, 12}), IsEmpty());
  EXPECT_THAT(RequiredNodes({3, {0, 1, 2}, std::nullopt, 2}), IsEmpty());
}

// The auditor's tree ends inside a subtree of which nothing is known: both its sides are needed.
TEST(LogRequiredNodes, SplitWhereTheOtherTreeEnds) {
  EXPECT_THAT(RequiredNodes({8, {}, std::nullopt, 5}),
              ElementsAre(LogNodeId{2, 0}, LogNodeId{0, 4}, LogNodeId{0, 5}, LogNodeId{1, 3}));
  EXPECT_THAT(RequiredNodes({12, {9}, 8, 10}), ElementsAre(LogNodeId{0, 8}, LogNodeId{1, 5}));
}

// It ends inside a retained subtree: the other root must be shown to belong to what was seen.
TEST(LogRequiredNodes, RecomputeRetainedSubtreeWhereTheOtherTreeEnds) {
  EXPECT_THAT(RequiredNodes({9, {}, 8, 6}),
              ElementsAre(LogNodeId{2, 0}, LogNodeId{1, 2}, LogNodeId{1, 3}, LogNodeId{0, 8}));
  EXPECT_THAT(RequiredNodes({100, {}, 100, 98}), ElementsAre(LogNodeId{1, 48}, LogNodeId{1, 49}));
}

// The same question answered by search. A set of heads will do if
//  - none of them stands for something that must be shown: a known leaf, a retained subtree, or
//    (being larger) a full subtree of the other tree;
//  - with it the full subtrees of both trees can be computed;
//  - and so can, without its own value, each retained subtree in which there is a known leaf or the
//    end of the other tree.
class BruteForce {
 public:
  explicit BruteForce(const LogProofShape& shape) : shape_(shape) {
    for (uint8_t level = 0; (shape.size >> level) > 0; ++level) {
      for (uint64_t index = 0; index < shape.size >> level; ++index) {
        bit_[LogNodeId{level, index}] = nodes_.size();
        nodes_.push_back({level, index});
      }
    }
    for (LogPosition leaf : shape.leaves) leaves_.push_back({0, leaf});
    retained_ = FullSubtrees(shape.retained.value_or(0));
    other_ = FullSubtrees(shape.other_size.value_or(0));
  }

  // All smallest sets that will do, each as the sorted list of its nodes.
  std::set<std::set<LogNodeId>> SmallestSets() const {
    std::vector<LogNodeId> candidates;
    for (const LogNodeId& node : nodes_) {
      if (MayStandIn(node)) candidates.push_back(node);
    }
    std::set<std::set<LogNodeId>> found;
    for (size_t count = 0; found.empty() && count <= candidates.size(); ++count) {
      std::vector<bool> chosen(candidates.size(), false);
      std::fill(chosen.begin(), chosen.begin() + static_cast<long>(count), true);
      do {
        std::set<LogNodeId> set;
        for (size_t i = 0; i < candidates.size(); ++i) {
          if (chosen[i]) set.insert(candidates[i]);
        }
        if (WillDo(set)) found.insert(set);
      } while (std::prev_permutation(chosen.begin(), chosen.end()));
    }
    return found;
  }

 private:
  bool MayStandIn(const LogNodeId& node) const {
    const auto inside = [&](const LogNodeId& inner) { return Contains(node, inner); };
    return std::none_of(leaves_.begin(), leaves_.end(), inside) &&
           std::none_of(retained_.begin(), retained_.end(), inside) &&
           std::none_of(other_.begin(), other_.end(),
                        [&](const LogNodeId& inner) { return inner != node && inside(inner); });
  }

  bool WillDo(const std::set<LogNodeId>& set) const {
    uint64_t given = 0;
    for (const LogNodeId& node : set) given |= Mask(node);
    for (const LogNodeId& node : leaves_) given |= Mask(node);
    for (const LogNodeId& node : retained_) given |= Mask(node);
    const uint64_t all = Computable(given);
    for (const std::vector<LogNodeId>& targets : {FullSubtrees(shape_.size), other_}) {
      for (const LogNodeId& target : targets) {
        if ((all & Mask(target)) == 0) return false;
      }
    }
    for (const LogNodeId& head : retained_) {
      const auto within = [&](const LogNodeId& node) {
        return node != head && Contains(head, node);
      };
      const bool must_be_shown = std::any_of(leaves_.begin(), leaves_.end(), within) ||
                                 std::any_of(other_.begin(), other_.end(), within);
      if (must_be_shown && (Computable(given & ~Mask(head)) & Mask(head)) == 0) return false;
    }
    return true;
  }

  // Nodes are ordered by level, so that one pass is enough.
  uint64_t Computable(uint64_t given) const {
    for (const LogNodeId& node : nodes_) {
      if (node.level == 0) continue;
      const uint8_t below = static_cast<uint8_t>(node.level - 1);
      const uint64_t halves = Mask({below, 2 * node.index}) | Mask({below, 2 * node.index + 1});
      if ((given & halves) == halves) given |= Mask(node);
    }
    return given;
  }

  uint64_t Mask(const LogNodeId& node) const { return uint64_t{1} << bit_.at(node); }

  const LogProofShape& shape_;
  std::vector<LogNodeId> nodes_;
  std::map<LogNodeId, size_t> bit_;
  std::vector<LogNodeId> leaves_, retained_, other_;
};

void ExpectSmallestSet(const LogProofShape& shape) {
  const std::vector<LogNodeId> required = RequiredNodes(shape);
  for (size_t i = 1; i < required.size(); ++i) {
    ASSERT_LE(End(required[i - 1]), Begin(required[i])) << Describe(shape);
  }
  const std::set<LogNodeId> as_set(required.begin(), required.end());
  ASSERT_THAT(BruteForce(shape).SmallestSets(), ElementsAre(as_set)) << Describe(shape);
}

TEST(LogRequiredNodes, AreTheOnlySmallestSetInEverySmallTree) {
  for (TreeSize size = 1; size <= 7; ++size) ForEachShape(size, ExpectSmallestSet);
}

TEST(LogRequiredNodes, AreTheOnlySmallestSetInLargerTrees) {
  const uint64_t seed = testing::TestSeed(7);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  for (int round = 0; round < 150; ++round) {
    ExpectSmallestSet(RandomShape(random, 7 + random.Below(6), 5));
  }
}

TEST(LogRequiredNodesDeathTest, RefusesShapesThatTheAlgorithmsCannotMake) {
  EXPECT_DEATH(RequiredNodes({0, {}, std::nullopt, std::nullopt}), "");
  EXPECT_DEATH(RequiredNodes({4, {2, 1}, std::nullopt, std::nullopt}), "");
}

// --- evaluation -----------------------------------------------------------------------------

TEST(LogProofEvaluate, GivesBothRootsForEveryShapeOfSmallTrees) {
  SeededRandom random(8);
  const NaiveLogTree log = RandomLog(random, 8);
  for (TreeSize size = 1; size <= log.size(); ++size) {
    ForEachShape(size, [&](const LogProofShape& shape) { ExpectHonestResult(log, shape); });
  }
}

TEST(LogProofEvaluate, GivesBothRootsInLargerTrees) {
  const uint64_t seed = testing::TestSeed(9);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  const NaiveLogTree log = RandomLog(random, 600);
  for (int round = 0; round < 500; ++round) {
    ExpectHonestResult(log, RandomShape(random, 1 + random.Below(log.size()), 20));
  }
}

// A user who follows the log from size to size ends up with the right heads.
TEST(LogProofEvaluate, HeadsServeTheNextProof) {
  const uint64_t seed = testing::TestSeed(10);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  const NaiveLogTree log = RandomLog(random, 300);
  std::optional<TreeSize> retained;
  std::vector<Hash> heads;
  for (TreeSize size = 1; size <= log.size(); size += 1 + random.Below(9)) {
    LogProofShape shape = RandomShape(random, size, 4);
    shape.retained = retained;
    ASSERT_OK_AND_ASSIGN(const LogProofResult result,
                         EvaluateLogProof(shape, log.LeafValues(shape.leaves), heads,
                                          log.Nodes(RequiredNodes(shape))));
    ASSERT_EQ(result.root, log.Root(size));
    retained = size;
    heads = result.full_subtrees;
  }
}

// In a log of equal leaves a node's value depends on its level only, so that trees of any size have
// known values.
TEST(LogProofEvaluate, WorksUpToTheGreatestSizes) {
  const uint64_t seed = testing::TestSeed(11);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  std::vector<Hash> value_at_level = {random.NextHash()};
  while (value_at_level.size() < 64) {
    const std::vector<Hash> leaves(2, value_at_level.back());
    const uint8_t prefix = value_at_level.size() == 1 ? 0 : 1;
    value_at_level.push_back(
        base::Sha256({{&prefix, 1}, leaves[0].view(), {&prefix, 1}, leaves[1].view()}));
  }
  const auto values = [&](const std::vector<LogNodeId>& ids) {
    std::vector<Hash> result;
    for (const LogNodeId& id : ids) result.push_back(value_at_level[id.level]);
    return result;
  };
  const TreeSize sizes[] = {std::numeric_limits<TreeSize>::max(), (uint64_t{1} << 63) + 1,
                            uint64_t{1} << 63, (uint64_t{1} << 63) - 1,
                            (uint64_t{1} << 40) + 12345};
  for (TreeSize size : sizes) {
    for (int round = 0; round < 60; ++round) {
      LogProofShape shape = RandomShape(random, size, 30);
      std::set<LogPosition> leaves(shape.leaves.begin(), shape.leaves.end());
      if (round % 2 == 0) leaves.insert({0, size / 2, size - 1});
      shape.leaves.assign(leaves.begin(), leaves.end());
      if (round % 3 == 0) shape.retained = size - random.Below(3);
      if (round % 5 == 0) shape.other_size = size - random.Below(3);
      const std::vector<LogNodeId> required = RequiredNodes(shape);
      ASSERT_LE(required.size(), 64 * (shape.leaves.size() + 3)) << Describe(shape);
      for (size_t i = 1; i < required.size(); ++i) {
        ASSERT_LT(Begin(required[i - 1]), Begin(required[i])) << Describe(shape);
      }

      ASSERT_OK_AND_ASSIGN(
          const LogProofResult result,
          EvaluateLogProof(shape, std::vector<Hash>(shape.leaves.size(), value_at_level[0]),
                           values(FullSubtrees(shape.retained.value_or(0))), values(required)));
      ASSERT_EQ(result.full_subtrees, values(FullSubtrees(size)));
      ASSERT_EQ(result.root, LogRoot(size, values(FullSubtrees(size))));
      if (shape.other_size.has_value()) {
        ASSERT_EQ(*result.other_root,
                  LogRoot(*shape.other_size, values(FullSubtrees(*shape.other_size))));
      }
    }
  }
}

// --- what a verifier must not accept ----------------------------------------------------------

TEST(LogProofEvaluate, RejectsMissingAndSpareElements) {
  const uint64_t seed = testing::TestSeed(12);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  const NaiveLogTree log = RandomLog(random, 60);
  for (int round = 0; round < 200; ++round) {
    const LogProofShape shape = RandomShape(random, 1 + random.Below(log.size()), 5);
    Inputs inputs = HonestInputs(log, shape);
    inputs.elements.push_back(random.NextHash());
    ASSERT_THAT(Evaluate(shape, inputs), FailsCheck("inclusion-proof")) << Describe(shape);
    inputs.elements.pop_back();
    if (inputs.elements.empty()) continue;
    inputs.elements.pop_back();
    ASSERT_THAT(Evaluate(shape, inputs), FailsCheck("inclusion-proof")) << Describe(shape);
  }
}

// Whatever value is changed shows: in one of the roots, or as a contradiction to what was retained.
TEST(LogProofEvaluate, EveryValueCounts) {
  const uint64_t seed = testing::TestSeed(13);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  const NaiveLogTree log = RandomLog(random, 40);
  int contradictions = 0;
  for (int round = 0; round < 300; ++round) {
    const LogProofShape shape = RandomShape(random, 1 + random.Below(log.size()), 5);
    Inputs inputs = HonestInputs(log, shape);
    for (std::vector<Hash>* values :
         {&inputs.leaf_values, &inputs.retained_heads, &inputs.elements}) {
      for (Hash& value : *values) {
        uint8_t& byte = value.bytes[random.Below(value.bytes.size())];
        const uint8_t mask = static_cast<uint8_t>(1 << random.Below(8));
        byte ^= mask;
        const auto result = Evaluate(shape, inputs);
        if (!result.ok()) {
          ASSERT_THAT(result, FailsCheck("retained-subtree"));
          ++contradictions;
        } else {
          // A value inside the other tree changes its root too, but the log's own root at least.
          ASSERT_NE(result->root, log.Root(shape.size)) << Describe(shape);
        }
        byte ^= mask;
      }
    }
  }
  EXPECT_GT(contradictions, 100);
}

// A log that shows one user an entry, and later another one in its place, must not get away with it
// by proving the new entry below a subtree that the user has retained.
TEST(LogProofEvaluate, RejectsRewrittenEntryInRetainedSubtree) {
  SeededRandom random(14);
  const NaiveLogTree honest = RandomLog(random, 11);
  for (TreeSize retained = 1; retained <= honest.size(); ++retained) {
    for (LogPosition rewritten = 0; rewritten < retained; ++rewritten) {
      std::vector<Hash> leaves = honest.leaves();
      leaves[rewritten] = random.NextHash();
      const NaiveLogTree forked(leaves);
      const LogProofShape shape{forked.size(), {rewritten}, retained, std::nullopt};
      Inputs inputs = HonestInputs(forked, shape);
      ASSERT_THAT(Evaluate(shape, inputs), IsOk());
      inputs.retained_heads = honest.Nodes(FullSubtrees(retained));
      ASSERT_THAT(Evaluate(shape, inputs), FailsCheck("retained-subtree")) << Describe(shape);
    }
  }
}

// An auditor who was shown another log must not vouch for this one: its root is computed from what
// the user has seen, wherever its tree ends.
TEST(LogProofEvaluate, OtherRootIsTiedToWhatWasRetained) {
  SeededRandom random(15);
  const NaiveLogTree honest = RandomLog(random, 11);
  for (TreeSize retained = 1; retained <= honest.size(); ++retained) {
    for (TreeSize audited = 1; audited <= honest.size(); ++audited) {
      for (LogPosition rewritten = 0; rewritten < std::min(audited, retained); ++rewritten) {
        std::vector<Hash> leaves = honest.leaves();
        leaves[rewritten] = random.NextHash();
        const NaiveLogTree shown_to_auditor(leaves);
        const LogProofShape shape{honest.size(), {}, retained, audited};
        Inputs inputs = HonestInputs(honest, shape);
        inputs.elements = shown_to_auditor.Nodes(RequiredNodes(shape));
        const auto result = Evaluate(shape, inputs);
        if (result.ok()) {
          ASSERT_NE(*result->other_root, shown_to_auditor.Root(audited)) << Describe(shape);
        } else {
          ASSERT_THAT(result, FailsCheck("retained-subtree"));
        }
      }
    }
  }
}

TEST(LogProofEvaluate, RefusesShapesThatMakeNoSense) {
  SeededRandom random(16);
  const NaiveLogTree log = RandomLog(random, 6);
  const auto evaluate = [&](const LogProofShape& shape, size_t leaves, size_t retained) {
    return EvaluateLogProof(shape, std::vector<Hash>(leaves), std::vector<Hash>(retained), {});
  };
  constexpr auto kMalformed = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(evaluate({0, {}, {}, {}}, 0, 0), StatusIs(kMalformed));
  EXPECT_THAT(evaluate({6, {3, 2}, {}, {}}, 2, 0), StatusIs(kMalformed));
  EXPECT_THAT(evaluate({6, {3, 3}, {}, {}}, 2, 0), StatusIs(kMalformed));
  EXPECT_THAT(evaluate({6, {6}, {}, {}}, 1, 0), StatusIs(kMalformed));
  EXPECT_THAT(evaluate({6, {}, 0, {}}, 0, 0), StatusIs(kMalformed));
  EXPECT_THAT(evaluate({6, {}, 7, {}}, 0, 3), StatusIs(kMalformed));
  EXPECT_THAT(evaluate({6, {}, {}, 0}, 0, 0), StatusIs(kMalformed));
  EXPECT_THAT(evaluate({6, {}, {}, 7}, 0, 0), StatusIs(kMalformed));
  EXPECT_THAT(evaluate({6, {1}, {}, {}}, 0, 0), StatusIs(kMalformed));
  EXPECT_THAT(evaluate({6, {}, {}, {}}, 1, 0), StatusIs(kMalformed));
  EXPECT_THAT(evaluate({6, {}, 6, {}}, 0, 1), StatusIs(kMalformed));
  EXPECT_THAT(evaluate({6, {}, {}, {}}, 0, 2), StatusIs(kMalformed));
  EXPECT_THAT(evaluate({6, {}, 6, 6}, 0, 2), IsOk());
}

}  // namespace
}  // namespace kt::merkle
