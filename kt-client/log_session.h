// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CLIENT_LOG_SESSION_H_
#define KT_CLIENT_LOG_SESSION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "kt-client/channel.h"
#include "kt-client/client.h"
#include "kt-client/discovery.h"
#include "kt-client/exchange.h"
#include "kt-client/log_user.h"
#include "kt-client/state_store.h"
#include "kt-core/distinguished_forks.h"
#include "kt-core/response_verifier.h"
#include "proto/kt.grpc.pb.h"

namespace kt::client {

// The newest versions of a label, newest first.
struct SearchHistory {
  std::vector<SearchResult> versions;  // empty: the label has none
  // In between or before them: the log says that their values were erased. Descending.
  std::vector<base::Version> erased;
  // In between: the log says that its manager skipped them ("Third Parties / Management").
  // Descending.
  std::vector<base::Version> skipped;
  bool expired = false;  // the log says that the versions before these have expired
};

// A conversation with one log: its pinned configuration, the state that is carried from answer to
// answer and saved after each, and the channel. Other processes may talk to the same log meanwhile:
// who finds that the state has changed asks again, since two answers that each extend an older
// state might not extend each other. Not thread-safe.
//
// When an answer fails verification against what is retained, everything that the failure depends
// on is kept in the store (kept_refusal.h); KeptAt (failure.h) says where.
class LogSession {
 public:
  // A session with `domain`'s log over `connection`. If no log is pinned for the domain yet, the
  // server is asked for its configuration, which is pinned with the first verified answer. The
  // domain's own pin (`discovery`) is compared in any case. Verification failures:
  // "configuration-pin" if two of these differ, "configuration" if the server's cannot be used.
  // Borrows `store` and `clock`.
  static absl::StatusOr<std::unique_ptr<LogSession>> Open(const StateStore& store,
                                                          const std::string& domain,
                                                          Connection connection,
                                                          const Discovery& discovery,
                                                          int timeout_ms, const base::Clock& clock);

  // Searches for the greatest version, or for `version`. Verifies the answer, then saves the state.
  // kOutOfRange if the log says that the version has expired, which nobody can verify, or, as in
  // all that follows, what was retained of the log (Failure::kExpired; expiry.h says when that is
  // believed). kPermissionDenied (Failure::kErased) if the log says that the version's value was
  // erased, which nobody can verify either.
  absl::StatusOr<SearchResult> Search(base::ByteView label, std::optional<base::Version> version);

  // At most `limit` versions, those that were erased included, each as by Search. A verification
  // failure ("history-gap") if the log proves that a version below the greatest does not exist.
  absl::StatusOr<SearchHistory> History(base::ByteView label, size_t limit);

  // Monitors a label that is watched, once ("Contact Monitor"). Afterwards it is still watched
  // unless a distinguished log entry covers it.
  absl::Status MonitorContact(base::ByteView label);

  // Walks the recent distinguished log entries ("Walking Distinguished Heads") and gives all that
  // are known then.
  absl::StatusOr<std::vector<core::DistinguishedEntry>> WalkHeads();

  // The same, and again as somebody who knows nothing of the log, for proving to others what it
  // shows. A verification failure ("heads-fork") if that is not the same tree.
  absl::StatusOr<core::SignedHeads> WalkAsStranger();

  // Takes ownership of a label ("Owner Initialization") from the rightmost distinguished log entry
  // on, and learns of the versions after it, as CatchUp. kFailedPrecondition if it is owned.
  absl::Status BeginOwnership(base::ByteView label);

  // Learns of all versions of an owned label that are not known yet, as far as the log tells:
  // "Updating a Label" without values. Gives how many log entries added some.
  absl::StatusOr<size_t> CatchUp(base::ByteView label);

  // CatchUp, and then "Owner Monitoring" up to the rightmost distinguished log entry. A
  // verification failure ("owner-withheld") if the log proves that there is a version which it does
  // not tell of.
  absl::Status MonitorOwner(base::ByteView label);

  // "Updating a Label" with `values`, at least one, to follow the greatest version that record()
  // knows of an owned label, and verifies how they were inserted. kAborted if others' versions
  // follow it instead: nothing was published then, and the record knows of them. A verification
  // failure also if it is only in what the log sent after the proof. `token` as for Publish.
  absl::StatusOr<core::MonitorMapEntry> Update(base::ByteView label,
                                               const std::vector<base::Bytes>& values,
                                               const std::string& token);

  // Makes a credential of the label's greatest version for others (log_session_credentials.cc),
  // based on the newest distinguished log entry that is at least `known_for_ms` old. Its encoding
  // is empty if the label is verified to be absent. Errors as LogUser::MakeCredential.
  absl::StatusOr<SentCredential> MakeCredential(base::ByteView label, uint64_t known_for_ms);
  // The encoded CredentialUpdate of a credential that was sent; nullopt if none is needed. Errors
  // as LogUser::MakeCredentialUpdate.
  absl::StatusOr<std::optional<base::Bytes>> UpdateCredential(base::ByteView credential);
  // Walks, and settles what can be settled. The log is asked for the updates of those that have
  // expired, and of no others; of at most kMaxOverdueAtOnce, which makes the rest the next run's.
  // An event's failure is a verification failure, or says why the log could not be asked.
  static constexpr size_t kMaxOverdueAtOnce = 64;
  absl::StatusOr<std::vector<CredentialEvent>> AdvanceCredentials();

  // What is remembered of the log now.
  const std::optional<LogRecord>& record() const { return record_; }

  // Asks the log to publish. `token`: printable ASCII (kInvalidArgument otherwise). The answer is
  // what the server says, and is not verified.
  absl::StatusOr<v1::PublishResponse> Publish(const v1::PublishRequest& request,
                                              const std::string& token);

  const LogInfo& info() const { return info_; }
  const core::Configuration& config() const { return verifier_->config(); }

 private:
  LogSession(const StateStore& store, std::string domain, Connection connection, int timeout_ms,
             const base::Clock& clock);

  absl::Status Load(const Discovery& discovery);
  absl::StatusOr<core::Configuration> FetchConfiguration();
  // These fill in how the log answers, and give what CheckAnswered says of it.
  absl::Status Ask(const core::SearchRequest& request, Exchange* exchange);
  // `below`: a greater version was found by the search before, so that this one must exist.
  absl::StatusOr<SearchResult> SearchOnce(base::ByteView label,
                                          std::optional<base::Version> version, bool below);
  using MonitoringMethod = grpc::Status (v1::Monitoring::Stub::*)(grpc::ClientContext*,
                                                                  const v1::MonitoringRequest&,
                                                                  v1::MonitoringResponse*);
  absl::Status AskMonitoring(MonitoringMethod method, Exchange* exchange);
  // Gives `verdict` on an exchange, and keeps the exchange if it is that the log contradicts what
  // is retained. JudgeBoth: on this exchange and the one before it, which verified by itself.
  absl::Status Judge(const Exchange& exchange, const absl::Status& verdict);
  absl::Status JudgeBoth(const Exchange& exchange, const absl::Status& verdict);
  absl::Status Keep(const LogRecord& before, std::vector<Exchange> exchanges,
                    const absl::Status& verdict);
  // One call of Update.
  struct UpdateCall {
    bool sent = false;                  // the log has been asked
    std::vector<UpdateResult> results;  // verified and retained
    Exchange newest;                    // how the log ended it
  };
  absl::Status UpdateOnce(base::ByteView label, const std::vector<base::Bytes>& values,
                          const std::string& token, UpdateCall* call);
  // `ended`: where the log says that there is nothing more.
  absl::StatusOr<size_t> CatchUp(base::ByteView label, Exchange* ended);
  absl::StatusOr<bool> MonitorOwnerOnce(base::ByteView label);
  // As it is remembered now. kFailedPrecondition if it is not owned.
  absl::StatusOr<const OwnedLabel*> Owned(base::ByteView label) const;
  absl::Status SettleOverdue(const base::Hash& id);
  absl::Status PutLast(const std::vector<base::Hash>& ids);
  // Runs `once` again as long as another process changes the state meanwhile.
  absl::Status Retry(const std::function<absl::Status()>& once);
  LogRecord RecordOrNew() const;
  LogUser User() const { return {*verifier_, RecordOrNew()}; }
  // Saves what `user` has learned from `exchange` (nullptr: not from the log). kAborted if another
  // process has changed the state: it is read anew then.
  absl::Status Retain(const LogUser& user, const Exchange* exchange);

  const StateStore& store_;
  const std::string domain_;
  const Connection connection_;
  const int timeout_ms_;
  const base::Clock& clock_;
  const std::unique_ptr<v1::KeyTransparency::Stub> stub_;
  const std::unique_ptr<v1::Monitoring::Stub> monitoring_;
  // As it was when the request was sent: an answer is verified against it, and replaces just that.
  std::optional<LogRecord> record_;
  std::unique_ptr<core::ResponseVerifier> verifier_;
  // The newest exchange that verified, and what was retained before it; nullopt if anything else
  // has changed the record since.
  struct Verified {
    LogRecord before;
    Exchange exchange;
  };
  std::optional<Verified> verified_;
  LogInfo info_;
};

}  // namespace kt::client
#endif  // KT_CLIENT_LOG_SESSION_H_
