// SPDX-License-Identifier: Apache-2.0
#include "vrf/ed25519_field.h"

namespace kt::vrf::ed25519 {
namespace {

// What the two exponents have in common: a^(2^250 - 1), and a^11.
struct Powers {
  FieldElement a_250;
  FieldElement a_11;
};

Powers CommonPowers(const FieldElement& a) {
  const FieldElement a_2 = Square(a);
  const FieldElement a_9 = SquareTimes(a_2, 2) * a;
  const FieldElement a_11 = a_9 * a_2;
  // From here on a_N is a^(2^N - 1).
  const FieldElement a_5 = Square(a_11) * a_9;
  const FieldElement a_10 = SquareTimes(a_5, 5) * a_5;
  const FieldElement a_20 = SquareTimes(a_10, 10) * a_10;
  const FieldElement a_40 = SquareTimes(a_20, 20) * a_20;
  const FieldElement a_50 = SquareTimes(a_40, 10) * a_10;
  const FieldElement a_100 = SquareTimes(a_50, 50) * a_50;
  const FieldElement a_200 = SquareTimes(a_100, 100) * a_100;
  return {SquareTimes(a_200, 50) * a_50, a_11};
}

}  // namespace

FieldElement SquareTimes(FieldElement a, int times) {
  for (int i = 0; i < times; ++i) a = Square(a);
  return a;
}

// p - 2 = (2^250 - 1) * 2^5 + 11
FieldElement Invert(const FieldElement& a) {
  const Powers powers = CommonPowers(a);
  return SquareTimes(powers.a_250, 5) * powers.a_11;
}

// (p - 5) / 8 = (2^250 - 1) * 2^2 + 1
FieldElement PowerForRoot(const FieldElement& a) {
  return SquareTimes(CommonPowers(a).a_250, 2) * a;
}

FieldElement FromBytes(std::span<const uint8_t, 32> bytes) {
  std::array<uint64_t, 4> words{};
  for (size_t i = 0; i < bytes.size(); ++i) words[i / 8] |= uint64_t{bytes[i]} << (8 * (i % 8));
  FieldElement a;
  a.limbs[0] = words[0] & kLimbMask;
  a.limbs[1] = (words[0] >> 51 | words[1] << 13) & kLimbMask;
  a.limbs[2] = (words[1] >> 38 | words[2] << 26) & kLimbMask;
  a.limbs[3] = (words[2] >> 25 | words[3] << 39) & kLimbMask;
  a.limbs[4] = (words[3] >> 12) & kLimbMask;
  return a;
}

FieldBytes ToBytes(const FieldElement& a) {
  // The value is below 2*p, since kUnit is: so p is to be subtracted once or not at all, once if
  // adding 19 reaches 2^255.
  uint64_t carry = 19;
  for (uint64_t limb : a.limbs) carry = (limb + carry) >> kLimbBits;
  Limbs limbs;
  carry *= 19;
  for (size_t i = 0; i < kLimbs; ++i) {
    const uint64_t limb = a.limbs[i] + carry;
    limbs[i] = limb & kLimbMask;
    carry = limb >> kLimbBits;  // the last one is the 2^255 to be dropped
  }
  const std::array<uint64_t, 4> words = {limbs[0] | limbs[1] << 51, limbs[1] >> 13 | limbs[2] << 38,
                                         limbs[2] >> 26 | limbs[3] << 25,
                                         limbs[3] >> 39 | limbs[4] << 12};
  FieldBytes bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(words[i / 8] >> (8 * (i % 8)));
  }
  return bytes;
}

}  // namespace kt::vrf::ed25519
