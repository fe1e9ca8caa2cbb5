// SPDX-License-Identifier: Apache-2.0
//
// The tree in memory, version by version: the tiles of which it consists, and who frees them.
// Internal to merkle/.
//
// A version shares with the one before it every tile that is the same in both. Since each follows
// from exactly one other, no counts are needed to know when a tile can go: what a version replaced
// is needed by older ones only.
#ifndef MERKLE_PREFIX_VERSION_H_
#define MERKLE_PREFIX_VERSION_H_

#include <array>
#include <list>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/types.h"
#include "merkle/bucket_leaves.h"
#include "merkle/prefix_tile.h"

namespace kt::merkle {

// A tile of the tree in memory, which knows what is below it. It owns nothing of that.
class LinkedTile : public Tile {
 public:
  using LeavesBelow = std::array<BucketLeaves, kTileChildren>;

  // The tile below a child, in the same version of the tree; null if it never had a leaf, or if the
  // child is a bucket.
  const LinkedTile* below(unsigned child) const;
  // Of a tile that keeps no leaves.
  void SetBelow(unsigned child, const LinkedTile* tile);

  // Of a tile whose children are buckets: whether memory holds the leaves of all of them. A proof
  // may need all, so a part of them is not kept.
  bool keeps_leaves() const { return std::holds_alternative<LeavesBelow>(links_); }
  // From now on, for a tile that never had a leaf.
  void StartKeepingLeaves() { links_.emplace<LeavesBelow>(); }
  // Those of a child, if they are kept.
  const BucketLeaves& leaves_below(unsigned child) const;
  void SetLeavesBelow(unsigned child, const BucketLeaves& leaves);
  // Keeps none any more; returns those that were.
  LeavesBelow DropLeaves();

 private:
  using Below = std::array<const LinkedTile*, kTileChildren>;
  static_assert(std::is_trivially_copyable_v<std::variant<Below, LeavesBelow>>);

  std::variant<Below, LeavesBelow> links_;
};

// One version of the tree: never changed once it is published.
struct TreeVersion {
  const LinkedTile* root = nullptr;  // null if there never was a leaf
  base::TreeSize size = 0;           // in log entries
  size_t leaf_bytes = 0;             // of leaves kept in memory
};

// Tiles and leaves that are freed with this, unless they are released.
class TreeParts {
 public:
  void Add(std::unique_ptr<const LinkedTile> tile) { tiles_.push_back(std::move(tile)); }
  void Add(OwnedLeaves leaves) { leaves_.push_back(std::move(leaves)); }
  void Append(TreeParts parts);
  // From now on they are somebody else's.
  void Release();

 private:
  std::vector<std::unique_ptr<const LinkedTile>> tiles_;
  std::vector<OwnedLeaves> leaves_;
};

// Tiles and leaves of a version that the next one does not have any more. Borrowed.
struct ReplacedParts {
  std::vector<const LinkedTile*> tiles;
  std::vector<BucketLeaves> leaves;
};

// A version that is not published yet, and what sets it apart from the one that it follows.
struct VersionChange {
  TreeVersion version;
  TreeParts created;       // freed if it never is published
  ReplacedParts replaced;  // may have leaves of `created`, if they were dropped again
};

// The published versions from the oldest that somebody holds to the newest. Owns all that they
// consist of. Thread-safe; its lock is held neither to free anything nor while a version is in use.
//
// Who lets go of a version frees nothing: a search would take some milliseconds more for what a
// commit has replaced. The next writer does, before it begins.
class VersionChain : public std::enable_shared_from_this<VersionChain> {
 public:
  // Replaces nothing.
  static std::shared_ptr<VersionChain> Create(VersionChange first);
  ~VersionChain();
  VersionChain(const VersionChain&) = delete;
  VersionChain& operator=(const VersionChain&) = delete;

  // The newest version. It stays as it is until the last copy of the handle is gone, which also
  // keeps the chain.
  std::shared_ptr<const TreeVersion> Newest();

  // Publishes `next`, which follows from `base`: the newest version, or one of the same tree.
  void Append(const TreeVersion& base, VersionChange next);

  // Frees what no version has any more that somebody holds.
  void FreePassed();

  // How many versions' tiles are there, the newest included.
  size_t length() const;

 private:
  // Whatever the version after `version` replaced is reachable from no newer one.
  struct Link {
    explicit Link(const TreeVersion& of) : version(of) {}

    const TreeVersion version;
    size_t handles = 0;
    TreeParts replaced;  // by the version after it
  };
  using Links = std::list<Link>;

  explicit VersionChain(const TreeVersion& first) { links_.emplace_back(first); }

  void Drop(Link* link);
  // Takes off the oldest, as far as they are held by nobody and not the newest.
  void Sweep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  Links links_ ABSL_GUARDED_BY(mutex_);   // oldest first; never empty
  Links passed_ ABSL_GUARDED_BY(mutex_);  // to be freed
};

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_VERSION_H_
