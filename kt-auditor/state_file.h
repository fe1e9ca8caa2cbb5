// SPDX-License-Identifier: Apache-2.0
//
// What the auditor of one log must not forget. A signed head leaves the process only after it is in
// this file, so no crash can make the auditor sign two roots for one size.
#ifndef KT_AUDITOR_STATE_FILE_H_
#define KT_AUDITOR_STATE_FILE_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/types.h"
#include "kt-core/auditor_update_verifier.h"

namespace kt::auditor {

struct StoredState {
  core::AuditorState state;
  // The newest head that was, or may have been, released.
  std::optional<core::AuditorTreeHead> signed_head;
  // Why nothing is signed any more; empty if the log has behaved.
  base::Bytes halted;

  bool operator==(const StoredState&) const = default;
  static constexpr auto Fields() {
    return base::codec::List(&StoredState::state, &StoredState::signed_head,
                             base::codec::Opaque<uint16_t>(&StoredState::halted));
  }
};

// Reads the file at `path`. kNotFound if there is none, kDataLoss if it is not exactly what was
// written, kFailedPrecondition if it belongs to another log. `log_id` is the fingerprint of the
// log's configuration.
absl::StatusOr<StoredState> ReadStoredState(const std::string& path, const base::Hash& log_id);

// The file, held by one process. Not thread-safe.
class StateFile {
 public:
  // Starts with an empty state if there is no file. kAborted if another process holds it, otherwise
  // as ReadStoredState.
  static absl::StatusOr<std::unique_ptr<StateFile>> Open(const std::string& path,
                                                         const base::Hash& log_id);

  const StoredState& stored() const { return stored_; }

  // Replaces the state in one step and syncs. kFailedPrecondition, with nothing written, if the
  // state would go back, or if the signed head would: a size is signed once. After an I/O error
  // every further call fails, since nobody knows what is in the file.
  absl::Status Save(StoredState next);

 private:
  StateFile(std::string path, const base::Hash& log_id, base::FileLock lock)
      : path_(std::move(path)), log_id_(log_id), lock_(std::move(lock)) {}

  const std::string path_;
  const base::Hash log_id_;
  const base::FileLock lock_;
  StoredState stored_;
  absl::Status failure_;
};

}  // namespace kt::auditor
#endif  // KT_AUDITOR_STATE_FILE_H_
