// SPDX-License-Identifier: Apache-2.0
//
// The points of edwards25519, -x^2 + y^2 = 1 + d*x^2*y^2, in portable C++ (RFC 8032 §5.1). Internal
// to vrf/, its tests and fuzzers.
//
// The formulas are the complete ones of RFC 8032 §5.1.4: they hold for all points of the curve,
// equal ones, the neutral element and those with a component of small order included. All functions
// are constant time but for those whose name says otherwise.
#ifndef VRF_ED25519_POINT_H_
#define VRF_ED25519_POINT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vrf/ed25519_field.h"

namespace kt::vrf::ed25519 {

using EncodedPoint = std::array<uint8_t, 32>;  // RFC 8032 §5.1.2

struct Affine {
  FieldElement x;
  FieldElement y;
};

// x = X/Z, y = Y/Z. Z is never 0.
struct Projective {
  FieldElement x;
  FieldElement y;
  FieldElement z;
};

// The same, and x*y = T/Z.
struct Extended {
  FieldElement x;
  FieldElement y;
  FieldElement z;
  FieldElement t;
};

// A point to be added or subtracted, as the formula takes it.
struct Cached {
  Field<2> y_plus_x;
  Field<3> y_minus_x;
  Field<2> two_z;
  FieldElement two_d_t;
};

// The same of an affine point.
struct CachedAffine {
  Field<2> y_plus_x;
  Field<3> y_minus_x;
  FieldElement two_d_t;
};

// All ones for minus, 0 for plus.
using SignMask = uint64_t;
inline constexpr SignMask kPlus = 0;
inline constexpr SignMask kMinus = ~SignMask{0};

inline constexpr Extended kNeutral = {kZero, kOne, kOne, kZero};
// RFC 8032 §5.1.
inline constexpr Affine kBasePoint = {
    {{0x62d608f25d51a, 0x412a4b4f6592a, 0x75b7171a4b31d, 0x1ff60527118fe, 0x216936d3cd6e5}},
    {{0x6666666666658, 0x4cccccccccccc, 0x1999999999999, 0x3333333333333, 0x6666666666666}}};

Extended ToExtended(const Affine& a);
Cached ToCached(const Extended& a);
CachedAffine ToCachedAffine(const Affine& a);

Projective DoubleProjective(const Projective& a);
Extended Double(const Projective& a);
inline Projective ToProjective(const Extended& a) { return {a.x, a.y, a.z}; }
inline Extended Double(const Extended& a) { return Double(ToProjective(a)); }
// a * 2^times, times >= 1.
Extended DoubleTimes(const Extended& a, int times);

// p + q or p - q.
Extended Add(const Extended& p, const Cached& q, SignMask sign);
Extended Add(const Extended& p, const CachedAffine& q, SignMask sign);

// For many points: one inversion, and three multiplications a point. `out` is as long as `points`.
void ToAffine(std::span<const Projective> points, std::span<Affine> out);

EncodedPoint Encode(const Affine& a);

// RFC 8032 §5.1.3: false unless `encoded` is the one encoding of a point of the curve. Its ordinate
// must be reduced modulo p, and the sign of x = 0 not set.
bool VartimeDecode(const EncodedPoint& encoded, Affine& out);

}  // namespace kt::vrf::ed25519
#endif  // VRF_ED25519_POINT_H_
