// SPDX-License-Identifier: Apache-2.0
//
// store_codec.h: rows of the table meta.
#include <bit>
#include <set>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-server/row_codec.h"
#include "kt-server/store_codec.h"

namespace kt::server {

using base::Bytes;
using base::ByteView;
using base::codec::Reader;
using base::codec::Writer;

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

Bytes ErasureKey(const base::Hash& commitment) {
  Writer w;
  w.Raw(base::AsBytes(kErasedPrefix));
  w.Raw(commitment.bytes);
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
  if (!base::AsText(key).starts_with(kErasedPrefix)) return Corrupt("meta", "not an erasure");
  Reader k(key.subspan(kErasedPrefix.size()));
  ReadFixed(k, &row.commitment.bytes);
  KT_RETURN_IF_ERROR(Finish(k, "meta"));
  Reader v(value);
  ReadFixed(v, &row.vrf_output.bytes);
  v.Int(&row.version);
  v.Int(&row.position);
  v.Int(&row.erased_at_ms);
  KT_RETURN_IF_ERROR(Finish(v, "meta"));
  return row;
}

Bytes EncodeMark(uint64_t writes, uint64_t seals) {
  Writer w;
  w.Int(writes);
  w.Int(seals);
  return std::move(w).Take();
}

absl::StatusOr<std::pair<uint64_t, uint64_t>> DecodeMark(const char* table, ByteView value) {
  std::pair<uint64_t, uint64_t> mark;
  Reader r(value);
  r.Int(&mark.first);
  r.Int(&mark.second);
  KT_RETURN_IF_ERROR(Finish(r, table));
  return mark;
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

Bytes EncodeUnreclaimed(const std::set<ValueKey>& keys) {
  Writer w;
  for (const ValueKey& key : keys) {
    w.Int(key.position);
    w.Raw(key.commitment.bytes);
  }
  return std::move(w).Take();
}

absl::StatusOr<std::set<ValueKey>> DecodeUnreclaimed(ByteView value) {
  std::set<ValueKey> keys;
  Reader r(value);
  while (r.error() == nullptr && r.remaining() > 0) {
    ValueKey key;
    r.Int(&key.position);
    if (!ReadFixed(r, &key.commitment.bytes)) break;
    if (!keys.empty() && !(*keys.rbegin() < key)) {
      return Corrupt("meta", "erased values do not ascend");
    }
    keys.insert(key);
  }
  KT_RETURN_IF_ERROR(Finish(r, "meta"));
  return keys;
}

}  // namespace kt::server
