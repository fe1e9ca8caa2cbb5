// SPDX-License-Identifier: Apache-2.0
//
// Rows of the server's database, whatever the disk has made of them: one is damaged, or it is
// exactly what writing it again gives. The first byte chooses the table, the second says how long
// the key is.
#include <algorithm>

#include "base/check.h"
#include "kt-server/store_codec.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace kt::server;  // all rows, by name: NOLINT(google-build-using-namespace)
using kt::base::Bytes;
using kt::base::ByteView;
using kt::base::ToBytes;

// Whether there is a row; if not, that it is damage.
template <typename T>
bool Read(const absl::StatusOr<T>& row) {
  KT_CHECK(row.ok() || absl::IsDataLoss(row.status()));
  return row.ok();
}

using Check = void (*)(ByteView key, ByteView value);
constexpr Check kChecks[] = {
    [](ByteView key, ByteView value) {
      const auto row = DecodeLeaf(key, value);
      if (!Read(row)) return;
      KT_CHECK(LeafKey(row->key, row->insert_pos) == ToBytes(key));
      KT_CHECK(EncodeLeaf(*row) == ToBytes(value));
    },
    [](ByteView key, ByteView value) {
      const auto row = DecodeBand(key, value);
      if (!Read(row)) return;
      KT_CHECK(ToBytes(BandKey(row->id, row->position)) == ToBytes(key));
      KT_CHECK(EncodeBand(*row) == ToBytes(value));
      KT_CHECK(BandRange({row->id, row->position}).Contains(key));
    },
    [](ByteView, ByteView value) {
      const auto hash = DecodeLogNode(value);
      if (Read(hash)) KT_CHECK(ToBytes(hash->bytes) == ToBytes(value));
    },
    [](ByteView, ByteView value) {
      const auto row = DecodeEntry(value);
      if (Read(row)) KT_CHECK(EncodeEntry(*row) == ToBytes(value));
    },
    [](ByteView key, ByteView value) {
      auto stored = DecodeVersion(key, value);
      if (!Read(stored)) return;
      VersionRow& row = stored->row;
      KT_CHECK(VersionKey(row.label, row.version) == ToBytes(key));
      if (stored->leaf.has_value()) {
        std::ranges::copy(stored->leaf->prefix, row.vrf_output.bytes.begin());
      }
      KT_CHECK(EncodeVersion(row, stored->leaf.has_value()) == ToBytes(value));
      KT_CHECK(VersionRange(row.label).Contains(key));
    },
    [](ByteView, ByteView value) {
      const auto subtrees = DecodeChanged(value);
      if (Read(subtrees)) KT_CHECK(EncodeChanged({0, *subtrees}) == ToBytes(value));
    },
    [](ByteView, ByteView value) {
      const auto row = DecodeHead(value);
      if (Read(row)) KT_CHECK(EncodeHead(*row) == ToBytes(value));
    },
    [](ByteView key, ByteView value) {
      const auto row = DecodeErasure(key, value);
      if (!Read(row)) return;
      KT_CHECK(ErasureKey(row->commitment) == ToBytes(key));
      KT_CHECK(EncodeErasure(*row) == ToBytes(value));
      KT_CHECK(ErasureRange().Contains(key));
    },
    [](ByteView, ByteView value) {
      const auto row = DecodePruned(value);
      if (Read(row)) KT_CHECK(EncodePruned(*row) == ToBytes(value));
    },
    [](ByteView, ByteView value) {
      const auto number = DecodeUint64("meta", value);
      if (Read(number)) KT_CHECK(ToBytes(EncodeUint64(*number)) == ToBytes(value));
    },
    [](ByteView key, ByteView value) {
      ValueKey value_key;
      if (key.size() != 8 + value_key.commitment.bytes.size()) return;
      for (const uint8_t byte : key.first(8)) value_key.position = value_key.position << 8 | byte;
      std::ranges::copy(key.subspan(8), value_key.commitment.bytes.begin());
      const auto row = DecodeValue(value_key, value);
      if (Read(row)) KT_CHECK(EncodeValue(value_key, *row) == ToBytes(value));
    },
    [](ByteView, ByteView value) {
      const auto keys = DecodeUnreclaimed(value);
      if (Read(keys)) KT_CHECK(EncodeUnreclaimed(*keys) == ToBytes(value));
    },
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kt::fuzz::FuzzInput input(data, size);
  const Check check = kChecks[input.Below(std::size(kChecks))];
  const size_t key_size = input.Byte();
  const ByteView rest = input.Rest();
  const size_t split = std::min(key_size, rest.size());
  check(rest.first(split), rest.subspan(split));
  return 0;
}
