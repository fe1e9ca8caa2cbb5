// SPDX-License-Identifier: Apache-2.0
//
// Verifiable random functions of RFC 9381, in the two suites that the protocol uses:
//   kP256Sha256Tai         ECVRF-P256-SHA256-TAI
//   kEdwards25519Sha512Tai ECVRF-EDWARDS25519-SHA512-TAI; the 64-byte output is cut to 32
//                          (draft-ietf-keytrans-protocol, "KT Cipher Suites")
// over OpenSSL or libsodium, or by our own arithmetic (vrf/implementation.h).
//
// Timing. Operations on the secret scalar and the nonce neither branch nor index on them, as far as
// the libraries allow; the implementations' headers say what remains. What cannot be constant time
// is try-and-increment (RFC 9381 §5.4.1.1): the number of attempts depends on alpha, so the time of
// Evaluate, Prove and Verify tells something of the label, never of the key.
//
// Strictness. Exactly what RFC 9381 accepts is accepted, by all implementations of a suite alike
// (vrf/implementation.h; docs/decisions/0010-vrf-points-with-torsion.md). Encodings are canonical.
//
// Everything takes batches, because several evaluations at once cost less than one after the
// other where vector instructions allow; callers that have several inputs pass them together.
// Results stand in the order of the inputs. All classes are thread-safe after construction.
#ifndef VRF_VRF_H_
#define VRF_VRF_H_

#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/types.h"

namespace kt::vrf {

enum class Suite { kP256Sha256Tai, kEdwards25519Sha512Tai };

// 33 (compressed point) or 32 bytes.
size_t PublicKeySize(Suite suite);
// VRF.Np: 81 or 80 bytes, Gamma || c || s.
size_t ProofSize(Suite suite);

// A proof together with the output that it proves.
struct ProvenOutput {
  base::VrfOutput output;
  base::Bytes proof;  // ProofSize() bytes
};

// What a verifier is given for one input.
struct Claim {
  base::ByteView alpha;
  base::ByteView proof;
};

// Evaluates and proves under one secret key.
class Prover {
 public:
  virtual ~Prover() = default;

  // Outputs only: about half of the cost of a proof. RFC 9381 §5.2 of a proof's Gamma.
  virtual std::vector<base::VrfOutput> Evaluate(std::span<const base::Bytes> alphas) const = 0;

  // Outputs and proofs. Deterministic: the same alpha gives the same bytes. RFC 9381 §5.1.
  virtual std::vector<ProvenOutput> Prove(std::span<const base::Bytes> alphas) const = 0;

  // In the encoding of `Configuration.vrf_public_key`.
  virtual const base::Bytes& public_key() const = 0;
};

// Checks proofs under one public key. RFC 9381 §5.3.
class Verifier {
 public:
  virtual ~Verifier() = default;

  // The outputs, if every proof is valid. A verification failure ("vrf-proof") if one is not:
  // wrong length, a point off the curve or not canonically encoded, a scalar out of range, or an
  // equation that does not hold. The message does not tell which of the claims it is.
  virtual absl::StatusOr<std::vector<base::VrfOutput>> Verify(
      std::span<const Claim> claims) const = 0;
};

// `secret`: 32 bytes; a big-endian scalar 1 <= x < q for P-256, an RFC 8032 seed for Ed25519.
// kInvalidArgument if it is neither.
absl::StatusOr<std::unique_ptr<Prover>> CreateProver(Suite suite, const base::SecretBytes& secret);

// kInvalidArgument if `public_key` has the wrong length, is not canonical, is off the curve or of
// small order (RFC 9381 §5.4.5, validate_key = TRUE). A component of small order beside another is
// no reason.
absl::StatusOr<std::unique_ptr<Verifier>> CreateVerifier(Suite suite, base::ByteView public_key);

// A fresh secret for CreateProver.
base::SecretBytes GenerateSecret(Suite suite, base::Random& random);

}  // namespace kt::vrf
#endif  // VRF_VRF_H_
