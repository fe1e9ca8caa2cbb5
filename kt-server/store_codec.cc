// SPDX-License-Identifier: Apache-2.0
#include "kt-server/store_codec.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/status.h"

namespace kt::server {
namespace {

using base::Bytes;
using base::ByteView;
using base::codec::Reader;
using base::codec::Writer;

absl::Status Corrupt(const char* table, const char* what) {
  return absl::DataLossError(absl::StrCat("table ", table, ": ", what));
}

// OK if `r` has read everything without an error.
absl::Status Finish(Reader& r, const char* table) {
  if (r.error() == nullptr && r.remaining() > 0) r.Fail("trailing bytes");
  return r.error() == nullptr ? absl::OkStatus() : Corrupt(table, r.error());
}

template <size_t N>
bool ReadFixed(Reader& r, std::array<uint8_t, N>* out) {
  ByteView raw;
  if (!r.Raw(N, &raw)) return false;
  std::copy(raw.begin(), raw.end(), out->begin());
  return true;
}

// A presence octet: 0 or 1.
bool ReadFlag(Reader& r, bool* out) {
  uint8_t flag;
  if (!r.Int(&flag)) return false;
  *out = flag == 1;
  return flag <= 1 || r.Fail("a flag is neither 0 nor 1");
}

template <size_t N>
void PutBigEndian(std::array<uint8_t, N>* out, size_t offset, uint64_t value) {
  for (size_t i = 0; i < 8; ++i) {
    (*out)[offset + i] = static_cast<uint8_t>(value >> (56 - 8 * i));
  }
}

bool IsValidSubtree(const merkle::SubtreeId& id) {
  if (id.depth > kMaxSubtreeDepth) return false;
  const uint32_t below = id.depth == 0 ? ~uint32_t{0} : (uint32_t{1} << (32 - id.depth)) - 1;
  return (id.bits & below) == 0;
}

// The first three of a subtree's bits' four bytes; the last is zero.
Bytes TopBytes(uint32_t bits) {
  return {static_cast<uint8_t>(bits >> 24), static_cast<uint8_t>(bits >> 16),
          static_cast<uint8_t>(bits >> 8)};
}

// The first key that sorts after every row whose key has this prefix.
Bytes AfterPrefix(Bytes prefix) {
  while (!prefix.empty() && prefix.back() == 0xff) prefix.pop_back();
  if (prefix.empty()) return RowsEnd();
  ++prefix.back();
  return prefix;
}

Bytes LabelPrefix(ByteView label) {
  KT_CHECK(label.size() <= kMaxLabelSize);
  Bytes out;
  out.reserve(1 + label.size() + sizeof(base::Version));
  out.push_back(static_cast<uint8_t>(label.size()));
  base::Append(out, label);
  return out;
}

}  // namespace

bool KeyRange::Contains(ByteView key) const {
  const auto less = [](ByteView a, ByteView b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  };
  return !less(key, begin) && less(key, end);
}

const Bytes& RowsEnd() {
  static const Bytes kEnd(1 + kMaxLabelSize + sizeof(base::Version) + 1, 0xff);
  return kEnd;
}

Bytes SealKey(uint64_t number) {
  Bytes out = RowsEnd();
  base::Append(out, EncodeUint64(number));
  return out;
}

// --- leaf ----------------------------------------------------------------------------------

LeafKeyBytes LeafKey(const base::VrfOutput& key, base::LogPosition insert_pos) {
  LeafKeyBytes out;
  std::copy(key.bytes.begin(), key.bytes.end(), out.begin());
  PutBigEndian(&out, base::kVrfOutputSize, insert_pos);
  return out;
}

KeyRange LeafRange(const merkle::SubtreeId& bucket) {
  KT_CHECK(IsValidSubtree(bucket));
  KeyRange range = {.begin = TopBytes(bucket.bits), .end = RowsEnd()};
  const uint64_t after = uint64_t{bucket.bits} + (uint64_t{1} << (32 - bucket.depth));
  if (after <= UINT32_MAX) range.end = TopBytes(static_cast<uint32_t>(after));
  return range;
}

Bytes EncodeLeaf(const merkle::LeafRow& row) {
  Writer w;
  w.Raw(row.commitment.bytes);
  if (row.end_pos != merkle::kNeverRemoved) w.Int(row.end_pos);
  return std::move(w).Take();
}

absl::StatusOr<merkle::LeafRow> DecodeLeaf(ByteView key, ByteView value) {
  merkle::LeafRow row;
  Reader k(key);
  ReadFixed(k, &row.key.bytes);
  k.Int(&row.insert_pos);
  KT_RETURN_IF_ERROR(Finish(k, "leaf"));
  Reader v(value);
  ReadFixed(v, &row.commitment.bytes);
  if (v.error() == nullptr && v.remaining() > 0) {
    v.Int(&row.end_pos);
    if (v.error() == nullptr && row.end_pos <= row.insert_pos) v.Fail("removed before inserted");
    if (v.error() == nullptr && row.end_pos == merkle::kNeverRemoved) v.Fail("needless end");
  }
  KT_RETURN_IF_ERROR(Finish(v, "leaf"));
  return row;
}

// --- band ----------------------------------------------------------------------------------

BandKeyBytes BandKey(const merkle::SubtreeId& id, base::LogPosition position) {
  KT_CHECK(IsValidSubtree(id));
  BandKeyBytes out;
  out[0] = id.depth;
  const Bytes bits = TopBytes(id.bits);
  std::copy(bits.begin(), bits.end(), out.begin() + 1);
  PutBigEndian(&out, 4, ~position);
  return out;
}

KeyRange BandRange(const merkle::BandQuery& query) {
  const BandKeyBytes begin = BandKey(query.id, query.position);
  return {.begin = Bytes(begin.begin(), begin.end()),
          .end = AfterPrefix(Bytes(begin.begin(), begin.begin() + 4))};
}

KeyRange BandDepthRange(uint8_t depth) {
  KT_CHECK(depth <= kMaxSubtreeDepth);
  return {.begin = Bytes{depth, 0, 0, 0}, .end = AfterPrefix(Bytes{depth})};
}

Bytes EncodeBand(const merkle::BandRow& row) {
  Bytes out;
  out.reserve(1 + row.data.size());
  out.push_back(row.is_snapshot ? 1 : 0);
  base::Append(out, row.data);
  return out;
}

absl::StatusOr<merkle::BandRow> DecodeBand(ByteView key, ByteView value) {
  merkle::BandRow row;
  Reader k(key);
  k.Int(&row.id.depth);
  std::array<uint8_t, 3> bits{};
  ReadFixed(k, &bits);
  row.id.bits = uint32_t{bits[0]} << 24 | uint32_t{bits[1]} << 16 | uint32_t{bits[2]} << 8;
  k.Int(&row.position);
  row.position = ~row.position;
  if (k.error() == nullptr && !IsValidSubtree(row.id)) k.Fail("no such subtree");
  KT_RETURN_IF_ERROR(Finish(k, "band"));
  Reader v(value);
  if (!ReadFlag(v, &row.is_snapshot)) return Corrupt("band", v.error());
  row.data = base::ToBytes(value.subspan(1));
  return row;
}

// --- log, entry ------------------------------------------------------------------------------

LogNodeKeyBytes LogNodeKey(const merkle::LogNodeId& id) {
  LogNodeKeyBytes out;
  out[0] = id.level;
  PutBigEndian(&out, 1, id.index);
  return out;
}

absl::StatusOr<base::Hash> DecodeLogNode(ByteView value) {
  base::Hash hash;
  Reader r(value);
  ReadFixed(r, &hash.bytes);
  KT_RETURN_IF_ERROR(Finish(r, "log"));
  return hash;
}

PositionKeyBytes EntryKey(base::LogPosition position) { return EncodeUint64(position); }

Bytes EncodeEntry(const EntryRow& row) {
  Writer w;
  w.Int(row.timestamp_ms);
  w.Raw(row.prefix_tree.bytes);
  return std::move(w).Take();
}

absl::StatusOr<EntryRow> DecodeEntry(ByteView value) {
  EntryRow row;
  Reader r(value);
  r.Int(&row.timestamp_ms);
  ReadFixed(r, &row.prefix_tree.bytes);
  KT_RETURN_IF_ERROR(Finish(r, "entry"));
  return row;
}

// --- version -----------------------------------------------------------------------------------

Bytes VersionKey(ByteView label, base::Version version) {
  Bytes out = LabelPrefix(label);
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<uint8_t>(version >> shift));
  return out;
}

KeyRange VersionRange(ByteView label) {
  return {.begin = VersionKey(label, 0), .end = AfterPrefix(LabelPrefix(label))};
}

Bytes EncodeVersion(const VersionRow& row) {
  KT_CHECK(row.vrf_proof.size() <= kMaxVrfProofSize);
  Writer w;
  w.Raw(row.vrf_output.bytes);
  w.Int(static_cast<uint8_t>(row.vrf_proof.size()));
  w.Raw(row.vrf_proof);
  w.Int<uint8_t>(row.existing.has_value() ? 1 : 0);
  if (row.existing.has_value()) {
    w.Int(row.existing->position);
    w.Raw(row.existing->commitment.bytes);
    w.Raw(row.existing->value_hash.bytes);
  }
  return std::move(w).Take();
}

absl::StatusOr<VersionRow> DecodeVersion(ByteView key, ByteView value) {
  VersionRow row;
  Reader k(key);
  uint8_t label_size = 0;
  ByteView label;
  k.Int(&label_size);
  if (k.Raw(label_size, &label)) row.label = base::ToBytes(label);
  k.Int(&row.version);
  KT_RETURN_IF_ERROR(Finish(k, "version"));

  Reader v(value);
  uint8_t proof_size = 0;
  ByteView proof;
  bool exists = false;
  ReadFixed(v, &row.vrf_output.bytes);
  v.Int(&proof_size);
  if (v.Raw(proof_size, &proof)) row.vrf_proof = base::ToBytes(proof);
  if (ReadFlag(v, &exists) && exists) {
    VersionRow::Existing existing;
    v.Int(&existing.position);
    ReadFixed(v, &existing.commitment.bytes);
    ReadFixed(v, &existing.value_hash.bytes);
    row.existing = existing;
  }
  KT_RETURN_IF_ERROR(Finish(v, "version"));
  return row;
}

// --- changed -----------------------------------------------------------------------------------

Bytes EncodeChanged(const ChangedRow& row) {
  Bytes out;
  out.reserve(3 * row.subtrees.size());
  for (const merkle::SubtreeId& id : row.subtrees) base::Append(out, TopBytes(id.bits));
  return out;
}

absl::StatusOr<std::vector<merkle::SubtreeId>> DecodeChanged(ByteView value) {
  if (value.size() % 3 != 0) return Corrupt("changed", "not a whole number of subtrees");
  std::vector<merkle::SubtreeId> out;
  out.reserve(value.size() / 3);
  for (size_t i = 0; i < value.size(); i += 3) {
    const uint32_t bits =
        uint32_t{value[i]} << 24 | uint32_t{value[i + 1]} << 16 | uint32_t{value[i + 2]} << 8;
    if (!out.empty() && out.back().bits >= bits) {
      return Corrupt("changed", "subtrees do not ascend");
    }
    out.push_back({kChangedDepth, bits});
  }
  return out;
}

// --- meta --------------------------------------------------------------------------------------

Bytes EncodeHead(const HeadRow& row) {
  KT_CHECK(row.signature.size() <= kMaxHeadSignatureSize);
  KT_CHECK(row.full_subtrees.size() == static_cast<size_t>(std::popcount(row.tree_size)));
  Writer w;
  w.Int(row.tree_size);
  w.Raw(row.root.bytes);
  w.Int(static_cast<uint16_t>(row.signature.size()));
  w.Raw(row.signature);
  w.Int(static_cast<uint8_t>(row.full_subtrees.size()));
  for (const base::Hash& hash : row.full_subtrees) w.Raw(hash.bytes);
  return std::move(w).Take();
}

absl::StatusOr<HeadRow> DecodeHead(ByteView value) {
  HeadRow row;
  Reader r(value);
  uint16_t signature_size = 0;
  ByteView signature;
  uint8_t count = 0;
  r.Int(&row.tree_size);
  ReadFixed(r, &row.root.bytes);
  r.Int(&signature_size);
  if (r.Raw(signature_size, &signature)) row.signature = base::ToBytes(signature);
  r.Int(&count);
  if (r.error() == nullptr && count != std::popcount(row.tree_size)) {
    r.Fail("wrong number of full subtrees");
  }
  for (uint8_t i = 0; i < count && r.error() == nullptr; ++i) {
    ReadFixed(r, &row.full_subtrees.emplace_back().bytes);
  }
  KT_RETURN_IF_ERROR(Finish(r, "meta"));
  return row;
}

namespace {
constexpr std::string_view kErasedPrefix = "erased";
}  // namespace

Bytes ErasureKey(const base::Hash& value_hash) {
  Writer w;
  w.Raw(base::AsBytes(kErasedPrefix));
  w.Raw(value_hash.bytes);
  return std::move(w).Take();
}

KeyRange ErasureRange() {
  const Bytes prefix = base::ToBytes(kErasedPrefix);
  return {.begin = prefix, .end = AfterPrefix(prefix)};
}

Bytes EncodeErasure(const ErasureRow& row) {
  Writer w;
  w.Raw(row.vrf_output.bytes);
  w.Int(row.version);
  w.Int(row.position);
  w.Int(row.erased_at_ms);
  return std::move(w).Take();
}

absl::StatusOr<ErasureRow> DecodeErasure(ByteView key, ByteView value) {
  ErasureRow row;
  if (key.size() < kErasedPrefix.size()) return Corrupt("meta", "not an erasure");
  Reader k(key.subspan(kErasedPrefix.size()));
  ReadFixed(k, &row.value_hash.bytes);
  KT_RETURN_IF_ERROR(Finish(k, "meta"));
  Reader v(value);
  ReadFixed(v, &row.vrf_output.bytes);
  v.Int(&row.version);
  v.Int(&row.position);
  v.Int(&row.erased_at_ms);
  KT_RETURN_IF_ERROR(Finish(v, "meta"));
  return row;
}

Bytes EncodePruned(const PrunedRow& row) {
  Writer w;
  w.Int(row.horizon);
  w.Int(row.completed);
  return std::move(w).Take();
}

absl::StatusOr<PrunedRow> DecodePruned(ByteView value) {
  PrunedRow row;
  Reader r(value);
  r.Int(&row.horizon);
  r.Int(&row.completed);
  KT_RETURN_IF_ERROR(Finish(r, "meta"));
  if (row.completed > row.horizon) return Corrupt("meta", "pruned beyond the horizon");
  return row;
}

PositionKeyBytes EncodeUint64(uint64_t value) {
  PositionKeyBytes out;
  PutBigEndian(&out, 0, value);
  return out;
}

absl::StatusOr<uint64_t> DecodeUint64(const char* table, ByteView value) {
  uint64_t out = 0;
  Reader r(value);
  r.Int(&out);
  KT_RETURN_IF_ERROR(Finish(r, table));
  return out;
}

}  // namespace kt::server
