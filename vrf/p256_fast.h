// SPDX-License-Identifier: Apache-2.0
//
// ECVRF-P256-SHA256-TAI (RFC 9381 §5.5) over our own arithmetic, by one of the engines of
// vrf/p256_engine.h. Internal to vrf/, its tests and benchmarks.
//
// Timing. The secret scalar x and the nonce k are recoded, looked up and multiplied without a
// branch or an index that depends on them. What remains: whether a candidate for k is refused for
// being q or more (one of 2^32) is visible, and tells nothing about the next one; encoding alpha to
// the curve takes a time that depends on alpha, and handles no secret. Scalars, digits and
// projective results are wiped; what the compiler spills to the stack on the way is not.
#ifndef VRF_P256_FAST_H_
#define VRF_P256_FAST_H_

#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/secret.h"
#include "base/types.h"
#include "vrf/p256_engine.h"
#include "vrf/p256_scalar.h"
#include "vrf/p256_suite.h"
#include "vrf/vrf.h"

namespace kt::vrf {

class P256FastProver final : public Prover {
 public:
  // As CreateProver(). `engine` outlives the prover.
  static absl::StatusOr<std::unique_ptr<P256FastProver>> Create(const p256::Engine& engine,
                                                                const base::SecretBytes& secret);

  std::vector<base::VrfOutput> Evaluate(std::span<const base::Bytes> alphas) const override;
  std::vector<ProvenOutput> Prove(std::span<const base::Bytes> alphas) const override;
  const base::Bytes& public_key() const override { return public_key_; }

  // What Prove() is made of. RFC 9381 §5.1.
  std::vector<P256Transcript> ProveInDetail(std::span<const base::Bytes> alphas) const;
  P256Transcript ProveInDetail(const base::Bytes& alpha) const;
  // P256Nonce() under this key.
  base::SecretBytes Nonce(base::ByteView h) const { return P256Nonce(secret_, h); }

 private:
  P256FastProver(const p256::Engine& engine, const base::SecretBytes& secret);

  const p256::Engine& engine_;
  base::SecretBytes secret_;         // x as RFC 6979 hashes it
  p256::SecretDigits x_;             // x as the curve multiplies by it
  p256::SecretScalar x_montgomery_;  // x * 2^256 mod q, for s
  base::Bytes public_key_;           // PK_string
  base::Bytes encode_prefix_;        // see P256EncodePrefix()
};

class P256FastVerifier final : public Verifier {
 public:
  // As CreateVerifier(). `engine` outlives the verifier.
  static absl::StatusOr<std::unique_ptr<P256FastVerifier>> Create(const p256::Engine& engine,
                                                                  base::ByteView public_key);

  absl::StatusOr<std::vector<base::VrfOutput>> Verify(std::span<const Claim> claims) const override;

 private:
  P256FastVerifier(const p256::Engine& engine, base::ByteView public_key,
                   const p256::CurvePoint& y);

  const p256::Engine& engine_;
  base::Bytes public_key_;     // PK_string
  base::Bytes encode_prefix_;  // see P256EncodePrefix()
  p256::KeyTable key_table_;
};

}  // namespace kt::vrf
#endif  // VRF_P256_FAST_H_
