// SPDX-License-Identifier: Apache-2.0
//
// Two nodes of the prefix tree hashed at once. Internal to merkle/; plain data, for the reason that
// vrf/ed25519_kernel.h gives.
#ifndef MERKLE_NODE_PAIR_H_
#define MERKLE_NODE_PAIR_H_

#include <cstdint>

namespace kt::merkle {

// What a node's hash is of, besides the prefix: two values of 32 bytes.
struct NodeInput {
  const uint8_t* first;
  const uint8_t* second;
};

// SHA-256 (FIPS 180-4) of prefix || first || second, for two nodes; 32 bytes each. A round waits
// for the one before it, and the processor has time for a second message meanwhile: two take little
// longer than one. Only to be called where base::HasShaExtensions().
void HashNodePairByShaExtensions(uint8_t prefix, const NodeInput inputs[2],
                                 uint8_t* const hashes[2]);

}  // namespace kt::merkle
#endif  // MERKLE_NODE_PAIR_H_
