// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_HEAD_FOLLOWER_H_
#define KT_SERVER_HEAD_FOLLOWER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "kt-core/response_verifier.h"
#include "kt-core/user_state.h"
#include "kt-server/event_log.h"

namespace kt::server {

// Of a HeadFollower's check, when nothing is asked for again: users cannot do with kAborted.
absl::Status LastWord(const absl::Status& checked);

// How a Service Operator notices that its manager forks the log: "the service operator MUST
// implement some mechanism to detect when forks are presented by the third-party manager"
// (draft-ietf-keytrans-architecture, "Third-Party Management").
//
// It follows the log from head to head, as a user who verifies that each extends the one before,
// and no head passes to a user that it has not verified itself. So all users see one history: its
// own. Once the manager is caught, nothing passes any more, and what shows it is kept. Thread-safe.
class HeadFollower {
 public:
  struct Options {
    std::string head_path;      // the newest verified head
    std::string evidence_path;  // what shows that the manager has lied
    // How often the log is asked for a new head if no response shows that there is one.
    absl::Duration poll_interval = absl::Milliseconds(500);
  };
  // Sends an encoded DistinguishedRequest to the manager; gives an encoded DistinguishedResponse.
  using Ask = std::function<absl::StatusOr<base::Bytes>(base::ByteView request)>;
  using Done = std::function<void(const absl::Status&)>;

  // kFailedPrecondition if there is evidence against the manager; kDataLoss if the stored head is
  // damaged or another log's. Borrows all references.
  static absl::StatusOr<std::unique_ptr<HeadFollower>> Open(const Options& options,
                                                            const core::ResponseVerifier& verifier,
                                                            Ask ask, EventLog& events,
                                                            const base::Clock& clock);
  // As Stop.
  ~HeadFollower();

  // Follows the log from now on, on a thread of its own.
  void Start();
  // Ends the thread; checks that wait fail.
  void Stop();

  // Whether `response`, which begins with a FullTreeHead, may be passed on. `done` is called
  // exactly once, maybe before this returns, maybe on the follower's thread; until then `response`
  // must stay. OK if its head is one that was verified, or the one that the user knows. kAborted if
  // it is not and never will be, since the log has grown in the meantime: the response has to be
  // asked for again. kUnavailable if the manager does not show the follower the head, or was
  // caught.
  void Check(base::ByteView response, Done done);

  // OK, or kUnavailable once the manager was caught.
  absl::Status trust() const;

  // The newest verified state; null if there is none yet.
  std::shared_ptr<const core::UserState> newest() const;
  // The same as soon as it has more than `size` entries, or when `timeout` is over.
  std::shared_ptr<const core::UserState> AwaitGrowth(base::TreeSize size,
                                                     absl::Duration timeout) const;

 private:
  struct Waiter {
    core::TreeHead head;
    base::ByteView response;
    Done done;
    int attempts = 0;
  };
  struct Evidence;

  HeadFollower(Options options, const core::ResponseVerifier& verifier, Ask ask, EventLog& events,
               const base::Clock& clock);

  absl::Status Load();
  absl::Status Save(const core::UserState& state) const;
  void Run();
  absl::Status Poll();
  absl::Status AskForHead(const std::shared_ptr<const core::UserState>& previous);
  // nullopt if the log has to be asked first.
  std::optional<absl::Status> Judge(const core::TreeHead& head, base::ByteView response);
  void Answer(std::vector<Waiter> waiters, const absl::Status& polled);
  absl::Status Condemn(const Evidence& evidence);
  void ReportPoll(const absl::Status& status);

  const Options options_;
  const core::ResponseVerifier& verifier_;
  const Ask ask_;
  EventLog& events_;
  const base::Clock& clock_;
  bool answering_ = true;  // whether the last poll succeeded; the thread's own

  mutable absl::Mutex mutex_;
  std::shared_ptr<const core::UserState> newest_ ABSL_GUARDED_BY(mutex_);
  // Signatures of the newest verified heads.
  std::map<base::TreeSize, base::Bytes> verified_ ABSL_GUARDED_BY(mutex_);
  std::vector<Waiter> waiting_ ABSL_GUARDED_BY(mutex_);
  absl::Status trust_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace kt::server
#endif  // KT_SERVER_HEAD_FOLLOWER_H_
