// SPDX-License-Identifier: Apache-2.0
//
// What the parts of store_codec.h's implementation share.
#ifndef KT_SERVER_ROW_CODEC_H_
#define KT_SERVER_ROW_CODEC_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/codec.h"

namespace kt::server {

inline absl::Status Corrupt(const char* table, const char* what) {
  return absl::DataLossError(absl::StrCat("table ", table, ": ", what));
}

// OK if `r` has read everything without an error.
inline absl::Status Finish(base::codec::Reader& r, const char* table) {
  if (r.error() == nullptr && r.remaining() > 0) r.Fail("trailing bytes");
  return r.error() == nullptr ? absl::OkStatus() : Corrupt(table, r.error());
}

template <size_t N>
bool ReadFixed(base::codec::Reader& r, std::array<uint8_t, N>* out) {
  base::ByteView raw;
  if (!r.Raw(N, &raw)) return false;
  std::copy(raw.begin(), raw.end(), out->begin());
  return true;
}

// The first key that sorts after every row whose key has this prefix.
base::Bytes AfterPrefix(base::Bytes prefix);

}  // namespace kt::server
#endif  // KT_SERVER_ROW_CODEC_H_
