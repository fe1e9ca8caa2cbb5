// SPDX-License-Identifier: Apache-2.0
//
// Multiples of the generator B of P-256, computed at first use. Internal to vrf/.
#ifndef VRF_P256_BASE_TABLE_H_
#define VRF_P256_BASE_TABLE_H_

#include <span>

#include "vrf/p256_field.h"
#include "vrf/p256_limbs.h"

namespace kt::vrf::p256 {

// Tables for secret scalars: one for every second digit, which serves the digit above it too, since
// five doublings lie between the two.
inline constexpr int kCombTables = (kDigits + 1) / 2;

// Odd multiples for public scalars, in signed windows of eight bits.
inline constexpr int kWideMultiples = 64;

// Affine, in Montgomery form, canonical.
struct BaseTable {
  BaseTable();

  Affine<Field> comb[kCombTables][kOddMultiples];  // comb[j][i] = (2i + 1) * 2^(10j) * B
  Affine<Field> wide[kWideMultiples];              // (2i + 1) * B
  Affine<Field> wide_128[kWideMultiples];          // (2i + 1) * 2^128 * B
};

// Never destroyed: threads may outlive the end of main().
const BaseTable& Base();

// Brings points, none of which is infinity, to affine coordinates, canonical in Montgomery form.
// Constant time; what it computes of the Z's, which tell something of a secret scalar, is wiped.
void ToAffine(std::span<const Jacobian<Field>> points, std::span<Affine<Field>> out);

}  // namespace kt::vrf::p256
#endif  // VRF_P256_BASE_TABLE_H_
