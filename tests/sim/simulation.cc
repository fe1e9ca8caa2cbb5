// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/simulation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-server/audit_service.h"
#include "kt-server/head_guard.h"
#include "kt-server/monitoring_service.h"
#include "kt-server/search_service.h"
#include "kt-server/update_service.h"

namespace kt::sim {

using base::Bytes;
using base::TreeSize;
using base::Version;
using client::LogUser;
using core::DeploymentMode;
using server::FaultyStore;
using server::NewEntry;

namespace {

constexpr char kOwned[] = "user0@a.example";
constexpr size_t kAllVersions = 0;  // of Snapshot::ReadVersions

absl::Status Broken(const std::string& what, const absl::Status& why = absl::OkStatus()) {
  return absl::InternalError(why.ok() ? what : absl::StrCat(what, ": ", why.ToString()));
}

core::CipherSuite SuiteOf(uint64_t seed) {
  return seed % 4 == 0 ? core::CipherSuite::kP256 : core::CipherSuite::kEd25519;
}
DeploymentMode ModeOf(uint64_t seed) {
  return seed % 3 == 0 ? DeploymentMode::kThirdPartyAuditing : DeploymentMode::kContactMonitoring;
}

}  // namespace

SimulationCounts& SimulationCounts::operator+=(const SimulationCounts& other) {
  commits += other.commits;
  failed_commits += other.failed_commits;
  restarts += other.restarts;
  searches += other.searches;
  absences += other.absences;
  monitorings += other.monitorings;
  walks += other.walks;
  updates += other.updates;
  audits += other.audits;
  flips_refused += other.flips_refused;
  forks_refused += other.forks_refused;
  return *this;
}

Simulation::Simulation(uint64_t seed)
    : random_(seed), log_(SuiteOf(seed), ModeOf(seed)), fork_(SuiteOf(seed), ModeOf(seed)) {
  // Both operators have the same keys, or the fork would not be one.
  KT_CHECK(log_.config() == fork_.config());
  KT_CHECK(log_.AddEmpty().ok() && fork_.Add("forked@a.example", 0, "value").ok());
  for (auto& user : users_) user = NewUser();
  if (audited()) auditor_ = auditor::LogAuditor::Create(log_.config(), {}).value();
}

bool Simulation::audited() const {
  return log_.config().mode == DeploymentMode::kThirdPartyAuditing;
}

std::unique_ptr<LogUser> Simulation::NewUser() const {
  client::LogRecord record;
  record.config = log_.config();
  return std::make_unique<LogUser>(log_.verifier(), std::move(record));
}

absl::Status Simulation::Run(uint64_t steps) {
  for (uint64_t step = 0; step < steps; ++step) {
    absl::Status status = Step();
    if (status.ok()) status = CheckHeads();
    if (!status.ok()) return Broken(absl::StrCat("step ", step), status);
  }
  for (const auto& [label, versions] : published_) {
    for (Version version = 0; version < versions.size(); ++version) {
      KT_RETURN_IF_ERROR(CheckVersion(label, version));
    }
  }
  return absl::OkStatus();
}

absl::Status Simulation::Step() {
  log_.clock().Advance(random_.Below(20) == 0 ? random_.Below(5'000) : random_.Below(300));
  fork_.clock().Set(log_.clock().NowMs());
  LogUser& user = *users_[random_.Below(users_.size())];
  // Users of an audited log wait for its auditor; who asks earlier is told so.
  if (audited() && log_.log().current() == nullptr) return Audit();
  switch (random_.Below(16)) {
    case 0:
      return Restart();
    case 1:
    case 2:
      return Audit();
    case 3:
    case 4:
      return Own();
    case 5:
      return ContactMonitor(user);
    case 6:
      return Walk(user);
    case 7:
      return ShowFork(user);
    case 8: {
      const std::unique_ptr<LogUser> fresh = NewUser();
      return Search(*fresh, AnyLabel(), std::nullopt);
    }
    case 9: {
      const std::string label = AnyLabel();
      const auto versions = published_.find(label);
      const size_t count = versions == published_.end() ? 0 : versions->second.size();
      return Search(user, label, static_cast<Version>(random_.Below(count + 2)));
    }
    case 10:
    case 11:
      return Search(user, AnyLabel(), std::nullopt);
    default:
      return Publish();
  }
}

// --- the log -----------------------------------------------------------------------------

absl::Status Simulation::Publish() {
  std::map<std::string, Version> next;
  std::vector<NewEntry> entries(1 + random_.Below(3));
  // As the sequencer: never before the newest entry.
  const auto newest = log_.log().newest();
  const auto newest_ms = newest->Timestamp(newest->size() - 1);
  if (!newest_ms.ok()) return Broken("the newest entry has no timestamp", newest_ms.status());
  uint64_t timestamp_ms = std::max(log_.clock().NowMs(), *newest_ms);
  for (NewEntry& entry : entries) {
    entry.timestamp_ms = timestamp_ms;
    timestamp_ms += random_.Below(2);
    for (uint64_t n = random_.Below(5); n > 0; --n) {
      const std::string label = AnyLabel();
      const auto known = next.try_emplace(label, static_cast<Version>(published_[label].size()));
      const Version version = known.first->second++;
      const std::string value = absl::StrCat(label, " ", version, " ", random_.Below(1'000));
      entry.versions.push_back({base::ToBytes(label), version, {base::ToBytes(value), {}}});
    }
  }
  const auto fault =
      static_cast<FaultyStore::Fault>(random_.Below(10) < 8 ? 0 : 1 + random_.Below(2));
  const TreeSize size = newest->size();
  log_.store().FailNextCommit(fault);
  const absl::Status status = log_.log().Append(entries);
  if (fault == FaultyStore::Fault::kNone) {
    if (!status.ok()) return Broken("a sound commit failed", status);
    ++counts_.commits;
    return Adopt(entries, size);
  }
  ++counts_.failed_commits;
  if (status.ok()) return Broken("a commit that failed was acknowledged");
  if (log_.log().newest()->size() != size) return Broken("a commit that failed was published");
  // Until it is opened again, the log either is as before or takes no more.
  if (fault == FaultyStore::Fault::kAfterWrite && log_.log().writable().ok()) {
    return Broken("the log signs on although nobody knows what is stored");
  }
  unknown_ = entries;
  return Restart();
}

absl::Status Simulation::Adopt(const std::vector<NewEntry>& entries, TreeSize size) {
  for (const NewEntry& entry : entries) {
    for (const server::NewVersion& version : entry.versions) {
      published_[base::ToText(version.label)].push_back({size, version.value.value});
    }
    ++size;
  }
  if (log_.log().newest()->size() != size) return Broken("the log has another size");
  return absl::OkStatus();
}

absl::Status Simulation::Restart() {
  ++counts_.restarts;
  const TreeSize size = log_.log().newest()->size();
  if (const absl::Status status = log_.Reopen(); !status.ok()) {
    return Broken("the log does not open", status);
  }
  const TreeSize now = log_.log().newest()->size();
  const std::vector<NewEntry> unknown = std::exchange(unknown_, {});
  if (now == size) return absl::OkStatus();
  if (now != size + unknown.size()) return Broken("after a restart the log has another size");
  return Adopt(unknown, size);
}

// Never two heads for one size; the heads that are shown do not go back.
absl::Status Simulation::CheckHeads() {
  for (const auto& state : {log_.log().newest(), log_.log().current()}) {
    if (state == nullptr) continue;
    const auto root = server::LogRootAt(state->snapshot(), state->size());
    if (!root.ok()) return Broken("a published head has no root", root.status());
    const auto [head, fresh] = heads_.try_emplace(state->size(), *root);
    if (!fresh && head->second != *root) {
      return Broken(absl::StrCat("two heads of size ", state->size()));
    }
    if (log_.guard().head().tree_size < state->size()) {
      return Broken("a head was released that the guard does not know");
    }
  }
  if (published_.empty()) return absl::OkStatus();
  auto label = published_.begin();
  std::advance(label, random_.Below(published_.size()));
  if (label->second.empty()) return absl::OkStatus();
  return CheckVersion(label->first, static_cast<Version>(random_.Below(label->second.size())));
}

// An acknowledged version is found in the log's newest state, as it was published.
absl::Status Simulation::CheckVersion(const std::string& label, Version version) {
  const auto state = log_.log().newest();
  const auto rows = state->snapshot().ReadVersions(base::AsBytes(label), kAllVersions);
  if (!rows.ok()) return Broken("reading versions", rows.status());
  for (const server::VersionRow& row : *rows) {
    if (row.version != version) continue;
    const Published& expected = published_[label][version];
    if (!row.existing.has_value() || row.existing->position != expected.position) break;
    return absl::OkStatus();
  }
  return Broken(absl::StrCat("version ", version, " of ", label, " is lost"));
}

std::optional<Version> Simulation::GreatestShown(const std::string& label, TreeSize size) const {
  std::optional<Version> greatest;
  const auto versions = published_.find(label);
  if (versions == published_.end()) return greatest;
  for (Version version = 0; version < versions->second.size(); ++version) {
    if (versions->second[version].position < size) greatest = version;
  }
  return greatest;
}

// --- its users ---------------------------------------------------------------------------

absl::Status Simulation::Search(LogUser& user, const std::string& label,
                                std::optional<Version> version) {
  const core::SearchRequest request = user.MakeSearch(base::AsBytes(label), version);
  const LogUser before = user;
  const auto answer = server::SearchService(log_.log()).Search(base::codec::Encode(request));
  if (!answer.ok()) return Broken("a search is not answered", answer.status());
  const uint64_t now_ms = log_.clock().NowMs();
  const auto result = answer->found ? user.Search(request, answer->response, now_ms)
                                    : user.Absence(request, answer->response, now_ms);
  if (!result.ok()) return Broken("an honest search is refused", result.status());
  ++(answer->found ? counts_.searches : counts_.absences);

  const auto greatest = GreatestShown(label, user.record().state->tree_size());
  const bool exists = greatest.has_value() && version.value_or(0) <= *greatest;
  if (result->found != exists) return Broken("a search finds what is not there, or does not");
  if (result->found) {
    const Version target = version.value_or(*greatest);
    if (result->version != target || result->value != published_[label][target].value) {
      return Broken("a search gives another version");
    }
    return CheckFlips(before, request, answer->response, *result);
  }
  return absl::OkStatus();
}

// What is altered is refused, or it is the part of a response that nothing depends on.
absl::Status Simulation::CheckFlips(const LogUser& user, const core::SearchRequest& request,
                                    const Bytes& response, const client::SearchResult& honest) {
  for (int i = 0; i < 2; ++i) {
    Bytes altered = response;
    altered[random_.Below(altered.size())] ^= static_cast<uint8_t>(1 << random_.Below(8));
    LogUser victim = user;
    const auto result = victim.Search(request, altered, log_.clock().NowMs());
    if (result.ok()) {
      if (result->version != honest.version || result->value != honest.value) {
        return Broken("an altered response is believed");
      }
      continue;
    }
    if (!base::IsVerificationFailure(result.status())) {
      return Broken("an altered response is no verification failure", result.status());
    }
    if (victim.record() != user.record()) return Broken("a refused response changes the record");
    ++counts_.flips_refused;
  }
  return absl::OkStatus();
}

absl::Status Simulation::ContactMonitor(LogUser& user) {
  const std::vector<client::WatchedLabel> watched = user.record().watched;
  for (const client::WatchedLabel& label : watched) {
    KT_ASSIGN_OR_RETURN(const auto request, user.MakeContactMonitor(label.label));
    const auto answer =
        server::MonitoringService(log_.log()).ContactMonitor(base::codec::Encode(request));
    if (!answer.ok()) return Broken("contact monitoring is not answered", answer.status());
    const absl::Status status =
        user.ContactMonitor(request, answer->response, log_.clock().NowMs());
    if (!status.ok()) return Broken("honest contact monitoring is refused", status);
    ++counts_.monitorings;
  }
  return absl::OkStatus();
}

absl::Status Simulation::Walk(LogUser& user) {
  const core::DistinguishedRequest request = user.MakeDistinguished();
  const auto answer =
      server::MonitoringService(log_.log()).Distinguished(base::codec::Encode(request));
  if (!answer.ok()) return Broken("a walk is not answered", answer.status());
  const auto entries = user.Distinguished(request, answer->response, log_.clock().NowMs());
  if (!entries.ok()) return Broken("an honest walk is refused", entries.status());
  ++counts_.walks;
  return absl::OkStatus();
}

absl::Status Simulation::Own() {
  if (owner_ == nullptr) {
    std::unique_ptr<LogUser> owner = NewUser();
    KT_RETURN_IF_ERROR(Walk(*owner));
    if (owner->record().distinguished.entries.empty()) return absl::OkStatus();
    const base::LogPosition start = owner->record().distinguished.entries.back().position;
    KT_ASSIGN_OR_RETURN(const auto request, owner->MakeOwnerInit(base::AsBytes(kOwned), start));
    const auto answer =
        server::MonitoringService(log_.log()).OwnerInit(base::codec::Encode(request));
    if (!answer.ok()) return Broken("an owner is not answered", answer.status());
    const auto result = owner->OwnerInit(request, answer->response, log_.clock().NowMs());
    if (!result.ok()) return Broken("honest initialization is refused", result.status());
    owner_ = std::move(owner);
  }
  KT_RETURN_IF_ERROR(CatchUp());
  return OwnerMonitor();
}

// The owner learns of every version, with its value: whatever is under her name, she sees it.
absl::Status Simulation::CatchUp() {
  const server::UpdateService updates(log_.log());
  for (;;) {
    KT_ASSIGN_OR_RETURN(const auto request, owner_->MakeUpdate(base::AsBytes(kOwned), {}));
    const auto answer = updates.Answer(request, std::nullopt);
    if (absl::IsNotFound(answer.status())) break;
    if (!answer.ok()) return Broken("an update is not answered", answer.status());
    const auto result = owner_->Update(request, answer->response, log_.clock().NowMs());
    if (!result.ok()) return Broken("an honest update is refused", result.status());
    for (const core::NewVersion& version : result->versions) {
      if (version.value != published_[kOwned].at(version.version).value) {
        return Broken("an update tells of another value");
      }
    }
    ++counts_.updates;
  }
  const auto known = owner_->record().FindOwned(base::AsBytes(kOwned))->owner.greatest_version();
  if (known != GreatestShown(kOwned, log_.log().current()->size())) {
    return Broken("the owner does not know of all versions");
  }
  return absl::OkStatus();
}

absl::Status Simulation::OwnerMonitor() {
  for (;;) {
    KT_ASSIGN_OR_RETURN(const auto request, owner_->MakeOwnerMonitor(base::AsBytes(kOwned)));
    const auto answer =
        server::MonitoringService(log_.log()).OwnerMonitor(base::codec::Encode(request));
    if (!answer.ok()) return Broken("owner monitoring is not answered", answer.status());
    const auto done = owner_->OwnerMonitor(request, answer->response, log_.clock().NowMs());
    if (!done.ok()) return Broken("honest owner monitoring is refused", done.status());
    ++counts_.monitorings;
    if (*done) return absl::OkStatus();
    if (owner_->record().FindOwned(base::AsBytes(kOwned))->owner.start <= request.start) {
      return Broken("owner monitoring does not advance");
    }
  }
}

// --- the others --------------------------------------------------------------------------

absl::Status Simulation::Audit() {
  if (!audited()) return absl::OkStatus();
  const auto state = log_.log().newest();
  const base::LogPosition first = auditor_->state().tree_size;
  if (first == state->size()) return absl::OkStatus();
  const auto updates = server::AuditService::MakeUpdates(*state, first, state->size() - first);
  if (!updates.ok()) return Broken("the auditor is not answered", updates.status());
  for (size_t i = 0; i < updates->size(); ++i) {
    auditor::AuditRecord record;
    record.position = first + i;
    record.update = base::codec::Encode((*updates)[i]);
    if (i + 1 == updates->size()) {
      record.tree_head = base::codec::Encode(state->head().tree_head);
    }
    const auto applied = auditor_->Apply(record);
    if (!applied.ok()) return Broken("an honest log fails the audit", applied.status());
    ++counts_.audits;
  }
  const absl::Status status = log_.log().SubmitAuditorHead(log_.AuditorHead(state->size()));
  if (!status.ok()) return Broken("the auditor's head is refused", status);
  return absl::OkStatus();
}

// Who has seen the log accepts nothing of its fork, whichever is larger.
absl::Status Simulation::ShowFork(const LogUser& user) {
  const std::string label = AnyLabel();
  const auto row =
      fork_.log().newest()->snapshot().ReadVersions(base::AsBytes(label), kAllVersions);
  if (!row.ok()) return Broken("reading the fork", row.status());
  const bool exists = std::any_of(row->begin(), row->end(),
                                  [](const auto& version) { return version.existing.has_value(); });
  absl::Status added = exists ? fork_.AddEmpty() : fork_.Add(label, 0, "forged");
  const TreeSize target = user.record().state.has_value() ? user.record().state->tree_size() : 1;
  while (added.ok() && fork_.log().newest()->size() < target) added = fork_.AddEmpty();
  if (!added.ok()) return Broken("the fork does not grow", added);
  if (audited()) {
    const auto head = fork_.AuditorHead(fork_.log().newest()->size());
    if (const auto status = fork_.log().SubmitAuditorHead(head); !status.ok()) {
      return Broken("the fork's auditor", status);
    }
  }
  if (!user.record().state.has_value()) return absl::OkStatus();
  const core::SearchRequest request = user.MakeSearch(base::AsBytes(label), std::nullopt);
  const auto answer = server::SearchService(fork_.log()).Search(base::codec::Encode(request));
  if (!answer.ok()) return Broken("the fork does not answer", answer.status());
  LogUser victim = user;
  const uint64_t now_ms = log_.clock().NowMs();
  const auto result = answer->found ? victim.Search(request, answer->response, now_ms)
                                    : victim.Absence(request, answer->response, now_ms);
  if (!base::IsVerificationFailure(result.status())) {
    return Broken("a fork is believed", result.status());
  }
  if (victim.record() != user.record()) return Broken("a refused fork changes the record");
  ++counts_.forks_refused;
  return absl::OkStatus();
}

}  // namespace kt::sim
