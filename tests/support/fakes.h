// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SUPPORT_FAKES_H_
#define TESTS_SUPPORT_FAKES_H_

#include <atomic>
#include <cstdlib>
#include <random>
#include <string>

#include "absl/synchronization/mutex.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/types.h"

namespace kt::testing {

// A clock that stands still until a test moves it.
class FakeClock : public base::Clock {
 public:
  explicit FakeClock(uint64_t now_ms = 1'767'225'600'000) : now_ms_(now_ms) {}
  uint64_t NowMs() const override { return now_ms_; }
  uint64_t SteadyMs() const override { return steady_ms_; }
  // Sets the wall clock only, as an administrator does.
  void Set(uint64_t now_ms) { now_ms_ = now_ms; }
  // Lets time pass.
  void Advance(uint64_t ms) {
    now_ms_ += ms;
    steady_ms_ += ms;
  }

 private:
  std::atomic<uint64_t> now_ms_;
  std::atomic<uint64_t> steady_ms_ = 5'000'000;
};

// Repeatable bytes. Never for anything but tests.
class SeededRandom : public base::Random {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}
  void Fill(std::span<uint8_t> out) override {
    absl::MutexLock lock(&mutex_);
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(engine_());
  }
  base::Hash NextHash() {
    base::Hash hash;
    Fill(hash.bytes);
    return hash;
  }
  base::VrfOutput NextVrfOutput() {
    base::VrfOutput output;
    Fill(output.bytes);
    return output;
  }
  // Uniform enough for tests; `bound` at least 1.
  uint64_t Below(uint64_t bound) {
    absl::MutexLock lock(&mutex_);
    return engine_() % bound;
  }

 private:
  absl::Mutex mutex_;
  std::mt19937_64 engine_;
};

// The seed of a property test: KT_TEST_SEED if it is set, otherwise `fallback`. Tests print it on
// failure (SCOPED_TRACE) so that a run can be repeated.
inline uint64_t TestSeed(uint64_t fallback) {
  const char* seed = std::getenv("KT_TEST_SEED");
  return seed == nullptr ? fallback : std::strtoull(seed, nullptr, 10);
}

}  // namespace kt::testing
#endif  // TESTS_SUPPORT_FAKES_H_
