// SPDX-License-Identifier: Apache-2.0
//
// Multiples of the base point B, computed at first use. Internal to vrf/ and its tests.
#ifndef VRF_ED25519_BASE_TABLE_H_
#define VRF_ED25519_BASE_TABLE_H_

#include <array>
#include <cstddef>

#include "vrf/ed25519_point.h"

namespace kt::vrf::ed25519 {

// For multiplication in constant time: multiples[i][j] is (j + 1) * 256^i * B.
inline constexpr size_t kCombRows = 32;
inline constexpr size_t kCombColumns = 8;
struct BaseComb {
  std::array<std::array<CachedAffine, kCombColumns>, kCombRows> multiples;
};
const BaseComb& GetBaseComb();

// For digits of VartimeNaf() of width kBaseNafWidth: [j] is (2*j + 1) times B, or 2^128 * B.
inline constexpr unsigned kBaseNafWidth = 8;
using BaseOddMultiples = std::array<CachedAffine, 1 << (kBaseNafWidth - 2)>;
struct BaseNafTables {
  BaseOddMultiples low;
  BaseOddMultiples high;
};
const BaseNafTables& GetBaseNafTables();

}  // namespace kt::vrf::ed25519
#endif  // VRF_ED25519_BASE_TABLE_H_
