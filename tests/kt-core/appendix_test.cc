// SPDX-License-Identifier: Apache-2.0
//
// Against tests/vectors/appendix.json, which generate_appendix_vectors.py makes from the draft's
// appendices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "kt-core/algorithms.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/implicit_tree.h"
#include "tests/kt-core/reference.h"
#include "tests/support/fake_proof_source.h"
#include "tests/support/paths.h"
#include "tests/support/status_matchers.h"

namespace kt::core {
namespace {

using base::LogPosition;
using base::TreeSize;
using base::Version;
using nlohmann::json;
using testing::FakeProofSource;
using Positions = std::vector<LogPosition>;
using Versions = std::vector<Version>;

const json& Vectors() {
  static const json vectors =
      json::parse(std::ifstream(kt::testing::SourceDir() + "/tests/vectors/appendix.json"));
  return vectors;
}

// [left, right], -1 for none.
std::vector<int64_t> Children(LogPosition position, TreeSize size) {
  const auto number = [](std::optional<LogPosition> child) {
    return child.has_value() ? static_cast<int64_t>(*child) : -1;
  };
  return {number(LeftChild(position)), number(RightChild(position, size))};
}

TEST(ImplicitTree, AgreesWithTheAppendix) {
  for (const json& tree : Vectors()["trees"]) {
    const TreeSize size = tree["size"];
    SCOPED_TRACE(size);
    EXPECT_EQ(Frontier(size), tree["frontier"].get<Positions>());
    EXPECT_EQ(RootEntry(size), tree["frontier"][0]);
    for (LogPosition x = 0; x < size; ++x) {
      EXPECT_EQ(Children(x, size), tree["children"][x].get<std::vector<int64_t>>()) << x;
    }
  }
}

TEST(ImplicitTree, AgreesWithTheAppendixInLargeLogs) {
  for (const json& tree : Vectors()["large_trees"]) {
    const TreeSize size = tree["size"];
    SCOPED_TRACE(size);
    EXPECT_EQ(Frontier(size), tree["frontier"].get<Positions>());
    EXPECT_EQ(RootEntry(size), tree["frontier"][0]);
    for (const json& entry : tree["entries"]) {
      const LogPosition x = entry["entry"];
      EXPECT_EQ(PathFromRoot(x, size), entry["path"].get<Positions>()) << x;
      EXPECT_EQ(Children(x, size), entry["children"].get<std::vector<int64_t>>()) << x;
    }
  }
}

TEST(ImplicitTree, PathsAndChildrenAgreeInSmallLogs) {
  for (TreeSize size = 1; size <= 70; ++size) {
    const ReferenceLog reference(std::vector<uint64_t>(size, 0), {});
    EXPECT_EQ(Frontier(size), reference.Frontier());
    for (LogPosition x = 0; x < size; ++x) {
      Positions path = reference.DirectPath(x);
      std::reverse(path.begin(), path.end());
      EXPECT_EQ(PathFromRoot(x, size), path);
      EXPECT_EQ(LeftChild(x), reference.node(x).left);
      EXPECT_EQ(RightChild(x, size), reference.node(x).right);
    }
  }
}

TEST(ImplicitTree, EndsAtTheLargestSize) {
  const TreeSize largest = std::numeric_limits<TreeSize>::max();
  EXPECT_EQ(RootEntry(largest), (uint64_t{1} << 63) - 1);
  EXPECT_EQ(Frontier(largest).size(), 64u);
  EXPECT_EQ(Frontier(largest).back(), largest - 1);
  EXPECT_EQ(PathFromRoot(largest - 1, largest).size(), 63u);
  EXPECT_EQ(PathFromRoot(0, largest).size(), 63u);
}

TEST(BaseBinaryLadder, AgreesWithTheAppendix) {
  for (const json& row : Vectors()["base_ladders"]) {
    EXPECT_EQ(BaseBinaryLadder(row["greatest"]), row["versions"].get<Versions>())
        << row["greatest"];
  }
}

TEST(BaseBinaryLadder, LooksUpEachVersionOnceAndTheGreatestAmongThem) {
  for (const json& row : Vectors()["base_ladders"]) {
    const Version greatest = row["greatest"];
    const Versions ladder = BaseBinaryLadder(greatest);
    const std::set<Version> distinct(ladder.begin(), ladder.end());
    EXPECT_EQ(distinct.size(), ladder.size());
    EXPECT_LE(ladder.size(), 64u);
    EXPECT_TRUE(distinct.contains(greatest));
    if (greatest < std::numeric_limits<Version>::max()) {
      EXPECT_TRUE(distinct.contains(greatest + 1));
    }
  }
}

TEST(MonitoringBinaryLadder, AgreesWithTheAppendix) {
  for (const json& row : Vectors()["monitoring_ladders"]) {
    EXPECT_EQ(MonitoringBinaryLadder(row["target"]), row["versions"].get<Versions>())
        << row["target"];
  }
}

// The draft computes a ladder from the actual greatest version; SearchLadder finds out as it goes.
TEST(SearchLadder, AgreesWithTheAppendix) {
  constexpr LogPosition kLeft = 3, kHere = 5, kRight = 6;
  for (const json& row : Vectors()["search_ladders"]) {
    const Version target = row["target"];
    const int64_t greatest = row["greatest"];
    SCOPED_TRACE(absl::StrCat("target ", target, ", greatest ", greatest));
    LookupMemory memory;
    for (const Version version : row["left_inclusion"]) memory.Remember(kLeft, version, true);
    for (const Version version : row["right_non_inclusion"]) {
      memory.Remember(kRight, version, false);
    }
    FakeProofSource source(std::vector<uint64_t>(8, 0), [&](LogPosition, Version version) {
      return static_cast<int64_t>(version) <= greatest;
    });

    ASSERT_OK_AND_ASSIGN(const LadderOutcome outcome, SearchLadder(source, kHere, target, memory));

    EXPECT_EQ(source.series().size(), 1u);
    EXPECT_EQ(source.series()[0].position, kHere);
    EXPECT_EQ(source.series()[0].versions, row["versions"].get<Versions>());
    EXPECT_EQ(outcome, greatest < static_cast<int64_t>(target)   ? LadderOutcome::kLess
                       : greatest > static_cast<int64_t>(target) ? LadderOutcome::kGreater
                                                                 : LadderOutcome::kEqual);
  }
}

// The reference that other tests use has the same source of truth.
TEST(ReferenceSearchLadder, AgreesWithTheAppendix) {
  for (const json& row : Vectors()["search_ladders"]) {
    const int64_t greatest = row["greatest"];
    EXPECT_EQ(ReferenceSearchLadder(
                  row["target"],
                  greatest < 0 ? std::nullopt : std::optional(static_cast<Version>(greatest)),
                  row["left_inclusion"].get<std::set<Version>>(),
                  row["right_non_inclusion"].get<std::set<Version>>()),
              row["versions"].get<Versions>());
  }
}

}  // namespace
}  // namespace kt::core
