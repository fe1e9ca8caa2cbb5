// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <chrono>
#include <ctime>

#include "base/check.h"

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

  uint64_t SteadyMs() const override {
    // std::chrono::steady_clock stands still while the machine sleeps.
    timespec since_boot;
    KT_CHECK(clock_gettime(CLOCK_BOOTTIME, &since_boot) == 0);
    return static_cast<uint64_t>(since_boot.tv_sec) * 1000 +
           static_cast<uint64_t>(since_boot.tv_nsec) / 1'000'000;
  }
};

}  // namespace

const Clock& SystemClock() {
  static const MachineClock clock;
  return clock;
}

}  // namespace kt::base
