// SPDX-License-Identifier: Apache-2.0
//
// What an implementation of ECVRF-EDWARDS25519-SHA512-TAI does for batches: the steps on the curve
// and the hashes between them. vrf/ed25519_batch.h makes provers and verifiers of them. Internal to
// vrf/, its tests and fuzzers.
//
// An interface of plain data and functions: a file that is compiled for other instructions must
// share no inline function with the rest of the program, whose linker keeps one copy of each.
#ifndef VRF_ED25519_KERNEL_H_
#define VRF_ED25519_KERNEL_H_

#include <cstddef>
#include <cstdint>

namespace kt::vrf::ed25519 {

// The most items that a kernel is given at once.
inline constexpr size_t kMaxBatch = 64;

// Coordinates reduced modulo p, 32 bytes each, little-endian. On the curve.
struct AffineBytes {
  uint8_t x[32];
  uint8_t y[32];
};

// RFC 8032 §5.1.2.
struct PointBytes {
  uint8_t bytes[32];
};

struct ProveInput {
  AffineBytes h;  // of the prime-order group
  uint8_t k[32];  // secret; little-endian, below q
};

struct ProveOutput {
  PointBytes gamma;           // x*H
  PointBytes cofactor_gamma;  // 8*x*H
  PointBytes u;               // k*B
  PointBytes v;               // k*H
};

// Public all of it. Points of the curve, of any order.
struct VerifyInput {
  AffineBytes candidate;  // H is 8 times this
  AffineBytes gamma;
  uint8_t s[32];  // little-endian, below q
  uint8_t c[16];  // little-endian
};

struct VerifyOutput {
  PointBytes h;
  PointBytes cofactor_gamma;  // 8*Gamma
  PointBytes u;               // s*B - c*Y
  PointBytes v;               // s*H - c*Gamma
};

struct HashMessage {
  const uint8_t* bytes;
  size_t size;
};

struct HashBytes {
  uint8_t bytes[64];
};

// Each function takes `count` items, 1 to kMaxBatch, and writes as many; each is thread-safe.
// Scalars that are called secret neither decide branches nor addresses, and copies of them are
// wiped.
struct Kernel {
  // How many items cost about as much as one. A divisor of kMaxBatch.
  size_t lanes;
  // With fewer items a prover does better to use PortableKernel().
  size_t min_to_prove;

  // SHA-512 (FIPS 180-4) of each message. Some are secret, their lengths are not: copies of them in
  // memory are wiped, and so is what they become in between, but for registers.
  void (*hash)(const HashMessage* messages, size_t count, HashBytes* out);

  // RFC 8032 §5.1.3. `valid[i]` is 1 if `encoded[i]` is the one encoding of a point, else 0, and
  // `out[i]` then some point. Variable time.
  void (*decode)(const PointBytes* encoded, size_t count, AffineBytes* out, uint8_t* valid);

  // out[i] = 8 * points[i]. RFC 9381 §5.4.1.1 d.
  void (*clear_cofactor)(const AffineBytes* points, size_t count, AffineBytes* out);

  // out[i] = scalar * 8 * candidates[i]; `scalar` is secret, 32 bytes, little-endian, below q.
  void (*evaluate)(const uint8_t* scalar, const AffineBytes* candidates, size_t count,
                   PointBytes* out);

  // `x` is secret, 32 bytes, little-endian, below q. RFC 9381 §5.1.
  void (*prove)(const uint8_t* x, const ProveInput* inputs, size_t count, ProveOutput* out);

  // `key` is Y. RFC 9381 §5.3. Variable time.
  void (*verify)(const AffineBytes& key, const VerifyInput* inputs, size_t count,
                 VerifyOutput* out);
};

// In C++ for any machine.
const Kernel& PortableKernel();
#if defined(KT_WITH_AVX512_IFMA)
// In eight lanes; only where base::HasAvx512Ifma().
const Kernel& Avx512IfmaKernel();
#endif

}  // namespace kt::vrf::ed25519
#endif  // VRF_ED25519_KERNEL_H_
