// SPDX-License-Identifier: Apache-2.0
#ifndef KT_AUDITOR_AUDITOR_H_
#define KT_AUDITOR_AUDITOR_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "kt-auditor/auditor_config.h"
#include "kt-auditor/event_log.h"

namespace kt::auditor {

// The service: audits all configured logs at once, each in a thread of its own, so that one which
// is slow, away or caught does not hold up the others.
class Auditor {
 public:
  // Opens keys and states and begins. Borrows `events` and `clock`. kInvalidArgument if no log is
  // configured, otherwise what the parts report.
  static absl::StatusOr<std::unique_ptr<Auditor>> Start(const AuditorConfig& config,
                                                        EventLog& events, const base::Clock& clock);
  Auditor(const Auditor&) = delete;
  Auditor& operator=(const Auditor&) = delete;
  // As Stop.
  ~Auditor();

  size_t logs() const { return logs_.size(); }
  // How many of them have been caught misbehaving.
  size_t halted() const;

  // Ends all threads. What was verified is stored.
  void Stop();

 private:
  struct Log;

  Auditor(EventLog& events, const base::Clock& clock);

  absl::Status Add(const AuditorConfig& config, const LogConfig& log_config);
  void Run(Log& log);
  bool stopping() const;

  EventLog& events_;
  const base::Clock& clock_;
  std::vector<std::unique_ptr<Log>> logs_;
  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  size_t halted_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace kt::auditor
#endif  // KT_AUDITOR_AUDITOR_H_
