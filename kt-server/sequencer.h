// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_SEQUENCER_H_
#define KT_SERVER_SEQUENCER_H_

#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "kt-server/transparency_log.h"

namespace kt::server {

struct SequencerOptions {
  // How long submissions are gathered before they become one commit.
  int epoch_interval_ms = 10'000;
  // Without submissions an entry is added only when the newest one is this old, so that clients do
  // not take the head for stale: each entry makes first-time proofs longer.
  uint64_t max_idle_ms = 30 * 60 * 1000;
  size_t max_pending = 100'000;             // submissions waiting; more are refused
  size_t max_versions_per_commit = 20'000;  // the rest waits for the next commit
  size_t max_versions_per_entry = 65'536;
};

// What an address's newest version is when a submission's turn comes.
struct CurrentValue {
  base::Version version = 0;
  base::Bytes value;  // UpdateValue.value
};

// The single writer: gathers submissions, turns them into versions in the order of arrival, and
// commits them together, one thread.
class Sequencer {
 public:
  // Makes the next value out of the current one (nullptr: the label has none), or says why not.
  // Runs on the sequencer's thread, so it only computes.
  using Mutation = std::function<absl::StatusOr<base::Bytes>(const CurrentValue* current)>;

  struct Outcome {
    base::Version version = 0;
    base::LogPosition position = 0;
    base::TreeSize tree_size = 0;  // of a published head that covers it
  };
  // Called once for each submission, on the sequencer's thread: when it is durable and published,
  // or when it failed.
  using Done = std::function<void(absl::StatusOr<Outcome>)>;

  // Told of every commit, successful or not, on the sequencer's thread.
  struct CommitReport {
    absl::Status status;
    base::TreeSize tree_size = 0;
    size_t versions = 0;
    double duration_ms = 0;
  };
  using Observer = std::function<void(const CommitReport&)>;

  // Borrows `log` and `clock`.
  Sequencer(const SequencerOptions& options, TransparencyLog& log, const base::Clock& clock,
            Observer observer);
  // As Stop.
  ~Sequencer();

  // Gives the log its first entry if it has none, then starts the thread.
  absl::Status Start();

  // Commits what is waiting, answers every submission, and ends the thread.
  void Stop();

  // kResourceExhausted if too much is waiting, kUnavailable when stopping, otherwise the status of
  // the log. `done` is called only if the result is OK.
  absl::Status Submit(base::Bytes label, Mutation mutation, Done done);

 private:
  struct Submission {
    base::Bytes label;
    Mutation mutation;
    Done done;
  };
  class Batch;

  void Run();
  bool ShouldWake() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CommitPending(std::vector<Submission> pending);
  absl::Status AppendEntries(std::vector<NewEntry> entries, size_t versions);
  bool IdleTooLong() const;
  uint64_t NextTimestampMs() const;

  const SequencerOptions options_;
  TransparencyLog& log_;
  const base::Clock& clock_;
  const Observer observer_;

  absl::Mutex mutex_;
  std::vector<Submission> pending_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace kt::server
#endif  // KT_SERVER_SEQUENCER_H_
