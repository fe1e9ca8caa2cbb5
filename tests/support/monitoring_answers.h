// SPDX-License-Identifier: Apache-2.0
//
// What an honest operator of a TestLog answers to monitoring requests.
#ifndef TESTS_SUPPORT_MONITORING_ANSWERS_H_
#define TESTS_SUPPORT_MONITORING_ANSWERS_H_

#include <optional>
#include <string>

#include "kt-core/monitoring_prover.h"
#include "kt-core/update.h"
#include "tests/support/test_log.h"

namespace kt::testing {

// Of the log's first `size` entries.
inline core::LabelHistory HistoryOf(const TestLog& log, const std::string& label,
                                    base::TreeSize size) {
  core::LabelHistory history;
  const std::optional<base::Version> greatest = log.Greatest(label, size);
  if (!greatest.has_value()) return history;
  for (base::Version version = 0; version <= *greatest; ++version) {
    const TestLog::VersionData* data = log.Find(label, version);
    if (data != nullptr && data->position < size) history[data->position] = version;
  }
  return history;
}

// `size`: of the operator's log; all of it by default.
inline absl::StatusOr<core::ContactMonitorResponse> AnswerContactMonitor(
    const TestLog& log, const core::ContactMonitorRequest& request,
    std::optional<base::TreeSize> size = std::nullopt) {
  const base::TreeSize view_size = size.value_or(log.size());
  const auto view = log.ViewAt(view_size);
  return core::ProveContactMonitor(
      log.config(), *view, log.HeadAt(view_size), request,
      log.Record(base::ToText(request.label), core::ContactMonitorVersions(request)));
}

inline absl::StatusOr<core::OwnerInitResponse> AnswerOwnerInit(
    const TestLog& log, const core::OwnerInitRequest& request,
    std::optional<base::TreeSize> size = std::nullopt) {
  const base::TreeSize view_size = size.value_or(log.size());
  const std::string label = base::ToText(request.label);
  const core::LabelHistory history = HistoryOf(log, label, view_size);
  return core::ProveOwnerInit(
      log.config(), *log.ViewAt(view_size), log.HeadAt(view_size), request, history,
      log.Record(label, core::OwnerInitVersions(request, view_size, history)));
}

inline absl::StatusOr<core::OwnerMonitorResponse> AnswerOwnerMonitor(
    const TestLog& log, const core::OwnerMonitorRequest& request,
    std::optional<base::TreeSize> size = std::nullopt,
    size_t max_ladders = core::kMaxOwnerLadders) {
  const base::TreeSize view_size = size.value_or(log.size());
  const std::string label = base::ToText(request.label);
  const core::LabelHistory history = HistoryOf(log, label, view_size);
  return core::ProveOwnerMonitor(
      log.config(), *log.ViewAt(view_size), log.HeadAt(view_size), request, history,
      log.Record(label, core::OwnerMonitorVersions(request, view_size, history)), max_ladders);
}

// The first log entry with versions that the request does not know of. `of_request`: the log has
// just created what the request asks for there. kFailedPrecondition if there is no such entry.
inline absl::StatusOr<core::UpdateResponse> AnswerUpdate(
    const TestLog& log, const core::UpdateRequest& request, bool of_request = false,
    std::optional<base::TreeSize> size = std::nullopt) {
  const base::TreeSize view_size = size.value_or(log.size());
  const std::string label = base::ToText(request.label);
  const base::Version first = request.greatest_version ? *request.greatest_version + 1 : 0;
  core::CreatedVersions created;
  created.of_request = of_request;
  base::Version next = first;
  for (; log.Find(label, next) != nullptr; ++next) {
    const TestLog::VersionData& data = *log.Find(label, next);
    if (data.position >= view_size) break;
    if (next == first) created.position = data.position;
    if (data.position != created.position) break;
    if (data.commitment.IsZero()) {
      ++created.skipped_versions;
    } else {
      created.values.push_back(data.update);
      created.openings.push_back(data.opening);
    }
  }
  if (next == first) return absl::FailedPreconditionError("no newer version");
  return core::ProveUpdate(
      log.config(), *log.ViewAt(view_size), log.HeadAt(view_size), request, created,
      log.Record(label, core::UpdateVersions(request.greatest_version, next - 1)));
}

}  // namespace kt::testing
#endif  // TESTS_SUPPORT_MONITORING_ANSWERS_H_
