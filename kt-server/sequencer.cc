// SPDX-License-Identifier: Apache-2.0
#include "kt-server/sequencer.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "kt-core/update.h"
#include "kt-server/version_rows.h"

namespace kt::server {
namespace {

// What is wrong with the disk is for the operator; publishers would learn paths from it.
absl::Status ForPublishers(const absl::Status& failure) {
  if (failure.ok()) return failure;
  return absl::UnavailableError(
      "the log could not take the publication; its operator's log says why");
}

// An owner is told of all versions of a label that a log entry added in one response, of which a
// client takes 4 MiB.
constexpr size_t kMaxLabelBytesPerEntry = 2 << 20;

// Fills log entries with what submissions made, in order.
class EntryPacker {
 public:
  EntryPacker(uint64_t timestamp_ms, size_t max_versions)
      : timestamp_ms_(timestamp_ms), max_versions_(max_versions) {}

  // Adds the versions of one label that belong together. Returns the index of their entry.
  size_t Add(std::vector<NewVersion> versions, bool alone) {
    size_t bytes = 0;
    for (const NewVersion& version : versions) bytes += version.value.value.size();
    const base::Bytes& label = versions.front().label;
    if (entries_.empty() || !HasRoom(label, versions.size(), bytes, alone)) {
      entries_.push_back({timestamp_ms_, {}});
      labels_.clear();
    }
    Share& share = labels_[label];
    share.versions += versions.size();
    share.bytes += bytes;
    share.alone = alone;
    std::move(versions.begin(), versions.end(), std::back_inserter(entries_.back().versions));
    return entries_.size() - 1;
  }

  std::vector<NewEntry> Take() { return std::move(entries_); }

 private:
  // Of one label in the newest entry.
  struct Share {
    size_t versions = 0;
    size_t bytes = 0;
    bool alone = false;
  };

  bool HasRoom(const base::Bytes& label, size_t versions, size_t bytes, bool alone) const {
    if (entries_.back().versions.size() + versions > max_versions_) return false;
    const auto found = labels_.find(label);
    if (found == labels_.end()) return true;
    const Share& share = found->second;
    return !share.alone && !alone && share.versions + versions <= core::kMaxVersionsInEntry &&
           share.bytes + bytes <= kMaxLabelBytesPerEntry;
  }

  const uint64_t timestamp_ms_;
  const size_t max_versions_;
  std::vector<NewEntry> entries_;
  std::map<base::Bytes, Share> labels_;
};

}  // namespace

NewValues::NewValues(std::vector<base::Bytes> plain) {
  for (base::Bytes& value : plain) values.push_back({std::move(value), {}});
}

// The submissions of one commit and the versions they become.
class Sequencer::Batch {
 public:
  Batch(const core::Configuration& config, std::shared_ptr<const LogState> state,
        size_t max_versions_per_entry)
      : config_(config),
        state_(std::move(state)),
        max_versions_per_entry_(max_versions_per_entry) {}

  // Runs the submission's mutation on the label's newest value, this batch's changes included.
  void Add(Submission submission) {
    absl::StatusOr<std::vector<NewVersion>> versions = Mutate(submission);
    if (!versions.ok()) {
      refused_.push_back({std::move(submission.done), versions.status()});
      return;
    }
    size_ += versions->size();
    const base::Version greatest = versions->back().version;
    accepted_.push_back({std::move(submission.done), *std::move(versions), submission.alone,
                         Outcome{greatest, 0, 0}});
  }

  // OK, or why some submissions were not looked at.
  const absl::Status& failure() const { return failure_; }
  // Of versions.
  size_t size() const { return size_; }
  // Of the values that were read and those that are to be written.
  size_t value_bytes() const { return value_bytes_; }

  // The log entries, and remembers which submission went into which.
  std::vector<NewEntry> TakeEntries(uint64_t timestamp_ms) {
    EntryPacker packer(timestamp_ms, max_versions_per_entry_);
    for (Accepted& accepted : accepted_) {
      const size_t entry = packer.Add(std::move(accepted.versions), accepted.alone);
      accepted.outcome.position = state_->size() + entry;
    }
    return packer.Take();
  }

  // `status`: of the commit.
  void Answer(const absl::Status& status, base::TreeSize tree_size) {
    for (Accepted& accepted : accepted_) {
      accepted.outcome.tree_size = tree_size;
      if (status.ok()) {
        accepted.done(accepted.outcome);
      } else {
        accepted.done(status);
      }
    }
    for (Refused& refused : refused_) refused.done(status.ok() ? refused.status : status);
  }

 private:
  struct Accepted {
    Done done;
    std::vector<NewVersion> versions;
    bool alone;
    Outcome outcome;
  };
  struct Refused {
    Done done;
    absl::Status status;
  };

  absl::StatusOr<std::vector<NewVersion>> Mutate(const Submission& submission) {
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
    KT_ASSIGN_OR_RETURN(NewValues added,
                        submission.mutation(current.has_value() ? &*current : nullptr));
    const uint64_t count = uint64_t{added.skipped_versions} + added.values.size();
    if (added.values.empty() || count > core::kMaxVersionsInEntry ||
        count > max_versions_per_entry_) {
      return absl::InvalidArgumentError("too many versions for one log entry, or none");
    }
    size_t bytes = 0;
    for (const core::UpdateValue& update : added.values) bytes += update.value.size();
    if (bytes > kMaxLabelBytesPerEntry) {
      return absl::InvalidArgumentError("the values are too long for one log entry");
    }
    const uint64_t first = current.has_value() ? uint64_t{current->version} + 1 : 0;
    if (first + count - 1 > std::numeric_limits<base::Version>::max()) {
      return absl::ResourceExhaustedError("the address has no version numbers left");
    }
    value_bytes_ += bytes;
    std::vector<NewVersion> versions;
    const auto next = [&] { return static_cast<base::Version>(first + versions.size()); };
    while (versions.size() < added.skipped_versions) {
      versions.push_back({submission.label, next(), {}, /*skipped=*/true});
    }
    for (core::UpdateValue& update : added.values) {
      current = CurrentValue{.version = next(), .value = update.value};
      versions.push_back({submission.label, next(), std::move(update)});
    }
    return versions;
  }

  absl::StatusOr<std::optional<CurrentValue>> ReadCurrent(base::ByteView label) const {
    // Most submissions of a growing log are of new labels, which a filter tells without a seek.
    constexpr base::Version kFirst[] = {0};
    KT_ASSIGN_OR_RETURN(const auto first, state_->snapshot().ReadVersionRows(label, kFirst));
    if (!first[0].has_value()) return std::nullopt;
    KT_ASSIGN_OR_RETURN(const LabelRows rows, ReadLabel(state_->snapshot(), label));
    if (!rows.greatest.has_value()) return std::nullopt;
    absl::StatusOr<OpenedValue> opened =
        ReadOpenedValue(state_->snapshot(), rows.rows.at(*rows.greatest), config_);
    if (absl::IsPermissionDenied(opened.status())) {
      return CurrentValue{.version = *rows.greatest, .value = {}, .erased = true};
    }
    KT_RETURN_IF_ERROR(opened.status());
    return CurrentValue{.version = *rows.greatest, .value = std::move(opened->value.value)};
  }

  const core::Configuration& config_;
  const std::shared_ptr<const LogState> state_;
  const size_t max_versions_per_entry_;
  std::map<base::Bytes, std::optional<CurrentValue>> newest_;
  std::vector<Accepted> accepted_;
  std::vector<Refused> refused_;
  size_t size_ = 0;
  size_t value_bytes_ = 0;
  absl::Status failure_;
};

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
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

absl::Status Sequencer::Prepare() {
  if (log_.newest() == nullptr) {
    KT_ASSIGN_OR_RETURN(const uint64_t timestamp_ms, NextTimestampMs());
    std::vector<NewEntry> first = {{timestamp_ms, {}}};
    KT_RETURN_IF_ERROR(AppendEntries(std::move(first), 0));
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
  KT_RETURN_IF_ERROR(log_.writable());
  KT_RETURN_IF_ERROR(clock_guard_.NowMs().status());
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
  std::vector<Submission> pending;
  bool stopping = false;
  {
    absl::MutexLock lock(&mutex_);
    pending.swap(pending_);
    // Nothing is accepted after this, so what was swapped out is the last batch.
    stopping = stopping_;
  }
  WatchClock();
  WatchRoom();
  for (std::span<Submission> rest(pending); !rest.empty();) rest = rest.subspan(CommitSome(rest));
  if (stopping) return false;
  if (!IdleTooLong()) return true;
  const absl::StatusOr<uint64_t> timestamp_ms = NextTimestampMs();
  if (!timestamp_ms.ok()) return true;
  std::vector<NewEntry> empty = {{*timestamp_ms, {}}};
  // The observer is told; there is nobody else to answer to.
  AppendEntries(std::move(empty), 0).IgnoreError();
  return true;
}

// Makes one commit out of the first submissions and answers them. Returns how many that were.
size_t Sequencer::CommitSome(std::span<Submission> pending) {
  const absl::StatusOr<uint64_t> timestamp_ms = NextTimestampMs();
  if (!timestamp_ms.ok()) {
    for (const Submission& submission : pending) submission.done(timestamp_ms.status());
    return pending.size();
  }
  Batch batch(log_.config(), log_.newest(),
              std::min(options_.max_versions_per_entry, log_.max_versions_per_entry()));
  size_t taken = 0;
  while (taken < pending.size() && batch.size() < options_.max_versions_per_commit &&
         batch.value_bytes() < options_.max_value_bytes_per_commit) {
    batch.Add(std::move(pending[taken++]));
  }
  if (!batch.failure().ok()) Report(batch.failure(), 0, absl::ZeroDuration());
  absl::Status status;
  if (batch.size() > 0) status = AppendEntries(batch.TakeEntries(*timestamp_ms), batch.size());
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
