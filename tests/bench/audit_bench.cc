// SPDX-License-Identifier: Apache-2.0
//
// What auditing costs: applying AuditorUpdates of full entries, decoding included and not.
//
//   audit_bench [--benchmark_filter=Apply]
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "kt-core/auditor_update_verifier.h"
#include "merkle/prefix_tree.h"
#include "tests/support/memory_prefix_store.h"

namespace kt::core {
namespace {

constexpr size_t kEntries = 64;

// The updates of kEntries entries of `per_entry` leaves each, which come after `leaves` leaves.
struct History {
  History(size_t leaves, size_t per_entry) {
    config.mode = DeploymentMode::kThirdPartyAuditing;
    auto tree = merkle::PrefixTree::Load({.bucket_depth = 16, .rows_per_snapshot = 16},
                                         *store.Snapshot(), 0, {})
                    .value();
    Append(*tree, RandomLeaves(leaves));
    const LogEntry first{1, root};
    start.tree_size = 1;
    start.frontier = {first};
    start.full_subtrees = {base::Sha256(codec::Encode(first))};
    for (size_t i = 0; i < kEntries; ++i) {
      AuditorUpdate update;
      update.timestamp = 2;
      update.added = RandomLeaves(per_entry);
      merkle::PrefixProofRequest request{size - 1, {}};
      for (const PrefixLeaf& leaf : update.added) request.keys.push_back(leaf.vrf_output);
      update.proof = std::move(tree->Prove(*store.Snapshot(), {&request, 1}).value()[0]);
      Append(*tree, update.added);
      encoded.push_back(codec::Encode(update));
      bytes += encoded.back().size();
      updates.push_back(std::move(update));
    }
  }

  std::vector<PrefixLeaf> RandomLeaves(size_t count) {
    std::vector<PrefixLeaf> leaves(count);
    for (PrefixLeaf& leaf : leaves) {
      for (uint8_t& byte : leaf.vrf_output.bytes) byte = static_cast<uint8_t>(engine());
    }
    std::sort(leaves.begin(), leaves.end(),
              [](const auto& a, const auto& b) { return a.vrf_output < b.vrf_output; });
    return leaves;
  }

  void Append(merkle::PrefixTree& tree, const std::vector<PrefixLeaf>& leaves) {
    const merkle::PrefixChanges changes{leaves, {}};
    auto staged = tree.Stage(*store.Snapshot(), size++, {&changes, 1}).value();
    root = staged->roots()[0];
    store.Commit(staged->writes());
    tree.Apply(std::move(staged));
  }

  std::mt19937_64 engine{42};
  testing::MemoryPrefixStore store;
  Configuration config;
  AuditorState start;
  std::vector<AuditorUpdate> updates;
  std::vector<Bytes> encoded;
  size_t bytes = 0;
  TreeSize size = 0;
  Hash root;
};

void Count(benchmark::State& state, const History& history, size_t per_entry) {
  state.counters["changes/s"] = benchmark::Counter(static_cast<double>(kEntries * per_entry),
                                                   benchmark::Counter::kIsIterationInvariantRate);
  state.counters["bytes/change"] =
      static_cast<double>(history.bytes) / static_cast<double>(kEntries * per_entry);
}

void BM_Apply(benchmark::State& state) {
  const size_t per_entry = static_cast<size_t>(state.range(1));
  const History history(static_cast<size_t>(state.range(0)), per_entry);
  for (auto _ : state) {
    AuditorState audited = history.start;
    for (const AuditorUpdate& update : history.updates) {
      KT_CHECK(ApplyAuditorUpdate(history.config, update, nullptr, &audited).ok());
    }
    KT_CHECK(audited.frontier.back().prefix_tree == history.root);
  }
  Count(state, history, per_entry);
}
BENCHMARK(BM_Apply)
    ->Args({10'000, 255})
    ->Args({1'000'000, 255})
    ->Args({1'000'000, 16})
    ->Args({1'000'000, 1})
    ->Unit(benchmark::kMillisecond);

void BM_DecodeAndApply(benchmark::State& state) {
  const size_t per_entry = static_cast<size_t>(state.range(1));
  const History history(static_cast<size_t>(state.range(0)), per_entry);
  for (auto _ : state) {
    AuditorState audited = history.start;
    for (const Bytes& bytes : history.encoded) {
      const auto update = codec::Decode<AuditorUpdate>(bytes);
      KT_CHECK(ApplyAuditorUpdate(history.config, *update, nullptr, &audited).ok());
    }
  }
  Count(state, history, per_entry);
}
BENCHMARK(BM_DecodeAndApply)
    ->Args({1'000'000, 255})
    ->Args({10'000'000, 255})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace kt::core

BENCHMARK_MAIN();
