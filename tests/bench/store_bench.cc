// SPDX-License-Identifier: Apache-2.0
//
// What the RocksDB store and the head guard cost: synced commits, the reads of a search, and bytes
// on disk. Files go to a directory of their own below $TMPDIR; $KT_BENCH_VERSIONS label-versions
// (200,000 if unset) are stored before reading.
//
//   store_bench --benchmark_filter=Commit
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "kt-server/head_guard.h"
#include "kt-server/rocksdb_tables.h"
#include "kt-server/store.h"
#include "merkle/log_tree.h"
#include "tests/support/fakes.h"

namespace kt::server {
namespace {

namespace fs = std::filesystem;

constexpr size_t kChangesPerEntry = 255;
constexpr size_t kValueSize = 1'500;
constexpr size_t kSharedValueSize = 900;  // what certificates of one provider have in common

class BenchDirectory {
 public:
  BenchDirectory() {
    std::string pattern = (fs::temp_directory_path() / "kt-store-bench-XXXXXX").string();
    KT_CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  BenchDirectory(const BenchDirectory&) = delete;
  BenchDirectory& operator=(const BenchDirectory&) = delete;
  ~BenchDirectory() { fs::remove_all(path_); }
  std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::unique_ptr<Store> OpenStore(const std::string& path) {
  RocksDbOptions options;
  options.path = path;
  options.create_if_missing = true;
  absl::StatusOr<std::unique_ptr<Store>> store = OpenRocksDbStore(options);
  KT_CHECK(store.ok());
  return *std::move(store);
}

base::Bytes LabelAt(uint64_t number) {
  const base::Hash hash = base::Sha256(base::AsBytes(std::to_string(number)));
  return base::ToBytes(base::ToHex(hash.view().first(6)) + "@mail.example.com");
}

// Batches as a log of first versions makes them: per change a leaf, the row of the version and of
// the one to come, and a value; per entry the delta rows of the tiles above 65,536 buckets, every
// 16th row of a tile a snapshot.
class Workload {
 public:
  uint64_t versions() const { return versions_; }

  CommitBatch Next(size_t entries, size_t changes) {
    CommitBatch batch;
    for (size_t i = 0; i < entries; ++i) AddEntry(changes, &batch);
    batch.head = {.tree_size = tree_.size(),
                  .root = tree_.Root(),
                  .signature = base::Bytes(64, 1),
                  .full_subtrees = tree_.heads()};
    return batch;
  }

 private:
  void AddEntry(size_t changes, CommitBatch* batch) {
    const base::LogPosition position = tree_.size();
    batch->entries.push_back({.timestamp_ms = position, .prefix_tree = random_.NextHash()});
    tree_.Append(random_.NextHash(), &batch->log_nodes);
    std::map<merkle::SubtreeId, std::map<uint32_t, int>> touched;  // tile -> its changed children
    for (size_t i = 0; i < changes; ++i) {
      const base::VrfOutput key = AddVersion(position, batch);
      const uint32_t bits = uint32_t{key.bytes[0]} << 24 | uint32_t{key.bytes[1]} << 16;
      for (const uint8_t depth : {0, 4, 8, 12}) {
        const uint32_t tile = depth == 0 ? 0 : bits & ~uint32_t{0} << (32 - depth);
        touched[{depth, tile}][bits << depth >> 28] = 1;
      }
    }
    for (const auto& [tile, children] : touched) {
      const uint32_t row = rows_[tile]++;
      const size_t nodes = row % 16 == 0 ? std::min<size_t>(16, row + 1) : children.size();
      base::Bytes data(nodes * 34);
      random_.Fill(data);
      batch->prefix.bands.push_back({tile, position, row % 16 == 0, std::move(data)});
    }
  }

  base::VrfOutput AddVersion(base::LogPosition position, CommitBatch* batch) {
    VersionRow row;
    row.label = LabelAt(versions_++);
    row.vrf_output = random_.NextVrfOutput();
    row.vrf_proof.resize(80);
    random_.Fill(row.vrf_proof);
    base::Bytes value(kValueSize, 'c');
    random_.Fill(std::span(value).subspan(kSharedValueSize));
    for (size_t i = 0; i < kSharedValueSize; ++i) value[i] = static_cast<uint8_t>(i * i >> 3);
    VersionRow::Existing existing;
    existing.position = position;
    existing.commitment = base::Sha256(value);
    row.existing = existing;
    batch->values.emplace_back(existing.value_key(), std::move(value));
    batch->versions.push_back(row);
    batch->prefix.leaves.push_back(
        {.key = row.vrf_output, .insert_pos = position, .commitment = existing.commitment});

    VersionRow next = std::move(row);
    next.version = 1;
    next.existing.reset();
    random_.Fill(next.vrf_output.bytes);
    random_.Fill(next.vrf_proof);
    batch->versions.push_back(std::move(next));
    return batch->prefix.leaves.back().key;
  }

  testing::SeededRandom random_{1};
  merkle::LogTreeBuilder tree_;
  std::map<merkle::SubtreeId, uint32_t> rows_;
  uint64_t versions_ = 0;
};

// A store with KT_BENCH_VERSIONS label-versions, compacted, and its sizes.
class LoadedStore {
 public:
  static const LoadedStore& Get() {
    static const LoadedStore loaded;
    return loaded;
  }
  const Snapshot& snapshot() const { return *snapshot_; }
  uint64_t versions() const { return workload_.versions(); }
  // Bytes of sorted files, by table.
  const std::map<std::string, uint64_t>& table_bytes() const { return table_bytes_; }

 private:
  LoadedStore() {
    const char* wanted = std::getenv("KT_BENCH_VERSIONS");
    const uint64_t versions = wanted == nullptr ? 200'000 : std::strtoull(wanted, nullptr, 10);
    Load(versions);
    Compact();
    store_ = OpenStore(directory_.path("db"));
    snapshot_ = *store_->GetSnapshot();
  }
  ~LoadedStore() {
    snapshot_.reset();
    store_.reset();
  }

  void Load(uint64_t versions) {
    const std::unique_ptr<Store> store = OpenStore(directory_.path("db"));
    base::TreeSize size = 0;
    while (workload_.versions() < versions) {
      const CommitBatch batch = workload_.Next(20, kChangesPerEntry);
      KT_CHECK(store->Commit(batch, size).ok());
      size = batch.head.tree_size;
    }
  }

  void Compact() {
    RocksDbOptions options;
    options.path = directory_.path("db");
    const absl::StatusOr<std::unique_ptr<RocksDatabase>> database = RocksDatabase::Open(options);
    KT_CHECK(database.ok());
    rocksdb::CompactRangeOptions whole;
    whole.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    for (size_t i = 0; i < kTableCount; ++i) {
      rocksdb::ColumnFamilyHandle* handle = (*database)->table(static_cast<Table>(i));
      KT_CHECK((*database)->db().CompactRange(whole, handle, nullptr, nullptr).ok());
      uint64_t bytes = 0;
      KT_CHECK((*database)->db().GetIntProperty(handle, rocksdb::DB::Properties::kLiveSstFilesSize,
                                                &bytes));
      table_bytes_[TableName(static_cast<Table>(i))] = bytes;
    }
  }

  BenchDirectory directory_;
  Workload workload_;
  std::map<std::string, uint64_t> table_bytes_;
  std::unique_ptr<Store> store_;
  std::shared_ptr<const Snapshot> snapshot_;
};

// Argument: log entries, of 255 changes each.
void BM_Commit(benchmark::State& state) {
  const BenchDirectory directory;
  const std::unique_ptr<Store> store = OpenStore(directory.path("db"));
  Workload workload;
  const size_t entries = static_cast<size_t>(state.range(0));
  base::TreeSize size = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const CommitBatch batch = workload.Next(entries, kChangesPerEntry);
    state.ResumeTiming();
    KT_CHECK(store->Commit(batch, size).ok());
    size = batch.head.tree_size;
  }
  state.SetItemsProcessed(static_cast<int64_t>(workload.versions()));
}
BENCHMARK(BM_Commit)->Arg(1)->Arg(20)->Unit(benchmark::kMillisecond)->UseRealTime();

// One change an entry: what a single update waits for.
void BM_CommitOneChange(benchmark::State& state) {
  const BenchDirectory directory;
  const std::unique_ptr<Store> store = OpenStore(directory.path("db"));
  Workload workload;
  for (auto _ : state) {
    state.PauseTiming();
    const CommitBatch batch = workload.Next(1, 1);
    state.ResumeTiming();
    KT_CHECK(store->Commit(batch, batch.head.tree_size - 1).ok());
  }
}
BENCHMARK(BM_CommitOneChange)->Unit(benchmark::kMicrosecond)->UseRealTime();

// Both rows of a label, by a range scan.
void BM_ReadVersions(benchmark::State& state) {
  const LoadedStore& loaded = LoadedStore::Get();
  testing::SeededRandom random(2);
  for (auto _ : state) {
    const auto rows = loaded.snapshot().ReadVersions(LabelAt(random.Below(loaded.versions())), 0);
    KT_CHECK(rows.ok() && rows->size() == 2);
  }
}
BENCHMARK(BM_ReadVersions)->Unit(benchmark::kMicrosecond);

// The two rows by their versions, and one that is not there.
void BM_ReadVersionRows(benchmark::State& state) {
  const LoadedStore& loaded = LoadedStore::Get();
  testing::SeededRandom random(3);
  const std::vector<base::Version> versions = {0, 1, 3};
  for (auto _ : state) {
    const auto rows =
        loaded.snapshot().ReadVersionRows(LabelAt(random.Below(loaded.versions())), versions);
    KT_CHECK(rows.ok() && (*rows)[1].has_value() && !(*rows)[2].has_value());
  }
}
BENCHMARK(BM_ReadVersionRows)->Unit(benchmark::kMicrosecond);

// What a proof at an old position reads: a bucket of depth 16 and the tiles above it.
void BM_ReadBucketAndBands(benchmark::State& state) {
  const LoadedStore& loaded = LoadedStore::Get();
  testing::SeededRandom random(4);
  std::vector<std::vector<merkle::LeafRow>> leaves;
  std::vector<std::vector<merkle::BandRow>> rows;
  size_t read = 0;
  for (auto _ : state) {
    const uint32_t bits = static_cast<uint32_t>(random.Below(65'536)) << 16;
    const base::LogPosition position = random.Below(loaded.snapshot().head().tree_size);
    const std::array<merkle::SubtreeId, 1> bucket = {{{16, bits}}};
    const std::array<merkle::BandQuery, 4> bands = {{{{0, 0}, position},
                                                     {{4, bits & 0xf0000000}, position},
                                                     {{8, bits & 0xff000000}, position},
                                                     {{12, bits & 0xfff00000}, position}}};
    KT_CHECK(loaded.snapshot().Read(bucket, bands, &leaves, &rows).ok());
    read += leaves[0].size();
  }
  state.counters["leaves"] =
      benchmark::Counter(static_cast<double>(read), benchmark::Counter::kAvgIterations);
}
BENCHMARK(BM_ReadBucketAndBands)->Unit(benchmark::kMicrosecond);

// Argument: buckets read in one round.
void BM_ReadBuckets(benchmark::State& state) {
  const LoadedStore& loaded = LoadedStore::Get();
  testing::SeededRandom random(5);
  std::vector<std::vector<merkle::LeafRow>> leaves;
  std::vector<std::vector<merkle::BandRow>> rows;
  std::vector<merkle::SubtreeId> buckets(static_cast<size_t>(state.range(0)), {16, 0});
  for (auto _ : state) {
    for (merkle::SubtreeId& id : buckets)
      id.bits = static_cast<uint32_t>(random.Below(65'536)) << 16;
    KT_CHECK(loaded.snapshot().Read(buckets, {}, &leaves, &rows).ok());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ReadBuckets)->Arg(1)->Arg(10)->Arg(255)->Unit(benchmark::kMicrosecond);

// Argument: log nodes of one proof.
void BM_ReadLogNodes(benchmark::State& state) {
  const LoadedStore& loaded = LoadedStore::Get();
  testing::SeededRandom random(6);
  std::vector<merkle::LogNodeId> ids(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    for (merkle::LogNodeId& id : ids) {
      id.level = static_cast<uint8_t>(random.Below(4));
      id.index = random.Below(loaded.snapshot().head().tree_size >> id.level);
    }
    KT_CHECK(loaded.snapshot().ReadLogNodes(ids).ok());
  }
}
BENCHMARK(BM_ReadLogNodes)->Arg(12)->Arg(30)->Unit(benchmark::kMicrosecond);

void BM_ReadValue(benchmark::State& state) {
  const LoadedStore& loaded = LoadedStore::Get();
  testing::SeededRandom random(7);
  for (auto _ : state) {
    state.PauseTiming();
    const auto rows = loaded.snapshot().ReadVersions(LabelAt(random.Below(loaded.versions())), 0);
    state.ResumeTiming();
    KT_CHECK(loaded.snapshot().ReadValue((*rows)[0].existing->value_key()).ok());
  }
}
BENCHMARK(BM_ReadValue)->Unit(benchmark::kMicrosecond);

// What loading the tree at a start does. Counted in leaves.
void BM_ScanLeaves(benchmark::State& state) {
  const LoadedStore& loaded = LoadedStore::Get();
  int64_t leaves = 0;
  for (auto _ : state) {
    KT_CHECK(loaded.snapshot()
                 .ScanLeaves([&](const merkle::LeafRow&) {
                   ++leaves;
                   return absl::OkStatus();
                 })
                 .ok());
  }
  state.SetItemsProcessed(leaves);
}
BENCHMARK(BM_ScanLeaves)->Unit(benchmark::kMillisecond);

// Not a time: bytes a label-version takes in each table after compaction.
void BM_BytesPerVersion(benchmark::State& state) {
  const LoadedStore& loaded = LoadedStore::Get();
  for (auto _ : state) benchmark::DoNotOptimize(loaded.versions());
  double total = 0;
  for (const auto& [table, bytes] : loaded.table_bytes()) {
    const double each = static_cast<double>(bytes) / static_cast<double>(loaded.versions());
    state.counters[table] = each;
    total += each;
  }
  state.counters["total"] = total;
}
BENCHMARK(BM_BytesPerVersion)->Iterations(1);

void BM_HeadGuardAdvance(benchmark::State& state) {
  const BenchDirectory directory;
  const auto guard =
      HeadGuard::Open(directory.path("guard"), base::Hash{}, HeadGuard::IfMissing::kCreate);
  KT_CHECK(guard.ok());
  base::TreeSize size = 0;
  for (auto _ : state) KT_CHECK((*guard)->Advance(++size, base::Hash{}).ok());
}
BENCHMARK(BM_HeadGuardAdvance)->Unit(benchmark::kMicrosecond)->UseRealTime();

// What the head guard would cost if it replaced its file each time.
void BM_ReplaceFile(benchmark::State& state) {
  const BenchDirectory directory;
  const base::Bytes bytes(120, 1);
  for (auto _ : state) {
    KT_CHECK(base::WriteFileAtomically(directory.path("guard"), bytes, 0600).ok());
  }
}
BENCHMARK(BM_ReplaceFile)->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace
}  // namespace kt::server

BENCHMARK_MAIN();
