// SPDX-License-Identifier: Apache-2.0
//
// ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381 §5.5) over libsodium. Internal to vrf/, its tests and
// benchmarks.
//
// Accepted proofs. The public key and Gamma must lie in the prime-order group. RFC 9381 asks less:
// a point of the curve, and for the key that it is not of small order. The difference is met only
// by whoever makes a key or a proof with a component of small order on purpose; what an honest
// prover makes is always accepted. We keep the stricter rule, because it is libsodium's, and
// because it leaves one Gamma for each output instead of eight.
//
// Timing. Multiplication by x and k, and s = k + c*x, are libsodium's constant-time functions.
// Encoding alpha to the curve takes a time that depends on alpha, and handles no secret.
#ifndef VRF_ED25519_H_
#define VRF_ED25519_H_

#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/secret.h"
#include "base/types.h"
#include "vrf/internal.h"
#include "vrf/vrf.h"

namespace kt::vrf {

inline constexpr size_t kEd25519PointSize = 32;
inline constexpr size_t kEd25519ProofSize = 80;
inline constexpr size_t kSha512Size = 64;

using Ed25519Transcript = Transcript<kEd25519PointSize, kSha512Size>;

// What RFC 8032 §5.1.5 makes of a seed.
struct Ed25519ExpandedSecret {
  base::SecretBytes x;       // the secret scalar, clamped; 32 bytes, little-endian
  base::SecretBytes prefix;  // the second half of the hash, 32 bytes
};
// `seed` has 32 bytes.
Ed25519ExpandedSecret ExpandEd25519Seed(const base::SecretBytes& seed);

// One attempt of try_and_increment: 8 times the point that `candidate` encodes. False if it encodes
// none, or the result is the neutral element. RFC 9381 §5.4.1.1 c to d.
bool CandidateToCurve(const Ed25519Transcript::Point& candidate, Ed25519Transcript::Point& out);

struct Ed25519Nonce {
  base::SecretBytes k_string;  // 64 bytes
  base::SecretBytes k;         // the same modulo q, 32 bytes, little-endian
};

class Ed25519Prover final : public Prover {
 public:
  // As CreateProver().
  static absl::StatusOr<std::unique_ptr<Ed25519Prover>> Create(const base::SecretBytes& secret);

  std::vector<base::VrfOutput> Evaluate(std::span<const base::Bytes> alphas) const override;
  std::vector<ProvenOutput> Prove(std::span<const base::Bytes> alphas) const override;
  const base::Bytes& public_key() const override { return public_key_; }

  // What Prove() is made of. RFC 9381 §5.1.
  Ed25519Transcript ProveInDetail(base::ByteView alpha) const;
  // For the encoded point H. RFC 9381 §5.4.2.2.
  Ed25519Nonce Nonce(base::ByteView h) const;

 private:
  Ed25519Prover() = default;

  base::SecretBytes prefix_;      // see Ed25519ExpandedSecret
  base::SecretBytes x_;           // the secret scalar modulo q
  base::SecretBytes cofactor_x_;  // 8*x modulo q
  base::Bytes public_key_;        // PK_string
};

class Ed25519Verifier final : public Verifier {
 public:
  // As CreateVerifier().
  static absl::StatusOr<std::unique_ptr<Ed25519Verifier>> Create(base::ByteView public_key);

  absl::StatusOr<std::vector<base::VrfOutput>> Verify(std::span<const Claim> claims) const override;

 private:
  Ed25519Verifier() = default;
  absl::StatusOr<base::VrfOutput> VerifyOne(const Claim& claim) const;

  base::Bytes public_key_;  // PK_string
};

}  // namespace kt::vrf
#endif  // VRF_ED25519_H_
