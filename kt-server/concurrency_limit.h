// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_CONCURRENCY_LIMIT_H_
#define KT_SERVER_CONCURRENCY_LIMIT_H_

#include <atomic>
#include <cstdint>

namespace kt::server {

// Counts what is in progress. Thread-safe.
class ConcurrencyLimit {
 public:
  explicit ConcurrencyLimit(int64_t max) : max_(max) {}
  // Whether there was room; if so, Leave must follow.
  bool Enter() {
    if (in_progress_.fetch_add(1) < max_) return true;
    in_progress_.fetch_sub(1);
    return false;
  }
  void Leave() { in_progress_.fetch_sub(1); }

 private:
  const int64_t max_;
  std::atomic<int64_t> in_progress_ = 0;
};

}  // namespace kt::server
#endif  // KT_SERVER_CONCURRENCY_LIMIT_H_
