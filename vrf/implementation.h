// SPDX-License-Identifier: Apache-2.0
//
// The implementations of a suite. All give the same bytes and accept the same keys and proofs; they
// differ in speed, and in what they stand on. Programs use the default of vrf/vrf.h; this is for
// their configuration, for tests and for benchmarks.
#ifndef VRF_IMPLEMENTATION_H_
#define VRF_IMPLEMENTATION_H_

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/secret.h"
#include "vrf/vrf.h"

namespace kt::vrf {

// From the slowest to the fastest.
enum class Implementation {
  kLibrary,     // the curve of OpenSSL or libsodium
  kPortable,    // our own field arithmetic, in C++
  kAvx512Ifma,  // our own, in eight lanes
};

// "library", "portable" or "avx512-ifma".
std::string_view ImplementationName(Implementation implementation);

// Whether this suite has this implementation, and this machine can run it (base/cpu.h).
bool IsAvailable(Suite suite, Implementation implementation);

// What CreateProver() and CreateVerifier() take when not told: the fastest that is available, and
// not above the limit.
Implementation DefaultImplementation(Suite suite);

// From now on no default of this process is above `most`. At first there is no limit. Thread-safe.
void LimitDefaultImplementation(Implementation most);

// The same by the word of a configuration: "auto" for no limit, or "portable" or "library".
// kInvalidArgument for any other.
absl::Status LimitDefaultImplementation(std::string_view word);

// As in vrf/vrf.h, by one implementation. kFailedPrecondition if it is not available.
absl::StatusOr<std::unique_ptr<Prover>> CreateProver(Suite suite, Implementation implementation,
                                                     const base::SecretBytes& secret);
absl::StatusOr<std::unique_ptr<Verifier>> CreateVerifier(Suite suite, Implementation implementation,
                                                         base::ByteView public_key);

}  // namespace kt::vrf
#endif  // VRF_IMPLEMENTATION_H_
