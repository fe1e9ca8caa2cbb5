// SPDX-License-Identifier: Apache-2.0
//
// Reclaims, in the background, what a log with a maximum lifetime no longer needs, and what was
// erased from any log as long as its files are not gone.
#ifndef KT_SERVER_PRUNER_H_
#define KT_SERVER_PRUNER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "kt-core/configuration.h"
#include "kt-server/log_state.h"
#include "kt-server/store.h"
#include "kt-server/transparency_log.h"

namespace kt::server {

// The first entry that a log has to keep whole, if `state` is what its users are shown. Those
// before it were added at least maximum_lifetime plus one Reasonable Monitoring Window before the
// rightmost entry: what an algorithm inspects on the way to an unexpired entry is that old at most.
// In thirdPartyAuditing mode, the auditor has besides signed a head of more entries. The horizon
// that there is if the log has no maximum lifetime.
absl::StatusOr<base::LogPosition> PruneHorizon(const core::Configuration& config,
                                               const LogState& state);

struct PrunerOptions {
  int64_t interval_ms = 3'600'000;  // between the end of a run and the next
  size_t rows_per_step = 10'000;    // that one step looks at; one write holds their deletions
  int64_t pause_ms = 10;            // between steps, for everybody else
  // So long after the last one a run begins if files may hold what was erased.
  int64_t erasure_interval_ms = 60'000;
};

// Readers and the writer of the log never wait for more than one step's write. Thread-safe.
class Pruner {
 public:
  struct Report {
    base::LogPosition horizon = 0;
    uint64_t rows_deleted = 0;
    size_t erasures_reclaimed = 0;  // erased values that files may have held before the run
    size_t erasures_left = 0;       // and those that they may hold after it
    uint64_t duration_ms = 0;
    absl::Status status;
  };
  // Called on the pruner's thread after every run that deleted or reclaimed something, or failed.
  using Observer = std::function<void(const Report&)>;

  // Borrows `log`, `store`, which is that of the log, and `clock`.
  Pruner(const PrunerOptions& options, TransparencyLog& log, Store& store, const base::Clock& clock,
         Observer observer);
  // As Stop.
  ~Pruner();

  // Begins to run in the background, for the first time at once.
  void Start();
  // Ends after the step that is under way. What is left is done after the next start.
  void Stop();

  // One run, on the caller's thread; one at a time.
  Report Run();

 private:
  void RunUntilStopped();
  absl::Status RunInto(Report* report);
  absl::Status Prune(Report* report) ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  absl::Status Reclaim(Report* report) ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  // Both false if they ended because of Stop.
  bool Pause(absl::Duration duration);
  bool PauseUntilNextRun();

  const PrunerOptions options_;
  TransparencyLog& log_;
  Store& store_;
  const base::Clock& clock_;
  const Observer observer_;

  absl::Mutex run_mutex_;
  bool reclaim_ ABSL_GUARDED_BY(run_mutex_) = false;  // rows were deleted since the last Reclaim

  std::atomic<bool> cancelled_ = false;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace kt::server
#endif  // KT_SERVER_PRUNER_H_
