// SPDX-License-Identifier: Apache-2.0
//
// The log itself: what is published, and the one operation that extends it.
#ifndef KT_SERVER_TRANSPARENCY_LOG_H_
#define KT_SERVER_TRANSPARENCY_LOG_H_

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "base/signature.h"
#include "kt-core/configuration.h"
#include "kt-server/head_guard.h"
#include "kt-server/log_state.h"
#include "kt-server/row_plan.h"
#include "kt-server/store.h"
#include "kt-server/unsaved_proofs.h"
#include "merkle/prefix_tree.h"
#include "vrf/vrf.h"

namespace kt::server {

// A version to be added. Versions of a label are added in order, without gaps.
struct NewVersion {
  base::Bytes label;
  base::Version version = 0;
  core::UpdateValue value;
  // It has the all-zero commitment and no value: "Third Parties / Management".
  bool skipped = false;
};

// A log entry to be appended.
struct NewEntry {
  uint64_t timestamp_ms = 0;
  std::vector<NewVersion> versions;
};

// Entries to be appended, with what can be computed of them before it is known where in the log
// they will stand.
struct PreparedEntries {
  std::vector<NewEntry> entries;
  RowPlan rows;  // borrows the labels of `entries`
};

// Secret keys and the public configuration that goes with them.
struct LogKeys {
  core::Configuration config;
  std::unique_ptr<base::Signer> signer;
  std::unique_ptr<vrf::Prover> vrf;
};

// Any number of readers; one writer. docs/invariants.md states what it guarantees.
class TransparencyLog {
 public:
  // Loads the log from `store`, checks it against `guard` and publishes its newest head, if it has
  // any. kInvalidArgument if the keys are not those of the configuration, kFailedPrecondition if
  // the guard refuses. Borrows all references.
  static absl::StatusOr<std::unique_ptr<TransparencyLog>> Open(
      LogKeys keys, const merkle::PrefixTreeLayout& layout, Store& store, HeadGuard& guard,
      base::Random& random, const merkle::PrefixTreeMemory& memory);

  const core::Configuration& config() const { return keys_.config; }

  // The newest state that users may be shown; null if there is none, see Present. Never waits for a
  // writer. In thirdPartyAuditing mode users refuse a head that is newer by more than
  // max_auditor_lag than the auditor's, so until the auditor has caught up this is an older state.
  std::shared_ptr<const LogState> current() const;

  // The same; if it would be null, kUnavailable and why.
  absl::StatusOr<std::shared_ptr<const LogState>> Present() const;

  // The newest state, which the auditor and the writer work from; null as long as the log has no
  // entries.
  std::shared_ptr<const LogState> newest() const;

  // The same as soon as it has more than `size` entries, or when `timeout` is over.
  std::shared_ptr<const LogState> AwaitGrowth(base::TreeSize size, absl::Duration timeout) const;

  // kPermissionDenied if the value under `commitment` was erased although `shown`, an older state
  // that users are shown, still holds it.
  absl::Status CheckNotErased(const LogState& shown, const base::Hash& commitment) const;

  // Versions that one entry may add: AuditorUpdate.proof has room for 255 results.
  size_t max_versions_per_entry() const;

  // Takes a head that the auditor has signed, and shows it to users from now on once it is durable.
  // A head of the size that is there already changes nothing. kFailedPrecondition if the log is not
  // audited or has not as many entries; kAlreadyExists if it has a greater head of the auditor;
  // kInvalidArgument if the head covers nothing that this auditor audits or has not the timestamp
  // of its last entry; a verification failure ("auditor-tree-head-signature") if it is not the
  // auditor's.
  absl::Status SubmitAuditorHead(const core::AuditorTreeHead& head);

  // VRF proofs for label-versions that are not in the store.
  const vrf::Prover& vrf() const { return *keys_.vrf; }
  UnsavedProofs& unsaved_proofs() const { return unsaved_proofs_; }

  // Makes the VRF proofs that `entries` (at least one) need. Thread-safe, so it may run beside
  // Append, which may add earlier versions of the same labels meanwhile. kInvalidArgument if a
  // label is too long.
  absl::StatusOr<PreparedEntries> Prepare(std::vector<NewEntry> entries) const;

  // Appends what was prepared (timestamps not before that of the last entry), signs the new head,
  // makes it durable and then publishes it. One writer at a time. On failure nothing is published;
  // kResourceExhausted, with nothing tried, if the disk is nearly full; kAlreadyExists if one of
  // the versions is there. If it is not certain what became durable, every later call fails too,
  // until the log is opened again.
  absl::Status Append(PreparedEntries prepared);
  // Both in one.
  absl::Status Append(std::span<const NewEntry> entries);

  // Whether Append would find room, as Store::CheckRoom. Until it does, the log is not writable,
  // and nothing is signed. One writer at a time, as Append.
  absl::Status CheckRoom();

  // Takes no more entries until the log is opened again, because its database is damaged.
  void Halt();

  // Shows the newest head through a new snapshot of the store, so that what was pruned or erased
  // since is not seen any more. An older state that users of an audited log are shown stays.
  absl::Status Renew();

  // OK, or kUnavailable if the log does not accept Append, for good or as long as its disk is full.
  // Fit for publishers' eyes: what failed is only in what Append returned.
  absl::Status writable() const;

 private:
  // A version that gets a value, and what its row is to say of it.
  struct Publication {
    const NewVersion& version;
    VersionRow::Existing& existing;
  };

  TransparencyLog(LogKeys keys, Store& store, HeadGuard& guard, base::Random& random);

  absl::Status Load(const merkle::PrefixTreeLayout& layout, const merkle::PrefixTreeMemory& memory);
  absl::StatusOr<base::Hash> LoadTimestamps(const Snapshot& snapshot);
  absl::Status Stage(const Snapshot& snapshot, PreparedEntries* prepared, CommitBatch* batch,
                     std::vector<merkle::PrefixChanges>* changes);
  // Makes the commitments, and the rows of the values; on all processors if they are many.
  absl::Status MakeCommitments(std::span<const Publication> publications, CommitBatch* batch);
  absl::Status AppendLogEntries(std::span<const NewEntry> entries,
                                std::span<const base::Hash> prefix_roots,
                                merkle::LogTreeBuilder* builder, CommitBatch* batch) const;
  absl::Status Publish(std::span<const NewEntry> entries, const HeadRow& head);
  absl::Status LoadAuditorHead(const Snapshot& snapshot);
  absl::Status VerifyAuditorHead(const Snapshot& snapshot, const core::AuditorTreeHead& head) const;
  void SetNewest(std::shared_ptr<const LogState> state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool audited() const;
  void Fail(const char* why);
  // Remembers whether `status` says that the disk is full, and returns it.
  absl::Status NoteRoom(absl::Status status);

  const LogKeys keys_;
  Store& store_;
  HeadGuard& guard_;
  base::Random& random_;
  std::shared_ptr<merkle::PrefixTree> tree_;
  const std::shared_ptr<TimestampTable> timestamps_ = std::make_shared<TimestampTable>();
  const std::shared_ptr<NodeCache> nodes_ = std::make_shared<NodeCache>();
  mutable UnsavedProofs unsaved_proofs_;

  std::unique_ptr<base::Verifier> auditor_key_;  // thirdPartyAuditing

  // One submission at a time, so that what is stored never goes back.
  absl::Mutex auditor_mutex_;

  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(auditor_mutex_);
  std::shared_ptr<const LogState> newest_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const LogState> current_ ABSL_GUARDED_BY(mutex_);
  std::optional<core::AuditorTreeHead> auditor_head_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  bool full_ ABSL_GUARDED_BY(mutex_) = false;  // the disk, when it was last looked at
};

}  // namespace kt::server
#endif  // KT_SERVER_TRANSPARENCY_LOG_H_
