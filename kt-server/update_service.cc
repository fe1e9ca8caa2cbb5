// SPDX-License-Identifier: Apache-2.0
#include "kt-server/update_service.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-server/retention.h"
#include "kt-server/version_rows.h"

namespace kt::server {
namespace {

// Most log entries add one version of a label.
constexpr uint64_t kRowsPerRead = 16;

absl::StatusOr<std::shared_ptr<const LogState>> StateFor(const TransparencyLog& log,
                                                         const core::UpdateRequest& request) {
  KT_ASSIGN_OR_RETURN(std::shared_ptr<const LogState> state, log.Present());
  if (request.last.has_value() && *request.last > state->size()) {
    return absl::OutOfRangeError(
        absl::StrCat("last: this log has ", state->size(), " entries, not ", *request.last));
  }
  return state;
}

// In these calls kOutOfRange says that the log has less than the request knows of.
absl::Status ExpiredHere(const absl::Status& expired) {
  return absl::AbortedError(std::string(expired.message()));
}

absl::Status NothingNewer() { return absl::NotFoundError("the label has no newer version"); }

base::Version FirstAfter(std::optional<base::Version> greatest) {
  return greatest.has_value() ? *greatest + 1 : 0;
}

// The versions from `first` on that one log entry added, in `rows` as well. kFailedPrecondition if
// there are more than an UpdateResponse holds.
absl::StatusOr<core::CreatedVersions> ReadCreated(const TransparencyLog& log, const LogState& state,
                                                  base::ByteView label, base::Version first,
                                                  LabelRows* rows) {
  core::CreatedVersions created;
  const uint64_t end = uint64_t{*rows->greatest} + 1;
  for (uint64_t next = first; next < end; next += kRowsPerRead) {
    std::vector<base::Version> versions;
    for (uint64_t version = next; version < std::min(next + kRowsPerRead, end); ++version) {
      versions.push_back(static_cast<base::Version>(version));
    }
    KT_RETURN_IF_ERROR(
        CompleteRows(state.snapshot(), log.vrf(), log.unsaved_proofs(), label, versions, rows));
    for (const base::Version version : versions) {
      const std::optional<VersionRow::Existing>& existing = rows->rows.at(version).existing;
      if (!existing.has_value()) {
        return absl::DataLossError("a version below the greatest is missing in the database");
      }
      if (version == first) created.position = existing->position;
      if (existing->position != created.position) return created;
      if (existing->position < state.snapshot().horizon()) {
        return Expired(absl::StrCat("log entry ", existing->position));
      }
      if (created.skipped_versions + created.values.size() == core::kMaxVersionsInEntry) {
        return absl::FailedPreconditionError(absl::StrCat(
            "log entry ", created.position, " holds more than ", core::kMaxVersionsInEntry,
            " versions of the address, which no response can tell of: an early build of the server "
            "made it, and the address can be looked up, but not be owned from before that entry"));
      }
      if (existing->skipped()) {
        if (!created.values.empty()) {
          return absl::DataLossError("a skipped version follows one of its own log entry");
        }
        ++created.skipped_versions;
        continue;
      }
      KT_ASSIGN_OR_RETURN(OpenedValue opened,
                          ReadOpenedValue(state.snapshot(), rows->rows.at(version), log.config()));
      KT_RETURN_IF_ERROR(log.CheckNotErased(state, existing->commitment));
      created.values.push_back(std::move(opened.value));
      created.openings.push_back(opened.opening);
    }
  }
  return created;
}

// A response tells of all versions that a log entry added, so none can start in the middle of them.
absl::Status CheckEndsItsEntry(const TransparencyLog& log, const LogState& state,
                               const core::UpdateRequest& request, base::LogPosition next,
                               LabelRows* rows) {
  if (!request.greatest_version.has_value()) return absl::OkStatus();
  const base::Version greatest[] = {*request.greatest_version};
  KT_RETURN_IF_ERROR(CompleteRows(state.snapshot(), log.vrf(), log.unsaved_proofs(), request.label,
                                  greatest, rows));
  const std::optional<VersionRow::Existing>& existing = rows->rows.at(greatest[0]).existing;
  if (!existing.has_value()) {
    return absl::DataLossError("a version below the greatest is missing in the database");
  }
  if (existing->position < next) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("greatest_version: ", greatest[0], " is not the last version of its log entry"));
}

}  // namespace

absl::StatusOr<core::UpdateRequest> UpdateService::Decode(base::ByteView bytes) {
  absl::StatusOr<core::UpdateRequest> request = core::codec::Decode<core::UpdateRequest>(bytes);
  if (request.ok()) return request;
  return base::Annotate(request.status(), "UpdateRequest");
}

absl::StatusOr<core::UpdateDecision> UpdateService::Decide(
    const core::UpdateRequest& request) const {
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const LogState> state, StateFor(log_, request));
  KT_ASSIGN_OR_RETURN(const LabelRows rows, ReadLabel(state->snapshot(), request.label));
  if (request.greatest_version > rows.greatest) {
    return absl::OutOfRangeError("greatest_version: this log has no such version of the label");
  }
  // Nothing is published whose insertion this owner could not be shown.
  if (!request.values.empty() && request.last.has_value() &&
      *request.last < state->snapshot().horizon()) {
    return ExpiredHere(Expired(absl::StrCat("the log of ", *request.last, " entries")));
  }
  const absl::StatusOr<core::UpdateDecision> decision = core::DecideUpdate(request, rows.greatest);
  if (absl::IsFailedPrecondition(decision.status())) return NothingNewer();
  return decision;
}

absl::StatusOr<OwnerUpdate> UpdateService::Prepare(const core::UpdateRequest& request) const {
  OwnerUpdate update;
  update.label = request.label;
  update.greatest_version = request.greatest_version;
  for (const core::LabelValue& value : request.values) update.values.push_back(value.value);
  if (!request.greatest_version.has_value()) return update;
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const LogState> state, StateFor(log_, request));
  const base::Version greatest[] = {*request.greatest_version};
  KT_ASSIGN_OR_RETURN(const auto rows, state->snapshot().ReadVersionRows(request.label, greatest));
  if (!rows[0].has_value() || !rows[0]->existing.has_value()) {
    return absl::DataLossError("the greatest version is missing in the database");
  }
  const absl::StatusOr<OpenedValue> current =
      ReadOpenedValue(state->snapshot(), *rows[0], log_.config());
  // Of a set that was erased nothing has been admitted.
  if (absl::IsPermissionDenied(current.status())) return update;
  KT_RETURN_IF_ERROR(current.status());
  KT_ASSIGN_OR_RETURN(update.current, smime::CertificateSet::Decode(current->value.value));
  return update;
}

absl::StatusOr<UpdateAnswer> UpdateService::Answer(
    const core::UpdateRequest& request, std::optional<base::LogPosition> created_at) const {
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const LogState> state, StateFor(log_, request));
  absl::StatusOr<UpdateAnswer> answer = AnswerFrom(*state, request, created_at);
  if (absl::IsOutOfRange(answer.status())) return ExpiredHere(answer.status());
  return answer;
}

absl::StatusOr<UpdateAnswer> UpdateService::AnswerFrom(
    const LogState& state, const core::UpdateRequest& request,
    std::optional<base::LogPosition> created_at) const {
  KT_ASSIGN_OR_RETURN(LabelRows rows, ReadLabel(state.snapshot(), request.label));
  if (request.greatest_version >= rows.greatest) {
    if (!created_at.has_value()) return NothingNewer();
    return absl::UnavailableError(
        "the versions are in the log, but its auditor has not signed them yet; ask again later");
  }
  const base::Version first = FirstAfter(request.greatest_version);
  KT_ASSIGN_OR_RETURN(core::CreatedVersions created,
                      ReadCreated(log_, state, request.label, first, &rows));
  KT_RETURN_IF_ERROR(CheckEndsItsEntry(log_, state, request, created.position, &rows));
  created.of_request = created_at == created.position;
  const auto greatest = static_cast<base::Version>(uint64_t{first} + created.skipped_versions +
                                                   created.values.size() - 1);
  KT_RETURN_IF_ERROR(CompleteRows(state.snapshot(), log_.vrf(), log_.unsaved_proofs(),
                                  request.label,
                                  core::UpdateVersions(request.greatest_version, greatest), &rows));
  KT_ASSIGN_OR_RETURN(
      const core::UpdateResponse response,
      core::ProveUpdate(log_.config(), state, state.head(), request, created, RecordOf(rows)));
  UpdateAnswer answer;
  answer.created = created.of_request;
  answer.vrf_proofs = rows.vrf_proofs_made;
  answer.following = core::FollowingUpdateRequest(request, response, state.size());
  KT_ASSIGN_OR_RETURN(answer.response,
                      core::codec::TryEncode(response, core::WireContext::For(log_.config())));
  return answer;
}

}  // namespace kt::server
