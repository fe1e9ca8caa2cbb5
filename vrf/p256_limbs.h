// SPDX-License-Identifier: Apache-2.0
//
// How our own arithmetic writes the field of P-256: what its portable and its vector code share.
// Types and constants only: a header with functions here would be compiled twice, once with vector
// instructions, and the linker would keep one of the two for every machine. Internal to vrf/.
//
// The field is that of the integers modulo p = 2^256 - 2^224 + 2^192 + 2^96 - 1. An element a is
// held as a * R mod p (Montgomery form) with R = 2^260, in five limbs of 52 bits. Why 52: the
// vector instructions multiply 52-bit numbers, and in 64-bit words twelve bits are left for sums,
// so that additions carry nothing. Why Montgomery: p = -1 modulo 2^96, so that the multiple of p to
// add is the lowest limb itself.
//
// Bounds, which every function states and keeps; "u" is 2^256:
//   tight       limbs 0 to 3 below 2^52, value below 2u (so limb 4 is below 2^49)
//   carried     limbs 0 to 3 below 2^52, limb 4 below 2^52 (value below 16u)
//   canonical   tight, and the value is below p
#ifndef VRF_P256_LIMBS_H_
#define VRF_P256_LIMBS_H_

#include <cstdint>

namespace kt::vrf::p256 {

inline constexpr int kLimbs = 5;
inline constexpr int kLimbBits = 52;
inline constexpr uint64_t kLimbMask = (uint64_t{1} << kLimbBits) - 1;

struct Field {
  uint64_t limb[kLimbs];
};

// X/Z^2, Y/Z^3; infinity if Z is zero. Tight coordinates.
template <typename F>
struct Jacobian {
  F x, y, z;
};

// Never infinity.
template <typename F>
struct Affine {
  F x, y;
};

inline constexpr Field kPrime = {
    {0xfffffffffffff, 0x00fffffffffff, 0x0000000000000, 0x0001000000000, 0x0ffffffff0000}};
inline constexpr Field kZero = {{0, 0, 0, 0, 0}};
// 1 as an integer, for leaving Montgomery form.
inline constexpr Field kPlainOne = {{1, 0, 0, 0, 0}};
// R mod p, which is 1 in Montgomery form.
inline constexpr Field kOne = {
    {0x0000000000010, 0xf000000000000, 0xfffffffffffff, 0xffeffffffffff, 0x00000000fffff}};
// R^2 mod p, for entering Montgomery form.
inline constexpr Field kRSquared = {
    {0x0000000000300, 0xffffffff00000, 0xffffefffffffb, 0xfdfffffffffff, 0x0000004ffffff}};
// The curve is y^2 = x^3 - 3x + b: -3 and b.
inline constexpr Field kMinusThree = {
    {0xfffffffffffcf, 0x30fffffffffff, 0x0000000000000, 0x0031000000000, 0x0ffffffcf0000}};
inline constexpr Field kB = {
    {0xdf6229c4bddfd, 0xca8843090d89c, 0x212ed6acf005c, 0x83415a220abf7, 0x0c30061dd4874}};
// B, the generator.
inline constexpr Affine<Field> kGenerator = {
    {{0x30d418a9143c1, 0xc4fedb60179e7, 0x62251075ba95f, 0x5c669fb732b77, 0x08905f76b5375}},
    {{0x5357ce95560a8, 0x43a19e45cddf2, 0x21f3258b4ab8e, 0xd8552e88688dd, 0x0571ff18a5885}}};

// 4p, in limbs each of which is no less than the same limb of any tight element: a difference
// a - b + kFourPrime has no negative limb. (Limb 1 borrows one from limb 2, which is zero and
// borrows two from limb 3, which borrows one from limb 4.)
inline constexpr Field kFourPrime = {{
    4 * kPrime.limb[0],
    4 * kPrime.limb[1] + (uint64_t{1} << 52),
    4 * kPrime.limb[2] + (uint64_t{2} << 52) - 1,
    4 * kPrime.limb[3] + (uint64_t{1} << 52) - 2,
    4 * kPrime.limb[4] - 1,
}};
static_assert(kFourPrime.limb[0] >= kLimbMask && kFourPrime.limb[1] >= kLimbMask &&
              kFourPrime.limb[2] >= kLimbMask && kFourPrime.limb[3] >= kLimbMask &&
              kFourPrime.limb[4] >= (uint64_t{1} << 49));

// Montgomery reduction takes the lowest limb m and adds m*p, which clears that limb. One limb lower
// than they stand, the terms of m*p are m*2^44, two limbs up m*2^36, and three limbs up m times
// this: 2^256 - 2^224 beside limb 4.
inline constexpr uint64_t kTopFactor = (uint64_t{1} << 48) - (uint64_t{1} << 16);
static_assert(kTopFactor == kPrime.limb[4]);

// Scalars are recoded to 51 digits of five bits and a leading one: an odd k below 2^256 is
//   k = 32^51 + sum of (2*v[i] - 31) * 32^i,
// where v[i] are the 51 groups of five bits of (k - 1)/2. The digits are odd, from -31 to 31, so
// none is zero and each step adds one of 16 multiples or its negative.
inline constexpr int kDigits = 51;
inline constexpr int kDigitBits = 5;
inline constexpr int kOddMultiples = 16;  // 1, 3, ..., 31

}  // namespace kt::vrf::p256
#endif  // VRF_P256_LIMBS_H_
