// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_version.h"

#include <iterator>
#include <utility>

#include "base/check.h"

namespace kt::merkle {
namespace {

// Takes over what nobody else owns any more.
TreeParts Own(const ReplacedParts& replaced) {
  TreeParts parts;
  for (const LinkedTile* const tile : replaced.tiles) {
    parts.Add(std::unique_ptr<const LinkedTile>(tile));
  }
  for (const BucketLeaves& leaves : replaced.leaves) parts.Add(OwnedLeaves(leaves));
  return parts;
}

// Recursion ends at the buckets, below six tiles at most.
void FreeTree(std::unique_ptr<const LinkedTile> tile) {
  for (unsigned child = 0; child < kTileChildren; ++child) {
    if (tile->keeps_leaves()) {
      const OwnedLeaves freed(tile->leaves_below(child));
    } else if (tile->below(child) != nullptr) {
      FreeTree(std::unique_ptr<const LinkedTile>(tile->below(child)));
    }
  }
}

}  // namespace

// --- tiles -------------------------------------------------------------------------------------

const LinkedTile* LinkedTile::below(unsigned child) const {
  const auto* const tiles = std::get_if<Below>(&links_);
  return tiles == nullptr ? nullptr : (*tiles)[child];
}

void LinkedTile::SetBelow(unsigned child, const LinkedTile* tile) {
  auto* const tiles = std::get_if<Below>(&links_);
  KT_CHECK(tiles != nullptr);
  (*tiles)[child] = tile;
}

const BucketLeaves& LinkedTile::leaves_below(unsigned child) const {
  const auto* const leaves = std::get_if<LeavesBelow>(&links_);
  KT_CHECK(leaves != nullptr);
  return (*leaves)[child];
}

void LinkedTile::SetLeavesBelow(unsigned child, const BucketLeaves& leaves) {
  auto* const kept = std::get_if<LeavesBelow>(&links_);
  KT_CHECK(kept != nullptr);
  (*kept)[child] = leaves;
}

LinkedTile::LeavesBelow LinkedTile::DropLeaves() {
  KT_CHECK(keeps_leaves());
  const LeavesBelow dropped = *std::get_if<LeavesBelow>(&links_);
  links_.emplace<Below>();
  return dropped;
}

// --- parts -------------------------------------------------------------------------------------

void TreeParts::Append(TreeParts parts) {
  std::move(parts.tiles_.begin(), parts.tiles_.end(), std::back_inserter(tiles_));
  std::move(parts.leaves_.begin(), parts.leaves_.end(), std::back_inserter(leaves_));
}

void TreeParts::Release() {
  for (std::unique_ptr<const LinkedTile>& tile : tiles_) static_cast<void>(tile.release());
  for (OwnedLeaves& leaves : leaves_) leaves.Release();
  tiles_.clear();
  leaves_.clear();
}

// --- versions ----------------------------------------------------------------------------------

std::shared_ptr<VersionChain> VersionChain::Create(VersionChange first) {
  first.created.Release();
  return std::shared_ptr<VersionChain>(new VersionChain(first.version));
}

// Handles keep the chain, so there are none, and the newest version is the only one.
VersionChain::~VersionChain() {
  const LinkedTile* const root = links_.back().version.root;
  if (root != nullptr) FreeTree(std::unique_ptr<const LinkedTile>(root));
}

std::shared_ptr<const TreeVersion> VersionChain::Newest() {
  Link* newest = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    newest = &links_.back();
    ++newest->handles;
  }
  const auto drop = [chain = shared_from_this(), newest](const TreeVersion*) {
    chain->Drop(newest);
  };
  return {&newest->version, drop};
}

void VersionChain::Append(const TreeVersion& base, VersionChange next) {
  next.created.Release();
  TreeParts replaced = Own(next.replaced);
  Links added;
  added.emplace_back(next.version);
  absl::MutexLock lock(&mutex_);
  Link& newest = links_.back();
  KT_CHECK(base.size == newest.version.size && base.root == newest.version.root);
  newest.replaced = std::move(replaced);
  links_.splice(links_.end(), added);
  Sweep();
}

void VersionChain::FreePassed() {
  Links passed;  // freed after the lock
  absl::MutexLock lock(&mutex_);
  passed.swap(passed_);
}

size_t VersionChain::length() const {
  absl::MutexLock lock(&mutex_);
  return links_.size();
}

void VersionChain::Drop(Link* link) {
  absl::MutexLock lock(&mutex_);
  --link->handles;
  Sweep();
}

void VersionChain::Sweep() {
  auto kept = links_.begin();
  while (kept->handles == 0 && std::next(kept) != links_.end()) ++kept;
  passed_.splice(passed_.end(), links_, links_.begin(), kept);
}

}  // namespace kt::merkle
