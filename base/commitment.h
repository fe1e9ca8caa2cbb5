// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_COMMITMENT_H_
#define BASE_COMMITMENT_H_

#include <array>

#include "base/bytes.h"
#include "base/types.h"

namespace kt::base {

inline constexpr size_t kOpeningSize = 16;  // Nc of both cipher suites

// Random bytes that hide the committed value until they are revealed.
using Opening = std::array<uint8_t, kOpeningSize>;

// HMAC(Kc, commitment_value), where `commitment_value` is an encoded CommitmentValue.
// draft-ietf-keytrans-protocol, "Commitment"; Kc from "KT Cipher Suites".
Hash Commit(ByteView commitment_value);

}  // namespace kt::base
#endif  // BASE_COMMITMENT_H_
