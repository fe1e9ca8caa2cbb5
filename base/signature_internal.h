// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_SIGNATURE_INTERNAL_H_
#define BASE_SIGNATURE_INTERNAL_H_

#include <memory>

#include "absl/status/statusor.h"
#include "base/signature.h"

namespace kt::base::internal {

absl::StatusOr<std::unique_ptr<Signer>> CreateP256Signer(const SecretBytes& secret);
absl::StatusOr<std::unique_ptr<Verifier>> CreateP256Verifier(ByteView public_key);
absl::StatusOr<std::unique_ptr<Signer>> CreateEd25519Signer(const SecretBytes& secret);
absl::StatusOr<std::unique_ptr<Verifier>> CreateEd25519Verifier(ByteView public_key);

// What both algorithms report for a signature that does not verify.
absl::Status BadSignature();

}  // namespace kt::base::internal
#endif  // BASE_SIGNATURE_INTERNAL_H_
