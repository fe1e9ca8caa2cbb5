// SPDX-License-Identifier: Apache-2.0
#include "vrf/ed25519_point.h"

#include "base/check.h"

namespace kt::vrf::ed25519 {
namespace {

// The end of doublings and additions. RFC 8032 §5.1.4.
template <int E, int F, int G, int H>
Projective CompleteProjective(const Field<E>& e, const Field<F>& f, const Field<G>& g,
                              const Field<H>& h) {
  return {e * f, g * h, f * g};
}

template <int E, int F, int G, int H>
Extended Complete(const Field<E>& e, const Field<F>& f, const Field<G>& g, const Field<H>& h) {
  return {e * f, g * h, f * g, e * h};
}

// E, F, G and H of a doubling, all of them.
struct Doubling {
  explicit Doubling(const Projective& point) {
    const FieldElement a = Square(point.x);
    const FieldElement b = Square(point.y);
    const FieldElement z_squared = Square(point.z);
    h = a + b;
    e = h - Square(point.x + point.y);
    g = a - b;
    f = (z_squared + z_squared) + g;
  }
  Field<4> e;
  Field<5> f;
  Field<3> g;
  Field<2> h;
};

// Exchanges a and b if the mask is all ones.
template <int M>
void SwapIf(uint64_t mask, Field<M>& a, Field<M>& b) {
  for (size_t i = 0; i < kLimbs; ++i) {
    const uint64_t difference = (a.limbs[i] ^ b.limbs[i]) & mask;
    a.limbs[i] ^= difference;
    b.limbs[i] ^= difference;
  }
}

// `d` is 2*Z1*Z2. The negative of a point has X and T negated, which exchanges Y+X with Y-X, and F
// with G.
template <int D>
Extended AddSigned(const Extended& p, Field<3> y_plus_x, Field<3> y_minus_x,
                   const FieldElement& two_d_t, const Field<D>& d, SignMask sign) {
  SwapIf(sign, y_plus_x, y_minus_x);
  const FieldElement a = (p.y - p.x) * y_minus_x;
  const FieldElement b = (p.y + p.x) * y_plus_x;
  const FieldElement c = p.t * two_d_t;
  Field<D + 2> f = d - c;
  Field<D + 2> g = d + c;
  SwapIf(sign, f, g);
  return Complete(b - a, f, g, b + a);
}

}  // namespace

Extended ToExtended(const Affine& a) { return {a.x, a.y, kOne, a.x * a.y}; }

Cached ToCached(const Extended& a) { return {a.y + a.x, a.y - a.x, a.z + a.z, a.t * kTwoD}; }

CachedAffine ToCachedAffine(const Affine& a) { return {a.y + a.x, a.y - a.x, (a.x * a.y) * kTwoD}; }

Projective DoubleProjective(const Projective& a) {
  const Doubling doubling(a);
  return CompleteProjective(doubling.e, doubling.f, doubling.g, doubling.h);
}

Extended Double(const Projective& a) {
  const Doubling doubling(a);
  return Complete(doubling.e, doubling.f, doubling.g, doubling.h);
}

Extended DoubleTimes(const Extended& a, int times) {
  Projective doubled = ToProjective(a);
  for (int i = 1; i < times; ++i) doubled = DoubleProjective(doubled);
  return Double(doubled);
}

Extended Add(const Extended& p, const Cached& q, SignMask sign) {
  return AddSigned(p, q.y_plus_x, q.y_minus_x, q.two_d_t, p.z * q.two_z, sign);
}

Extended Add(const Extended& p, const CachedAffine& q, SignMask sign) {
  return AddSigned(p, q.y_plus_x, q.y_minus_x, q.two_d_t, p.z + p.z, sign);
}

void ToAffine(std::span<const Projective> points, std::span<Affine> out) {
  KT_CHECK(points.size() == out.size());
  // out[i].x keeps the product of all Z before i meanwhile.
  FieldElement product = kOne;
  for (size_t i = 0; i < points.size(); ++i) {
    out[i].x = product;
    product = product * points[i].z;
  }
  FieldElement inverse = Invert(product);
  for (size_t i = points.size(); i-- > 0;) {
    const FieldElement inverse_of_z = inverse * out[i].x;
    inverse = inverse * points[i].z;
    out[i] = {points[i].x * inverse_of_z, points[i].y * inverse_of_z};
  }
}

EncodedPoint Encode(const Affine& a) {
  EncodedPoint encoded = ToBytes(a.y);
  encoded[31] = static_cast<uint8_t>(encoded[31] | (ToBytes(a.x)[0] & 1) << 7);
  return encoded;
}

bool VartimeDecode(const EncodedPoint& encoded, Affine& out) {
  const FieldElement y = FromBytes(encoded);
  FieldBytes ordinate = encoded;
  ordinate[31] &= 0x7f;
  if (ToBytes(y) != ordinate) return false;

  // x = (u/v)^((p+3)/8) = u * v^3 * (u * v^7)^((p-5)/8), or that times the root of -1.
  const FieldElement y_squared = Square(y);
  const FieldElement u = (y_squared - kOne) * kOne;
  const FieldElement v = (kD * y_squared + kOne) * kOne;
  const FieldElement v3 = Square(v) * v;
  const FieldElement v7 = Square(v3) * v;
  FieldElement x = u * v3 * PowerForRoot(u * v7);
  const FieldElement v_x_squared = v * Square(x);
  if (!VartimeEqual(v_x_squared, u)) {
    if (!VartimeEqual(v_x_squared, (kZero - u) * kOne)) return false;
    x = x * kRootOfMinusOne;
  }
  const FieldBytes x_bytes = ToBytes(x);
  const int sign = encoded[31] >> 7;
  if (sign == 1 && x_bytes == FieldBytes{}) return false;
  if ((x_bytes[0] & 1) != sign) x = (kZero - x) * kOne;
  out = {x, y};
  return true;
}

}  // namespace kt::vrf::ed25519
