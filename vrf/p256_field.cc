// SPDX-License-Identifier: Apache-2.0
#include "vrf/p256_field.h"

#include "base/check.h"
#include "vrf/p256_formulas.h"

namespace kt::vrf::p256 {
namespace {

// a - p if that is not negative, else a. `a` is tight and below 2p.
Field SubtractPrimeOnce(const Field& a) {
  Field difference;
  uint64_t borrow = 0;
  for (int i = 0; i < kLimbs; ++i) {
    const uint64_t limb = a.limb[i] - kPrime.limb[i] - borrow;
    borrow = limb >> 63;
    difference.limb[i] = limb & kLimbMask;
  }
  return Select(Opaque(0 - borrow), a, difference);
}

}  // namespace

Field Canonical(const Field& a) { return SubtractPrimeOnce(Reduce(a)); }

uint64_t IsZeroMask(const Field& a) {
  const Field canonical = Canonical(a);
  uint64_t any = 0;
  for (uint64_t limb : canonical.limb) any |= limb;
  return EqualMask(any, 0);
}

Field FromMontgomery(const Field& a) { return SubtractPrimeOnce(Mul(a, kPlainOne)); }

bool FieldFromBytes(base::ByteView bytes, Field& out) {
  KT_CHECK(bytes.size() == kFieldBytes);
  uint64_t word[5] = {};  // from the lowest; one more, for the shift below
  for (int i = 0; i < kFieldBytes; ++i) {
    uint64_t& into = word[(kFieldBytes - 1 - i) / 8];
    into = into << 8 | bytes[static_cast<size_t>(i)];
  }
  uint64_t borrow = 0;
  for (int i = 0; i < kLimbs; ++i) {
    const int bit = kLimbBits * i;
    const Uint128 pair = Uint128{word[bit / 64 + 1]} << 64 | word[bit / 64];
    out.limb[i] = static_cast<uint64_t>(pair >> (bit % 64)) & kLimbMask;
    borrow = (out.limb[i] - kPrime.limb[i] - borrow) >> 63;
  }
  return borrow == 1;
}

void FieldToBytes(const Field& integer, std::span<uint8_t, kFieldBytes> bytes) {
  for (int i = 0; i < kFieldBytes; ++i) {
    const int bit = 8 * i;
    const int limb = bit / kLimbBits;
    const int shift = bit % kLimbBits;
    uint64_t value = integer.limb[limb] >> shift;
    if (shift > kLimbBits - 8) value |= integer.limb[limb + 1] << (kLimbBits - shift);
    bytes[static_cast<size_t>(kFieldBytes - 1 - i)] = static_cast<uint8_t>(value);
  }
}

Field InvertField(const Field& a) { return Invert(a); }
Field FieldRootCandidate(const Field& a) { return RootCandidate(a); }

void InvertAll(std::span<Field> elements, std::span<Field> scratch) {
  KT_CHECK(scratch.size() == elements.size());
  Field product = kOne;
  for (size_t i = 0; i < elements.size(); ++i) {
    scratch[i] = product;
    product = Mul(product, elements[i]);
  }
  Field inverse = Invert(product);
  for (size_t i = elements.size(); i-- > 0;) {
    const Field element = elements[i];
    elements[i] = Mul(inverse, scratch[i]);
    inverse = Mul(inverse, element);
  }
}

}  // namespace kt::vrf::p256
