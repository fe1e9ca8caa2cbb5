// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/merkle/prefix_tree_fixture.h"

namespace kt::merkle {
namespace {

// One writer, and readers that prove at positions old and new, also between a commit and its Apply.
void ReadBesideAWriter(const PrefixTreeLayout& layout, size_t max_leaf_bytes) {
  const uint64_t seed = TestSeed(41);
  SCOPED_TRACE(seed);
  constexpr size_t kEntries = 120;
  KeySource keys(seed);
  std::vector<PrefixChanges> entries;
  std::vector<NaivePrefixTree> history;
  NaivePrefixTree now;
  for (size_t i = 0; i < kEntries; ++i) {
    entries.push_back(RandomChanges(now, 8, &keys));
    for (const VrfOutput& key : entries.back().removed) now.Remove(key);
    for (const PrefixLeaf& leaf : entries.back().added) now.Set(leaf.vrf_output, leaf.commitment);
    history.push_back(now);
  }
  std::vector<std::vector<VrfOutput>> lookups;
  for (int i = 0; i < 64; ++i) lookups.push_back(RandomLookups(4, &keys));

  MemoryPrefixStore store;
  ASSERT_OK_AND_ASSIGN(const auto tree, PrefixTree::Load(layout, *store.Snapshot(), 0,
                                                         {.leaf_bytes = max_leaf_bytes}));
  std::atomic<base::TreeSize> stored{0};
  std::atomic<bool> failed{false};
  std::vector<std::thread> readers;
  for (uint64_t reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&, reader] {
      SeededRandom random(seed + 1 + reader);
      int after_the_end = 20;
      while (!failed && after_the_end > 0) {
        const base::TreeSize size = stored;
        if (size == 0) continue;
        if (size == kEntries) --after_the_end;
        const auto snapshot = store.Snapshot();
        std::vector<PrefixProofRequest> requests;
        for (int i = 0; i < 3; ++i) {
          const LogPosition position = i == 0 ? size - 1 : random.Below(size);
          requests.push_back({position, lookups[random.Below(lookups.size())]});
        }
        const auto proofs = tree->Prove(*snapshot, requests);
        if (!proofs.ok()) {
          ADD_FAILURE() << proofs.status();
          failed = true;
          return;
        }
        for (size_t i = 0; i < requests.size(); ++i) {
          if ((*proofs)[i] == history[requests[i].position].Prove(requests[i].keys)) continue;
          ADD_FAILURE() << "wrong proof at " << requests[i].position << " of " << size;
          failed = true;
        }
      }
    });
  }
  for (size_t i = 0; i < kEntries && !failed;) {
    const size_t count = std::min<size_t>(1 + i % 3, kEntries - i);
    auto staged = tree->Stage(*store.Snapshot(), i, {&entries[i], count});
    if (!staged.ok()) {
      ADD_FAILURE() << staged.status();
      failed = true;
      break;
    }
    store.Commit((*staged)->writes());
    stored = i + count;
    std::this_thread::yield();
    tree->Apply(std::move(staged).value());
    i += count;
  }
  for (std::thread& reader : readers) reader.join();
}

TEST(PrefixTreeThreads, ReadersAndAWriterDoNotDisturbOneAnother) {
  ReadBesideAWriter({8, 6}, /*max_leaf_bytes=*/0);
}

TEST(PrefixTreeThreads, ReadersAndAWriterShareLeavesInMemory) {
  for (const size_t max_leaf_bytes : kLeafBytes) ReadBesideAWriter({8, 6, true}, max_leaf_bytes);
}

// Passes on what `reader` says, but not before it may.
class SlowReader : public PrefixStoreReader {
 public:
  explicit SlowReader(std::shared_ptr<const PrefixStoreReader> reader)
      : reader_(std::move(reader)) {}

  absl::Status Read(std::span<const SubtreeId> buckets, std::span<const BandQuery> bands,
                    std::vector<std::vector<LeafRow>>* leaves,
                    std::vector<std::vector<BandRow>>* rows) const override {
    if (!asked_.HasBeenNotified()) asked_.Notify();
    may_answer_.WaitForNotification();
    return reader_->Read(buckets, bands, leaves, rows);
  }
  absl::Status ScanLeaves(const std::function<absl::Status(const LeafRow&)>& visit) const override {
    return reader_->ScanLeaves(visit);
  }
  absl::Status ScanNewestBands(
      uint8_t depth,
      const std::function<absl::Status(std::span<const BandRow>)>& visit) const override {
    return reader_->ScanNewestBands(depth, visit);
  }

  void WaitUntilAsked() { asked_.WaitForNotification(); }
  void MayAnswer() { may_answer_.Notify(); }

 private:
  const std::shared_ptr<const PrefixStoreReader> reader_;
  mutable absl::Notification asked_;
  absl::Notification may_answer_;
};

// Proofs that began long ago, from tiles that the newest tree does not have any more.
void ProveFromAnOldVersion(size_t max_leaf_bytes) {
  const uint64_t seed = TestSeed(42);
  SCOPED_TRACE(seed);
  constexpr base::TreeSize kOldSize = 20, kNewSize = 150;
  KeySource keys(seed);
  Log log({12, 6, true}, max_leaf_bytes);
  const auto append = [&] { log.Append({RandomChanges(log.newest(), 8, &keys)}); };
  while (log.size() < kOldSize) append();
  const std::vector<PrefixProofRequest> requests = {{kOldSize - 1, RandomLookups(30, &keys)},
                                                    {kOldSize / 2, RandomLookups(30, &keys)}};
  const std::vector<PrefixProof> expected = {log.at(kOldSize - 1).Prove(requests[0].keys),
                                             log.at(kOldSize / 2).Prove(requests[1].keys)};
  SlowReader slow(log.store().Snapshot());
  std::thread slow_one([&] {
    const auto proofs = log.tree().Prove(slow, requests);
    ASSERT_THAT(proofs, IsOk());
    EXPECT_EQ(*proofs, expected);
  });
  slow.WaitUntilAsked();
  std::atomic<bool> done{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i) {
    others.emplace_back([&] {
      while (!done) {
        const auto proofs = log.tree().Prove(*log.store().Snapshot(), requests);
        ASSERT_THAT(proofs, IsOk());
        EXPECT_EQ(*proofs, expected);
      }
    });
  }
  while (log.size() < kNewSize && !::testing::Test::HasFailure()) append();
  done = true;
  for (std::thread& other : others) other.join();
  slow.MayAnswer();
  slow_one.join();
  ASSERT_NO_FATAL_FAILURE(log.CheckProof(log.size() - 1, RandomLookups(30, &keys)));
}

TEST(PrefixTreeThreads, AProofKeepsTheVersionThatItBeganWith) {
  for (const size_t max_leaf_bytes : kLeafBytes) ProveFromAnOldVersion(max_leaf_bytes);
}

}  // namespace
}  // namespace kt::merkle
