// SPDX-License-Identifier: Apache-2.0
//
// The submissions of one commit.
#ifndef KT_SERVER_SUBMISSION_BATCH_H_
#define KT_SERVER_SUBMISSION_BATCH_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/types.h"
#include "kt-core/configuration.h"
#include "kt-server/log_state.h"
#include "kt-server/submitter.h"
#include "kt-server/transparency_log.h"

namespace kt::server {

// What publishers are told of a failure that is the operator's: they would learn paths from it.
absl::Status ForPublishers(const absl::Status& failure);

// Submissions and the versions that they become, prepared for one commit.
class SubmissionBatch {
 public:
  // What one holds in memory at once. The last version may go beyond the bytes.
  struct Limits {
    size_t versions = 20'000;
    size_t value_bytes = 32 << 20;
    size_t versions_per_entry = 65'536;
  };

  // Takes as many of `waiting` as one commit is to hold, at least one. They find what the log holds
  // now, and what `before` adds, which is being committed (nullptr: nothing is).
  SubmissionBatch(const Limits& limits, const TransparencyLog& log, const SubmissionBatch* before,
                  std::deque<Submitter::Submission>* waiting);

  // Of versions.
  size_t size() const { return size_; }
  // OK, or why some submissions were not looked at.
  const absl::Status& failure() const { return failure_; }

  // What is to be appended, if size() is not 0; once.
  absl::StatusOr<PreparedEntries> TakePrepared() { return std::move(prepared_); }

  // `status`: of the commit. `size_before`: of the log.
  void Answer(const absl::Status& status, base::TreeSize size_before, base::TreeSize size_after);

  // The reverse of taking its submissions.
  void GiveBack(std::deque<Submitter::Submission>* waiting);

 private:
  struct Item {
    Submitter::Submission submission;
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

  void Add(Submitter::Submission submission);
  std::vector<NewEntry> PackEntries();
  absl::StatusOr<std::vector<NewVersion>> Mutate(const Submitter::Submission& submission);
  absl::StatusOr<Newest*> NewestOf(const base::Bytes& label);
  const Newest* AddedTo(const base::Bytes& label) const;
  absl::StatusOr<std::optional<CurrentValue>> ReadCurrent(base::ByteView label) const;

  const core::Configuration& config_;
  const std::shared_ptr<const LogState> state_;  // what is erased is reclaimed once it is let go
  const SubmissionBatch* before_;
  const size_t max_versions_per_entry_;
  absl::flat_hash_map<base::Bytes, Newest> newest_;  // read by the next batch, too
  std::vector<Item> items_;
  absl::StatusOr<PreparedEntries> prepared_;
  size_t size_ = 0;
  size_t value_bytes_ = 0;  // of the values that were read and those that are to be written
  absl::Status failure_;
};

}  // namespace kt::server
#endif  // KT_SERVER_SUBMISSION_BATCH_H_
