// SPDX-License-Identifier: Apache-2.0
//
// The field of edwards25519: integers modulo p = 2^255 - 19, in portable C++. Internal to vrf/, its
// tests and fuzzers. All functions are constant time but for those whose name says otherwise.
//
// An element is five limbs that count 2^(51*i); a limb may hold more than 51 bits, so that
// additions need no carries. How much more is part of the type: each limb of a Field<M> is at most
// M*kUnit. Bounds of results follow from those of operands, and one too great does not compile.
#ifndef VRF_ED25519_FIELD_H_
#define VRF_ED25519_FIELD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace kt::vrf::ed25519 {

inline constexpr size_t kLimbs = 5;
inline constexpr unsigned kLimbBits = 51;
inline constexpr uint64_t kLimbMask = (uint64_t{1} << kLimbBits) - 1;
// The greatest limb that a multiplication leaves, rounded up.
inline constexpr uint64_t kUnit = (uint64_t{1} << kLimbBits) + (uint64_t{1} << 13);

using Limbs = std::array<uint64_t, kLimbs>;
using FieldBytes = std::array<uint8_t, 32>;  // little-endian

template <int M>
struct Field {
  static_assert(M >= 1 && M <= 8);
  // Looser bounds only.
  template <int N>
  constexpr operator Field<N>() const {  // NOLINT(google-explicit-constructor)
    static_assert(N >= M);
    return {limbs};
  }

  Limbs limbs{};
};

using FieldElement = Field<1>;

inline constexpr FieldElement kZero = {};
inline constexpr FieldElement kOne = {{1, 0, 0, 0, 0}};
// d = -121665/121666, 2*d, and the root of -1 that is 2^((p-1)/4). RFC 8032 §5.1.
inline constexpr FieldElement kD = {
    {0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff}};
inline constexpr FieldElement kTwoD = {
    {0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff}};
inline constexpr FieldElement kRootOfMinusOne = {
    {0x61b274a0ea0b0, 0x0d5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d}};

template <int A, int B>
constexpr Field<A + B> operator+(const Field<A>& a, const Field<B>& b) {
  Field<A + B> sum;
  for (size_t i = 0; i < kLimbs; ++i) sum.limbs[i] = a.limbs[i] + b.limbs[i];
  return sum;
}

// a - b + 2*B*p, of which no limb is less than the greatest of a Field<B>.
template <int A, int B>
constexpr Field<A + 2 * B> operator-(const Field<A>& a, const Field<B>& b) {
  constexpr uint64_t kLowest = 2 * B * (kLimbMask - 18);
  constexpr uint64_t kOthers = 2 * B * kLimbMask;
  static_assert(kLowest >= B * kUnit && kOthers <= 2 * B * kUnit);
  Field<A + 2 * B> difference;
  difference.limbs[0] = a.limbs[0] + kLowest - b.limbs[0];
  for (size_t i = 1; i < kLimbs; ++i) difference.limbs[i] = a.limbs[i] + kOthers - b.limbs[i];
  return difference;
}

__extension__ using Uint128 = unsigned __int128;

// Carries columns into limbs. With products of a Field<A> and a Field<B> where A*B <= 64:
//   columns 0 to 3 are below 77*64*2^102 * (1 + 2^-36) < 2^114.3, so that carries fit 64 bits;
//   column 4 is below (5*64*2^102) * (1 + 2^-36) + 2^64, its carry below 2^59.4, times 19 2^63.6;
//   which leaves 2^12.7 for limb 1 to receive.
inline FieldElement CarryColumns(Uint128 c0, Uint128 c1, Uint128 c2, Uint128 c3, Uint128 c4) {
  FieldElement out;
  c1 += static_cast<uint64_t>(c0 >> kLimbBits);
  c2 += static_cast<uint64_t>(c1 >> kLimbBits);
  c3 += static_cast<uint64_t>(c2 >> kLimbBits);
  c4 += static_cast<uint64_t>(c3 >> kLimbBits);
  uint64_t low = static_cast<uint64_t>(c0) & kLimbMask;
  low += 19 * static_cast<uint64_t>(c4 >> kLimbBits);
  out.limbs[0] = low & kLimbMask;
  out.limbs[1] = (static_cast<uint64_t>(c1) & kLimbMask) + (low >> kLimbBits);
  out.limbs[2] = static_cast<uint64_t>(c2) & kLimbMask;
  out.limbs[3] = static_cast<uint64_t>(c3) & kLimbMask;
  out.limbs[4] = static_cast<uint64_t>(c4) & kLimbMask;
  return out;
}

template <int A, int B>
inline FieldElement operator*(const Field<A>& a, const Field<B>& b) {
  static_assert(A * B <= 64);
  const auto& [a0, a1, a2, a3, a4] = a.limbs;
  const auto& [b0, b1, b2, b3, b4] = b.limbs;
  // 2^255 = 19 modulo p. Below 2^58.3.
  const uint64_t b1_19 = 19 * b1;
  const uint64_t b2_19 = 19 * b2;
  const uint64_t b3_19 = 19 * b3;
  const uint64_t b4_19 = 19 * b4;
  const Uint128 c0 = Uint128{a0} * b0 + Uint128{a1} * b4_19 + Uint128{a2} * b3_19 +
                     Uint128{a3} * b2_19 + Uint128{a4} * b1_19;
  const Uint128 c1 = Uint128{a0} * b1 + Uint128{a1} * b0 + Uint128{a2} * b4_19 +
                     Uint128{a3} * b3_19 + Uint128{a4} * b2_19;
  const Uint128 c2 = Uint128{a0} * b2 + Uint128{a1} * b1 + Uint128{a2} * b0 + Uint128{a3} * b4_19 +
                     Uint128{a4} * b3_19;
  const Uint128 c3 = Uint128{a0} * b3 + Uint128{a1} * b2 + Uint128{a2} * b1 + Uint128{a3} * b0 +
                     Uint128{a4} * b4_19;
  const Uint128 c4 =
      Uint128{a0} * b4 + Uint128{a1} * b3 + Uint128{a2} * b2 + Uint128{a3} * b1 + Uint128{a4} * b0;
  return CarryColumns(c0, c1, c2, c3, c4);
}

template <int A>
inline FieldElement Square(const Field<A>& a) {
  static_assert(A * A <= 64);
  const auto& [a0, a1, a2, a3, a4] = a.limbs;
  const uint64_t a0_2 = 2 * a0;
  const uint64_t a1_2 = 2 * a1;
  const uint64_t a3_19 = 19 * a3;
  const uint64_t a4_19 = 19 * a4;
  const uint64_t a4_38 = 2 * a4_19;
  const Uint128 c0 = Uint128{a0} * a0 + Uint128{a1} * a4_38 + Uint128{2 * a2} * a3_19;
  const Uint128 c1 = Uint128{a0_2} * a1 + Uint128{a2} * a4_38 + Uint128{a3} * a3_19;
  const Uint128 c2 = Uint128{a0_2} * a2 + Uint128{a1} * a1 + Uint128{a3} * a4_38;
  const Uint128 c3 = Uint128{a0_2} * a3 + Uint128{a1_2} * a2 + Uint128{a4} * a4_19;
  const Uint128 c4 = Uint128{a0_2} * a4 + Uint128{a1_2} * a3 + Uint128{a2} * a2;
  return CarryColumns(c0, c1, c2, c3, c4);
}

// a^(2^times).
FieldElement SquareTimes(FieldElement a, int times);
// 1/a, and 0 for 0.
FieldElement Invert(const FieldElement& a);
// a^((p-5)/8), of which RFC 8032 §5.1.3 makes square roots.
FieldElement PowerForRoot(const FieldElement& a);

// The top bit is ignored; the rest is read modulo p.
FieldElement FromBytes(std::span<const uint8_t, 32> bytes);
// Reduced below p.
FieldBytes ToBytes(const FieldElement& a);

// For public values.
inline bool VartimeEqual(const FieldElement& a, const FieldElement& b) {
  return ToBytes(a) == ToBytes(b);
}

}  // namespace kt::vrf::ed25519
#endif  // VRF_ED25519_FIELD_H_
