// SPDX-License-Identifier: Apache-2.0
//
// What the prefix tree costs without a disk: inserts and proofs over rows in memory, in the layout
// that a server has, with all leaves of the newest tree in memory.
//
//   prefix_bench --benchmark_filter=Prove
#include <benchmark/benchmark.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <tuple>
#include <vector>

#include "base/check.h"
#include "merkle/prefix_tree.h"
#include "tests/support/memory_prefix_store.h"

namespace kt::merkle {
namespace {

using kt::testing::MemoryPrefixStore;

constexpr size_t kEntriesPerCommit = 20;
constexpr size_t kAllLeaves = size_t{1} << 34;  // bytes

PrefixTreeLayout Layout(int64_t bucket_depth) {
  return {static_cast<uint8_t>(bucket_depth), 32, /*deepest_from_leaves=*/true};
}

struct Log {
  explicit Log(const PrefixTreeLayout& layout) {
    auto loaded = PrefixTree::Load(layout, *store.Snapshot(), 0, {.leaf_bytes = kAllLeaves});
    KT_CHECK(loaded.ok());
    tree = std::move(loaded).value();
  }

  template <typename T>
  T Random() {
    T value;
    for (size_t i = 0; i < value.bytes.size(); i += 8) {
      const uint64_t word = engine();
      for (size_t j = 0; j < 8; ++j) value.bytes[i + j] = static_cast<uint8_t>(word >> 8 * j);
    }
    return value;
  }

  std::vector<PrefixChanges> RandomEntries(size_t count, size_t leaves_per_entry) {
    std::vector<PrefixChanges> entries(count);
    for (PrefixChanges& entry : entries) {
      for (size_t i = 0; i < leaves_per_entry; ++i) {
        entry.added.push_back({Random<base::VrfOutput>(), Random<base::Hash>()});
        keys.push_back(entry.added.back().vrf_output);
      }
    }
    leaves += count * leaves_per_entry;
    return entries;
  }

  std::unique_ptr<StagedPrefixTree> Stage(const std::vector<PrefixChanges>& entries) {
    auto staged = tree->Stage(*store.Snapshot(), size, entries);
    KT_CHECK(staged.ok());
    return std::move(staged).value();
  }

  void Commit(std::unique_ptr<StagedPrefixTree> staged) {
    size += staged->roots().size();
    store.Commit(staged->writes());
    tree->Apply(std::move(staged));
  }

  void Grow(size_t target, size_t leaves_per_entry) {
    while (leaves < target) {
      const size_t entries = leaves_per_entry > 1000 ? 1 : kEntriesPerCommit;
      Commit(Stage(RandomEntries(entries, leaves_per_entry)));
    }
  }

  std::mt19937_64 engine{42};
  MemoryPrefixStore store;
  std::unique_ptr<PrefixTree> tree;
  base::TreeSize size = 0;
  size_t leaves = 0;
  std::vector<base::VrfOutput> keys;
};

// Logs are expensive to grow, so benchmarks with the same arguments share one.
Log& SharedLog(size_t leaves, size_t leaves_per_entry, uint8_t bucket_depth) {
  static std::map<std::tuple<size_t, size_t, uint8_t>, std::unique_ptr<Log>> logs;
  std::unique_ptr<Log>& log = logs[{leaves, leaves_per_entry, bucket_depth}];
  if (log == nullptr) {
    log = std::make_unique<Log>(Layout(bucket_depth));
    log->Grow(leaves, leaves_per_entry);
  }
  return *log;
}

// Arguments: leaves in the tree before, leaves an entry, bucket depth. Time is of Stage and Apply.
void BM_Insert(benchmark::State& state) {
  const size_t per_entry = static_cast<size_t>(state.range(1));
  Log log(Layout(state.range(2)));
  log.Grow(static_cast<size_t>(state.range(0)), per_entry);
  const size_t leaves_before = log.leaves;
  const size_t bytes_before = log.store.band_bytes(), rows_before = log.store.band_rows();
  for (auto _ : state) {
    state.PauseTiming();
    const auto entries = log.RandomEntries(per_entry > 1000 ? 1 : kEntriesPerCommit, per_entry);
    state.ResumeTiming();
    auto staged = log.Stage(entries);
    state.PauseTiming();
    log.size += entries.size();
    log.store.Commit(staged->writes());
    state.ResumeTiming();
    log.tree->Apply(std::move(staged));
  }
  const double inserted = static_cast<double>(log.leaves - leaves_before);
  state.counters["leaves/s"] = benchmark::Counter(inserted, benchmark::Counter::kIsRate);
  state.counters["row_B/leaf"] =
      static_cast<double>(log.store.band_bytes() - bytes_before) / inserted;
  state.counters["rows/leaf"] = static_cast<double>(log.store.band_rows() - rows_before) / inserted;
}
BENCHMARK(BM_Insert)
    ->Args({100'000, 255, 16})
    ->Args({1'000'000, 255, 16})
    ->Args({1'000'000, 255, 20})
    ->Args({100'000, 65'000, 16})
    ->Args({1'000'000, 65'000, 16})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->Iterations(20);

// Arguments: leaves, leaves an entry, bucket depth, keys a proof.
void BM_ProveLatest(benchmark::State& state) {
  Log& log = SharedLog(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)),
                       static_cast<uint8_t>(state.range(2)));
  const auto reader = log.store.Snapshot();
  PrefixProofRequest request{log.size - 1, {}};
  for (auto _ : state) {
    request.keys.clear();
    for (int i = 0; i < state.range(3); ++i) {
      request.keys.push_back(log.keys[log.engine() % log.keys.size()]);
    }
    benchmark::DoNotOptimize(log.tree->Prove(*reader, {&request, 1}));
  }
}
BENCHMARK(BM_ProveLatest)
    ->Args({1'000'000, 255, 16, 1})
    ->Args({1'000'000, 255, 20, 1})
    ->Args({1'000'000, 255, 16, 5})
    ->Args({1'000'000, 255, 16, 255})
    ->Unit(benchmark::kMicrosecond);

// The entries that a search visits from the root of the implicit search tree to the newest one.
std::vector<base::LogPosition> Frontier(base::TreeSize size) {
  std::vector<base::LogPosition> positions;
  for (base::TreeSize start = 0; start < size;) {
    base::TreeSize width = 1;
    while (width * 2 <= size - start) width *= 2;
    positions.push_back(start + width - 1);
    start += width;
  }
  return positions;
}

// Arguments: leaves, leaves an entry, bucket depth, positions. Of two keys, as for a label with one
// version.
void BM_ProveFrontier(benchmark::State& state) {
  Log& log = SharedLog(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)),
                       static_cast<uint8_t>(state.range(2)));
  const auto reader = log.store.Snapshot();
  // The size with the longest frontier of those that the log had.
  std::vector<base::LogPosition> positions;
  for (base::TreeSize size = log.size; size > 0 && size + 4096 > log.size; --size) {
    std::vector<base::LogPosition> frontier = Frontier(size);
    if (frontier.size() > positions.size() &&
        frontier.size() <= static_cast<size_t>(state.range(3))) {
      positions = std::move(frontier);
    }
  }
  std::vector<PrefixProofRequest> requests;
  for (const base::LogPosition position : positions) requests.push_back({position, {}});
  for (auto _ : state) {
    const base::VrfOutput there = log.keys[log.engine() % log.keys.size()];
    const base::VrfOutput missing = log.Random<base::VrfOutput>();
    for (PrefixProofRequest& request : requests) request.keys = {there, missing};
    benchmark::DoNotOptimize(log.tree->Prove(*reader, requests));
  }
  state.counters["positions"] = static_cast<double>(positions.size());
}
BENCHMARK(BM_ProveFrontier)
    ->Args({1'000'000, 255, 16, 12})
    ->Args({1'000'000, 255, 20, 12})
    ->Unit(benchmark::kMicrosecond);

void BM_ProveRandomOldPosition(benchmark::State& state) {
  Log& log = SharedLog(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)),
                       static_cast<uint8_t>(state.range(2)));
  const auto reader = log.store.Snapshot();
  for (auto _ : state) {
    const PrefixProofRequest request{log.engine() % log.size,
                                     {log.keys[log.engine() % log.keys.size()]}};
    benchmark::DoNotOptimize(log.tree->Prove(*reader, {&request, 1}));
  }
}
BENCHMARK(BM_ProveRandomOldPosition)
    ->Args({1'000'000, 255, 16})
    ->Args({1'000'000, 255, 20})
    ->Unit(benchmark::kMicrosecond);

void BM_Load(benchmark::State& state) {
  Log& log = SharedLog(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)),
                       static_cast<uint8_t>(state.range(2)));
  const auto reader = log.store.Snapshot();
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        PrefixTree::Load(Layout(state.range(2)), *reader, log.size, {.leaf_bytes = kAllLeaves}));
  }
}
BENCHMARK(BM_Load)->Args({1'000'000, 255, 16})->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace kt::merkle

BENCHMARK_MAIN();
