// SPDX-License-Identifier: Apache-2.0
//
// What a damaged store makes of the prefix tree: an error, never a crash or a proof of another
// tree.
#include <functional>

#include "tests/merkle/prefix_tree_fixture.h"

namespace kt::merkle {
namespace {

using LeafLists = std::vector<std::vector<LeafRow>>;
using RowLists = std::vector<std::vector<BandRow>>;

// Passes on what `reader` says after `damage` had its hands on it.
class DamagedReader : public PrefixStoreReader {
 public:
  using Damage = std::function<void(LeafLists*, RowLists*)>;
  DamagedReader(std::shared_ptr<const PrefixStoreReader> reader, Damage damage)
      : reader_(std::move(reader)), damage_(std::move(damage)) {}

  absl::Status Read(std::span<const SubtreeId> buckets, std::span<const BandQuery> bands,
                    LeafLists* leaves, RowLists* rows) const override {
    absl::Status status = reader_->Read(buckets, bands, leaves, rows);
    damage_(leaves, rows);
    return status;
  }
  absl::Status ScanLeaves(const std::function<absl::Status(const LeafRow&)>& visit) const override {
    return reader_->ScanLeaves(visit);
  }
  absl::Status ScanNewestBands(
      uint8_t depth,
      const std::function<absl::Status(std::span<const BandRow>)>& visit) const override {
    RowLists rows;
    LeafLists leaves;
    absl::Status status = reader_->ScanNewestBands(depth, [&](std::span<const BandRow> tile) {
      rows.emplace_back(tile.begin(), tile.end());
      return absl::OkStatus();
    });
    damage_(&leaves, &rows);
    for (const std::vector<BandRow>& tile : rows) {
      if (tile.empty()) continue;
      status.Update(visit(tile));
      if (!status.ok()) return status;
    }
    return status;
  }

 private:
  const std::shared_ptr<const PrefixStoreReader> reader_;
  const Damage damage_;
};

// Leaves under one prefix of four bits: first in six buckets, then each entry in one of three, so
// that the tile there has one snapshot and then rows of one change. With a removal and a
// replacement.
class PrefixTreeCorruption : public ::testing::Test {
 protected:
  explicit PrefixTreeCorruption(bool deepest_from_leaves = false)
      : log_({8, 100, deepest_from_leaves}) {
    SeededRandom random(8);
    for (int i = 0; i < 10; ++i) {
      PrefixChanges changes;
      for (int j = 0; j < 12; ++j) {
        VrfOutput key = random.NextVrfOutput();
        key.bytes[0] = static_cast<uint8_t>(0xa0 | (i == 0 ? j / 2 : i % 3));
        keys_.push_back(key);
        changes.added.push_back({key, random.NextHash()});
      }
      if (i == 5) {
        changes.removed = {keys_[0], keys_[1]};
        changes.added.push_back({keys_[1], random.NextHash()});
      }
      log_.Append({changes});
    }
    key_ = keys_[15];  // in the bucket that entries 1, 4 and 7 add to
  }

  absl::Status Prove(LogPosition position, const VrfOutput& key, DamagedReader::Damage damage) {
    // A tree without cached tiles.
    log_.Reload();
    const PrefixProofRequest request{position, {key}};
    return log_.tree()
        .Prove(DamagedReader(log_.store().Snapshot(), std::move(damage)), {&request, 1})
        .status();
  }
  absl::Status Load(DamagedReader::Damage damage, size_t max_leaf_bytes = 0) {
    return PrefixTree::Load(log_.layout(),
                            DamagedReader(log_.store().Snapshot(), std::move(damage)), log_.size(),
                            {.leaf_bytes = max_leaf_bytes})
        .status();
  }
  absl::Status Stage(DamagedReader::Damage damage) {
    PrefixChanges changes;
    changes.added.push_back({FlipBit(key_, 100), {}});
    return log_.tree()
        .Stage(DamagedReader(log_.store().Snapshot(), std::move(damage)), log_.size(),
               {&changes, 1})
        .status();
  }

  Log log_;
  std::vector<VrfOutput> keys_;
  VrfOutput key_;
};

// The rows of the tile at depth 4, among those that were read.
std::vector<BandRow>* DeepRows(RowLists* rows) {
  for (std::vector<BandRow>& tile : *rows) {
    if (!tile.empty() && tile[0].id.depth == 4) return &tile;
  }
  return nullptr;
}

struct NamedRowDamage {
  const char* name;
  std::function<void(std::vector<BandRow>*)> damage;
};
const NamedRowDamage kRowDamages[] = {
    {"unknown flag", [](auto* rows) { rows->front().data[0] = 0x30; }},
    {"another child", [](auto* rows) { rows->front().data[0] ^= 0x08; }},
    {"flag of a leaf", [](auto* rows) { rows->back().data[0] ^= 0x30; }},
    {"hash", [](auto* rows) { rows->front().data[5] ^= 1; }},
    {"cut short", [](auto* rows) { rows->back().data.pop_back(); }},
    {"trailing byte", [](auto* rows) { rows->back().data.push_back(0); }},
    {"empty delta", [](auto* rows) { rows->front().data.clear(); }},
    {"no snapshot", [](auto* rows) { rows->pop_back(); }},
    {"newest row lost", [](auto* rows) { rows->erase(rows->begin()); }},
    {"all rows lost", [](auto* rows) { rows->clear(); }},
    {"row of another tile", [](auto* rows) { rows->front().id.bits ^= 0x10000000; }},
    {"order", [](auto* rows) { std::swap((*rows)[0], (*rows)[1]); }},
    {"too many rows",
     [](auto* rows) {
       BandRow row = rows->front();
       rows->insert(rows->begin(), 300, row);
       for (size_t i = 0; i < 300; ++i) (*rows)[i].position = row.position + 300 - i;
     }},
    {"item twice",
     [](auto* rows) {
       const base::Bytes data = rows->front().data;
       base::Append(rows->front().data, data);
     }},
};

TEST_F(PrefixTreeCorruption, ProveRefusesDamagedRows) {
  ASSERT_THAT(Prove(4, key_, [](LeafLists*, RowLists*) {}), IsOk());
  for (const auto& [name, damage] : kRowDamages) {
    SCOPED_TRACE(name);
    bool done = false;
    EXPECT_THAT(Prove(4, key_,
                      [&, &change = damage](LeafLists*, RowLists* rows) {
                        std::vector<BandRow>* const deep = DeepRows(rows);
                        ASSERT_NE(deep, nullptr);
                        ASSERT_GE(deep->size(), 3u);
                        change(deep);
                        done = true;
                      }),
                StatusIs(absl::StatusCode::kDataLoss));
    EXPECT_TRUE(done);
  }
}

TEST_F(PrefixTreeCorruption, LoadRefusesDamagedRows) {
  ASSERT_THAT(Load([](LeafLists*, RowLists*) {}), IsOk());
  for (const auto& [name, damage] : kRowDamages) {
    SCOPED_TRACE(name);
    EXPECT_THAT(Load([&change = damage](LeafLists*, RowLists* rows) {
                  if (std::vector<BandRow>* const deep = DeepRows(rows)) change(deep);
                }),
                StatusIs(absl::StatusCode::kDataLoss));
  }
}

TEST_F(PrefixTreeCorruption, LoadRefusesRowsThatAreMissingAboveOrNewerThanTheLog) {
  EXPECT_THAT(Load([](LeafLists*, RowLists* rows) {
                if (!rows->empty() && (*rows)[0][0].id.depth == 0) rows->clear();
              }),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("no tile above")));
  EXPECT_THAT(PrefixTree::Load(log_.layout(), *log_.store().Snapshot(), log_.size() - 1, {}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("newer than the log")));
  EXPECT_THAT(PrefixTree::Load(log_.layout(), *log_.store().Snapshot(), 0, {}),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(PrefixTreeCorruption, LoadRefusesUnknownLayouts) {
  for (const PrefixTreeLayout& layout :
       {PrefixTreeLayout{0, 16}, PrefixTreeLayout{6, 16}, PrefixTreeLayout{28, 16},
        PrefixTreeLayout{16, 0}, PrefixTreeLayout{4, 16, true}}) {
    EXPECT_THAT(PrefixTree::Load(layout, *MemoryPrefixStore().Snapshot(), 0, {}),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

struct NamedLeafDamage {
  const char* name;
  std::function<void(std::vector<LeafRow>*)> damage;
};
const NamedLeafDamage kLeafDamages[] = {
    {"commitment", [](auto* rows) { rows->front().commitment.bytes[0] ^= 1; }},
    {"key", [](auto* rows) { rows->back().key = FlipBit(rows->back().key, 255); }},
    {"bucket", [](auto* rows) { rows->back().key.bytes[0] = 0xff; }},
    {"lost", [](auto* rows) { rows->erase(rows->begin()); }},
    {"all lost", [](auto* rows) { rows->clear(); }},
    {"twice", [](auto* rows) { rows->push_back(rows->back()); }},
    {"order", [](auto* rows) { std::swap(rows->front(), rows->back()); }},
    {"ended", [](auto* rows) { rows->front().end_pos = rows->front().insert_pos + 1; }},
    {"ends before it begins", [](auto* rows) { rows->back().end_pos = 0; }},
};

TEST_F(PrefixTreeCorruption, ProveAndStageRefuseDamagedLeaves) {
  ASSERT_THAT(Stage([](LeafLists*, RowLists*) {}), IsOk());
  for (const auto& [name, damage] : kLeafDamages) {
    SCOPED_TRACE(name);
    const auto change = [&damaged = damage](LeafLists* leaves, RowLists*) {
      for (std::vector<LeafRow>& bucket : *leaves) damaged(&bucket);
    };
    for (const LogPosition position : {log_.size() - 1, log_.size() - 2}) {
      EXPECT_THAT(Prove(position, key_, change), StatusIs(absl::StatusCode::kDataLoss));
    }
    EXPECT_THAT(Stage(change), StatusIs(absl::StatusCode::kDataLoss));
  }
}

// The same tree without rows of its deepest tiles.
class PrefixTreeCorruptionOfLeaves : public PrefixTreeCorruption {
 protected:
  PrefixTreeCorruptionOfLeaves() : PrefixTreeCorruption(true) {}
};

TEST_F(PrefixTreeCorruptionOfLeaves, NoRowsAreKeptOfTheDeepestTiles) {
  const auto snapshot = log_.store().Snapshot();
  size_t tiles = 0;
  const auto count = [&](std::span<const BandRow>) {
    ++tiles;
    return absl::OkStatus();
  };
  ASSERT_THAT(snapshot->ScanNewestBands(0, count), IsOk());
  EXPECT_EQ(tiles, 1u);
  ASSERT_THAT(snapshot->ScanNewestBands(4, count), IsOk());
  EXPECT_EQ(tiles, 1u);
}

TEST_F(PrefixTreeCorruptionOfLeaves, ProveStageAndLoadRefuseDamagedLeaves) {
  ASSERT_THAT(Stage([](LeafLists*, RowLists*) {}), IsOk());
  ASSERT_THAT(Load([](LeafLists*, RowLists*) {}), IsOk());
  for (const auto& [name, damage] : kLeafDamages) {
    SCOPED_TRACE(name);
    const auto change = [&damaged = damage](LeafLists* leaves, RowLists*) {
      for (std::vector<LeafRow>& bucket : *leaves) {
        if (!bucket.empty()) damaged(&bucket);
      }
    };
    for (const LogPosition position : {log_.size() - 1, log_.size() - 2, LogPosition{4}}) {
      EXPECT_THAT(Prove(position, key_, change), StatusIs(absl::StatusCode::kDataLoss));
    }
    EXPECT_THAT(Stage(change), StatusIs(absl::StatusCode::kDataLoss));
    for (const size_t max_leaf_bytes : kLeafBytes) {
      EXPECT_THAT(Load(change, max_leaf_bytes), StatusIs(absl::StatusCode::kDataLoss));
    }
  }
}

TEST_F(PrefixTreeCorruptionOfLeaves, LoadRefusesLeavesNewerThanTheLog) {
  EXPECT_THAT(PrefixTree::Load(log_.layout(), *log_.store().Snapshot(), log_.size() - 1, {}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("newer than the log")));
  EXPECT_THAT(PrefixTree::Load(log_.layout(), *log_.store().Snapshot(), 0, {}),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(PrefixTreeCorruption, StageRefusesLeavesNewerThanTheTree) {
  EXPECT_THAT(Stage([&](LeafLists* leaves, RowLists*) {
                LeafRow row = leaves->at(0).back();
                row.key = FlipBit(row.key, 255);
                row.insert_pos = log_.size();
                leaves->at(0).push_back(row);
                std::sort(leaves->at(0).begin(), leaves->at(0).end(),
                          [](const LeafRow& a, const LeafRow& b) { return a.key < b.key; });
              }),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("newer")));
}

TEST_F(PrefixTreeCorruption, AShortAnswerIsAnError) {
  EXPECT_THAT(Prove(4, key_, [](LeafLists*, RowLists* rows) { rows->pop_back(); }),
              StatusIs(absl::StatusCode::kInternal));
  EXPECT_THAT(Stage([](LeafLists* leaves, RowLists*) { leaves->clear(); }),
              StatusIs(absl::StatusCode::kInternal));
}

// Any damage at random: the proof is the right one, or there is none. Only the tile at the root has
// nothing above it in the prefix tree to be compared with; there, the proof gives another root than
// the log entry records.
TEST_F(PrefixTreeCorruption, RandomDamageNeverGivesAProofOfAnotherTree) {
  const uint64_t seed = TestSeed(51);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  size_t refused = 0;
  constexpr size_t kRounds = 2000;
  for (size_t round = 0; round < kRounds; ++round) {
    const auto damage = [&](LeafLists* leaves, RowLists* rows) {
      if (!rows->empty() && random.Below(2) == 0) {
        std::vector<BandRow>& tile = (*rows)[random.Below(rows->size())];
        if (tile.empty()) return;
        BandRow& row = tile[random.Below(tile.size())];
        switch (random.Below(4)) {
          case 0:
            tile.erase(tile.begin() + static_cast<ptrdiff_t>(random.Below(tile.size())));
            break;
          case 1:
            row.data.resize(random.Below(row.data.size() + 1));
            break;
          default:
            row.data[random.Below(row.data.size())] ^= static_cast<uint8_t>(1 << random.Below(8));
        }
      } else if (!leaves->empty() && !(*leaves)[0].empty()) {
        LeafRow& row = (*leaves)[0][random.Below((*leaves)[0].size())];
        const uint8_t flip = static_cast<uint8_t>(1 << random.Below(8));
        switch (random.Below(4)) {
          case 0:
            row.key.bytes[random.Below(32)] ^= flip;
            break;
          case 1:
            row.commitment.bytes[random.Below(32)] ^= flip;
            break;
          case 2:
            row.insert_pos ^= flip;
            break;
          default:
            row.end_pos ^= flip;
        }
      }
    };
    log_.Reload();
    const LogPosition position = random.Below(log_.size());
    const std::vector<VrfOutput> keys = {keys_[random.Below(keys_.size())]};
    const PrefixProofRequest request{position, keys};
    const auto proofs =
        log_.tree().Prove(DamagedReader(log_.store().Snapshot(), damage), {&request, 1});
    if (!proofs.ok()) {
      ASSERT_EQ(proofs.status().code(), absl::StatusCode::kDataLoss);
      ++refused;
      continue;
    }
    const NaivePrefixTree& naive = log_.at(position);
    const auto root = EvaluatePrefixProof((*proofs)[0], naive.Lookups(keys));
    if (root.ok() && *root == naive.Root()) {
      ASSERT_EQ((*proofs)[0], naive.Prove(keys));
    }
  }
  EXPECT_GT(refused, kRounds / 4);
}

}  // namespace
}  // namespace kt::merkle
