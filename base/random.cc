// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <sodium.h>

#include "base/check.h"

namespace kt::base {
namespace {

class MachineRandom : public Random {
 public:
  MachineRandom() { KT_CHECK(sodium_init() >= 0); }
  void Fill(std::span<uint8_t> out) override { randombytes_buf(out.data(), out.size()); }
};

}  // namespace

Random& SystemRandom() {
  static MachineRandom random;
  return random;
}

}  // namespace kt::base
