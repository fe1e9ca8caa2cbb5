// SPDX-License-Identifier: Apache-2.0
//
// The field of edwards25519 in eight lanes of AVX-512 IFMA: eight independent elements at once.
// Internal to vrf/ and its tests, and only for files that are compiled for these instructions;
// hence nothing here has external linkage. All functions are constant time.
//
// The multiplier takes 52 bits of each operand and drops what is above them without a word. An
// element is five limbs that count 2^(51*i), so that a limb has a spare bit:
//   Lanes     fit for multiplication: each limb at most kLaneLimit = 2^51 + 2^17, below 2^52;
//   Wide<M>   sums on their way: each limb at most M * 2^59.
// Carry() makes Lanes of Wide<M> for M of at most 16: a carry is at most M * 2^8, and limb 0
// receives 19 times the last one, at most 19 * 2^12 < 2^17. One that is too wide does not compile.
#ifndef VRF_ED25519_IFMA_FIELD_H_
#define VRF_ED25519_IFMA_FIELD_H_

#if !defined(__AVX512IFMA__) || !defined(__AVX512F__)
#error "for files that are compiled with AVX-512 IFMA"
#endif

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace kt::vrf::ed25519 {

inline constexpr size_t kLaneCount = 8;
inline constexpr int kLaneLimbs = 5;
inline constexpr unsigned kLaneLimbBits = 51;
inline constexpr uint64_t kLaneLimbMask = (uint64_t{1} << kLaneLimbBits) - 1;
inline constexpr uint64_t kLaneLimit = (uint64_t{1} << kLaneLimbBits) + (uint64_t{1} << 17);
inline constexpr uint64_t kWideUnit = uint64_t{1} << 59;

struct Lanes {
  __m512i v[kLaneLimbs];
};

template <int M>
struct Wide {
  static_assert(M >= 1 && M <= 16);
  __m512i v[kLaneLimbs];
};

// Seen as words, [limb][lane].
struct alignas(64) LaneWords {
  uint64_t words[kLaneLimbs][kLaneCount];
};

#define KT_LANES_INLINE static inline __attribute__((always_inline))

KT_LANES_INLINE __m512i Broadcast(uint64_t word) {
  return _mm512_set1_epi64(static_cast<int64_t>(word));
}

KT_LANES_INLINE Lanes LoadLanes(const LaneWords& from) {
  Lanes out;
  for (int i = 0; i < kLaneLimbs; ++i) out.v[i] = _mm512_load_si512(from.words[i]);
  return out;
}

KT_LANES_INLINE void StoreLanes(const Lanes& from, LaneWords& to) {
  for (int i = 0; i < kLaneLimbs; ++i) _mm512_store_si512(to.words[i], from.v[i]);
}

// The same element in all lanes; limbs as of a Lanes.
KT_LANES_INLINE Lanes BroadcastLanes(const uint64_t (&limbs)[kLaneLimbs]) {
  Lanes out;
  for (int i = 0; i < kLaneLimbs; ++i) out.v[i] = Broadcast(limbs[i]);
  return out;
}

// a * b in the low or the high 52 bits, added to `sum`.
KT_LANES_INLINE __m512i AddLow(__m512i sum, __m512i a, __m512i b) {
  return _mm512_madd52lo_epu64(sum, a, b);
}
KT_LANES_INLINE __m512i AddHigh(__m512i sum, __m512i a, __m512i b) {
  return _mm512_madd52hi_epu64(sum, a, b);
}
KT_LANES_INLINE __m512i Sum(__m512i a, __m512i b) { return _mm512_add_epi64(a, b); }

template <int M>
KT_LANES_INLINE Lanes Carry(const Wide<M>& a) {
  const __m512i mask = Broadcast(kLaneLimbMask);
  __m512i carry[kLaneLimbs];
  Lanes out;
  for (int i = 0; i < kLaneLimbs; ++i) {
    carry[i] = _mm512_srli_epi64(a.v[i], kLaneLimbBits);
    out.v[i] = _mm512_and_si512(a.v[i], mask);
  }
  out.v[0] = AddLow(out.v[0], carry[kLaneLimbs - 1], Broadcast(19));
  for (int i = 1; i < kLaneLimbs; ++i) out.v[i] = Sum(out.v[i], carry[i - 1]);
  return out;
}

template <int A, int B>
KT_LANES_INLINE Wide<A + B> operator+(const Wide<A>& a, const Wide<B>& b) {
  Wide<A + B> out;
  for (int i = 0; i < kLaneLimbs; ++i) out.v[i] = Sum(a.v[i], b.v[i]);
  return out;
}

// a - b + B * 2^9 * p, of which no limb is less than B * 2^59, the greatest of a Wide<B>.
template <int A, int B>
KT_LANES_INLINE Wide<A + 2 * B> operator-(const Wide<A>& a, const Wide<B>& b) {
  constexpr uint64_t kLowest = B * 512 * (kLaneLimbMask - 18);
  constexpr uint64_t kOthers = B * 512 * kLaneLimbMask;
  static_assert(kLowest >= B * kWideUnit && kOthers <= 2 * B * kWideUnit);
  Wide<A + 2 * B> out;
  for (int i = 0; i < kLaneLimbs; ++i) {
    const __m512i bias = Broadcast(i == 0 ? kLowest : kOthers);
    out.v[i] = _mm512_sub_epi64(Sum(a.v[i], bias), b.v[i]);
  }
  return out;
}

KT_LANES_INLINE Lanes operator+(const Lanes& a, const Lanes& b) {
  static_assert(2 * kLaneLimit <= kWideUnit);
  Wide<1> out;
  for (int i = 0; i < kLaneLimbs; ++i) out.v[i] = Sum(a.v[i], b.v[i]);
  return Carry(out);
}

// a - b + 4*p, of which no limb is less than kLaneLimit.
KT_LANES_INLINE Lanes operator-(const Lanes& a, const Lanes& b) {
  constexpr uint64_t kLowest = 4 * (kLaneLimbMask - 18);
  constexpr uint64_t kOthers = 4 * kLaneLimbMask;
  static_assert(kLowest >= kLaneLimit && kLaneLimit + kOthers <= kWideUnit);
  Wide<1> out;
  for (int i = 0; i < kLaneLimbs; ++i) {
    const __m512i bias = Broadcast(i == 0 ? kLowest : kOthers);
    out.v[i] = _mm512_sub_epi64(Sum(a.v[i], bias), b.v[i]);
  }
  return Carry(out);
}

// Folds the columns 0 to 9 of a product: 2^255 = 19 modulo p. Low halves of products are below
// 2^52, high halves below 2^50 + 2^17 and count twice; column 5 has most to give, with four and
// five of them: column 0 ends below 2^52 + 19 * (4 * 2^52 + 10 * (2^50 + 2^17)) < 125 * 2^52 <
// 2^59.
KT_LANES_INLINE Wide<1> Fold(const __m512i (&columns)[2 * kLaneLimbs]) {
  Wide<1> out;
  for (int i = 0; i < kLaneLimbs; ++i) {
    const __m512i high = columns[i + kLaneLimbs];
    const __m512i nine = Sum(_mm512_slli_epi64(high, 3), high);
    out.v[i] = Sum(Sum(columns[i], high), Sum(nine, nine));
  }
  return out;
}

KT_LANES_INLINE Wide<1> MultiplyWide(const Lanes& a, const Lanes& b) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i columns[2 * kLaneLimbs];
  for (auto& column : columns) column = zero;
  // The high halves, which stand 52 bits up, that is at one limb and one bit.
  for (int i = 0; i < kLaneLimbs; ++i) {
    for (int j = 0; j < kLaneLimbs; ++j) {
      columns[i + j + 1] = AddHigh(columns[i + j + 1], a.v[i], b.v[j]);
    }
  }
  for (int i = 1; i < 2 * kLaneLimbs; ++i) columns[i] = Sum(columns[i], columns[i]);
  for (int i = 0; i < kLaneLimbs; ++i) {
    for (int j = 0; j < kLaneLimbs; ++j) {
      columns[i + j] = AddLow(columns[i + j], a.v[i], b.v[j]);
    }
  }
  return Fold(columns);
}

KT_LANES_INLINE Wide<1> SquareWide(const Lanes& a) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i columns[2 * kLaneLimbs];
  for (auto& column : columns) column = zero;
  // Products of different limbs count twice, and high halves once more.
  for (int i = 0; i < kLaneLimbs; ++i) {
    for (int j = i + 1; j < kLaneLimbs; ++j) {
      columns[i + j + 1] = AddHigh(columns[i + j + 1], a.v[i], a.v[j]);
    }
  }
  for (int i = 2; i < 2 * kLaneLimbs - 1; ++i) columns[i] = Sum(columns[i], columns[i]);
  for (int i = 0; i < kLaneLimbs; ++i) {
    columns[2 * i + 1] = AddHigh(columns[2 * i + 1], a.v[i], a.v[i]);
    for (int j = i + 1; j < kLaneLimbs; ++j) {
      columns[i + j] = AddLow(columns[i + j], a.v[i], a.v[j]);
    }
  }
  for (int i = 1; i < 2 * kLaneLimbs; ++i) columns[i] = Sum(columns[i], columns[i]);
  for (int i = 0; i < kLaneLimbs; ++i) columns[2 * i] = AddLow(columns[2 * i], a.v[i], a.v[i]);
  return Fold(columns);
}

KT_LANES_INLINE Lanes operator*(const Lanes& a, const Lanes& b) {
  return Carry(MultiplyWide(a, b));
}
KT_LANES_INLINE Lanes Square(const Lanes& a) { return Carry(SquareWide(a)); }

// Lane by lane a or, where the mask is set, b.
KT_LANES_INLINE Lanes Select(__mmask8 mask, const Lanes& a, const Lanes& b) {
  Lanes out;
  for (int i = 0; i < kLaneLimbs; ++i) out.v[i] = _mm512_mask_mov_epi64(a.v[i], mask, b.v[i]);
  return out;
}
template <int M>
KT_LANES_INLINE Wide<M> Select(__mmask8 mask, const Wide<M>& a, const Wide<M>& b) {
  Wide<M> out;
  for (int i = 0; i < kLaneLimbs; ++i) out.v[i] = _mm512_mask_mov_epi64(a.v[i], mask, b.v[i]);
  return out;
}

// Reduced below p.
KT_LANES_INLINE Lanes Canonical(const Lanes& a) {
  const __m512i mask = Broadcast(kLaneLimbMask);
  // The value is below 2*p, since kLaneLimit is: p is to be subtracted once or not at all, once if
  // adding 19 reaches 2^255.
  __m512i carry = Broadcast(19);
  for (int i = 0; i < kLaneLimbs; ++i) {
    carry = _mm512_srli_epi64(Sum(a.v[i], carry), kLaneLimbBits);
  }
  carry = AddLow(_mm512_setzero_si512(), carry, Broadcast(19));
  Lanes out;
  for (int i = 0; i < kLaneLimbs; ++i) {
    const __m512i limb = Sum(a.v[i], carry);
    out.v[i] = _mm512_and_si512(limb, mask);
    carry = _mm512_srli_epi64(limb, kLaneLimbBits);  // the last one is the 2^255 to be dropped
  }
  return out;
}

// Where a and b are the same modulo p.
KT_LANES_INLINE __mmask8 EqualLanes(const Lanes& a, const Lanes& b) {
  const Lanes one = Canonical(a);
  const Lanes other = Canonical(b);
  __mmask8 equal = 0xff;
  for (int i = 0; i < kLaneLimbs; ++i) {
    equal = static_cast<__mmask8>(equal & _mm512_cmpeq_epi64_mask(one.v[i], other.v[i]));
  }
  return equal;
}

// a^(2^times). Not inlined: there are few calls, each with many rounds.
static inline __attribute__((noinline)) Lanes SquareTimes(Lanes a, int times) {
  for (int i = 0; i < times; ++i) a = Square(a);
  return a;
}

#undef KT_LANES_INLINE

}  // namespace kt::vrf::ed25519
#endif  // VRF_ED25519_IFMA_FIELD_H_
