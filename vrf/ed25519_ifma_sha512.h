// SPDX-License-Identifier: Apache-2.0
#ifndef VRF_ED25519_IFMA_SHA512_H_
#define VRF_ED25519_IFMA_SHA512_H_

#include <cstddef>

#include "vrf/ed25519_kernel.h"

namespace kt::vrf::ed25519 {

// Kernel::hash, of eight messages at once. Only where base::HasAvx512Ifma().
void HashByAvx512(const HashMessage* messages, size_t count, HashBytes* out);

}  // namespace kt::vrf::ed25519
#endif  // VRF_ED25519_IFMA_SHA512_H_
