// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CORE_CIPHER_SUITE_H_
#define KT_CORE_CIPHER_SUITE_H_

#include <cstddef>
#include <cstdint>

#include "base/signature.h"
#include "vrf/vrf.h"

namespace kt::core {

// draft-ietf-keytrans-protocol, "KT Cipher Suites".
enum class CipherSuite : uint16_t {
  kP256 = 0x0001,     // KT_128_SHA256_P256
  kEd25519 = 0x0002,  // KT_128_SHA256_Ed25519
};
constexpr bool IsKnown(CipherSuite suite) {
  return suite == CipherSuite::kP256 || suite == CipherSuite::kEd25519;
}

inline base::SignatureAlgorithm SignatureAlgorithmOf(CipherSuite suite) {
  return suite == CipherSuite::kP256 ? base::SignatureAlgorithm::kEcdsaP256Sha256
                                     : base::SignatureAlgorithm::kEd25519;
}
inline vrf::Suite VrfSuiteOf(CipherSuite suite) {
  return suite == CipherSuite::kP256 ? vrf::Suite::kP256Sha256Tai
                                     : vrf::Suite::kEdwards25519Sha512Tai;
}

// The name in the registry, for people.
inline const char* NameOf(CipherSuite suite) {
  return suite == CipherSuite::kP256 ? "KT_128_SHA256_P256" : "KT_128_SHA256_Ed25519";
}

}  // namespace kt::core
#endif  // KT_CORE_CIPHER_SUITE_H_
