// SPDX-License-Identifier: Apache-2.0
#include "kt-server/clock_guard.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace kt::server {

namespace {
constexpr uint64_t kHourMs = 60 * 60 * 1000;
}  // namespace

ClockGuard::ClockGuard(const base::Clock& clock, uint64_t tolerance_ms)
    : clock_(clock),
      tolerance_ms_(tolerance_ms),
      believed_ms_(clock.NowMs()),
      believed_steady_ms_(clock.SteadyMs()) {}

absl::StatusOr<uint64_t> ClockGuard::NowMs() {
  absl::MutexLock lock(&mutex_);
  const uint64_t steady_ms = clock_.SteadyMs();
  const uint64_t now_ms = clock_.NowMs();
  const uint64_t elapsed_ms = steady_ms - believed_steady_ms_;
  const uint64_t expected_ms = believed_ms_ + elapsed_ms;
  if (now_ms > expected_ms + tolerance_ms_) {
    return absl::UnavailableError(
        absl::StrCat("the server's clock jumped ", (now_ms - expected_ms) / 1000,
                     " seconds forward; nothing is signed until it is set right or the server is "
                     "started again"));
  }
  // Else small corrections would add up over the months. Not more often, else many small jumps
  // would pass for none; and a clock that was set back may come back.
  if (elapsed_ms >= kHourMs && now_ms >= expected_ms) {
    believed_ms_ = now_ms;
    believed_steady_ms_ = steady_ms;
  }
  return now_ms;
}

}  // namespace kt::server
