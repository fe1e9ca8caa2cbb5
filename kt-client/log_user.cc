// SPDX-License-Identifier: Apache-2.0
#include "kt-client/log_user.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace kt::client {

std::optional<base::TreeSize> LogUser::last() const {
  if (!record_.state.has_value()) return std::nullopt;
  return record_.state->tree_size();
}

core::SearchRequest LogUser::MakeSearch(base::ByteView label,
                                        std::optional<base::Version> version) const {
  core::SearchRequest request;
  request.last = last();
  request.label = base::ToBytes(label);
  request.version = version;
  return request;
}

absl::StatusOr<SearchResult> LogUser::Search(const core::SearchRequest& request,
                                             base::ByteView response, uint64_t now_ms) {
  KT_ASSIGN_OR_RETURN(core::VerifiedSearch verified,
                      verifier_.VerifySearch(request, response, previous(), now_ms));
  const core::ContactState* const known = record_.FindWatched(request.label);
  core::ContactState contact = known != nullptr ? *known : core::ContactState();
  KT_RETURN_IF_ERROR(core::AddObligation(verified, &contact));
  record_.SetWatched(request.label, std::move(contact));
  record_.state = std::move(verified.state);
  return SearchResult{true, verified.version, std::move(verified.value),
                      verified.monitoring_required};
}

absl::Status LogUser::CheckNotKnown(base::ByteView label, base::Version absent) const {
  std::optional<base::Version> known;
  if (const core::ContactState* contact = record_.FindWatched(label); contact != nullptr) {
    known = contact->map.back().version;
  }
  if (const core::OwnerState* owner = record_.FindOwned(label); owner != nullptr) {
    known = std::max(known, owner->greatest_version());
  }
  if (!known.has_value() || *known < absent) return absl::OkStatus();
  return base::VerificationFailed(
      "label-removed", absl::StrCat("the log proves that the address has no version ", absent,
                                    ", but it proved before that it has version ", *known));
}

absl::StatusOr<SearchResult> LogUser::Absence(const core::SearchRequest& request,
                                              base::ByteView response, uint64_t now_ms) {
  KT_ASSIGN_OR_RETURN(core::VerifiedAbsence verified,
                      verifier_.VerifyAbsence(request, response, previous(), now_ms));
  KT_RETURN_IF_ERROR(CheckNotKnown(request.label, verified.version));
  record_.state = std::move(verified.state);
  SearchResult result;
  result.version = verified.version;
  return result;
}

absl::StatusOr<core::ContactMonitorRequest> LogUser::MakeContactMonitor(
    base::ByteView label) const {
  const core::ContactState* const contact = record_.FindWatched(label);
  if (contact == nullptr) return absl::FailedPreconditionError("the address is not monitored");
  return core::MakeContactMonitorRequest(label, *contact, last());
}

absl::Status LogUser::ContactMonitor(const core::ContactMonitorRequest& request,
                                     base::ByteView response, uint64_t now_ms) {
  const core::ContactState* const contact = record_.FindWatched(request.label);
  if (contact == nullptr) return absl::FailedPreconditionError("the address is not monitored");
  KT_ASSIGN_OR_RETURN(
      core::VerifiedContactMonitor verified,
      verifier_.VerifyContactMonitor(request, response, *contact, previous(), now_ms));
  record_.SetWatched(request.label, std::move(verified.contact));
  record_.state = std::move(verified.state);
  return absl::OkStatus();
}

core::DistinguishedRequest LogUser::MakeDistinguished() const {
  core::DistinguishedRequest request;
  request.last = last();
  request.stop = record_.distinguished.stop();
  return request;
}

absl::StatusOr<std::vector<core::DistinguishedEntry>> LogUser::Distinguished(
    const core::DistinguishedRequest& request, base::ByteView response, uint64_t now_ms) {
  constexpr core::RecentDefinition kRecent;
  KT_ASSIGN_OR_RETURN(
      core::VerifiedDistinguished verified,
      core::VerifyDistinguished(verifier_, kRecent, request, response, previous(), now_ms));
  KT_ASSIGN_OR_RETURN(
      record_.distinguished,
      core::MergeWalk(verifier_.config(), kRecent, record_.distinguished, request, verified));
  record_.state = std::move(verified.state);
  return std::move(verified.entries);
}

}  // namespace kt::client
