// SPDX-License-Identifier: Apache-2.0
#include "kt-server/rate_limiter.h"

#include <algorithm>

namespace kt::server {

RateLimiter::RateLimiter(double per_second, const base::Clock& clock, size_t max_keys)
    : per_second_(per_second),
      burst_(std::max(1.0, per_second)),
      clock_(clock),
      max_keys_(std::max<size_t>(1, max_keys)) {}

bool RateLimiter::Allow(const std::string& key) {
  const uint64_t now_ms = clock_.SteadyMs();
  absl::MutexLock lock(&mutex_);
  auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    if (by_key_.size() == max_keys_) {
      by_key_.erase(buckets_.back().key);
      buckets_.pop_back();
    }
    buckets_.push_front({key, burst_, now_ms});
    found = by_key_.emplace(key, buckets_.begin()).first;
  }
  buckets_.splice(buckets_.begin(), buckets_, found->second);
  Bucket& bucket = *found->second;
  // Another thread may have read the clock later and come first.
  if (now_ms > bucket.refilled_ms) {
    const double elapsed_s = static_cast<double>(now_ms - bucket.refilled_ms) / 1000.0;
    bucket.tokens = std::min(burst_, bucket.tokens + elapsed_s * per_second_);
    bucket.refilled_ms = now_ms;
  }
  if (bucket.tokens < 1.0) return false;
  bucket.tokens -= 1.0;
  return true;
}

void RateLimiter::Charge(const std::string& key, double requests) {
  absl::MutexLock lock(&mutex_);
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) found->second->tokens -= requests;
}

}  // namespace kt::server
