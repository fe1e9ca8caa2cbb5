// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_RANDOM_H_
#define BASE_RANDOM_H_

#include <cstdint>
#include <span>

namespace kt::base {

// Randomness, behind an interface so that tests can seed it. Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(std::span<uint8_t> out) = 0;
};

// The operating system's generator, suitable for keys; lives for the whole process.
Random& SystemRandom();

}  // namespace kt::base
#endif  // BASE_RANDOM_H_
