// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_CLOCK_GUARD_H_
#define KT_SERVER_CLOCK_GUARD_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"

namespace kt::server {

// The wall clock, as long as it can be believed. Timestamps in the log never go back, so a single
// one from the future makes every client refuse the log until that time has come: a clock that was
// set forward must not get into a signature. Thread-safe.
class ClockGuard {
 public:
  // Believes the time that it is now, and from then on what agrees with the steady clock: the wall
  // clock may get ahead of it by `tolerance_ms` an hour, which leaves room for what time services
  // correct. Borrows `clock`.
  ClockGuard(const base::Clock& clock, uint64_t tolerance_ms);

  // Milliseconds since the Unix epoch. kUnavailable if the wall clock jumped forward; OK again as
  // soon as it is set back.
  absl::StatusOr<uint64_t> NowMs();

 private:
  const base::Clock& clock_;
  const uint64_t tolerance_ms_;

  absl::Mutex mutex_;
  // A moment at which both clocks were believed.
  uint64_t believed_ms_ ABSL_GUARDED_BY(mutex_);
  uint64_t believed_steady_ms_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kt::server
#endif  // KT_SERVER_CLOCK_GUARD_H_
