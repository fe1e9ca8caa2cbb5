// SPDX-License-Identifier: Apache-2.0
#include "base/signature.h"

#include "base/check.h"
#include "base/signature_internal.h"
#include "base/status.h"

namespace kt::base {
namespace internal {

absl::Status BadSignature() {
  return VerificationFailed("signature", "the signature does not verify");
}

}  // namespace internal

absl::StatusOr<std::unique_ptr<Signer>> CreateSigner(SignatureAlgorithm algorithm,
                                                     const SecretBytes& secret) {
  switch (algorithm) {
    case SignatureAlgorithm::kEcdsaP256Sha256:
      return internal::CreateP256Signer(secret);
    case SignatureAlgorithm::kEd25519:
      return internal::CreateEd25519Signer(secret);
  }
  return absl::InvalidArgumentError("unknown signature algorithm");
}

absl::StatusOr<std::unique_ptr<Verifier>> CreateVerifier(SignatureAlgorithm algorithm,
                                                         ByteView public_key) {
  switch (algorithm) {
    case SignatureAlgorithm::kEcdsaP256Sha256:
      return internal::CreateP256Verifier(public_key);
    case SignatureAlgorithm::kEd25519:
      return internal::CreateEd25519Verifier(public_key);
  }
  return absl::InvalidArgumentError("unknown signature algorithm");
}

SecretBytes GenerateSignatureSecret(SignatureAlgorithm algorithm, Random& random) {
  // Any 32 bytes are an Ed25519 seed; for P-256 all but a fraction of 2^-32 are valid scalars.
  constexpr int kAttempts = 16;
  for (int i = 0; i < kAttempts; ++i) {
    SecretBytes secret(32);
    random.Fill(secret.ExposeMutable());
    if (CreateSigner(algorithm, secret).ok()) return secret;
  }
  // Only a broken generator gets here, and then no key may be made.
  KT_CHECK(false);
  return SecretBytes();
}

}  // namespace kt::base
