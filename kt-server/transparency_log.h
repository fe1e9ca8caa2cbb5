// SPDX-License-Identifier: Apache-2.0
//
// The log itself: what is published, and the one operation that extends it.
#ifndef KT_SERVER_TRANSPARENCY_LOG_H_
#define KT_SERVER_TRANSPARENCY_LOG_H_

#include <memory>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/random.h"
#include "base/signature.h"
#include "kt-core/configuration.h"
#include "kt-server/head_guard.h"
#include "kt-server/log_state.h"
#include "kt-server/store.h"
#include "merkle/prefix_tree.h"
#include "vrf/vrf.h"

namespace kt::server {

// A version to be added. Versions of a label are added in order, without gaps.
struct NewVersion {
  base::Bytes label;
  base::Version version = 0;
  core::UpdateValue value;
};

// A log entry to be appended.
struct NewEntry {
  uint64_t timestamp_ms = 0;
  std::vector<NewVersion> versions;
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
      base::Random& random);

  const core::Configuration& config() const { return keys_.config; }

  // The newest published state; null as long as the log has no entries. Never waits for a writer.
  std::shared_ptr<const LogState> current() const;

  // VRF proofs for label-versions that are not in the store.
  const vrf::Prover& vrf() const { return *keys_.vrf; }

  // Appends `entries` (at least one; timestamps not before that of the last entry), signs the new
  // head, makes it durable and then publishes it. One writer at a time. On failure nothing is
  // published; if it is not certain what became durable, every later call fails too, until the log
  // is opened again.
  absl::Status Append(std::span<const NewEntry> entries);

  // OK, or why the log no longer accepts Append.
  absl::Status writable() const;

 private:
  TransparencyLog(LogKeys keys, Store& store, HeadGuard& guard, base::Random& random);

  absl::Status Load(const merkle::PrefixTreeLayout& layout);
  absl::Status Stage(const Snapshot& snapshot, std::span<const NewEntry> entries,
                     CommitBatch* batch, std::vector<merkle::PrefixChanges>* changes);
  absl::Status AppendLogEntries(std::span<const NewEntry> entries,
                                std::span<const base::Hash> prefix_roots,
                                merkle::LogTreeBuilder* builder, CommitBatch* batch) const;
  absl::Status Publish(std::span<const NewEntry> entries, const HeadRow& head);
  void Fail(const absl::Status& status);

  const LogKeys keys_;
  Store& store_;
  HeadGuard& guard_;
  base::Random& random_;
  std::shared_ptr<merkle::PrefixTree> tree_;
  const std::shared_ptr<TimestampTable> timestamps_ = std::make_shared<TimestampTable>();

  mutable absl::Mutex mutex_;
  std::shared_ptr<const LogState> state_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kt::server
#endif  // KT_SERVER_TRANSPARENCY_LOG_H_
