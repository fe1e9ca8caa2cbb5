// SPDX-License-Identifier: Apache-2.0
//
// Curve formulas and powers for P-256, for any type F of field elements that offers the functions
// below. Internal to vrf/.
//
// With the bounds of vrf/p256_limbs.h:
//   Mul(a, b), Sqr(a)   carried arguments, the product of whose bounds is at most 16u^2; tight
//   Add(a, b)           limb by limb, carries nothing: bounds add up
//   SubTimes<k>(a, b)   a - k*b + k*4p for a tight b and k of at most 4; no negative limb, carries
//                       nothing; the bound of a grows by 4k*u
//   Times3(a)           limb by limb
//   Carry(a)            limbs below 2^58, value below 16u; carried, the same value
//   Reduce(a)           limbs below 2^58; tight, below 1.001u, the same element
// An F whose Mul takes uncarried limbs may leave out what Carry does. The numbers in comments are
// bounds in u; a tight value counts as 2.
#ifndef VRF_P256_FORMULAS_H_
#define VRF_P256_FORMULAS_H_

#include "vrf/p256_limbs.h"

namespace kt::vrf::p256 {

// 2P, also for infinity. The group's order is odd, so that no point has Y = 0. 4M + 4S.
//
//   X' = M^2 - 4S, Y' = M(2S - X') - 8Y^4, Z' = 2YZ with S = 2XY^2, M = 3(X + Z^2)(X - Z^2)
template <typename F>
inline Jacobian<F> Double(const Jacobian<F>& p) {
  const F zz = Sqr(p.z);
  const F y2 = Carry(Add(p.y, p.y));  // 4
  const F u = Mul(y2, p.y);           // 2Y^2
  const F s = Mul(p.x, u);
  const F sum = Carry(Add(p.x, zz));                          // 4
  const F difference = Reduce(Times3(SubTimes<1>(p.x, zz)));  // 3 * 6, reduced to 2
  const F m = Mul(sum, difference);                           // 4 * 2
  Jacobian<F> r;
  r.x = Reduce(SubTimes<4>(Sqr(m), s));
  const F turn = Carry(SubTimes<1>(Add(s, s), r.x));  // 4 + 4
  r.y = Reduce(SubTimes<2>(Mul(m, turn), Sqr(u)));    // the product: 2 * 8
  r.z = Mul(y2, p.z);
  return r;
}

// The end of an addition. P is (X1, Y1, Z1) and Q is (X2, Y2, Z2); u1 = X1*Z2^2 and s1 = Y1*Z2^3, h
// and r are what the same of Q has more, all tight; z is Z1*Z2.
template <typename F>
inline Jacobian<F> FinishAdd(const F& u1, const F& s1, const F& h, const F& r, const F& z) {
  const F hh = Sqr(h);
  const F hhh = Mul(h, hh);
  const F v = Mul(u1, hh);
  Jacobian<F> sum;
  sum.x = Reduce(SubTimes<2>(SubTimes<1>(Sqr(r), hhh), v));
  const F turn = Carry(SubTimes<1>(v, sum.x));              // 6
  sum.y = Reduce(SubTimes<1>(Mul(r, turn), Mul(s1, hhh)));  // the product: 2 * 6
  sum.z = Mul(z, h);
  return sum;
}

// P + Q. If P = Q, P = -Q or either is infinity, then Z' is zero modulo p; else it is not. Once
// zero, Z stays so through further doublings and additions. 12M + 4S.
template <typename F>
inline Jacobian<F> AddUnequal(const Jacobian<F>& p, const Jacobian<F>& q) {
  const F z1z1 = Sqr(p.z);
  const F z2z2 = Sqr(q.z);
  const F u1 = Mul(p.x, z2z2);
  const F u2 = Mul(q.x, z1z1);
  const F s1 = Mul(Mul(p.y, q.z), z2z2);
  const F s2 = Mul(Mul(q.y, p.z), z1z1);
  const F h = Reduce(SubTimes<1>(u2, u1));
  const F r = Reduce(SubTimes<1>(s2, s1));
  return FinishAdd(u1, s1, h, r, Mul(p.z, q.z));
}

// The same for an affine Q. 8M + 3S.
template <typename F>
inline Jacobian<F> AddUnequal(const Jacobian<F>& p, const Affine<F>& q) {
  const F z1z1 = Sqr(p.z);
  const F u2 = Mul(q.x, z1z1);
  const F s2 = Mul(Mul(q.y, p.z), z1z1);
  const F h = Reduce(SubTimes<1>(u2, p.x));
  const F r = Reduce(SubTimes<1>(s2, p.y));
  return FinishAdd(p.x, p.y, h, r, p.z);
}

// a^(2^n). `a` is tight.
template <typename F>
inline F SqrTimes(F a, int n) {
  for (int i = 0; i < n; ++i) a = Sqr(a);
  return a;
}

// a^(2^32 - 1), and on the way a^(2^30 - 1).
template <typename F>
inline F PowerOf32Ones(const F& a, F& of_30_ones) {
  const F ones_2 = Mul(Sqr(a), a);
  const F ones_4 = Mul(SqrTimes(ones_2, 2), ones_2);
  const F ones_8 = Mul(SqrTimes(ones_4, 4), ones_4);
  const F ones_16 = Mul(SqrTimes(ones_8, 8), ones_8);
  const F ones_24 = Mul(SqrTimes(ones_16, 8), ones_8);
  const F ones_28 = Mul(SqrTimes(ones_24, 4), ones_4);
  of_30_ones = Mul(SqrTimes(ones_28, 2), ones_2);
  return Mul(SqrTimes(of_30_ones, 2), ones_2);
}

// A square root of `a` if it has one: a^((p+1)/4), since p = 3 modulo 4. `a` is tight.
// (p+1)/4 = (((2^32 - 1) * 2^32 + 1) * 2^96 + 1) * 2^94.
template <typename F>
inline F RootCandidate(const F& a) {
  F unused;
  F power = PowerOf32Ones(a, unused);
  power = Mul(SqrTimes(power, 32), a);
  power = Mul(SqrTimes(power, 96), a);
  return SqrTimes(power, 94);
}

// 1/a, or 0 for 0: a^(p-2). `a` is tight.
// p-2 has, from the top, 32 ones, 31 zeros and a one, 96 zeros, 62 ones more (in two runs of 32 and
// 30), a zero and a one.
template <typename F>
inline F Invert(const F& a) {
  F ones_30;
  const F ones_32 = PowerOf32Ones(a, ones_30);
  F power = Mul(SqrTimes(ones_32, 32), a);
  power = Mul(SqrTimes(power, 128), ones_32);
  power = Mul(SqrTimes(power, 32), ones_32);
  power = Mul(SqrTimes(power, 30), ones_30);
  return Mul(SqrTimes(power, 2), a);
}

// x^3 - 3x + b, tight. `x` is tight.
template <typename F>
inline F CurveEquation(const F& x, const F& minus_three, const F& b) {
  const F slope = Carry(Add(Sqr(x), minus_three));  // 3
  return Reduce(Add(Mul(slope, x), b));
}

// P, 3P, 5P, ..., (2n - 1)P. No step meets an exceptional case: iP = +-2P only if the order, a
// prime, divides i - 2 or i + 2.
template <typename F>
inline void OddMultiples(const Jacobian<F>& p, Jacobian<F>* multiples, int n) {
  const Jacobian<F> twice = Double(p);
  multiples[0] = p;
  for (int i = 1; i < n; ++i) multiples[i] = AddUnequal(multiples[i - 1], twice);
}

}  // namespace kt::vrf::p256
#endif  // VRF_P256_FORMULAS_H_
