// SPDX-License-Identifier: Apache-2.0
#include "vrf/ed25519_scalar.h"

#include "base/check.h"

namespace kt::vrf::ed25519 {

SignedDigits ToSignedDigits(std::span<const uint8_t, 32> scalar) {
  SignedDigits digits;
  int carry = 0;
  for (size_t i = 0; i < kDigits; ++i) {
    const int digit = ((scalar[i / 2] >> (4 * (i % 2))) & 15) + carry;
    carry = i + 1 < kDigits ? (digit + 8) >> 4 : 0;
    digits[i] = digit - 16 * carry;
  }
  return digits;
}

NafDigits VartimeNaf(std::span<const uint8_t> scalar, unsigned width) {
  KT_CHECK(scalar.size() <= 32 && width >= 2 && width <= 8);
  const size_t bits = 8 * scalar.size();
  const auto bit = [&](size_t i) {
    return i < bits ? (unsigned{scalar[i / 8]} >> (i % 8)) & 1 : 0u;
  };
  NafDigits digits{};
  unsigned carry = 0;
  for (size_t i = 0; i <= bits;) {
    if (bit(i) == carry) {
      ++i;  // nothing, or two that carry on
      continue;
    }
    unsigned window = carry;
    for (unsigned j = 0; j < width; ++j) window += bit(i + j) << j;
    carry = window >> (width - 1);
    digits[i] = static_cast<int8_t>(static_cast<int>(window) - static_cast<int>(carry << width));
    i += width;
  }
  return digits;
}

}  // namespace kt::vrf::ed25519
