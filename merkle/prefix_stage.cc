// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_stage.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "base/parallel.h"
#include "base/status.h"

namespace kt::merkle {
namespace {

using base::LogPosition;

// Starting a thread costs as much as some of them.
constexpr size_t kMinChangesPerPart = 256;

}  // namespace

const LinkedTile* FindTile(const TreeVersion& version, const SubtreeId& id) {
  const LinkedTile* tile = version.root;
  for (unsigned depth = 0; tile != nullptr && depth < id.depth; depth += kTileLevels) {
    tile = tile->below(ChildIndex(id.bits, depth));
  }
  return tile;
}

// --- tiles -------------------------------------------------------------------------------------

std::vector<NodeChange> TileReplay::Run(LogPosition position, std::span<const NodeChange> changes) {
  SetChildren(changes);
  for (const Touched& touched : touched_) touched.tile->PlanRehash(touched.children, &hasher_);
  hasher_.Run();
  const bool has_rows = !layout_.deepest_from_leaves || depth_ != layout_.deepest_tile_depth();
  std::vector<NodeChange> above;
  above.reserve(touched_.size());
  for (const auto& [id, tile, children] : touched_) {
    if (has_rows) {
      rows_.push_back(AddRow(id, position, children, layout_.rows_per_snapshot, tile));
    } else {
      tile->SetNewestRow(position, 0);
    }
    NodeChange root{.bits = id.bits, .value = tile->value(Tile::kRoot), .leaf = {}};
    if (root.value.kind == NodeKind::kLeaf) root.leaf = tile->leaf(Tile::kRoot);
    above.push_back(root);
  }
  return above;
}

void TileReplay::SetChildren(std::span<const NodeChange> changes) {
  touched_.clear();
  for (size_t i = 0; i < changes.size();) {
    const SubtreeId id = IdOf(LeadingBits(changes[i].bits, depth_));
    const auto staged = tiles_.find(id.bits);
    LinkedTile* const copy = staged == tiles_.end() ? nullptr : staged->second.get();
    const LinkedTile* const before = copy != nullptr ? copy : FindTile(base_, id);
    Touched touched{.id = id};
    for (; i < changes.size() && LeadingBits(changes[i].bits, depth_) == id.bits; ++i) {
      const unsigned child = ChildIndex(changes[i].bits, depth_);
      const NodeValue old_value =
          before == nullptr ? NodeValue{} : before->value(Tile::kFirstChild + child);
      if (changes[i].value == old_value) continue;
      // Copied once something does change.
      if (touched.tile == nullptr) touched.tile = copy != nullptr ? copy : Copy(id.bits, before);
      touched.tile->SetChild(child, changes[i].value, changes[i].leaf);
      touched.children |= 1u << child;
    }
    if (touched.tile != nullptr) touched_.push_back(touched);
  }
}

LinkedTile* TileReplay::Mutable(uint32_t bits) {
  const auto staged = tiles_.find(bits);
  return staged != tiles_.end() ? staged->second.get() : Copy(bits, FindTile(base_, IdOf(bits)));
}

LinkedTile* TileReplay::Copy(uint32_t bits, const LinkedTile* original) {
  std::unique_ptr<LinkedTile>& tile = tiles_[bits];
  if (original != nullptr) {
    tile = std::make_unique<LinkedTile>(*original);
    replaced_.push_back(original);
  } else {
    tile = std::make_unique<LinkedTile>();
    if (keep_leaves_) tile->StartKeepingLeaves();
  }
  return tile.get();
}

// --- the whole tree ----------------------------------------------------------------------------

Stager::Stager(const PrefixTreeLayout& layout, size_t max_leaf_bytes, const TreeVersion& base)
    : layout_(layout), max_leaf_bytes_(max_leaf_bytes), base_(base) {
  for (unsigned depth = 0; depth < layout.bucket_depth; depth += kTileLevels) {
    tiles_.push_back(NewReplay(depth));
  }
}

TileReplay Stager::NewReplay(unsigned depth) const {
  const bool keep_leaves = depth == layout_.deepest_tile_depth() && max_leaf_bytes_ > 0;
  return {layout_, depth, keep_leaves, base_};
}

absl::Status Stager::Run(const PrefixStoreReader& reader, std::span<const PrefixChanges> entries) {
  by_entry_.resize(entries.size());
  next_.version = {base_.root, base_.size + entries.size(), base_.leaf_bytes};
  if (base_.root != nullptr) root_ = base_.root->hash(Tile::kRoot);
  SortChanges(entries);
  KT_RETURN_IF_ERROR(ReplayDeepest(reader));
  for (size_t i = 0; i < by_entry_.size(); ++i) {
    ReplayEntry(base_.size + i, std::move(by_entry_[i]));
  }
  for (TileReplay& tiles : tiles_) {
    std::move(tiles.rows().begin(), tiles.rows().end(), std::back_inserter(writes_.bands));
  }
  KeepLeaves();
  LinkTiles();
  TakeTiles();
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

size_t Stager::NextTile(size_t index) const {
  const auto tile_of = [&](size_t i) {
    return LeadingBits(*changes_[i].key, layout_.deepest_tile_depth());
  };
  while (index > 0 && index < changes_.size() && tile_of(index) == tile_of(index - 1)) ++index;
  return index;
}

std::vector<BucketChanges> Stager::GroupByBucket(std::span<const LeafChange> changes) const {
  std::vector<BucketChanges> buckets;
  const unsigned depth = layout_.bucket_depth;
  for (auto begin = changes.begin(); begin != changes.end();) {
    BucketChanges bucket;
    bucket.id = {layout_.bucket_depth, LeadingBits(*begin->key, depth)};
    auto end = begin + 1;
    bool removes = begin->commitment == nullptr;
    for (; end != changes.end() && Contains(bucket.id, *end->key); ++end) {
      removes |= end->commitment == nullptr;
    }
    bucket.changes = {begin, end};
    begin = end;

    const unsigned tile_depth = depth - kTileLevels;
    const SubtreeId tile_id{static_cast<uint8_t>(tile_depth),
                            LeadingBits(*bucket.changes[0].key, tile_depth)};
    if (const LinkedTile* const tile = FindTile(base_, tile_id); tile != nullptr) {
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

absl::Status Stager::ReplayDeepest(const PrefixStoreReader& reader) {
  const size_t count = base::PartCount(changes_.size(), kMinChangesPerPart);
  std::vector<Part> parts;
  for (size_t i = 0; i < count; ++i) {
    parts.push_back(
        {BucketReplay(base_.size, by_entry_.size()), NewReplay(layout_.deepest_tile_depth()), {}});
  }
  const auto replay = [&](size_t part, size_t begin, size_t end) {
    begin = NextTile(begin);
    end = NextTile(end);
    const auto changes = std::span(changes_).subspan(begin, end - begin);
    return ReplayPart(reader, changes, &parts[part]);
  };
  KT_RETURN_IF_ERROR(base::RunInParts(count, changes_.size(), replay));
  for (Part& part : parts) Take(&part);
  return absl::OkStatus();
}

absl::Status Stager::ReplayPart(const PrefixStoreReader& reader,
                                std::span<const LeafChange> changes, Part* part) const {
  KT_RETURN_IF_ERROR(part->buckets.Run(reader, GroupByBucket(changes)));
  LogPosition position = base_.size;
  for (const std::vector<NodeChange>& entry : part->buckets.by_entry()) {
    part->by_entry.push_back(part->tiles.Run(position++, entry));
  }
  return absl::OkStatus();
}

void Stager::Take(Part* part) {
  const auto append = [](auto& from, auto& to) {
    std::move(from.begin(), from.end(), std::back_inserter(to));
  };
  for (size_t i = 0; i < by_entry_.size(); ++i) append(part->by_entry[i], by_entry_[i]);
  append(part->buckets.leaves(), writes_.leaves);
  append(part->buckets.changed_leaves(), changed_leaves_);
  append(part->tiles.rows(), writes_.bands);
  append(part->tiles.replaced(), tiles_.back().replaced());
  tiles_.back().tiles().merge(part->tiles.tiles());
}

void Stager::ReplayEntry(LogPosition position, std::vector<NodeChange> changes) {
  for (unsigned depth = layout_.deepest_tile_depth(); depth > 0 && !changes.empty();) {
    depth -= kTileLevels;
    changes = TilesAt(depth).Run(position, changes);
  }
  if (!changes.empty()) root_ = changes.front().value.hash;
  roots_.push_back(root_);
}

// In every tile whose buckets got a change, even if none is left of it: what is kept there must not
// miss a row. A tile that needs more than there is room for drops what it has, which makes room for
// the others; those that have changed lately are as good as any.
void Stager::KeepLeaves() {
  const uint8_t depth = layout_.deepest_tile_depth();
  size_t& bytes = next_.version.leaf_bytes;
  for (ChangedLeaves& changed : changed_leaves_) {
    LinkedTile* const tile = tiles_.back().Mutable(LeadingBits(changed.id.bits, depth));
    if (!tile->keeps_leaves()) continue;  // any more
    const unsigned child = ChildIndex(changed.id.bits, depth);
    const BucketLeaves before = tile->leaves_below(child);
    const size_t others = bytes - before.bytes();
    if (!changed.leaves.has_value() || others + changed.leaves->view().bytes() > max_leaf_bytes_) {
      DropLeaves(tile);
      continue;
    }
    const BucketLeaves after = changed.leaves->view();
    bytes = others + after.bytes();
    tile->SetLeavesBelow(child, after);
    next_.created.Add(*std::move(changed.leaves));
    next_.replaced.leaves.push_back(before);
  }
}

void Stager::DropLeaves(LinkedTile* tile) {
  for (const BucketLeaves& leaves : tile->DropLeaves()) {
    next_.version.leaf_bytes -= leaves.bytes();
    next_.replaced.leaves.push_back(leaves);
  }
}

// Hangs the copies below their parents, which changed too; everything else stays shared with base_.
void Stager::LinkTiles() {
  for (unsigned depth = layout_.deepest_tile_depth(); depth > 0; depth -= kTileLevels) {
    const unsigned parent_depth = depth - kTileLevels;
    for (const auto& [bits, tile] : TilesAt(depth).tiles()) {
      LinkedTile* const parent = TilesAt(parent_depth).Mutable(LeadingBits(bits, parent_depth));
      parent->SetBelow(ChildIndex(bits, parent_depth), tile.get());
    }
  }
  const TileReplay::Tiles& top = tiles_.front().tiles();
  if (const auto root = top.find(0); root != top.end()) next_.version.root = root->second.get();
}

void Stager::TakeTiles() {
  std::vector<const LinkedTile*>& replaced = next_.replaced.tiles;
  for (TileReplay& replay : tiles_) {
    for (auto& [bits, tile] : replay.tiles()) next_.created.Add(std::move(tile));
    replaced.insert(replaced.end(), replay.replaced().begin(), replay.replaced().end());
  }
}

}  // namespace kt::merkle
