// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_CLOCK_H_
#define BASE_CLOCK_H_

#include <cstdint>

namespace kt::base {

// Wall-clock time, behind an interface so that tests can set it. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds since the Unix epoch.
  virtual uint64_t NowMs() const = 0;
};

// The machine's clock; lives for the whole process.
const Clock& SystemClock();

}  // namespace kt::base
#endif  // BASE_CLOCK_H_
