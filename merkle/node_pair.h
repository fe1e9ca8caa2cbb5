// SPDX-License-Identifier: Apache-2.0
//
// Two nodes of the prefix tree hashed at once. Internal to merkle/.
#ifndef MERKLE_NODE_PAIR_H_
#define MERKLE_NODE_PAIR_H_

#include <array>
#include <cstdint>

#include "base/hash.h"

namespace kt::merkle {

// What a node's hash is of: the prefix, and two values of 32 bytes.
struct NodeMessage {
  const std::array<uint8_t, 32>& first;
  const std::array<uint8_t, 32>& second;
};

// SHA-256 (FIPS 180-4) of prefix || first || second, for two nodes. A round waits for the one
// before it, and the processor has time for a second message meanwhile: two take little longer than
// one. Only to be called where base::HasShaExtensions().
std::array<base::Hash, 2> HashNodePairByShaExtensions(uint8_t prefix, const NodeMessage& one,
                                                      const NodeMessage& other);

}  // namespace kt::merkle
#endif  // MERKLE_NODE_PAIR_H_
