// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/scene.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-core/distinguished_forks.h"

namespace kt::sim {

using base::Bytes;
using testing::TestLog;

namespace {

constexpr uint64_t kStartMs = 1'000'000;

TestLog HonestLog(core::CipherSuite suite, core::DeploymentMode mode) {
  testing::TestLogOptions options;
  options.suite = suite;
  options.mode = mode;
  options.reasonable_monitoring_window_ms = 350;
  options.max_auditor_lag_ms = 1'000;
  TestLog log(options);
  while (log.size() < 13) {
    std::vector<testing::TestUpdate> updates = {{absl::StrCat("other", log.size()), "value"}};
    if (log.size() % 3 == 0) updates.push_back({kAlice, absl::StrCat("value of ", log.size())});
    log.Append(kStartMs + 100 * log.size(), updates);
  }
  return log;
}

}  // namespace

Scene::Scene(core::CipherSuite suite, core::DeploymentMode mode)
    : server_(HonestLog(suite, mode)),
      verifier_(core::ResponseVerifier::Create(server_.log().config()).value()),
      now_ms_(server_.log().RightmostMs()) {
  client::LogRecord record;
  record.config = log().config();
  for (auto* user : {&returning_, &newcomer_, &owner_}) user->emplace(*verifier_, record);
  Note(kReturning, "search", Search(kReturning, *returning_));
  Note(kReturning, "walk", Walk(kReturning, *returning_));
  Note(kOwner, "initialization", BecomeOwner());
  Note(kOwner, "update", CatchUp());
  if (mode == core::DeploymentMode::kThirdPartyAuditing) {
    auditor_ = auditor::LogAuditor::Create(log().config(), {}).value();
    Note(kAuditor, "audit", Audit());
  }
  KT_CHECK(noticed_.empty());
}

void Scene::Append(TestLog& log, const std::vector<testing::TestUpdate>& updates) {
  log.Append(log.RightmostMs() + 100, updates);
  now_ms_ = std::max(now_ms_, log.RightmostMs());
}

void Scene::Note(const std::string& who, const std::string& operation, const absl::Status& status) {
  if (status.ok()) return;
  // What is refused must be refused as a lie; an answer that the log cannot make shows otherwise.
  const bool caught = base::IsVerificationFailure(status);
  noticed_.insert(absl::StrCat(who, ": ", caught ? "" : "no answer to ", operation, ", ", when_));
  absl::StrAppend(&details_, who, ": ", operation, ", ", when_, ": ", status.ToString(), "\n");
}

absl::Status Scene::Search(const std::string& who, client::LogUser& user) {
  const core::SearchRequest request = user.MakeSearch(base::AsBytes(kAlice), std::nullopt);
  KT_ASSIGN_OR_RETURN(const auto answer, server_.Search(who, request));
  return answer.found ? user.Search(request, answer.response, now_ms_).status()
                      : user.Absence(request, answer.response, now_ms_).status();
}

absl::Status Scene::ContactMonitor(const std::string& who, client::LogUser& user) {
  if (user.record().FindWatched(base::AsBytes(kAlice)) == nullptr) return absl::OkStatus();
  KT_ASSIGN_OR_RETURN(const auto request, user.MakeContactMonitor(base::AsBytes(kAlice)));
  KT_ASSIGN_OR_RETURN(const Bytes response, server_.ContactMonitor(who, request));
  return user.ContactMonitor(request, response, now_ms_);
}

absl::Status Scene::Walk(const std::string& who, client::LogUser& user) {
  const core::DistinguishedRequest request = user.MakeDistinguished();
  KT_ASSIGN_OR_RETURN(const Bytes response, server_.Distinguished(who, request));
  return user.Distinguished(request, response, now_ms_).status();
}

absl::Status Scene::BecomeOwner() {
  KT_RETURN_IF_ERROR(Walk(kOwner, *owner_));
  const base::LogPosition start = owner_->record().distinguished.entries.back().position;
  KT_ASSIGN_OR_RETURN(const auto request, owner_->MakeOwnerInit(base::AsBytes(kAlice), start));
  KT_ASSIGN_OR_RETURN(const Bytes response, server_.OwnerInit(kOwner, request));
  return owner_->OwnerInit(request, response, now_ms_).status();
}

absl::Status Scene::CatchUp() {
  for (;;) {
    KT_ASSIGN_OR_RETURN(const auto request, owner_->MakeUpdate(base::AsBytes(kAlice), {}));
    const absl::StatusOr<Bytes> response = server_.Update(kOwner, request);
    // "nothing newer" is a status of the transport; nothing proves it.
    if (absl::IsFailedPrecondition(response.status())) return absl::OkStatus();
    KT_RETURN_IF_ERROR(response.status());
    KT_ASSIGN_OR_RETURN(const auto result, owner_->Update(request, *response, now_ms_));
    if (when_ != "before") {
      noticed_.insert(absl::StrCat(kOwner, ": finds a version that is not hers, ", when_));
    }
  }
}

absl::Status Scene::OwnerMonitor() {
  for (;;) {
    KT_ASSIGN_OR_RETURN(const auto request, owner_->MakeOwnerMonitor(base::AsBytes(kAlice)));
    KT_ASSIGN_OR_RETURN(const Bytes response, server_.OwnerMonitor(kOwner, request));
    KT_ASSIGN_OR_RETURN(const bool complete, owner_->OwnerMonitor(request, response, now_ms_));
    if (complete) return absl::OkStatus();
    const client::OwnedLabel& owned = *owner_->record().FindOwned(base::AsBytes(kAlice));
    if (owned.owner.start > request.start) continue;
    // Neither further ladders nor updates that would explain it: see VerifiedOwnerMonitor.
    noticed_.insert(absl::StrCat(kOwner, ": a proof is withheld, ", when_));
    return absl::OkStatus();
  }
}

absl::Status Scene::Audit() {
  const TestLog& log = server_.LogOf(kAuditor);
  while (auditor_->state().tree_size < log.size()) {
    const base::LogPosition position = auditor_->state().tree_size;
    const testing::AuditorMessage message = server_.Audit(kAuditor, position);
    auditor::AuditRecord record;
    record.position = position;
    record.update = base::codec::Encode(message.update);
    if (message.published.has_value()) record.published = base::codec::Encode(*message.published);
    if (position + 1 == log.size()) {
      record.tree_head = base::codec::Encode(log.HeadAt(log.size()).tree_head);
    }
    KT_RETURN_IF_ERROR(auditor_->Apply(record).status());
  }
  return absl::OkStatus();
}

void Scene::LookUp() {
  when_ = "at once";
  Note(kReturning, "search", Search(kReturning, *returning_));
  Note(kNewcomer, "search", Search(kNewcomer, *newcomer_));
}

void Scene::LiveOn() {
  when_ = "later";
  server_.ForEachLog([&](TestLog& log) {
    // What comes at once is not distinguished yet when it can be changed.
    for (const uint64_t step_ms : {10, 10, 200, 200, 200, 200, 200, 200}) {
      log.Append(log.RightmostMs() + step_ms);
    }
    now_ms_ = std::max(now_ms_, log.RightmostMs());
  });
  if (after_growth) after_growth();
  Note(kReturning, "contact monitoring", ContactMonitor(kReturning, *returning_));
  Note(kNewcomer, "contact monitoring", ContactMonitor(kNewcomer, *newcomer_));
  Note(kOwner, "update", CatchUp());
  Note(kOwner, "owner monitoring", OwnerMonitor());
  if (auditor_.has_value()) Note(kAuditor, "audit", Audit());
  const absl::Status returning = Walk(kReturning, *returning_);
  const absl::Status newcomer = Walk(kNewcomer, *newcomer_);
  Note(kReturning, "walk", returning);
  Note(kNewcomer, "walk", newcomer);
  if (!returning.ok() || !newcomer.ok()) return;
  const auto heads = [](const client::LogUser& user) {
    return core::ToDistinguishedHead(user.record().distinguished);
  };
  if (core::CompareDistinguishedHeads(heads(*returning_), heads(*newcomer_)) !=
      core::HeadComparison::kConsistent) {
    noticed_.insert("comparing heads");
  }
}

}  // namespace kt::sim
