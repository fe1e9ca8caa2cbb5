// SPDX-License-Identifier: Apache-2.0
#include "vrf/implementation.h"

#include <atomic>
#include <string>

#include "absl/status/status.h"
#include "base/check.h"
#include "base/cpu.h"
#include "vrf/ed25519.h"
#include "vrf/ed25519_batch.h"
#include "vrf/ed25519_kernel.h"
#include "vrf/p256.h"
#include "vrf/p256_fast.h"
#include "vrf/p256_lanes.h"
#include "vrf/p256_portable.h"

namespace kt::vrf {
namespace {

std::atomic<Implementation> default_limit = Implementation::kAvx512Ifma;

absl::Status NotAvailable(Implementation implementation) {
  return absl::FailedPreconditionError("no VRF implementation '" +
                                       std::string(ImplementationName(implementation)) +
                                       "' for this suite on this machine");
}

// The engine of an implementation of our own; nullptr where there is none.
const p256::Engine* P256EngineOf(Implementation implementation) {
  if (implementation == Implementation::kPortable) return &p256::Portable();
#if defined(KT_WITH_AVX512_IFMA)
  if (implementation == Implementation::kAvx512Ifma && base::HasAvx512Ifma()) {
    return &p256::InLanes();
  }
#endif
  return nullptr;
}

bool IsP256Available(Implementation implementation) {
  return implementation == Implementation::kLibrary || P256EngineOf(implementation) != nullptr;
}

absl::StatusOr<std::unique_ptr<Prover>> CreateP256Prover(Implementation implementation,
                                                         const base::SecretBytes& secret) {
  const p256::Engine* const engine = P256EngineOf(implementation);
  if (engine != nullptr) return P256FastProver::Create(*engine, secret);
  return P256Prover::Create(secret);
}

absl::StatusOr<std::unique_ptr<Verifier>> CreateP256Verifier(Implementation implementation,
                                                             base::ByteView public_key) {
  const p256::Engine* const engine = P256EngineOf(implementation);
  if (engine != nullptr) return P256FastVerifier::Create(*engine, public_key);
  return P256Verifier::Create(public_key);
}

// The kernel of an implementation of our own; nullptr where there is none.
const ed25519::Kernel* Ed25519KernelOf(Implementation implementation) {
  if (implementation == Implementation::kPortable) return &ed25519::PortableKernel();
#if defined(KT_WITH_AVX512_IFMA)
  if (implementation == Implementation::kAvx512Ifma && base::HasAvx512Ifma()) {
    return &ed25519::Avx512IfmaKernel();
  }
#endif
  return nullptr;
}

bool IsEd25519Available(Implementation implementation) {
  return implementation == Implementation::kLibrary || Ed25519KernelOf(implementation) != nullptr;
}

}  // namespace

std::string_view ImplementationName(Implementation implementation) {
  switch (implementation) {
    case Implementation::kLibrary:
      return "library";
    case Implementation::kPortable:
      return "portable";
    case Implementation::kAvx512Ifma:
      return "avx512-ifma";
  }
  KT_CHECK(false);
}

bool IsAvailable(Suite suite, Implementation implementation) {
  return suite == Suite::kP256Sha256Tai ? IsP256Available(implementation)
                                        : IsEd25519Available(implementation);
}

Implementation DefaultImplementation(Suite suite) {
  const Implementation limit = default_limit.load();
  for (Implementation implementation : {Implementation::kAvx512Ifma, Implementation::kPortable}) {
    if (implementation <= limit && IsAvailable(suite, implementation)) return implementation;
  }
  return Implementation::kLibrary;
}

void LimitDefaultImplementation(Implementation most) { default_limit.store(most); }

absl::Status LimitDefaultImplementation(std::string_view word) {
  if (word == "auto") {
    LimitDefaultImplementation(Implementation::kAvx512Ifma);
  } else if (word == "portable") {
    LimitDefaultImplementation(Implementation::kPortable);
  } else if (word == "library") {
    LimitDefaultImplementation(Implementation::kLibrary);
  } else {
    return absl::InvalidArgumentError(
        "the VRF implementation must be \"auto\", \"portable\" or \"library\"");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Prover>> CreateProver(Suite suite, Implementation implementation,
                                                     const base::SecretBytes& secret) {
  if (!IsAvailable(suite, implementation)) return NotAvailable(implementation);
  if (suite == Suite::kP256Sha256Tai) return CreateP256Prover(implementation, secret);
  const ed25519::Kernel* const kernel = Ed25519KernelOf(implementation);
  if (kernel != nullptr) return Ed25519BatchProver::Create(*kernel, secret);
  return Ed25519Prover::Create(secret);
}

absl::StatusOr<std::unique_ptr<Verifier>> CreateVerifier(Suite suite, Implementation implementation,
                                                         base::ByteView public_key) {
  if (!IsAvailable(suite, implementation)) return NotAvailable(implementation);
  if (suite == Suite::kP256Sha256Tai) return CreateP256Verifier(implementation, public_key);
  const ed25519::Kernel* const kernel = Ed25519KernelOf(implementation);
  if (kernel != nullptr) return Ed25519BatchVerifier::Create(*kernel, public_key);
  return Ed25519Verifier::Create(public_key);
}

}  // namespace kt::vrf
