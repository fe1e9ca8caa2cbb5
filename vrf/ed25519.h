// SPDX-License-Identifier: Apache-2.0
//
// ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381 §5.5) over libsodium: the reference that the faster
// implementations are held against. Internal to vrf/, its tests and benchmarks.
//
// Timing. Multiplication by x and k, and s = k + c*x, are libsodium's constant-time functions.
// Encoding alpha to the curve takes a time that depends on alpha, and handles no secret.
#ifndef VRF_ED25519_H_
#define VRF_ED25519_H_

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/secret.h"
#include "base/types.h"
#include "vrf/ed25519_suite.h"
#include "vrf/internal.h"
#include "vrf/vrf.h"

namespace kt::vrf {

// One attempt of try_and_increment: 8 times the point that `candidate` encodes. False if it encodes
// none, or the result is the neutral element. RFC 9381 §5.4.1.1 c to d.
bool CandidateToCurve(const Ed25519Point& candidate, Ed25519Point& out);

class Ed25519Prover final : public Prover {
 public:
  // As CreateProver().
  static absl::StatusOr<std::unique_ptr<Ed25519Prover>> Create(const base::SecretBytes& secret);

  std::vector<base::VrfOutput> Evaluate(std::span<const base::Bytes> alphas) const override;
  std::vector<ProvenOutput> Prove(std::span<const base::Bytes> alphas) const override;
  const base::Bytes& public_key() const override { return key_.public_key; }

  // What Prove() is made of. RFC 9381 §5.1.
  Ed25519Transcript ProveInDetail(base::ByteView alpha) const;
  // For the encoded point H. RFC 9381 §5.4.2.2.
  Ed25519Nonce Nonce(base::ByteView h) const { return MakeEd25519Nonce(key_, h); }

 private:
  explicit Ed25519Prover(Ed25519Key key) : key_(std::move(key)) {}

  const Ed25519Key key_;
};

class Ed25519Verifier final : public Verifier {
 public:
  // As CreateVerifier().
  static absl::StatusOr<std::unique_ptr<Ed25519Verifier>> Create(base::ByteView public_key);

  absl::StatusOr<std::vector<base::VrfOutput>> Verify(std::span<const Claim> claims) const override;

 private:
  explicit Ed25519Verifier(const Ed25519Point& public_key) : public_key_(public_key) {}
  absl::StatusOr<base::VrfOutput> VerifyOne(const Claim& claim) const;

  const Ed25519Point public_key_;  // PK_string
};

}  // namespace kt::vrf
#endif  // VRF_ED25519_H_
