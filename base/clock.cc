// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <chrono>

namespace kt::base {
namespace {

class MachineClock : public Clock {
 public:
  uint64_t NowMs() const override {
    using std::chrono::duration_cast;
    using std::chrono::milliseconds;
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<uint64_t>(duration_cast<milliseconds>(since_epoch).count());
  }
};

}  // namespace

const Clock& SystemClock() {
  static const MachineClock clock;
  return clock;
}

}  // namespace kt::base
