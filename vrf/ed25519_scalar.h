// SPDX-License-Identifier: Apache-2.0
//
// Scalars as digits for multiplication. Internal to vrf/ and its tests.
#ifndef VRF_ED25519_SCALAR_H_
#define VRF_ED25519_SCALAR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace kt::vrf::ed25519 {

inline constexpr size_t kDigits = 64;
inline constexpr size_t kNafDigits = 257;

// The scalar is the sum of digit[i] * 16^i, with digits from -8 to 7, and to 8 for the last one.
using SignedDigits = std::array<int32_t, kDigits>;
// For a little-endian scalar below 2^255. Constant time; the caller wipes the digits.
SignedDigits ToSignedDigits(std::span<const uint8_t, 32> scalar);

// The scalar is the sum of digit[i] * 2^i, with digits that are 0 or odd; of `width` neighbours at
// most one is not 0, and its absolute value is below 2^(width-1).
using NafDigits = std::array<int8_t, kNafDigits>;
// For a public little-endian scalar of at most 32 bytes; 2 <= width <= 8. Variable time.
NafDigits VartimeNaf(std::span<const uint8_t> scalar, unsigned width);

}  // namespace kt::vrf::ed25519
#endif  // VRF_ED25519_SCALAR_H_
