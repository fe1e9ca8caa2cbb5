// SPDX-License-Identifier: Apache-2.0
#include "kt-server/byte_budget.h"

#include "base/check.h"

namespace kt::server {

bool ByteBudget::Take(const std::string& key, size_t bytes) {
  absl::MutexLock lock(&mutex_);
  const auto found = of_key_.find(key);
  const size_t held = found == of_key_.end() ? 0 : found->second;
  if (bytes > max_per_key_ - held || bytes > max_total_ - total_) return false;
  if (bytes == 0) return true;
  total_ += bytes;
  of_key_[key] = held + bytes;
  return true;
}

void ByteBudget::Return(const std::string& key, size_t bytes) {
  if (bytes == 0) return;
  absl::MutexLock lock(&mutex_);
  const auto found = of_key_.find(key);
  KT_CHECK(found != of_key_.end() && found->second >= bytes);
  found->second -= bytes;
  total_ -= bytes;
  if (found->second == 0) of_key_.erase(found);
}

size_t ByteBudget::total() const {
  absl::MutexLock lock(&mutex_);
  return total_;
}

}  // namespace kt::server
