// SPDX-License-Identifier: Apache-2.0
//
// What a client remembers of one log. The encoding is for storing it and no part of the draft.
#ifndef KT_CLIENT_LOG_RECORD_H_
#define KT_CLIENT_LOG_RECORD_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/codec.h"
#include "base/types.h"
#include "kt-core/configuration.h"
#include "kt-core/credential.h"
#include "kt-core/distinguished.h"
#include "kt-core/monitoring_state.h"
#include "kt-core/user_state.h"

namespace kt::client {

// A label that was looked up, and whose newest versions must be monitored until a distinguished log
// entry covers them ("Contact Algorithm").
struct WatchedLabel {
  base::Bytes label;
  core::ContactState contact;
  // Not later than the timestamps of the log entries in contact.map (expiry.h).
  uint64_t not_before_ms = 0;

  bool operator==(const WatchedLabel&) const = default;
  static constexpr auto Fields() {
    return base::codec::List(base::codec::Opaque<uint8_t>(&WatchedLabel::label),
                             &WatchedLabel::contact, &WatchedLabel::not_before_ms);
  }
};

// A version of an owned label that this client did not publish, kept until its user accepts it.
struct ForeignVersionRecord {
  // Longer values than any certificate set are kept as empty ones, which are none either.
  static constexpr size_t kMaxValueBytes = 256 << 10;

  base::Version version = 0;
  base::LogPosition position = 0;  // of the log entry that added it
  base::Bytes value;
  uint8_t notified = 0;  // 1: the user's command has been told

  bool operator==(const ForeignVersionRecord&) const = default;
  static constexpr auto Fields() {
    return base::codec::List(
        &ForeignVersionRecord::version, &ForeignVersionRecord::position,
        base::codec::Opaque<uint32_t>(&ForeignVersionRecord::value, kMaxValueBytes),
        &ForeignVersionRecord::notified);
  }
};

// What was sent to be published, until the log's answer tells what became of it. The answer may be
// lost: it is by this that the versions are recognized later.
struct PendingUpdate {
  std::optional<base::Version> previous;  // the greatest version, which these are to follow
  std::vector<base::Hash> values;         // SHA-256

  bool operator==(const PendingUpdate&) const = default;
  static constexpr auto Fields() {
    return base::codec::List(&PendingUpdate::previous,
                             base::codec::Vector<uint8_t>(&PendingUpdate::values));
  }
};

// A label that this client owns ("Owner Algorithm").
struct OwnedLabel {
  // Beyond that the oldest is forgotten: what it asked for, if it comes to be, is told of as
  // foreign.
  static constexpr size_t kMaxPending = 16;

  base::Bytes label;
  core::OwnerState owner;
  // Several if several processes publish at once; oldest first, none twice.
  std::vector<PendingUpdate> pending;
  // The newest versions that were recognized as this client's own: where, and the greatest of them.
  std::optional<core::MonitorMapEntry> published;
  std::vector<base::Hash> published_values;   // SHA-256 of these versions' values
  std::vector<ForeignVersionRecord> foreign;  // ascending by version and by position
  // Not later than the timestamp of the log entry owner.start (expiry.h).
  uint64_t not_before_ms = 0;

  bool operator==(const OwnedLabel&) const = default;
  static constexpr auto Fields() {
    return base::codec::List(
        base::codec::Opaque<uint8_t>(&OwnedLabel::label), &OwnedLabel::owner,
        base::codec::Vector<uint8_t>(&OwnedLabel::pending, kMaxPending), &OwnedLabel::published,
        base::codec::Vector<uint8_t>(&OwnedLabel::published_values),
        base::codec::Vector<uint32_t>(&OwnedLabel::foreign), &OwnedLabel::not_before_ms);
  }
};

// A provisional credential that is not finally verified.
struct StoredCredential {
  base::Hash id;  // SHA-256 of the encoded Credential
  core::PendingCredential pending;

  bool operator==(const StoredCredential&) const = default;
  static constexpr auto Fields() {
    return base::codec::List(&StoredCredential::id, &StoredCredential::pending);
  }
};

struct LogRecord {
  static constexpr uint16_t kFormat = 3;
  static constexpr size_t kMaxLabels = 100'000;  // in either list
  // Of the values of foreign versions, which are a log's to make up.
  static constexpr size_t kMaxForeignBytes = 16 << 20;
  // Of credentials, which anybody may send.
  static constexpr size_t kMaxCredentialBytes = 16 << 20;
  static constexpr size_t kMaxCredentials = 10'000;

  uint16_t format = kFormat;
  core::Configuration config;              // pinned at first use
  std::optional<core::UserState> state;    // of the last verified head
  core::DistinguishedState distinguished;  // the recent distinguished log entries
  std::vector<WatchedLabel> watched;       // ascending by label; none that is done
  std::vector<OwnedLabel> owned;           // ascending by label
  // As they came, but those that the log was asked about in vain go last; none twice.
  std::vector<StoredCredential> credentials;

  bool operator==(const LogRecord&) const = default;
  static constexpr auto Fields() {
    return base::codec::List(
        &LogRecord::format, &LogRecord::config, &LogRecord::state, &LogRecord::distinguished,
        base::codec::Vector<uint32_t>(&LogRecord::watched, kMaxLabels),
        base::codec::Vector<uint32_t>(&LogRecord::owned, kMaxLabels),
        base::codec::Vector<uint32_t>(&LogRecord::credentials, kMaxCredentials));
  }

  // nullptr if the label is not watched or not owned.
  const core::ContactState* FindWatched(base::ByteView label) const;
  const WatchedLabel* FindWatchedLabel(base::ByteView label) const;
  const OwnedLabel* FindOwned(base::ByteView label) const;
  // Replace what is there, or add it; a `contact` that is done is removed.
  void SetWatched(base::ByteView label, core::ContactState contact, uint64_t not_before_ms);
  void SetOwned(OwnedLabel entry);
  void EraseOwned(base::ByteView label);
  // How much of kMaxForeignBytes is used.
  size_t ForeignBytes() const;
  // nullptr if no such credential is pending.
  core::PendingCredential* FindCredential(const base::Hash& id);
  const core::PendingCredential* FindCredential(const base::Hash& id) const;
  void EraseCredential(const base::Hash& id);
  // How much of kMaxCredentialBytes is used.
  size_t CredentialBytes() const;
};

// kDataLoss unless `bytes` encodes a record that this version could have written for the log with
// this configuration fingerprint: what was stored must not be able to break an invariant.
absl::StatusOr<LogRecord> DecodeLogRecord(base::ByteView bytes, const base::Hash& fingerprint);

}  // namespace kt::client
#endif  // KT_CLIENT_LOG_RECORD_H_
