// SPDX-License-Identifier: Apache-2.0
#include "kt-server/drain_watch.h"

#include <vector>

namespace kt::server {

DrainWatch::DrainWatch(std::chrono::milliseconds timeout)
    : timeout_(timeout), thread_([this] { Run(); }) {}

DrainWatch::~DrainWatch() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
  absl::MutexLock lock(&mutex_);
  for (const Watched& watched : watched_) grpc_call_unref(watched.call);
}

void DrainWatch::Watch(grpc_call* call) {
  // What cancels must not depend on whether the call is over by then, so it has its own reference.
  grpc_call_ref(call);
  absl::MutexLock lock(&mutex_);
  by_call_[call] =
      watched_.insert(watched_.end(), {std::chrono::steady_clock::now() + timeout_, call});
}

void DrainWatch::Forget(grpc_call* call) {
  {
    absl::MutexLock lock(&mutex_);
    const auto found = by_call_.find(call);
    if (found == by_call_.end()) return;  // it is being cancelled
    watched_.erase(found->second);
    by_call_.erase(found);
  }
  grpc_call_unref(call);
}

void DrainWatch::Run() {
  constexpr auto kPause = std::chrono::milliseconds(100);
  for (;;) {
    std::vector<grpc_call*> late;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &DrainWatch::HasWork));
      if (stopping_) return;
      const auto now = std::chrono::steady_clock::now();
      while (!watched_.empty() && watched_.front().deadline <= now) {
        late.push_back(watched_.front().call);
        by_call_.erase(watched_.front().call);
        watched_.pop_front();
      }
    }
    // Without the lock: this may end the call here and now, which comes back to Forget.
    for (grpc_call* call : late) {
      grpc_call_cancel_with_status(call, GRPC_STATUS_CANCELLED, "the response was not taken",
                                   nullptr);
      grpc_call_unref(call);
    }
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace kt::server
