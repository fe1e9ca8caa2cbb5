// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_BYTE_BUDGET_H_
#define KT_SERVER_BYTE_BUDGET_H_

#include <cstddef>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace kt::server {

// Bounds how many bytes are held at once, altogether and for each key. Thread-safe.
class ByteBudget {
 public:
  ByteBudget(size_t max_total, size_t max_per_key)
      : max_total_(max_total), max_per_key_(max_per_key) {}

  // Whether `key` may hold so many more; if so, Return must follow.
  bool Take(const std::string& key, size_t bytes);
  void Return(const std::string& key, size_t bytes);

  size_t total() const;

 private:
  const size_t max_total_;
  const size_t max_per_key_;

  mutable absl::Mutex mutex_;
  size_t total_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::string, size_t> of_key_ ABSL_GUARDED_BY(mutex_);  // none is 0
};

}  // namespace kt::server
#endif  // KT_SERVER_BYTE_BUDGET_H_
