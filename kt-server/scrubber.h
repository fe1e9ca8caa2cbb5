// SPDX-License-Identifier: Apache-2.0
//
// Checks the database of a running log in the background, slowly, again and again.
#ifndef KT_SERVER_SCRUBBER_H_
#define KT_SERVER_SCRUBBER_H_

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "kt-core/configuration.h"
#include "kt-server/log_check.h"
#include "kt-server/store.h"
#include "merkle/prefix_tree.h"

namespace kt::server {

struct ScrubberOptions {
  absl::Duration first = absl::Minutes(10);   // after the start
  absl::Duration interval = absl::Hours(24);  // between the end of a run and the next
  double rows_per_second = 2'000;
};

// Thread-safe.
class Scrubber {
 public:
  // Called on the scrubber's thread after every run, unless Stop ended it.
  using Observer = std::function<void(const absl::StatusOr<CheckReport>&)>;

  // Borrows `store`.
  Scrubber(const ScrubberOptions& options, const core::Configuration& config,
           const merkle::PrefixTreeLayout& layout, const Store& store, Observer observer);
  // As Stop.
  ~Scrubber();

  void Start();
  // Ends a run that is under way, too: no snapshot of the store is left afterwards.
  void Stop();

 private:
  void Run();
  absl::Status CheckFiles();
  absl::StatusOr<CheckReport> CheckOnce();
  // False if it ended because of Stop.
  bool Pause(absl::Duration duration);

  const ScrubberOptions options_;
  const core::Configuration config_;
  const merkle::PrefixTreeLayout layout_;
  const Store& store_;
  const Observer observer_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace kt::server
#endif  // KT_SERVER_SCRUBBER_H_
