// SPDX-License-Identifier: Apache-2.0
#include "vrf/rfc6979.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "base/check.h"
#include "base/hash.h"
#include "base/types.h"

namespace kt::vrf {
namespace {

using base::ByteView;

constexpr size_t kBlockSize = 64;  // of SHA-256

// HMAC over parts, in place of base::HmacSha256, so that the secret is not first copied into one
// buffer; also several times as fast, since OpenSSL's HMAC sets up a context at each call.
void Hmac(ByteView key, std::initializer_list<ByteView> parts, std::span<uint8_t> out) {
  KT_CHECK(key.size() <= kBlockSize && parts.size() <= 4 && out.size() == base::kHashSize);
  std::array<uint8_t, kBlockSize> pad;
  const auto fill = [&](uint8_t constant) {
    pad.fill(constant);
    for (size_t i = 0; i < key.size(); ++i) pad[i] ^= key[i];
  };
  std::array<ByteView, 4> part{};
  std::copy(parts.begin(), parts.end(), part.begin());

  fill(0x36);
  base::Hash hash = base::Sha256({pad, part[0], part[1], part[2], part[3]});
  fill(0x5c);
  hash = base::Sha256({pad, hash.view()});
  std::copy(hash.bytes.begin(), hash.bytes.end(), out.begin());
  base::SecureZero(hash.bytes);
  base::SecureZero(pad);
}

}  // namespace

Rfc6979::Rfc6979(ByteView x, ByteView message) : key_(base::kHashSize), value_(base::kHashSize) {
  KT_CHECK(x.size() == base::kHashSize && message.size() == base::kHashSize);
  const std::span<uint8_t> key = key_.ExposeMutable();
  const std::span<uint8_t> value = value_.ExposeMutable();
  std::fill(value.begin(), value.end(), uint8_t{0x01});
  for (const uint8_t internal_octet : {uint8_t{0x00}, uint8_t{0x01}}) {
    Hmac(key, {value, ByteView(&internal_octet, 1), x, message}, key);
    Hmac(key, {value}, value);
  }
}

base::SecretBytes Rfc6979::Next() {
  const std::span<uint8_t> key = key_.ExposeMutable();
  const std::span<uint8_t> value = value_.ExposeMutable();
  if (!first_) {
    const uint8_t zero = 0x00;
    Hmac(key, {value, ByteView(&zero, 1)}, key);
    Hmac(key, {value}, value);
  }
  first_ = false;
  Hmac(key, {value}, value);
  return value_.Clone();
}

}  // namespace kt::vrf
