// SPDX-License-Identifier: Apache-2.0
#include "kt-server/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "kt-core/implicit_tree.h"
#include "merkle/log_tree.h"
#include "tests/support/fakes.h"

namespace kt::server {
namespace {

using base::LogPosition;
using base::TreeSize;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// All nodes of a log tree of `size` leaves.
std::vector<merkle::LogNodeId> NodesOf(TreeSize size) {
  std::vector<merkle::LogNodeId> nodes;
  for (uint8_t level = 0; size >> level > 0; ++level) {
    for (uint64_t index = 0; index < size >> level; ++index) nodes.push_back({level, index});
  }
  return nodes;
}

TEST(Retention, KeepsEverythingWithoutAHorizon) {
  EXPECT_THAT(KeptEntries(0), IsEmpty());
  EXPECT_THAT(KeptLogNodes(0), IsEmpty());
  EXPECT_TRUE(KeepsEntry(0, 0));
  EXPECT_TRUE(KeepsLogNode(0, {0, 0}));
}

TEST(Retention, KeepsTheFrontierOfWhatIsPruned) {
  EXPECT_THAT(KeptEntries(13), ElementsAre(7, 11, 12));
  for (TreeSize horizon = 1; horizon <= 130; ++horizon) {
    EXPECT_EQ(KeptEntries(horizon), core::Frontier(horizon)) << horizon;
    for (LogPosition position = 0; position < horizon + 3; ++position) {
      const auto kept = KeptEntries(horizon);
      const bool listed = std::find(kept.begin(), kept.end(), position) != kept.end();
      EXPECT_EQ(KeepsEntry(horizon, position), listed || position >= horizon)
          << horizon << " " << position;
    }
  }
}

TEST(Retention, ListsTheNodesThatItKeeps) {
  for (TreeSize horizon = 0; horizon <= 70; ++horizon) {
    std::vector<merkle::LogNodeId> expected;
    for (const merkle::LogNodeId& id : NodesOf(horizon)) {
      if (KeepsLogNode(horizon, id)) expected.push_back(id);
    }
    std::vector<merkle::LogNodeId> listed = KeptLogNodes(horizon);
    std::sort(listed.begin(), listed.end());
    EXPECT_EQ(listed, expected) << horizon;
  }
}

// So what was deleted for one horizon is never missed at a later one.
TEST(Retention, WhatIsNotKeptIsNeverKeptAgain) {
  for (TreeSize horizon = 0; horizon <= 70; ++horizon) {
    for (LogPosition position = 0; position <= 70; ++position) {
      EXPECT_LE(KeepsEntry(horizon + 1, position), KeepsEntry(horizon, position));
    }
    for (const merkle::LogNodeId& id : NodesOf(72)) {
      EXPECT_LE(KeepsLogNode(horizon + 1, id), KeepsLogNode(horizon, id))
          << horizon << ": level " << unsigned{id.level} << " index " << id.index;
    }
  }
}

TEST(Retention, GreatHorizonsDoNotOverflow) {
  const LogPosition horizon = (LogPosition{1} << 62) + 5;
  EXPECT_EQ(KeptEntries(horizon).size(), 3u);
  EXPECT_FALSE(KeepsEntry(horizon, 0));
  EXPECT_TRUE(KeepsLogNode(horizon, {62, 0}));
  EXPECT_TRUE(KeepsLogNode(horizon, {61, 0}));
  EXPECT_FALSE(KeepsLogNode(horizon, {61, 1}));
  EXPECT_FALSE(KeepsLogNode(horizon, {0, 0}));
  EXPECT_TRUE(KeepsLogNode(horizon, {0, horizon}));
  EXPECT_TRUE(KeepsLogNode(horizon, {63, 0}));
}

// The claim of docs/decisions/0008 about the log tree: no proof needs a node that is gone if all
// the leaves that it shows are kept, and all sizes that it connects are at or after the horizon.
TEST(Retention, ProofsNeedOnlyNodesThatAreKept) {
  const uint64_t seed = testing::TestSeed(3);
  SCOPED_TRACE(seed);
  testing::SeededRandom random(seed);
  for (TreeSize horizon = 1; horizon < 40; ++horizon) {
    for (TreeSize size = horizon + 1; size < 48; ++size) {
      for (int round = 0; round < 12; ++round) {
        const auto later_size = [&]() -> std::optional<TreeSize> {
          if (random.Below(2) == 0) return std::nullopt;
          return horizon + random.Below(size - horizon + 1);
        };
        merkle::LogProofShape shape;
        shape.size = size;
        shape.retained = later_size();
        shape.other_size = later_size();
        for (LogPosition position = 0; position < size; ++position) {
          if (KeepsEntry(horizon, position) && random.Below(3) == 0) {
            shape.leaves.push_back(position);
          }
        }
        for (const merkle::LogNodeId& id : merkle::RequiredNodes(shape)) {
          EXPECT_TRUE(KeepsLogNode(horizon, id))
              << "horizon " << horizon << " size " << size << " level " << unsigned{id.level}
              << " index " << id.index;
        }
      }
    }
  }
}

// And it is no more than needed: each node that is kept is required by some such proof.
TEST(Retention, EveryNodeThatIsKeptIsNeededByAProof) {
  for (TreeSize horizon = 1; horizon < 40; ++horizon) {
    std::vector<merkle::LogNodeId> needed;
    std::vector<merkle::LogProofShape> shapes;
    shapes.push_back({.size = horizon + 1, .leaves = {horizon}, .retained = {}, .other_size = {}});
    for (const LogPosition position : KeptEntries(horizon)) {
      shapes.push_back(
          {.size = horizon + 1, .leaves = {position}, .retained = {}, .other_size = {}});
    }
    for (const merkle::LogProofShape& shape : shapes) {
      const std::vector<merkle::LogNodeId> nodes = merkle::RequiredNodes(shape);
      needed.insert(needed.end(), nodes.begin(), nodes.end());
    }
    for (const merkle::LogNodeId& id : KeptLogNodes(horizon)) {
      const bool found = std::find(needed.begin(), needed.end(), id) != needed.end();
      EXPECT_TRUE(found) << "horizon " << horizon << " level " << unsigned{id.level} << " index "
                         << id.index;
    }
  }
}

// The claim about log entries: whoever looks for an entry at or after the horizon, or stands on a
// frontier, meets only entries that are kept.
TEST(Retention, PathsMeetOnlyEntriesThatAreKept) {
  for (TreeSize horizon = 1; horizon < 70; ++horizon) {
    for (TreeSize size = horizon + 1; size < 80; ++size) {
      for (const LogPosition entry : core::Frontier(size)) {
        EXPECT_TRUE(KeepsEntry(horizon, entry)) << horizon << " " << size << " " << entry;
      }
      for (LogPosition position = horizon - 1; position < size; ++position) {
        for (const LogPosition entry : core::PathFromRoot(position, size)) {
          EXPECT_TRUE(KeepsEntry(horizon, entry)) << horizon << " " << size << " " << position;
        }
      }
    }
  }
}

}  // namespace
}  // namespace kt::server
