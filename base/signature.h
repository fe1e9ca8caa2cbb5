// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_SIGNATURE_H_
#define BASE_SIGNATURE_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/secret.h"

namespace kt::base {

// draft-ietf-keytrans-protocol, "KT Cipher Suites":
//   kEcdsaP256Sha256  public key 65 bytes (uncompressed point), signature r || s, 64 bytes
//   kEd25519          public key 32 bytes, signature 64 bytes (RFC 8032)
enum class SignatureAlgorithm { kEcdsaP256Sha256, kEd25519 };

// Signs under one secret key. Thread-safe.
class Signer {
 public:
  virtual ~Signer() = default;
  virtual absl::StatusOr<Bytes> Sign(ByteView message) const = 0;
  // In the encoding of `Configuration.signature_public_key`.
  virtual const Bytes& public_key() const = 0;
};

// Checks signatures of one public key. Thread-safe.
class Verifier {
 public:
  virtual ~Verifier() = default;
  // A verification failure ("signature") if `signature` is not one over `message`.
  virtual absl::Status Verify(ByteView message, ByteView signature) const = 0;
};

// `secret`: 32 bytes; a big-endian scalar 1 <= d < n for P-256, an RFC 8032 seed for Ed25519.
// kInvalidArgument if it is neither.
absl::StatusOr<std::unique_ptr<Signer>> CreateSigner(SignatureAlgorithm algorithm,
                                                     const SecretBytes& secret);

// kInvalidArgument unless `public_key` is the canonical encoding of a usable key.
absl::StatusOr<std::unique_ptr<Verifier>> CreateVerifier(SignatureAlgorithm algorithm,
                                                         ByteView public_key);

// A fresh secret for CreateSigner.
SecretBytes GenerateSignatureSecret(SignatureAlgorithm algorithm, Random& random);

}  // namespace kt::base
#endif  // BASE_SIGNATURE_H_
