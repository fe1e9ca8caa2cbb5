// SPDX-License-Identifier: Apache-2.0
#include "kt-client/log_record.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"

namespace kt::client {
namespace {

template <typename T>
const T* Find(const std::vector<T>& labels, base::ByteView label) {
  const base::Bytes key = base::ToBytes(label);
  const auto it = std::ranges::lower_bound(labels, key, {}, &T::label);
  return it != labels.end() && it->label == key ? &*it : nullptr;
}

template <typename T>
void Erase(std::vector<T>& labels, base::ByteView label) {
  const base::Bytes key = base::ToBytes(label);
  std::erase_if(labels, [&](const T& entry) { return entry.label == key; });
}

template <typename T>
void Set(std::vector<T>& labels, T entry) {
  const auto it = std::ranges::lower_bound(labels, entry.label, {}, &T::label);
  if (it != labels.end() && it->label == entry.label) {
    *it = std::move(entry);
  } else {
    labels.insert(it, std::move(entry));
  }
}

template <typename T>
absl::Status CheckAscending(const std::vector<T>& labels) {
  const auto wrong = std::ranges::adjacent_find(
      labels, [](const T& a, const T& b) { return !(a.label < b.label); });
  if (wrong == labels.end()) return absl::OkStatus();
  return absl::DataLossError("its labels are out of order");
}

absl::Status CheckOwned(const OwnedLabel& owned) {
  KT_RETURN_IF_ERROR(core::ValidateOwnerState(owned.owner));
  const auto wrong = std::ranges::adjacent_find(
      owned.foreign, [](const ForeignVersionRecord& a, const ForeignVersionRecord& b) {
        return a.version >= b.version || a.position > b.position;
      });
  if (wrong != owned.foreign.end()) {
    return absl::DataLossError("the versions of an owned label are out of order");
  }
  return absl::OkStatus();
}

absl::Status CheckCredential(const StoredCredential& stored, const core::Configuration& config) {
  const core::PendingCredential& pending = stored.pending;
  KT_RETURN_IF_ERROR(core::ValidatePendingCredential(pending));
  if (base::Sha256(pending.credential) != stored.id) {
    return absl::DataLossError("a retained credential is not the one that it is listed as");
  }
  const auto credential =
      base::codec::Decode<core::Credential>(pending.credential, core::WireContext::For(config));
  KT_RETURN_IF_ERROR(credential.status());
  if (credential->version == pending.version && credential->position == pending.position) {
    return absl::OkStatus();
  }
  return absl::DataLossError("a retained credential says something else than is known of it");
}

absl::Status CheckFormat(base::ByteView bytes) {
  constexpr uint16_t kFormat = LogRecord::kFormat;
  if (bytes.size() < 2) return absl::DataLossError("it is truncated");
  const int format = bytes[0] << 8 | bytes[1];
  if (format == kFormat) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("it is of another version of this program: format ",
                                          format, " instead of ", int{kFormat}));
}

absl::Status CheckRecord(const LogRecord& record, const base::Hash& fingerprint) {
  KT_RETURN_IF_ERROR(core::ValidateConfiguration(record.config));
  if (core::ConfigurationFingerprint(record.config) != fingerprint) {
    return absl::DataLossError("it belongs to another log");
  }
  if (record.state.has_value()) KT_RETURN_IF_ERROR(core::ValidateUserState(*record.state));
  KT_RETURN_IF_ERROR(core::ValidateDistinguishedState(record.distinguished));
  KT_RETURN_IF_ERROR(CheckAscending(record.watched));
  KT_RETURN_IF_ERROR(CheckAscending(record.owned));
  for (const WatchedLabel& watched : record.watched) {
    KT_RETURN_IF_ERROR(core::ValidateContactState(watched.contact));
  }
  if (!record.owned.empty() && !record.state.has_value()) {
    return absl::DataLossError("a label is owned in a log that was never seen");
  }
  for (const OwnedLabel& owned : record.owned) KT_RETURN_IF_ERROR(CheckOwned(owned));
  for (const StoredCredential& stored : record.credentials) {
    KT_RETURN_IF_ERROR(CheckCredential(stored, record.config));
  }
  return absl::OkStatus();
}

}  // namespace

const WatchedLabel* LogRecord::FindWatchedLabel(base::ByteView label) const {
  return Find(watched, label);
}

const core::ContactState* LogRecord::FindWatched(base::ByteView label) const {
  const WatchedLabel* const found = FindWatchedLabel(label);
  return found == nullptr ? nullptr : &found->contact;
}

const OwnedLabel* LogRecord::FindOwned(base::ByteView label) const { return Find(owned, label); }

void LogRecord::SetWatched(base::ByteView label, core::ContactState contact,
                           uint64_t not_before_ms) {
  if (contact.done()) return Erase(watched, label);
  Set(watched, WatchedLabel{base::ToBytes(label), std::move(contact), not_before_ms});
}

void LogRecord::SetOwned(OwnedLabel entry) { Set(owned, std::move(entry)); }

void LogRecord::EraseOwned(base::ByteView label) { Erase(owned, label); }

size_t LogRecord::ForeignBytes() const {
  size_t bytes = 0;
  for (const OwnedLabel& label : owned) {
    for (const ForeignVersionRecord& foreign : label.foreign) {
      bytes += sizeof(ForeignVersionRecord) + foreign.value.size();
    }
  }
  return bytes;
}

const core::PendingCredential* LogRecord::FindCredential(const base::Hash& id) const {
  const auto found = std::ranges::find(credentials, id, &StoredCredential::id);
  return found == credentials.end() ? nullptr : &found->pending;
}

core::PendingCredential* LogRecord::FindCredential(const base::Hash& id) {
  const auto found = std::ranges::find(credentials, id, &StoredCredential::id);
  return found == credentials.end() ? nullptr : &found->pending;
}

void LogRecord::EraseCredential(const base::Hash& id) {
  std::erase_if(credentials, [&](const StoredCredential& stored) { return stored.id == id; });
}

size_t LogRecord::CredentialBytes() const {
  size_t bytes = 0;
  for (const auto& [id, pending] : credentials) {
    bytes += sizeof(StoredCredential) + pending.credential.size() + pending.update.size();
  }
  return bytes;
}

absl::StatusOr<LogRecord> DecodeLogRecord(base::ByteView bytes, const base::Hash& fingerprint) {
  KT_RETURN_IF_ERROR(CheckFormat(bytes));
  absl::StatusOr<LogRecord> record = base::codec::Decode<LogRecord>(bytes);
  absl::Status status = record.status();
  if (status.ok()) status = CheckRecord(*record, fingerprint);
  if (!status.ok()) return absl::DataLossError(std::string(status.message()));
  return record;
}

}  // namespace kt::client
