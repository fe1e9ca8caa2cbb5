// SPDX-License-Identifier: Apache-2.0
#include "kt-server/pruner.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "base/status.h"

namespace kt::server {

absl::StatusOr<base::LogPosition> PruneHorizon(const core::Configuration& config,
                                               const LogState& state) {
  base::LogPosition horizon = state.snapshot().horizon();
  if (!config.maximum_lifetime.has_value()) return horizon;
  // The window is less than the lifetime, or the configuration would not be valid.
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  const uint64_t window_ms = config.reasonable_monitoring_window;
  const uint64_t kept_ms =
      *config.maximum_lifetime > kMax - window_ms ? kMax : *config.maximum_lifetime + window_ms;
  KT_ASSIGN_OR_RETURN(const uint64_t rightmost_ms, state.Timestamp(state.size() - 1));
  base::LogPosition limit = state.size() - 1;
  if (config.mode == core::DeploymentMode::kThirdPartyAuditing) {
    const auto& audited = state.head().auditor_tree_head;
    // The update of the auditor's next entry is proven from the tree before it.
    limit = audited.has_value() ? std::min(limit, audited->tree_size - 1) : 0;
  }
  // Timestamps never go back, so this is a binary search.
  while (horizon < limit) {
    const base::LogPosition middle = horizon + (limit - horizon) / 2;
    KT_ASSIGN_OR_RETURN(const uint64_t timestamp_ms, state.Timestamp(middle));
    if (rightmost_ms - timestamp_ms >= kept_ms) {
      horizon = middle + 1;
    } else {
      limit = middle;
    }
  }
  return horizon;
}

Pruner::Pruner(const PrunerOptions& options, TransparencyLog& log, Store& store,
               const base::Clock& clock, Observer observer)
    : options_(options), log_(log), store_(store), clock_(clock), observer_(std::move(observer)) {}

Pruner::~Pruner() { Stop(); }

void Pruner::Start() {
  thread_ = std::thread([this] { RunUntilStopped(); });
}

void Pruner::Stop() {
  cancelled_ = true;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void Pruner::RunUntilStopped() {
  do {
    const Report report = Run();
    if (absl::IsCancelled(report.status)) return;
    if (report.rows_deleted > 0 || report.erasures_reclaimed > 0 || !report.status.ok()) {
      observer_(report);
    }
  } while (PauseUntilNextRun());
}

bool Pruner::PauseUntilNextRun() {
  int64_t left_ms = options_.interval_ms;
  while (left_ms > 0) {
    const int64_t pause_ms = std::min(left_ms, options_.erasure_interval_ms);
    if (!Pause(absl::Milliseconds(pause_ms))) return false;
    if (store_.UnreclaimedErasures() > 0) return true;
    left_ms -= pause_ms;
  }
  return true;
}

bool Pruner::Pause(absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  return !mutex_.AwaitWithTimeout(absl::Condition(&stopping_), duration);
}

Pruner::Report Pruner::Run() {
  Report report;
  const uint64_t begin_ms = clock_.SteadyMs();
  report.status = RunInto(&report);
  report.duration_ms = clock_.SteadyMs() - begin_ms;
  return report;
}

absl::Status Pruner::RunInto(Report* report) {
  absl::MutexLock run(&run_mutex_);
  KT_RETURN_IF_ERROR(Prune(report));
  return Reclaim(report);
}

absl::Status Pruner::Prune(Report* report) {
  const std::shared_ptr<const LogState> state = log_.current();
  if (state == nullptr) return absl::OkStatus();
  KT_ASSIGN_OR_RETURN(report->horizon, PruneHorizon(log_.config(), *state));
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot, store_.GetSnapshot());
  // Users may be shown an older state for a while, whose horizon is not the newest.
  report->horizon = std::max(report->horizon, snapshot->horizon());
  if (report->horizon > snapshot->horizon()) {
    KT_RETURN_IF_ERROR(store_.SetHorizon(report->horizon));
    // From now on nobody asks for what is about to be deleted.
    KT_RETURN_IF_ERROR(log_.Renew());
  }
  for (bool complete = false; !complete;) {
    KT_ASSIGN_OR_RETURN(const PruneStep step, store_.PruneSome(options_.rows_per_step));
    report->rows_deleted += step.rows_deleted;
    reclaim_ = reclaim_ || step.rows_deleted > 0;
    complete = step.complete;
    if (!complete && !Pause(absl::Milliseconds(options_.pause_ms))) {
      return absl::CancelledError("pruning goes on after the next start");
    }
  }
  return absl::OkStatus();
}

absl::Status Pruner::Reclaim(Report* report) {
  const size_t erasures = store_.UnreclaimedErasures();
  if (!reclaim_ && erasures == 0) return absl::OkStatus();
  report->erasures_left = erasures;
  KT_RETURN_IF_ERROR(log_.Renew());
  const absl::Status status = store_.Reclaim(cancelled_);
  report->erasures_left = store_.UnreclaimedErasures();
  // Another one may have come meanwhile.
  report->erasures_reclaimed = erasures - std::min(erasures, report->erasures_left);
  if (status.ok()) reclaim_ = false;
  return status;
}

}  // namespace kt::server
