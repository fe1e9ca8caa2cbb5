// SPDX-License-Identifier: Apache-2.0
#include "kt-client/log_user.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-core/monitoring_state.h"
#include "kt-core/update.h"

namespace kt::client {
namespace {

constexpr size_t kMaxForeignVersions = 1024;  // of one label

// Whether what was created is exactly `values`, after `previous` and what a manager skipped.
bool Matches(const core::VerifiedUpdate& update, std::optional<base::Version> previous,
             const std::vector<base::Hash>& values) {
  const base::Version first = (previous.has_value() ? *previous + 1 : 0) + update.skipped_versions;
  return update.created.front().version == first &&
         std::ranges::equal(update.created, values, {},
                            [](const core::NewVersion& v) { return base::Sha256(v.value); });
}

std::vector<base::Hash> HashesOf(const std::vector<core::LabelValue>& values) {
  std::vector<base::Hash> hashes;
  hashes.reserve(values.size());
  for (const core::LabelValue& value : values) hashes.push_back(base::Sha256(value.value));
  return hashes;
}

// Not later than any log entry from the rightmost distinguished one on, in the log that `state` is
// of: the frontier's entry after that is not distinguished, and ends at the rightmost entry.
uint64_t RightOfDistinguishedMs(const core::Configuration& config, const core::UserState& state) {
  const uint64_t rightmost_ms = state.frontier.back().timestamp;
  return rightmost_ms - std::min(rightmost_ms, config.reasonable_monitoring_window);
}

}  // namespace

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
  const WatchedLabel* const known = record_.FindWatchedLabel(request.label);
  // The greatest version is found to be that because the one after it is not there.
  if (!request.version.has_value() &&
      verified.version < std::numeric_limits<base::Version>::max()) {
    KT_RETURN_IF_ERROR(CheckNotKnown(request.label, verified.version + 1));
  }
  // What is added lies to the right of the rightmost distinguished entry.
  WatchedLabel watched;
  watched.not_before_ms = RightOfDistinguishedMs(record_.config, verified.state);
  if (known != nullptr) watched = *known;
  KT_RETURN_IF_ERROR(core::AddObligation(verified, &watched.contact));
  record_.SetWatched(request.label, std::move(watched.contact), watched.not_before_ms);
  record_.state = std::move(verified.state);
  return SearchResult{true, verified.version, std::move(verified.value),
                      verified.monitoring_required};
}

absl::Status LogUser::CheckNotKnown(base::ByteView label, base::Version absent) const {
  std::optional<base::Version> known;
  if (const core::ContactState* contact = record_.FindWatched(label); contact != nullptr) {
    known = contact->map.back().version;
  }
  if (const OwnedLabel* owned = record_.FindOwned(label); owned != nullptr) {
    known = std::max(known, owned->owner.greatest_version());
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
  // So does what is left.
  record_.SetWatched(request.label, std::move(verified.contact),
                     RightOfDistinguishedMs(record_.config, verified.state));
  record_.state = std::move(verified.state);
  return absl::OkStatus();
}

absl::StatusOr<const OwnedLabel*> LogUser::Owned(base::ByteView label) const {
  const OwnedLabel* const owned = record_.FindOwned(label);
  if (owned == nullptr) return absl::FailedPreconditionError("the address is not owned here");
  return owned;
}

absl::StatusOr<core::OwnerInitRequest> LogUser::MakeOwnerInit(base::ByteView label,
                                                              base::LogPosition start) const {
  if (record_.FindOwned(label) != nullptr) {
    return absl::FailedPreconditionError("the address is owned here already");
  }
  core::OwnerInitRequest request;
  request.last = last();
  request.label = base::ToBytes(label);
  request.start = start;
  return request;
}

absl::StatusOr<std::vector<core::MonitorMapEntry>> LogUser::OwnerInit(
    const core::OwnerInitRequest& request, base::ByteView response, uint64_t now_ms) {
  KT_RETURN_IF_ERROR(MakeOwnerInit(request.label, request.start).status());
  KT_ASSIGN_OR_RETURN(core::VerifiedOwnerInit verified,
                      verifier_.VerifyOwnerInit(request, response, previous(), now_ms));
  if (const core::ContactState* contact = record_.FindWatched(request.label); contact != nullptr) {
    for (const core::MonitorMapEntry& entry : contact->map) {
      if (entry.position > request.start) break;
      if (verified.owner.greatest_at_start >= std::optional(entry.version)) continue;
      return base::VerificationFailed(
          "label-removed", absl::StrCat("the log does not show version ", entry.version,
                                        ", which it proved before, in log entry ", request.start));
    }
  }
  OwnedLabel owned;
  owned.label = request.label;
  owned.owner = std::move(verified.owner);
  const core::DistinguishedEntry* const start = record_.distinguished.Find(request.start);
  if (start != nullptr) owned.not_before_ms = start->entry().timestamp;
  record_.SetOwned(std::move(owned));
  record_.state = std::move(verified.state);
  return std::move(verified.greatest_versions);
}

absl::StatusOr<core::OwnerMonitorRequest> LogUser::MakeOwnerMonitor(base::ByteView label) const {
  KT_ASSIGN_OR_RETURN(const OwnedLabel* const owned, Owned(label));
  return core::MakeOwnerMonitorRequest(label, owned->owner, last());
}

absl::StatusOr<bool> LogUser::OwnerMonitor(const core::OwnerMonitorRequest& request,
                                           base::ByteView response, uint64_t now_ms) {
  KT_ASSIGN_OR_RETURN(const OwnedLabel* const known, Owned(request.label));
  KT_ASSIGN_OR_RETURN(
      core::VerifiedOwnerMonitor verified,
      verifier_.VerifyOwnerMonitor(request, response, known->owner, previous(), now_ms));
  OwnedLabel owned = *known;
  owned.owner = std::move(verified.owner);
  if (verified.complete) {
    owned.not_before_ms =
        std::max(owned.not_before_ms, RightOfDistinguishedMs(record_.config, verified.state));
  }
  record_.SetOwned(std::move(owned));
  record_.state = std::move(verified.state);
  return verified.complete;
}

absl::StatusOr<core::UpdateRequest> LogUser::MakeUpdate(base::ByteView label,
                                                        const std::vector<base::Bytes>& values) {
  KT_ASSIGN_OR_RETURN(const OwnedLabel* const known, Owned(label));
  core::UpdateRequest request;
  request.last = last();
  request.label = base::ToBytes(label);
  request.greatest_version = known->owner.greatest_version();
  for (const base::Bytes& value : values) request.values.push_back({value});
  if (!values.empty()) {
    OwnedLabel owned = *known;
    PendingUpdate pending{request.greatest_version, HashesOf(request.values)};
    // Another process of this owner may wait for an answer to a request of its own.
    std::erase(owned.pending, pending);
    owned.pending.push_back(std::move(pending));
    if (owned.pending.size() > OwnedLabel::kMaxPending) owned.pending.erase(owned.pending.begin());
    record_.SetOwned(std::move(owned));
  }
  return request;
}

absl::Status LogUser::AddForeign(const core::VerifiedUpdate& update, OwnedLabel* owned) const {
  size_t bytes = record_.ForeignBytes();
  for (const core::NewVersion& version : update.created) {
    ForeignVersionRecord foreign{version.version, update.position, {}, 0};
    if (version.value.size() <= ForeignVersionRecord::kMaxValueBytes) foreign.value = version.value;
    bytes += sizeof(ForeignVersionRecord) + foreign.value.size();
    owned->foreign.push_back(std::move(foreign));
  }
  if (bytes <= LogRecord::kMaxForeignBytes && owned->foreign.size() <= kMaxForeignVersions) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      "so many versions of the address that were published elsewhere have not been accepted that "
      "no more are taken in; accept those that are known (kt-client own ADDRESS --accept "
      "..VERSION)");
}

absl::StatusOr<UpdateResult> LogUser::Update(const core::UpdateRequest& request,
                                             base::ByteView response, uint64_t now_ms) {
  KT_ASSIGN_OR_RETURN(const OwnedLabel* const known, Owned(request.label));
  KT_ASSIGN_OR_RETURN(core::VerifiedUpdate verified,
                      verifier_.VerifyUpdate(request, response, known->owner, previous(), now_ms));
  OwnedLabel owned = *known;
  owned.owner = std::move(verified.owner);
  UpdateResult result;
  result.position = verified.position;
  result.awaits_owner_monitoring = verified.awaits_owner_monitoring;
  // Also if the answer to an earlier request for the same was lost.
  result.own = verified.of_request ||
               Matches(verified, request.greatest_version, HashesOf(request.values)) ||
               std::ranges::any_of(owned.pending, [&](const PendingUpdate& pending) {
                 return request.greatest_version == pending.previous &&
                        Matches(verified, pending.previous, pending.values);
               });
  if (result.own) {
    owned.published = {verified.position, verified.created.back().version};
    owned.published_values.clear();
    for (const core::NewVersion& version : verified.created) {
      owned.published_values.push_back(base::Sha256(version.value));
    }
  } else {
    KT_RETURN_IF_ERROR(AddForeign(verified, &owned));
  }
  // The versions that were pending exist now, or never will: others have their numbers.
  std::erase_if(owned.pending, [&](const PendingUpdate& pending) {
    return owned.owner.greatest_version() > pending.previous;
  });
  KT_ASSIGN_OR_RETURN(const auto decoded,
                      core::codec::Decode<core::UpdateResponse>(
                          response, core::WireContext::For(verifier_.config())));
  result.following = core::FollowingUpdateRequest(request, decoded, verified.state.tree_size());
  result.versions = std::move(verified.created);
  record_.SetOwned(std::move(owned));
  record_.state = std::move(verified.state);
  return result;
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

absl::Status LogUser::StrangersWalk(const core::DistinguishedRequest& request,
                                    base::ByteView response, uint64_t now_ms) const {
  constexpr core::RecentDefinition kRecent;
  KT_ASSIGN_OR_RETURN(
      const core::VerifiedDistinguished walk,
      core::VerifyDistinguished(verifier_, kRecent, request, response, nullptr, now_ms));
  if (previous() == nullptr) return absl::OkStatus();
  const base::TreeSize size = previous()->tree_size();
  if (walk.state.tree_size() > size) return absl::AbortedError("the log has grown meanwhile");
  if (walk.state.tree_size() == size && walk.state.full_subtrees == previous()->full_subtrees) {
    return absl::OkStatus();
  }
  return base::VerificationFailed("heads-fork",
                                  absl::StrCat("the log shows a tree of ", walk.state.tree_size(),
                                               " entries to strangers, and another one of ", size,
                                               " entries to this user: it has forked"));
}

}  // namespace kt::client
