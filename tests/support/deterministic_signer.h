// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SUPPORT_DETERMINISTIC_SIGNER_H_
#define TESTS_SUPPORT_DETERMINISTIC_SIGNER_H_

#include <memory>

#include "base/secret.h"
#include "base/signature.h"

namespace kt::testing {

// Signs the same message with the same bytes each time, so that test vectors can be made again:
// Ed25519 as always, ECDSA with the nonces of RFC 6979. `secret` is a valid one. Not constant time.
std::unique_ptr<base::Signer> CreateDeterministicSigner(base::SignatureAlgorithm algorithm,
                                                        const base::SecretBytes& secret);

}  // namespace kt::testing
#endif  // TESTS_SUPPORT_DETERMINISTIC_SIGNER_H_
