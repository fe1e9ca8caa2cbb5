// SPDX-License-Identifier: Apache-2.0
#include "kt-server/store_codec.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-server/row_codec.h"

namespace kt::server {
namespace {

using base::Bytes;
using base::ByteView;
using base::codec::Reader;
using base::codec::Writer;

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

// number(n) of store_codec.h.
void PutNumber(uint64_t n, Writer* w) {
  const int size = (std::bit_width(n) + 7) / 8;
  w->Int(static_cast<uint8_t>(size));
  for (int i = size - 1; i >= 0; --i) w->Int(static_cast<uint8_t>(n >> (8 * i)));
}

template <typename T>
bool ReadNumber(Reader& r, T* out) {
  uint8_t size = 0;
  ByteView bytes;
  if (!r.Int(&size)) return false;
  if (size > sizeof(T)) return r.Fail("a number is too great");
  if (!r.Raw(size, &bytes)) return false;
  if (size > 0 && bytes[0] == 0) return r.Fail("a number begins with zero");
  *out = 0;
  for (const uint8_t byte : bytes) *out = static_cast<T>(*out << 8 | byte);
  return true;
}

// local@domain becomes domain@local; a label without '@' stays as it is.
void PutDomainFirst(ByteView label, Writer* w) {
  const size_t domain = static_cast<size_t>(  // begins behind the last '@'
      label.rend() - std::find(label.rbegin(), label.rend(), uint8_t{'@'}));
  w->Raw(label.subspan(domain));
  if (domain == 0) return;
  w->Int(uint8_t{'@'});
  w->Raw(label.first(domain - 1));
}

// The inverse: a domain holds no '@'.
Bytes FromDomainFirst(ByteView stored) {
  const auto at = std::find(stored.begin(), stored.end(), uint8_t{'@'});
  if (at == stored.end()) return base::ToBytes(stored);
  Bytes label(at + 1, stored.end());
  label.push_back('@');
  label.insert(label.end(), stored.begin(), at);
  return label;
}

void PutLabel(ByteView label, Writer* w) {
  KT_CHECK(label.size() <= kMaxLabelSize);
  w->Int(static_cast<uint16_t>(label.size()));
  PutDomainFirst(label, w);
}

}  // namespace

Bytes AfterPrefix(Bytes prefix) {
  while (!prefix.empty() && prefix.back() == 0xff) prefix.pop_back();
  if (prefix.empty()) return RowsEnd();
  ++prefix.back();
  return prefix;
}

bool KeyRange::Contains(ByteView key) const {
  const auto less = [](ByteView a, ByteView b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  };
  return !less(key, begin) && less(key, end);
}

const Bytes& RowsEnd() {
  constexpr size_t kMaxNumberSize = 1 + sizeof(base::LogPosition);
  static const Bytes kEnd(sizeof(base::VrfOutput::bytes) + kMaxNumberSize + 1, 0xff);
  return kEnd;
}

Bytes SealKey(uint64_t number) {
  Bytes out = RowsEnd();
  base::Append(out, EncodeUint64(number));
  return out;
}

// --- leaf ----------------------------------------------------------------------------------

Bytes LeafKey(const base::VrfOutput& key, base::LogPosition insert_pos) {
  Writer w;
  w.Raw(key.bytes);
  PutNumber(insert_pos, &w);
  return std::move(w).Take();
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
  ReadNumber(k, &row.insert_pos);
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
  Writer w;
  PutLabel(label, &w);
  PutNumber(version, &w);
  return std::move(w).Take();
}

KeyRange VersionRange(ByteView label) {
  Writer w;
  PutLabel(label, &w);
  return {.begin = VersionKey(label, 0), .end = AfterPrefix(std::move(w).Take())};
}

Bytes EncodeVersion(const VersionRow& row, bool has_leaf) {
  KT_CHECK(row.vrf_proof.size() <= kMaxVrfProofSize);
  const ByteView output = row.vrf_output.bytes;
  Writer w;
  if (!row.existing.has_value()) {
    w.Int(static_cast<uint8_t>(VersionForm::kPlanned));
    w.Raw(output);
  } else {
    w.Int(static_cast<uint8_t>(has_leaf ? VersionForm::kWithLeaf : VersionForm::kComplete));
    PutNumber(row.existing->position, &w);
    w.Raw(has_leaf ? output.first(kLeafPrefixSize) : output);
    if (!has_leaf) w.Raw(row.existing->commitment.bytes);
  }
  w.Int(static_cast<uint8_t>(row.vrf_proof.size()));
  w.Raw(row.vrf_proof);
  return std::move(w).Take();
}

absl::StatusOr<StoredVersion> DecodeVersion(ByteView key, ByteView value) {
  StoredVersion stored;
  VersionRow& row = stored.row;
  Reader k(key);
  uint16_t label_size = 0;
  ByteView label;
  if (k.Int(&label_size) && label_size > kMaxLabelSize) k.Fail("a label is too long");
  if (k.Raw(label_size, &label)) row.label = FromDomainFirst(label);
  ReadNumber(k, &row.version);
  KT_RETURN_IF_ERROR(Finish(k, "version"));

  Reader v(value);
  uint8_t form = 0;
  if (v.Int(&form) && form > static_cast<uint8_t>(VersionForm::kWithLeaf)) v.Fail("unknown form");
  if (form == static_cast<uint8_t>(VersionForm::kPlanned)) {
    ReadFixed(v, &row.vrf_output.bytes);
  } else {
    VersionRow::Existing existing;
    ReadNumber(v, &existing.position);
    if (form == static_cast<uint8_t>(VersionForm::kComplete)) {
      ReadFixed(v, &row.vrf_output.bytes);
      ReadFixed(v, &existing.commitment.bytes);
    } else {
      LeafName& leaf = stored.leaf.emplace();
      leaf.position = existing.position;
      ReadFixed(v, &leaf.prefix);
    }
    row.existing = existing;
  }
  uint8_t proof_size = 0;
  ByteView proof;
  if (v.Int(&proof_size) && v.Raw(proof_size, &proof)) row.vrf_proof = base::ToBytes(proof);
  KT_RETURN_IF_ERROR(Finish(v, "version"));
  return stored;
}

// --- value -------------------------------------------------------------------------------------

namespace {

constexpr size_t kCheckSize = 8;

std::array<uint8_t, kCheckSize> CheckOf(const ValueKey& key, ByteView row) {
  const base::Hash hash = base::Sha256({EncodeUint64(key.position), key.commitment.bytes, row});
  std::array<uint8_t, kCheckSize> check;
  std::copy_n(hash.bytes.begin(), kCheckSize, check.begin());
  return check;
}

}  // namespace

ValueKeyBytes ValueRowKey(const ValueKey& key) {
  ValueKeyBytes out;
  std::ranges::copy(EncodeUint64(key.position), out.begin());
  std::copy_n(key.commitment.bytes.begin(), kValueCommitmentSize, out.begin() + 8);
  return out;
}

Bytes EncodeValue(const ValueKey& key, ByteView row) {
  Bytes out;
  out.reserve(row.size() + kCheckSize);
  base::Append(out, row);
  base::Append(out, CheckOf(key, row));
  return out;
}

absl::StatusOr<Bytes> DecodeValue(const ValueKey& key, ByteView value) {
  if (value.size() < kCheckSize) return Corrupt("value", "truncated");
  const ByteView row = value.first(value.size() - kCheckSize);
  const std::array<uint8_t, kCheckSize> check = CheckOf(key, row);
  if (!std::equal(check.begin(), check.end(), value.end() - kCheckSize)) {
    return Corrupt("value", "a value is damaged, or not the one of its key");
  }
  return base::ToBytes(row);
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
