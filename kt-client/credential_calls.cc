// SPDX-License-Identifier: Apache-2.0
#include "kt-client/credential_calls.h"

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-client/failure.h"
#include "kt-client/set_value.h"
#include "kt-core/response_verifier.h"

namespace kt::client {
namespace {

CredentialState ToState(core::CredentialProgress progress) {
  switch (progress) {
    case core::CredentialProgress::kFinal:
      return CredentialState::kFinal;
    case core::CredentialProgress::kWaiting:
      return CredentialState::kWaiting;
    case core::CredentialProgress::kUpdateNeeded:
      return CredentialState::kUpdateNeeded;
    case core::CredentialProgress::kUpdateFromLog:
      break;
  }
  return CredentialState::kOverdue;
}

// The fingerprint of the log that is pinned for `domain`.
absl::StatusOr<base::Hash> PinOf(const StateStore& store, const std::string& domain) {
  KT_ASSIGN_OR_RETURN(const std::optional<base::Hash> pin, store.ReadPin(domain));
  if (pin.has_value()) return *pin;
  return FailedBecause(
      Failure::kNotYet,
      absl::StrCat("nothing is known of the log of ", domain,
                   " yet: 'kt-client heads DOMAIN' makes it known, and 'kt-client monitor' keeps "
                   "that fresh"));
}

}  // namespace

absl::StatusOr<smime::Address> AddressOfCredential(base::ByteView credential) {
  // The first field of the structure; the others depend on which log it is of.
  const size_t length = credential.empty() ? 0 : credential[0];
  if (credential.size() <= length) return absl::InvalidArgumentError("this is not a Credential");
  const base::ByteView label = credential.subspan(1, length);
  absl::StatusOr<smime::Address> address = smime::ParseAddress(base::ToText(label));
  if (!address.ok()) return base::Annotate(address.status(), "the credential's label");
  if (base::ToBytes(address->label()) == base::ToBytes(label)) return address;
  return absl::InvalidArgumentError("the credential's label is not an address in normal form");
}

absl::StatusOr<CredentialResult> CheckCredentialOffline(const StateStore& store,
                                                        base::ByteView credential,
                                                        base::ByteView update,
                                                        const base::Clock& clock, int timeout_ms) {
  KT_ASSIGN_OR_RETURN(const smime::Address address, AddressOfCredential(credential));
  KT_ASSIGN_OR_RETURN(const base::Hash fingerprint, PinOf(store, address.domain));
  KT_ASSIGN_OR_RETURN(StateStore::Session locked, store.Lock(fingerprint, timeout_ms));
  if (!locked.record().has_value()) {
    return absl::DataLossError("the log is pinned, but its state is missing");
  }
  KT_ASSIGN_OR_RETURN(const auto verifier, core::ResponseVerifier::Create(locked.record()->config));
  LogUser user(*verifier, *locked.record());
  const uint64_t now_ms = clock.NowMs();
  KT_ASSIGN_OR_RETURN(const ReceivedCredential received,
                      user.Credential(credential, update, now_ms));
  CredentialResult result;
  result.id = received.id;
  result.address = address.text();
  result.version = received.version;
  result.position = received.position;
  result.provisional = received.provisional;
  result.state = ToState(received.progress);
  KT_ASSIGN_OR_RETURN(result.set, DecodeSet(received.value));
  smime::SortedEntries sorted = smime::SortEntries(result.set, address, now_ms);
  result.certificates = std::move(sorted.usable);
  result.passed_over = std::move(sorted.passed_over);
  if (user.record() != *locked.record()) KT_RETURN_IF_ERROR(locked.Save(user.record()));
  return result;
}

PendingCredential ToPending(const CredentialEvent& event) {
  PendingCredential pending;
  pending.id = event.id;
  pending.address = base::ToText(event.label);
  pending.version = event.version;
  pending.status = event.progress.status();
  if (event.progress.ok()) pending.state = ToState(*event.progress);
  pending.update_failed = event.update_failed;
  return pending;
}

absl::StatusOr<std::vector<PendingCredential>> ListCredentials(const StateStore& store,
                                                               const std::string& domain) {
  std::vector<PendingCredential> list;
  KT_ASSIGN_OR_RETURN(const std::optional<base::Hash> pin, store.ReadPin(domain));
  if (!pin.has_value()) return list;
  KT_ASSIGN_OR_RETURN(const std::optional<LogRecord> record, store.Read(*pin));
  if (!record.has_value()) return list;
  KT_ASSIGN_OR_RETURN(const auto verifier, core::ResponseVerifier::Create(record->config));
  LogUser user(*verifier, *record);
  for (const CredentialEvent& event : user.AdvanceCredentials(base::SystemClock().NowMs())) {
    PendingCredential pending = ToPending(event);
    // A log may serve several domains.
    if (pending.address.ends_with("@" + domain)) list.push_back(std::move(pending));
  }
  return list;
}

namespace {

// Changes the record of `domain`'s log, in which the credential is pending.
absl::Status ChangeCredential(const StateStore& store, const std::string& domain,
                              const base::Hash& id, int timeout_ms,
                              const std::function<void(LogRecord*)>& change) {
  KT_ASSIGN_OR_RETURN(const base::Hash fingerprint, PinOf(store, domain));
  KT_ASSIGN_OR_RETURN(StateStore::Session locked, store.Lock(fingerprint, timeout_ms));
  std::optional<LogRecord> record = locked.record();
  if (!record.has_value() || record->FindCredential(id) == nullptr) {
    return absl::InvalidArgumentError("no such credential is pending");
  }
  change(&*record);
  return locked.Save(*std::move(record));
}

}  // namespace

absl::Status ForgetCredential(const StateStore& store, const std::string& domain,
                              const base::Hash& id, int timeout_ms) {
  return ChangeCredential(store, domain, id, timeout_ms,
                          [&](LogRecord* record) { record->EraseCredential(id); });
}

absl::Status DropCredentialUpdate(const StateStore& store, const std::string& domain,
                                  const base::Hash& id, int timeout_ms) {
  return ChangeCredential(store, domain, id, timeout_ms,
                          [&](LogRecord* record) { record->FindCredential(id)->update.clear(); });
}

}  // namespace kt::client
