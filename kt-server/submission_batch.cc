// SPDX-License-Identifier: Apache-2.0
#include "kt-server/submission_batch.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "base/status.h"
#include "kt-core/update.h"
#include "kt-server/version_rows.h"

namespace kt::server {
namespace {

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

absl::Status ForPublishers(const absl::Status& failure) {
  if (failure.ok()) return failure;
  return absl::UnavailableError(
      "the log could not take the publication; its operator's log says why");
}

SubmissionBatch::SubmissionBatch(const Limits& limits, const TransparencyLog& log,
                                 const SubmissionBatch* before,
                                 std::deque<Submitter::Submission>* waiting)
    : config_(log.config()),
      state_(log.newest()),
      before_(before),
      max_versions_per_entry_(std::min(limits.versions_per_entry, log.max_versions_per_entry())) {
  while (!waiting->empty() && size_ < limits.versions && value_bytes_ < limits.value_bytes) {
    Add(std::move(waiting->front()));
    waiting->pop_front();
  }
  if (size_ > 0) prepared_ = log.Prepare(PackEntries());
  before_ = nullptr;  // which may go now
}

void SubmissionBatch::Answer(const absl::Status& status, base::TreeSize size_before,
                             base::TreeSize size_after) {
  for (Item& item : items_) {
    // What it holds counts as waiting until it is answered.
    const Submitter::Submission submission = std::move(item.submission);
    if (!status.ok()) {
      submission.done(status);
    } else if (!item.refusal.ok()) {
      submission.done(item.refusal);
    } else {
      submission.done(Submitter::Outcome{item.greatest, size_before + item.entry, size_after});
    }
  }
}

void SubmissionBatch::GiveBack(std::deque<Submitter::Submission>* waiting) {
  for (; !items_.empty(); items_.pop_back()) {
    waiting->push_front(std::move(items_.back().submission));
  }
}

// Runs the submission's mutation on the label's newest value, this batch's changes included.
void SubmissionBatch::Add(Submitter::Submission submission) {
  Item& item = items_.emplace_back();
  item.submission = std::move(submission);
  absl::StatusOr<std::vector<NewVersion>> versions = Mutate(item.submission);
  item.refusal = versions.status();
  if (!versions.ok()) return;
  size_ += versions->size();
  item.greatest = versions->back().version;
  item.versions = *std::move(versions);
}

std::vector<NewEntry> SubmissionBatch::PackEntries() {
  EntryPacker packer(max_versions_per_entry_);
  for (Item& item : items_) {
    if (!item.refusal.ok()) continue;
    item.entry = packer.Add(std::move(item.versions), item.submission.alone);
  }
  return packer.Take();
}

absl::StatusOr<std::vector<NewVersion>> SubmissionBatch::Mutate(
    const Submitter::Submission& submission) {
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
absl::StatusOr<SubmissionBatch::Newest*> SubmissionBatch::NewestOf(const base::Bytes& label) {
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
const SubmissionBatch::Newest* SubmissionBatch::AddedTo(const base::Bytes& label) const {
  const auto found = newest_.find(label);
  return found == newest_.end() || !found->second.added ? nullptr : &found->second;
}

absl::StatusOr<std::optional<CurrentValue>> SubmissionBatch::ReadCurrent(
    base::ByteView label) const {
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

}  // namespace kt::server
