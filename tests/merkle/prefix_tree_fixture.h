// SPDX-License-Identifier: Apache-2.0
//
// A prefix tree beside the naive trees that it should equal, and keys that meet at boundaries.
#ifndef TESTS_MERKLE_PREFIX_TREE_FIXTURE_H_
#define TESTS_MERKLE_PREFIX_TREE_FIXTURE_H_

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "merkle/prefix_tree.h"
#include "tests/support/fakes.h"
#include "tests/support/memory_prefix_store.h"
#include "tests/support/naive_prefix_tree.h"
#include "tests/support/status_matchers.h"

namespace kt::merkle {

using base::LogPosition;
using base::VrfOutput;
using kt::testing::IsOk;
using kt::testing::IsOkAndHolds;
using kt::testing::MemoryPrefixStore;
using kt::testing::NaivePrefixTree;
using kt::testing::SeededRandom;
using kt::testing::StatusIs;
using kt::testing::TestSeed;
using ::testing::HasSubstr;

inline constexpr PrefixTreeLayout kLayouts[] = {{4, 16},       {8, 3},        {16, 16},
                                                {20, 4},       {24, 1},       {8, 16, true},
                                                {12, 3, true}, {20, 4, true}, {24, 3, true}};

// Of leaves in memory: none, a few buckets, all.
inline constexpr size_t kLeafBytes[] = {0, 1'000, 1 << 20};

inline VrfOutput FlipBit(VrfOutput key, unsigned bit) {
  key.bytes[bit / 8] ^= static_cast<uint8_t>(0x80 >> bit % 8);
  return key;
}

// A tree, its store, and the naive trees that it should be at each position.
class Log {
 public:
  explicit Log(const PrefixTreeLayout& layout, size_t max_leaf_bytes = 0)
      : layout_(layout), max_leaf_bytes_(max_leaf_bytes) {
    Reload();
  }

  void Reload() {
    auto loaded =
        PrefixTree::Load(layout_, *store_.Snapshot(), size(), {.leaf_bytes = max_leaf_bytes_});
    ASSERT_THAT(loaded, IsOk());
    tree_ = std::move(loaded).value();
    ASSERT_LE(tree_->leaf_bytes(), max_leaf_bytes_);
  }

  // Applies `changes` to a copy of the newest naive tree.
  NaivePrefixTree After(const NaivePrefixTree& before, const PrefixChanges& changes) const {
    NaivePrefixTree after = before;
    for (const VrfOutput& key : changes.removed) after.Remove(key);
    for (const PrefixLeaf& leaf : changes.added) after.Set(leaf.vrf_output, leaf.commitment);
    return after;
  }

  // Stages, stores and applies `entries`, and checks every root.
  void Append(const std::vector<PrefixChanges>& entries) {
    auto snapshot = store_.Snapshot();
    auto staged = tree_->Stage(*snapshot, size(), entries);
    ASSERT_THAT(staged, IsOk());
    ASSERT_EQ((*staged)->roots().size(), entries.size());
    for (size_t i = 0; i < entries.size(); ++i) {
      history_.push_back(After(newest(), entries[i]));
      ASSERT_EQ((*staged)->roots()[i], history_.back().Root()) << "entry " << i;
    }
    store_.Commit((*staged)->writes());
    tree_->Apply(std::move(staged).value());
    ASSERT_LE(tree_->leaf_bytes(), max_leaf_bytes_);
  }

  // Applies what the caller has staged and stored.
  void ApplyStaged(std::unique_ptr<StagedPrefixTree> staged, const NaivePrefixTree& after) {
    history_.push_back(after);
    tree_->Apply(std::move(staged));
  }

  // Proves `keys` at `position` and compares with the naive tree, byte for byte.
  void CheckProof(LogPosition position, const std::vector<VrfOutput>& keys) {
    const PrefixProofRequest request{position, keys};
    auto proofs = tree_->Prove(*store_.Snapshot(), {&request, 1});
    ASSERT_THAT(proofs, IsOk());
    ASSERT_EQ(proofs->size(), 1u);
    CheckProof(position, keys, (*proofs)[0]);
  }
  void CheckProof(LogPosition position, const std::vector<VrfOutput>& keys,
                  const PrefixProof& proof) {
    const NaivePrefixTree& naive = history_[position];
    ASSERT_EQ(proof, naive.Prove(keys)) << "at position " << position;
    ASSERT_THAT(EvaluatePrefixProof(proof, naive.Lookups(keys)), IsOkAndHolds(naive.Root()));
  }

  base::TreeSize size() const { return history_.size(); }
  NaivePrefixTree newest() const { return history_.empty() ? NaivePrefixTree() : history_.back(); }
  const NaivePrefixTree& at(LogPosition position) const { return history_[position]; }
  MemoryPrefixStore& store() { return store_; }
  PrefixTree& tree() { return *tree_; }
  const PrefixTreeLayout& layout() const { return layout_; }

 private:
  const PrefixTreeLayout layout_;
  const size_t max_leaf_bytes_;
  MemoryPrefixStore store_;
  std::unique_ptr<PrefixTree> tree_;
  std::vector<NaivePrefixTree> history_;
};

// Random keys, most of which share long prefixes with another: they part at the bits around the
// boundaries of tiles and buckets.
class KeySource {
 public:
  explicit KeySource(uint64_t seed) : random_(seed) {}

  VrfOutput Next() {
    static constexpr unsigned kBits[] = {0,  1,  2,  3,  4,  5,  7,  8,  9,  11,  12,  15, 16,
                                         17, 19, 20, 21, 23, 24, 25, 27, 28, 100, 253, 254};
    VrfOutput key = random_.NextVrfOutput();
    if (!keys_.empty() && random_.Below(4) != 0) {
      const unsigned bit = kBits[random_.Below(std::size(kBits))];
      const VrfOutput other = FlipBit(keys_[random_.Below(keys_.size())], bit);
      // The other's bits down to the flipped one; below, half the time random ones. Bit 255 stays
      // zero: two leaves must not part there.
      if (random_.Below(2) == 0) {
        key = other;
      } else {
        for (unsigned i = 0; i <= bit; ++i) {
          if (key.bit(i) != other.bit(i)) key = FlipBit(key, i);
        }
      }
    }
    key.bytes[31] &= 0xfe;
    keys_.push_back(key);
    return key;
  }
  VrfOutput Known() { return keys_[random_.Below(keys_.size())]; }
  VrfOutput KnownOrNew() { return keys_.empty() || random_.Below(3) == 0 ? Next() : Known(); }
  SeededRandom& random() { return random_; }

 private:
  SeededRandom random_;
  std::vector<VrfOutput> keys_;
};

// Changes that fit the tree `now`: additions, removals, replacements.
inline PrefixChanges RandomChanges(const NaivePrefixTree& now, size_t count, KeySource* keys) {
  PrefixChanges changes;
  std::map<VrfOutput, bool> touched;
  for (size_t i = 0; i < count; ++i) {
    const VrfOutput key = keys->KnownOrNew();
    if (!touched.emplace(key, true).second) continue;
    const bool present = now.leaves().contains(key);
    if (present) changes.removed.push_back(key);
    if (!present || keys->random().Below(4) == 0) {
      // A replacement may also put back what was there.
      const base::Hash commitment = present && keys->random().Below(2) == 0
                                        ? now.leaves().at(key)
                                        : keys->random().NextHash();
      changes.added.push_back({key, commitment});
    }
  }
  std::shuffle(changes.added.begin(), changes.added.end(),
               std::mt19937_64(keys->random().Below(1000)));
  return changes;
}

inline std::vector<VrfOutput> RandomLookups(size_t count, KeySource* keys) {
  std::map<VrfOutput, bool> chosen;
  std::vector<VrfOutput> lookups;
  for (size_t i = 0; i < count; ++i) {
    VrfOutput key = keys->Known();
    if (keys->random().Below(3) == 0) {
      key = FlipBit(key, static_cast<unsigned>(keys->random().Below(256)));
    }
    if (chosen.emplace(key, true).second) lookups.push_back(key);
  }
  return lookups;
}

inline VrfOutput KeyOf(const std::string& bits) {
  VrfOutput key;
  for (unsigned i = 0; i < bits.size(); ++i) {
    if (bits[i] == '1') key = FlipBit(key, i);
  }
  return key;
}
inline base::Hash CommitmentOf(uint8_t value) {
  base::Hash hash;
  hash.bytes.fill(value);
  return hash;
}

}  // namespace kt::merkle
#endif  // TESTS_MERKLE_PREFIX_TREE_FIXTURE_H_
