// SPDX-License-Identifier: Apache-2.0
//
// Keys and rows of the key-value store. Keys sort bytewise into the order that reads want, so that
// a bucket, a tile's history and a label are each one range scan; rows decode exactly.
//
//   table    key                                                   value
//   leaf     vrf_output (32) || number(insert_pos)                 commitment (32) [|| end_pos (8)]
//   band     depth (1) || bits (3) || ~position (8): newest first  is_snapshot (1) || data
//   log      level (1) || index (8)                                hash (32)
//   entry    position (8)                                          timestamp_ms (8) || root (32)
//   version  length (2) || label, domain first || number(version)  see EncodeVersion
//   value    position (8) || first 12 bytes of the commitment      see EncodeValue
//   changed  position (8)                                          first 3 bytes of keys, ascending
//   meta     names                                                 head, auditor_head, properties,
//                                                                  schema, pruned, unreclaimed
//            "erased" || commitment (32)                           see EncodeErasure
//
// Integers are big endian. number(n) is the count of n's bytes (1) and these, without leading
// zeros; it sorts as n does. Beside its rows every table holds marks, which show when it is opened
// that nothing is missing: see RocksDatabase. Their keys sort after all rows, from RowsEnd() on.
//
// Every Decode* returns kDataLoss, naming the table, unless it is given exactly one row.
#ifndef KT_SERVER_STORE_CODEC_H_
#define KT_SERVER_STORE_CODEC_H_

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/types.h"
#include "kt-server/store.h"
#include "merkle/log_tree.h"
#include "merkle/prefix_store.h"

namespace kt::server {

inline constexpr size_t kMaxLabelSize = 255;     // opaque label<0..2^8-1>
inline constexpr size_t kMaxVrfProofSize = 255;  // 80 and 81 bytes in the two cipher suites
inline constexpr size_t kMaxHeadSignatureSize = 65'535;
inline constexpr unsigned kMaxSubtreeDepth = 24;

// Greater than the key of every row: the greatest is a leaf's, of at most 41 bytes.
const base::Bytes& RowsEnd();
inline const base::Bytes& MarkKey() { return RowsEnd(); }
// RowsEnd() || number (8), from 1.
base::Bytes SealKey(uint64_t number);

// The keys k with begin <= k < end.
struct KeyRange {
  base::Bytes begin;
  base::Bytes end;
  bool Contains(base::ByteView key) const;
};

base::Bytes LeafKey(const base::VrfOutput& key, base::LogPosition insert_pos);
KeyRange LeafRange(const merkle::SubtreeId& bucket);
base::Bytes EncodeLeaf(const merkle::LeafRow& row);
absl::StatusOr<merkle::LeafRow> DecodeLeaf(base::ByteView key, base::ByteView value);

using BandKeyBytes = std::array<uint8_t, 12>;
BandKeyBytes BandKey(const merkle::SubtreeId& id, base::LogPosition position);
// The rows of a tile at or before query.position, newest first.
KeyRange BandRange(const merkle::BandQuery& query);
// The rows of all tiles of `depth`.
KeyRange BandDepthRange(uint8_t depth);
base::Bytes EncodeBand(const merkle::BandRow& row);
absl::StatusOr<merkle::BandRow> DecodeBand(base::ByteView key, base::ByteView value);

using LogNodeKeyBytes = std::array<uint8_t, 9>;
LogNodeKeyBytes LogNodeKey(const merkle::LogNodeId& id);
absl::StatusOr<base::Hash> DecodeLogNode(base::ByteView value);

using PositionKeyBytes = std::array<uint8_t, 8>;
PositionKeyBytes EntryKey(base::LogPosition position);
base::Bytes EncodeEntry(const EntryRow& row);
absl::StatusOr<EntryRow> DecodeEntry(base::ByteView value);

// A label of at most kMaxLabelSize bytes, here and below. In keys what comes after its last '@'
// stands first, so that labels of one domain are neighbours and share the beginnings of their keys.
base::Bytes VersionKey(base::ByteView label, base::Version version);
KeyRange VersionRange(base::ByteView label);

// Names a leaf by the first bytes of its key and its position. That two leaves of one log entry
// share so many bits is out of the question (2^-64 for an entry of 65,536 leaves), and found out.
inline constexpr size_t kLeafPrefixSize = 12;
struct LeafName {
  std::array<uint8_t, kLeafPrefixSize> prefix{};
  base::LogPosition position = 0;
  bool operator==(const LeafName&) const = default;
};

// A row of the table version, as it was decoded.
struct StoredVersion {
  VersionRow row;
  // Where the row's vrf_output and commitment have to be read, if the row leaves them to its leaf.
  std::optional<LeafName> leaf;
  bool operator==(const StoredVersion&) const = default;
};

enum class VersionForm : uint8_t {
  kPlanned = 0,   // vrf_output (32): a version that does not exist yet
  kComplete = 1,  // number(position) || vrf_output (32) || commitment (32)
  kWithLeaf = 2,  // number(position) || the first 12 bytes of vrf_output
};
// form (1) || what the form says || proof length (1) || proof. `has_leaf`: a leaf with the row's
// vrf_output, position and commitment is stored, and need not be repeated. Of no effect on a
// version that does not exist.
base::Bytes EncodeVersion(const VersionRow& row, bool has_leaf);
absl::StatusOr<StoredVersion> DecodeVersion(base::ByteView key, base::ByteView value);

// Commitments are hashes of random openings, so that two of one log entry share so many bits is as
// little to be feared as with leaves.
inline constexpr size_t kValueCommitmentSize = 12;
using ValueKeyBytes = std::array<uint8_t, 8 + kValueCommitmentSize>;
ValueKeyBytes ValueRowKey(const ValueKey& key);
// row || the first 8 bytes of SHA-256(position (8) || commitment (32) || row). The row is
// opening (16) || UpdateValue; that the commitment was made to it is checked where the label is
// known.
base::Bytes EncodeValue(const ValueKey& key, base::ByteView row);
absl::StatusOr<base::Bytes> DecodeValue(const ValueKey& key, base::ByteView value);

// Rows of the table changed have the entry's key.
base::Bytes EncodeChanged(const ChangedRow& row);
absl::StatusOr<std::vector<merkle::SubtreeId>> DecodeChanged(base::ByteView value);

// tree_size (8) || root (32) || signature length (2) || signature || count (1) || hashes
base::Bytes EncodeHead(const HeadRow& row);
absl::StatusOr<HeadRow> DecodeHead(base::ByteView value);

// vrf_output (32) || version (4) || position (8) || erased_at_ms (8), under "erased" || commitment.
base::Bytes ErasureKey(const base::Hash& commitment);
KeyRange ErasureRange();
base::Bytes EncodeErasure(const ErasureRow& row);
absl::StatusOr<ErasureRow> DecodeErasure(base::ByteView key, base::ByteView value);

// The keys of erased values that files may still hold, ascending: position (8) || commitment (32).
base::Bytes EncodeUnreclaimed(const std::set<ValueKey>& keys);
absl::StatusOr<std::set<ValueKey>> DecodeUnreclaimed(base::ByteView value);

// How far the log is pruned.
struct PrunedRow {
  base::LogPosition horizon = 0;    // Snapshot::horizon
  base::LogPosition completed = 0;  // the horizon whose deletions are all done
};
// horizon (8) || completed (8)
base::Bytes EncodePruned(const PrunedRow& row);
absl::StatusOr<PrunedRow> DecodePruned(base::ByteView value);

// The value of a mark: writes (8) || seals (8). `table` is named if decoding fails.
base::Bytes EncodeMark(uint64_t writes, uint64_t seals);
absl::StatusOr<std::pair<uint64_t, uint64_t>> DecodeMark(const char* table, base::ByteView value);

// Eight bytes, big endian. `table` is named if decoding fails.
PositionKeyBytes EncodeUint64(uint64_t value);
absl::StatusOr<uint64_t> DecodeUint64(const char* table, base::ByteView value);

}  // namespace kt::server
#endif  // KT_SERVER_STORE_CODEC_H_
