// SPDX-License-Identifier: Apache-2.0
//
// What a user does with a log's responses: the same for one that has just arrived and for one that
// was saved.
#ifndef KT_CLIENT_LOG_USER_H_
#define KT_CLIENT_LOG_USER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/types.h"
#include "kt-client/log_record.h"
#include "kt-core/credential.h"
#include "kt-core/distinguished.h"
#include "kt-core/operations.h"
#include "kt-core/response_verifier.h"

namespace kt::client {

// A verified answer to a search.
struct SearchResult {
  bool found = false;
  base::Version version = 0;
  base::Bytes value;
  bool monitoring_required = false;
};

// What a verified response to an UpdateRequest says.
struct UpdateResult {
  base::LogPosition position = 0;          // the log entry that added the versions
  std::vector<core::NewVersion> versions;  // ascending, at least one
  // They are what this request, or one that is pending in the record, asked for. Otherwise the
  // record counts them as foreign from now on.
  bool own = false;
  // See core::VerifiedUpdate.
  bool awaits_owner_monitoring = false;
  // What a further response to the same request answers.
  core::UpdateRequest following;
};

// A credential that was made to be sent to others.
struct SentCredential {
  base::Bytes credential;  // an encoded Credential
  base::Version version = 0;
  base::LogPosition position = 0;  // of the distinguished log entry that it is based on
  bool provisional = false;
};

// What a verified credential says, and how far it has come.
struct ReceivedCredential {
  base::Hash id;  // SHA-256 of the encoded Credential
  base::Bytes label;
  base::Version version = 0;
  base::Bytes value;
  base::LogPosition position = 0;
  bool provisional = false;
  core::CredentialProgress progress = core::CredentialProgress::kFinal;
};

// What became of a provisional credential that is, or until now was, in the record.
struct CredentialEvent {
  base::Hash id;
  base::Bytes label;
  base::Version version = 0;
  // A verification failure: it contradicts what is known of the log, and stays in the record.
  absl::StatusOr<core::CredentialProgress> progress = core::CredentialProgress::kWaiting;
  // The failure is that of an update that was queued: it stays until it is dropped or replaced.
  bool update_failed = false;
};

// Makes requests out of what is retained of a log, and verifies the responses to them. A response
// is verified completely and its consequences are in record() afterwards, or the result is an error
// and the record is unchanged. Errors are those of core::ResponseVerifier. No I/O; not thread-safe.
class LogUser {
 public:
  // `record.config` is that of `verifier`, which is borrowed.
  LogUser(const core::ResponseVerifier& verifier, LogRecord record)
      : verifier_(verifier), record_(std::move(record)) {}

  // To be retained.
  const LogRecord& record() const { return record_; }

  // "Search". If the label must be monitored from now on, the record says so.
  core::SearchRequest MakeSearch(base::ByteView label, std::optional<base::Version> version) const;
  absl::StatusOr<SearchResult> Search(const core::SearchRequest& request, base::ByteView response,
                                      uint64_t now_ms);
  // docs/extensions.md, "Absence": `response` is an AbsenceResponse to the same request. A
  // verification failure ("label-removed") if a version is claimed not to exist that the record
  // knows.
  absl::StatusOr<SearchResult> Absence(const core::SearchRequest& request, base::ByteView response,
                                       uint64_t now_ms);

  // "Contact Monitor", for a label that is watched (kFailedPrecondition otherwise).
  absl::StatusOr<core::ContactMonitorRequest> MakeContactMonitor(base::ByteView label) const;
  absl::Status ContactMonitor(const core::ContactMonitorRequest& request, base::ByteView response,
                              uint64_t now_ms);

  // "Owner Initialization" of a label that is not owned yet (kFailedPrecondition otherwise). Gives
  // the greatest versions at `start` and left of it: see core::VerifiedOwnerInit. A verification
  // failure ("label-removed") if the label was proven before to have a greater one at `start`.
  absl::StatusOr<core::OwnerInitRequest> MakeOwnerInit(base::ByteView label,
                                                       base::LogPosition start) const;
  absl::StatusOr<std::vector<core::MonitorMapEntry>> OwnerInit(
      const core::OwnerInitRequest& request, base::ByteView response, uint64_t now_ms);

  // "Owner Monitoring" of a label that is owned (kFailedPrecondition otherwise, here and below).
  // Gives whether the rightmost distinguished log entry was reached: see
  // core::VerifiedOwnerMonitor.
  absl::StatusOr<core::OwnerMonitorRequest> MakeOwnerMonitor(base::ByteView label) const;
  absl::StatusOr<bool> OwnerMonitor(const core::OwnerMonitorRequest& request,
                                    base::ByteView response, uint64_t now_ms);

  // "Updating a Label": a request to create `values`, or without any to learn of versions that
  // others made. If it has any, the record changes: retain it before the request is sent, so that
  // they are recognized even if the answer is lost.
  absl::StatusOr<core::UpdateRequest> MakeUpdate(base::ByteView label,
                                                 const std::vector<base::Bytes>& values);
  // kResourceExhausted, with the record unchanged, if too much of foreign versions is kept already.
  absl::StatusOr<UpdateResult> Update(const core::UpdateRequest& request, base::ByteView response,
                                      uint64_t now_ms);

  // "Walking Distinguished Heads", from where the last walk ended. Gives what was new.
  core::DistinguishedRequest MakeDistinguished() const;
  absl::StatusOr<std::vector<core::DistinguishedEntry>> Distinguished(
      const core::DistinguishedRequest& request, base::ByteView response, uint64_t now_ms);

  // Of the response to such a request of somebody who retains nothing. It must show the log as the
  // last response to a request of this user did: kAborted if the log has grown since, a
  // verification failure ("heads-fork") if it shows another one, or less of it.
  absl::Status StrangersWalk(const core::DistinguishedRequest& request, base::ByteView response,
                             uint64_t now_ms) const;

  // "Credentials": log_user_credentials.cc. A credential changes nothing in the record but the list
  // of the pending ones.

  // Making one: the newest distinguished log entry that is at least `known_for_ms` old, which the
  // search is to start from and the credential to be based on. kUnavailable (Failure::kNotYet) if
  // none is known.
  absl::StatusOr<base::LogPosition> CredentialBase(uint64_t known_for_ms, uint64_t now_ms) const;
  core::SearchRequest MakeCredentialSearch(base::ByteView label, base::LogPosition base) const;
  // Of the response to that search, which must show the log as the last response to a request of
  // this user did: kAborted if the log has grown since, a verification failure
  // ("credential-fork") if it shows another one.
  absl::StatusOr<SentCredential> MakeCredential(const core::SearchRequest& request,
                                                base::ByteView response, uint64_t now_ms) const;

  // Asking for the update of a provisional credential, as its sender. nullopt: none is needed,
  // since its receivers settle it by themselves. kUnavailable (Failure::kNotYet) if no
  // distinguished log entry is known yet that it could lead to, kOutOfRange if the credential has
  // expired, kInvalidArgument if it is a standard one.
  absl::StatusOr<std::optional<core::CredentialUpdateRequest>> MakeCredentialUpdate(
      base::ByteView credential, uint64_t now_ms) const;
  // Verifies the log's response to that, which is then to be sent to the receivers.
  absl::Status CheckCredentialUpdate(base::ByteView credential, base::ByteView response,
                                     uint64_t now_ms) const;

  // Receiving one, or receiving it again, together with its update if that is not empty. A
  // provisional one is in the record until it is finally verified. Errors as
  // core::VerifyCredential and core::AdvanceCredential, where kUnavailable has Failure::kNotYet;
  // kResourceExhausted if too many are pending.
  absl::StatusOr<ReceivedCredential> Credential(base::ByteView credential, base::ByteView update,
                                                uint64_t now_ms);

  // To be called after each walk: settles what can be settled, and tells of all that were pending.
  std::vector<CredentialEvent> AdvanceCredentials(uint64_t now_ms);
  // For one that has expired unsettled (kUpdateFromLog): asking the log. kFailedPrecondition if it
  // is not in the record.
  absl::StatusOr<core::CredentialUpdateRequest> MakeOverdueUpdate(const base::Hash& id) const;
  // A verification failure unless the response settles it.
  absl::Status OverdueUpdate(const base::Hash& id, base::ByteView response, uint64_t now_ms);
  void ForgetCredential(const base::Hash& id) { record_.EraseCredential(id); }
  // These go behind all others, so that they do not keep the log from being asked about those.
  void PutLast(const std::vector<base::Hash>& ids);

 private:
  std::optional<base::TreeSize> last() const;
  const core::UserState* previous() const {
    return record_.state.has_value() ? &*record_.state : nullptr;
  }
  absl::Status CheckNotKnown(base::ByteView label, base::Version absent) const;
  core::UserState StateAt(const core::DistinguishedEntry& entry) const;
  base::Bytes LabelOf(const core::PendingCredential& pending) const;
  absl::StatusOr<core::PendingCredential> Sent(base::ByteView credential, uint64_t now_ms) const;
  absl::StatusOr<const OwnedLabel*> Owned(base::ByteView label) const;
  absl::Status AddForeign(const core::VerifiedUpdate& update, OwnedLabel* owned) const;

  const core::ResponseVerifier& verifier_;
  LogRecord record_;
};

}  // namespace kt::client
#endif  // KT_CLIENT_LOG_USER_H_
