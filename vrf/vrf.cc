// SPDX-License-Identifier: Apache-2.0
#include "vrf/vrf.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/status.h"
#include "vrf/ed25519.h"
#include "vrf/implementation.h"
#include "vrf/internal.h"
#include "vrf/p256.h"

namespace kt::vrf {

base::VrfOutput ToOutput(base::ByteView beta) {
  base::VrfOutput output;
  KT_CHECK(beta.size() >= output.bytes.size());
  std::copy_n(beta.begin(), output.bytes.size(), output.bytes.begin());
  return output;
}

absl::Status BadProof(const char* reason) {
  return base::VerificationFailed("vrf-proof", std::string("a VRF proof is not valid: ") + reason);
}

size_t PublicKeySize(Suite suite) {
  return suite == Suite::kP256Sha256Tai ? kP256PointSize : kEd25519PointSize;
}

size_t ProofSize(Suite suite) {
  return suite == Suite::kP256Sha256Tai ? kP256ProofSize : kEd25519ProofSize;
}

absl::StatusOr<std::unique_ptr<Prover>> CreateProver(Suite suite, const base::SecretBytes& secret) {
  return CreateProver(suite, DefaultImplementation(suite), secret);
}

absl::StatusOr<std::unique_ptr<Verifier>> CreateVerifier(Suite suite, base::ByteView public_key) {
  return CreateVerifier(suite, DefaultImplementation(suite), public_key);
}

base::SecretBytes GenerateSecret(Suite suite, base::Random& random) {
  if (suite == Suite::kP256Sha256Tai) return GenerateP256Secret(random);
  // Any 32 bytes are a seed.
  base::SecretBytes seed(kSecretSize);
  random.Fill(seed.ExposeMutable());
  return seed;
}

}  // namespace kt::vrf
