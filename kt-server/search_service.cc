// SPDX-License-Identifier: Apache-2.0
#include "kt-server/search_service.h"

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/prover.h"
#include "kt-server/retention.h"
#include "kt-server/version_rows.h"

namespace kt::server {
namespace {

// The log's state, with the value of the version that is searched for. It is read in one round with
// the proof: both depend on the label's rows, but neither on the other.
class SearchView : public core::LogView {
 public:
  SearchView(const LogState& state, const ValueKey& value_key)
      : state_(state), value_key_(value_key) {}

  core::TreeSize size() const override { return state_.size(); }
  absl::StatusOr<uint64_t> Timestamp(core::LogPosition position) const override {
    return state_.Timestamp(position);
  }
  absl::StatusOr<std::vector<core::Hash>> PrefixRoots(
      std::span<const core::LogPosition> positions) const override {
    return state_.PrefixRoots(positions);
  }
  absl::StatusOr<std::vector<core::PrefixProof>> ProvePrefix(
      std::span<const merkle::PrefixProofRequest> requests) const override {
    return state_.ProvePrefix(requests);
  }
  absl::StatusOr<std::vector<core::Hash>> ReadLogNodes(
      std::span<const merkle::LogNodeId> ids) const override {
    return state_.ReadLogNodes(ids);
  }
  absl::StatusOr<core::ProofParts> ReadProof(const core::ProofQuery& query) const override {
    return state_.ReadProof(query, {&value_key_, 1}, &values_);
  }

  // Once the proof is made.
  const std::optional<base::Bytes>& value() const { return values_.at(0); }

 private:
  const LogState& state_;
  const ValueKey value_key_;
  mutable std::vector<std::optional<base::Bytes>> values_;
};

absl::StatusOr<SearchAnswer> AnswerAbsent(const TransparencyLog& log, const LogState& state,
                                          const core::SearchRequest& request, LabelRows rows) {
  SearchAnswer answer;
  const base::Version version[] = {request.version.value_or(0)};
  KT_RETURN_IF_ERROR(CompleteRows(state.snapshot(), log.vrf(), log.unsaved_proofs(), request.label,
                                  version, &rows));
  answer.vrf_proofs = rows.vrf_proofs_made;
  KT_ASSIGN_OR_RETURN(const core::AbsenceResponse response,
                      core::ProveAbsence(state, state.head(), request, RecordOf(rows)));
  KT_ASSIGN_OR_RETURN(answer.response,
                      core::codec::TryEncode(response, core::WireContext::For(log.config())));
  return answer;
}

absl::StatusOr<SearchAnswer> AnswerFound(const TransparencyLog& log, const LogState& state,
                                         const core::SearchRequest& request, base::Version target,
                                         const LabelRows& rows) {
  const core::WireContext context =
      core::WireContext::For(log.config(), request.version.has_value());
  const VersionRow& version = rows.rows.at(target);
  if (HasExpired(rows, target, state.snapshot().horizon())) {
    return Expired(absl::StrCat("version ", target));
  }
  const SearchView view(state, version.existing->value_key());
  KT_ASSIGN_OR_RETURN(core::SearchResponse response,
                      core::ProveSearch(log.config(), view, state.head(), request, target,
                                        RecordOf(rows), /*opening=*/{}, /*update=*/{}));
  KT_ASSIGN_OR_RETURN(OpenedValue opened,
                      DecodeOpenedValue(state.snapshot(), version, log.config(), view.value()));
  KT_RETURN_IF_ERROR(log.CheckNotErased(state, version.existing->commitment));
  response.opening = opened.opening;
  response.value = std::move(opened.value);
  SearchAnswer answer;
  answer.found = true;
  KT_ASSIGN_OR_RETURN(answer.response, core::codec::TryEncode(response, context));
  return answer;
}

}  // namespace

absl::StatusOr<SearchAnswer> SearchService::Search(base::ByteView request_bytes) const {
  absl::StatusOr<core::SearchRequest> request =
      core::codec::Decode<core::SearchRequest>(request_bytes);
  if (!request.ok()) return base::Annotate(request.status(), "SearchRequest");
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const LogState> state, log_.Present());
  if (request->last.has_value() && *request->last > state->size()) {
    return absl::FailedPreconditionError(
        absl::StrCat("this log has ", state->size(), " entries, not ", *request->last));
  }

  KT_ASSIGN_OR_RETURN(LabelRows rows,
                      ReadLabel(state->snapshot(), request->label, request->version));
  // What is not there is known before its binary ladder, up to 64 VRF proofs, is looked at.
  if (!rows.greatest.has_value() || request->version.value_or(0) > *rows.greatest) {
    return AnswerAbsent(log_, *state, *request, std::move(rows));
  }
  const base::Version target = request->version.value_or(*rows.greatest);
  KT_RETURN_IF_ERROR(CompleteRows(state->snapshot(), log_.vrf(), log_.unsaved_proofs(),
                                  request->label, core::BaseBinaryLadder(target), &rows));
  if (!rows.rows.at(target).existing.has_value()) {
    return absl::DataLossError("a version below the greatest is missing in the database");
  }
  if (rows.rows.at(target).existing->skipped()) {
    return absl::NotFoundError("the version was skipped: it has no value");
  }
  absl::StatusOr<SearchAnswer> answer = AnswerFound(log_, *state, *request, target, rows);
  if (answer.ok()) answer->vrf_proofs = rows.vrf_proofs_made;
  return answer;
}

}  // namespace kt::server
