// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_VRF_P256_ENGINES_H_
#define TESTS_VRF_P256_ENGINES_H_

#include <ostream>
#include <string_view>
#include <vector>

#include "base/cpu.h"
#include "vrf/p256_engine.h"
#include "vrf/p256_lanes.h"
#include "vrf/p256_portable.h"

namespace kt::vrf::p256 {

struct NamedEngine {
  std::string_view name;
  const Engine* engine;
  friend std::ostream& operator<<(std::ostream& out, const NamedEngine& named) {
    return out << named.name;
  }
};

// Those that this machine can run.
inline std::vector<NamedEngine> Engines() {
  std::vector<NamedEngine> engines = {{"Portable", &Portable()}};
#if defined(KT_WITH_AVX512_IFMA)
  if (base::HasAvx512Ifma()) engines.push_back({"Lanes", &InLanes()});
#endif
  return engines;
}

}  // namespace kt::vrf::p256
#endif  // TESTS_VRF_P256_ENGINES_H_
