// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_prover.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace kt::merkle {
namespace {

using base::LogPosition;

const Tile& EmptyTile() {
  static const Tile* const tile = new Tile();
  return *tile;
}

absl::Status Mismatch(const SubtreeId& id, LogPosition position) {
  return absl::DataLossError(absl::StrCat("prefix tree at position ", position, ", depth ",
                                          unsigned{id.depth}, ", prefix ", id.bits,
                                          ": what is stored below does not give the value above"));
}

}  // namespace

// What the tile was at `position`, if that needs no read; null otherwise. Beyond this version's
// size, memory says nothing: the reader's snapshot may already hold a change of the tile.
const Tile* Prover::KnownTile(const SubtreeId& id, LogPosition position,
                              const LinkedTile* current) {
  if (position >= version_.size) return nullptr;
  if (current == nullptr) return &EmptyTile();
  if (current->last_change() <= position) return current;
  if (id.depth > TileCache::kMaxDepth) return nullptr;
  std::shared_ptr<const Tile> cached = caches_.tiles.Get(id, position);
  if (cached == nullptr) return nullptr;
  held_.push_back(std::move(cached));
  return held_.back().get();
}

int32_t Prover::PlanTile(const SubtreeId& id, LogPosition position, const LinkedTile* current,
                         ProofWriter::Range range, const ProofWriter& writer) {
  const size_t index = steps_.size();
  steps_.emplace_back();
  const Tile* const known = KnownTile(id, position, current);
  steps_[index].id = id;
  steps_[index].tile = known;
  steps_[index].below.fill(-1);
  if (known == nullptr) {
    steps_[index].query = queries_.size();
    queries_.push_back({id, position});
  }
  const unsigned child_depth = id.depth + kTileLevels;
  while (!range.empty()) {
    const unsigned child = ChildIndex(LeadingBits(writer.key(range.begin), child_depth), id.depth);
    const SubtreeId child_id = ChildId(id, child);
    ProofWriter::Range entering{range.begin, range.begin + 1};
    while (entering.end < range.end && Contains(child_id, writer.key(entering.end))) ++entering.end;
    range.begin = entering.end;
    if (known != nullptr && known->kind(Tile::kFirstChild + child) != NodeKind::kParent) continue;
    const LinkedTile* const current_below = current == nullptr ? nullptr : current->below(child);
    const bool is_bucket = IsBucket(child_id, position, current_below);
    const LinkedTile* const newest =
        id.depth == layout_.deepest_tile_depth() ? current : current_below;
    // Evaluated first: planning further steps moves those that are there.
    const int32_t below = is_bucket ? PlanBucket(child_id, newest)
                                    : PlanTile(child_id, position, current_below, entering, writer);
    steps_[index].below[child] = below;
    if (is_bucket) steps_[index].buckets |= 1u << child;
  }
  return static_cast<int32_t>(index);
}

bool Prover::IsBucket(const SubtreeId& id, LogPosition position, const LinkedTile* current) {
  if (id.depth == layout_.bucket_depth) return true;
  return layout_.deepest_from_leaves && id.depth == layout_.deepest_tile_depth() &&
         KnownTile(id, position, current) == nullptr;
}

int32_t Prover::PlanBucket(const SubtreeId& id, const LinkedTile* tile) {
  const auto [entry, is_new] =
      bucket_of_id_.try_emplace(std::pair(id.depth, id.bits), static_cast<int32_t>(leaves_.size()));
  if (!is_new) return entry->second;
  leaves_.emplace_back();
  if (!TakeFromMemory(id, tile, &leaves_.back())) {
    to_read_.push_back(entry->second);
    bucket_ids_.push_back(id);
  }
  return entry->second;
}

bool Prover::TakeFromMemory(const SubtreeId& id, const LinkedTile* tile,
                            std::vector<LeafRow>* leaves) {
  if (!memory_covers_all_ || tile == nullptr || !tile->keeps_leaves()) return false;
  const bool is_tile = id.depth == layout_.deepest_tile_depth();
  const unsigned first = is_tile ? 0 : ChildIndex(id.bits, layout_.deepest_tile_depth());
  const unsigned end = is_tile ? kTileChildren : first + 1;
  size_t count = 0;
  for (unsigned child = first; child < end; ++child) count += tile->leaves_below(child).count();
  leaves->reserve(count);
  for (unsigned child = first; child < end; ++child) tile->leaves_below(child).AppendTo(leaves);
  return true;
}

absl::Status Prover::ReadAll(const PrefixStoreReader& reader) {
  buckets_.resize(leaves_.size());
  if (bucket_ids_.empty() && queries_.empty()) return absl::OkStatus();
  std::vector<std::vector<LeafRow>> read;
  KT_RETURN_IF_ERROR(reader.Read(bucket_ids_, queries_, &read, &rows_));
  if (read.size() != bucket_ids_.size() || rows_.size() != queries_.size()) {
    return absl::InternalError("prefix tree: the store did not answer every query");
  }
  for (size_t i = 0; i < read.size(); ++i) {
    leaves_[static_cast<size_t>(to_read_[i])] = std::move(read[i]);
  }
  return absl::OkStatus();
}

absl::Status Prover::Decode(LogPosition position, Step* step) {
  const std::vector<BandRow>& rows = rows_[step->query];
  if (!rows.empty() && rows.front().position > position) return Mismatch(step->id, position);
  // A tile that did not change between two positions is decoded once for both.
  const std::tuple key(step->id.depth, step->id.bits, rows.empty() ? 0 : rows.front().position,
                       rows.size());
  const auto [known, is_new] = decoded_.try_emplace(key, held_.size());
  if (is_new) {
    auto tile = std::make_shared<Tile>();
    KT_RETURN_IF_ERROR(DecodeTile(step->id, rows, &hasher_, tile.get()));
    held_.push_back(std::move(tile));
  }
  step->held = known->second;
  step->tile = held_[step->held].get();
  return absl::OkStatus();
}

// Only what was found to fit what is above it; and not at positions that this version does not
// cover, since what is stored there may still be unacknowledged.
void Prover::Remember(LogPosition position, Step* step) {
  if (step->held == kNotHeld) return;
  if (step->id.depth <= TileCache::kMaxDepth && position < version_.size) {
    caches_.tiles.Put(step->id, position, held_[step->held]);
  }
  step->held = kNotHeld;
}

absl::Status Prover::ReachBuckets(Step* step, LogPosition position) {
  if (step->tile == nullptr) KT_RETURN_IF_ERROR(Decode(position, step));
  for (unsigned child = 0; child < kTileChildren; ++child) {
    if (step->below[child] < 0) continue;
    // What was planned before the tile was read may not be there.
    if (step->tile->kind(Tile::kFirstChild + child) != NodeKind::kParent) continue;
    const auto below = static_cast<size_t>(step->below[child]);
    if ((step->buckets >> child & 1) != 0) {
      KT_RETURN_IF_ERROR(ReachBucket(ChildId(step->id, child), below));
    } else {
      KT_RETURN_IF_ERROR(ReachBuckets(&steps_[below], position));
    }
  }
  return absl::OkStatus();
}

absl::Status Prover::ReachBucket(const SubtreeId& id, size_t index) {
  std::optional<Bucket>& bucket = buckets_[index];
  if (!bucket.has_value()) {
    KT_RETURN_IF_ERROR(CheckLeafRows(id, leaves_[index]));
    bucket.emplace().Reset(id, &leaves_[index]);
  }
  reached_.push_back(&*bucket);
  return absl::OkStatus();
}

absl::Status Prover::SearchTile(Step* step, unsigned node, LogPosition position,
                                ProofWriter::Range range, ProofWriter* writer) {
  const Tile& tile = *step->tile;
  if (range.empty()) {
    writer->AddElement(tile.hash(node));
    return absl::OkStatus();
  }
  const unsigned depth = step->id.depth + static_cast<unsigned>(std::bit_width(node)) - 1;
  switch (tile.kind(node)) {
    case NodeKind::kEmpty:
      return writer->EndAtMissing(range, depth);
    case NodeKind::kLeaf:
      return writer->EndAtLeaf(range, depth, tile.leaf(node));
    case NodeKind::kParent:
      break;
  }
  if (node >= Tile::kFirstChild) return SearchChild(step, node, position, range, writer);
  const auto [left, right] = writer->Split(range, depth);
  KT_RETURN_IF_ERROR(SearchTile(step, 2 * node, position, left, writer));
  return SearchTile(step, 2 * node + 1, position, right, writer);
}

absl::Status Prover::SearchChild(Step* step, unsigned node, LogPosition position,
                                 ProofWriter::Range range, ProofWriter* writer) {
  const unsigned child = node - Tile::kFirstChild;
  const int32_t below = step->below[child];
  KT_CHECK(below >= 0);
  const SubtreeId child_id = ChildId(step->id, child);
  if ((step->buckets >> child & 1) != 0) {
    const Bucket& bucket = *buckets_[static_cast<size_t>(below)];
    if (bucket.root() != step->tile->value(node)) return Mismatch(child_id, position);
    return bucket.Search(range, writer);
  }
  Step& next = steps_[static_cast<size_t>(below)];
  if (next.tile->value(Tile::kRoot) != step->tile->value(node)) return Mismatch(child_id, position);
  Remember(position, &next);
  return SearchTile(&next, Tile::kRoot, position, range, writer);
}

absl::StatusOr<std::vector<PrefixProof>> Prover::Run(const PrefixStoreReader& reader,
                                                     std::span<const PrefixProofRequest> requests) {
  std::vector<PrefixProof> proofs(requests.size());
  memory_covers_all_ = std::all_of(requests.begin(), requests.end(), [&](const auto& request) {
    return request.position < version_.size;
  });
  std::vector<Search> searches;
  searches.reserve(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const PrefixProofRequest& request = requests[i];
    if (request.position < version_.size) {
      if (const auto known = caches_.proofs.Get(request); known != nullptr) {
        proofs[i] = *known;
        continue;
      }
    }
    // Growing would copy them again and again.
    if (searches.empty()) steps_.reserve((requests.size() - i) * layout_.bucket_depth / 2);
    Search& search = searches.emplace_back(Search{i, ProofWriter(request.keys)});
    search.root = PlanTile({}, request.position, version_.root, search.writer.all(), search.writer);
  }
  KT_RETURN_IF_ERROR(ReadAll(reader));

  // From the newest position to the oldest, since a bucket keeps what has not changed in between.
  std::sort(searches.begin(), searches.end(), [&](const Search& a, const Search& b) {
    return requests[a.request].position > requests[b.request].position;
  });
  for (Search& search : searches) {
    Step& root = steps_[static_cast<size_t>(search.root)];
    const PrefixProofRequest& request = requests[search.request];
    reached_.clear();
    KT_RETURN_IF_ERROR(ReachBuckets(&root, request.position));
    Evaluate(request.position, reached_, &hasher_);
    KT_RETURN_IF_ERROR(
        SearchTile(&root, Tile::kRoot, request.position, search.writer.all(), &search.writer));
    Remember(request.position, &root);
    proofs[search.request] = std::move(search.writer).Finish();
    // As in Remember.
    if (request.position < version_.size) caches_.proofs.Put(request, proofs[search.request]);
  }
  return proofs;
}

}  // namespace kt::merkle
