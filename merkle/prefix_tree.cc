// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_tree.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/parallel.h"
#include "base/status.h"
#include "merkle/prefix_bucket.h"
#include "merkle/prefix_prover.h"
#include "merkle/prefix_stage.h"
#include "merkle/prefix_tile.h"
#include "merkle/prefix_version.h"

namespace kt::merkle {
namespace {

using base::LogPosition;

constexpr unsigned kMaxBucketDepth = 24;

class StagedVersion : public StagedPrefixTree {
 public:
  StagedVersion(std::shared_ptr<const TreeVersion> base, VersionChange next,
                std::vector<base::Hash> roots, PrefixWrites writes)
      : base_(std::move(base)),
        next_(std::move(next)),
        roots_(std::move(roots)),
        writes_(std::move(writes)) {}

  const std::vector<base::Hash>& roots() const override { return roots_; }
  const PrefixWrites& writes() const override { return writes_; }
  PrefixWrites TakeWrites() override { return std::move(writes_); }
  void ApplyTo(VersionChain* chain) { chain->Append(*base_, std::move(next_)); }

 private:
  const std::shared_ptr<const TreeVersion> base_;
  VersionChange next_;
  const std::vector<base::Hash> roots_;
  PrefixWrites writes_;
};

class VersionedPrefixTree : public PrefixTree {
 public:
  VersionedPrefixTree(const PrefixTreeLayout& layout, const PrefixTreeMemory& memory,
                      VersionChange first)
      : layout_(layout),
        max_leaf_bytes_(memory.leaf_bytes),
        versions_(VersionChain::Create(std::move(first))),
        caches_(memory.proof_bytes) {}

  absl::StatusOr<std::unique_ptr<StagedPrefixTree>> Stage(
      const PrefixStoreReader& reader, LogPosition first,
      std::span<const PrefixChanges> entries) const override {
    versions_->FreePassed();
    std::shared_ptr<const TreeVersion> base = versions_->Newest();
    if (first != base->size) {
      return absl::FailedPreconditionError(absl::StrCat(
          "prefix tree of ", base->size, " log entries cannot continue at position ", first));
    }
    Stager stager(layout_, max_leaf_bytes_, *base);
    KT_RETURN_IF_ERROR(stager.Run(reader, entries));
    return std::make_unique<StagedVersion>(std::move(base), std::move(stager.next()),
                                           std::move(stager.roots()), std::move(stager.writes()));
  }

  size_t leaf_bytes() const override { return versions_->Newest()->leaf_bytes; }

  void Apply(std::unique_ptr<StagedPrefixTree> staged) override {
    auto* const next = dynamic_cast<StagedVersion*>(staged.get());
    KT_CHECK(next != nullptr);
    next->ApplyTo(versions_.get());
  }

  absl::StatusOr<std::vector<PrefixProof>> Prove(
      const PrefixStoreReader& reader,
      std::span<const PrefixProofRequest> requests) const override {
    for (const PrefixProofRequest& request : requests) {
      if (request.keys.size() > kMaxPrefixLookups) {
        return absl::InvalidArgumentError("a prefix proof answers at most 255 lookups");
      }
    }
    const std::shared_ptr<const TreeVersion> version = versions_->Newest();
    return Prover(layout_, *version, &caches_).Run(reader, requests);
  }

  absl::StatusOr<base::Hash> RootAt(const PrefixStoreReader& reader,
                                    LogPosition position) const override {
    const PrefixProofRequest request{.position = position, .keys = {}};
    KT_ASSIGN_OR_RETURN(const std::vector<PrefixProof> proofs, Prove(reader, {&request, 1}));
    return proofs[0].elements[0];
  }

 private:
  const PrefixTreeLayout layout_;
  const size_t max_leaf_bytes_;
  const std::shared_ptr<VersionChain> versions_;
  mutable ProverCaches caches_;
};

// The tiles of one depth, ascending by bits.
using TileRow = std::vector<std::pair<uint32_t, const LinkedTile*>>;

absl::Status Corrupt(const SubtreeId& id, const std::string& what) {
  return absl::DataLossError(absl::StrCat("prefix tree tile at depth ", unsigned{id.depth},
                                          ", prefix ", id.bits, ": ", what));
}

// Hangs the tiles below `tile` that are its own, beginning at `*next`, and compares their roots
// with its children.
absl::Status AttachBelow(const SubtreeId& id, const TileRow& below, size_t* next,
                         LinkedTile* tile) {
  for (unsigned child = 0; child < kTileChildren; ++child) {
    const SubtreeId child_id = ChildId(id, child);
    NodeValue root;
    if (*next < below.size() && below[*next].first == child_id.bits) {
      root = below[*next].second->value(Tile::kRoot);
      tile->SetBelow(child, below[*next].second);
      ++*next;
    }
    if (root != tile->value(Tile::kFirstChild + child)) {
      return Corrupt(child_id, "its newest rows do not give the value that is stored above");
    }
  }
  return absl::OkStatus();
}

// Room for leaves in memory. Thread-safe.
class LeafRoom {
 public:
  explicit LeafRoom(size_t bytes) : bytes_(bytes) {}

  // Whether leaves are to be kept at all.
  bool wanted() const { return bytes_ > 0; }
  size_t taken() const { return taken_; }

  // False if there is no room for so many bytes.
  bool Take(size_t bytes) {
    if (taken_.fetch_add(bytes) + bytes <= bytes_) return true;
    GiveBack(bytes);
    return false;
  }
  void GiveBack(size_t bytes) { taken_ -= bytes; }

 private:
  const size_t bytes_;
  std::atomic<size_t> taken_ = 0;
};

// Tiles of one depth, and all that was made for them.
struct MadeTiles {
  TileRow row;
  TreeParts parts;
};

// Makes deepest tiles of the newest tree out of their leaves. One for each thread.
class DeepestTiles {
 public:
  DeepestTiles(const PrefixTreeLayout& layout, base::TreeSize entries, LeafRoom* room)
      : depth_(layout.deepest_tile_depth()), entries_(entries), room_(*room) {}

  // Adds those of `part`, ascending.
  absl::Status Make(const PrefixStoreReader& reader, const SubtreeId& part, MadeTiles* made) {
    std::vector<std::vector<LeafRow>> leaves;
    std::vector<std::vector<BandRow>> no_rows;
    KT_RETURN_IF_ERROR(reader.Read({&part, 1}, {}, &leaves, &no_rows));
    if (leaves.size() != 1) {
      return absl::InternalError("prefix tree: the store did not answer every query");
    }
    KT_RETURN_IF_ERROR(CheckLeafRows(part, leaves[0]));
    std::span<const LeafRow> rest = leaves[0];
    while (!rest.empty()) {
      const SubtreeId id{depth_, LeadingBits(rest[0].key, depth_)};
      size_t count = 0;
      while (count < rest.size() && Contains(id, rest[count].key)) ++count;
      KT_RETURN_IF_ERROR(MakeOne(id, rest.first(count), made));
      rest = rest.subspan(count);
    }
    return absl::OkStatus();
  }

 private:
  absl::Status MakeOne(const SubtreeId& id, std::span<const LeafRow> leaves, MadeTiles* made) {
    auto tile = std::make_unique<LinkedTile>();
    kept_.clear();
    if (room_.wanted()) tile->StartKeepingLeaves();
    base::LogPosition last_change = 0;
    uint32_t children = 0;  // bit i: that there is one
    evaluated_.clear();
    for (size_t begin = 0; begin < leaves.size();) {
      const unsigned child = ChildIndex(LeadingBits(leaves[begin].key, 32), depth_);
      const SubtreeId child_id = ChildId(id, child);
      rows_.clear();
      for (; begin < leaves.size() && Contains(child_id, leaves[begin].key); ++begin) {
        const LeafRow& leaf = leaves[begin];
        const bool ended = leaf.end_pos != kNeverRemoved;
        last_change = std::max({last_change, leaf.insert_pos, ended ? leaf.end_pos : 0});
        rows_.push_back(leaf);
      }
      if (last_change >= entries_) return Corrupt(child_id, "newer than the log");
      if (tile->keeps_leaves()) KeepLeaves(child, tile.get());
      buckets_[child].Reset(child_id, &rows_);
      evaluated_.push_back(&buckets_[child]);
      children |= 1u << child;
    }
    Evaluate(entries_ - 1, evaluated_, &hasher_);
    for (unsigned child = 0; child < kTileChildren; ++child) {
      if ((children >> child & 1) == 0) continue;
      const Bucket& bucket = buckets_[child];
      const bool lone = bucket.root().kind == NodeKind::kLeaf;
      tile->SetChild(child, bucket.root(), lone ? bucket.LoneLeaf() : PrefixLeaf());
    }
    tile->PlanRehash((1u << kTileChildren) - 1, &hasher_);
    hasher_.Run();
    tile->SetNewestRow(last_change, 0);
    made->row.emplace_back(id.bits, tile.get());
    made->parts.Add(std::move(tile));
    for (OwnedLeaves& kept : kept_) made->parts.Add(std::move(kept));
    return absl::OkStatus();
  }

  // Those in rows_; or none of the whole tile.
  void KeepLeaves(unsigned child, LinkedTile* tile) {
    std::optional<OwnedLeaves> leaves = OwnedLeaves::Of(rows_);
    if (leaves.has_value() && room_.Take(leaves->view().bytes())) {
      tile->SetLeavesBelow(child, leaves->view());
      kept_.push_back(*std::move(leaves));
    } else {
      for (const BucketLeaves& dropped : tile->DropLeaves()) room_.GiveBack(dropped.bytes());
      kept_.clear();
    }
  }

  const uint8_t depth_;
  const base::TreeSize entries_;
  LeafRoom& room_;
  // Of the tile at hand; the next one takes over their storage.
  std::array<Bucket, kTileChildren> buckets_;
  std::vector<Bucket*> evaluated_;
  std::vector<LeafRow> rows_;  // of a bucket
  std::vector<OwnedLeaves> kept_;
  NodeHasher hasher_;
};

// Loads the tiles of one depth after another, from the buckets upwards.
class Loader {
 public:
  Loader(const PrefixTreeLayout& layout, base::TreeSize entries, size_t max_leaf_bytes)
      : layout_(layout), entries_(entries), room_(max_leaf_bytes) {}

  absl::StatusOr<VersionChange> Run(const PrefixStoreReader& reader) {
    depth_ = layout_.bucket_depth;
    if (layout_.deepest_from_leaves) {
      depth_ = layout_.deepest_tile_depth();
      KT_RETURN_IF_ERROR(AddDeepest(reader));
    }
    while (depth_ > 0) {
      depth_ -= kTileLevels;
      below_ = std::exchange(made_.row, {});
      next_below_ = 0;
      KT_RETURN_IF_ERROR(
          reader.ScanNewestBands(static_cast<uint8_t>(depth_),
                                 [this](std::span<const BandRow> rows) { return Add(rows); }));
      if (next_below_ != below_.size()) {
        return Corrupt({static_cast<uint8_t>(depth_ + kTileLevels), below_[next_below_].first},
                       "no tile above it");
      }
    }
    const TreeVersion version{.root = made_.row.empty() ? nullptr : made_.row.front().second,
                              .size = entries_,
                              .leaf_bytes = room_.taken()};
    return VersionChange{.version = version, .created = std::move(made_.parts), .replaced = {}};
  }

 private:
  // Makes the deepest tiles out of all leaves.
  absl::Status AddDeepest(const PrefixStoreReader& reader) {
    constexpr unsigned kMaxPartDepth = 8;  // at 10 million leaves, 40,000 in each part
    const unsigned part_depth = std::min(depth_, kMaxPartDepth);
    std::vector<MadeTiles> parts(size_t{1} << part_depth);
    std::atomic<size_t> next = 0;
    const auto work = [&](size_t, size_t, size_t) -> absl::Status {
      DeepestTiles tiles(layout_, entries_, &room_);
      for (size_t i = next++; i < parts.size(); i = next++) {
        const SubtreeId part{static_cast<uint8_t>(part_depth), static_cast<uint32_t>(i)
                                                                   << (32 - part_depth)};
        KT_RETURN_IF_ERROR(tiles.Make(reader, part, &parts[i]));
      }
      return absl::OkStatus();
    };
    // A tree of few parts is that of a small log; one thread also makes it the same tree each time
    // that room for leaves is short, as simulations want it.
    constexpr size_t kMinPartsPerThread = 32;
    const size_t workers = base::PartCount(parts.size(), kMinPartsPerThread);
    KT_RETURN_IF_ERROR(base::RunInParts(workers, workers, work));
    for (MadeTiles& part : parts) {
      made_.row.insert(made_.row.end(), part.row.begin(), part.row.end());
      made_.parts.Append(std::move(part.parts));
    }
    return absl::OkStatus();
  }

  absl::Status Add(std::span<const BandRow> rows) {
    if (rows.empty()) return absl::InternalError("prefix tree: a tile without rows");
    const SubtreeId id = rows[0].id;
    const uint32_t mask = depth_ == 0 ? 0 : ~uint32_t{0} << (32 - depth_);
    if (id.depth != depth_ || (id.bits & ~mask) != 0) return Corrupt(id, "out of place");
    if (!made_.row.empty() && id.bits <= made_.row.back().first) return Corrupt(id, "out of order");
    if (rows[0].position >= entries_) return Corrupt(id, "newer than the log");
    auto tile = std::make_unique<LinkedTile>();
    KT_RETURN_IF_ERROR(DecodeTile(id, rows, &hasher_, tile.get()));
    if (depth_ + kTileLevels < layout_.bucket_depth) {
      KT_RETURN_IF_ERROR(AttachBelow(id, below_, &next_below_, tile.get()));
    }
    made_.row.emplace_back(id.bits, tile.get());
    made_.parts.Add(std::move(tile));
    return absl::OkStatus();
  }

  const PrefixTreeLayout layout_;
  const base::TreeSize entries_;
  LeafRoom room_;
  NodeHasher hasher_;
  unsigned depth_ = 0;
  MadeTiles made_;         // its row is of depth_
  TileRow below_;          // of depth_ + 4
  size_t next_below_ = 0;  // of below_, not yet attached
};

}  // namespace

absl::StatusOr<std::unique_ptr<PrefixTree>> PrefixTree::Load(const PrefixTreeLayout& layout,
                                                             const PrefixStoreReader& reader,
                                                             base::TreeSize entries,
                                                             const PrefixTreeMemory& memory) {
  if (layout.bucket_depth == 0 || layout.bucket_depth > kMaxBucketDepth ||
      layout.bucket_depth % kTileLevels != 0 || layout.rows_per_snapshot == 0 ||
      (layout.deepest_from_leaves && layout.bucket_depth < 2 * kTileLevels)) {
    return absl::InvalidArgumentError("prefix tree layout is not supported");
  }
  KT_ASSIGN_OR_RETURN(VersionChange first, Loader(layout, entries, memory.leaf_bytes).Run(reader));
  return std::make_unique<VersionedPrefixTree>(layout, memory, std::move(first));
}

}  // namespace kt::merkle
