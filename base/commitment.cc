// SPDX-License-Identifier: Apache-2.0
#include "base/commitment.h"

#include "base/hash.h"

namespace kt::base {
namespace {

// draft-ietf-keytrans-protocol, "KT Cipher Suites": Kc.
constexpr uint8_t kCommitmentKey[16] = {0xd8, 0x21, 0xf8, 0x79, 0x0d, 0x97, 0x70, 0x97,
                                        0x96, 0xb4, 0xd7, 0x90, 0x33, 0x57, 0xc3, 0xf5};

}  // namespace

Hash Commit(ByteView commitment_value) { return HmacSha256(kCommitmentKey, commitment_value); }

}  // namespace kt::base
