// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_CLOCK_H_
#define BASE_CLOCK_H_

#include <cstdint>

namespace kt::base {

// Time, behind an interface so that tests can set it. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // The wall clock: milliseconds since the Unix epoch. It may be set, forward and back.
  virtual uint64_t NowMs() const = 0;
  // Milliseconds since some moment before the process began. Only ever goes on, at a steady pace,
  // also while the machine sleeps, and whatever happens to the wall clock.
  virtual uint64_t SteadyMs() const = 0;
};

// The machine's clock; lives for the whole process.
const Clock& SystemClock();

}  // namespace kt::base
#endif  // BASE_CLOCK_H_
