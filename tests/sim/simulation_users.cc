// SPDX-License-Identifier: Apache-2.0
//
// What the users of a simulated log do, and what each of them must then know.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-client/log_record.h"
#include "kt-server/monitoring_service.h"
#include "kt-server/search_service.h"
#include "smime/certificate.h"
#include "tests/sim/simulation.h"
#include "tests/support/paths.h"

namespace kt::sim {

using base::Bytes;
using base::Version;
using client::LogUser;
using core::CredentialProgress;
using server::MonitoringService;

namespace {

// The owner's sets: of what may be published for her address.
Bytes OwnersSet(uint64_t choice) {
  static const auto* const kEntries = [] {
    auto* const entries = new std::vector<smime::CertificateEntry>();
    for (const char* name : {"alice.sign.crt.pem", "alice.encr.crt.pem"}) {
      const std::string path = testing::SourceDir() + "/tests/vectors/rfc9216/" + name;
      smime::CertificateEntry& entry = entries->emplace_back();
      entry.der = smime::ParsePem(testing::ReadText(path)).value().front().der();
    }
    return entries;
  }();
  std::vector<smime::CertificateEntry> chosen;
  for (size_t i = 0; i < kEntries->size(); ++i) {
    if ((choice >> i & 1) != 0) chosen.push_back((*kEntries)[i]);
  }
  return smime::CertificateSet::Create(std::move(chosen)).value().Encode();
}

}  // namespace

// --- answers -----------------------------------------------------------------------------

// Has an honest log's answer taken. Now and then it is altered first, and then refused.
absl::Status Simulation::Take(LogUser& user, const Exchange& exchange, std::string* result) {
  if (!exchange.response.ok()) {
    if (forgets()) return Forgotten(user, exchange);
    return Broken(absl::StrCat(exchange.operation, " is not answered"), exchange.response.status());
  }
  const LogUser before = user;
  const auto taken = exchange.take(user, *exchange.response, now_ms());
  if (!taken.ok()) return Broken("honest " + exchange.operation + " is refused", taken.status());
  if (result != nullptr) *result = *taken;
  const auto read = client::DecodeLogRecord(base::codec::Encode(user.record()),
                                            core::ConfigurationFingerprint(log_.config()));
  if (!read.ok()) return Broken("what is retained cannot be read again", read.status());
  if (*read != user.record()) return Broken("what is retained reads otherwise");
  return CheckFlip(before, user, exchange, *taken);
}

// A bit that is altered makes a response that is refused, or it is one on which nothing depends.
absl::Status Simulation::CheckFlip(const LogUser& before, const LogUser& after,
                                   const Exchange& exchange, const std::string& honest) {
  if (random_.Below(2) == 0) return absl::OkStatus();
  Bytes altered = *exchange.response;
  altered[random_.Below(altered.size())] ^= static_cast<uint8_t>(1 << random_.Below(8));
  LogUser victim = before;
  const auto result = exchange.take(victim, altered, now_ms());
  if (result.ok()) {
    if (*result == honest && victim.record() == after.record()) return absl::OkStatus();
    if (exchange.operation == "update") return NoticedByMonitoring(victim);
    return Broken("altered " + exchange.operation + " is believed");
  }
  ++counts_.flips_refused;
  return Refused(before, {exchange.operation, altered, exchange.take, nullptr, exchange.found});
}

// The values and openings of a distinguished log entry's versions await owner monitoring, where
// what was altered does not fit what the log proves.
absl::Status Simulation::NoticedByMonitoring(LogUser owner) {
  for (;;) {
    const auto before = owner.record().FindOwned(base::AsBytes(kOwned))->owner.start;
    const Exchange exchange = AskOwnerMonitor(owner, log_.log(), kOwned);
    if (!exchange.response.ok() && forgets()) return CheckMayForget(owner, exchange);
    if (!exchange.response.ok()) return Broken("no answer", exchange.response.status());
    const auto result = exchange.take(owner, *exchange.response, now_ms());
    if (base::IsVerificationFailure(result.status())) {
      ++counts_.flips_refused;
      return absl::OkStatus();
    }
    if (!result.ok()) return Broken("owner monitoring fails", result.status());
    if (*result == "complete") return Broken("an altered update is believed");
    if (owner.record().FindOwned(base::AsBytes(kOwned))->owner.start <= before) {
      return Broken("owner monitoring does not advance");
    }
  }
}

// What contradicts what `user` knows is a verification failure, and changes nothing.
absl::Status Simulation::Refused(const LogUser& user, const Exchange& exchange) {
  if (!exchange.response.ok()) {
    return Broken("no " + exchange.operation + " by a liar", exchange.response.status());
  }
  LogUser deceived = user;
  const auto result = exchange.take(deceived, *exchange.response, now_ms());
  if (!base::IsVerificationFailure(result.status())) {
    return Broken("a lie in " + exchange.operation + " is no verification failure",
                  result.status());
  }
  if (deceived.record() != user.record()) return Broken("what is refused changes the record");
  return absl::OkStatus();
}

// --- searching and monitoring --------------------------------------------------------------

absl::Status Simulation::Search(LogUser& user, const std::string& label,
                                std::optional<Version> version) {
  const Exchange exchange = AskSearch(user, log_.log(), label, version);
  std::string result;
  KT_RETURN_IF_ERROR(Take(user, exchange, &result));
  ++(exchange.found ? counts_.searches : counts_.absences);
  const auto greatest = GreatestShown(label, user.record().state->tree_size());
  const Version target = version.value_or(greatest.value_or(0));
  const bool exists = greatest.has_value() && target <= *greatest;
  if (exchange.found != exists) return Broken("a search finds what is not there, or does not");
  const std::string expected =
      exists ? absl::StrCat("version ", target, " ", base::ToHex(published_[label][target].value))
             : absl::StrCat("no version ", target, " ");
  if (result != expected) return Broken("a search gives another version");
  // Until the auditor follows, users of an audited log are shown the log as it was.
  if (exists && published_[label][target].erased && log_.log().current() == log_.log().newest()) {
    return Broken("a search gives an erased version");
  }
  return absl::OkStatus();
}

absl::Status Simulation::ContactMonitor(LogUser& user) {
  const std::vector<client::WatchedLabel> watched = user.record().watched;
  for (const client::WatchedLabel& label : watched) {
    KT_RETURN_IF_ERROR(Take(user, AskContactMonitor(user, log_.log(), label.label)));
    ++counts_.monitorings;
  }
  return absl::OkStatus();
}

absl::Status Simulation::Walk(LogUser& user) {
  KT_RETURN_IF_ERROR(Take(user, AskWalk(user, log_.log())));
  ++counts_.walks;
  return absl::OkStatus();
}

// A read that fails is an error, never a wrong answer and never "there is none".
absl::Status Simulation::AskOfFailingDisk(const LogUser& user) {
  log_.store().FailAfter(random_.Below(5), false);
  Exchange exchange;
  switch (random_.Below(4)) {
    case 0:
      exchange = AskWalk(user, log_.log());
      break;
    case 1:
      if (!user.record().watched.empty()) {
        exchange = AskContactMonitor(user, log_.log(), user.record().watched[0].label);
        break;
      }
      [[fallthrough]];
    case 2:
      if (owner_ != nullptr) {
        exchange = AskOwnerMonitor(*owner_, log_.log(), kOwned);
        break;
      }
      [[fallthrough]];
    default:
      exchange = AskSearch(user, log_.log(), AnyLabel(), std::nullopt);
  }
  if (!log_.store().EndFault()) return absl::OkStatus();
  ++counts_.failed_reads;
  if (absl::IsUnavailable(exchange.response.status())) return absl::OkStatus();
  return Broken("a failed read is answered", exchange.response.status());
}

// --- the owner ---------------------------------------------------------------------------

absl::Status Simulation::Own() {
  if (owner_ == nullptr) return BecomeOwner();
  KT_RETURN_IF_ERROR(CatchUp());
  return OwnerMonitor();
}

absl::Status Simulation::BecomeOwner() {
  std::unique_ptr<LogUser> owner = NewUser();
  KT_RETURN_IF_ERROR(Walk(*owner));
  const auto& entries = owner->record().distinguished.entries;
  if (entries.empty()) return absl::OkStatus();
  owned_from_ = entries.back().position;
  KT_RETURN_IF_ERROR(Take(*owner, AskOwnerInit(*owner, log_.log(), kOwned, owned_from_)));
  owner_ = std::move(owner);
  return CatchUp();
}

// The owner learns of every version, with its value: whatever is under her name, she sees it.
absl::Status Simulation::CatchUp() {
  for (;;) {
    KT_ASSIGN_OR_RETURN(const auto request, owner_->MakeUpdate(base::AsBytes(kOwned), {}));
    const auto decision = log_.updates().Decide(request);
    if (absl::IsNotFound(decision.status())) break;
    if (!decision.ok()) return Broken("an owner is not answered", decision.status());
    KT_RETURN_IF_ERROR(TakeUpdates(request, std::nullopt));
  }
  const auto known = owner_->record().FindOwned(base::AsBytes(kOwned))->owner.greatest_version();
  if (known != GreatestShown(kOwned, log_.log().current()->size())) {
    return Broken("the owner does not know of all versions");
  }
  return CheckForeign();
}

// As server::UpdateCall sends them: up to what she asked for, or the newest.
absl::Status Simulation::TakeUpdates(core::UpdateRequest request,
                                     std::optional<base::LogPosition> created) {
  for (;;) {
    const auto answer = log_.updates().Answer(request, created);
    if (absl::IsNotFound(answer.status())) return absl::OkStatus();
    // The auditor has not signed her versions yet.
    if (created.has_value() && audited() && absl::IsUnavailable(answer.status())) {
      ++counts_.lost_answers;
      return absl::OkStatus();
    }
    const auto response = answer.ok() ? absl::StatusOr<Bytes>(answer->response) : answer.status();
    KT_RETURN_IF_ERROR(Take(*owner_, AskUpdate(log_.config(), request, response)));
    ++counts_.updates;
    if (answer->created) return absl::OkStatus();
    request = answer->following;
    created.reset();
  }
}

// What she did not publish herself, and nothing else, is kept for her to accept.
absl::Status Simulation::CheckForeign() {
  const client::OwnedLabel& owned = *owner_->record().FindOwned(base::AsBytes(kOwned));
  const std::vector<Published>& versions = published_[kOwned];
  auto foreign = owned.foreign.begin();
  for (Version version = 0; version < versions.size(); ++version) {
    const Published& expected = versions[version];
    if (expected.position <= owned_from_ || owned.owner.greatest_version() < version) continue;
    const bool kept = foreign != owned.foreign.end() && foreign->version == version;
    if (kept == expected.owners) {
      return Broken(
          absl::StrCat("version ", version,
                       kept ? " is hers, and counts as foreign" : " is foreign, and is not kept"));
    }
    if (!kept) continue;
    if (foreign->position != expected.position || foreign->value != expected.value) {
      return Broken("an update tells of another value");
    }
    ++foreign;
  }
  if (foreign != owned.foreign.end()) return Broken("a version is foreign that is not there");
  return absl::OkStatus();
}

absl::Status Simulation::OwnerMonitor() {
  for (;;) {
    const Exchange exchange = AskOwnerMonitor(*owner_, log_.log(), kOwned);
    const auto before = owner_->record().FindOwned(base::AsBytes(kOwned))->owner.start;
    std::string result;
    KT_RETURN_IF_ERROR(Take(*owner_, exchange, &result));
    ++counts_.monitorings;
    if (result == "complete") return absl::OkStatus();
    if (owner_->record().FindOwned(base::AsBytes(kOwned))->owner.start <= before) {
      return Broken("owner monitoring does not advance");
    }
  }
}

// Her publication alone in an epoch, or behind somebody else's, with a disk that may fail. The
// answer may be lost: she learns what became of it later.
absl::Status Simulation::OwnerPublish() {
  if (owner_ == nullptr) return Own();
  KT_RETURN_IF_ERROR(Epoch());
  // Her record remembers one publication whose answer was lost, so she first sees what became of
  // it; in an audited log that is when the auditor has signed it.
  KT_RETURN_IF_ERROR(Audit());
  KT_RETURN_IF_ERROR(CatchUp());
  const auto hers = NewPublication(kOwned);
  hers->alone = hers->owners = true;
  std::vector<Bytes> values = {OwnersSet(random_.Below(4))};
  if (random_.Below(3) == 0) values.push_back(OwnersSet(random_.Below(4)));
  KT_ASSIGN_OR_RETURN(const auto request, owner_->MakeUpdate(base::AsBytes(kOwned), values));
  if (forgets()) {
    const auto decision = log_.updates().Decide(request);
    if (absl::IsAborted(decision.status())) {
      return Forgotten(*owner_, AskUpdate(log_.config(), request, decision.status()));
    }
  }
  bool overtaken = published_[kOwned].size() !=
                   (request.greatest_version.has_value() ? *request.greatest_version + 1 : 0);
  if (random_.Below(4) == 0) {
    KT_RETURN_IF_ERROR(Submit(NewPublication(kOwned)));
    overtaken = true;
  }
  if (!overtaken) {
    hers->first = static_cast<Version>(published_[kOwned].size());
    hers->values = values;
    batch_.push_back(hers);
  }
  log_.Create(request, [&](const auto& outcome) { Answered(hers, outcome); });
  pending_.push_back(hers);
  // If the other one's turn failed, hers might come to be after all.
  if (!overtaken && random_.Below(4) == 0) {
    log_.store().FailAfter(random_.Below(24), random_.Below(2) == 0);
  }
  KT_RETURN_IF_ERROR(Epoch());
  const bool failed = log_.store().EndFault();
  const auto& outcome = *hers->answer;
  if (!log_.log().writable().ok()) return Restart();
  if (!outcome.ok() && !failed && absl::IsAborted(outcome.status()) != overtaken) {
    return Broken("the owner's publication fails", outcome.status());
  }
  if (outcome.ok() && overtaken) return Broken("the owner's publication follows another version");
  if (!outcome.ok() && !absl::IsAborted(outcome.status())) return absl::OkStatus();
  if (audited() && log_.log().current() == nullptr) return absl::OkStatus();
  ++counts_.owner_publications;
  if (random_.Below(4) == 0) {
    ++counts_.lost_answers;
    return absl::OkStatus();
  }
  return TakeUpdates(request, outcome.ok() ? std::optional(outcome->position) : std::nullopt);
}

// --- credentials -------------------------------------------------------------------------

absl::Status Simulation::SendCredential() {
  SentCredential credential;
  credential.sender = random_.Below(users_.size());
  credential.label = AnyLabel();
  LogUser& sender = *users_[credential.sender].retained;
  KT_RETURN_IF_ERROR(Walk(sender));
  KT_RETURN_IF_ERROR(Search(sender, credential.label, std::nullopt));
  const auto base = sender.CredentialBase(random_.Below(2) * random_.Below(3'000), now_ms());
  if (absl::IsUnavailable(base.status())) return absl::OkStatus();
  if (!base.ok()) return Broken("a credential has no base", base.status());
  const auto request = sender.MakeCredentialSearch(base::AsBytes(credential.label), *base);
  const auto answer = server::SearchService(log_.log()).Search(base::codec::Encode(request));
  if (!answer.ok()) {
    if (!forgets()) return Broken("a credential is not answered", answer.status());
    Exchange search;
    search.operation = "a search for a credential";
    search.kind = client::Operation::kCredentialSearch;
    search.request = base::codec::Encode(request);
    search.response = answer.status();
    return Forgotten(sender, search);
  }
  if (!answer->found) return absl::OkStatus();
  auto made = sender.MakeCredential(request, answer->response, now_ms());
  if (!made.ok()) return Broken("a credential is not made", made.status());
  credential.sent = *std::move(made);
  if (credential.sent.version !=
      GreatestShown(credential.label, sender.record().state->tree_size())) {
    return Broken("a credential is of another version");
  }
  ++(credential.sent.provisional ? counts_.provisional_credentials : counts_.credentials);
  for (User& receiver : users_) {
    KT_RETURN_IF_ERROR(ReceiveCredential(*receiver.retained, credential));
  }
  credentials_.push_back(std::move(credential));
  if (credentials_.size() > 20) credentials_.erase(credentials_.begin());
  return absl::OkStatus();
}

absl::Status Simulation::ReceiveCredential(LogUser& receiver, const SentCredential& credential) {
  if (random_.Below(2) == 0) return absl::OkStatus();
  const Bytes& bytes = credential.sent.credential;
  const LogUser before = receiver;
  const auto received = receiver.Credential(bytes, {}, now_ms());
  if (!received.ok()) {
    // She has not walked as far, or has walked on so far that it is not recent any more.
    if (absl::IsUnavailable(received.status()) || absl::IsOutOfRange(received.status())) {
      return absl::OkStatus();
    }
    return Broken("an honest credential is refused", received.status());
  }
  const Published& expected = published_[credential.label][credential.sent.version];
  if (received->label != base::ToBytes(credential.label) ||
      received->version != credential.sent.version || received->value != expected.value) {
    return Broken("a credential says something else");
  }
  Bytes altered = bytes;
  altered[random_.Below(altered.size())] ^= static_cast<uint8_t>(1 << random_.Below(8));
  LogUser victim = before;
  const auto deceived = victim.Credential(altered, {}, now_ms());
  if (!deceived.ok()) {
    ++counts_.flips_refused;
    if (victim.record() != before.record()) return Broken("a refused credential is retained");
  } else if (deceived->label != received->label || deceived->version != received->version ||
             deceived->value != received->value) {
    return Broken("an altered credential is believed");
  }
  return absl::OkStatus();
}

absl::Status Simulation::SettleCredentials() {
  LogUser& user = AnyUser();
  KT_RETURN_IF_ERROR(Walk(user));
  for (const client::CredentialEvent& event : user.AdvanceCredentials(now_ms())) {
    KT_RETURN_IF_ERROR(SettleCredential(user, event));
  }
  return absl::OkStatus();
}

absl::Status Simulation::NoCredentialUpdate(LogUser& user, client::Operation kind,
                                            const core::CredentialUpdateRequest& request,
                                            const absl::Status& status) {
  if (!forgets()) return Broken("a credential's update is not answered", status);
  Exchange exchange;
  exchange.operation = "a credential's update";
  exchange.kind = kind;
  exchange.request = base::codec::Encode(request);
  exchange.response = status;
  return Forgotten(user, exchange);
}

absl::Status Simulation::SettleCredential(LogUser& user, const client::CredentialEvent& event) {
  if (!event.progress.ok()) {
    return Broken("an honest credential is contradicted", event.progress.status());
  }
  switch (*event.progress) {
    case CredentialProgress::kWaiting:
      return absl::OkStatus();
    case CredentialProgress::kFinal:
      ++counts_.settled_credentials;
      return absl::OkStatus();
    case CredentialProgress::kUpdateFromLog: {
      const auto request = user.MakeOverdueUpdate(event.id);
      if (!request.ok()) return Broken("an overdue credential", request.status());
      const auto answer =
          MonitoringService(log_.log()).UpdateCredential(base::codec::Encode(*request));
      if (!answer.ok()) {
        return NoCredentialUpdate(user, client::Operation::kOverdueUpdate, *request,
                                  answer.status());
      }
      const absl::Status settled = user.OverdueUpdate(event.id, answer->response, now_ms());
      if (!settled.ok()) return Broken("an overdue credential is not settled", settled);
      ++counts_.settled_credentials;
      return absl::OkStatus();
    }
    case CredentialProgress::kUpdateNeeded:
      break;
  }
  for (const SentCredential& credential : credentials_) {
    if (base::Sha256(credential.sent.credential) != event.id) continue;
    LogUser& sender = *users_[credential.sender].retained;
    KT_RETURN_IF_ERROR(Walk(sender));
    const auto request = sender.MakeCredentialUpdate(credential.sent.credential, now_ms());
    // The sender may be new, or have been away for too long, and then cannot help.
    if (!request.ok()) {
      return base::IsVerificationFailure(request.status())
                 ? Broken("a sender refuses her own credential", request.status())
                 : absl::OkStatus();
    }
    if (!request->has_value()) return absl::OkStatus();
    const auto answer =
        MonitoringService(log_.log()).UpdateCredential(base::codec::Encode(**request));
    if (!answer.ok()) {
      return NoCredentialUpdate(sender, client::Operation::kCredentialUpdate, **request,
                                answer.status());
    }
    const absl::Status checked =
        sender.CheckCredentialUpdate(credential.sent.credential, answer->response, now_ms());
    if (!checked.ok()) return Broken("an update of a credential is refused", checked);
    const auto received = user.Credential(credential.sent.credential, answer->response, now_ms());
    if (!received.ok()) return Broken("an honest update is refused", received.status());
    if (received->progress == CredentialProgress::kFinal) ++counts_.settled_credentials;
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

}  // namespace kt::sim
