// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_tree.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "base/parallel.h"
#include "base/status.h"
#include "merkle/prefix_bucket.h"
#include "merkle/prefix_prover.h"
#include "merkle/prefix_stage.h"
#include "merkle/prefix_tile.h"

namespace kt::merkle {
namespace {

using base::LogPosition;

constexpr unsigned kMaxBucketDepth = 24;

class StagedVersion : public StagedPrefixTree {
 public:
  StagedVersion(TreeVersion base, TreeVersion version, std::vector<base::Hash> roots,
                PrefixWrites writes)
      : base_(std::move(base)),
        version_(std::move(version)),
        roots_(std::move(roots)),
        writes_(std::move(writes)) {}

  const std::vector<base::Hash>& roots() const override { return roots_; }
  const PrefixWrites& writes() const override { return writes_; }
  PrefixWrites TakeWrites() override { return std::move(writes_); }
  const TreeVersion& base() const { return base_; }
  const TreeVersion& version() const { return version_; }

 private:
  const TreeVersion base_;
  const TreeVersion version_;
  const std::vector<base::Hash> roots_;
  PrefixWrites writes_;
};

class VersionedPrefixTree : public PrefixTree {
 public:
  VersionedPrefixTree(const PrefixTreeLayout& layout, size_t max_leaf_bytes, TreeVersion version)
      : layout_(layout), max_leaf_bytes_(max_leaf_bytes), current_(std::move(version)) {}

  absl::StatusOr<std::unique_ptr<StagedPrefixTree>> Stage(
      const PrefixStoreReader& reader, LogPosition first,
      std::span<const PrefixChanges> entries) const override {
    const TreeVersion base = Current();
    if (first != base.size) {
      return absl::FailedPreconditionError(absl::StrCat(
          "prefix tree of ", base.size, " log entries cannot continue at position ", first));
    }
    Stager stager(layout_, max_leaf_bytes_, base);
    KT_RETURN_IF_ERROR(stager.Run(reader, entries));
    return std::make_unique<StagedVersion>(base, stager.version(), std::move(stager.roots()),
                                           std::move(stager.writes()));
  }

  size_t leaf_bytes() const override { return Current().leaf_bytes; }

  void Apply(std::unique_ptr<StagedPrefixTree> staged) override {
    const auto* const next = dynamic_cast<const StagedVersion*>(staged.get());
    KT_CHECK(next != nullptr);
    TreeVersion replaced;  // freed after the lock
    absl::MutexLock lock(&mutex_);
    KT_CHECK(next->base().size == current_.size && next->base().root == current_.root);
    replaced = std::exchange(current_, next->version());
  }

  absl::StatusOr<std::vector<PrefixProof>> Prove(
      const PrefixStoreReader& reader,
      std::span<const PrefixProofRequest> requests) const override {
    for (const PrefixProofRequest& request : requests) {
      if (request.keys.size() > kMaxPrefixLookups) {
        return absl::InvalidArgumentError("a prefix proof answers at most 255 lookups");
      }
    }
    const TreeVersion version = Current();
    return Prover(layout_, version, &caches_).Run(reader, requests);
  }

  absl::StatusOr<base::Hash> RootAt(const PrefixStoreReader& reader,
                                    LogPosition position) const override {
    const PrefixProofRequest request{.position = position, .keys = {}};
    KT_ASSIGN_OR_RETURN(const std::vector<PrefixProof> proofs, Prove(reader, {&request, 1}));
    return proofs[0].elements[0];
  }

 private:
  TreeVersion Current() const {
    absl::MutexLock lock(&mutex_);
    return current_;
  }

  const PrefixTreeLayout layout_;
  const size_t max_leaf_bytes_;
  // Held to copy or replace the version, never while reading or hashing.
  mutable absl::Mutex mutex_;
  TreeVersion current_ ABSL_GUARDED_BY(mutex_);
  mutable ProverCaches caches_;
};

// The tiles of one depth, ascending by bits.
using TileRow = std::vector<std::pair<uint32_t, std::shared_ptr<Tile>>>;

absl::Status Corrupt(const SubtreeId& id, const std::string& what) {
  return absl::DataLossError(absl::StrCat("prefix tree tile at depth ", unsigned{id.depth},
                                          ", prefix ", id.bits, ": ", what));
}

// Hangs the tiles below `tile` that are its own, beginning at `*next`, and compares their roots
// with its children.
absl::Status AttachBelow(const SubtreeId& id, const TileRow& below, size_t* next, Tile* tile) {
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

// Makes deepest tiles of the newest tree out of their leaves. One for each thread.
class DeepestTiles {
 public:
  DeepestTiles(const PrefixTreeLayout& layout, base::TreeSize entries, LeafRoom* room)
      : depth_(layout.deepest_tile_depth()), entries_(entries), room_(*room) {}

  // Adds those of `part`, ascending.
  absl::Status Make(const PrefixStoreReader& reader, const SubtreeId& part, TileRow* tiles) {
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
      KT_RETURN_IF_ERROR(MakeOne(id, rest.first(count), tiles));
      rest = rest.subspan(count);
    }
    return absl::OkStatus();
  }

 private:
  absl::Status MakeOne(const SubtreeId& id, std::span<const LeafRow> leaves, TileRow* tiles) {
    auto tile = std::make_shared<Tile>();
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
    tiles->emplace_back(id.bits, std::move(tile));
    return absl::OkStatus();
  }

  // Those in rows_; or none of the whole tile.
  void KeepLeaves(unsigned child, Tile* tile) {
    std::optional<BucketLeaves> leaves = BucketLeaves::Of(rows_);
    if (leaves.has_value() && room_.Take(leaves->bytes())) {
      tile->SetLeavesBelow(child, *std::move(leaves));
    } else {
      room_.GiveBack(tile->DropLeaves());
    }
  }

  const uint8_t depth_;
  const base::TreeSize entries_;
  LeafRoom& room_;
  // Of the tile at hand; the next one takes over their storage.
  std::array<Bucket, kTileChildren> buckets_;
  std::vector<Bucket*> evaluated_;
  std::vector<LeafRow> rows_;  // of a bucket
  NodeHasher hasher_;
};

// Loads the tiles of one depth after another, from the buckets upwards.
class Loader {
 public:
  Loader(const PrefixTreeLayout& layout, base::TreeSize entries, size_t max_leaf_bytes)
      : layout_(layout), entries_(entries), room_(max_leaf_bytes) {}

  absl::StatusOr<TreeVersion> Run(const PrefixStoreReader& reader) {
    depth_ = layout_.bucket_depth;
    if (layout_.deepest_from_leaves) {
      depth_ = layout_.deepest_tile_depth();
      KT_RETURN_IF_ERROR(AddDeepest(reader));
    }
    while (depth_ > 0) {
      depth_ -= kTileLevels;
      below_ = std::exchange(row_, {});
      next_below_ = 0;
      KT_RETURN_IF_ERROR(
          reader.ScanNewestBands(static_cast<uint8_t>(depth_),
                                 [this](std::span<const BandRow> rows) { return Add(rows); }));
      if (next_below_ != below_.size()) {
        return Corrupt({static_cast<uint8_t>(depth_ + kTileLevels), below_[next_below_].first},
                       "no tile above it");
      }
    }
    return TreeVersion{.root = row_.empty() ? nullptr : row_.front().second,
                       .size = entries_,
                       .leaf_bytes = room_.taken()};
  }

 private:
  // Makes the deepest tiles out of all leaves.
  absl::Status AddDeepest(const PrefixStoreReader& reader) {
    constexpr unsigned kMaxPartDepth = 8;  // at 10 million leaves, 40,000 in each part
    const unsigned part_depth = std::min(depth_, kMaxPartDepth);
    std::vector<TileRow> parts(size_t{1} << part_depth);
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
    const size_t workers = base::PartCount(parts.size(), 1);
    KT_RETURN_IF_ERROR(base::RunInParts(workers, workers, work));
    for (TileRow& part : parts) std::move(part.begin(), part.end(), std::back_inserter(row_));
    return absl::OkStatus();
  }

  absl::Status Add(std::span<const BandRow> rows) {
    if (rows.empty()) return absl::InternalError("prefix tree: a tile without rows");
    const SubtreeId id = rows[0].id;
    const uint32_t mask = depth_ == 0 ? 0 : ~uint32_t{0} << (32 - depth_);
    if (id.depth != depth_ || (id.bits & ~mask) != 0) return Corrupt(id, "out of place");
    if (!row_.empty() && id.bits <= row_.back().first) return Corrupt(id, "out of order");
    if (rows[0].position >= entries_) return Corrupt(id, "newer than the log");
    KT_ASSIGN_OR_RETURN(std::shared_ptr<Tile> tile, DecodeTile(id, rows, &hasher_));
    if (depth_ + kTileLevels < layout_.bucket_depth) {
      KT_RETURN_IF_ERROR(AttachBelow(id, below_, &next_below_, tile.get()));
    }
    row_.emplace_back(id.bits, std::move(tile));
    return absl::OkStatus();
  }

  const PrefixTreeLayout layout_;
  const base::TreeSize entries_;
  LeafRoom room_;
  NodeHasher hasher_;
  unsigned depth_ = 0;
  TileRow row_;            // of depth_
  TileRow below_;          // of depth_ + 4
  size_t next_below_ = 0;  // of below_, not yet attached
};

}  // namespace

absl::StatusOr<std::unique_ptr<PrefixTree>> PrefixTree::Load(const PrefixTreeLayout& layout,
                                                             const PrefixStoreReader& reader,
                                                             base::TreeSize entries,
                                                             size_t max_leaf_bytes) {
  if (layout.bucket_depth == 0 || layout.bucket_depth > kMaxBucketDepth ||
      layout.bucket_depth % kTileLevels != 0 || layout.rows_per_snapshot == 0 ||
      (layout.deepest_from_leaves && layout.bucket_depth < 2 * kTileLevels)) {
    return absl::InvalidArgumentError("prefix tree layout is not supported");
  }
  KT_ASSIGN_OR_RETURN(TreeVersion version, Loader(layout, entries, max_leaf_bytes).Run(reader));
  return std::make_unique<VersionedPrefixTree>(layout, max_leaf_bytes, std::move(version));
}

}  // namespace kt::merkle
