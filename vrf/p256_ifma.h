// SPDX-License-Identifier: Apache-2.0
//
// P-256 in eight lanes with AVX-512 IFMA: what vrf/p256_lanes.h packs its work for. Only a machine
// of which base::HasAvx512Ifma() is true may call these functions. Internal to vrf/.
//
// vrf/p256_ifma.cc is compiled with its own flags. What it shares with the rest of the program is
// plain data: an inline function that both compiled could end up in the program in its vector form.
#ifndef VRF_P256_IFMA_H_
#define VRF_P256_IFMA_H_

#include <cstdint>

#include "vrf/p256_limbs.h"

namespace kt::vrf::p256::ifma {

inline constexpr int kLanes = 8;
// How many vectors one call works on: two hide each other's latencies.
inline constexpr int kMaxVectors = 2;

// Eight elements: limb i of the element in lane j is limb[i][j].
struct alignas(64) Lanes {
  uint64_t limb[kLimbs][kLanes];
};

// Tight coordinates in Montgomery form.
using LanePoint = Affine<Lanes>;
using LaneJacobian = Jacobian<Lanes>;

// Eight scalars as SecretDigits.
struct alignas(64) LaneDigits {
  uint8_t value[kDigits][kLanes];
  uint8_t negate[kLanes];
};

// Eight pairs of public scalars s and c in signed digits of five bits, from -15 to 16: the sum of
// digit[i] * 32^i. s is below 2^256, c below 2^128.
inline constexpr int kSignedDigitsOfS = 52;
inline constexpr int kSignedDigitsOfC = 26;
struct alignas(64) LaneSignedDigits {
  int8_t s[kSignedDigitsOfS][kLanes];
  int8_t c[kSignedDigitsOfC][kLanes];
};

// BaseTable::comb, turned so that a limb of all multiples lies in two vectors.
struct alignas(64) LaneComb {
  struct alignas(64) Table {
    uint64_t x[kLimbs][kOddMultiples];
    uint64_t y[kLimbs][kOddMultiples];
  };
  Table table[(kDigits + 1) / 2];
};

// In all of them `vectors` is 1 or 2, and arrays have that many elements.

// For abscissas x, canonical integers: the points with even ordinates, and a bit a lane that tells
// which abscissas are of the curve.
void Lift(int vectors, const Lanes* x, LanePoint* points, uint8_t* on_curve);

// scalar * H, lane by lane. Neither branches nor indexes on a scalar. Never infinity.
void Multiply(int vectors, const LaneDigits* scalars, const LanePoint* h, LaneJacobian* products);

// scalar * B. Neither branches nor indexes on a scalar. Never infinity.
void MultiplyBase(const LaneDigits& scalars, const LaneComb& comb, LaneJacobian& products);

// s*P + c*Q, lane by lane. Z is zero modulo p where that is infinity, and also wherever a sum on
// the way was one that the formulas do not cover: such a lane has no result.
void MultiplyTwo(int vectors, const LaneSignedDigits* scalars, const LanePoint* p,
                 const LanePoint* q, LaneJacobian* products);

// Affine coordinates as canonical integers, not in Montgomery form, at the price of one inversion
// for all `count` vectors, and a bit a lane that tells where Z was zero: the others are not
// affected. `scratch` holds `count` elements. Constant time.
void ToPlain(int count, const LaneJacobian* points, Lanes* scratch, LanePoint* plain,
             uint8_t* z_is_zero);

// The field, for tests: lane by lane what the functions of the same name in vrf/p256_field.h do.
void MulForTest(const Lanes& a, const Lanes& b, Lanes& out);
void SqrForTest(const Lanes& a, Lanes& out);
void ReduceForTest(const Lanes& a, Lanes& out);
void CarryForTest(const Lanes& a, Lanes& out);
void CanonicalForTest(const Lanes& a, Lanes& out);
void SubTimes4ForTest(const Lanes& a, const Lanes& b, Lanes& out);

}  // namespace kt::vrf::p256::ifma
#endif  // VRF_P256_IFMA_H_
