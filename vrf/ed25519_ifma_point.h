// SPDX-License-Identifier: Apache-2.0
//
// Points of edwards25519 in eight lanes; what vrf/ed25519_point.h is to one. Internal to vrf/, and
// only for files that are compiled for AVX-512 IFMA. All functions are constant time.
#ifndef VRF_ED25519_IFMA_POINT_H_
#define VRF_ED25519_IFMA_POINT_H_

#include "vrf/ed25519_ifma_field.h"

namespace kt::vrf::ed25519 {

// x = X/Z, y = Y/Z, x*y = T/Z. Z is never 0.
struct ExtendedLanes {
  Lanes x;
  Lanes y;
  Lanes z;
  Lanes t;
};

// A point to be added or subtracted, as the formula takes it.
struct CachedLanes {
  Lanes y_plus_x;
  Lanes y_minus_x;
  Lanes two_z;
  Lanes two_d_t;
};

inline constexpr uint64_t kLaneZero[kLaneLimbs] = {};
inline constexpr uint64_t kLaneOne[kLaneLimbs] = {1};
inline constexpr uint64_t kLaneTwo[kLaneLimbs] = {2};
// RFC 8032 §5.1; as in vrf/ed25519_field.h and vrf/ed25519_point.h.
inline constexpr uint64_t kLaneD[kLaneLimbs] = {0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029,
                                                0x739c663a03cbb, 0x52036cee2b6ff};
inline constexpr uint64_t kLaneTwoD[kLaneLimbs] = {
    0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff};
inline constexpr uint64_t kLaneRootOfMinusOne[kLaneLimbs] = {
    0x61b274a0ea0b0, 0x0d5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d};
inline constexpr uint64_t kLaneBaseX[kLaneLimbs] = {
    0x62d608f25d51a, 0x412a4b4f6592a, 0x75b7171a4b31d, 0x1ff60527118fe, 0x216936d3cd6e5};
inline constexpr uint64_t kLaneBaseY[kLaneLimbs] = {
    0x6666666666658, 0x4cccccccccccc, 0x1999999999999, 0x3333333333333, 0x6666666666666};

static inline ExtendedLanes NeutralLanes() {
  const Lanes zero = BroadcastLanes(kLaneZero);
  const Lanes one = BroadcastLanes(kLaneOne);
  return {zero, one, one, zero};
}

static inline ExtendedLanes ExtendLanes(const Lanes& x, const Lanes& y) {
  return {x, y, BroadcastLanes(kLaneOne), x * y};
}

static inline ExtendedLanes SelectLanes(__mmask8 mask, const ExtendedLanes& a,
                                        const ExtendedLanes& b) {
  return {Select(mask, a.x, b.x), Select(mask, a.y, b.y), Select(mask, a.z, b.z),
          Select(mask, a.t, b.t)};
}

static inline __attribute__((noinline)) CachedLanes CacheLanes(const ExtendedLanes& a) {
  return {a.y + a.x, a.y - a.x, a.z + a.z, a.t * BroadcastLanes(kLaneTwoD)};
}

// point = 2 * point, but for T unless `with_t`. RFC 8032 §5.1.4, where E is -2*X*Y here.
template <bool with_t>
static inline __attribute__((noinline)) void DoubleLanes(ExtendedLanes& point) {
  const Wide<1> a = SquareWide(point.x);
  const Wide<1> b = SquareWide(point.y);
  const Wide<1> z_squared = SquareWide(point.z);
  const Wide<1> x_y = MultiplyWide(point.x, point.y);
  const Wide<3> g_wide = a - b;
  const Lanes h = Carry(a + b);
  const Lanes g = Carry(g_wide);
  const Lanes f = Carry((z_squared + z_squared) + g_wide);
  const Lanes e = Carry((Wide<1>{} - x_y) - x_y);
  point.x = e * f;
  point.y = g * h;
  point.z = f * g;
  if constexpr (with_t) point.t = e * h;
}

// point * 2^times, times >= 1.
static inline void DoubleLanesTimes(ExtendedLanes& point, int times) {
  for (int i = 1; i < times; ++i) DoubleLanes<false>(point);
  DoubleLanes<true>(point);
}

// The end of an addition. `d` is 2*Z1*Z2. The negative of a point has X and T negated, which
// exchanges Y+X with Y-X, and F with G.
template <int D>
static inline __attribute__((always_inline)) void AddLanesSigned(
    ExtendedLanes& p, const Lanes& y_plus_x, const Lanes& y_minus_x, const Lanes& two_d_t,
    const Wide<D>& d, __mmask8 negative) {
  const Wide<1> a = MultiplyWide(p.y - p.x, Select(negative, y_minus_x, y_plus_x));
  const Wide<1> b = MultiplyWide(p.y + p.x, Select(negative, y_plus_x, y_minus_x));
  const Wide<1> c = MultiplyWide(p.t, two_d_t);
  const Wide<D + 2> difference = d - c;
  Wide<D + 2> sum;
  for (int i = 0; i < kLaneLimbs; ++i) sum.v[i] = Sum(d.v[i], c.v[i]);
  const Lanes e = Carry(b - a);
  const Lanes f = Carry(Select(negative, difference, sum));
  const Lanes g = Carry(Select(negative, sum, difference));
  const Lanes h = Carry(b + a);
  p.x = e * f;
  p.y = g * h;
  p.z = f * g;
  p.t = e * h;
}

// p + q or, where the mask is set, p - q.
static inline __attribute__((noinline)) void AddLanes(ExtendedLanes& p, const CachedLanes& q,
                                                      __mmask8 negative) {
  AddLanesSigned(p, q.y_plus_x, q.y_minus_x, q.two_d_t, MultiplyWide(p.z, q.two_z), negative);
}

// The same for a point with Z = 1; two_z is not read.
static inline __attribute__((noinline)) void AddAffineLanes(ExtendedLanes& p, const CachedLanes& q,
                                                            __mmask8 negative) {
  Wide<1> d;
  for (int i = 0; i < kLaneLimbs; ++i) d.v[i] = Sum(p.z.v[i], p.z.v[i]);
  AddLanesSigned(p, q.y_plus_x, q.y_minus_x, q.two_d_t, d, negative);
}

// The exponentiations of vrf/ed25519_field.cc.
struct LanePowers {
  Lanes a_250;
  Lanes a_11;
};

static inline LanePowers CommonPowers(const Lanes& a) {
  const Lanes a_2 = Square(a);
  const Lanes a_9 = SquareTimes(a_2, 2) * a;
  const Lanes a_11 = a_9 * a_2;
  // From here on a_N is a^(2^N - 1).
  const Lanes a_5 = Square(a_11) * a_9;
  const Lanes a_10 = SquareTimes(a_5, 5) * a_5;
  const Lanes a_20 = SquareTimes(a_10, 10) * a_10;
  const Lanes a_40 = SquareTimes(a_20, 20) * a_20;
  const Lanes a_50 = SquareTimes(a_40, 10) * a_10;
  const Lanes a_100 = SquareTimes(a_50, 50) * a_50;
  const Lanes a_200 = SquareTimes(a_100, 100) * a_100;
  return {SquareTimes(a_200, 50) * a_50, a_11};
}

static inline __attribute__((noinline)) Lanes InvertLanes(const Lanes& a) {
  const LanePowers powers = CommonPowers(a);
  return SquareTimes(powers.a_250, 5) * powers.a_11;
}

static inline __attribute__((noinline)) Lanes PowerForRootLanes(const Lanes& a) {
  return SquareTimes(CommonPowers(a).a_250, 2) * a;
}

// Finds x for y where there is one: the mask tells. x is one of two, reduced; RFC 8032 §5.1.3.
static inline __mmask8 RecoverX(const Lanes& y, Lanes& x) {
  const Lanes one = BroadcastLanes(kLaneOne);
  const Lanes zero = BroadcastLanes(kLaneZero);
  const Lanes y_squared = Square(y);
  const Lanes u = y_squared - one;
  const Lanes v = BroadcastLanes(kLaneD) * y_squared + one;
  const Lanes v3 = Square(v) * v;
  const Lanes v7 = Square(v3) * v;
  const Lanes root = u * v3 * PowerForRootLanes(u * v7);
  const Lanes v_x_squared = v * Square(root);
  const __mmask8 is_root = EqualLanes(v_x_squared, u);
  const __mmask8 is_other = EqualLanes(v_x_squared, zero - u);
  x = Canonical(Select(is_root, root * BroadcastLanes(kLaneRootOfMinusOne), root));
  return static_cast<__mmask8>(is_root | is_other);
}

}  // namespace kt::vrf::ed25519
#endif  // VRF_ED25519_IFMA_POINT_H_
