// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_stage.h"

#include <algorithm>
#include <iterator>
#include <thread>
#include <tuple>

#include "base/status.h"

namespace kt::merkle {
namespace {

using base::LogPosition;

// Starting a thread costs as much as some of them.
constexpr size_t kMinBucketsPerThread = 256;

}  // namespace

absl::Status Stager::Run(const PrefixStoreReader& reader, std::span<const PrefixChanges> entries) {
  by_entry_.resize(entries.size());
  version_ = {base_.root, base_.size + entries.size(), base_.leaf_bytes};
  SortChanges(entries);
  KT_RETURN_IF_ERROR(ReplayBuckets(reader));
  for (size_t i = 0; i < by_entry_.size(); ++i) {
    ReplayEntry(base_.size + i, std::move(by_entry_[i]));
  }
  KeepLeaves();
  LinkTiles();
  return absl::OkStatus();
}

void Stager::SortChanges(std::span<const PrefixChanges> entries) {
  LogPosition position = base_.size;
  for (const PrefixChanges& entry : entries) {
    for (const base::VrfOutput& key : entry.removed) changes_.push_back({&key, nullptr, position});
    for (const PrefixLeaf& leaf : entry.added) {
      changes_.push_back({&leaf.vrf_output, &leaf.commitment, position});
    }
    ++position;
  }
  std::sort(changes_.begin(), changes_.end(), [](const LeafChange& a, const LeafChange& b) {
    const uint32_t a_bits = LeadingBits(*a.key, 32), b_bits = LeadingBits(*b.key, 32);
    if (a_bits != b_bits) return a_bits < b_bits;
    return std::tuple(*a.key, a.position, a.commitment != nullptr) <
           std::tuple(*b.key, b.position, b.commitment != nullptr);
  });
}

std::vector<BucketChanges> Stager::GroupByBucket() const {
  std::vector<BucketChanges> buckets;
  const unsigned depth = layout_.bucket_depth;
  for (auto begin = changes_.begin(); begin != changes_.end();) {
    BucketChanges bucket;
    bucket.id = {layout_.bucket_depth, LeadingBits(*begin->key, depth)};
    auto end = begin + 1;
    bool removes = begin->commitment == nullptr;
    for (; end != changes_.end() && Contains(bucket.id, *end->key); ++end) {
      removes |= end->commitment == nullptr;
    }
    bucket.changes = {begin, end};
    begin = end;

    const unsigned tile_depth = depth - kTileLevels;
    const SubtreeId tile_id{static_cast<uint8_t>(tile_depth),
                            LeadingBits(*bucket.changes[0].key, tile_depth)};
    if (const Tile* const tile = FindTile(tile_id); tile != nullptr) {
      const unsigned child = ChildIndex(bucket.id.bits, tile_depth);
      bucket.before = tile->value(Tile::kFirstChild + child);
      if (bucket.before.kind == NodeKind::kLeaf) {
        bucket.lone_leaf = tile->leaf(Tile::kFirstChild + child);
      }
      if (tile->keeps_leaves()) bucket.leaves = tile->leaves_below(child);
    } else if (max_leaf_bytes_ > 0) {
      bucket.leaves.emplace();  // there never was one
    }
    // Memory knows an empty bucket, and one of a single leaf but for its position of insertion,
    // which only a removal has to know.
    bucket.read =
        !bucket.leaves.has_value() && (bucket.before.kind == NodeKind::kParent ||
                                       (bucket.before.kind == NodeKind::kLeaf && removes));
    buckets.push_back(bucket);
  }
  return buckets;
}

absl::Status Stager::ReplayBuckets(const PrefixStoreReader& reader) {
  const std::vector<BucketChanges> buckets = GroupByBucket();
  const size_t count = std::clamp<size_t>(buckets.size() / kMinBucketsPerThread, 1,
                                          std::max(std::thread::hardware_concurrency(), 1u));
  std::vector<BucketReplay> parts(count, BucketReplay(base_.size, by_entry_.size()));
  std::vector<absl::Status> statuses(count);
  const auto run = [&](size_t i) {
    const size_t begin = buckets.size() * i / count;
    const size_t end = buckets.size() * (i + 1) / count;
    statuses[i] = parts[i].Run(reader, std::span(buckets).subspan(begin, end - begin));
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < count; ++i) threads.emplace_back(run, i);
  run(0);
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : statuses) KT_RETURN_IF_ERROR(status);
  for (BucketReplay& part : parts) {
    for (size_t i = 0; i < by_entry_.size(); ++i) {
      std::move(part.by_entry()[i].begin(), part.by_entry()[i].end(),
                std::back_inserter(by_entry_[i]));
    }
    std::move(part.leaves().begin(), part.leaves().end(), std::back_inserter(writes_.leaves));
    std::move(part.changed_leaves().begin(), part.changed_leaves().end(),
              std::back_inserter(changed_leaves_));
  }
  return absl::OkStatus();
}

void Stager::ReplayEntry(LogPosition position, std::vector<NodeChange> changes) {
  for (unsigned depth = layout_.bucket_depth; depth > 0 && !changes.empty();) {
    depth -= kTileLevels;
    changes = ReplayTiles(depth, position, changes);
  }
  const Tile* const root = NewestTile({});
  roots_.push_back(root == nullptr ? base::Hash{} : root->hash(Tile::kRoot));
}

// Applies changes of nodes at depth + 4 to the tiles at `depth`; returns the changes of their
// roots.
std::vector<NodeChange> Stager::ReplayTiles(unsigned depth, LogPosition position,
                                            std::span<const NodeChange> changes) {
  std::vector<NodeChange> above;
  for (size_t i = 0; i < changes.size();) {
    const SubtreeId id{static_cast<uint8_t>(depth), LeadingBits(changes[i].bits, depth)};
    const Tile* const before = NewestTile(id);
    Tile* tile = nullptr;  // copied once something does change
    uint32_t changed = 0;
    for (; i < changes.size() && LeadingBits(changes[i].bits, depth) == id.bits; ++i) {
      const unsigned child = ChildIndex(changes[i].bits, depth);
      const NodeValue old_value =
          before == nullptr ? NodeValue{} : before->value(Tile::kFirstChild + child);
      if (changes[i].value == old_value) continue;
      if (tile == nullptr) tile = MutableTile(id);
      tile->SetChild(child, changes[i].value, changes[i].leaf);
      changed |= 1u << child;
    }
    if (tile == nullptr) continue;
    tile->Rehash(changed);
    if (layout_.deepest_from_leaves && depth == layout_.deepest_tile_depth()) {
      tile->SetNewestRow(position, 0);
    } else {
      writes_.bands.push_back(AddRow(id, position, changed, layout_.rows_per_snapshot, tile));
    }
    NodeChange root{.bits = id.bits, .value = tile->value(Tile::kRoot), .leaf = {}};
    if (root.value.kind == NodeKind::kLeaf) root.leaf = tile->leaf(Tile::kRoot);
    above.push_back(root);
  }
  return above;
}

const Tile* Stager::FindTile(const SubtreeId& id) const {
  const Tile* tile = base_.root.get();
  for (unsigned depth = 0; tile != nullptr && depth < id.depth; depth += kTileLevels) {
    tile = tile->below(ChildIndex(id.bits, depth)).get();
  }
  return tile;
}

const Tile* Stager::NewestTile(const SubtreeId& id) const {
  const StagedTiles& staged = staged_[id.depth / kTileLevels];
  const auto found = staged.find(id.bits);
  return found != staged.end() ? found->second.get() : FindTile(id);
}

Tile* Stager::MutableTile(const SubtreeId& id) {
  std::shared_ptr<Tile>& tile = StagedAt(id.depth)[id.bits];
  if (tile == nullptr) {
    const Tile* const current = FindTile(id);
    tile = current == nullptr ? std::make_shared<Tile>() : std::make_shared<Tile>(*current);
    if (max_leaf_bytes_ > 0 && current == nullptr && id.depth == layout_.deepest_tile_depth()) {
      tile->StartKeepingLeaves();
    }
  }
  return tile.get();
}

// In every tile whose buckets got a change, even if none is left of it: what is kept there must not
// miss a row. A tile that needs more than there is room for drops what it has, which makes room for
// the others; those that have changed lately are as good as any.
void Stager::KeepLeaves() {
  const uint8_t depth = layout_.deepest_tile_depth();
  for (ChangedLeaves& changed : changed_leaves_) {
    Tile* const tile = MutableTile({depth, LeadingBits(changed.id.bits, depth)});
    if (!tile->keeps_leaves()) continue;  // any more
    const unsigned child = ChildIndex(changed.id.bits, depth);
    const size_t others = version_.leaf_bytes - tile->leaves_below(child).bytes();
    if (!changed.leaves.has_value() || others + changed.leaves->bytes() > max_leaf_bytes_) {
      version_.leaf_bytes -= tile->DropLeaves();
      continue;
    }
    version_.leaf_bytes = others + changed.leaves->bytes();
    tile->SetLeavesBelow(child, *std::move(changed.leaves));
  }
}

// Hangs the copies below their parents, which changed too; everything else stays shared with base_.
void Stager::LinkTiles() {
  for (unsigned depth = layout_.bucket_depth - kTileLevels; depth > 0; depth -= kTileLevels) {
    const unsigned parent_depth = depth - kTileLevels;
    for (const auto& [bits, tile] : StagedAt(depth)) {
      Tile* const parent =
          MutableTile({static_cast<uint8_t>(parent_depth), LeadingBits(bits, parent_depth)});
      parent->SetBelow(ChildIndex(bits, parent_depth), tile);
    }
  }
  if (const auto root = StagedAt(0).find(0); root != StagedAt(0).end()) {
    version_.root = root->second;
  }
}

}  // namespace kt::merkle
