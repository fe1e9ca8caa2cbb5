// SPDX-License-Identifier: Apache-2.0
//
// Secret scalars of P-256: the integers modulo q, the order of the group. Constant time throughout,
// and wiped when they go. Internal to vrf/.
#ifndef VRF_P256_SCALAR_H_
#define VRF_P256_SCALAR_H_

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/secret.h"
#include "vrf/internal.h"
#include "vrf/p256_limbs.h"

namespace kt::vrf::p256 {

inline constexpr int kScalarWords = 4;

// q, lowest word first. SEC 2 §2.4.2.
inline constexpr uint64_t kOrder[kScalarWords] = {0xf3b9cac2fc632551, 0xbce6faada7179e84,
                                                  0xffffffffffffffff, 0xffffffff00000000};

// Four words, lowest first.
class SecretScalar {
 public:
  SecretScalar() = default;
  explicit SecretScalar(base::ByteView bytes) { Load(bytes); }
  SecretScalar(const SecretScalar&) = delete;
  SecretScalar& operator=(const SecretScalar&) = delete;
  ~SecretScalar();

  // From at most 32 big-endian bytes, not reduced.
  void Load(base::ByteView bytes);
  void ToBytes(std::span<uint8_t, kScalarSize> bytes) const;

  uint64_t word[kScalarWords] = {};
};

// Whether 1 <= scalar < q, for 32 big-endian bytes.
bool ScalarInRange(base::ByteView scalar);

// Reads public numbers, lowest word first: 32 big-endian bytes, false if they are q or more;
// and 16.
bool ReadScalar(base::ByteView bytes, uint64_t (&words)[kScalarWords]);
void ReadChallenge(base::ByteView bytes, uint64_t (&words)[2]);

// bits2octets of RFC 6979 §2.3.4 for 256 bits: reduces 32 big-endian bytes modulo q.
Scalar ReduceModOrder(base::ByteView bytes);

// x * 2^256 mod q, for x below q.
void ToMontgomeryModOrder(const SecretScalar& x, SecretScalar& out);

// k + c * x mod q, for k below q, c below 2^128 and `x_montgomery` made by ToMontgomeryModOrder().
void MulAddModOrder(const SecretScalar& k, const SecretScalar& c, const SecretScalar& x_montgomery,
                    SecretScalar& out);

// The digits that vrf/p256_limbs.h describes, of a scalar or, if that is even, of q less it: the
// product is then to be negated.
class SecretDigits {
 public:
  SecretDigits() = default;
  // `scalar`: 1 <= scalar < q.
  explicit SecretDigits(const SecretScalar& scalar);
  SecretDigits(SecretDigits&& other) noexcept = default;  // a copy, and each is wiped
  SecretDigits& operator=(const SecretDigits&) = delete;
  ~SecretDigits();

  uint8_t value[kDigits] = {};  // v[i], below 32
  uint8_t negate = 0;           // 1 if the product is to be negated, else 0
};

}  // namespace kt::vrf::p256
#endif  // VRF_P256_SCALAR_H_
