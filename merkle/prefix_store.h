// SPDX-License-Identifier: Apache-2.0
//
// What the prefix tree keeps in a database, and the reads that it makes there. Leaves never
// change, so a subtree's root at any log position follows from the leaves whose insertion position
// is at or before it; above buckets of leaves, bands of node hashes bound how many leaves a proof
// has to touch. All reads of a proof are known at once and go through one Read call.
#ifndef MERKLE_PREFIX_STORE_H_
#define MERKLE_PREFIX_STORE_H_

#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/types.h"

namespace kt::merkle {

inline constexpr base::LogPosition kNeverRemoved = std::numeric_limits<uint64_t>::max();

// A leaf and its lifetime: it is in the tree at position p if insert_pos <= p < end_pos.
struct LeafRow {
  base::VrfOutput key;
  base::LogPosition insert_pos = 0;
  base::Hash commitment;
  base::LogPosition end_pos = kNeverRemoved;
  bool operator==(const LeafRow&) const = default;
};

// The subtree of keys whose first `depth` bits (0..24) are those of `bits`, left aligned; the rest
// of `bits` is zero.
struct SubtreeId {
  uint8_t depth = 0;
  uint32_t bits = 0;
  auto operator<=>(const SubtreeId&) const = default;
};

// The nodes of one tile (the children four levels below `id`) as of `position`. A snapshot row
// describes all of them; any other row only what changed since the row before. The encoding of
// `data` is the tree's.
struct BandRow {
  SubtreeId id;
  base::LogPosition position = 0;
  bool is_snapshot = false;
  base::Bytes data;
  bool operator==(const BandRow&) const = default;
};

// Asks for the tile's newest row at or before `position` and the older ones that it builds on.
struct BandQuery {
  SubtreeId id;
  base::LogPosition position = 0;
};

// Reads from one immutable snapshot of the database. Thread-safe.
class PrefixStoreReader {
 public:
  virtual ~PrefixStoreReader() = default;

  // Everything in one round. `leaves` gets, per bucket, all rows whose key begins with the
  // bucket's bits, ascending by (key, insert_pos), whatever their positions. `rows` gets, per
  // query, rows newest first, ending with the first snapshot row (or with the tile's oldest row).
  virtual absl::Status Read(std::span<const SubtreeId> buckets, std::span<const BandQuery> bands,
                            std::vector<std::vector<LeafRow>>* leaves,
                            std::vector<std::vector<BandRow>>* rows) const = 0;

  // Calls `visit` with every leaf row, ascending by (key, insert_pos), until it fails.
  virtual absl::Status ScanLeaves(
      const std::function<absl::Status(const LeafRow&)>& visit) const = 0;

  // Calls `visit` for each tile of `depth`, in the order of their bits, with the rows that give its
  // newest state (as Read orders them), until it fails.
  virtual absl::Status ScanNewestBands(
      uint8_t depth, const std::function<absl::Status(std::span<const BandRow>)>& visit) const = 0;
};

// Rows that a change to the tree adds. A leaf row with the key and insert_pos of a stored one
// replaces it (that is how end_pos is set).
struct PrefixWrites {
  std::vector<LeafRow> leaves;
  std::vector<BandRow> bands;
};

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_STORE_H_
