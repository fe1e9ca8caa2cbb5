// SPDX-License-Identifier: Apache-2.0
//
// What a simulated log forgets: expired entries, which it prunes while its auditor lags behind, and
// values that are erased, on a disk that fails. And what its users are then told, when they may be
// told so, and that they believe it: docs/extensions.md, "Expiry" and "Erasure".
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-client/failure.h"
#include "kt-server/search_service.h"
#include "kt-server/version_rows.h"
#include "tests/sim/simulation.h"

namespace kt::sim {

using base::LogPosition;
using base::TreeSize;
using base::Version;
using client::LogUser;
using client::Operation;

namespace {

template <typename Request>
Request Decode(const Exchange& exchange) {
  auto request = base::codec::Decode<Request>(exchange.request);
  KT_CHECK(request.ok());
  return *std::move(request);
}

Version FirstAfter(std::optional<Version> greatest) {
  return greatest.has_value() ? *greatest + 1 : 0;
}

}  // namespace

absl::Status Simulation::Forget(uint64_t choice) {
  if (choice < 4) return Prune();
  if (choice < 6) return Erase();
  return choice < 8 ? Submit() : AuditSome();
}

// The auditor takes a part of what there is, or all before users' clocks refuse what it has signed.
absl::Status Simulation::AuditSome() {
  if (!audited()) return absl::OkStatus();
  constexpr uint64_t kMaxBehindMs = 30'000;
  const TreeSize newest = log_.log().newest()->size();
  const TreeSize taken = auditor_->state().tree_size;
  if (taken == 0 || taken > timestamps_.size()) return Audit();
  if (now_ms() > timestamps_[taken - 1] + kMaxBehindMs) return Audit();
  const TreeSize size = taken + random_.Below(newest - taken + 1);
  if (size < newest) ++counts_.auditor_behind;
  return AuditUpTo(size);
}

// --- what it forgets ---------------------------------------------------------------------

// Users of an audited log may be shown a state from before an erasure, which keeps the values for a
// while.
bool Simulation::IsKept(const absl::Status& reclaimed) const {
  return audited() && absl::IsUnavailable(reclaimed);
}

// A run, or as much of it as a failing disk allows.
absl::Status Simulation::Prune() {
  const bool faults = random_.Below(3) == 0;
  if (faults) log_.store().FailAfter(random_.Below(16), random_.Below(2) == 0);
  const server::Pruner::Report report = log_.Prune(1 + random_.Below(60));
  const bool failed = log_.store().EndFault();
  if (report.status.ok() == failed && !IsKept(report.status)) {
    return Broken("pruning", report.status);
  }
  counts_.rows_pruned += report.rows_deleted;
  if (!failed) {
    ++counts_.prunings;
    return CheckPruned();
  }
  ++counts_.failed_prunings;
  return Restart();
}

// What has gone is old enough for that, and known to the auditor; the values of versions that
// nobody can be shown any more have gone.
absl::Status Simulation::CheckPruned() {
  const auto state = log_.log().newest();
  const LogPosition horizon = state->snapshot().horizon();
  horizon_ = std::max(horizon_, horizon);
  if (horizon > 0) {
    const uint64_t kept_ms =
        *log_.config().maximum_lifetime + log_.config().reasonable_monitoring_window;
    if (timestamps_.back() - timestamps_[horizon - 1] < kept_ms) {
      return Broken("an entry is pruned too early");
    }
    if (audited() && horizon >= auditor_->state().tree_size) {
      return Broken("an entry is pruned that the auditor has not taken");
    }
  }
  for (const auto& [label, versions] : published_) {
    const auto rows = server::ReadWholeLabel(state->snapshot(), base::AsBytes(label));
    if (!rows.ok()) return Broken("reading versions", rows.status());
    for (const auto& [version, row] : rows->rows) {
      if (!row.existing.has_value() || !IsPruned(label, version)) continue;
      if (!absl::IsNotFound(state->snapshot().ReadValue(row.existing->value_key()).status())) {
        return Broken(absl::StrCat("the value of version ", version, " of ", label, " is kept"));
      }
    }
  }
  return absl::OkStatus();
}

// A version, or all that an address has, on a disk that may fail; then nobody knows whether they
// are erased, but they are all or none.
absl::Status Simulation::Erase() {
  const std::string label = AnyLabel();
  const size_t count = published_[label].size();
  if (count == 0) return absl::OkStatus();
  std::optional<Version> version;
  if (random_.Below(4) != 0) version = static_cast<Version>(random_.Below(count));
  if (random_.Below(3) == 0) log_.store().FailAfter(random_.Below(6), random_.Below(2) == 0);
  const auto report = log_.Erase(label, version);
  const bool failed = log_.store().EndFault();
  const bool complete = report.ok() && report->reclaimed.ok();
  if (complete == failed && !(report.ok() && IsKept(report->reclaimed))) {
    return Broken("an erasure", report.ok() ? report->reclaimed : report.status());
  }
  if (!failed) {
    ++counts_.erasures;
    if (report->versions != (version.has_value() ? 1 : count)) {
      return Broken("an erasure is of other versions");
    }
    return MarkErased(label, version, report->erased);
  }
  ++counts_.failed_erasures;
  KT_RETURN_IF_ERROR(Restart());
  const auto& versions = published_[label];
  const auto rows = server::ReadWholeLabel(log_.log().newest()->snapshot(), base::AsBytes(label));
  if (!rows.ok()) return Broken("reading versions", rows.status());
  size_t fresh = 0;
  size_t erased = 0;
  for (Version each = 0; each < count; ++each) {
    if (versions[each].erased || each != version.value_or(each)) continue;
    ++fresh;
    const auto row =
        log_.log().newest()->snapshot().ReadErasure(rows->rows.at(each).existing->commitment);
    if (!row.ok()) return Broken("reading an erasure", row.status());
    if (row->has_value()) ++erased;
  }
  if (erased != 0 && erased != fresh) return Broken("an erasure is done in part");
  if (report.ok() && erased != fresh) return Broken("an erasure that was reported is lost");
  return erased == 0 ? absl::OkStatus() : MarkErased(label, version, erased);
}

absl::Status Simulation::MarkErased(const std::string& label, std::optional<Version> version,
                                    size_t expected) {
  std::vector<Published>& versions = published_[label];
  size_t fresh = 0;
  for (Version each = 0; each < versions.size(); ++each) {
    if (each != version.value_or(each)) continue;
    if (!std::exchange(versions[each].erased, true)) ++fresh;
  }
  if (fresh != expected) return Broken("an erasure counts wrongly");
  return CheckLabel(label);
}

// Remembers when entries were added, and sees that what is forgotten stays so.
absl::Status Simulation::NoteTimestamps() {
  const auto state = log_.log().newest();
  while (timestamps_.size() < state->size()) {
    const auto timestamp_ms = state->Timestamp(timestamps_.size());
    if (!timestamp_ms.ok()) return Broken("a new entry has no time", timestamp_ms.status());
    timestamps_.push_back(*timestamp_ms);
  }
  if (state->snapshot().horizon() < horizon_) return Broken("the horizon goes back");
  return absl::OkStatus();
}

// --- who is told so ----------------------------------------------------------------------

// Of the entries that users are shown.
bool Simulation::HasExpired(LogPosition position) {
  const auto lifetime_ms = log_.config().maximum_lifetime;
  if (!lifetime_ms.has_value() || position >= timestamps_.size()) return false;
  const TreeSize shown = std::min(log_.log().current()->size(), timestamps_.size());
  return timestamps_[shown - 1] - std::min(timestamps_[position], timestamps_[shown - 1]) >=
         *lifetime_ms;
}

bool Simulation::IsPruned(const std::string& label, Version version) {
  const std::vector<Published>& versions = published_.at(label);
  return version + 1 < versions.size() &&
         versions[version + 1].position < log_.log().newest()->snapshot().horizon();
}

// Whether the search ends so in the same log if nothing was ever pruned. Users of an audited log
// may be shown it as it was.
bool Simulation::TwinSaysExpired(const Exchange& search) {
  if (log_.log().current() != log_.log().newest()) return true;
  const auto twin = log_.Fork(log_.store().commits(), /*seed=*/1);
  KT_CHECK(twin.ok());
  const auto answer = server::SearchService((*twin)->log()).Search(search.request);
  return absl::IsOutOfRange(answer.status());
}

// Something may have been pruned without which the question has no answer.
bool Simulation::MayHaveExpired(const LogUser& user, const Exchange& exchange) {
  const auto& state = user.record().state;
  const bool is_update =
      exchange.kind == Operation::kCredentialUpdate || exchange.kind == Operation::kOverdueUpdate;
  if (!is_update && state.has_value() && HasExpired(state->tree_size() - 1)) return true;
  switch (exchange.kind) {
    case Operation::kSearch: {
      const auto request = Decode<core::SearchRequest>(exchange);
      // The greatest never expires.
      return request.version.has_value() &&
             *request.version !=
                 GreatestShown(base::ToText(request.label), log_.log().current()->size()) &&
             TwinSaysExpired(exchange);
    }
    case Operation::kContactMonitor: {
      const auto request = Decode<core::ContactMonitorRequest>(exchange);
      return !request.entries.empty() && HasExpired(request.entries.front().position);
    }
    case Operation::kOwnerInit:
      return HasExpired(Decode<core::OwnerInitRequest>(exchange).start);
    case Operation::kOwnerMonitor: {
      const auto request = Decode<core::OwnerMonitorRequest>(exchange);
      return HasExpired(request.start) ||
             (!request.entries.empty() && HasExpired(request.entries.front().position));
    }
    case Operation::kUpdate: {
      const auto request = Decode<core::UpdateRequest>(exchange);
      const std::vector<Published>& versions = published_[base::ToText(request.label)];
      const Version next = FirstAfter(request.greatest_version);
      return next < versions.size() && HasExpired(versions[next].position);
    }
    case Operation::kCredentialUpdate:
    case Operation::kOverdueUpdate:
      return HasExpired(Decode<core::CredentialUpdateRequest>(exchange).terminal);
    default:
      return false;
  }
}

// Whether what was to be shown was erased.
bool Simulation::IsErased(const Exchange& exchange) {
  if (exchange.kind == Operation::kUpdate) {
    const auto request = Decode<core::UpdateRequest>(exchange);
    const std::vector<Published>& versions = published_[base::ToText(request.label)];
    const Version next = FirstAfter(request.greatest_version);
    // All that its log entry added are told together.
    return std::any_of(versions.begin(), versions.end(), [&](const Published& version) {
      return next < versions.size() && version.position == versions[next].position &&
             version.erased;
    });
  }
  if (exchange.kind != Operation::kSearch && exchange.kind != Operation::kCredentialSearch) {
    return false;
  }
  const auto request = Decode<core::SearchRequest>(exchange);
  const std::string label = base::ToText(request.label);
  const auto greatest = GreatestShown(label, log_.log().current()->size());
  return greatest.has_value() && published_[label][request.version.value_or(*greatest)].erased;
}

absl::Status Simulation::CheckMayForget(const LogUser& user, const Exchange& exchange) {
  KT_RETURN_IF_ERROR(NoteTimestamps());
  const absl::Status& status = exchange.response.status();
  const auto expired = exchange.kind == Operation::kUpdate ? absl::StatusCode::kAborted
                                                           : absl::StatusCode::kOutOfRange;
  if (status.code() == expired && MayHaveExpired(user, exchange)) return absl::OkStatus();
  if (absl::IsPermissionDenied(status) && IsErased(exchange)) return absl::OkStatus();
  return Broken(exchange.operation + " is not answered", status);
}

// kCancelled if the log may answer so: that ends the step. Its user does not hold it for a lie, and
// begins anew if she has to.
absl::Status Simulation::Forgotten(LogUser& user, const Exchange& exchange) {
  KT_RETURN_IF_ERROR(CheckMayForget(user, exchange));
  const absl::Status& status = exchange.response.status();
  client::Exchange kept;
  kept.operation = exchange.kind;
  kept.request = exchange.request;
  kept.SetStatus(
      grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message())),
      now_ms());
  const absl::Status judged = client::CheckAnswered(kept, user.record(), "the log");
  if (judged.ok() || base::IsVerificationFailure(judged)) {
    return Broken("an honest log is accused of forgetting " + exchange.operation, judged);
  }
  const bool erased = absl::IsPermissionDenied(status);
  ++(erased ? counts_.told_erased : counts_.told_expired);
  // Of what was erased an owner cannot be told, so she cannot learn of what comes after it.
  const bool is_update =
      exchange.kind == Operation::kCredentialUpdate || exchange.kind == Operation::kOverdueUpdate;
  if ((client::FailureOf(judged) == client::Failure::kExpired && !is_update) ||
      exchange.kind == Operation::kUpdate) {
    BeginAnew(user);
  }
  return absl::CancelledError("it is forgotten");
}

// Without what she retained; an owner no longer knows what she published.
void Simulation::BeginAnew(const LogUser& user) {
  ++counts_.begun_anew;
  for (User& each : users_) {
    if (each.retained.get() == &user) each.retained = NewUser();
  }
  if (owner_.get() != &user) return;
  owner_ = nullptr;
  for (Published& version : published_[kOwned]) version.owners = false;
  for (const auto& publication : unknown_) publication->owners = false;
}

}  // namespace kt::sim
