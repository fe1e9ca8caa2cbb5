// SPDX-License-Identifier: Apache-2.0
//
// ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381 §5.5) over a kernel of our own (vrf/ed25519_kernel.h).
// Internal to vrf/ and its tests.
//
// Timing. What depends on x and k is the kernel's, in constant time, and libsodium's for k and s.
// Encoding alpha to the curve takes a time that depends on alpha, and handles no secret.
#ifndef VRF_ED25519_BATCH_H_
#define VRF_ED25519_BATCH_H_

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/secret.h"
#include "base/types.h"
#include "vrf/ed25519_kernel.h"
#include "vrf/ed25519_suite.h"
#include "vrf/vrf.h"

namespace kt::vrf {

class Ed25519BatchProver final : public Prover {
 public:
  Ed25519BatchProver(const ed25519::Kernel& kernel, Ed25519Key key)
      : kernel_(kernel), key_(std::move(key)) {}
  // As CreateProver().
  static absl::StatusOr<std::unique_ptr<Ed25519BatchProver>> Create(
      const ed25519::Kernel& kernel, const base::SecretBytes& secret);

  std::vector<base::VrfOutput> Evaluate(std::span<const base::Bytes> alphas) const override;
  std::vector<ProvenOutput> Prove(std::span<const base::Bytes> alphas) const override;
  const base::Bytes& public_key() const override { return key_.public_key; }

 private:
  // At most kMaxBatch of them.
  void EvaluateSome(std::span<const base::Bytes> alphas, std::vector<base::VrfOutput>& out) const;
  void ProveSome(std::span<const base::Bytes> alphas, std::vector<ProvenOutput>& out) const;

  const ed25519::Kernel& kernel_;
  const Ed25519Key key_;
};

class Ed25519BatchVerifier final : public Verifier {
 public:
  // As CreateVerifier().
  static absl::StatusOr<std::unique_ptr<Ed25519BatchVerifier>> Create(const ed25519::Kernel& kernel,
                                                                      base::ByteView public_key);

  absl::StatusOr<std::vector<base::VrfOutput>> Verify(std::span<const Claim> claims) const override;

 private:
  Ed25519BatchVerifier(const ed25519::Kernel& kernel, const Ed25519Point& public_key,
                       const ed25519::AffineBytes& decoded)
      : kernel_(kernel), public_key_(public_key), decoded_key_(decoded) {}
  // At most kMaxBatch / 2 of them.
  absl::Status VerifySome(std::span<const Claim> claims, std::vector<base::VrfOutput>& out) const;

  const ed25519::Kernel& kernel_;
  const Ed25519Point public_key_;           // PK_string
  const ed25519::AffineBytes decoded_key_;  // Y
};

}  // namespace kt::vrf
#endif  // VRF_ED25519_BATCH_H_
