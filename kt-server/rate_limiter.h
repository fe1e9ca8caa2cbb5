// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_RATE_LIMITER_H_
#define KT_SERVER_RATE_LIMITER_H_

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"

namespace kt::server {

// A token bucket for each key: `per_second` on average, bursts of one second's worth (at least
// one). Remembers a bounded number of keys and forgets the one that was idle longest. Setting the
// wall clock changes nothing. Thread-safe.
class RateLimiter {
 public:
  // Borrows `clock`.
  RateLimiter(double per_second, const base::Clock& clock, size_t max_keys = 65'536);

  // Whether one more request of `key` is within its rate; counts it if so.
  bool Allow(const std::string& key);

  // Counts `requests` more for `key`, which turned out to cost more than one: later ones wait for
  // them to be made up for. Without effect on a key that is no longer remembered.
  void Charge(const std::string& key, double requests);

 private:
  struct Bucket {
    std::string key;
    double tokens = 0;         // negative: debt
    uint64_t refilled_ms = 0;  // of the steady clock
  };

  const double per_second_;
  const double burst_;
  const base::Clock& clock_;
  const size_t max_keys_;

  absl::Mutex mutex_;
  std::list<Bucket> buckets_ ABSL_GUARDED_BY(mutex_);  // most recently used first
  std::unordered_map<std::string, std::list<Bucket>::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kt::server
#endif  // KT_SERVER_RATE_LIMITER_H_
