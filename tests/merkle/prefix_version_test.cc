// SPDX-License-Identifier: Apache-2.0
//
// Who frees what of which version. What is freed too early or never, the address sanitizer tells;
// what is freed later than it could be, a chain's length.
#include "merkle/prefix_version.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/fakes.h"

namespace kt::merkle {
namespace {

using base::LogPosition;
using kt::testing::SeededRandom;
using kt::testing::TestSeed;
using Handle = std::shared_ptr<const TreeVersion>;

OwnedLeaves OneLeaf(LogPosition position) {
  const LeafRow row{.key = {}, .insert_pos = position, .commitment = {}};
  return *OwnedLeaves::Of({&row, 1});
}

// The position of the leaf that the bucket has.
LogPosition PositionOf(const BucketLeaves& leaves) {
  std::vector<LeafRow> rows;
  leaves.AppendTo(&rows);
  return rows.at(0).insert_pos;
}

// A root with sixteen tiles below, each with a leaf in its first bucket: version n has changed the
// tile n mod 16. What is not made yet has a leaf of position 0.
VersionChange FirstVersion() {
  VersionChange first;
  auto root = std::make_unique<LinkedTile>();
  for (unsigned child = 0; child < kTileChildren; ++child) {
    auto tile = std::make_unique<LinkedTile>();
    OwnedLeaves leaves = OneLeaf(0);
    tile->StartKeepingLeaves();
    tile->SetLeavesBelow(0, leaves.view());
    root->SetBelow(child, tile.get());
    first.created.Add(std::move(leaves));
    first.created.Add(std::move(tile));
  }
  first.version.root = root.get();
  first.created.Add(std::move(root));
  return first;
}

VersionChange Next(const TreeVersion& base) {
  VersionChange next;
  next.version.size = base.size + 1;
  const unsigned child = next.version.size % kTileChildren;
  const LinkedTile* const before = base.root->below(child);
  auto root = std::make_unique<LinkedTile>(*base.root);
  auto tile = std::make_unique<LinkedTile>(*before);
  OwnedLeaves leaves = OneLeaf(next.version.size);
  tile->SetLeavesBelow(0, leaves.view());
  root->SetBelow(child, tile.get());
  next.version.root = root.get();
  next.replaced.tiles = {base.root, before};
  next.replaced.leaves = {before->leaves_below(0)};
  next.created.Add(std::move(root));
  next.created.Add(std::move(tile));
  next.created.Add(std::move(leaves));
  return next;
}

void AppendOne(VersionChain* chain) {
  chain->FreePassed();
  const Handle base = chain->Newest();
  chain->Append(*base, Next(*base));
}

void ExpectIntact(const TreeVersion& version) {
  for (unsigned child = 0; child < kTileChildren; ++child) {
    LogPosition changed = version.size - (version.size - child) % kTileChildren;
    if (changed > version.size) changed = 0;  // below zero: not yet
    EXPECT_EQ(PositionOf(version.root->below(child)->leaves_below(0)), changed) << child;
  }
}

// No other is held, and it stays as it is when those are freed.
void ExpectTheNewestAlone(VersionChain* chain) {
  EXPECT_EQ(chain->length(), 1u);
  chain->FreePassed();
  ExpectIntact(*chain->Newest());
}

TEST(LinkedTile, HasTilesOrLeavesBelow) {
  LinkedTile tile;
  const LinkedTile other;
  EXPECT_EQ(tile.below(3), nullptr);
  EXPECT_FALSE(tile.keeps_leaves());
  tile.SetBelow(3, &other);
  const LinkedTile copy = tile;
  tile.SetBelow(3, nullptr);
  EXPECT_EQ(copy.below(3), &other);
  EXPECT_EQ(copy.below(4), nullptr);

  const OwnedLeaves leaves = OneLeaf(7);
  tile.StartKeepingLeaves();
  EXPECT_TRUE(tile.keeps_leaves());
  EXPECT_EQ(tile.below(3), nullptr);
  EXPECT_EQ(tile.leaves_below(5).count(), 0u);
  tile.SetLeavesBelow(5, leaves.view());
  EXPECT_EQ(PositionOf(LinkedTile(tile).leaves_below(5)), 7u);
  const LinkedTile::LeavesBelow dropped = tile.DropLeaves();
  EXPECT_EQ(PositionOf(dropped[5]), 7u);
  EXPECT_EQ(dropped[6].count(), 0u);
  EXPECT_FALSE(tile.keeps_leaves());
  EXPECT_EQ(tile.below(3), nullptr);
}

TEST(VersionChain, KeepsOneVersionIfNoOtherIsHeld) {
  const auto chain = VersionChain::Create(FirstVersion());
  for (LogPosition size = 1; size < 40; ++size) {
    AppendOne(chain.get());
    EXPECT_EQ(chain->length(), 1u);
    EXPECT_EQ(chain->Newest()->size, size);
    ExpectIntact(*chain->Newest());
  }
}

TEST(VersionChain, MayBeOfAnEmptyTree) {
  const auto chain = VersionChain::Create({});
  EXPECT_EQ(chain->Newest()->root, nullptr);
  VersionChange next = FirstVersion();
  next.version.size = 16;
  chain->Append(*chain->Newest(), std::move(next));
  EXPECT_EQ(chain->length(), 1u);
  EXPECT_EQ(chain->Newest()->size, 16u);
}

TEST(VersionChain, KeepsWhatIsHeldWhateverFollows) {
  const auto chain = VersionChain::Create(FirstVersion());
  AppendOne(chain.get());
  Handle held = chain->Newest();
  for (int i = 0; i < 1'000; ++i) AppendOne(chain.get());
  EXPECT_EQ(chain->length(), 1'001u);
  EXPECT_EQ(held->size, 1u);
  ExpectIntact(*held);
  Handle copy = held;
  held = nullptr;
  EXPECT_EQ(chain->length(), 1'001u);
  ExpectIntact(*copy);
  copy = nullptr;
  ExpectTheNewestAlone(chain.get());
}

TEST(VersionChain, IsHeldInAnyOrder) {
  const uint64_t seed = TestSeed(1);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  for (int round = 0; round < 20; ++round) {
    const auto chain = VersionChain::Create(FirstVersion());
    std::vector<Handle> held;
    const auto expect_intact = [&] {
      base::TreeSize oldest = chain->Newest()->size;
      for (const Handle& handle : held) {
        ExpectIntact(*handle);
        oldest = std::min(oldest, handle->size);
      }
      ASSERT_EQ(chain->length(), chain->Newest()->size - oldest + 1);
    };
    for (int i = 0; i < 60; ++i) {
      if (random.Below(2) == 0) AppendOne(chain.get());
      if (random.Below(2) == 0) held.push_back(chain->Newest());
      if (!held.empty() && random.Below(3) == 0) {
        held.erase(held.begin() + static_cast<ptrdiff_t>(random.Below(held.size())));
      }
      ASSERT_NO_FATAL_FAILURE(expect_intact());
    }
    while (!held.empty()) {
      held.erase(held.begin() + static_cast<ptrdiff_t>(random.Below(held.size())));
      ASSERT_NO_FATAL_FAILURE(expect_intact());
    }
  }
}

TEST(VersionChain, LivesAsLongAsAHandle) {
  auto chain = VersionChain::Create(FirstVersion());
  AppendOne(chain.get());
  const Handle old = chain->Newest();
  for (int i = 0; i < 3; ++i) AppendOne(chain.get());
  Handle newest = chain->Newest();
  chain = nullptr;
  ExpectIntact(*newest);
  newest = nullptr;
  ExpectIntact(*old);
}

TEST(VersionChain, HasNothingOfWhatIsGivenUp) {
  const auto chain = VersionChain::Create(FirstVersion());
  const Handle base = chain->Newest();
  { const VersionChange given_up = Next(*base); }
  VersionChange given_up_later = Next(*base);
  chain->Append(*base, Next(*base));
  ExpectIntact(*base);
  EXPECT_EQ(given_up_later.version.size, 1u);
  ExpectIntact(given_up_later.version);
  given_up_later = {};
  ExpectIntact(*base);
  ExpectIntact(*chain->Newest());
}

// Leaves that are made and dropped again for one version.
TEST(VersionChain, FreesOnceWhatWasCreatedAndReplaced) {
  const auto chain = VersionChain::Create(FirstVersion());
  for (const bool given_up : {true, false}) {
    const Handle base = chain->Newest();
    VersionChange next = Next(*base);
    OwnedLeaves leaves = OneLeaf(9);
    next.replaced.leaves.push_back(leaves.view());
    next.created.Add(std::move(leaves));
    if (given_up) continue;
    chain->Append(*base, std::move(next));
    ExpectIntact(*base);
  }
  ExpectTheNewestAlone(chain.get());
}

// A version may be the same tree as the one before; then one follows from either.
TEST(VersionChain, GoesOnFromAnEqualOfTheNewest) {
  const auto chain = VersionChain::Create(FirstVersion());
  Handle base = chain->Newest();
  VersionChange same;
  same.version = *base;
  chain->Append(*base, std::move(same));
  chain->Append(*base, Next(*base));
  EXPECT_EQ(chain->length(), 3u);
  ExpectIntact(*base);
  base = nullptr;
  ExpectTheNewestAlone(chain.get());
}

TEST(VersionChainDeathTest, DoesNotGoOnFromAnOlderVersion) {
  const auto chain = VersionChain::Create(FirstVersion());
  const Handle base = chain->Newest();
  chain->Append(*base, Next(*base));
  EXPECT_DEATH(chain->Append(*base, Next(*base)), "base.size == newest.version.size");
}

TEST(VersionChain, IsHeldByManyThreadsBesideAWriter) {
  const auto chain = VersionChain::Create(FirstVersion());
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  for (uint64_t reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&, reader] {
      SeededRandom random(reader);
      std::vector<Handle> held(5);
      while (!done) {
        Handle& handle = held[random.Below(held.size())];
        if (handle != nullptr) ExpectIntact(*handle);
        handle = chain->Newest();
      }
    });
  }
  Handle old = chain->Newest();
  for (int i = 0; i < 3'000; ++i) AppendOne(chain.get());
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(chain->length(), 3'001u);
  ExpectIntact(*old);
  old = nullptr;
  ExpectTheNewestAlone(chain.get());
}

}  // namespace
}  // namespace kt::merkle
