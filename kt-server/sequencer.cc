// SPDX-License-Identifier: Apache-2.0
#include "kt-server/sequencer.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/parallel.h"
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

// Fills log entries with what submissions made, in order. Their timestamps come when they are
// appended.
class EntryPacker {
 public:
  explicit EntryPacker(size_t max_versions) : max_versions_(max_versions) {}

  // Adds the versions of one label that belong together. Returns the index of their entry.
  size_t Add(std::vector<NewVersion> versions, bool alone) {
    size_t bytes = 0;
    for (const NewVersion& version : versions) bytes += version.value.value.size();
    const base::Bytes& label = versions.front().label;
    if (entries_.empty() || !HasRoom(label, versions.size(), bytes, alone)) {
      entries_.emplace_back();
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

  const size_t max_versions_;
  std::vector<NewEntry> entries_;
  absl::flat_hash_map<base::Bytes, Share> labels_;
};

}  // namespace

NewValues::NewValues(std::vector<base::Bytes> plain) {
  for (base::Bytes& value : plain) values.push_back({std::move(value), {}});
}

// The submissions of one commit and the versions they become.
class Sequencer::Batch {
 public:
  // Takes as many of `waiting` as one commit is to hold, at least one. They find what the log holds
  // now, and what `before` adds, which is being committed (nullptr: nothing is).
  Batch(const SequencerOptions& options, const TransparencyLog& log, const Batch* before,
        std::deque<Submission>* waiting)
      : config_(log.config()),
        state_(log.newest()),
        before_(before),
        max_versions_per_entry_(
            std::min(options.max_versions_per_entry, log.max_versions_per_entry())) {
    while (!waiting->empty() && size_ < options.max_versions_per_commit &&
           value_bytes_ < options.max_value_bytes_per_commit) {
      Add(std::move(waiting->front()));
      waiting->pop_front();
    }
    if (size_ > 0) prepared_ = log.Prepare(PackEntries());
    before_ = nullptr;  // which may go now
  }

  // Of versions.
  size_t size() const { return size_; }
  // OK, or why some submissions were not looked at.
  const absl::Status& failure() const { return failure_; }

  // What is to be appended, if size() is not 0; once.
  absl::StatusOr<PreparedEntries> TakePrepared() { return std::move(prepared_); }

  // `status`: of the commit. `size_before`: of the log.
  void Answer(const absl::Status& status, base::TreeSize size_before, base::TreeSize size_after) {
    for (Item& item : items_) {
      // What it holds counts as waiting until it is answered.
      const Submission submission = std::move(item.submission);
      if (!status.ok()) {
        submission.done(status);
      } else if (!item.refusal.ok()) {
        submission.done(item.refusal);
      } else {
        submission.done(Outcome{item.greatest, size_before + item.entry, size_after});
      }
    }
  }

  // The reverse of taking its submissions.
  void GiveBack(std::deque<Submission>* waiting) {
    for (; !items_.empty(); items_.pop_back()) {
      waiting->push_front(std::move(items_.back().submission));
    }
  }

 private:
  struct Item {
    Submission submission;
    absl::Status refusal;
    std::vector<NewVersion> versions;  // unless it is refused; until they are packed
    base::Version greatest = 0;
    size_t entry = 0;  // of those of the commit
  };

  // The newest value of a label.
  struct Newest {
    std::optional<CurrentValue> value;
    bool added = false;  // by this batch
  };

  // Runs the submission's mutation on the label's newest value, this batch's changes included.
  void Add(Submission submission) {
    Item& item = items_.emplace_back();
    item.submission = std::move(submission);
    absl::StatusOr<std::vector<NewVersion>> versions = Mutate(item.submission);
    item.refusal = versions.status();
    if (!versions.ok()) return;
    size_ += versions->size();
    item.greatest = versions->back().version;
    item.versions = *std::move(versions);
  }

  std::vector<NewEntry> PackEntries() {
    EntryPacker packer(max_versions_per_entry_);
    for (Item& item : items_) {
      if (!item.refusal.ok()) continue;
      item.entry = packer.Add(std::move(item.versions), item.submission.alone);
    }
    return packer.Take();
  }

  absl::StatusOr<std::vector<NewVersion>> Mutate(const Submission& submission) {
    KT_ASSIGN_OR_RETURN(Newest* const newest, NewestOf(submission.label));
    std::optional<CurrentValue>& current = newest->value;
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
    newest->added = true;
    std::vector<NewVersion> versions;
    versions.reserve(count);
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

  // That of a label, to be changed.
  absl::StatusOr<Newest*> NewestOf(const base::Bytes& label) {
    const auto [entry, is_new] = newest_.try_emplace(label);
    Newest& newest = entry->second;
    if (!is_new) return &newest;
    const Newest* const added = before_ == nullptr ? nullptr : before_->AddedTo(label);
    if (added != nullptr) {
      newest.value = added->value;
    } else {
      absl::StatusOr<std::optional<CurrentValue>> stored = ReadCurrent(label);
      if (!stored.ok()) {
        newest_.erase(entry);
        failure_ = stored.status();
        return ForPublishers(failure_);
      }
      newest.value = *std::move(stored);
    }
    if (newest.value.has_value()) value_bytes_ += newest.value->value.size();
    return &newest;
  }

  // Null if this batch adds nothing to the label. What it only read may have been erased since.
  const Newest* AddedTo(const base::Bytes& label) const {
    const auto found = newest_.find(label);
    return found == newest_.end() || !found->second.added ? nullptr : &found->second;
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
  const std::shared_ptr<const LogState> state_;  // what is erased is reclaimed once it is let go
  const Batch* before_;
  const size_t max_versions_per_entry_;
  absl::flat_hash_map<base::Bytes, Newest> newest_;  // read by the next batch, too
  std::vector<Item> items_;
  absl::StatusOr<PreparedEntries> prepared_;
  size_t size_ = 0;
  size_t value_bytes_ = 0;  // of the values that were read and those that are to be written
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
  std::unique_ptr<Batch> batch = Begin(&waiting);
  bool grew = false;  // by the last commit
  while (batch != nullptr) {
    // An epoch in which the log does not grow has an end, so that it gets an entry for its age.
    if (waiting.empty() && grew) waiting = TakePendingIfFull();
    std::unique_ptr<Batch> next;
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
std::unique_ptr<Sequencer::Batch> Sequencer::Begin(std::deque<Submission>* waiting) {
  WatchClock();
  WatchRoom();
  if (const absl::Status status = CanAppend(); !status.ok()) {
    for (const Submission& submission : std::exchange(*waiting, {})) submission.done(status);
  }
  if (waiting->empty()) return nullptr;
  return std::make_unique<Batch>(options_, log_, nullptr, waiting);
}

// Commits `batch`, and makes the next out of `waiting` if there is any. Returns whether the commit
// succeeded.
bool Sequencer::CommitAndPrepare(Batch* batch, std::deque<Submission>* waiting,
                                 std::unique_ptr<Batch>* next) {
  const auto prepare = [&] { *next = std::make_unique<Batch>(options_, log_, batch, waiting); };
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
    if (!ShouldWake() || pending_.size() < options_.max_versions_per_commit / 2) return {};
  }
  WatchClock();
  WatchRoom();
  return TakePending();
}

// Appends what the batch holds and answers its submissions. Returns whether it succeeded.
bool Sequencer::Commit(Batch* batch) {
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
