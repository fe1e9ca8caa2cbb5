// SPDX-License-Identifier: Apache-2.0
//
// Both stores: what pruning deletes and leaves, in steps, across restarts; erasure; and that the
// space comes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kt-server/retention.h"
#include "kt-server/store.h"
#include "kt-server/store_codec.h"
#include "tests/kt-server/store_test_util.h"
#include "tests/support/directory_bytes.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

namespace fs = std::filesystem;
using ::kt::testing::BatchMaker;
using ::kt::testing::DirectoryBytes;
using ::kt::testing::ExistingVersion;
using ::kt::testing::HashOf;
using ::kt::testing::IsOk;
using ::kt::testing::IsOkAndHolds;
using ::kt::testing::KeyAt;
using ::kt::testing::SeededRandom;
using ::kt::testing::StatusIs;
using ::kt::testing::TempDir;
using ::kt::testing::ValueRow;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Optional;

enum class Kind { kMemory, kRocksDb };

class StorePruneTest : public ::testing::TestWithParam<Kind> {
 protected:
  StorePruneTest() { Reopen(); }

  // As after a restart. What a memory store holds does not survive one, so it stays.
  void Reopen() {
    if (GetParam() == Kind::kMemory) {
      if (store_ == nullptr) store_ = CreateMemoryStore();
      return;
    }
    store_ = nullptr;
    auto store = OpenRocksDbStore(
        {.path = dir_.path("db"), .create_if_missing = true, .snapshot_wait_ms = 20});
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
  }

  std::shared_ptr<const Snapshot> Now() { return *store_->GetSnapshot(); }

  // An entry for each of `count`, which adds a version of "label" with its value, changes a tile
  // at the root and one below, and tells what it changed. Every fourth row of a tile is a snapshot.
  void Grow(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      CommitBatch batch = maker_.Next(1);
      const base::LogPosition position = maker_.size() - 1;
      const auto version = static_cast<base::Version>(position);
      batch.changed = {{position, {{kChangedDepth, static_cast<uint32_t>(position) << 8}}}};
      for (const merkle::SubtreeId id :
           {merkle::SubtreeId{0, 0}, merkle::SubtreeId{4, uint32_t{position % 2 == 0} << 28}}) {
        batch.prefix.bands.push_back(
            {id, position, rows_[id]++ % 4 == 0, base::Bytes(40, static_cast<uint8_t>(position))});
      }
      batch.prefix.leaves = {{.key = KeyAt(static_cast<uint32_t>(position) << 16),
                              .insert_pos = position,
                              .commitment = HashOf(1)}};
      batch.values = {ValueRow("value of version " + std::to_string(version), position)};
      VersionRow row = ExistingVersion("label", version, position);
      row.existing->commitment = batch.values[0].first.commitment;
      keys_.push_back(batch.values[0].first);
      batch.versions = {row, testing::PlannedVersion("label", version + 1)};
      ASSERT_THAT(store_->Commit(batch, position), IsOk());
    }
  }

  // Steps of `rows` until pruning is complete; at most `steps` of them.
  uint64_t Prune(size_t rows, int steps = 1'000'000) {
    uint64_t deleted = 0;
    while (steps-- > 0) {
      const absl::StatusOr<PruneStep> step = store_->PruneSome(rows);
      EXPECT_THAT(step, IsOk());
      if (!step.ok()) break;
      deleted += step->rows_deleted;
      if (step->complete) break;
    }
    return deleted;
  }

  // Everything as it must be with `horizon`: what is kept is there, and if `complete`, nothing
  // else.
  void ExpectPruned(base::LogPosition horizon, bool complete) {
    const auto snapshot = Now();
    EXPECT_EQ(snapshot->horizon(), horizon);
    const base::TreeSize size = snapshot->head().tree_size;
    for (base::LogPosition position = 0; position < size; ++position) {
      SCOPED_TRACE(position);
      const auto entry = snapshot->ReadEntries(std::vector{position});
      const auto changed = snapshot->ReadChanged(std::vector{position});
      if (KeepsEntry(horizon, position)) {
        EXPECT_THAT(entry, IsOkAndHolds(ElementsAre(maker_.EntryAt(position))));
      } else if (complete) {
        EXPECT_THAT(entry, StatusIs(absl::StatusCode::kDataLoss));
      }
      if (position > horizon || horizon == 0) {
        EXPECT_THAT(changed, IsOk());
      } else if (complete) {
        EXPECT_THAT(changed, StatusIs(absl::StatusCode::kDataLoss));
      }
      // The version's successor was added by the next entry.
      const bool expired = position + 1 < horizon;
      const auto value = snapshot->ReadValue(keys_[position]);
      if (!expired) {
        EXPECT_THAT(value, IsOk());
      } else if (complete) {
        EXPECT_THAT(value, StatusIs(absl::StatusCode::kNotFound));
      }
    }
    ExpectLogNodes(*snapshot, horizon, complete);
    ExpectBands(*snapshot, horizon, complete);
    EXPECT_THAT(snapshot->ReadVersions(base::AsBytes("label"), 0),
                IsOkAndHolds(::testing::SizeIs(size + 1)));
    size_t leaves = 0;
    EXPECT_THAT(snapshot->ScanLeaves([&](const merkle::LeafRow&) {
      ++leaves;
      return absl::OkStatus();
    }),
                IsOk());
    EXPECT_EQ(leaves, size);
  }

  void ExpectLogNodes(const Snapshot& snapshot, base::LogPosition horizon, bool complete) {
    const base::TreeSize size = snapshot.head().tree_size;
    for (uint8_t level = 0; size >> level > 0; ++level) {
      for (uint64_t index = 0; index < size >> level; ++index) {
        const merkle::LogNodeId id{level, index};
        const auto node = snapshot.ReadLogNodes(std::vector{id});
        if (KeepsLogNode(horizon, id)) {
          EXPECT_THAT(node, IsOk()) << unsigned{level} << " " << index;
        } else if (complete) {
          EXPECT_THAT(node, StatusIs(absl::StatusCode::kDataLoss)) << unsigned{level} << index;
        }
      }
    }
  }

  void ExpectBands(const Snapshot& snapshot, base::LogPosition horizon, bool complete) {
    for (const auto& [id, count] : rows_) {
      std::vector<std::vector<merkle::LeafRow>> leaves;
      std::vector<std::vector<merkle::BandRow>> rows;
      // As of every position from the horizon on, the tile is whole.
      for (base::LogPosition at = horizon; at < snapshot.head().tree_size; ++at) {
        ASSERT_THAT(snapshot.Read({}, std::vector{merkle::BandQuery{id, at}}, &leaves, &rows),
                    IsOk());
        if (rows[0].empty()) continue;
        EXPECT_TRUE(rows[0].back().is_snapshot) << unsigned{id.depth} << " at " << at;
        EXPECT_LE(rows[0].size(), 4u);
      }
      if (!complete) continue;
      // And before the snapshot that gives it as of the horizon there is nothing.
      ASSERT_THAT(snapshot.Read({}, std::vector{merkle::BandQuery{id, horizon}}, &leaves, &rows),
                  IsOk());
      if (rows[0].empty() || rows[0].back().position == 0) continue;
      const base::LogPosition before = rows[0].back().position - 1;
      ASSERT_THAT(snapshot.Read({}, std::vector{merkle::BandQuery{id, before}}, &leaves, &rows),
                  IsOk());
      EXPECT_THAT(rows[0], IsEmpty()) << unsigned{id.depth} << " before " << before;
    }
  }

  TempDir dir_;
  std::unique_ptr<Store> store_;
  BatchMaker maker_;
  std::map<merkle::SubtreeId, int> rows_;
  std::vector<ValueKey> keys_;  // of the values, by version
};

std::string KindName(const ::testing::TestParamInfo<Kind>& info) {
  return info.param == Kind::kMemory ? "Memory" : "RocksDb";
}
INSTANTIATE_TEST_SUITE_P(Stores, StorePruneTest, ::testing::Values(Kind::kMemory, Kind::kRocksDb),
                         KindName);

TEST_P(StorePruneTest, NothingIsDeletedWithoutAHorizon) {
  Grow(20);
  EXPECT_EQ(Prune(1'000), 0u);
  ExpectPruned(0, /*complete=*/true);
}

TEST_P(StorePruneTest, WhatIsBehindTheHorizonGoesAndTheRestStays) {
  Grow(40);
  ASSERT_THAT(store_->SetHorizon(29), IsOk());
  ExpectPruned(29, /*complete=*/false);
  EXPECT_GT(Prune(1'000), 100u);
  ExpectPruned(29, /*complete=*/true);
  EXPECT_EQ(Prune(1'000), 0u);
  Reopen();
  ExpectPruned(29, /*complete=*/true);
}

TEST_P(StorePruneTest, EveryHorizonAfterEveryOther) {
  base::LogPosition horizon = 0;
  SeededRandom random(5);
  for (int round = 0; round < 12; ++round) {
    Grow(1 + random.Below(9));
    horizon += random.Below(maker_.size() - horizon);
    ASSERT_THAT(store_->SetHorizon(horizon), IsOk());
    Prune(1 + random.Below(30));
    ExpectPruned(horizon, /*complete=*/true);
  }
}

// A step at a time, with the store closed after each: what is left at any point is right, and in
// the end nothing is left over.
TEST_P(StorePruneTest, GoesOnAfterARestartAtAnyStep) {
  Grow(40);
  ASSERT_THAT(store_->SetHorizon(33), IsOk());
  for (int steps = 1; steps < 60; ++steps) {
    const absl::StatusOr<PruneStep> step = store_->PruneSome(3 + static_cast<size_t>(steps));
    ASSERT_THAT(step, IsOk());
    ExpectPruned(33, step->complete);
    Reopen();
    ExpectPruned(33, step->complete);
  }
  Prune(5);
  ExpectPruned(33, /*complete=*/true);
}

TEST_P(StorePruneTest, AHorizonMayFollowBeforeTheLastIsDone) {
  Grow(40);
  ASSERT_THAT(store_->SetHorizon(20), IsOk());
  Prune(4, /*steps=*/2);
  ASSERT_THAT(store_->SetHorizon(31), IsOk());
  Prune(4, /*steps=*/1);
  Reopen();
  Prune(4);
  ExpectPruned(31, /*complete=*/true);
}

TEST_P(StorePruneTest, StepsAreBounded) {
  Grow(200);
  ASSERT_THAT(store_->SetHorizon(150), IsOk());
  ASSERT_THAT(store_->PruneSome(1), IsOk());  // log entries and nodes: a few ranges
  if (GetParam() == Kind::kMemory) return;
  while (true) {
    ASSERT_OK_AND_ASSIGN(const PruneStep step, store_->PruneSome(10));
    EXPECT_LE(step.rows_deleted, 10u);
    if (step.complete) break;
  }
}

TEST_P(StorePruneTest, SnapshotsKeepWhatTheyShow) {
  Grow(40);
  const auto before = Now();
  ASSERT_THAT(store_->SetHorizon(30), IsOk());
  Prune(1'000);
  std::atomic<bool> cancelled = false;
  ASSERT_THAT(store_->Reclaim(cancelled), IsOk());
  EXPECT_EQ(before->horizon(), 0u);
  for (base::LogPosition position = 0; position < 40; ++position) {
    EXPECT_THAT(before->ReadEntries(std::vector{position}), IsOk());
    EXPECT_THAT(before->ReadValue(keys_[position]), IsOk());
  }
  ExpectLogNodes(*before, 0, false);
  ExpectBands(*before, 0, false);
}

TEST_P(StorePruneTest, CommitsGoOnBetweenSteps) {
  Grow(40);
  ASSERT_THAT(store_->SetHorizon(30), IsOk());
  for (int i = 0; i < 10; ++i) {
    Prune(7, /*steps=*/1);
    Grow(1);
  }
  Prune(7);
  ExpectPruned(30, /*complete=*/true);
}

TEST_P(StorePruneTest, ErasureTakesTheValueAndLeavesARecord) {
  Grow(3);
  const ErasureRow first{keys_[1].commitment, KeyAt(7), 1, 1, 1'234};
  EXPECT_THAT(store_->Erase(std::vector{first}), IsOkAndHolds(1u));
  const auto expect_erased = [&] {
    EXPECT_THAT(Now()->ReadValue(keys_[1]), StatusIs(absl::StatusCode::kNotFound));
    EXPECT_THAT(Now()->ReadValue(keys_[0]), IsOk());
    EXPECT_THAT(Now()->ReadErasure(keys_[1].commitment), IsOkAndHolds(Optional(first)));
    EXPECT_THAT(Now()->ReadErasure(keys_[0].commitment), IsOkAndHolds(std::nullopt));
    EXPECT_THAT(Now()->ReadErasures(), IsOkAndHolds(ElementsAre(first)));
  };
  expect_erased();
  // A second time leaves the first record.
  ErasureRow second = first;
  second.erased_at_ms = 9'999;
  EXPECT_THAT(store_->Erase(std::vector{second}), IsOkAndHolds(0u));
  expect_erased();
  Reopen();
  expect_erased();
}

TEST_P(StorePruneTest, ASnapshotFromBeforeAnErasureShowsTheValueUntilItIsGone) {
  Grow(2);
  const auto before = Now();
  ASSERT_THAT(store_->Erase(std::vector{ErasureRow{keys_[0].commitment, KeyAt(7), 0, 0, 1}}),
              IsOk());
  EXPECT_THAT(before->ReadValue(keys_[0]), IsOk());
  EXPECT_THAT(Now()->ReadValue(keys_[0]), StatusIs(absl::StatusCode::kNotFound));
}

// A later snapshot is in nobody's way, one of the time of the erasure is.
TEST_P(StorePruneTest, WhatASnapshotShowsIsNotReclaimed) {
  Grow(3);
  std::atomic<bool> cancelled = false;
  EXPECT_EQ(store_->UnreclaimedErasures(), 0u);
  auto before = Now();
  ASSERT_THAT(store_->Erase(std::vector{ErasureRow{keys_[0].commitment, KeyAt(7), 0, 0, 1}}),
              IsOk());
  auto between = Now();
  ASSERT_THAT(store_->Erase(std::vector{ErasureRow{keys_[1].commitment, KeyAt(8), 1, 1, 1}}),
              IsOk());
  EXPECT_EQ(store_->UnreclaimedErasures(), 2u);
  Grow(2);
  const auto after = Now();
  EXPECT_THAT(store_->Reclaim(cancelled), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(store_->UnreclaimedErasures(), 2u);
  EXPECT_THAT(before->ReadValue(keys_[0]), IsOk()) << "what a reader holds stays as it was";
  before = nullptr;
  EXPECT_THAT(store_->Reclaim(cancelled), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(store_->UnreclaimedErasures(), 1u) << "the first, but not the second";
  between = nullptr;
  EXPECT_THAT(store_->Reclaim(cancelled), IsOk());
  EXPECT_EQ(store_->UnreclaimedErasures(), 0u);
}

TEST_P(StorePruneTest, WhatWasNotReclaimedIsRememberedAcrossARestart) {
  Grow(3);
  ASSERT_THAT(store_->Erase(std::vector{ErasureRow{keys_[0].commitment, KeyAt(7), 0, 0, 1},
                                        ErasureRow{keys_[2].commitment, KeyAt(9), 2, 2, 1}}),
              IsOk());
  std::atomic<bool> cancelled = true;
  EXPECT_THAT(store_->Reclaim(cancelled), StatusIs(absl::StatusCode::kCancelled));
  Reopen();
  EXPECT_EQ(store_->UnreclaimedErasures(), 2u);
  Grow(1);
  auto held = Now();
  cancelled = false;
  EXPECT_THAT(store_->Reclaim(cancelled), IsOk()) << "no snapshot is from before the restart";
  EXPECT_EQ(store_->UnreclaimedErasures(), 0u);
  held = nullptr;
  Reopen();
  EXPECT_EQ(store_->UnreclaimedErasures(), 0u);
}

TEST_P(StorePruneTest, ReclaimingCanBeCancelled) {
  Grow(30);
  ASSERT_THAT(store_->SetHorizon(20), IsOk());
  Prune(1'000);
  std::atomic<bool> cancelled = true;
  EXPECT_THAT(store_->Reclaim(cancelled), StatusIs(absl::StatusCode::kCancelled));
  cancelled = false;
  EXPECT_THAT(store_->Reclaim(cancelled), IsOk());
  ExpectPruned(20, /*complete=*/true);
}

// --- space -----------------------------------------------------------------------------------

// Names of the files that hold it.
std::vector<std::string> FilesThatHold(const std::string& path, const std::string& text) {
  std::vector<std::string> names;
  for (const auto& file : fs::directory_iterator(path)) {
    std::ifstream in(file.path(), std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (all.find(text) != std::string::npos) names.push_back(file.path().filename());
  }
  return names;
}

// Values that do not compress, so that sizes mean something.
class RocksSpaceTest : public ::testing::Test {
 protected:
  RocksSpaceTest() : random_(9) { Open(); }
  void Open(uint64_t snapshot_wait_ms = 10'000) {
    store_ = nullptr;
    auto store = OpenRocksDbStore(
        {.path = path(), .create_if_missing = true, .snapshot_wait_ms = snapshot_wait_ms});
    KT_CHECK(store.ok());
    store_ = *std::move(store);
  }
  std::string path() const { return dir_.path("db"); }

  void Grow(size_t entries) {
    for (size_t i = 0; i < entries; ++i) {
      CommitBatch batch = maker_.Next(1);
      const base::LogPosition position = maker_.size() - 1;
      const auto version = static_cast<base::Version>(position);
      std::string value(4'000, 'x');
      for (char& byte : value) byte = static_cast<char>(random_.Below(256));
      batch.values = {ValueRow(value, position)};
      {
        absl::MutexLock lock(&values_mutex_);
        values_.push_back(value);
      }
      VersionRow row = ExistingVersion("label", version, position);
      row.existing->commitment = batch.values[0].first.commitment;
      batch.versions = {row};
      base::Bytes band(1'000);
      random_.Fill(band);
      batch.prefix.bands = {{{0, 0}, position, position % 4 == 0, band}};
      KT_CHECK(store_->Commit(batch, position).ok());
      if (i % 500 != 499) continue;
      std::atomic<bool> cancelled = false;
      KT_CHECK(store_->Reclaim(cancelled).ok());
    }
  }

  void Erase(size_t version) {
    const base::Hash key = base::Sha256(base::AsBytes(Value(version)));
    const ErasureRow row{key, KeyAt(7), static_cast<base::Version>(version), version, 1};
    ASSERT_THAT(store_->Erase(std::vector{row}), IsOk());
  }
  std::vector<std::string> FilesWith(size_t version) const {
    return FilesThatHold(path(), Value(version).substr(1'000, 200));
  }
  std::string Value(size_t version) const {
    absl::MutexLock lock(&values_mutex_);
    return values_[version];
  }

  TempDir dir_;
  SeededRandom random_;
  std::unique_ptr<Store> store_;
  BatchMaker maker_;
  mutable absl::Mutex values_mutex_;
  std::vector<std::string> values_;
};

TEST_F(RocksSpaceTest, ComesBackAfterPruning) {
  Grow(3'000);
  std::atomic<bool> cancelled = false;
  ASSERT_THAT(store_->Reclaim(cancelled), IsOk());
  const uint64_t before = DirectoryBytes(path());
  ASSERT_GT(before, 14'000'000u) << "or the test measures nothing";
  ASSERT_THAT(store_->SetHorizon(2'700), IsOk());
  while (true) {
    ASSERT_OK_AND_ASSIGN(const PruneStep step, store_->PruneSome(500));
    if (step.complete) break;
  }
  ASSERT_THAT(store_->Reclaim(cancelled), IsOk());
  const uint64_t after = DirectoryBytes(path());
  RecordProperty("bytes_before", std::to_string(before));
  RecordProperty("bytes_after", std::to_string(after));
  EXPECT_LT(after, before / 5);
  store_ = nullptr;
  ASSERT_THAT(OpenRocksDbStore({.path = path()}), IsOk()) << "marks and seals are in order";
}

TEST_F(RocksSpaceTest, AnErasedValueIsInNoFileAnyMore) {
  Grow(600);
  ASSERT_THAT(FilesWith(300), Not(IsEmpty())) << "or the test finds nothing";
  Erase(300);
  std::atomic<bool> cancelled = false;
  ASSERT_THAT(store_->Reclaim(cancelled), IsOk());
  EXPECT_THAT(FilesWith(300), IsEmpty());
  EXPECT_THAT(FilesWith(301), Not(IsEmpty()));
}

// One that is in a write-ahead log alone, and more than there are files.
TEST_F(RocksSpaceTest, ManyErasedValuesAreInNoFileAnyMore) {
  Grow(520);
  for (size_t version = 480; version < 520; ++version) Erase(version);
  std::atomic<bool> cancelled = false;
  ASSERT_THAT(store_->Reclaim(cancelled), IsOk());
  for (size_t version = 480; version < 520; ++version)
    EXPECT_THAT(FilesWith(version), IsEmpty()) << version;
  EXPECT_THAT(FilesWith(479), Not(IsEmpty()));
}

TEST_F(RocksSpaceTest, AnErasedValueThatASnapshotShowsIsToldToBeThere) {
  Open(/*snapshot_wait_ms=*/0);
  Grow(600);
  auto held = *store_->GetSnapshot();
  Erase(300);
  std::atomic<bool> cancelled = false;
  // So often that the files are compacted in the background while the snapshot is held.
  for (int i = 0; i < 3; ++i) {
    // Whatever is committed meanwhile makes the snapshot no younger.
    Grow(1);
    EXPECT_THAT(store_->Reclaim(cancelled), StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_THAT(FilesWith(300), Not(IsEmpty())) << "or it need not have been told";
  }
  held = nullptr;
  ASSERT_THAT(store_->Reclaim(cancelled), IsOk());
  EXPECT_THAT(FilesWith(300), IsEmpty());
}

TEST_F(RocksSpaceTest, AnErasureIsFinishedAfterARestart) {
  Grow(600);
  Erase(300);  // and then the process ends
  Open();
  EXPECT_THAT(FilesWith(300), Not(IsEmpty())) << "or there is nothing to finish";
  EXPECT_EQ(store_->UnreclaimedErasures(), 1u);
  std::atomic<bool> cancelled = false;
  ASSERT_THAT(store_->Reclaim(cancelled), IsOk());
  EXPECT_THAT(FilesWith(300), IsEmpty());
}

// Somebody erases while the log grows, somebody else reclaims, and readers come and go. Whoever is
// told that the files are gone can rely on it, whichever call has rewritten them.
TEST_F(RocksSpaceTest, ReclaimedMeansGoneWhateverElseGoesOn) {
  Grow(600);
  std::atomic<bool> done = false;
  std::atomic<bool> cancelled = false;
  std::thread reader([&] {
    while (!done) {
      const auto snapshot = *store_->GetSnapshot();
      absl::SleepFor(absl::Milliseconds(30));
    }
  });
  std::thread pruner([&] {
    while (!done) {
      const absl::Status status = store_->Reclaim(cancelled);
      EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
    }
  });
  std::thread writer([&] {
    while (!done) Grow(1);
  });
  for (size_t version = 100; version < 103; ++version) {
    Erase(version);
    ASSERT_THAT(store_->Reclaim(cancelled), IsOk());
    EXPECT_THAT(FilesWith(version), IsEmpty()) << version;
  }
  done = true;
  for (std::thread* thread : {&reader, &pruner, &writer}) thread->join();
}

}  // namespace
}  // namespace kt::server
