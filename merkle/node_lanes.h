// SPDX-License-Identifier: Apache-2.0
//
// Sixteen nodes of the prefix tree hashed at once. Internal to merkle/; plain data, for the reason
// that vrf/ed25519_kernel.h gives.
#ifndef MERKLE_NODE_LANES_H_
#define MERKLE_NODE_LANES_H_

#include <cstddef>
#include <cstdint>

#include "merkle/node_pair.h"

namespace kt::merkle {

inline constexpr size_t kNodeLanes = 16;

// SHA-256 (FIPS 180-4) of prefix || first || second, for sixteen nodes; 32 bytes each. Each of a
// register's lanes of 32 bits is a message of its own. A hash may go where an input lies. Only to
// be called where base::HasAvx512Ifma().
void HashNodeLanesByAvx512(uint8_t prefix, const NodeInput inputs[kNodeLanes],
                           uint8_t* const hashes[kNodeLanes]);

}  // namespace kt::merkle
#endif  // MERKLE_NODE_LANES_H_
