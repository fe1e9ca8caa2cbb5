// SPDX-License-Identifier: Apache-2.0
#include "vrf/p256_scalar.h"

#include <algorithm>

#include "base/check.h"
#include "vrf/p256_field.h"

namespace kt::vrf::p256 {
namespace {

// -1/q modulo 2^64.
constexpr uint64_t kMinusInverse = 0xccd1c8aaee00bc4f;
static_assert(kOrder[0] * kMinusInverse == ~uint64_t{0});

// 2^512 mod q.
constexpr uint64_t kMontgomerySquared[kScalarWords] = {0x83244c95be79eea2, 0x4699799c49bd6fa6,
                                                       0x2845b2392b6bec59, 0x66e12d94f3d95620};

template <typename T>
void Wipe(T& object) {
  base::SecureZero({reinterpret_cast<uint8_t*>(&object), sizeof(object)});
}

// a + b + carry; sets carry.
uint64_t AddCarry(uint64_t a, uint64_t b, uint64_t& carry) {
  const Uint128 sum = Uint128{a} + b + carry;
  carry = static_cast<uint64_t>(sum >> 64);
  return static_cast<uint64_t>(sum);
}

// a - b - borrow; sets borrow.
uint64_t SubBorrow(uint64_t a, uint64_t b, uint64_t& borrow) {
  const Uint128 difference = Uint128{a} - b - borrow;
  borrow = static_cast<uint64_t>(difference >> 64) & 1;
  return static_cast<uint64_t>(difference);
}

// value + high * 2^256, less q if it is not less than q.
void SubtractOrderOnce(uint64_t high, uint64_t (&value)[kScalarWords]) {
  uint64_t difference[kScalarWords];
  uint64_t borrow = 0;
  for (int i = 0; i < kScalarWords; ++i) {
    difference[i] = SubBorrow(value[i], kOrder[i], borrow);
  }
  SubBorrow(high, 0, borrow);
  const uint64_t keep = Opaque(0 - borrow);
  for (int i = 0; i < kScalarWords; ++i) value[i] = Select(keep, value[i], difference[i]);
  Wipe(difference);
}

// a * b / 2^256 mod q, of two numbers whose product is below 2^256 * q.
void MontgomeryProduct(const uint64_t (&a)[kScalarWords], const uint64_t (&b)[kScalarWords],
                       uint64_t (&out)[kScalarWords]) {
  // The sum stays below 2q < 2^257 after each round, and below 2^322 in between: six words.
  uint64_t sum[kScalarWords + 2] = {};
  for (int i = 0; i < kScalarWords; ++i) {
    uint64_t carry = 0;
    for (int j = 0; j < kScalarWords; ++j) {
      const Uint128 product = Uint128{a[j]} * b[i] + sum[j] + carry;
      sum[j] = static_cast<uint64_t>(product);
      carry = static_cast<uint64_t>(product >> 64);
    }
    uint64_t top = 0;
    sum[4] = AddCarry(sum[4], carry, top);
    sum[5] += top;

    const uint64_t m = sum[0] * kMinusInverse;
    carry = static_cast<uint64_t>((Uint128{m} * kOrder[0] + sum[0]) >> 64);
    for (int j = 1; j < kScalarWords; ++j) {
      const Uint128 product = Uint128{m} * kOrder[j] + sum[j] + carry;
      sum[j - 1] = static_cast<uint64_t>(product);
      carry = static_cast<uint64_t>(product >> 64);
    }
    top = 0;
    sum[3] = AddCarry(sum[4], carry, top);
    sum[4] = sum[5] + top;
    sum[5] = 0;
  }
  for (int i = 0; i < kScalarWords; ++i) out[i] = sum[i];
  SubtractOrderOnce(sum[4], out);
  Wipe(sum);
}

// Big-endian bytes, at most as many as the words have.
void LoadWords(base::ByteView bytes, std::span<uint64_t> words) {
  KT_CHECK(bytes.size() <= 8 * words.size());
  std::fill(words.begin(), words.end(), 0);
  for (size_t i = 0; i < bytes.size(); ++i) {
    words[i / 8] |= uint64_t{bytes[bytes.size() - 1 - i]} << (8 * (i % 8));
  }
}

// 1 if a < q, else 0.
uint64_t BelowOrder(const uint64_t (&a)[kScalarWords]) {
  uint64_t borrow = 0;
  for (int i = 0; i < kScalarWords; ++i) SubBorrow(a[i], kOrder[i], borrow);
  return borrow;
}

}  // namespace

void SecretScalar::Load(base::ByteView bytes) { LoadWords(bytes, word); }

SecretScalar::~SecretScalar() { Wipe(word); }

void SecretScalar::ToBytes(std::span<uint8_t, kScalarSize> bytes) const {
  for (size_t i = 0; i < kScalarSize; ++i) {
    bytes[kScalarSize - 1 - i] = static_cast<uint8_t>(word[i / 8] >> (8 * (i % 8)));
  }
}

bool ScalarInRange(base::ByteView scalar) {
  KT_CHECK(scalar.size() == kScalarSize);
  const SecretScalar value(scalar);
  uint64_t any = 0;
  for (uint64_t word : value.word) any |= word;
  return (BelowOrder(value.word) & ~EqualMask(any, 0)) != 0;
}

bool ReadScalar(base::ByteView bytes, uint64_t (&words)[kScalarWords]) {
  KT_CHECK(bytes.size() == kScalarSize);
  LoadWords(bytes, words);
  return BelowOrder(words) != 0;
}

void ReadChallenge(base::ByteView bytes, uint64_t (&words)[2]) {
  KT_CHECK(bytes.size() == kChallengeSize);
  LoadWords(bytes, words);
}

Scalar ReduceModOrder(base::ByteView bytes) {
  KT_CHECK(bytes.size() == kScalarSize);
  SecretScalar value(bytes);
  SubtractOrderOnce(0, value.word);  // once, since 2^256 < 2q
  Scalar reduced;
  value.ToBytes(reduced);
  return reduced;
}

void ToMontgomeryModOrder(const SecretScalar& x, SecretScalar& out) {
  MontgomeryProduct(x.word, kMontgomerySquared, out.word);
}

void MulAddModOrder(const SecretScalar& k, const SecretScalar& c, const SecretScalar& x_montgomery,
                    SecretScalar& out) {
  MontgomeryProduct(x_montgomery.word, c.word, out.word);
  uint64_t carry = 0;
  for (int i = 0; i < kScalarWords; ++i) out.word[i] = AddCarry(out.word[i], k.word[i], carry);
  SubtractOrderOnce(carry, out.word);
}

SecretDigits::SecretDigits(const SecretScalar& scalar) {
  const uint64_t even = Opaque((scalar.word[0] & 1) - 1);  // all ones if it is
  uint64_t odd[kScalarWords + 1] = {};                     // one more, for the shifts below
  uint64_t borrow = 0;
  for (int i = 0; i < kScalarWords; ++i) {
    const uint64_t complement = SubBorrow(kOrder[i], scalar.word[i], borrow);
    odd[i] = Select(even, complement, scalar.word[i]);
  }
  negate = static_cast<uint8_t>(even & 1);
  for (int i = 0; i < kDigits; ++i) {
    const int bit = 1 + kDigitBits * i;
    const Uint128 pair = Uint128{odd[bit / 64 + 1]} << 64 | odd[bit / 64];
    value[i] = static_cast<uint8_t>(pair >> (bit % 64)) & ((1 << kDigitBits) - 1);
  }
  Wipe(odd);
}

SecretDigits::~SecretDigits() {
  Wipe(value);
  Wipe(negate);
}

}  // namespace kt::vrf::p256
