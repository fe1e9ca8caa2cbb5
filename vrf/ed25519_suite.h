// SPDX-License-Identifier: Apache-2.0
//
// What every implementation of ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381 §5.5) shares: all of it but
// the curve. Hashes and the arithmetic of scalars modulo q are libsodium's. Internal to vrf/ and
// its tests.
//
// Accepted keys and proofs are those of RFC 9381, whichever the implementation. Points are decoded
// as RFC 8032 §5.1.3 says: there is one encoding of each. A key must not be of small order. A key
// or Gamma with a component of small order is otherwise a point like others, although libsodium has
// another opinion: docs/decisions/0010-vrf-points-with-torsion.md.
#ifndef VRF_ED25519_SUITE_H_
#define VRF_ED25519_SUITE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/secret.h"
#include "vrf/internal.h"

namespace kt::vrf {

inline constexpr size_t kEd25519PointSize = 32;
inline constexpr size_t kEd25519ProofSize = 80;
inline constexpr size_t kSha512Size = 64;

using Ed25519Transcript = Transcript<kEd25519PointSize, kSha512Size>;
using Ed25519Point = Ed25519Transcript::Point;
using Sha512Hash = std::array<uint8_t, kSha512Size>;

// The encoding of the neutral element: x = 0, y = 1.
inline constexpr Ed25519Point kEd25519Identity = {1};

// The points of small order: [i] is i times one that has order 8. RFC 9381 §5.4.5 has their
// ordinates.
extern const std::array<Ed25519Point, 8> kEd25519SmallOrderPoints;

// Whether `encoded` is the one encoding of a point of small order; for public points.
bool IsEd25519SmallOrder(const Ed25519Point& encoded);

// What RFC 8032 §5.1.5 makes of a seed.
struct Ed25519ExpandedSecret {
  base::SecretBytes x;       // the secret scalar, clamped; 32 bytes, little-endian
  base::SecretBytes prefix;  // the second half of the hash, 32 bytes
};
// `seed` has 32 bytes.
Ed25519ExpandedSecret ExpandEd25519Seed(const base::SecretBytes& seed);

// What a prover knows. Scalars are below q; 32 bytes, little-endian.
struct Ed25519Key {
  base::SecretBytes prefix;      // see Ed25519ExpandedSecret
  base::SecretBytes x;           // the secret scalar modulo q, never 0
  base::SecretBytes cofactor_x;  // 8*x modulo q
  base::Bytes public_key;        // PK_string
};
// kInvalidArgument unless `secret` has 32 bytes.
absl::StatusOr<Ed25519Key> MakeEd25519Key(const base::SecretBytes& secret);

struct Ed25519Nonce {
  base::SecretBytes k_string;  // 64 bytes
  base::SecretBytes k;         // the same modulo q, 32 bytes, little-endian
};
// For the encoded point H. RFC 9381 §5.4.2.2.
Ed25519Nonce MakeEd25519Nonce(const Ed25519Key& key, base::ByteView h);

// s = k + c*x modulo q. Constant time.
Scalar Ed25519Response(const Ed25519Key& key, base::ByteView k, const Challenge& c);

// What try_and_increment tries to decode at an attempt. RFC 9381 §5.4.1.1 a to b.
Ed25519Point Ed25519Candidate(base::ByteView public_key, base::ByteView alpha, unsigned ctr);

// RFC 9381 §5.4.3.
Challenge Ed25519Challenge(base::ByteView public_key, base::ByteView h, base::ByteView gamma,
                           base::ByteView u, base::ByteView v);

// beta of the encoded point 8*Gamma. RFC 9381 §5.2.
Sha512Hash HashEd25519Gamma(base::ByteView cofactor_gamma);

// The same in two steps each, for who hashes many messages at once: what is hashed, appended to
// `out`, and what the hash means.
void AppendEd25519NonceMessage(const Ed25519Key& key, base::ByteView h, base::Bytes& out);
// k of `k_string`. Constant time.
base::SecretBytes Ed25519NonceOf(base::ByteView k_string);
void AppendEd25519CandidateMessage(base::ByteView public_key, base::ByteView alpha, unsigned ctr,
                                   base::Bytes& out);
Ed25519Point Ed25519CandidateOf(base::ByteView hash);
void AppendEd25519ChallengeMessage(base::ByteView public_key, base::ByteView h,
                                   base::ByteView gamma, base::ByteView u, base::ByteView v,
                                   base::Bytes& out);
Challenge Ed25519ChallengeOf(base::ByteView hash);
void AppendEd25519OutputMessage(base::ByteView cofactor_gamma, base::Bytes& out);

struct Ed25519Proof {
  Ed25519Point gamma{};  // not decoded yet
  Challenge c{};
  Scalar s{};  // below q
};
// RFC 9381 §5.4.4. A verification failure if the length is wrong or s out of range.
absl::StatusOr<Ed25519Proof> ParseEd25519Proof(base::ByteView pi_string);

// Writes Gamma || c || s; `out` has kEd25519ProofSize bytes.
void WriteEd25519Proof(base::ByteView gamma, const Challenge& c, const Scalar& s,
                       std::span<uint8_t> out);

// What CreateVerifier() says of a key.
absl::Status BadEd25519PublicKey();

}  // namespace kt::vrf
#endif  // VRF_ED25519_SUITE_H_
