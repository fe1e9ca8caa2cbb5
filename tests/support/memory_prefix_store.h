// SPDX-License-Identifier: Apache-2.0
//
// Prefix tree rows in ordered maps, with snapshots: the smallest store that a prefix tree can live
// in. It also counts what is asked of it.
#ifndef TESTS_SUPPORT_MEMORY_PREFIX_STORE_H_
#define TESTS_SUPPORT_MEMORY_PREFIX_STORE_H_

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/types.h"
#include "merkle/prefix_store.h"

namespace kt::testing {

// Thread-safe.
class MemoryPrefixStore {
 public:
  struct Counts {
    size_t read_calls = 0;
    size_t buckets = 0;
    size_t band_queries = 0;
  };

  // Makes all of `writes` visible to later snapshots.
  void Commit(const merkle::PrefixWrites& writes) {
    absl::MutexLock lock(&mutex_);
    ++commits_;
    for (const merkle::LeafRow& row : writes.leaves) {
      Leaf& leaf = leaves_.try_emplace({row.key, row.insert_pos}, Leaf{row, commits_, commits_})
                       .first->second;
      if (leaf.row.end_pos != row.end_pos) leaf.ended_in = commits_;
      leaf.row = row;
    }
    for (const merkle::BandRow& row : writes.bands) {
      band_bytes_ += row.data.size();
      ++band_rows_;
      bands_[{row.id.depth, row.id.bits, ~row.position}] = {row, commits_};
    }
  }

  // A view of what was committed so far; the store outlives it.
  std::shared_ptr<const merkle::PrefixStoreReader> Snapshot() const {
    absl::MutexLock lock(&mutex_);
    return std::make_shared<Reader>(this, commits_);
  }

  Counts counts() const { return {read_calls_.load(), buckets_.load(), band_queries_.load()}; }
  size_t band_rows() const {
    absl::MutexLock lock(&mutex_);
    return band_rows_;
  }
  size_t band_bytes() const {  // of row data alone
    absl::MutexLock lock(&mutex_);
    return band_bytes_;
  }

 private:
  using LeafKey = std::pair<base::VrfOutput, base::LogPosition>;
  using BandKey = std::tuple<uint8_t, uint32_t, base::LogPosition>;  // newest first
  struct Leaf {
    merkle::LeafRow row;
    uint64_t added_in = 0;  // number of the commit
    uint64_t ended_in = 0;  // of that which set row.end_pos
  };
  struct Band {
    merkle::BandRow row;
    uint64_t added_in = 0;
  };

  class Reader : public merkle::PrefixStoreReader {
   public:
    Reader(const MemoryPrefixStore* store, uint64_t commits) : store_(*store), commits_(commits) {}

    absl::Status Read(std::span<const merkle::SubtreeId> buckets,
                      std::span<const merkle::BandQuery> bands,
                      std::vector<std::vector<merkle::LeafRow>>* leaves,
                      std::vector<std::vector<merkle::BandRow>>* rows) const override {
      ++store_.read_calls_;
      store_.buckets_ += buckets.size();
      store_.band_queries_ += bands.size();
      leaves->assign(buckets.size(), {});
      rows->assign(bands.size(), {});
      absl::ReaderMutexLock lock(&store_.mutex_);
      for (size_t i = 0; i < buckets.size(); ++i) {
        const base::VrfOutput first = FirstKey(buckets[i]);
        for (auto it = store_.leaves_.lower_bound({first, 0});
             it != store_.leaves_.end() && Contains(buckets[i], it->first.first); ++it) {
          if (Sees(it->second)) (*leaves)[i].push_back(RowOf(it->second));
        }
      }
      for (size_t i = 0; i < bands.size(); ++i) ReadBand(bands[i], &(*rows)[i]);
      return absl::OkStatus();
    }

    absl::Status ScanLeaves(
        const std::function<absl::Status(const merkle::LeafRow&)>& visit) const override {
      absl::ReaderMutexLock lock(&store_.mutex_);
      for (const auto& [key, leaf] : store_.leaves_) {
        if (!Sees(leaf)) continue;
        if (absl::Status status = visit(RowOf(leaf)); !status.ok()) return status;
      }
      return absl::OkStatus();
    }

    absl::Status ScanNewestBands(
        uint8_t depth,
        const std::function<absl::Status(std::span<const merkle::BandRow>)>& visit) const override {
      absl::ReaderMutexLock lock(&store_.mutex_);
      constexpr base::LogPosition kNewest = std::numeric_limits<base::LogPosition>::max();
      auto it = store_.bands_.lower_bound({depth, 0, 0});
      while (it != store_.bands_.end() && std::get<0>(it->first) == depth) {
        std::vector<merkle::BandRow> rows;
        const uint32_t bits = std::get<1>(it->first);
        ReadBand({{depth, bits}, kNewest}, &rows);
        if (!rows.empty()) {
          if (absl::Status status = visit(rows); !status.ok()) return status;
        }
        it = store_.bands_.upper_bound({depth, bits, kNewest});
      }
      return absl::OkStatus();
    }

   private:
    bool Sees(const Leaf& leaf) const { return leaf.added_in <= commits_; }
    merkle::LeafRow RowOf(const Leaf& leaf) const {
      merkle::LeafRow row = leaf.row;
      if (leaf.ended_in > commits_) row.end_pos = merkle::kNeverRemoved;
      return row;
    }

    void ReadBand(const merkle::BandQuery& query, std::vector<merkle::BandRow>* rows) const
        ABSL_SHARED_LOCKS_REQUIRED(store_.mutex_) {
      for (auto it = store_.bands_.lower_bound({query.id.depth, query.id.bits, ~query.position});
           it != store_.bands_.end() && it->second.row.id == query.id; ++it) {
        if (it->second.added_in > commits_) continue;
        rows->push_back(it->second.row);
        if (it->second.row.is_snapshot) return;
      }
    }

    static base::VrfOutput FirstKey(const merkle::SubtreeId& id) {
      base::VrfOutput key;
      for (unsigned i = 0; i < 4; ++i) key.bytes[i] = static_cast<uint8_t>(id.bits >> (24 - 8 * i));
      return key;
    }
    static bool Contains(const merkle::SubtreeId& id, const base::VrfOutput& key) {
      for (unsigned depth = 0; depth < id.depth; ++depth) {
        if (key.bit(depth) != ((id.bits >> (31 - depth) & 1) != 0)) return false;
      }
      return true;
    }

    const MemoryPrefixStore& store_;
    const uint64_t commits_;
  };

  mutable absl::Mutex mutex_;
  uint64_t commits_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::btree_map<LeafKey, Leaf> leaves_ ABSL_GUARDED_BY(mutex_);
  absl::btree_map<BandKey, Band> bands_ ABSL_GUARDED_BY(mutex_);
  size_t band_rows_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t band_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable std::atomic<size_t> read_calls_{0};
  mutable std::atomic<size_t> buckets_{0};
  mutable std::atomic<size_t> band_queries_{0};
};

}  // namespace kt::testing
#endif  // TESTS_SUPPORT_MEMORY_PREFIX_STORE_H_
