// SPDX-License-Identifier: Apache-2.0
//
// ECVRF-P256-SHA256-TAI (RFC 9381 §5.5) over OpenSSL. Internal to vrf/, its tests and benchmarks.
//
// Timing, as far as OpenSSL's public interface allows. The secret scalar x and the nonce k reach
// the curve only through EC_POINT_mul with a single scalar, which runs a fixed number of steps and
// scans its tables in full. s = k + c*x is Montgomery multiplication and BN_mod_add_quick, without
// branches on the values. What remains:
//   - OpenSSL drops leading zero words, so a nonce, product or coordinate below 2^192 (one of 2^64)
//     is a little faster;
//   - whether a candidate for k is refused for being q or more (one of 2^32) is visible, and tells
//     nothing about the next one;
//   - results are tested for infinity, which they never are;
//   - encoding alpha to the curve takes a time that depends on alpha, and handles no secret.
// Scalars held here are wiped. OpenSSL's multiplication frees its recoding of a scalar unwiped.
#ifndef VRF_P256_H_
#define VRF_P256_H_

#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/types.h"
#include "vrf/openssl_handles.h"
#include "vrf/p256_suite.h"
#include "vrf/vrf.h"

namespace kt::vrf {

struct P256Workspace;  // the temporaries of one call

class P256Prover final : public Prover {
 public:
  // As CreateProver().
  static absl::StatusOr<std::unique_ptr<P256Prover>> Create(const base::SecretBytes& secret);

  std::vector<base::VrfOutput> Evaluate(std::span<const base::Bytes> alphas) const override;
  std::vector<ProvenOutput> Prove(std::span<const base::Bytes> alphas) const override;
  const base::Bytes& public_key() const override { return public_key_; }

  // What Prove() is made of. RFC 9381 §5.1.
  P256Transcript ProveInDetail(base::ByteView alpha) const;
  // P256Nonce() under this key.
  base::SecretBytes Nonce(base::ByteView h) const { return P256Nonce(secret_, h); }

 private:
  P256Prover() = default;
  P256Transcript ProveOne(base::ByteView alpha, P256Workspace& work) const;

  base::SecretBytes secret_;   // x as RFC 6979 hashes it
  BigNum x_;                   // x as the curve multiplies by it
  BigNum x_montgomery_;        // x * 2^256 mod q, for s
  base::Bytes public_key_;     // PK_string
  base::Bytes encode_prefix_;  // suite_string || 0x01 || PK_string
};

class P256Verifier final : public Verifier {
 public:
  // As CreateVerifier().
  static absl::StatusOr<std::unique_ptr<P256Verifier>> Create(base::ByteView public_key);

  absl::StatusOr<std::vector<base::VrfOutput>> Verify(std::span<const Claim> claims) const override;

 private:
  P256Verifier() = default;
  // `group_of_h`: a copy of the group, whose generator this may replace.
  absl::StatusOr<base::VrfOutput> VerifyOne(const Claim& claim, EC_GROUP* group_of_h,
                                            P256Workspace& work) const;

  base::Bytes public_key_;     // PK_string
  base::Bytes encode_prefix_;  // suite_string || 0x01 || PK_string
  CurvePoint minus_y_;         // -Y
};

// As GenerateSecret(): draws until the scalar is in range, which is nearly always at once.
base::SecretBytes GenerateP256Secret(base::Random& random);

}  // namespace kt::vrf
#endif  // VRF_P256_H_
