// SPDX-License-Identifier: Apache-2.0
//
// The comb of vrf/ed25519_base_table.h, laid out for eight lanes. Internal to vrf/; plain data, for
// the reason that vrf/ed25519_kernel.h gives.
#ifndef VRF_ED25519_BASE_LANES_H_
#define VRF_ED25519_BASE_LANES_H_

#include <cstddef>
#include <cstdint>

namespace kt::vrf::ed25519 {

// Row i has the multiples of 256^i * B, from one to eight times: [limb][multiple]. Limbs are as a
// multiplication leaves them.
struct alignas(64) BaseLanesRow {
  uint64_t y_plus_x[5][8];
  uint64_t y_minus_x[5][8];
  uint64_t two_d_t[5][8];
};
struct BaseLanes {
  BaseLanesRow rows[32];
};

// Computed at first use.
const BaseLanes& GetBaseLanes();

}  // namespace kt::vrf::ed25519
#endif  // VRF_ED25519_BASE_LANES_H_
