// SPDX-License-Identifier: Apache-2.0
//
// What the log tree costs: appending, working out which nodes a proof contains, and verifying it.
//
//   log_bench --benchmark_filter=Evaluate
#include <benchmark/benchmark.h>

#include <algorithm>
#include <bit>
#include <random>
#include <utility>
#include <vector>

#include "base/check.h"
#include "merkle/log_tree.h"

namespace kt::merkle {
namespace {

std::vector<base::Hash> RandomHashes(size_t count) {
  std::mt19937_64 engine(1);
  std::vector<base::Hash> hashes(count);
  for (base::Hash& hash : hashes) {
    std::generate(hash.bytes.begin(), hash.bytes.end(),
                  [&] { return static_cast<uint8_t>(engine()); });
  }
  return hashes;
}

// A search in a log of `size` entries: the frontier (each entry at the end of a left subtree, as in
// the implicit search tree), and for a returning user the heads of a log half as large.
LogProofShape SearchShape(base::TreeSize size, bool returning) {
  LogProofShape shape;
  shape.size = size;
  if (returning) shape.retained = size / 2;
  for (base::LogPosition start = 0; start < size;) {
    start += std::bit_floor(size - start);
    if (start > shape.retained.value_or(0)) shape.leaves.push_back(start - 1);
  }
  return shape;
}

void BM_Append(benchmark::State& state) {
  const std::vector<base::Hash> leaves = RandomHashes(1024);
  LogTreeBuilder builder;
  std::vector<std::pair<LogNodeId, base::Hash>> completed;
  for (auto _ : state) {
    completed.clear();
    builder.Append(leaves[builder.size() % leaves.size()], &completed);
    benchmark::DoNotOptimize(completed);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Append);

// Arguments: log2 of the size, whether the user has seen the log before.
void BM_RequiredNodes(benchmark::State& state) {
  const LogProofShape shape =
      SearchShape((base::TreeSize{1} << state.range(0)) - 3, state.range(1) != 0);
  for (auto _ : state) benchmark::DoNotOptimize(RequiredNodes(shape));
}
BENCHMARK(BM_RequiredNodes)->ArgsProduct({{20, 30, 40}, {0, 1}});

void BM_Evaluate(benchmark::State& state) {
  const LogProofShape shape =
      SearchShape((base::TreeSize{1} << state.range(0)) - 3, state.range(1) != 0);
  const std::vector<base::Hash> leaves = RandomHashes(shape.leaves.size());
  const std::vector<base::Hash> retained =
      RandomHashes(FullSubtrees(shape.retained.value_or(0)).size());
  const std::vector<base::Hash> elements = RandomHashes(RequiredNodes(shape).size());
  for (auto _ : state) {
    auto result = EvaluateLogProof(shape, leaves, retained, elements);
    KT_CHECK(result.ok());
    benchmark::DoNotOptimize(result);
  }
  state.counters["elements"] = static_cast<double>(elements.size());
}
BENCHMARK(BM_Evaluate)->ArgsProduct({{20, 30, 40}, {0, 1}})->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace kt::merkle

BENCHMARK_MAIN();
