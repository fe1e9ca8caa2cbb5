// SPDX-License-Identifier: Apache-2.0
//
// Remembers, apart from the database, the greatest tree head that was ever released. A log that
// goes back behind it, or that has another root at its size, would show its users two histories:
// after a restored backup, a second instance or damage, such a server must not sign.
//
// How to use it: commit, Advance, release the head. When starting: Open, CheckAgainst the
// database, then Advance to the database's head before releasing that.
#ifndef KT_SERVER_HEAD_GUARD_H_
#define KT_SERVER_HEAD_GUARD_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/file.h"
#include "base/types.h"
#include "kt-server/store.h"

namespace kt::server {

struct GuardedHead {
  base::TreeSize tree_size = 0;  // 0: no head was released yet
  base::Hash root;               // zero if tree_size is 0
  bool operator==(const GuardedHead&) const = default;
};

// Thread-safe. Holds an exclusive lock on the file `path`.lock for its lifetime.
class HeadGuard {
 public:
  enum class IfMissing {
    kRefuse,  // what a running log needs: a lost guard is a reason to stop
    kCreate,  // only when a log is created, or an operator says that the database is the newest
  };

  // `log_id` is the SHA-256 of the public parts of the log's configuration.
  // kNotFound if there is no file and none may be created; kAborted if another process holds the
  // guard; kDataLoss if the file is not exactly what was last written, whatever the cause;
  // kFailedPrecondition if it guards another log. Borrows `calls`.
  static absl::StatusOr<std::unique_ptr<HeadGuard>> Open(
      const std::string& path, const base::Hash& log_id, IfMissing if_missing,
      const base::FileCalls& calls = base::FileCalls::System());
  HeadGuard(const HeadGuard&) = delete;
  HeadGuard& operator=(const HeadGuard&) = delete;
  ~HeadGuard();

  GuardedHead head() const;

  // The root of the database's log when it had so many entries.
  using RootAt = std::function<absl::StatusOr<base::Hash>(base::TreeSize)>;

  // OK if a database of `tree_size` entries contains the guarded head. kFailedPrecondition, saying
  // what may have happened, if it is behind or has another root there. It may be ahead: after a
  // crash, the last commit may not have reached the guard, and its head was not released.
  absl::Status CheckAgainst(base::TreeSize tree_size, const RootAt& root_at) const;

  // Remembers a head that is about to be released, and syncs. kFailedPrecondition, and the head
  // must not be released, if it is smaller than the guarded one or has another root at its size.
  // After an I/O error every further call fails: nobody knows what is in the file.
  absl::Status Advance(base::TreeSize tree_size, const base::Hash& root);

 private:
  HeadGuard(std::string path, const base::Hash& log_id, base::FileLock lock,
            const base::FileCalls& calls);

  absl::Status Create();
  absl::Status Load();

  const std::string path_;
  const base::Hash log_id_;
  const base::FileLock lock_;
  const base::FileCalls& calls_;

  mutable absl::Mutex mutex_;
  int fd_ ABSL_GUARDED_BY(mutex_) = -1;
  GuardedHead head_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;  // of head_; counts writes
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

// The root of the log in `snapshot` when it had `size` entries: 1..snapshot.head().tree_size.
// kOutOfRange if that is behind the horizon, kDataLoss if nodes are missing, or at full size if the
// root is not that of the head.
absl::StatusOr<base::Hash> LogRootAt(const Snapshot& snapshot, base::TreeSize size);

// HeadGuard::CheckAgainst with the log in `snapshot`, of which it may also be that LogRootAt fails.
absl::Status CheckGuarded(const HeadGuard& guard, const Snapshot& snapshot);

}  // namespace kt::server
#endif  // KT_SERVER_HEAD_GUARD_H_
