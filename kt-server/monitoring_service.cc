// SPDX-License-Identifier: Apache-2.0
#include "kt-server/monitoring_service.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/credential.h"
#include "kt-core/distinguished.h"
#include "kt-core/monitoring_prover.h"

namespace kt::server {
namespace {

// A decoded request and the state that answers it.
template <typename Request>
struct Question {
  Request request;
  std::shared_ptr<const LogState> state;
};

// How many entries of the log the request says were seen.
template <typename Request>
std::optional<base::TreeSize> SeenSize(const Request& request) {
  return request.last;
}
std::optional<base::TreeSize> SeenSize(const core::CredentialUpdateRequest& request) {
  return request.tree_size;
}

template <typename Request>
absl::StatusOr<Question<Request>> Receive(const TransparencyLog& log, base::ByteView bytes,
                                          const char* name) {
  Question<Request> question;
  absl::StatusOr<Request> request = core::codec::Decode<Request>(bytes);
  if (!request.ok()) return base::Annotate(request.status(), name);
  question.request = *std::move(request);
  KT_ASSIGN_OR_RETURN(question.state, log.Present());
  const std::optional<base::TreeSize> last = SeenSize(question.request);
  if (last.has_value() && *last > question.state->size()) {
    return absl::FailedPreconditionError(
        absl::StrCat("this log has ", question.state->size(), " entries, not ", *last));
  }
  return question;
}

// Tells, when it goes out of scope, what `rows` have cost; `cost` may be null.
class CostCounter {
 public:
  CostCounter(const LabelRows& rows, AnswerCost* cost) : rows_(rows), cost_(cost) {}
  CostCounter(const CostCounter&) = delete;
  CostCounter& operator=(const CostCounter&) = delete;
  ~CostCounter() {
    if (cost_ != nullptr) *cost_ = {rows_.vrf_proofs_made, rows_.rows.size()};
  }

 private:
  const LabelRows& rows_;
  AnswerCost* const cost_;
};

template <typename Response>
absl::StatusOr<MonitoringAnswer> Encode(const TransparencyLog& log,
                                        const absl::StatusOr<Response>& response) {
  KT_RETURN_IF_ERROR(response.status());
  MonitoringAnswer answer;
  KT_ASSIGN_OR_RETURN(answer.response,
                      core::codec::TryEncode(*response, core::WireContext::For(log.config())));
  return answer;
}

core::LabelHistory HistoryOf(const LabelRows& rows) {
  core::LabelHistory history;
  for (const auto& [version, row] : rows.rows) {
    if (row.existing.has_value()) history[row.existing->position] = version;
  }
  return history;
}

// The outcome must not depend on curve work that a peer can order at will: what is not stored is
// computed only for versions that a proof can contain.
absl::Status CheckExists(base::Version version, const LabelRows& rows) {
  if (rows.greatest.has_value() && version <= *rows.greatest) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the label has no version ", version));
}

}  // namespace

class MonitoringService::Turn {
 public:
  explicit Turn(ConcurrencyLimit& limit) : limit_(limit) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (taken_) limit_.Leave();
  }
  bool Take() { return taken_ = limit_.Enter(); }

 private:
  ConcurrencyLimit& limit_;
  bool taken_ = false;
};

absl::Status MonitoringService::ReadHistory(const Snapshot& snapshot, base::ByteView label,
                                            Turn* turn, LabelRows* rows) const {
  KT_ASSIGN_OR_RETURN(*rows, ReadWholeLabel(snapshot, label, large_label_));
  if (rows->rows.size() < large_label_) return absl::OkStatus();
  if (!turn->Take()) {
    return absl::ResourceExhaustedError(
        "the server is busy with an address that has very many versions; try again later");
  }
  KT_ASSIGN_OR_RETURN(*rows, ReadWholeLabel(snapshot, label));
  return absl::OkStatus();
}

absl::StatusOr<MonitoringAnswer> MonitoringService::ContactMonitor(base::ByteView bytes,
                                                                   AnswerCost* cost) const {
  KT_ASSIGN_OR_RETURN(const auto question,
                      Receive<core::ContactMonitorRequest>(log_, bytes, "ContactMonitorRequest"));
  const auto& [request, state] = question;
  LabelRows rows;
  const CostCounter counter(rows, cost);
  KT_ASSIGN_OR_RETURN(rows, ReadLabel(state->snapshot(), request.label));
  for (const core::MonitorMapEntry& entry : request.entries) {
    KT_RETURN_IF_ERROR(CheckExists(entry.version, rows));
  }
  KT_RETURN_IF_ERROR(CompleteRows(state->snapshot(), log_.vrf(), log_.unsaved_proofs(),
                                  request.label, core::ContactMonitorVersions(request), &rows));
  return Encode(log_, core::ProveContactMonitor(log_.config(), *state, state->head(), request,
                                                RecordOf(rows)));
}

absl::StatusOr<MonitoringAnswer> MonitoringService::OwnerInit(base::ByteView bytes,
                                                              AnswerCost* cost) const {
  KT_ASSIGN_OR_RETURN(const auto question,
                      Receive<core::OwnerInitRequest>(log_, bytes, "OwnerInitRequest"));
  const auto& [request, state] = question;
  LabelRows rows;
  const CostCounter counter(rows, cost);
  Turn turn(large_labels_);
  KT_RETURN_IF_ERROR(ReadHistory(state->snapshot(), request.label, &turn, &rows));
  const core::LabelHistory history = HistoryOf(rows);
  KT_RETURN_IF_ERROR(CompleteRows(state->snapshot(), log_.vrf(), log_.unsaved_proofs(),
                                  request.label,
                                  core::OwnerInitVersions(request, state->size(), history), &rows));
  return Encode(log_, core::ProveOwnerInit(log_.config(), *state, state->head(), request, history,
                                           RecordOf(rows)));
}

absl::StatusOr<MonitoringAnswer> MonitoringService::OwnerMonitor(base::ByteView bytes,
                                                                 AnswerCost* cost) const {
  KT_ASSIGN_OR_RETURN(const auto question,
                      Receive<core::OwnerMonitorRequest>(log_, bytes, "OwnerMonitorRequest"));
  const auto& [request, state] = question;
  LabelRows rows;
  const CostCounter counter(rows, cost);
  Turn turn(large_labels_);
  KT_RETURN_IF_ERROR(ReadHistory(state->snapshot(), request.label, &turn, &rows));
  for (const core::MonitorMapEntry& entry : request.entries) {
    KT_RETURN_IF_ERROR(CheckExists(entry.version, rows));
  }
  if (request.greatest_version.has_value()) {
    KT_RETURN_IF_ERROR(CheckExists(*request.greatest_version, rows));
  }
  const core::LabelHistory history = HistoryOf(rows);
  KT_RETURN_IF_ERROR(
      CompleteRows(state->snapshot(), log_.vrf(), log_.unsaved_proofs(), request.label,
                   core::OwnerMonitorVersions(request, state->size(), history), &rows));
  return Encode(log_, core::ProveOwnerMonitor(log_.config(), *state, state->head(), request,
                                              history, RecordOf(rows)));
}

absl::StatusOr<MonitoringAnswer> MonitoringService::Distinguished(base::ByteView bytes,
                                                                  AnswerCost*) const {
  KT_ASSIGN_OR_RETURN(const auto question,
                      Receive<core::DistinguishedRequest>(log_, bytes, "DistinguishedRequest"));
  const auto& [request, state] = question;
  return Encode(log_, core::ProveDistinguished(log_.config(), core::RecentDefinition(), *state,
                                               state->head(), request));
}

absl::StatusOr<MonitoringAnswer> MonitoringService::UpdateCredential(base::ByteView bytes,
                                                                     AnswerCost* cost) const {
  KT_ASSIGN_OR_RETURN(const auto question, Receive<core::CredentialUpdateRequest>(
                                               log_, bytes, "CredentialUpdateRequest"));
  const auto& [request, state] = question;
  LabelRows rows;
  const CostCounter counter(rows, cost);
  KT_ASSIGN_OR_RETURN(rows, ReadLabel(state->snapshot(), request.label));
  KT_RETURN_IF_ERROR(CheckExists(request.version, rows));
  KT_RETURN_IF_ERROR(CompleteRows(state->snapshot(), log_.vrf(), log_.unsaved_proofs(),
                                  request.label, core::MonitoringBinaryLadder(request.version),
                                  &rows));
  // A credential shows a version in an entry from the one on that added it.
  const VersionRow& row = rows.rows.at(request.version);
  if (!row.existing.has_value() || row.existing->position > request.terminal) {
    return absl::InvalidArgumentError(
        absl::StrCat("log entry ", request.terminal, " does not hold version ", request.version));
  }
  return Encode(log_, core::AnswerCredentialUpdate(log_.config(), *state, request, RecordOf(rows)));
}

}  // namespace kt::server
