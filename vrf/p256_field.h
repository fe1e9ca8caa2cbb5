// SPDX-License-Identifier: Apache-2.0
//
// The field of P-256 in portable C++: the functions that vrf/p256_formulas.h asks for, and what
// turns elements to and from bytes. Nothing here branches or indexes on a value. Bounds are those
// of vrf/p256_limbs.h. Internal to vrf/.
#ifndef VRF_P256_FIELD_H_
#define VRF_P256_FIELD_H_

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "vrf/p256_limbs.h"

namespace kt::vrf::p256 {

__extension__ using Uint128 = unsigned __int128;

// `value`, about which the compiler then knows nothing: it cannot turn a mask into a branch.
inline uint64_t Opaque(uint64_t value) {
#if defined(__GNUC__)
  __asm__("" : "+r"(value));
#endif
  return value;
}

// All ones if a == b, else zero.
inline uint64_t EqualMask(uint64_t a, uint64_t b) {
  const uint64_t difference = a ^ b;
  return Opaque(((difference | (0 - difference)) >> 63) - 1);
}

inline uint64_t Select(uint64_t mask, uint64_t if_ones, uint64_t if_zero) {
  return (if_ones & mask) | (if_zero & ~mask);
}

inline Field Select(uint64_t mask, const Field& if_ones, const Field& if_zero) {
  Field r;
  for (int i = 0; i < kLimbs; ++i) r.limb[i] = Select(mask, if_ones.limb[i], if_zero.limb[i]);
  return r;
}

constexpr Field Add(const Field& a, const Field& b) {
  return {{a.limb[0] + b.limb[0], a.limb[1] + b.limb[1], a.limb[2] + b.limb[2],
           a.limb[3] + b.limb[3], a.limb[4] + b.limb[4]}};
}

constexpr Field Times3(const Field& a) {
  return {{3 * a.limb[0], 3 * a.limb[1], 3 * a.limb[2], 3 * a.limb[3], 3 * a.limb[4]}};
}

template <uint64_t k>
constexpr Field SubTimes(const Field& a, const Field& b) {
  static_assert(k >= 1 && k <= 4);
  const uint64_t(&bias)[kLimbs] = kFourPrime.limb;
  return {{a.limb[0] + k * (bias[0] - b.limb[0]), a.limb[1] + k * (bias[1] - b.limb[1]),
           a.limb[2] + k * (bias[2] - b.limb[2]), a.limb[3] + k * (bias[3] - b.limb[3]),
           a.limb[4] + k * (bias[4] - b.limb[4])}};
}

// Mul() adds up products of limbs below 2^58 in 128 bits, and needs no carry before it.
constexpr const Field& Carry(const Field& a) { return a; }

constexpr Field Reduce(const Field& a) {
  // What is above 2^256, h, is taken off by subtracting h*p: adding h * (2^224 - 2^192 - 2^96 + 1)
  // to the rest. Limbs may be negative on the way (right shifts keep the sign), the value is not.
  const int64_t h = static_cast<int64_t>(a.limb[4] >> 48);
  const int64_t limb0 = static_cast<int64_t>(a.limb[0]) + h;
  const int64_t limb1 = static_cast<int64_t>(a.limb[1]) - (h << 44) + (limb0 >> kLimbBits);
  const int64_t limb2 = static_cast<int64_t>(a.limb[2]) + (limb1 >> kLimbBits);
  const int64_t limb3 = static_cast<int64_t>(a.limb[3]) - (h << 36) + (limb2 >> kLimbBits);
  const int64_t limb4 = static_cast<int64_t>(a.limb[4] & ((uint64_t{1} << 48) - 1)) + (h << 16) +
                        (limb3 >> kLimbBits);
  return {{static_cast<uint64_t>(limb0) & kLimbMask, static_cast<uint64_t>(limb1) & kLimbMask,
           static_cast<uint64_t>(limb2) & kLimbMask, static_cast<uint64_t>(limb3) & kLimbMask,
           static_cast<uint64_t>(limb4)}};
}

// The sum of column[i] * 2^(52 i), times 1/R. Columns are sums of at most five products of limbs
// below 2^58, so that with all that is added here they stay below 2^120.
constexpr Field MontgomeryReduce(const Uint128 (&column)[2 * kLimbs - 1]) {
  const auto low = [](Uint128 sum) { return static_cast<uint64_t>(sum) & kLimbMask; };
  Field r{};
  Uint128 sum = column[0];
  const uint64_t m0 = low(sum);
  sum = (sum >> kLimbBits) + (column[1] + (Uint128{m0} << 44));
  const uint64_t m1 = low(sum);
  sum = (sum >> kLimbBits) + (column[2] + (Uint128{m1} << 44));
  const uint64_t m2 = low(sum);
  sum = (sum >> kLimbBits) + (column[3] + (Uint128{m0} << 36) + (Uint128{m2} << 44));
  const uint64_t m3 = low(sum);
  sum = (sum >> kLimbBits) +
        (column[4] + Uint128{m0} * kTopFactor + (Uint128{m1} << 36) + (Uint128{m3} << 44));
  const uint64_t m4 = low(sum);
  sum = (sum >> kLimbBits) +
        (column[5] + Uint128{m1} * kTopFactor + (Uint128{m2} << 36) + (Uint128{m4} << 44));
  r.limb[0] = low(sum);
  sum = (sum >> kLimbBits) + (column[6] + Uint128{m2} * kTopFactor + (Uint128{m3} << 36));
  r.limb[1] = low(sum);
  sum = (sum >> kLimbBits) + (column[7] + Uint128{m3} * kTopFactor + (Uint128{m4} << 36));
  r.limb[2] = low(sum);
  sum = (sum >> kLimbBits) + (column[8] + Uint128{m4} * kTopFactor);
  r.limb[3] = low(sum);
  r.limb[4] = static_cast<uint64_t>(sum >> kLimbBits);
  return r;
}

// a * b / R. The result is below 16u^2/R + p = u + p.
constexpr Field Mul(const Field& a, const Field& b) {
  const auto at = [&a, &b](int i, int j) { return Uint128{a.limb[i]} * b.limb[j]; };
  return MontgomeryReduce({
      at(0, 0),
      at(0, 1) + at(1, 0),
      at(0, 2) + at(1, 1) + at(2, 0),
      at(0, 3) + at(1, 2) + at(2, 1) + at(3, 0),
      at(0, 4) + at(1, 3) + at(2, 2) + at(3, 1) + at(4, 0),
      at(1, 4) + at(2, 3) + at(3, 2) + at(4, 1),
      at(2, 4) + at(3, 3) + at(4, 2),
      at(3, 4) + at(4, 3),
      at(4, 4),
  });
}

constexpr Field Sqr(const Field& a) {
  const auto at = [&a](int i, int j) { return Uint128{a.limb[i]} * a.limb[j]; };
  const auto twice = [&a](int i, int j) { return Uint128{2 * a.limb[i]} * a.limb[j]; };
  return MontgomeryReduce({
      at(0, 0),
      twice(0, 1),
      twice(0, 2) + at(1, 1),
      twice(0, 3) + twice(1, 2),
      twice(0, 4) + twice(1, 3) + at(2, 2),
      twice(1, 4) + twice(2, 3),
      twice(2, 4) + at(3, 3),
      twice(3, 4),
      at(4, 4),
  });
}

// The canonical form of a value with limbs below 2^58.
Field Canonical(const Field& a);
// All ones if `a`, with limbs below 2^58, is zero modulo p.
uint64_t IsZeroMask(const Field& a);

// Between canonical integers and Montgomery form, tight.
constexpr Field ToMontgomery(const Field& integer) { return Mul(integer, kRSquared); }
Field FromMontgomery(const Field& a);  // canonical

inline constexpr int kFieldBytes = 32;
// Reads 32 big-endian bytes. False, and `out` is not to be used, if they are p or more.
bool FieldFromBytes(base::ByteView bytes, Field& out);
// Writes a canonical integer.
void FieldToBytes(const Field& integer, std::span<uint8_t, kFieldBytes> bytes);

// Out-of-line, for whoever needs one: 255 squarings.
Field InvertField(const Field& a);
Field FieldRootCandidate(const Field& a);

// Replaces each element, tight and not zero, by its inverse: one inversion in all, and three
// multiplications each. `scratch` is as long.
void InvertAll(std::span<Field> elements, std::span<Field> scratch);

}  // namespace kt::vrf::p256
#endif  // VRF_P256_FIELD_H_
