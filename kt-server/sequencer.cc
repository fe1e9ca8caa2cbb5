// SPDX-License-Identifier: Apache-2.0
#include "kt-server/sequencer.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "kt-server/version_rows.h"

namespace kt::server {
namespace {

// Takes one off `key`'s count, and forgets keys that have none left.
template <typename Key>
void CountDown(std::map<Key, size_t>& counts, const Key& key) {
  const auto found = counts.find(key);
  if (--found->second == 0) counts.erase(found);
}

template <typename Key>
size_t CountOf(const std::map<Key, size_t>& counts, const Key& key) {
  const auto found = counts.find(key);
  return found == counts.end() ? 0 : found->second;
}

// What is wrong with the disk is for the operator; publishers would learn paths from it.
absl::Status ForPublishers(const absl::Status& failure) {
  if (failure.ok()) return failure;
  return absl::UnavailableError(
      "the log could not take the publication; its operator's log says why");
}

}  // namespace

// The submissions of one commit and the versions they become.
class Sequencer::Batch {
 public:
  Batch(const core::Configuration& config, std::shared_ptr<const LogState> state)
      : context_(core::WireContext::For(config)), state_(std::move(state)) {}

  // Runs the submission's mutation on the label's newest value, this batch's changes included.
  void Add(Submission submission) {
    absl::StatusOr<NewVersion> version = Mutate(submission);
    if (!version.ok()) return submission.done(version.status());
    accepted_.push_back({std::move(submission.done), version->version, 0});
    versions_.push_back(*std::move(version));
  }

  // OK, or why some submissions were not looked at.
  const absl::Status& failure() const { return failure_; }
  bool empty() const { return versions_.empty(); }
  size_t size() const { return versions_.size(); }
  // Of the values that were read and those that are to be written.
  size_t value_bytes() const { return value_bytes_; }

  // The log entries, and remembers which submission went into which.
  std::vector<NewEntry> TakeEntries(uint64_t timestamp_ms, size_t max_versions_per_entry) {
    std::vector<NewEntry> entries;
    for (size_t i = 0; i < versions_.size(); ++i) {
      if (i % max_versions_per_entry == 0) entries.push_back({timestamp_ms, {}});
      accepted_[i].position = state_->size() + entries.size() - 1;
      entries.back().versions.push_back(std::move(versions_[i]));
    }
    return entries;
  }

  void Answer(const absl::Status& status, base::TreeSize tree_size) {
    for (Accepted& accepted : accepted_) {
      if (status.ok()) {
        accepted.done(Outcome{accepted.version, accepted.position, tree_size});
      } else {
        accepted.done(status);
      }
    }
  }

 private:
  struct Accepted {
    Done done;
    base::Version version;
    base::LogPosition position;
  };

  absl::StatusOr<NewVersion> Mutate(const Submission& submission) {
    auto newest = newest_.find(submission.label);
    if (newest == newest_.end()) {
      absl::StatusOr<std::optional<CurrentValue>> stored = ReadCurrent(submission.label);
      if (!stored.ok()) {
        failure_ = stored.status();
        return ForPublishers(failure_);
      }
      if (stored->has_value()) value_bytes_ += (*stored)->value.size();
      newest = newest_.emplace(submission.label, *std::move(stored)).first;
    }
    std::optional<CurrentValue>& current = newest->second;
    KT_ASSIGN_OR_RETURN(base::Bytes value,
                        submission.mutation(current.has_value() ? &*current : nullptr));
    if (current.has_value() && current->version == std::numeric_limits<base::Version>::max()) {
      return absl::ResourceExhaustedError("the address has no version numbers left");
    }
    const base::Version version = current.has_value() ? current->version + 1 : 0;
    value_bytes_ += value.size();
    current = CurrentValue{version, value};
    return NewVersion{submission.label, version, {std::move(value), {}}};
  }

  absl::StatusOr<std::optional<CurrentValue>> ReadCurrent(base::ByteView label) const {
    KT_ASSIGN_OR_RETURN(const LabelRows rows, ReadLabel(state_->snapshot(), label));
    if (!rows.greatest.has_value()) return std::nullopt;
    KT_ASSIGN_OR_RETURN(
        const base::Bytes encoded,
        state_->snapshot().ReadValue(rows.rows.at(*rows.greatest).existing->value_hash));
    KT_ASSIGN_OR_RETURN(core::UpdateValue update,
                        core::codec::Decode<core::UpdateValue>(encoded, context_));
    return CurrentValue{*rows.greatest, std::move(update.value)};
  }

  const core::WireContext context_;
  const std::shared_ptr<const LogState> state_;
  std::map<base::Bytes, std::optional<CurrentValue>> newest_;
  std::vector<NewVersion> versions_;
  std::vector<Accepted> accepted_;  // one for each of versions_
  size_t value_bytes_ = 0;
  absl::Status failure_;
};

Sequencer::Sequencer(const SequencerOptions& options, TransparencyLog& log,
                     const base::Clock& clock, Observer observer, ClockObserver clock_observer)
    : options_(options),
      log_(log),
      clock_(clock),
      observer_(std::move(observer)),
      clock_observer_(std::move(clock_observer)),
      clock_guard_(clock, options.max_clock_step_ms) {}

Sequencer::~Sequencer() { Stop(); }

absl::Status Sequencer::Start() {
  if (log_.newest() == nullptr) {
    KT_ASSIGN_OR_RETURN(const uint64_t timestamp_ms, NextTimestampMs());
    std::vector<NewEntry> first = {{timestamp_ms, {}}};
    KT_RETURN_IF_ERROR(AppendEntries(std::move(first), 0));
  }
  KT_RETURN_IF_ERROR(CheckDowntime());
  absl::MutexLock lock(&mutex_);
  running_ = true;
  thread_ = std::thread([this] { Run(); });
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

absl::Status Sequencer::CheckRoom(const Submission& submission) const {
  if (waiting_.count >= options_.max_pending ||
      submission.bytes > options_.max_pending_bytes - waiting_.bytes) {
    return absl::ResourceExhaustedError("too many publications are waiting; try again later");
  }
  if (CountOf(waiting_.of_submitter, submission.submitter) >= options_.max_pending_per_submitter) {
    return absl::ResourceExhaustedError(
        "too many publications of this token are waiting; try again later");
  }
  if (CountOf(waiting_.of_label, submission.label) >= options_.max_pending_per_label) {
    return absl::ResourceExhaustedError(
        "too many publications for the address are waiting; try again later");
  }
  return absl::OkStatus();
}

absl::Status Sequencer::Submit(Submission submission) {
  KT_RETURN_IF_ERROR(log_.writable());
  KT_RETURN_IF_ERROR(clock_guard_.NowMs().status());
  absl::MutexLock lock(&mutex_);
  if (stopping_ || !running_) return absl::UnavailableError("the log is not accepting submissions");
  KT_RETURN_IF_ERROR(CheckRoom(submission));
  waiting_.bytes += submission.bytes;
  ++waiting_.count;
  ++waiting_.of_label[submission.label];
  ++waiting_.of_submitter[submission.submitter];
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

void Sequencer::Release(const base::Bytes& label, const std::string& submitter, size_t bytes) {
  absl::MutexLock lock(&mutex_);
  waiting_.bytes -= bytes;
  --waiting_.count;
  CountDown(waiting_.of_label, label);
  CountDown(waiting_.of_submitter, submitter);
}

// When there is room for no more, or soon none, waiting for the end of the epoch helps nobody.
bool Sequencer::ShouldWake() const {
  return stopping_ || (!pending_.empty() && (waiting_.count >= options_.max_pending ||
                                             waiting_.bytes >= options_.max_pending_bytes / 2));
}

void Sequencer::WatchClock() {
  const absl::Status status = clock_guard_.NowMs().status();
  if (status.ok() == clock_believed_) return;
  clock_believed_ = status.ok();
  clock_observer_(status);
}

void Sequencer::Run() {
  // Not the wall clock: setting that back must not stop epochs.
  const auto interval = std::chrono::milliseconds(options_.epoch_interval_ms);
  auto next = std::chrono::steady_clock::now() + interval;
  for (bool stopping = false; !stopping;) {
    std::vector<Submission> pending;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(this, &Sequencer::ShouldWake),
                              absl::FromChrono(next - std::chrono::steady_clock::now()));
      pending.swap(pending_);
      // Nothing is accepted after this, so what was swapped out is the last batch.
      stopping = stopping_;
    }
    next = std::max(next + interval, std::chrono::steady_clock::now());
    WatchClock();
    for (std::span<Submission> rest(pending); !rest.empty();) rest = rest.subspan(CommitSome(rest));
    if (stopping || !IdleTooLong()) continue;
    const absl::StatusOr<uint64_t> timestamp_ms = NextTimestampMs();
    if (!timestamp_ms.ok()) continue;
    std::vector<NewEntry> empty = {{*timestamp_ms, {}}};
    // The observer is told; there is nobody else to answer to.
    AppendEntries(std::move(empty), 0).IgnoreError();
  }
}

// Makes one commit out of the first submissions and answers them. Returns how many that were.
size_t Sequencer::CommitSome(std::span<Submission> pending) {
  const absl::StatusOr<uint64_t> timestamp_ms = NextTimestampMs();
  if (!timestamp_ms.ok()) {
    for (const Submission& submission : pending) submission.done(timestamp_ms.status());
    return pending.size();
  }
  Batch batch(log_.config(), log_.newest());
  const size_t most = std::min(options_.max_versions_per_commit, pending.size());
  size_t taken = 0;
  while (taken < most && batch.value_bytes() < options_.max_value_bytes_per_commit) {
    batch.Add(std::move(pending[taken++]));
  }
  if (!batch.failure().ok()) Report(batch.failure(), 0, absl::ZeroDuration());
  if (batch.empty()) return taken;
  const size_t versions = batch.size();
  const absl::Status status = AppendEntries(
      batch.TakeEntries(*timestamp_ms,
                        std::min(options_.max_versions_per_entry, log_.max_versions_per_entry())),
      versions);
  batch.Answer(ForPublishers(status), log_.newest()->size());
  return taken;
}

absl::Status Sequencer::AppendEntries(std::vector<NewEntry> entries, size_t versions) {
  const absl::Time begin = absl::Now();
  const absl::Status status = log_.Append(entries);
  Report(status, versions, absl::Now() - begin);
  return status;
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
