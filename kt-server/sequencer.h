// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_SEQUENCER_H_
#define KT_SERVER_SEQUENCER_H_

#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "kt-server/clock_guard.h"
#include "kt-server/submission_batch.h"
#include "kt-server/submitter.h"
#include "kt-server/transparency_log.h"
#include "kt-server/waiting_room.h"

namespace kt::server {

struct SequencerOptions {
  // How long submissions are gathered before they become one commit.
  int epoch_interval_ms = 10'000;
  // Without submissions an entry is added only when the newest one is this old, so that clients do
  // not take the head for stale: each entry makes first-time proofs longer.
  uint64_t max_idle_ms = 30 * 60 * 1000;
  // Submissions that wait for their answer; more are refused. One submitter and one label have
  // bounds of their own, so that they cannot keep the others out.
  size_t max_pending = 100'000;
  size_t max_pending_bytes = 64 << 20;
  size_t max_pending_per_submitter = 1'000;
  size_t max_pending_per_label = 8;
  // What one commit holds; the rest waits for the next.
  SubmissionBatch::Limits batch = {};

  // How far the wall clock may get ahead of the steady clock in an hour; see ClockGuard.
  uint64_t max_clock_step_ms = 150'000;
  // Start refuses if the newest entry is older than this, unless `accept_clock`.
  uint64_t max_downtime_ms = std::numeric_limits<uint64_t>::max();
  bool accept_clock = false;
};

// The single writer: gathers submissions, turns them into versions in the order of arrival, and
// commits them together, on one thread. If they are too many for one commit, another thread
// prepares the next one meanwhile: docs/decisions/ says what that is and why it is safe.
class Sequencer : public Submitter {
 public:
  // Told of every commit, successful or not, on the sequencer's thread.
  struct CommitReport {
    absl::Status status;
    base::TreeSize tree_size = 0;
    size_t versions = 0;
    double duration_ms = 0;  // without what was prepared before
  };
  using Observer = std::function<void(const CommitReport&)>;

  // Told why nothing is signed when the clock can no longer be believed, and OK when it can again,
  // on the sequencer's thread.
  using ClockObserver = std::function<void(const absl::Status&)>;

  // Told that nothing is signed because the disk is full, and OK when it has room again, on the
  // sequencer's thread, which looks at the beginning of an epoch and when a commit has failed.
  using RoomObserver = std::function<void(const absl::Status&)>;

  // Borrows `log` and `clock`.
  Sequencer(const SequencerOptions& options, TransparencyLog& log, const base::Clock& clock,
            Observer observer, ClockObserver clock_observer, RoomObserver room_observer = nullptr);
  // As Stop.
  ~Sequencer() override;

  // Gives the log its first entry if it has none, then starts the thread. kFailedPrecondition if
  // the newest entry is so old, by the wall clock, that the clock may be wrong.
  absl::Status Start();

  // Commits what is waiting, answers every submission, and ends the thread.
  void Stop();

  // What Start does short of the thread: the caller says with RunEpoch when an epoch is over, and
  // runs a last one after Stop. This is how a simulation keeps everything in one thread.
  absl::Status Prepare();
  // Ends an epoch: commits what is waiting and answers it, with what comes meanwhile if there is
  // room for no more, and gives a log that has been idle for too long an entry. Returns whether
  // there may be more to do, which there is not after Stop.
  bool RunEpoch();

  // As Submitter. kUnavailable too while the clock cannot be believed; otherwise the status of the
  // log. `done` is called on the sequencer's thread.
  absl::Status Submit(Submission submission) override;

 private:
  absl::Status CheckDowntime() const;
  absl::Status CanAppend();
  void Release(const base::Bytes& label, const std::string& submitter, size_t bytes);
  void Run();
  bool ShouldWake() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WatchClock();
  void WatchRoom();
  void CommitWaiting();
  std::unique_ptr<SubmissionBatch> Begin(std::deque<Submission>* waiting);
  bool CommitAndPrepare(SubmissionBatch* batch, std::deque<Submission>* waiting,
                        std::unique_ptr<SubmissionBatch>* next);
  std::deque<Submission> TakePending();
  std::deque<Submission> TakePendingIfFull();
  bool Commit(SubmissionBatch* batch);
  absl::Status Append(absl::StatusOr<PreparedEntries> prepared, size_t versions,
                      uint64_t timestamp_ms);
  absl::Status AppendEmpty(uint64_t timestamp_ms);
  void Report(const absl::Status& status, size_t versions, absl::Duration duration);
  bool IdleTooLong() const;
  absl::StatusOr<uint64_t> NextTimestampMs();

  const SequencerOptions options_;
  TransparencyLog& log_;
  const base::Clock& clock_;
  const Observer observer_;
  const ClockObserver clock_observer_;
  const RoomObserver room_observer_;  // may be null
  ClockGuard clock_guard_;
  bool clock_believed_ = true;  // what the clock observer was told last
  bool told_full_ = false;      // the same of the room observer
  bool overlaps_ = false;       // whether another thread prepares a commit while one is made

  absl::Mutex mutex_;
  std::deque<Submission> pending_ ABSL_GUARDED_BY(mutex_);
  WaitingRoom waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace kt::server
#endif  // KT_SERVER_SEQUENCER_H_
