// SPDX-License-Identifier: Apache-2.0
#include "kt-server/sequencer.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/parallel.h"
#include "base/status.h"

namespace kt::server {

Sequencer::Sequencer(const SequencerOptions& options, TransparencyLog& log,
                     const base::Clock& clock, Observer observer, ClockObserver clock_observer,
                     RoomObserver room_observer)
    : options_(options),
      log_(log),
      clock_(clock),
      observer_(std::move(observer)),
      clock_observer_(std::move(clock_observer)),
      room_observer_(std::move(room_observer)),
      clock_guard_(clock, options.max_clock_step_ms),
      waiting_({.max_count = options.max_pending,
                .max_bytes = options.max_pending_bytes,
                .max_per_submitter = options.max_pending_per_submitter,
                .max_per_label = options.max_pending_per_label}) {}

Sequencer::~Sequencer() { Stop(); }

absl::Status Sequencer::Start() {
  KT_RETURN_IF_ERROR(Prepare());
  overlaps_ = true;
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

absl::Status Sequencer::Prepare() {
  if (log_.newest() == nullptr) {
    KT_ASSIGN_OR_RETURN(const uint64_t timestamp_ms, NextTimestampMs());
    KT_RETURN_IF_ERROR(AppendEmpty(timestamp_ms));
  }
  KT_RETURN_IF_ERROR(CheckDowntime());
  absl::MutexLock lock(&mutex_);
  running_ = true;
  return absl::OkStatus();
}

void Sequencer::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

// The steady clock says nothing about the time before the process began; whether the machine was
// off for a month or has a wrong clock, only a person can tell.
absl::Status Sequencer::CheckDowntime() const {
  if (options_.accept_clock) return absl::OkStatus();
  const std::shared_ptr<const LogState> state = log_.newest();
  KT_ASSIGN_OR_RETURN(const uint64_t newest_ms, state->Timestamp(state->size() - 1));
  const uint64_t now_ms = clock_.NowMs();
  if (now_ms <= newest_ms || now_ms - newest_ms <= options_.max_downtime_ms) {
    return absl::OkStatus();
  }
  const absl::Time newest = absl::FromUnixMillis(static_cast<int64_t>(newest_ms));
  const absl::Time now = absl::FromUnixMillis(static_cast<int64_t>(now_ms));
  return absl::FailedPreconditionError(absl::StrCat(
      "the newest log entry is of ", absl::FormatTime(newest, absl::UTCTimeZone()),
      " and this machine's clock says ", absl::FormatTime(now, absl::UTCTimeZone()),
      "; signing a time in the future would make the log useless until then, so if the clock is "
      "right, start once with --accept-clock"));
}

absl::Status Sequencer::Submit(Submission submission) {
  KT_RETURN_IF_ERROR(CanAppend());
  absl::MutexLock lock(&mutex_);
  if (stopping_ || !running_) return absl::UnavailableError("the log is not accepting submissions");
  KT_RETURN_IF_ERROR(waiting_.Enter(submission.label, submission.submitter, submission.bytes));
  submission.done = [this, label = submission.label, submitter = submission.submitter,
                     bytes = submission.bytes,
                     done = std::move(submission.done)](absl::StatusOr<Outcome> outcome) {
    // Whoever has its answer may submit again.
    Release(label, submitter, bytes);
    done(std::move(outcome));
  };
  pending_.push_back(std::move(submission));
  return absl::OkStatus();
}

// Whether the log takes entries, and the clock can be believed.
absl::Status Sequencer::CanAppend() {
  KT_RETURN_IF_ERROR(log_.writable());
  return clock_guard_.NowMs().status();
}

void Sequencer::Release(const base::Bytes& label, const std::string& submitter, size_t bytes) {
  absl::MutexLock lock(&mutex_);
  waiting_.Leave(label, submitter, bytes);
}

// When there is room for no more, or soon none, waiting for the end of the epoch helps nobody.
bool Sequencer::ShouldWake() const {
  return stopping_ || (!pending_.empty() && waiting_.IsNearlyFull());
}

void Sequencer::WatchClock() {
  const absl::Status status = clock_guard_.NowMs().status();
  if (status.ok() == clock_believed_) return;
  clock_believed_ = status.ok();
  clock_observer_(status);
}

void Sequencer::WatchRoom() {
  const bool was_writable = log_.writable().ok();
  const absl::Status status = log_.CheckRoom();
  const bool is_full = absl::IsResourceExhausted(status);
  const bool has_room_again = status.ok() && (told_full_ || !was_writable);
  if ((!is_full || told_full_) && !has_room_again) return;
  told_full_ = is_full;
  if (room_observer_ != nullptr) room_observer_(status);
}

void Sequencer::Run() {
  // Not the wall clock: setting that back must not stop epochs.
  const auto interval = std::chrono::milliseconds(options_.epoch_interval_ms);
  auto next = std::chrono::steady_clock::now() + interval;
  do {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(this, &Sequencer::ShouldWake),
                              absl::FromChrono(next - std::chrono::steady_clock::now()));
    }
    next = std::max(next + interval, std::chrono::steady_clock::now());
  } while (RunEpoch());
}

bool Sequencer::RunEpoch() {
  bool stopping = false;
  {
    absl::MutexLock lock(&mutex_);
    // Nothing is accepted after this, so what waits now is the last.
    stopping = stopping_;
  }
  CommitWaiting();
  if (stopping) return false;
  if (!IdleTooLong()) return true;
  const absl::StatusOr<uint64_t> timestamp_ms = NextTimestampMs();
  if (!timestamp_ms.ok()) return true;
  // The observer is told; there is nobody else to answer to.
  AppendEmpty(*timestamp_ms).IgnoreError();
  return true;
}

// Makes commits out of what waits, in order, and answers it. While one is made, the next is
// prepared: the tree and a disk keep few processors busy, VRF proofs all of them.
void Sequencer::CommitWaiting() {
  std::deque<Submission> waiting = TakePending();
  std::unique_ptr<SubmissionBatch> batch = Begin(&waiting);
  bool grew = false;  // by the last commit
  while (batch != nullptr) {
    // An epoch in which the log does not grow has an end, so that it gets an entry for its age.
    if (waiting.empty() && grew) waiting = TakePendingIfFull();
    std::unique_ptr<SubmissionBatch> next;
    const bool committed = CommitAndPrepare(batch.get(), &waiting, &next);
    grew = committed && batch->size() > 0;
    if (!committed) {  // so the next one rests on what did not come to be
      if (next != nullptr) next->GiveBack(&waiting);
      batch = nullptr;
      next = Begin(&waiting);
    }
    batch = std::move(next);
  }
}

// The first batch of those that wait, for which no other is being committed; null if nothing waits.
// If nothing can be appended, all are told so, and no proofs are made.
std::unique_ptr<SubmissionBatch> Sequencer::Begin(std::deque<Submission>* waiting) {
  WatchClock();
  WatchRoom();
  if (const absl::Status status = CanAppend(); !status.ok()) {
    for (const Submission& submission : std::exchange(*waiting, {})) submission.done(status);
  }
  if (waiting->empty()) return nullptr;
  return std::make_unique<SubmissionBatch>(options_.batch, log_, nullptr, waiting);
}

// Commits `batch`, and makes the next out of `waiting` if there is any. Returns whether the commit
// succeeded.
bool Sequencer::CommitAndPrepare(SubmissionBatch* batch, std::deque<Submission>* waiting,
                                 std::unique_ptr<SubmissionBatch>* next) {
  const auto prepare = [&] {
    *next = std::make_unique<SubmissionBatch>(options_.batch, log_, batch, waiting);
  };
  if (waiting->empty()) return Commit(batch);
  if (!overlaps_) {  // in the order in which it is hardest to be right
    prepare();
    return Commit(batch);
  }
  bool committed = false;
  const auto work = [&](size_t part, size_t, size_t) {
    if (part == 0) {
      committed = Commit(batch);
    } else {
      prepare();
    }
    return absl::OkStatus();
  };
  KT_CHECK(base::RunInParts(2, 2, work).ok());
  return committed;
}

std::deque<Submitter::Submission> Sequencer::TakePending() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(pending_, {});
}

// If there is room for no more, or soon none, and much of a commit waits: the end of this epoch, so
// that commits follow each other without a pause.
std::deque<Submitter::Submission> Sequencer::TakePendingIfFull() {
  {
    absl::MutexLock lock(&mutex_);
    if (!ShouldWake() || pending_.size() < options_.batch.versions / 2) return {};
  }
  WatchClock();
  WatchRoom();
  return TakePending();
}

// Appends what the batch holds and answers its submissions. Returns whether it succeeded.
bool Sequencer::Commit(SubmissionBatch* batch) {
  if (!batch->failure().ok()) Report(batch->failure(), 0, absl::ZeroDuration());
  const base::TreeSize size_before = log_.newest()->size();
  absl::Status status;
  if (batch->size() > 0) {
    // Of the moment at which they are published, rather than prepared.
    const absl::StatusOr<uint64_t> timestamp_ms = NextTimestampMs();
    status = timestamp_ms.ok()
                 ? ForPublishers(Append(batch->TakePrepared(), batch->size(), *timestamp_ms))
                 : timestamp_ms.status();
  }
  batch->Answer(status, size_before, log_.newest()->size());
  return status.ok();
}

// What was prepared, or why it could not be.
absl::Status Sequencer::Append(absl::StatusOr<PreparedEntries> prepared, size_t versions,
                               uint64_t timestamp_ms) {
  const absl::Time begin = absl::Now();
  absl::Status status = prepared.status();
  if (status.ok()) {
    for (NewEntry& entry : prepared->entries) entry.timestamp_ms = timestamp_ms;
    status = log_.Append(*std::move(prepared));
  }
  Report(status, versions, absl::Now() - begin);
  return status;
}

// An entry without versions.
absl::Status Sequencer::AppendEmpty(uint64_t timestamp_ms) {
  return Append(log_.Prepare(std::vector<NewEntry>(1)), 0, timestamp_ms);
}

void Sequencer::Report(const absl::Status& status, size_t versions, absl::Duration duration) {
  CommitReport report;
  report.status = status;
  report.versions = versions;
  report.duration_ms = absl::ToDoubleMilliseconds(duration);
  const std::shared_ptr<const LogState> state = log_.newest();
  report.tree_size = state == nullptr ? 0 : state->size();
  observer_(report);
}

bool Sequencer::IdleTooLong() const {
  const std::shared_ptr<const LogState> state = log_.newest();
  const absl::StatusOr<uint64_t> newest_ms = state->Timestamp(state->size() - 1);
  const uint64_t now_ms = clock_.NowMs();
  return log_.writable().ok() && newest_ms.ok() && now_ms > *newest_ms &&
         now_ms - *newest_ms >= options_.max_idle_ms;
}

// Timestamps are monotonic even if the clock is not.
absl::StatusOr<uint64_t> Sequencer::NextTimestampMs() {
  KT_ASSIGN_OR_RETURN(const uint64_t now_ms, clock_guard_.NowMs());
  const std::shared_ptr<const LogState> state = log_.newest();
  if (state == nullptr) return now_ms;
  KT_ASSIGN_OR_RETURN(const uint64_t newest_ms, state->Timestamp(state->size() - 1));
  return std::max(newest_ms, now_ms);
}

}  // namespace kt::server
