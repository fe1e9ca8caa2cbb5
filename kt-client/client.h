// SPDX-License-Identifier: Apache-2.0
//
// What a mail program embeds: from an e-mail address to all certificates that it wants to be found
// under, verified against the address's Key Transparency log.
//
//   kt::client::ClientOptions options;
//   options.state_directory = "/home/alice/.local/state/kt-client";
//   auto client = kt::client::Client::Create(options);
//   auto result = (*client)->Lookup("bob@example.com");
//   if (!result.ok()) ...                 // see below: never "no certificates"
//   else if (!result->found) ...          // proven: there is no such address
//   else for (const auto& usable : result->certificates) ...   // usable.certificate.der()
//
// A result is verified completely, or it is an error. Errors:
//   verification failure  base::FailedCheck(status) names the check. A security event: somebody
//                         between here and the log, or the log itself, is lying or broken.
//   kNotFound             the domain offers no service        (FailureOf(status), failure.h)
//   kUnavailable          nobody answered, or nobody who could be believed     (the same)
//   kPermissionDenied     refused for want of a valid token, or the log says that the value was
//                         erased                             (the same; without: a local file)
//   kFailedPrecondition   refused by the server's policy     (the same)
//   kOutOfRange           the log says that the version has expired; with FailureOf: that what was
//                         seen of the log before has, and it is old enough for that. The message
//                         says how to begin anew
//   kUnimplemented        the value is in a format that this library does not know
//   kInvalidArgument      the address or an option is malformed; with FailureOf: what DNS holds is
//   kDataLoss             the state directory holds something that this library did not write
//
// Each call looks up, connects and verifies anew. Which issuers to trust and whether a certificate
// is revoked is for the program that embeds this. gRPC writes to standard error what peers sent as
// it is: a program that minds calls gpr_set_log_function().
#ifndef KT_CLIENT_CLIENT_H_
#define KT_CLIENT_CLIENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/types.h"
#include "kt-client/dns_trust.h"
#include "smime/certificate_set.h"
#include "smime/reader_policy.h"

namespace kt::client {

struct ClientOptions {
  // Where the state of each log is kept; created with mode 0700. Without it a client cannot notice
  // that a log rewrites its history between two lookups.
  std::string state_directory;
  // "ADDRESS[:PORT],..." of recursive DNS servers; empty: the system's.
  std::string dns_servers;
  // Which of them may vouch for an answer with DNSSEC.
  DnsTrust dns_trust = DnsTrust::kLoopback;
  // "HOST:PORT" to use instead of what DNS says; empty: discovery.
  std::string server;
  // PEM file of CAs that may vouch for the server's TLS certificate; empty: the system's.
  std::string ca_file;
  // For discovery and connecting, and again for each call.
  int timeout_ms = 10'000;
};

// The log that answered, for showing it to a person.
struct LogInfo {
  base::Hash configuration_fingerprint;  // SHA-256 of the encoded Configuration
  bool first_use = false;                // pinned just now
  std::string server;                    // "host (address)", and why its certificate was accepted
  base::TreeSize tree_size = 0;          // of the verified head
  uint64_t head_timestamp_ms = 0;
};

struct LookupResult {
  bool found = false;
  base::Version version = 0;  // if found
  // If found: those of `set` that name the address, are valid now and have a use in e-mail, able to
  // encrypt first. Trusting their issuers is up to the caller.
  std::vector<smime::UsableCertificate> certificates;
  std::vector<smime::PassedOver> passed_over;  // the others of `set`, and why
  smime::CertificateSet set;                   // as published; empty: all were withdrawn
  // In Contact Monitoring mode: the log entry is so new that the owner may not have seen it yet.
  bool monitoring_required = false;
  LogInfo log;
};

struct HistoryEntry {
  base::Version version = 0;
  smime::CertificateSet certificates;
};
struct HistoryResult {
  bool found = false;
  std::vector<HistoryEntry> versions;  // newest first; all that exist and have not expired
  // The log says that the values of these were erased, which nobody can verify. Descending.
  std::vector<base::Version> erased;
  // Versions in between that hold nothing, as the log says: its manager skipped them. Descending.
  std::vector<base::Version> skipped;
  bool expired = false;  // older versions exist, but are past their lifetime
  LogInfo log;
};

struct PublishRequest {
  using Operation = smime::SetChange;
  std::string address;
  Operation operation = Operation::kReplace;
  std::vector<smime::CertificateEntry> certificates;
  std::optional<base::Version> expected_greatest_version;
  bool expect_absent = false;  // refused if the address has any version
};
struct PublishResult {
  base::Version version = 0;
  base::LogPosition position = 0;
  base::TreeSize tree_size = 0;
  // The address is owned here, so it went through "Updating a Label" and is proven. Otherwise it is
  // what the server says; a lookup verifies it.
  bool verified = false;
  // Versions of an owned address that this client did not publish and nobody accepted yet.
  size_t foreign_versions = 0;
};

// A version of an owned address that was not published through this client's state.
struct ForeignVersion {
  base::Version version = 0;
  base::LogPosition position = 0;  // of the log entry that added it
  // As published; nullopt if it is not a set of a format that this library knows.
  std::optional<smime::CertificateSet> certificates;
  bool notified = false;  // see Client::MarkNotified
};

// Versions from `first` to `last`, both included.
struct VersionRange {
  base::Version first = 0;
  base::Version last = 0;
};

struct OwnResult {
  bool already = false;         // it was owned before: nothing was asked
  base::LogPosition start = 0;  // the distinguished log entry that ownership is proven from now
  // What the address has so far, which its owner should look at.
  bool found = false;
  base::Version version = 0;                          // if found
  std::optional<smime::CertificateSet> certificates;  // if found and not `already`
  // Older versions that were added since `start` and also count as accepted: History has them.
  size_t older_versions = 0;
  LogInfo log;  // unless `already`
};

// What monitoring found of one address.
struct MonitoredAddress {
  std::string address;
  absl::Status status;  // a verification failure is a security event; others: try again later
  bool done = false;  // a distinguished log entry covers what was looked up: nothing is left to do
  bool owned = false;
  // If owned: what this client did not publish, oldest first, until it is accepted. Complete only
  // if `status` is OK.
  std::vector<ForeignVersion> foreign;
};
struct MonitorResult {
  // Why the log was not asked. The addresses then are those with foreign versions known already.
  absl::Status status;
  std::vector<MonitoredAddress> addresses;
  LogInfo log;
};

// A credential: what a lookup would say, to be sent to others, who can verify it without asking the
// log.
struct MadeCredential {
  bool found = false;      // the address has a version; otherwise there is no credential
  base::Bytes credential;  // an encoded Credential of draft-ietf-keytrans-protocol
  base::Version version = 0;
  base::LogPosition position = 0;  // of the distinguished log entry that it is based on
  // Its receivers verify it finally only when they know of a later distinguished log entry; they
  // may need the result of UpdateCredential for that.
  bool provisional = false;
  LogInfo log;
};

enum class CredentialState {
  kFinal,         // completely verified
  kWaiting,       // may be used; a later distinguished log entry will settle it
  kUpdateNeeded,  // may be used; the sender should send its update
  kOverdue,       // it expired before it was settled: Client::MonitorCredentials asks the log
};

// What a credential that was received says.
struct CredentialResult {
  base::Hash id;  // SHA-256 of the encoding
  std::string address;
  base::Version version = 0;
  std::vector<smime::UsableCertificate> certificates;  // as in LookupResult
  std::vector<smime::PassedOver> passed_over;
  smime::CertificateSet set;
  base::LogPosition position = 0;  // of the distinguished log entry that it is based on
  bool provisional = false;
  CredentialState state = CredentialState::kFinal;
};

// A provisional credential that is remembered until it is finally verified.
struct PendingCredential {
  base::Hash id;
  std::string address;
  base::Version version = 0;
  // A verification failure: the credential contradicts what is known of the log. Others: the log
  // could not be asked.
  absl::Status status;
  CredentialState state = CredentialState::kOverdue;  // if status is OK
  // The failure is that of an update that was received and waited: see DropCredentialUpdate.
  bool update_failed = false;
};

// A recent distinguished log entry ("Walking Distinguished Heads"): a point at which all users of
// the log must agree.
struct DistinguishedLogHead {
  base::LogPosition position = 0;
  uint64_t timestamp_ms = 0;
  base::Hash root;  // of the log tree whose rightmost entry this is
};
struct HeadsResult {
  std::vector<DistinguishedLogHead> heads;  // left to right
  LogInfo log;
};

// Thread-safe; calls may block up to their time-out. Two clients, in one process or in two, may
// share a state directory: they take turns.
class Client {
 public:
  virtual ~Client() = default;

  // kInvalidArgument if an option cannot be used.
  static absl::StatusOr<std::unique_ptr<Client>> Create(const ClientOptions& options);

  // All active certificates of `address`, or proof that it has none.
  virtual absl::StatusOr<LookupResult> Lookup(const std::string& address) = 0;

  // The versions of `address`, newest first, at most `limit` (at least 1).
  virtual absl::StatusOr<HistoryResult> History(const std::string& address, size_t limit) = 0;

  // The domains whose logs are remembered in the state directory.
  virtual absl::StatusOr<std::vector<std::string>> KnownDomains() = 0;

  // Monitors what was looked up in `domain` and is not yet covered by a distinguished log entry
  // ("Contact Monitoring"), and what is owned there ("Owner Monitoring", and "Updating a Label" to
  // learn of others' versions): all addresses, or just `only` (as normalised) if it is given. Asks
  // nobody if there is nothing to do. Run it about as often as the log's Reasonable Monitoring
  // Window.
  virtual absl::StatusOr<MonitorResult> Monitor(const std::string& domain,
                                                const std::optional<std::string>& only) = 0;

  // The recent distinguished heads of `domain`'s log, to be compared with what others were shown.
  virtual absl::StatusOr<HeadsResult> Heads(const std::string& domain) = 0;
  // The same, and then what the log shows of itself to somebody without any state, which others can
  // verify: encoded SignedHeads (docs/extensions.md, "Signed heads"). Two of these that contradict
  // each other prove a fork to anybody. A verification failure ("heads-fork") if the log shows a
  // stranger another tree than this client.
  virtual absl::StatusOr<base::Bytes> SignedHeads(const std::string& domain) = 0;

  // Begins to own `address` ("Owner Initialization"): from now on Publish is verified, and Monitor
  // tells of each version that was not published through this state directory. What exists already
  // counts as accepted.
  virtual absl::StatusOr<OwnResult> Own(const std::string& address) = 0;

  // Asks nobody. Forgets what was looked up of `address` and is not covered by a distinguished log
  // entry yet: for when it can no longer be monitored (Failure::kExpired). kFailedPrecondition if
  // it is not watched.
  virtual absl::Status Unwatch(const std::string& address) = 0;

  // These ask nobody. kFailedPrecondition if `address` is not owned, or if one of `ranges` has
  // none, or one of `versions` is not one, of its foreign versions. Forgets that `address` is
  // owned, with its foreign versions.
  virtual absl::Status Disown(const std::string& address) = 0;
  // The user knows of these versions: they are not told of any more. Gives which they were, of
  // those that this client knows by now; ascending.
  virtual absl::StatusOr<std::vector<base::Version>> AcceptVersions(
      const std::string& address, const std::vector<VersionRange>& ranges) = 0;
  // Somebody was told of these versions, who need not be told again.
  virtual absl::Status MarkNotified(const std::string& address,
                                    const std::vector<base::Version>& versions) = 0;

  // Looks `address` up and makes a credential of the answer, based on the newest distinguished log
  // entry that is at least `known_for_ms` old: those to whom it is sent must know that entry from
  // their own dealings with the log. kUnavailable if the log has none.
  virtual absl::StatusOr<MadeCredential> MakeCredential(const std::string& address,
                                                        uint64_t known_for_ms) = 0;

  // The encoded CredentialUpdate of a provisional credential that this client sent, verified;
  // nullopt if its receivers settle it without one. kUnavailable if it cannot be made yet,
  // kOutOfRange if the credential has expired, kInvalidArgument if it is a standard one.
  virtual absl::StatusOr<std::optional<base::Bytes>> UpdateCredential(
      base::ByteView credential) = 0;

  // Verifies a credential against what is known of its log, and asks nobody. A provisional one is
  // remembered until it is settled; it can be checked again, with its CredentialUpdate if `update`
  // is not empty. kOutOfRange if it has expired; kUnavailable if this client does not know of the
  // distinguished log entry that it is based on: check it again after the next regular Heads or
  // MonitorCredentials, but never call them because of it.
  virtual absl::StatusOr<CredentialResult> CheckCredential(base::ByteView credential,
                                                           base::ByteView update) = 0;

  // Refreshes the distinguished heads of `domain`'s log if they were asked for before, and settles
  // pending credentials: run it as often as Monitor. Tells of all that were pending. A log is asked
  // about at most 64 overdue ones at once; the next run goes on with the others.
  virtual absl::StatusOr<std::vector<PendingCredential>> MonitorCredentials(
      const std::string& domain) = 0;

  // Those of `domain` that are pending; asks nobody and changes nothing.
  virtual absl::StatusOr<std::vector<PendingCredential>> PendingCredentials(
      const std::string& domain) = 0;
  // Drops the update of a pending credential whose failure MonitorCredentials told of, and of which
  // somebody knows by now: until then each run tells of it again. kInvalidArgument as below.
  virtual absl::Status DropCredentialUpdate(const std::string& domain, const base::Hash& id) = 0;
  // Gives one up. kInvalidArgument if there is none with this id.
  virtual absl::Status ForgetCredential(const std::string& domain, const base::Hash& id) = 0;

  // Asks the log to publish; `token` is the bearer token that its operator issued, without white
  // space. If the address is owned, the result is proven. Then adding and removing is refused as a
  // verification failure ("foreign-version") while there are foreign versions that nobody accepted.
  // Waits for the end of the log's epoch, up to a minute longer than the time-out.
  virtual absl::StatusOr<PublishResult> Publish(const PublishRequest& request,
                                                const std::string& token) = 0;
};

}  // namespace kt::client
#endif  // KT_CLIENT_CLIENT_H_
