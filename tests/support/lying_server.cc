// SPDX-License-Identifier: Apache-2.0
#include "tests/support/lying_server.h"

#include <utility>

#include "base/status.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/distinguished.h"
#include "tests/support/monitoring_answers.h"

namespace kt::testing {

using base::Bytes;
using base::Version;

namespace {

// Users who know of more than the log shows are answered as if they knew nothing. Returns whether
// that was necessary.
template <typename Request>
bool Forget(const TestLog& log, Request* request) {
  if (!request->last.has_value() || *request->last <= log.size()) return false;
  request->last.reset();
  return true;
}

}  // namespace

TestLog& LyingServer::LogOf(const std::string& who) {
  const auto shown = shown_.find(who);
  return shown == shown_.end() ? log_ : shown->second;
}

void LyingServer::ForEachLog(const std::function<void(TestLog&)>& change) {
  change(log_);
  for (auto& [who, log] : shown_) change(log);
}

template <typename Response>
absl::StatusOr<Bytes> LyingServer::Send(const std::string& who, absl::StatusOr<Response> response,
                                        core::CombinedTreeProof Response::*proof, bool forgotten,
                                        bool version_in_request) {
  KT_RETURN_IF_ERROR(response.status());
  const TestLog& log = LogOf(who);
  if (forgotten) {
    response->full_tree_head.head_type = core::FullTreeHeadType::kUpdated;
    response->full_tree_head.tree_head = log.HeadAt(log.size()).tree_head;
  }
  if (tamper) tamper(response->full_tree_head, (*response).*proof);
  return core::codec::TryEncode(*response, log.context(version_in_request));
}

absl::StatusOr<LyingServer::SearchAnswer> LyingServer::Search(const std::string& who,
                                                              core::SearchRequest request) {
  const TestLog& log = LogOf(who);
  const bool forgotten = Forget(log, &request);
  const std::string label = base::ToText(request.label);
  SearchAnswer answer;
  if (denied_) {
    const Version version[] = {request.version.value_or(0)};
    core::LabelRecord record = log.Record(label, version);
    record.at(version[0]).existing.reset();
    answer.found = false;
    KT_ASSIGN_OR_RETURN(
        answer.response,
        Send(who,
             core::ProveAbsence(*log.ViewAt(log.size()), log.HeadAt(log.size()), request, record),
             &core::AbsenceResponse::absence, forgotten));
    return answer;
  }
  const auto prove = [&]() -> absl::StatusOr<core::SearchResponse> {
    if (!claimed_.has_value() || request.version.has_value()) return log.SearchResponse(request);
    core::LabelRecord record = log.Record(label, core::BaseBinaryLadder(*claimed_));
    for (auto& [version, row] : record) {
      if (version > *claimed_) {
        row.existing.reset();
      } else if (!row.existing.has_value()) {
        row.existing = core::VersionRecord::Existing{};
      }
    }
    const TestLog::VersionData invented;
    const TestLog::VersionData* data = log.Find(label, *claimed_);
    if (data == nullptr) data = &invented;
    return core::ProveSearch(log.config(), *log.ViewAt(log.size()), log.HeadAt(log.size()), request,
                             *claimed_, record, data->opening, data->update);
  };
  KT_ASSIGN_OR_RETURN(answer.response, Send(who, prove(), &core::SearchResponse::search, forgotten,
                                            request.version.has_value()));
  return answer;
}

absl::StatusOr<Bytes> LyingServer::ContactMonitor(const std::string& who,
                                                  core::ContactMonitorRequest request) {
  const bool forgotten = Forget(LogOf(who), &request);
  return Send(who, AnswerContactMonitor(LogOf(who), request),
              &core::ContactMonitorResponse::monitor, forgotten);
}

absl::StatusOr<Bytes> LyingServer::OwnerInit(const std::string& who,
                                             core::OwnerInitRequest request) {
  const bool forgotten = Forget(LogOf(who), &request);
  return Send(who, AnswerOwnerInit(LogOf(who), request), &core::OwnerInitResponse::init, forgotten);
}

absl::StatusOr<Bytes> LyingServer::OwnerMonitor(const std::string& who,
                                                core::OwnerMonitorRequest request) {
  const bool forgotten = Forget(LogOf(who), &request);
  return Send(who, AnswerOwnerMonitor(LogOf(who), request), &core::OwnerMonitorResponse::monitor,
              forgotten);
}

absl::StatusOr<Bytes> LyingServer::Update(const std::string& who, core::UpdateRequest request) {
  if (withheld_) return absl::FailedPreconditionError("no newer version");
  const bool forgotten = Forget(LogOf(who), &request);
  return Send(who, AnswerUpdate(LogOf(who), request), &core::UpdateResponse::update, forgotten);
}

absl::StatusOr<Bytes> LyingServer::Distinguished(const std::string& who,
                                                 core::DistinguishedRequest request) {
  const TestLog& log = LogOf(who);
  const bool forgotten = Forget(log, &request);
  return Send(who,
              core::ProveDistinguished(log.config(), {}, *log.ViewAt(log.size()),
                                       log.HeadAt(log.size()), request),
              &core::DistinguishedResponse::distinguished, forgotten);
}

AuditorMessage LyingServer::Audit(const std::string& who, base::LogPosition position) {
  AuditorMessage message = AnswerAuditor(LogOf(who), position);
  if (tamper_audit) tamper_audit(message);
  return message;
}

}  // namespace kt::testing
