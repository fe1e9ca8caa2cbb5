// SPDX-License-Identifier: Apache-2.0
#include "kt-server/sequencer.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <limits>
#include <map>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "kt-server/version_rows.h"

namespace kt::server {

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

  bool empty() const { return versions_.empty(); }
  size_t size() const { return versions_.size(); }

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
      KT_ASSIGN_OR_RETURN(std::optional<CurrentValue> stored, ReadCurrent(submission.label));
      newest = newest_.emplace(submission.label, std::move(stored)).first;
    }
    std::optional<CurrentValue>& current = newest->second;
    KT_ASSIGN_OR_RETURN(base::Bytes value,
                        submission.mutation(current.has_value() ? &*current : nullptr));
    if (current.has_value() && current->version == std::numeric_limits<base::Version>::max()) {
      return absl::ResourceExhaustedError("the address has no version numbers left");
    }
    const base::Version version = current.has_value() ? current->version + 1 : 0;
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
};

Sequencer::Sequencer(const SequencerOptions& options, TransparencyLog& log,
                     const base::Clock& clock, Observer observer)
    : options_(options), log_(log), clock_(clock), observer_(std::move(observer)) {}

Sequencer::~Sequencer() { Stop(); }

absl::Status Sequencer::Start() {
  if (log_.current() == nullptr) {
    std::vector<NewEntry> first = {{NextTimestampMs(), {}}};
    KT_RETURN_IF_ERROR(AppendEntries(std::move(first), 0));
  }
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

absl::Status Sequencer::Submit(base::Bytes label, Mutation mutation, Done done) {
  KT_RETURN_IF_ERROR(log_.writable());
  absl::MutexLock lock(&mutex_);
  if (stopping_ || !running_) return absl::UnavailableError("the log is not accepting submissions");
  if (pending_.size() >= options_.max_pending) {
    return absl::ResourceExhaustedError("too many submissions are waiting; try again later");
  }
  pending_.push_back({std::move(label), std::move(mutation), std::move(done)});
  return absl::OkStatus();
}

bool Sequencer::ShouldWake() const { return stopping_ || pending_.size() >= options_.max_pending; }

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
    auto begin = std::make_move_iterator(pending.begin());
    for (size_t done = 0; done < pending.size(); done += options_.max_versions_per_commit) {
      const size_t count = std::min(options_.max_versions_per_commit, pending.size() - done);
      CommitPending(
          {begin + static_cast<ptrdiff_t>(done), begin + static_cast<ptrdiff_t>(done + count)});
    }
    if (!stopping && IdleTooLong()) {
      std::vector<NewEntry> empty = {{NextTimestampMs(), {}}};
      // The observer is told; there is nobody else to answer to.
      AppendEntries(std::move(empty), 0).IgnoreError();
    }
  }
}

void Sequencer::CommitPending(std::vector<Submission> pending) {
  Batch batch(log_.config(), log_.current());
  for (Submission& submission : pending) batch.Add(std::move(submission));
  if (batch.empty()) return;
  const size_t versions = batch.size();
  const absl::Status status = AppendEntries(
      batch.TakeEntries(NextTimestampMs(), options_.max_versions_per_entry), versions);
  batch.Answer(status, log_.current()->size());
}

absl::Status Sequencer::AppendEntries(std::vector<NewEntry> entries, size_t versions) {
  const absl::Time begin = absl::Now();
  CommitReport report;
  report.status = log_.Append(entries);
  report.versions = versions;
  report.duration_ms = absl::ToDoubleMilliseconds(absl::Now() - begin);
  const std::shared_ptr<const LogState> state = log_.current();
  report.tree_size = state == nullptr ? 0 : state->size();
  observer_(report);
  return report.status;
}

bool Sequencer::IdleTooLong() const {
  const std::shared_ptr<const LogState> state = log_.current();
  const absl::StatusOr<uint64_t> newest_ms = state->Timestamp(state->size() - 1);
  const uint64_t now_ms = clock_.NowMs();
  return log_.writable().ok() && newest_ms.ok() && now_ms > *newest_ms &&
         now_ms - *newest_ms >= options_.max_idle_ms;
}

// Timestamps are monotonic even if the clock is not.
uint64_t Sequencer::NextTimestampMs() const {
  const std::shared_ptr<const LogState> state = log_.current();
  if (state == nullptr) return clock_.NowMs();
  const absl::StatusOr<uint64_t> newest_ms = state->Timestamp(state->size() - 1);
  return std::max(newest_ms.value_or(0), clock_.NowMs());
}

}  // namespace kt::server
