// SPDX-License-Identifier: Apache-2.0
//
// Compiled with vector flags of its own (vrf/CMakeLists.txt). Nothing may be included here that has
// inline functions; see the header.
#include "vrf/p256_ifma.h"

#include <immintrin.h>

#include "vrf/p256_formulas.h"
#include "vrf/p256_ifma_field.h"

namespace kt::vrf::p256::ifma {
namespace {

template <int N>
using PackPoint = Jacobian<Pack<N>>;

// Formulas as functions of their own: inlined at each use they would not fit into the processor's
// cache of decoded instructions.
template <int N>
__attribute__((noinline)) void DoubleInPlace(PackPoint<N>& p) {
  p = Double(p);
}
template <int N>
__attribute__((noinline)) PackPoint<N> AddPoints(const PackPoint<N>& p, const PackPoint<N>& q) {
  return AddUnequal(p, q);
}

template <int N>
KT_LANES_INLINE PackPoint<N> LoadPoint(const LanePoint* points) {
  PackPoint<N> r;
  for (int n = 0; n < N; ++n) {
    r.x.vector[n] = Load(points[n].x);
    r.y.vector[n] = Load(points[n].y);
    r.z.vector[n] = Broadcast(kOne);
  }
  return r;
}

template <int N>
KT_LANES_INLINE void StorePoint(const PackPoint<N>& p, LaneJacobian* out) {
  for (int n = 0; n < N; ++n) {
    Store(p.x.vector[n], out[n].x);
    Store(p.y.vector[n], out[n].y);
    Store(p.z.vector[n], out[n].z);
  }
}

// Eight bytes, one a lane.
KT_LANES_INLINE Vector LoadBytes(const uint8_t* bytes) {
  return _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
}
KT_LANES_INLINE Vector LoadSignedBytes(const int8_t* bytes) {
  return _mm512_cvtepi8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
}

// Which of 16 entries a lane takes, and whether it takes the negative.
struct Choice {
  Vector index;
  __mmask8 negative;
};

// Of a digit 2v - 31 among odd multiples.
KT_LANES_INLINE Choice ChooseOdd(Vector v) {
  const __mmask8 negative = _mm512_cmplt_epu64_mask(v, Broadcast(uint64_t{kOddMultiples}));
  const Vector all = Broadcast(uint64_t{kOddMultiples - 1});
  const Vector index = _mm512_and_si512(v, all);
  return {_mm512_mask_xor_epi64(index, negative, index, all), negative};
}

// The entry for each lane. Reads all entries.
template <int N>
KT_LANES_INLINE PackPoint<N> LookUp(const PackPoint<N> (&entries)[kOddMultiples],
                                    const Choice (&choice)[N]) {
  PackPoint<N> r;
  for (int n = 0; n < N; ++n) {
    Element x = entries[0].x.vector[n];
    Element y = entries[0].y.vector[n];
    Element z = entries[0].z.vector[n];
    for (int e = 1; e < kOddMultiples; ++e) {
      const __mmask8 here =
          _mm512_cmpeq_epi64_mask(choice[n].index, Broadcast(static_cast<uint64_t>(e)));
      for (int i = 0; i < kLimbs; ++i) {
        x.limb[i] = _mm512_mask_mov_epi64(x.limb[i], here, entries[e].x.vector[n].limb[i]);
        y.limb[i] = _mm512_mask_mov_epi64(y.limb[i], here, entries[e].y.vector[n].limb[i]);
        z.limb[i] = _mm512_mask_mov_epi64(z.limb[i], here, entries[e].z.vector[n].limb[i]);
      }
    }
    r.x.vector[n] = x;
    r.y.vector[n] = Select(choice[n].negative, Negate(y), y);
    r.z.vector[n] = z;
  }
  return r;
}

template <int N>
KT_LANES_INLINE void NegateIf(const LaneDigits* scalars, PackPoint<N>& p) {
  for (int n = 0; n < N; ++n) {
    const Vector negate = LoadBytes(scalars[n].negate);
    Element& y = p.y.vector[n];
    y = Select(_mm512_test_epi64_mask(negate, negate), Negate(y), y);
  }
}

// The same steps as MultiplySecret() of vrf/p256_portable.cc, where it is shown that none fails.
template <int N>
void MultiplyPack(const LaneDigits* scalars, const LanePoint* h, LaneJacobian* products) {
  PackPoint<N> multiples[kOddMultiples];
  PackPoint<N> sum = LoadPoint<N>(h);
  PackPoint<N> twice = sum;
  DoubleInPlace(twice);
  multiples[0] = sum;
  for (int i = 1; i < kOddMultiples; ++i) multiples[i] = AddPoints(multiples[i - 1], twice);
  for (int i = kDigits - 1; i >= 0; --i) {
    for (int bit = 0; bit < kDigitBits; ++bit) DoubleInPlace(sum);
    Choice choice[N];
    for (int n = 0; n < N; ++n) choice[n] = ChooseOdd(LoadBytes(scalars[n].value[i]));
    sum = AddPoints(sum, LookUp(multiples, choice));
  }
  NegateIf(scalars, sum);
  StorePoint(sum, products);
}

// An entry of a table that is the same for all lanes, by exchange within registers.
KT_LANES_INLINE Affine<Pack<1>> LookUpBase(const LaneComb::Table& table, const uint8_t* digits) {
  const Choice choice = ChooseOdd(LoadBytes(digits));
  const auto pick = [&choice](const uint64_t(&limb)[kOddMultiples]) {
    return _mm512_permutex2var_epi64(_mm512_load_si512(limb), choice.index,
                                     _mm512_load_si512(limb + kLanes));
  };
  Affine<Pack<1>> r;
  Element& y = r.y.vector[0];
  for (int i = 0; i < kLimbs; ++i) {
    r.x.vector[0].limb[i] = pick(table.x[i]);
    y.limb[i] = pick(table.y[i]);
  }
  y = Select(choice.negative, Negate(y), y);
  return r;
}

__attribute__((noinline)) void AddBase(const LaneComb::Table& table, const uint8_t* digits,
                                       PackPoint<1>& sum) {
  sum = AddUnequal(sum, LookUpBase(table, digits));
}

// Adds digit * P to each sum, given P, 2P, ..., 16P; lanes whose digit is zero stay as they are,
// and `started` tells which sums are not infinity yet by not being begun.
template <int N>
KT_LANES_INLINE void AddSignedDigit(const PackPoint<N> (&multiples)[kOddMultiples],
                                    const int8_t* const (&digits)[N], __mmask8 (&started)[N],
                                    PackPoint<N>& sum) {
  Choice choice[N];
  __mmask8 any[N];
  for (int n = 0; n < N; ++n) {
    const Vector digit = LoadSignedBytes(digits[n]);
    any[n] = _mm512_test_epi64_mask(digit, digit);
    choice[n].negative = _mm512_movepi64_mask(digit);
    choice[n].index = _mm512_sub_epi64(_mm512_abs_epi64(digit), Broadcast(uint64_t{1}));
  }
  const PackPoint<N> entry = LookUp(multiples, choice);
  const PackPoint<N> total = AddPoints(sum, entry);
  for (int n = 0; n < N; ++n) {
    const __mmask8 begins = static_cast<__mmask8>(any[n] & ~started[n]);
    const __mmask8 goes_on = static_cast<__mmask8>(any[n] & started[n]);
    const auto update = [=](const Element& first, const Element& next, Element& into) {
      into = Select(begins, first, Select(goes_on, next, into));
    };
    update(entry.x.vector[n], total.x.vector[n], sum.x.vector[n]);
    update(entry.y.vector[n], total.y.vector[n], sum.y.vector[n]);
    update(entry.z.vector[n], total.z.vector[n], sum.z.vector[n]);
    started[n] = static_cast<__mmask8>(started[n] | any[n]);
  }
}

// P, 2P, ..., 16P.
template <int N>
void AllMultiples(const LanePoint* p, PackPoint<N> (&multiples)[kOddMultiples]) {
  multiples[0] = LoadPoint<N>(p);
  multiples[1] = multiples[0];
  DoubleInPlace(multiples[1]);
  for (int i = 2; i < kOddMultiples; ++i) {
    multiples[i] = AddPoints(multiples[i - 1], multiples[0]);
  }
}

template <int N>
void MultiplyTwoPack(const LaneSignedDigits* scalars, const LanePoint* p, const LanePoint* q,
                     LaneJacobian* products) {
  PackPoint<N> of_p[kOddMultiples];
  PackPoint<N> of_q[kOddMultiples];
  AllMultiples<N>(p, of_p);
  AllMultiples<N>(q, of_q);
  PackPoint<N> sum = {BroadcastPack<N>(kOne), BroadcastPack<N>(kOne), BroadcastPack<N>(kZero)};
  __mmask8 started[N] = {};
  for (int i = kSignedDigitsOfS - 1; i >= 0; --i) {
    for (int bit = 0; bit < kDigitBits; ++bit) DoubleInPlace(sum);
    const int8_t* digits[N];
    for (int n = 0; n < N; ++n) digits[n] = scalars[n].s[i];
    AddSignedDigit(of_p, digits, started, sum);
    if (i >= kSignedDigitsOfC) continue;
    for (int n = 0; n < N; ++n) digits[n] = scalars[n].c[i];
    AddSignedDigit(of_q, digits, started, sum);
  }
  StorePoint(sum, products);
}

template <int N>
void LiftPack(const Lanes* abscissas, LanePoint* points, uint8_t* on_curve) {
  Pack<N> x;
  for (int n = 0; n < N; ++n) x.vector[n] = Load(abscissas[n]);
  x = Mul(x, BroadcastPack<N>(kRSquared));
  const Pack<N> square = CurveEquation(x, BroadcastPack<N>(kMinusThree), BroadcastPack<N>(kB));
  const Pack<N> root = RootCandidate(square);
  const Pack<N> difference = SubTimes<1>(Sqr(root), square);
  for (int n = 0; n < N; ++n) {
    on_curve[n] = IsZero(difference.vector[n]);
    const Element& y = root.vector[n];
    const __mmask8 odd = _mm512_test_epi64_mask(FromMontgomery(y).limb[0], Broadcast(uint64_t{1}));
    Store(x.vector[n], points[n].x);
    Store(Select(odd, Negate(y), y), points[n].y);
  }
}

}  // namespace

void Lift(int vectors, const Lanes* x, LanePoint* points, uint8_t* on_curve) {
  vectors == 1 ? LiftPack<1>(x, points, on_curve) : LiftPack<2>(x, points, on_curve);
}

void Multiply(int vectors, const LaneDigits* scalars, const LanePoint* h, LaneJacobian* products) {
  vectors == 1 ? MultiplyPack<1>(scalars, h, products) : MultiplyPack<2>(scalars, h, products);
}

// The same steps as MultiplyBaseSecret() of vrf/p256_portable.cc, where it is shown that none
// fails.
void MultiplyBase(const LaneDigits& scalars, const LaneComb& comb, LaneJacobian& products) {
  constexpr int kTables = (kDigits + 1) / 2;
  Field leading_x{};
  Field leading_y{};
  for (int i = 0; i < kLimbs; ++i) {
    leading_x.limb[i] = comb.table[kTables - 1].x[i][0];
    leading_y.limb[i] = comb.table[kTables - 1].y[i][0];
  }
  PackPoint<1> sum = {BroadcastPack<1>(leading_x), BroadcastPack<1>(leading_y),
                      BroadcastPack<1>(kOne)};
  for (int j = kTables - 2; j >= 0; --j) AddBase(comb.table[j], scalars.value[2 * j + 1], sum);
  for (int bit = 0; bit < kDigitBits; ++bit) DoubleInPlace(sum);
  for (int j = kTables - 1; j >= 0; --j) AddBase(comb.table[j], scalars.value[2 * j], sum);
  NegateIf(&scalars, sum);
  StorePoint(sum, &products);
}

void MultiplyTwo(int vectors, const LaneSignedDigits* scalars, const LanePoint* p,
                 const LanePoint* q, LaneJacobian* products) {
  vectors == 1 ? MultiplyTwoPack<1>(scalars, p, q, products)
               : MultiplyTwoPack<2>(scalars, p, q, products);
}

void ToPlain(int count, const LaneJacobian* points, Lanes* scratch, LanePoint* plain,
             uint8_t* z_is_zero) {
  // Lanes with Z = 0 take part as 1.
  const auto z_of = [points](int i, __mmask8& zero) {
    const Element z = Load(points[i].z);
    zero = IsZero(z);
    return Select(zero, Broadcast(kOne), z);
  };
  __mmask8 zero;
  Pack<1> product = BroadcastPack<1>(kOne);
  for (int i = 0; i < count; ++i) {
    Store(product.vector[0], scratch[i]);
    product.vector[0] = Mul(product.vector[0], z_of(i, zero));
    z_is_zero[i] = zero;
  }
  Element inverse = Invert(product).vector[0];
  for (int i = count - 1; i >= 0; --i) {
    const Element z_inverse = Mul(inverse, Load(scratch[i]));
    inverse = Mul(inverse, z_of(i, zero));
    const Element square = Sqr(z_inverse);
    Store(FromMontgomery(Mul(Load(points[i].x), square)), plain[i].x);
    Store(FromMontgomery(Mul(Mul(Load(points[i].y), square), z_inverse)), plain[i].y);
  }
}

void MulForTest(const Lanes& a, const Lanes& b, Lanes& out) { Store(Mul(Load(a), Load(b)), out); }
void SqrForTest(const Lanes& a, Lanes& out) { Store(Sqr(Load(a)), out); }
void ReduceForTest(const Lanes& a, Lanes& out) { Store(Reduce(Load(a)), out); }
void CarryForTest(const Lanes& a, Lanes& out) { Store(Carry(Load(a)), out); }
void CanonicalForTest(const Lanes& a, Lanes& out) { Store(Canonical(Load(a)), out); }
void SubTimes4ForTest(const Lanes& a, const Lanes& b, Lanes& out) {
  Store(SubTimes<4>(Load(a), Load(b)), out);
}

}  // namespace kt::vrf::p256::ifma
