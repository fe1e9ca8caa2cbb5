// SPDX-License-Identifier: Apache-2.0
#include "kt-server/scrubber.h"

#include <malloc.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"

namespace kt::server {

Scrubber::Scrubber(const ScrubberOptions& options, const core::Configuration& config,
                   const merkle::PrefixTreeLayout& layout, const Store& store, Observer observer)
    : options_(options),
      config_(config),
      layout_(layout),
      store_(store),
      observer_(std::move(observer)) {}

Scrubber::~Scrubber() { Stop(); }

void Scrubber::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Scrubber::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void Scrubber::Run() {
  for (absl::Duration wait = options_.first; Pause(wait); wait = options_.interval) {
    const absl::StatusOr<CheckReport> report = CheckOnce();
    if (absl::IsCancelled(report.status())) return;
    // A check has a prefix tree of its own, with caches; the allocator would keep their memory.
    malloc_trim(0);
    observer_(report);
  }
}

// At most half of the time, so that whoever waits for the disk is not held up for long.
absl::Status Scrubber::CheckFiles() {
  absl::Time begin = absl::Now();
  return store_.CheckFiles([&]() -> absl::Status {
    if (!Pause(absl::Now() - begin)) return absl::CancelledError("the server stops");
    begin = absl::Now();
    return absl::OkStatus();
  });
}

absl::StatusOr<CheckReport> Scrubber::CheckOnce() {
  const absl::Status files = CheckFiles();
  if (!files.ok() && !absl::IsDataLoss(files)) return files;
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot, store_.GetSnapshot());
  const absl::Time begin = absl::Now();
  uint64_t rows = 0;
  CheckOptions options;
  options.progress = [&](const CheckProgress&) -> absl::Status {
    // Ahead of the time that so many rows are to take, it waits.
    const absl::Time due =
        begin + absl::Seconds(static_cast<double>(++rows) / options_.rows_per_second);
    if (Pause(std::max(due - absl::Now(), absl::ZeroDuration()))) return absl::OkStatus();
    return absl::CancelledError("the server stops");
  };
  KT_ASSIGN_OR_RETURN(CheckReport report, CheckLog(config_, layout_, *snapshot, options));
  if (!files.ok()) report.damage.insert(report.damage.begin(), std::string(files.message()));
  return report;
}

bool Scrubber::Pause(absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  return !mutex_.AwaitWithTimeout(absl::Condition(&stopping_), duration);
}

}  // namespace kt::server
