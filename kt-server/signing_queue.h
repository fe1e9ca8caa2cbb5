// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_SIGNING_QUEUE_H_
#define KT_SERVER_SIGNING_QUEUE_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "kt-core/response_verifier.h"
#include "kt-server/event_log.h"
#include "kt-server/head_follower.h"
#include "kt-server/manager_client.h"
#include "kt-server/operator_files.h"
#include "kt-server/submitter.h"
#include "kt-server/waiting_room.h"

namespace kt::server {

// Where submissions go when a manager hosts the log: each is turned into the label's next values,
// which are signed and sent to the manager. Submissions for one label take their turn; those for
// different labels go side by side. Thread-safe.
//
// A value is signed for a version of the signing record's choice, so an answer that got lost costs
// a version at most: what the manager has not added by then it skips.
class SigningQueue : public Submitter {
 public:
  // Borrows all references.
  SigningQueue(const WaitingRoom::Limits& limits, OperatorKeys& keys,
               const core::ResponseVerifier& verifier, ManagerClient& manager,
               HeadFollower& follower, const base::Clock& clock, EventLog& events);

  // As Submitter. Outcome.position is what the manager says; that it has added the values is
  // verified, by the owner if Submission.last is set, otherwise here.
  absl::Status Submit(Submission submission) override;

  // The label's greatest version, verified unless it was erased; nullopt if it has none. `done` is
  // called exactly once: kResourceExhausted if the manager has too much to do, otherwise
  // kUnavailable.
  using Found = std::function<void(absl::StatusOr<std::optional<CurrentValue>>)>;
  void FindCurrent(const base::Bytes& label, Found done);

  // Takes no more submissions, and waits at most `grace` for those that there are.
  void Drain(absl::Duration grace);

  // A submission whose turn has come; for the implementation.
  struct Job {
    Submission submission;
    int attempts = 0;
    core::UpdateRequest request;
    base::Version first = 0;  // of the versions that were signed
    uint32_t skipped_versions = 0;
    std::optional<Outcome> outcome;  // once its values were added
  };

 private:
  using JobPtr = std::shared_ptr<Job>;
  struct Lookup;

  void Begin(const JobPtr& job);
  void Sign(const JobPtr& job, const std::optional<CurrentValue>& current);
  absl::StatusOr<core::ManagerUpdateRequest> MakeRequest(
      Job& job, const std::optional<CurrentValue>& current);
  void Send(const JobPtr& job, const core::ManagerUpdateRequest& request);
  absl::Status Received(Job& job, base::ByteView response) const;
  void Ended(const JobPtr& job, const absl::Status& status);
  void Confirm(const JobPtr& job);
  void End(const JobPtr& job, const absl::StatusOr<Outcome>& outcome);
  void Ask(const std::shared_ptr<Lookup>& lookup);
  void Refused(const std::shared_ptr<Lookup>& lookup, const absl::Status& status);
  void AskForPrevious(const std::shared_ptr<Lookup>& lookup);
  absl::StatusOr<std::optional<CurrentValue>> Verify(const Lookup& lookup) const;

  OperatorKeys& keys_;
  const core::ResponseVerifier& verifier_;
  ManagerClient& manager_;
  HeadFollower& follower_;
  const base::Clock& clock_;
  EventLog& events_;

  absl::Mutex mutex_;
  WaitingRoom room_ ABSL_GUARDED_BY(mutex_);
  // Of each label with submissions those that wait; the first one is at work.
  std::map<base::Bytes, std::deque<JobPtr>> jobs_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace kt::server
#endif  // KT_SERVER_SIGNING_QUEUE_H_
