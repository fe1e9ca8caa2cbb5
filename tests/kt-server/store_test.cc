// SPDX-License-Identifier: Apache-2.0
//
// What every store promises, tried on each of them.
#include "kt-server/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kt-server/head_guard.h"
#include "tests/kt-server/store_test_util.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

#if defined(__SANITIZE_THREAD__)
#define KT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KT_TSAN 1
#endif
#endif

namespace kt::server {
namespace {

using testing::BatchMaker;
using ::testing::ElementsAre;
using testing::ExistingVersion;
using testing::HashOf;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::KeyAt;
using testing::PlannedVersion;
using testing::SeededRandom;
using testing::StatusIs;
using testing::TestSeed;
using testing::ValueRow;

enum class Kind { kMemory, kRocksDb };

std::unique_ptr<Store> MakeStore(Kind kind, const testing::TempDir& dir) {
  if (kind == Kind::kMemory) return CreateMemoryStore();
  RocksDbOptions options;
  options.path = dir.path("db");
  options.create_if_missing = true;
  options.block_cache_bytes = 8 << 20;
  absl::StatusOr<std::unique_ptr<Store>> store = OpenRocksDbStore(options);
  KT_CHECK(store.ok());
  return *std::move(store);
}

class StoreTest : public ::testing::TestWithParam<Kind> {
 protected:
  StoreTest() {
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    store_ = MakeStore(GetParam(), dir_);
  }

  std::shared_ptr<const Snapshot> Now() {
    absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot = store_->GetSnapshot();
    KT_CHECK(snapshot.ok());
    return *std::move(snapshot);
  }
  void Commit(const CommitBatch& batch) {
    ASSERT_THAT(store_->Commit(batch, batch.head.tree_size - batch.entries.size()), IsOk());
  }
  std::vector<merkle::LeafRow> Bucket(const Snapshot& snapshot, merkle::SubtreeId id) {
    std::vector<std::vector<merkle::LeafRow>> leaves;
    std::vector<std::vector<merkle::BandRow>> rows;
    EXPECT_THAT(snapshot.Read(std::vector{id}, {}, &leaves, &rows), IsOk());
    EXPECT_THAT(rows, IsEmpty());
    return leaves.at(0);
  }
  std::vector<merkle::BandRow> Band(const Snapshot& snapshot, merkle::SubtreeId id,
                                    base::LogPosition position) {
    std::vector<std::vector<merkle::LeafRow>> leaves;
    std::vector<std::vector<merkle::BandRow>> rows;
    EXPECT_THAT(snapshot.Read({}, std::vector{merkle::BandQuery{id, position}}, &leaves, &rows),
                IsOk());
    EXPECT_THAT(leaves, IsEmpty());
    return rows.at(0);
  }

  testing::TempDir dir_;
  std::unique_ptr<Store> store_;
};

std::string KindName(const ::testing::TestParamInfo<Kind>& info) {
  return info.param == Kind::kMemory ? "Memory" : "RocksDb";
}
INSTANTIATE_TEST_SUITE_P(Stores, StoreTest, ::testing::Values(Kind::kMemory, Kind::kRocksDb),
                         KindName);

// --- commits and snapshots -----------------------------------------------------------------

TEST_P(StoreTest, NewStoreIsEmpty) {
  const auto snapshot = Now();
  EXPECT_EQ(snapshot->head(), HeadRow{});
  EXPECT_THAT(snapshot->ReadEntries({}), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(snapshot->ReadEntries(std::vector<base::LogPosition>{0}),
              StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(snapshot->ReadVersions(base::AsBytes("a"), 0), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(Bucket(*snapshot, {0, 0}), IsEmpty());
  EXPECT_THAT(Band(*snapshot, {0, 0}, 5), IsEmpty());
  int visits = 0;
  const auto count = [&](const auto&) {
    ++visits;
    return absl::OkStatus();
  };
  EXPECT_THAT(snapshot->ScanLeaves(count), IsOk());
  EXPECT_THAT(snapshot->ScanNewestBands(0, count), IsOk());
  EXPECT_EQ(visits, 0);
}

TEST_P(StoreTest, CommitMakesEntriesNodesAndHeadVisible) {
  BatchMaker maker;
  const CommitBatch first = maker.Next(3);
  const CommitBatch second = maker.Next(4);
  Commit(first);
  Commit(second);
  const auto snapshot = Now();
  EXPECT_EQ(snapshot->head(), second.head);
  // In the order asked for, repeated where it is asked for twice.
  EXPECT_THAT(snapshot->ReadEntries(std::vector<base::LogPosition>{6, 0, 6}),
              IsOkAndHolds(ElementsAre(maker.EntryAt(6), maker.EntryAt(0), maker.EntryAt(6))));
  for (const CommitBatch& batch : {first, second}) {
    for (const auto& [id, hash] : batch.log_nodes) {
      EXPECT_THAT(snapshot->ReadLogNodes(std::vector{id}), IsOkAndHolds(ElementsAre(hash)));
    }
  }
  EXPECT_THAT(LogRootAt(*snapshot, 3), IsOkAndHolds(first.head.root));
  EXPECT_THAT(LogRootAt(*snapshot, 7), IsOkAndHolds(second.head.root));
}

TEST_P(StoreTest, MissingLogNodeIsDataLoss) {
  Commit(BatchMaker().Next(3));
  using Ids = std::vector<merkle::LogNodeId>;
  EXPECT_THAT(Now()->ReadLogNodes(Ids{{1, 0}}), IsOk());
  EXPECT_THAT(Now()->ReadLogNodes(Ids{{1, 0}, {1, 1}}), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(Now()->ReadLogNodes(Ids{{0, 3}}), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_P(StoreTest, OldSnapshotKeepsItsView) {
  BatchMaker maker;
  CommitBatch first = maker.Next(2);
  const merkle::LeafRow leaf{.key = KeyAt(5), .insert_pos = 0, .commitment = HashOf(1)};
  const merkle::BandRow band{{0, 0}, 1, true, base::ToBytes("one")};
  first.prefix = {.leaves = {leaf}, .bands = {band}};
  first.versions = {ExistingVersion("a", 0, 0), PlannedVersion("a", 1)};
  Commit(first);
  const auto before = Now();

  CommitBatch second = maker.Next(1);
  merkle::LeafRow ended = leaf;
  ended.end_pos = 2;
  const merkle::LeafRow added{.key = KeyAt(5), .insert_pos = 2, .commitment = HashOf(2)};
  const merkle::BandRow newer{{0, 0}, 2, true, base::ToBytes("two")};
  second.prefix = {.leaves = {ended, added}, .bands = {newer}};
  second.versions = {ExistingVersion("a", 1, 2), PlannedVersion("a", 2)};
  second.values = {ValueRow("value")};
  Commit(second);
  const auto after = Now();

  EXPECT_EQ(before->head(), first.head);
  EXPECT_THAT(before->ReadEntries(std::vector<base::LogPosition>{1, 2}),
              StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(before->ReadLogNodes(std::vector<merkle::LogNodeId>{{0, 2}}),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(Bucket(*before, {0, 0}), ElementsAre(leaf));
  EXPECT_THAT(Band(*before, {0, 0}, 2), ElementsAre(band));
  EXPECT_THAT(before->ReadVersions(base::AsBytes("a"), 0),
              IsOkAndHolds(ElementsAre(first.versions[0], first.versions[1])));
  EXPECT_THAT(before->ReadVersionRows(base::AsBytes("a"), std::vector<base::Version>{1, 2}),
              IsOkAndHolds(ElementsAre(first.versions[1], std::nullopt)));
  EXPECT_THAT(before->ReadValue(second.values[0].first), StatusIs(absl::StatusCode::kNotFound));

  EXPECT_EQ(after->head(), second.head);
  EXPECT_THAT(Bucket(*after, {0, 0}), ElementsAre(ended, added));
  EXPECT_THAT(Band(*after, {0, 0}, 2), ElementsAre(newer));
  EXPECT_THAT(after->ReadVersionRows(base::AsBytes("a"), std::vector<base::Version>{1, 2}),
              IsOkAndHolds(ElementsAre(second.versions[0], second.versions[1])));
}

TEST_P(StoreTest, CommitAtAnotherSizeIsAbortedAndWritesNothing) {
  BatchMaker maker;
  Commit(maker.Next(2));
  for (const base::TreeSize wrong : {0, 1, 3}) {
    BatchMaker other(/*salt=*/1);
    other.Next(wrong);
    CommitBatch batch = other.Next(1);
    batch.prefix.leaves = {{.key = KeyAt(1), .insert_pos = 0, .commitment = HashOf(1)}};
    batch.versions = {PlannedVersion("a", 0)};
    batch.values = {ValueRow("v")};
    EXPECT_THAT(store_->Commit(batch, wrong), StatusIs(absl::StatusCode::kAborted));
    const auto snapshot = Now();
    EXPECT_EQ(snapshot->head().tree_size, 2u);
    EXPECT_THAT(snapshot->ReadEntries(std::vector<base::LogPosition>{0, 1}),
                IsOkAndHolds(ElementsAre(maker.EntryAt(0), maker.EntryAt(1))));
    EXPECT_THAT(Bucket(*snapshot, {0, 0}), IsEmpty());
    EXPECT_THAT(snapshot->ReadVersions(base::AsBytes("a"), 0), IsOkAndHolds(IsEmpty()));
    EXPECT_THAT(snapshot->ReadValue(batch.values[0].first), StatusIs(absl::StatusCode::kNotFound));
  }
  Commit(maker.Next(1));  // and the store goes on
}

TEST_P(StoreTest, BatchWithARowTooLongWritesNothing) {
  BatchMaker maker;
  CommitBatch batch = maker.Next(1);
  batch.versions = {PlannedVersion("a", 0), PlannedVersion(std::string(256, 'a'), 0)};
  EXPECT_THAT(store_->Commit(batch, 0), StatusIs(absl::StatusCode::kInvalidArgument));
  batch.versions[1] = PlannedVersion("b", 0);
  batch.versions[1].vrf_proof.resize(256);
  EXPECT_THAT(store_->Commit(batch, 0), StatusIs(absl::StatusCode::kInvalidArgument));
  batch.versions[1].vrf_proof.resize(255);
  batch.head.signature.resize(65'536);
  EXPECT_THAT(store_->Commit(batch, 0), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(Now()->head(), HeadRow{});
  EXPECT_THAT(Now()->ReadVersions(base::AsBytes("a"), 0), IsOkAndHolds(IsEmpty()));

  batch.head.signature.resize(65'535);
  batch.versions[1].label.assign(255, 'b');
  Commit(batch);
  EXPECT_THAT(Now()->ReadVersions(batch.versions[1].label, 0),
              IsOkAndHolds(ElementsAre(batch.versions[1])));
}

TEST_P(StoreTest, CommitWithoutEntriesKeepsTheHead) {
  BatchMaker maker;
  CommitBatch nothing = maker.Next(0);
  nothing.versions = {PlannedVersion("a", 0)};
  ASSERT_THAT(store_->Commit(nothing, 0), IsOk());
  EXPECT_EQ(Now()->head(), HeadRow{});
  EXPECT_THAT(Now()->ReadVersions(base::AsBytes("a"), 0), IsOkAndHolds(nothing.versions));

  const CommitBatch one = maker.Next(1);
  Commit(one);
  nothing.head = one.head;
  nothing.versions = {PlannedVersion("a", 1)};
  ASSERT_THAT(store_->Commit(nothing, 1), IsOk());
  EXPECT_EQ(Now()->head(), one.head);
}

TEST_P(StoreTest, OneOfTwoWritersWins) {
  for (base::TreeSize size = 0; size < 40; ++size) {
    std::atomic<int> won = 0;
    std::atomic<int> aborted = 0;
    std::vector<std::thread> writers;
    for (const uint64_t salt : {1, 2}) {
      writers.emplace_back([&, salt] {
        BatchMaker maker(salt);
        maker.Next(size);
        const absl::Status status = store_->Commit(maker.Next(1), size);
        if (status.ok()) ++won;
        if (absl::IsAborted(status)) ++aborted;
      });
    }
    for (std::thread& writer : writers) writer.join();
    ASSERT_EQ(won, 1) << size;
    ASSERT_EQ(aborted, 1) << size;
    ASSERT_EQ(Now()->head().tree_size, size + 1);
  }
}

// The dying process is another one: it keeps its files in this one's directory, which is removed.
class StoreDeathTest : public StoreTest {
 protected:
  StoreDeathTest() { setenv("TMPDIR", dir_.path(".").c_str(), 1); }
  ~StoreDeathTest() override { unsetenv("TMPDIR"); }
};
INSTANTIATE_TEST_SUITE_P(Stores, StoreDeathTest, ::testing::Values(Kind::kMemory, Kind::kRocksDb),
                         KindName);

TEST_P(StoreDeathTest, AbortsOnABatchThatContradictsItself) {
  const auto refused = [&](const std::function<void(CommitBatch&)>& spoil) {
    CommitBatch batch = BatchMaker().Next(2);
    spoil(batch);
    EXPECT_DEATH({ (void)store_->Commit(batch, 0); }, "commit_batch.cc");
  };
  refused([](CommitBatch& batch) { batch.entries.pop_back(); });
  refused([](CommitBatch& batch) { batch.head.full_subtrees.emplace_back(); });
  refused([](CommitBatch& batch) { batch.log_nodes.push_back({{1, 1}, HashOf(1)}); });
  refused([](CommitBatch& batch) {
    batch.prefix.leaves = {{.key = KeyAt(1), .insert_pos = 2, .commitment = HashOf(1)}};
  });
  refused([](CommitBatch& batch) { batch.prefix.bands = {{{0, 0}, 2, true, {}}}; });
  refused([](CommitBatch& batch) { batch.versions = {ExistingVersion("a", 0, 2)}; });
  refused([](CommitBatch& batch) { batch.values = {ValueRow("value", 2)}; });
}

// A value is found by its entry, so that with another one it would stay.
TEST_P(StoreDeathTest, AbortsOnAnErasureBeyondTheLog) {
  Commit(BatchMaker().Next(2));
  server::ErasureRow erasure;
  erasure.position = 2;
  EXPECT_DEATH({ (void)store_->Erase(std::vector{erasure}); }, "position");
}

TEST_P(StoreDeathTest, AbortsOnASecondHeadForOneSize) {
  BatchMaker maker;
  CommitBatch batch = maker.Next(1);
  Commit(batch);
  batch.entries.clear();
  batch.log_nodes.clear();
  batch.head.root = HashOf(1);
  EXPECT_DEATH({ (void)store_->Commit(batch, 1); }, "batch.head == current");
}

TEST_P(StoreDeathTest, AbortsIfASnapshotOutlivesTheStore) {
  EXPECT_DEATH(
      {
        const auto snapshot = Now();
        store_.reset();
      },
      "live");
}

// --- leaves ----------------------------------------------------------------------------------

TEST_P(StoreTest, BucketHoldsExactlyItsLeavesInOrder) {
  const uint64_t seed = TestSeed(3);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  BatchMaker maker;
  std::vector<merkle::LeafRow> all;
  for (int commit = 0; commit < 4; ++commit) {
    CommitBatch batch = maker.Next(2);
    for (int i = 0; i < 100; ++i) {
      // Crowded around a few bits, both ends of the key space among them.
      const uint32_t bits =
          static_cast<uint32_t>(random.Below(6) * 0x33333333 + random.Below(3) - 1);
      const uint8_t rest = static_cast<uint8_t>(random.Below(2) * 255);
      const merkle::LeafRow row{.key = KeyAt(bits, rest),
                                .insert_pos = maker.size() - 1 - random.Below(2),
                                .commitment = random.NextHash()};
      const bool taken = std::any_of(all.begin(), all.end(), [&](const merkle::LeafRow& other) {
        return other.key == row.key && other.insert_pos == row.insert_pos;
      });
      if (taken) continue;
      all.push_back(row);
      batch.prefix.leaves.push_back(row);
    }
    Commit(batch);
  }
  std::sort(all.begin(), all.end(), [](const merkle::LeafRow& a, const merkle::LeafRow& b) {
    return std::tie(a.key, a.insert_pos) < std::tie(b.key, b.insert_pos);
  });

  std::vector<merkle::SubtreeId> buckets;
  for (unsigned depth = 0; depth <= 24; ++depth) {
    const uint32_t mask = depth == 0 ? 0 : ~uint32_t{0} << (32 - depth);
    for (uint64_t part = 0; part <= 5; ++part) {
      buckets.push_back(
          {static_cast<uint8_t>(depth), static_cast<uint32_t>(part * 0x33333333) & mask});
    }
  }
  std::vector<std::vector<merkle::LeafRow>> leaves;
  std::vector<std::vector<merkle::BandRow>> rows;
  const auto snapshot = Now();
  ASSERT_THAT(snapshot->Read(buckets, {}, &leaves, &rows), IsOk());
  ASSERT_EQ(leaves.size(), buckets.size());
  for (size_t i = 0; i < buckets.size(); ++i) {
    std::vector<merkle::LeafRow> expected;
    for (const merkle::LeafRow& row : all) {
      bool inside = true;
      for (unsigned depth = 0; depth < buckets[i].depth; ++depth) {
        inside = inside && row.key.bit(depth) == (((buckets[i].bits << depth) >> 31) != 0);
      }
      if (inside) expected.push_back(row);
    }
    EXPECT_EQ(leaves[i], expected) << int{buckets[i].depth} << " " << buckets[i].bits;
  }

  std::vector<merkle::LeafRow> scanned;
  ASSERT_THAT(snapshot->ScanLeaves([&](const merkle::LeafRow& row) {
    scanned.push_back(row);
    return absl::OkStatus();
  }),
              IsOk());
  EXPECT_EQ(scanned, all);
}

TEST_P(StoreTest, LeafRowOfTheSameKeyAndPositionIsReplaced) {
  BatchMaker maker;
  CommitBatch batch = maker.Next(1);
  merkle::LeafRow row{.key = KeyAt(7), .insert_pos = 0, .commitment = HashOf(1)};
  batch.prefix.leaves = {row};
  Commit(batch);
  batch = maker.Next(1);
  row.end_pos = 1;
  merkle::LeafRow again{.key = KeyAt(7), .insert_pos = 1, .commitment = HashOf(2)};
  batch.prefix.leaves = {again, row};
  Commit(batch);
  EXPECT_THAT(Bucket(*Now(), {24, 0}), ElementsAre(row, again));
  batch = maker.Next(1);
  again.end_pos = 2;
  batch.prefix.leaves = {again};
  Commit(batch);
  EXPECT_THAT(Bucket(*Now(), {24, 0}), ElementsAre(row, again));
}

TEST_P(StoreTest, ScansStopWhereTheVisitorFails) {
  CommitBatch batch = BatchMaker().Next(1);
  for (uint32_t i = 0; i < 5; ++i) {
    batch.prefix.leaves.push_back(
        {.key = KeyAt(i << 28), .insert_pos = 0, .commitment = HashOf(1)});
    batch.prefix.bands.push_back({{4, i << 28}, 0, true, {}});
  }
  Commit(batch);
  int visits = 0;
  const auto fail_at_third = [&](const auto&) {
    return ++visits == 3 ? absl::CancelledError("enough") : absl::OkStatus();
  };
  EXPECT_THAT(Now()->ScanLeaves(fail_at_third), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(visits, 3);
  visits = 0;
  EXPECT_THAT(Now()->ScanNewestBands(4, fail_at_third), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(visits, 3);
}

// --- bands -----------------------------------------------------------------------------------

// Tiles of one depth, side by side, whose rows stand at chosen positions.
class BandFixture {
 public:
  explicit BandFixture(Store& store) {
    const std::vector<merkle::SubtreeId> ids = {{0, 0},          {4, 0},          {4, 0x10000000},
                                                {4, 0x20000000}, {4, 0xf0000000}, {8, 0x10000000},
                                                {24, 0},         {24, 0xffffff00}};
    BatchMaker maker;
    for (base::LogPosition position = 0; position < 40; ++position) {
      CommitBatch batch = maker.Next(1);
      for (size_t i = 0; i < ids.size(); ++i) {
        if (i == 3 || position < i)
          continue;  // the fourth has no rows, the others begin one by one
        if (position % (i + 1) != 0) continue;
        // Every fourth row is a snapshot, but the third tile never gets one.
        const bool is_snapshot = i != 2 && position % (4 * (i + 1)) == 0;
        const base::Bytes data = {static_cast<uint8_t>(i), static_cast<uint8_t>(position)};
        batch.prefix.bands.push_back({ids[i], position, is_snapshot, data});
        rows_[ids[i]].push_back(batch.prefix.bands.back());
      }
      KT_CHECK(store.Commit(batch, position).ok());
    }
    ids_ = ids;
  }

  const std::vector<merkle::SubtreeId>& ids() const { return ids_; }

  std::vector<merkle::BandRow> Expected(merkle::SubtreeId id, base::LogPosition position) const {
    std::vector<merkle::BandRow> out;
    const auto it = rows_.find(id);
    if (it == rows_.end()) return out;
    for (auto row = it->second.rbegin(); row != it->second.rend(); ++row) {
      if (row->position > position) continue;
      out.push_back(*row);
      if (row->is_snapshot) break;
    }
    return out;
  }

 private:
  std::vector<merkle::SubtreeId> ids_;
  std::map<merkle::SubtreeId, std::vector<merkle::BandRow>> rows_;
};

TEST_P(StoreTest, BandQueryGivesRowsBackToTheFirstSnapshot) {
  const BandFixture fixture(*store_);
  std::vector<merkle::BandQuery> queries;
  for (const merkle::SubtreeId& id : fixture.ids()) {
    for (base::LogPosition position = 0; position < 42; ++position)
      queries.push_back({id, position});
    queries.push_back({id, std::numeric_limits<base::LogPosition>::max()});
  }
  std::vector<std::vector<merkle::LeafRow>> leaves;
  std::vector<std::vector<merkle::BandRow>> rows;
  ASSERT_THAT(Now()->Read({}, queries, &leaves, &rows), IsOk());
  ASSERT_EQ(rows.size(), queries.size());
  for (size_t i = 0; i < queries.size(); ++i) {
    EXPECT_EQ(rows[i], fixture.Expected(queries[i].id, queries[i].position))
        << int{queries[i].id.depth} << " " << queries[i].id.bits << " at " << queries[i].position;
  }
  // Before its first row a tile has none, though its neighbours do.
  EXPECT_THAT(Band(*Now(), {24, 0xffffff00}, 6), IsEmpty());
  EXPECT_THAT(Band(*Now(), {4, 0x20000000}, 39), IsEmpty());
}

// However few or many are asked for at once, in whichever order: near each other or far apart, the
// same one twice.
TEST_P(StoreTest, BandQueriesTogetherGiveWhatEachGivesAlone) {
  const BandFixture fixture(*store_);
  SeededRandom random(TestSeed(1));
  for (int round = 0; round < 200; ++round) {
    std::vector<merkle::BandQuery> queries(1 + random.Below(12));
    for (merkle::BandQuery& query : queries) {
      query = {fixture.ids()[random.Below(fixture.ids().size())], random.Below(45)};
    }
    std::vector<std::vector<merkle::LeafRow>> leaves;
    std::vector<std::vector<merkle::BandRow>> rows;
    ASSERT_THAT(Now()->Read({}, queries, &leaves, &rows), IsOk());
    ASSERT_EQ(rows.size(), queries.size());
    for (size_t i = 0; i < queries.size(); ++i) {
      ASSERT_EQ(rows[i], fixture.Expected(queries[i].id, queries[i].position))
          << "round " << round << ", query " << i;
    }
  }
}

TEST_P(StoreTest, ProofReadsAreTheSingleReadsTogether) {
  const BandFixture fixture(*store_);
  const base::TreeSize size = Now()->head().tree_size;
  BatchMaker maker;
  maker.Next(size);
  CommitBatch batch = maker.Next(1);
  batch.prefix.leaves = {{KeyAt(0x10000001), size, HashOf(1)},
                         {KeyAt(0x10000002), size, HashOf(2)}};
  batch.values = {ValueRow("one", size), ValueRow("two", size)};
  Commit(batch);
  const auto snapshot = Now();

  const std::vector<merkle::SubtreeId> buckets = {{24, 0x20000000}, {24, 0x10000000}};
  const std::vector<merkle::BandQuery> bands = {{{0, 0}, 7}, {{4, 0xf0000000}, 39}};
  const std::vector<base::LogPosition> entries = {3, size, 3};
  const std::vector<merkle::LogNodeId> nodes = {{2, 1}, {0, size}};
  const ValueKey elsewhere = {size + 1, batch.values[1].first.commitment};
  const std::vector<ValueKey> values = {batch.values[1].first, elsewhere, batch.values[0].first};
  const auto read = snapshot->ReadProof({buckets, bands, entries, nodes, values});
  ASSERT_THAT(read, IsOk());
  EXPECT_THAT(read->leaves, ElementsAre(IsEmpty(), batch.prefix.leaves));
  EXPECT_THAT(read->bands,
              ElementsAre(fixture.Expected({0, 0}, 7), fixture.Expected({4, 0xf0000000}, 39)));
  EXPECT_THAT(read->entries, ElementsAre(maker.EntryAt(3), batch.entries[0], maker.EntryAt(3)));
  EXPECT_THAT(snapshot->ReadLogNodes(nodes), IsOkAndHolds(read->nodes));
  EXPECT_THAT(read->values,
              ElementsAre(batch.values[1].second, std::nullopt, batch.values[0].second));

  const std::vector<base::LogPosition> no_entry = {size + 1};
  EXPECT_THAT(snapshot->ReadProof({{}, {}, no_entry, {}, {}}),
              StatusIs(absl::StatusCode::kOutOfRange));
  const std::vector<merkle::LogNodeId> no_node = {{0, size + 1}};
  EXPECT_THAT(snapshot->ReadProof({{}, {}, {}, no_node, {}}),
              StatusIs(absl::StatusCode::kDataLoss));
  const auto nothing = snapshot->ReadProof({});
  ASSERT_THAT(nothing, IsOk());
  EXPECT_THAT(nothing->leaves, IsEmpty());
  EXPECT_THAT(nothing->values, IsEmpty());
}

TEST_P(StoreTest, NewestBandsComeTileByTile) {
  const BandFixture fixture(*store_);
  for (const uint8_t depth : {0, 4, 8, 12, 24}) {
    std::vector<std::vector<merkle::BandRow>> expected;
    for (const merkle::SubtreeId& id : fixture.ids()) {
      if (id.depth == depth && !fixture.Expected(id, 39).empty()) {
        expected.push_back(fixture.Expected(id, 39));
      }
    }
    std::vector<std::vector<merkle::BandRow>> tiles;
    ASSERT_THAT(Now()->ScanNewestBands(depth,
                                       [&](std::span<const merkle::BandRow> rows) {
                                         tiles.emplace_back(rows.begin(), rows.end());
                                         return absl::OkStatus();
                                       }),
                IsOk());
    EXPECT_EQ(tiles, expected) << int{depth};
  }
}

// --- versions, values, properties --------------------------------------------------------------

TEST_P(StoreTest, LabelsThatArePrefixesOfEachOtherStayApart) {
  const std::vector<std::string> labels = {std::string(),
                                           std::string(1, '\0'),
                                           std::string(4, '\0'),
                                           "a",
                                           "ab",
                                           std::string("a\0\0", 3),
                                           "b",
                                           std::string(254, '\xff'),
                                           std::string(255, '\xff')};
  const std::vector<base::Version> versions = {0, 1, 2, 255, 256, 0x61000000, 0xffffffff};
  CommitBatch batch = BatchMaker().Next(1);
  for (const std::string& label : labels) {
    for (const base::Version version : versions) {
      batch.versions.push_back(ExistingVersion(label, version, 0));
    }
  }
  std::reverse(batch.versions.begin(), batch.versions.end());  // order of writing is not of reading
  Commit(batch);
  const auto snapshot = Now();
  for (const std::string& label : labels) {
    std::vector<VersionRow> expected;
    for (const base::Version version : versions) {
      expected.push_back(ExistingVersion(label, version, 0));
    }
    EXPECT_THAT(snapshot->ReadVersions(base::AsBytes(label), 0), IsOkAndHolds(expected));
    for (size_t limit = 1; limit <= versions.size() + 1; ++limit) {
      const size_t count = std::min(limit, versions.size());
      const std::vector<VersionRow> greatest(expected.end() - static_cast<std::ptrdiff_t>(count),
                                             expected.end());
      EXPECT_THAT(snapshot->ReadVersions(base::AsBytes(label), limit), IsOkAndHolds(greatest));
    }
  }
  for (const std::string& label : {std::string(2, '\0'), std::string("aa"), std::string("abc"),
                                   std::string(253, '\xff'), std::string(256, '\xff')}) {
    EXPECT_THAT(snapshot->ReadVersions(base::AsBytes(label), 0), IsOkAndHolds(IsEmpty()));
    EXPECT_THAT(snapshot->ReadVersions(base::AsBytes(label), 3), IsOkAndHolds(IsEmpty()));
    EXPECT_THAT(snapshot->ReadVersionRows(base::AsBytes(label), std::vector<base::Version>{0}),
                IsOkAndHolds(ElementsAre(std::nullopt)));
  }
}

// The rows that exist find what they need in their leaves, whether these came with them or not.
TEST_P(StoreTest, VersionsAndTheirLeaves) {
  BatchMaker maker;
  CommitBatch batch = maker.Next(2);
  for (base::Version version = 0; version < 6; ++version) {
    batch.versions.push_back(ExistingVersion("alice@example.com", version, version / 3));
    const VersionRow& row = batch.versions.back();
    // The rest share their first bytes and positions with others, and have no leaves of their own.
    if (version % 2 == 1) continue;
    batch.prefix.leaves.push_back({.key = row.vrf_output,
                                   .insert_pos = row.existing->position,
                                   .commitment = row.existing->commitment});
  }
  // Only their last bytes differ.
  for (size_t i = 0; i < batch.versions.size(); ++i) {
    base::VrfOutput& output = batch.versions[i].vrf_output;
    output.bytes[0] = static_cast<uint8_t>(i);
    if (i % 2 == 0) batch.prefix.leaves[i / 2].key = output;
  }
  batch.versions.push_back(PlannedVersion("alice@example.com", 6));
  Commit(batch);
  const base::ByteView label = base::AsBytes("alice@example.com");
  EXPECT_THAT(Now()->ReadVersions(label, 0), IsOkAndHolds(batch.versions));
  const std::vector<base::Version> some = {4, 1, 6, 0};
  EXPECT_THAT(Now()->ReadVersionRows(label, some),
              IsOkAndHolds(ElementsAre(batch.versions[4], batch.versions[1], batch.versions[6],
                                       batch.versions[0])));
}

TEST_P(StoreTest, WantedVersions) {
  BatchMaker maker;
  CommitBatch batch = maker.Next(1);
  for (base::Version version = 0; version < 20; ++version) {
    batch.versions.push_back(version < 15 ? ExistingVersion("a", version, 0)
                                          : PlannedVersion("a", version));
    batch.versions.push_back(PlannedVersion("none of it exists", version));
  }
  Commit(batch);
  const auto read = [&](const std::string& label, size_t limit, const auto& wanted) {
    std::vector<base::Version> versions;
    const auto rows = Now()->ReadWanted(base::AsBytes(label), limit, wanted);
    EXPECT_THAT(rows, IsOk());
    for (const VersionRow& row : *rows) versions.push_back(row.version);
    return versions;
  };
  const auto even = [](base::Version version, base::Version greatest) {
    EXPECT_EQ(greatest, 14u);
    return version % 2 == 0;
  };
  EXPECT_THAT(read("a", 9, even), ElementsAre(12, 14, 16, 18));
  EXPECT_THAT(read("a", 0, [](auto, auto) { return false; }), ElementsAre(14)) << "in any case";
  EXPECT_THAT(read("none of it exists", 3, even), ElementsAre(17, 18, 19));
  EXPECT_THAT(read("b", 3, even), IsEmpty());
}

TEST_P(StoreTest, VersionRowsComeInTheOrderAskedFor) {
  CommitBatch batch = BatchMaker().Next(1);
  batch.versions = {ExistingVersion("a", 0, 0), PlannedVersion("a", 1),
                    ExistingVersion("a", 0xffffffff, 0)};
  Commit(batch);
  const std::vector<base::Version> versions = {0xffffffff, 7, 0, 1, 0};
  EXPECT_THAT(Now()->ReadVersionRows(base::AsBytes("a"), versions),
              IsOkAndHolds(ElementsAre(batch.versions[2], std::nullopt, batch.versions[0],
                                       batch.versions[1], batch.versions[0])));
  EXPECT_THAT(Now()->ReadVersionRows(base::AsBytes("a"), {}), IsOkAndHolds(IsEmpty()));
}

TEST_P(StoreTest, ValuesAreFoundByTheirKeys) {
  BatchMaker maker;
  CommitBatch batch = maker.Next(1);
  batch.values = {ValueRow(""), ValueRow("one"), ValueRow(std::string(1 << 20, 'x'))};
  Commit(batch);
  CommitBatch again = maker.Next(1);
  // "one" once more, and of another entry
  again.values = {ValueRow("one"), ValueRow("one", 1), ValueRow("two", 1), ValueRow("two", 1)};
  Commit(again);
  for (const CommitBatch& written : {batch, again}) {
    for (const auto& [key, value] : written.values) {
      EXPECT_THAT(Now()->ReadValue(key), IsOkAndHolds(value));
    }
  }
  EXPECT_THAT(Now()->ReadValue({0, HashOf(0)}), StatusIs(absl::StatusCode::kNotFound));
  const ValueKey elsewhere = {0, again.values[2].first.commitment};
  EXPECT_THAT(Now()->ReadValue(elsewhere), StatusIs(absl::StatusCode::kNotFound));
}

// --- of audited logs -------------------------------------------------------------------------

std::vector<merkle::SubtreeId> Changed(std::initializer_list<uint32_t> prefixes) {
  std::vector<merkle::SubtreeId> out;
  for (const uint32_t prefix : prefixes) out.push_back({kChangedDepth, prefix << 8});
  return out;
}

TEST_P(StoreTest, ChangedSubtreesAreFoundByEntry) {
  BatchMaker maker;
  CommitBatch first = maker.Next(2);
  first.changed = {{0, Changed({0, 1, 0xffffff})}, {1, {}}};
  Commit(first);
  const auto before = Now();
  CommitBatch second = maker.Next(1);
  second.changed = {{2, Changed({0x123456})}};
  Commit(second);
  const auto after = Now();
  EXPECT_THAT(after->ReadChanged(std::vector<base::LogPosition>{2, 0, 1}),
              IsOkAndHolds(ElementsAre(Changed({0x123456}), Changed({0, 1, 0xffffff}), IsEmpty())));
  EXPECT_THAT(before->ReadChanged(std::vector<base::LogPosition>{2}),
              StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(after->ReadChanged(std::vector<base::LogPosition>{3}),
              StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(after->ReadChanged({}), IsOkAndHolds(IsEmpty()));
}

TEST_P(StoreTest, EntryWithoutARowOfChangesIsDataLoss) {
  BatchMaker maker;
  Commit(maker.Next(1));
  EXPECT_THAT(Now()->ReadChanged(std::vector<base::LogPosition>{0}),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST_P(StoreDeathTest, AbortsOnChangesThatContradictTheBatch) {
  const auto commit = [&](std::vector<ChangedRow> changed) {
    BatchMaker maker;
    CommitBatch batch = maker.Next(2);
    batch.changed = std::move(changed);
    store_->Commit(batch, 0).IgnoreError();
  };
  EXPECT_DEATH(commit({{0, {}}}), "");
  EXPECT_DEATH(commit({{0, {}}, {0, {}}}), "");
  EXPECT_DEATH(commit({{0, {}}, {1, Changed({2, 1})}}), "");
  EXPECT_DEATH(commit({{0, {}}, {1, Changed({1, 1})}}), "");
  EXPECT_DEATH(commit({{0, {}}, {1, {{16, 0}}}}), "");
}

TEST_P(StoreTest, AuditorHeadIsReplaced) {
  EXPECT_THAT(store_->ReadAuditorHead(), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(store_->WriteAuditorHead(base::AsBytes("first")), IsOk());
  EXPECT_THAT(store_->ReadAuditorHead(), IsOkAndHolds(base::ToBytes("first")));
  ASSERT_THAT(store_->WriteAuditorHead(base::AsBytes("second")), IsOk());
  EXPECT_THAT(store_->ReadAuditorHead(), IsOkAndHolds(base::ToBytes("second")));
  BatchMaker maker;
  Commit(maker.Next(1));
  EXPECT_THAT(store_->ReadAuditorHead(), IsOkAndHolds(base::ToBytes("second")));
  EXPECT_THAT(store_->ReadProperties(), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(StoreTest, PropertiesAreWrittenOnce) {
  EXPECT_THAT(store_->ReadProperties(), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(store_->WriteProperties(base::AsBytes("fixed")), IsOk());
  EXPECT_THAT(store_->ReadProperties(), IsOkAndHolds(base::ToBytes("fixed")));
  EXPECT_THAT(store_->WriteProperties(base::AsBytes("fixed")),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(store_->WriteProperties({}), StatusIs(absl::StatusCode::kAlreadyExists));
  Commit(BatchMaker().Next(1));
  EXPECT_THAT(store_->ReadProperties(), IsOkAndHolds(base::ToBytes("fixed")));
}

TEST_P(StoreTest, EmptyPropertiesAreProperties) {
  ASSERT_THAT(store_->WriteProperties({}), IsOk());
  EXPECT_THAT(store_->ReadProperties(), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(store_->WriteProperties(base::AsBytes("x")),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

// --- concurrency -------------------------------------------------------------------------------

// Whatever a reader gets hold of while the writer works is one whole commit.
TEST_P(StoreTest, ReadersSeeWholeCommits) {
#ifdef KT_TSAN
  if (GetParam() == Kind::kRocksDb) GTEST_SKIP() << "RocksDB is not built with ThreadSanitizer";
#endif
  constexpr base::TreeSize kCommits = 150;
  std::atomic<bool> done = false;
  std::atomic<size_t> checked = 0;
  const auto check = [](const Snapshot& snapshot) {
    const base::TreeSize size = snapshot.head().tree_size;
    size_t leaves = 0;
    const absl::Status scanned = snapshot.ScanLeaves([&](const merkle::LeafRow&) {
      ++leaves;
      return absl::OkStatus();
    });
    const auto versions = snapshot.ReadVersions(base::AsBytes("label"), 0);
    bool whole = scanned.ok() && leaves == size && versions.ok() && versions->size() == size;
    if (size > 0) {
      const auto root = LogRootAt(snapshot, size);
      whole = whole && root.ok() && *root == snapshot.head().root;
    }
    return whole &&
           absl::IsOutOfRange(snapshot.ReadEntries(std::vector<base::LogPosition>{size}).status());
  };
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      base::TreeSize last = 0;
      while (!done) {
        const auto snapshot = Now();
        EXPECT_GE(snapshot->head().tree_size, last);
        last = snapshot->head().tree_size;
        EXPECT_TRUE(check(*snapshot)) << last;
        ++checked;
      }
    });
  }
  BatchMaker maker;
  for (base::TreeSize size = 0; size < kCommits; ++size) {
    CommitBatch batch = maker.Next(1);
    batch.prefix.leaves = {{.key = KeyAt(static_cast<uint32_t>(size) * 0x01010101),
                            .insert_pos = size,
                            .commitment = HashOf(1)}};
    batch.versions = {ExistingVersion("label", static_cast<base::Version>(size), size)};
    Commit(batch);
  }
  while (checked < 10) std::this_thread::yield();
  done = true;
  for (std::thread& reader : readers) reader.join();
}

// --- the stores agree ------------------------------------------------------------------------

// A random history in both stores; every snapshot of it reads the same at the end.
TEST(StoresAgree, OnARandomHistory) {
  const uint64_t seed = TestSeed(11);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  testing::TempDir dir;
  const std::unique_ptr<Store> memory = MakeStore(Kind::kMemory, dir);
  const std::unique_ptr<Store> rocks = MakeStore(Kind::kRocksDb, dir);
  testing::ContentsQuery query;
  std::vector<merkle::LeafRow> living;
  std::vector<std::shared_ptr<const Snapshot>> snapshots;
  BatchMaker maker;
  for (int commit = 0; commit < 60; ++commit) {
    CommitBatch batch = maker.Next(1 + random.Below(5));
    const base::LogPosition last = maker.size() - 1;
    for (uint64_t i = random.Below(20); i > 0; --i) {
      living.push_back({random.NextVrfOutput(), last, random.NextHash()});
      batch.prefix.leaves.push_back(living.back());
    }
    for (merkle::LeafRow& row : living) {
      if (row.end_pos != merkle::kNeverRemoved || row.insert_pos == last || random.Below(20) > 0) {
        continue;
      }
      row.end_pos = last;
      batch.prefix.leaves.push_back(row);
    }
    for (uint64_t i = random.Below(6); i > 0; --i) {
      const uint8_t depth = static_cast<uint8_t>(4 * random.Below(7));
      const uint32_t bits = depth == 0 ? 0 : static_cast<uint32_t>(random.Below(3)) << (32 - depth);
      batch.prefix.bands.push_back(
          {{depth, bits}, last, random.Below(4) == 0, base::Bytes(random.Below(40), depth)});
      query.bands.push_back({{depth, bits}, random.Below(last + 2)});
    }
    for (uint64_t i = random.Below(6); i > 0; --i) {
      const std::string label(random.Below(4), 'a');
      const base::Version version = static_cast<base::Version>(random.Below(9));
      batch.versions.push_back(random.Below(2) == 0 ? PlannedVersion(label, version)
                                                    : ExistingVersion(label, version, last));
      batch.values.push_back(ValueRow(std::to_string(random.Below(50)), random.Below(last + 1)));
      query.labels.push_back(label);
      query.values.push_back(batch.values.back().first);
    }
    for (Store* store : {memory.get(), rocks.get()}) {
      ASSERT_THAT(store->Commit(batch, maker.size() - batch.entries.size()), IsOk());
      ASSERT_OK_AND_ASSIGN(snapshots.emplace_back(), store->GetSnapshot());
    }
  }
  for (size_t i = 0; i < snapshots.size(); i += 2) {
    ASSERT_OK_AND_ASSIGN(const testing::Contents expected, ReadContents(*snapshots[i], query));
    ASSERT_OK_AND_ASSIGN(const testing::Contents actual, ReadContents(*snapshots[i + 1], query));
    EXPECT_EQ(actual, expected) << "commit " << i / 2;
  }
}

}  // namespace
}  // namespace kt::server
