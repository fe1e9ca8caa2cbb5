// SPDX-License-Identifier: Apache-2.0
//
// Credentials, which users send to each other instead of asking the log:
// draft-ietf-keytrans-protocol, "Credentials". Making them, and verifying them against the
// distinguished log entries that the receiver is aware of.
//
// Nothing here reads or changes the state of the user's own interactions with the log: "verifying a
// provisional credential or its associated CredentialUpdate MUST NOT have any effect on the state
// used for the user's direct interactions with the Transparency Log".
#ifndef KT_CORE_CREDENTIAL_H_
#define KT_CORE_CREDENTIAL_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kt-core/distinguished.h"
#include "kt-core/monitoring_state.h"
#include "kt-core/operations.h"
#include "kt-core/prover.h"
#include "kt-core/response_verifier.h"

namespace kt::core {

// --- making credentials, the log's side --------------------------------------------------

// The version of a label that a credential is for. Borrows all.
struct CredentialTarget {
  ByteView label;
  Version version = 0;        // the greatest one in the log entry that is looked up
  const LabelRecord& record;  // at least the versions of its binary ladder
  const Opening& opening;
  const UpdateValue& update;
};

// "Standard": `position` is a distinguished log entry in which target.version is the greatest.
// kInvalidArgument if the log has no such entry; a verification failure if another version is the
// greatest there.
absl::StatusOr<Credential> ProveStandardCredential(const LogView& log, LogPosition position,
                                                   const CredentialTarget& target);

// "Provisional": `position` is a distinguished log entry that does not hold target.version, which
// is the greatest in the newest log entry; `head` is the log's. kInvalidArgument if the log has no
// entries after `position`, kFailedPrecondition if a standard credential is to be made.
absl::StatusOr<Credential> ProveProvisionalCredential(const Configuration& config,
                                                      const LogView& log, const TreeHead& head,
                                                      LogPosition position,
                                                      const CredentialTarget& target);

// The update of a provisional credential whose tree head has `tree_size` entries and whose search
// ended at `terminal`, as of the first distinguished log entry to the right of that, which is
// returned with it. kFailedPrecondition if no update is needed, because the terminal log entry is
// distinguished, kUnavailable if there is no such entry yet, kInvalidArgument if the sizes do not
// fit the log. `record` holds at least the monitoring ladder of `version`.
struct ProvenCredentialUpdate {
  LogPosition distinguished = 0;
  CredentialUpdate update;
};
absl::StatusOr<ProvenCredentialUpdate> ProveCredentialUpdate(const Configuration& config,
                                                             const LogView& log, TreeSize tree_size,
                                                             LogPosition terminal, Version version,
                                                             const LabelRecord& record);

// Asks the log for a CredentialUpdate. docs/extensions.md, "Credentials":
//
//   struct {
//     opaque label<0..2^8-1>;
//     uint32 version;
//     uint64 terminal;
//     uint64 tree_size;
//     uint64 distinguished;
//   } CredentialUpdateRequest;
struct CredentialUpdateRequest {
  Bytes label;
  Version version = 0;
  LogPosition terminal = 0;       // the terminal log entry of the credential's search
  TreeSize tree_size = 0;         // of the credential's tree head
  LogPosition distinguished = 0;  // that the update is to lead to

  bool operator==(const CredentialUpdateRequest&) const = default;
  static constexpr auto Fields() {
    return codec::List(codec::Opaque<uint8_t>(&CredentialUpdateRequest::label),
                       &CredentialUpdateRequest::version, &CredentialUpdateRequest::terminal,
                       &CredentialUpdateRequest::tree_size,
                       &CredentialUpdateRequest::distinguished);
  }
};

// Answers it. kInvalidArgument if the request's entries do not fit each other or the log, or if
// `distinguished` is not a distinguished log entry; otherwise as ContactMonitor (algorithms.h).
absl::StatusOr<CredentialUpdate> AnswerCredentialUpdate(const Configuration& config,
                                                        const LogView& log,
                                                        const CredentialUpdateRequest& request,
                                                        const LabelRecord& record);

// --- making credentials, the user's side -------------------------------------------------

// Makes a credential of a greatest-version search and its encoded response, both as for
// ResponseVerifier::VerifySearch, which verifies them first. It is a standard credential if the
// search ended at the rightmost distinguished log entry. Otherwise it is a provisional one, based
// on the distinguished log entry at which `previous` ends (DistinguishedEntry::AsUserState): the
// receiver must be aware of that one. If `preferred` is kProvisional, it is that also where a
// standard one would be based on a newer entry, of which receivers may not know yet. In Third-Party
// Auditing mode such a state needs the auditor's head that the user retained. kFailedPrecondition
// if the response serves for neither: the search must then be repeated from a distinguished entry.
// kInvalidArgument for a fixed-version search.
absl::StatusOr<Credential> CredentialFromSearch(
    const ResponseVerifier& verifier, const SearchRequest& request, ByteView response,
    const UserState* previous, uint64_t now_ms,
    CredentialType preferred = CredentialType::kStandard);

// --- verifying credentials ---------------------------------------------------------------

// A provisional credential after its initial verification, which its receiver retains until the
// final one.
struct PendingCredential {
  Bytes credential;  // as received: the evidence if it cannot be finally verified
  Version version = 0;
  LogPosition position = 0;               // the distinguished log entry that it is based on
  LogPosition terminal = 0;               // the terminal log entry of its search
  UserState terminal_state;               // the log up to `terminal`, as the credential shows it
  UserState view;                         // the log up to the credential's tree head, likewise
  std::vector<RetainedVersion> versions;  // ascending; those of the monitoring ladder of `version`
  Bytes update;  // a CredentialUpdate that is queued for later verification; may be empty

  bool operator==(const PendingCredential&) const = default;
  // For storing it; not part of the draft.
  static constexpr auto Fields() {
    return codec::List(codec::Opaque<uint32_t>(&PendingCredential::credential),
                       &PendingCredential::version, &PendingCredential::position,
                       &PendingCredential::terminal, &PendingCredential::terminal_state,
                       &PendingCredential::view,
                       codec::Vector<uint8_t>(&PendingCredential::versions),
                       codec::Opaque<uint32_t>(&PendingCredential::update));
  }
};

// kDataLoss unless the lists agree with each other and with the positions: stored state must not be
// able to break an invariant.
absl::Status ValidatePendingCredential(const PendingCredential& pending);

// What a verified credential says.
struct VerifiedCredential {
  Bytes label;
  Version version = 0;
  Bytes value;               // UpdateValue.value
  LogPosition position = 0;  // of the distinguished log entry that it is based on
  // Set for a provisional credential: its contents may be used, but this must be retained.
  std::optional<PendingCredential> pending;
};

// Verifies an encoded Credential: completely if it is standard, initially if it is provisional.
// `aware` is what the user learned from the log herself, and `now_ms` her clock.
//
// Besides verification failures: kOutOfRange if the credential is expired, that is, based on a log
// entry that is no longer recent; kUnavailable if it is based on one to the right of all that the
// user is aware of, so that it may verify after her next regular walk. She MUST NOT ask the log
// because of either.
absl::StatusOr<VerifiedCredential> VerifyCredential(const ResponseVerifier& verifier,
                                                    const RecentDefinition& recent,
                                                    ByteView credential,
                                                    const DistinguishedState& aware,
                                                    uint64_t now_ms);

enum class CredentialProgress {
  kFinal,          // finally verified; the pending state can be forgotten
  kWaiting,        // no distinguished log entry is known yet that could settle it
  kUpdateNeeded,   // one is known, so the sender's CredentialUpdate is due
  kUpdateFromLog,  // it has expired: the user MUST try to get a CredentialUpdate from the log, and
                   // SHOULD report the credential as evidence if that fails
};

// Tries the final verification of a provisional credential with what the user is aware of now, and
// with pending->update if there is one. To be called after each walk. A verification failure means
// that the credential, or the queued update, contradicts what the user knows of the log; an update
// that fails is removed from `pending`, so that another one can be received. If the user has missed
// distinguished entries after the terminal one, a queued update may lead to one of these: it is
// dropped then if it fails, and the log's is due.
absl::StatusOr<CredentialProgress> AdvanceCredential(const ResponseVerifier& verifier,
                                                     const RecentDefinition& recent,
                                                     const DistinguishedState& aware,
                                                     uint64_t now_ms, PendingCredential* pending);

// The distinguished log entry that an update of `pending` must lead to for a user who is aware of
// `aware`; nullopt if she is not aware of one yet.
std::optional<LogPosition> UpdateTarget(const DistinguishedState& aware,
                                        const PendingCredential& pending);

// The longest encoded CredentialUpdate that is received.
inline constexpr size_t kMaxCredentialUpdateSize = size_t{1} << 20;

// Receives an encoded CredentialUpdate for a provisional credential: verifies it if the user is
// aware of the distinguished log entry that it needs, as AdvanceCredential, and queues it in
// `pending` otherwise (kWaiting). A verification failure ("malformed-credential") if it cannot be
// decoded.
absl::StatusOr<CredentialProgress> ReceiveCredentialUpdate(const ResponseVerifier& verifier,
                                                           const RecentDefinition& recent,
                                                           const DistinguishedState& aware,
                                                           ByteView update, uint64_t now_ms,
                                                           PendingCredential* pending);

}  // namespace kt::core
#endif  // KT_CORE_CREDENTIAL_H_
