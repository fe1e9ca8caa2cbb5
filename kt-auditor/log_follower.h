// SPDX-License-Identifier: Apache-2.0
#ifndef KT_AUDITOR_LOG_FOLLOWER_H_
#define KT_AUDITOR_LOG_FOLLOWER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/signature.h"
#include "kt-auditor/event_log.h"
#include "kt-auditor/log_auditor.h"
#include "kt-auditor/log_connection.h"
#include "kt-auditor/state_file.h"

namespace kt::auditor {

struct FollowerOptions {
  std::string name;                // in log lines
  base::Hash fingerprint;          // of the log's configuration
  std::string evidence_path;       // where what a misbehaving log sent is kept
  uint64_t save_every_ms = 5'000;  // while catching up, how much work a crash may cost
};

// Audits one log: verifies what it streams, and signs and hands back a head whenever the log's own
// signature shows that its users see the very tree that was verified. Not thread-safe.
class LogFollower {
 public:
  // `secret` is the auditor's key for this log. Borrows all references.
  LogFollower(FollowerOptions options, const base::SecretBytes& secret, LogConnection& connection,
              StateFile& file, EventLog& events, const base::Clock& clock);

  // Follows the log until the stream ends, and returns why; kDeadlineExceeded, kUnavailable and the
  // like are reasons to call it again. kFailedPrecondition if the log, its configuration or the key
  // is not the one that is expected, or if the log has fewer entries than were verified: nothing
  // can be signed as long as that lasts. kOutOfRange if the log no longer keeps what comes next,
  // and that can have expired: this state can never be gone on from. A verification failure means
  // that the log has been caught: evidence and reason are stored, nothing is signed any more, and
  // every later call fails at once.
  absl::Status Follow();

  // How many messages the log has streamed so far: whether it was reached.
  uint64_t messages() const { return messages_; }

 private:
  absl::Status Prepare();
  absl::StatusOr<core::AuditorState> BeginningState(const core::Configuration& config);
  absl::Status OnRecord(const AuditRecord& record);
  // What it means that the log says of the updates behind `state` that they have expired; any other
  // status as it is.
  absl::Status OfExpiry(const absl::Status& status, const core::Configuration& config,
                        const core::AuditorState& state) const;
  absl::Status SignAndRelease();
  absl::Status Release(const core::AuditorTreeHead& head);
  absl::Status SaveProgress();
  absl::Status Halt(const absl::Status& why, const AuditRecord* record);

  const FollowerOptions options_;
  const base::SecretBytes& secret_;
  LogConnection& connection_;
  StateFile& file_;
  EventLog& events_;
  const base::Clock& clock_;

  std::unique_ptr<LogAuditor> auditor_;  // once the configuration is known
  std::unique_ptr<base::Signer> signer_;
  uint64_t saved_ms_ = 0;
  uint64_t messages_ = 0;
};

}  // namespace kt::auditor
#endif  // KT_AUDITOR_LOG_FOLLOWER_H_
