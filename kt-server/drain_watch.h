// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_DRAIN_WATCH_H_
#define KT_SERVER_DRAIN_WATCH_H_

#include <grpc/grpc.h>

#include <chrono>
#include <list>
#include <thread>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace kt::server {

// Cancels calls whose responses their peers do not take in time: until then they hold memory.
// Thread-safe.
class DrainWatch {
 public:
  explicit DrainWatch(std::chrono::milliseconds timeout);
  // Cancels nothing any more.
  ~DrainWatch();

  // From now on `call` has the time-out left. Until Forget(call).
  void Watch(grpc_call* call);
  void Forget(grpc_call* call);

 private:
  struct Watched {
    std::chrono::steady_clock::time_point deadline;
    grpc_call* call;  // holds a reference
  };

  void Run();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !watched_.empty();
  }

  const std::chrono::milliseconds timeout_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::list<Watched> watched_ ABSL_GUARDED_BY(mutex_);  // the earliest deadline first
  std::unordered_map<grpc_call*, std::list<Watched>::iterator> by_call_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace kt::server
#endif  // KT_SERVER_DRAIN_WATCH_H_
