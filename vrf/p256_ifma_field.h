// SPDX-License-Identifier: Apache-2.0
//
// The field of P-256 in eight lanes. For vrf/p256_ifma.cc alone, which is compiled for machines
// that have AVX-512 IFMA; everything has internal linkage, so that no other file can get hold of
// it.
//
// The multiplying instructions take 52 bits of each factor and drop what is above without a word:
// factors are carried (vrf/p256_limbs.h). They add 52 bits of the product to 64: a sum holds 4,096
// of them.
#ifndef VRF_P256_IFMA_FIELD_H_
#define VRF_P256_IFMA_FIELD_H_

#include <immintrin.h>

#include <cstdint>

#include "vrf/p256_ifma.h"
#include "vrf/p256_limbs.h"

namespace kt::vrf::p256::ifma {
namespace {

#define KT_LANES_INLINE inline __attribute__((always_inline))

using Vector = __m512i;

struct Element {
  Vector limb[kLimbs];
};

KT_LANES_INLINE Vector Broadcast(uint64_t word) {
  return _mm512_set1_epi64(static_cast<long long>(word));
}
KT_LANES_INLINE Vector Sum(Vector a, Vector b) { return _mm512_add_epi64(a, b); }
KT_LANES_INLINE Vector LowBits(Vector a) { return _mm512_and_si512(a, Broadcast(kLimbMask)); }
// sum + the low, or the high, 52 bits of the product of the low 52 bits of a and b.
KT_LANES_INLINE Vector AddLow(Vector sum, Vector a, Vector b) {
  return _mm512_madd52lo_epu64(sum, a, b);
}
KT_LANES_INLINE Vector AddHigh(Vector sum, Vector a, Vector b) {
  return _mm512_madd52hi_epu64(sum, a, b);
}

KT_LANES_INLINE Element Broadcast(const Field& a) {
  Element r;
  for (int i = 0; i < kLimbs; ++i) r.limb[i] = Broadcast(a.limb[i]);
  return r;
}

KT_LANES_INLINE Element Load(const Lanes& a) {
  Element r;
  for (int i = 0; i < kLimbs; ++i) r.limb[i] = _mm512_load_si512(a.limb[i]);
  return r;
}

KT_LANES_INLINE void Store(const Element& a, Lanes& out) {
  for (int i = 0; i < kLimbs; ++i) _mm512_store_si512(out.limb[i], a.limb[i]);
}

KT_LANES_INLINE Element Select(__mmask8 mask, const Element& if_set, const Element& if_clear) {
  Element r;
  for (int i = 0; i < kLimbs; ++i) {
    r.limb[i] = _mm512_mask_blend_epi64(mask, if_clear.limb[i], if_set.limb[i]);
  }
  return r;
}

KT_LANES_INLINE Element Add(const Element& a, const Element& b) {
  Element r;
  for (int i = 0; i < kLimbs; ++i) r.limb[i] = Sum(a.limb[i], b.limb[i]);
  return r;
}

KT_LANES_INLINE Element Times3(const Element& a) { return Add(Add(a, a), a); }

// k is 1, 2 or 4: a shift.
template <uint64_t k>
KT_LANES_INLINE Element SubTimes(const Element& a, const Element& b) {
  static_assert(k == 1 || k == 2 || k == 4);
  Element r;
  for (int i = 0; i < kLimbs; ++i) {
    const Vector times = k == 1 ? b.limb[i] : _mm512_slli_epi64(b.limb[i], k / 2);
    r.limb[i] = _mm512_sub_epi64(Sum(a.limb[i], Broadcast(k * kFourPrime.limb[i])), times);
  }
  return r;
}

// Limbs below 2^58, value below 16u.
KT_LANES_INLINE Element Carry(const Element& a) {
  Element r;
  Vector carry = _mm512_setzero_si512();
  for (int i = 0; i < kLimbs - 1; ++i) {
    const Vector limb = Sum(a.limb[i], carry);
    carry = _mm512_srli_epi64(limb, kLimbBits);
    r.limb[i] = LowBits(limb);
  }
  r.limb[kLimbs - 1] = Sum(a.limb[kLimbs - 1], carry);
  return r;
}

// As in vrf/p256_field.h: limbs may be negative on the way.
KT_LANES_INLINE Element Reduce(const Element& a) {
  const Vector h = _mm512_srli_epi64(a.limb[4], 48);
  const Vector below_h = _mm512_and_si512(a.limb[4], Broadcast((uint64_t{1} << 48) - 1));
  Element r;
  Vector limb = Sum(a.limb[0], h);
  r.limb[0] = LowBits(limb);
  limb = Sum(_mm512_sub_epi64(a.limb[1], _mm512_slli_epi64(h, 44)),
             _mm512_srai_epi64(limb, kLimbBits));
  r.limb[1] = LowBits(limb);
  limb = Sum(a.limb[2], _mm512_srai_epi64(limb, kLimbBits));
  r.limb[2] = LowBits(limb);
  limb = Sum(_mm512_sub_epi64(a.limb[3], _mm512_slli_epi64(h, 36)),
             _mm512_srai_epi64(limb, kLimbBits));
  r.limb[3] = LowBits(limb);
  r.limb[4] = Sum(Sum(below_h, _mm512_slli_epi64(h, 16)), _mm512_srai_epi64(limb, kLimbBits));
  return r;
}

// The sum of t[i] * 2^(52 i), times 1/R, carried: below u + p for products of at most 16u^2. Each
// t[i] is a sum of at most ten halves of products. At most six more and a carry are added to it, so
// that it stays below 2^57.
KT_LANES_INLINE Element MontgomeryReduce(Vector (&t)[2 * kLimbs]) {
  const Vector two_44 = Broadcast(uint64_t{1} << 44);
  const Vector two_36 = Broadcast(uint64_t{1} << 36);
  const Vector top = Broadcast(kTopFactor);
  for (int i = 0; i < kLimbs; ++i) {
    const Vector m = LowBits(t[i]);
    t[i + 1] = AddLow(Sum(t[i + 1], _mm512_srli_epi64(t[i], kLimbBits)), m, two_44);
    t[i + 2] = AddHigh(t[i + 2], m, two_44);
    t[i + 3] = AddLow(t[i + 3], m, two_36);
    t[i + 4] = AddHigh(AddLow(t[i + 4], m, top), m, two_36);
    t[i + 5] = AddHigh(t[i + 5], m, top);
  }
  return Carry({{t[5], t[6], t[7], t[8], t[9]}});
}

KT_LANES_INLINE Element Mul(const Element& a, const Element& b) {
  Vector t[2 * kLimbs];
  for (Vector& sum : t) sum = _mm512_setzero_si512();
  for (int i = 0; i < kLimbs; ++i) {
    for (int j = 0; j < kLimbs; ++j) {
      t[i + j] = AddLow(t[i + j], a.limb[i], b.limb[j]);
      t[i + j + 1] = AddHigh(t[i + j + 1], a.limb[i], b.limb[j]);
    }
  }
  return MontgomeryReduce(t);
}

// Products of different limbs are added up once, and doubled as sums: a doubled limb would not fit.
KT_LANES_INLINE Element Sqr(const Element& a) {
  Vector t[2 * kLimbs];
  for (Vector& sum : t) sum = _mm512_setzero_si512();
  for (int i = 0; i < kLimbs; ++i) {
    for (int j = i + 1; j < kLimbs; ++j) {
      t[i + j] = AddLow(t[i + j], a.limb[i], a.limb[j]);
      t[i + j + 1] = AddHigh(t[i + j + 1], a.limb[i], a.limb[j]);
    }
  }
  for (int i = 1; i < 2 * kLimbs - 1; ++i) t[i] = Sum(t[i], t[i]);
  for (int i = 0; i < kLimbs; ++i) {
    t[2 * i] = AddLow(t[2 * i], a.limb[i], a.limb[i]);
    t[2 * i + 1] = AddHigh(t[2 * i + 1], a.limb[i], a.limb[i]);
  }
  return MontgomeryReduce(t);
}

// a - p where that is not negative. `a` is tight and below 2p.
KT_LANES_INLINE Element SubtractPrimeOnce(const Element& a) {
  Element difference;
  Vector borrow = _mm512_setzero_si512();
  for (int i = 0; i < kLimbs; ++i) {
    const Vector limb =
        _mm512_sub_epi64(_mm512_sub_epi64(a.limb[i], Broadcast(kPrime.limb[i])), borrow);
    borrow = _mm512_srli_epi64(limb, 63);
    difference.limb[i] = LowBits(limb);
  }
  return Select(_mm512_test_epi64_mask(borrow, borrow), a, difference);
}

KT_LANES_INLINE Element Canonical(const Element& a) { return SubtractPrimeOnce(Reduce(a)); }

KT_LANES_INLINE Element FromMontgomery(const Element& a) {
  return SubtractPrimeOnce(Mul(a, Broadcast(kPlainOne)));
}

KT_LANES_INLINE Element Negate(const Element& a) {
  return Reduce(SubTimes<1>(Broadcast(kZero), a));
}

// A bit for each lane in which `a` is zero modulo p.
KT_LANES_INLINE __mmask8 IsZero(const Element& a) {
  const Element canonical = Canonical(a);
  Vector any = canonical.limb[0];
  for (int i = 1; i < kLimbs; ++i) any = _mm512_or_si512(any, canonical.limb[i]);
  return _mm512_testn_epi64_mask(any, any);
}

// N vectors side by side: two chains that do not depend on each other take little more time than
// one, which waits for its own results.
template <int N>
struct Pack {
  Element vector[N];
};

// The functions of vrf/p256_formulas.h, vector by vector.
template <int N>
KT_LANES_INLINE Pack<N> Mul(const Pack<N>& a, const Pack<N>& b) {
  Pack<N> r;
  for (int n = 0; n < N; ++n) r.vector[n] = Mul(a.vector[n], b.vector[n]);
  return r;
}
template <int N>
KT_LANES_INLINE Pack<N> Sqr(const Pack<N>& a) {
  Pack<N> r;
  for (int n = 0; n < N; ++n) r.vector[n] = Sqr(a.vector[n]);
  return r;
}
template <int N>
KT_LANES_INLINE Pack<N> Add(const Pack<N>& a, const Pack<N>& b) {
  Pack<N> r;
  for (int n = 0; n < N; ++n) r.vector[n] = Add(a.vector[n], b.vector[n]);
  return r;
}
template <uint64_t k, int N>
KT_LANES_INLINE Pack<N> SubTimes(const Pack<N>& a, const Pack<N>& b) {
  Pack<N> r;
  for (int n = 0; n < N; ++n) r.vector[n] = SubTimes<k>(a.vector[n], b.vector[n]);
  return r;
}
template <int N>
KT_LANES_INLINE Pack<N> Times3(const Pack<N>& a) {
  Pack<N> r;
  for (int n = 0; n < N; ++n) r.vector[n] = Times3(a.vector[n]);
  return r;
}
template <int N>
KT_LANES_INLINE Pack<N> Carry(const Pack<N>& a) {
  Pack<N> r;
  for (int n = 0; n < N; ++n) r.vector[n] = Carry(a.vector[n]);
  return r;
}
template <int N>
KT_LANES_INLINE Pack<N> Reduce(const Pack<N>& a) {
  Pack<N> r;
  for (int n = 0; n < N; ++n) r.vector[n] = Reduce(a.vector[n]);
  return r;
}

template <int N>
KT_LANES_INLINE Pack<N> BroadcastPack(const Field& a) {
  Pack<N> r;
  for (int n = 0; n < N; ++n) r.vector[n] = Broadcast(a);
  return r;
}

}  // namespace
}  // namespace kt::vrf::p256::ifma
#endif  // VRF_P256_IFMA_FIELD_H_
