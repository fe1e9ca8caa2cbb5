// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_WAITING_ROOM_H_
#define KT_SERVER_WAITING_ROOM_H_

#include <cstddef>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "base/bytes.h"

namespace kt::server {

// Bounds the submissions that wait for their answer: altogether, and so that one submitter or one
// label cannot keep the others out. Not thread-safe.
class WaitingRoom {
 public:
  struct Limits {
    size_t max_count = 100'000;
    size_t max_bytes = 64 << 20;
    size_t max_per_submitter = 1'000;
    size_t max_per_label = 8;
  };

  explicit WaitingRoom(const Limits& limits) : limits_(limits) {}

  // kResourceExhausted if there is no room; otherwise it is taken, until Leave with the same.
  absl::Status Enter(const base::Bytes& label, const std::string& submitter, size_t bytes);
  void Leave(const base::Bytes& label, const std::string& submitter, size_t bytes);

  // Whether there is room for no more, or soon none.
  bool IsNearlyFull() const {
    return count_ >= limits_.max_count || bytes_ >= limits_.max_bytes / 2;
  }

 private:
  const Limits limits_;
  size_t count_ = 0;
  size_t bytes_ = 0;
  absl::flat_hash_map<base::Bytes, size_t> of_label_;
  absl::flat_hash_map<std::string, size_t> of_submitter_;
};

}  // namespace kt::server
#endif  // KT_SERVER_WAITING_ROOM_H_
