// SPDX-License-Identifier: Apache-2.0
#include "kt-client/owner_publication.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-client/failure.h"
#include "kt-client/set_value.h"

namespace kt::client {
namespace {

constexpr int kMaxAttempts = 4;

std::string Describe(std::optional<base::Version> version) {
  return version.has_value() ? absl::StrCat("version ", *version) : "none";
}

absl::Status CheckExpectation(const PublishRequest& request,
                              std::optional<base::Version> greatest) {
  const std::optional<base::Version>& expected = request.expected_greatest_version;
  const bool as_expected =
      request.expect_absent ? !greatest.has_value() : !expected.has_value() || expected == greatest;
  if (as_expected) return absl::OkStatus();
  return FailedBecause(
      Failure::kRefusedByPolicy,
      absl::StrCat("the greatest version is ", Describe(greatest), ", not ", Describe(expected)));
}

// What joins or leaves a set that somebody else made confirms the rest of it.
absl::Status CheckForeign(const PublishRequest& request, const OwnedLabel& owned) {
  if (request.operation == PublishRequest::Operation::kReplace || owned.foreign.empty()) {
    return absl::OkStatus();
  }
  return base::VerificationFailed(
      "foreign-version",
      absl::StrCat("version ", owned.foreign.back().version,
                   " was not published from here: either accept it (kt-client own --accept), or "
                   "replace the whole set"));
}

absl::StatusOr<base::Bytes> NextValue(const PublishRequest& request, smime::CertificateSet set) {
  const absl::Status applied = set.Apply(request.operation, request.certificates);
  // Certificates to be removed that are not there.
  if (absl::IsNotFound(applied)) {
    return FailedBecause(Failure::kRefusedByPolicy, std::string(applied.message()));
  }
  KT_RETURN_IF_ERROR(applied);
  return set.Encode();
}

// Publishes once. kAborted if others' versions came in between.
absl::StatusOr<PublishResult> PublishOnce(LogSession& session, base::ByteView label,
                                          const PublishRequest& request, const std::string& token) {
  KT_RETURN_IF_ERROR(session.CatchUp(label).status());
  // The search proves what catching up could only be told: that nothing is newer. It cannot if the
  // newest value was erased; then the update's own proof has to do.
  const absl::StatusOr<SearchResult> search = session.Search(label, std::nullopt);
  const bool erased = FailureOf(search.status()) == Failure::kErased;
  if (!erased) KT_RETURN_IF_ERROR(search.status());
  const OwnedLabel* const owned = session.record()->FindOwned(label);
  if (owned == nullptr) return absl::FailedPreconditionError("the address is not owned here");
  const std::optional<base::Version> greatest = owned->owner.greatest_version();
  if (!erased && search->found && greatest < std::optional(search->version)) {
    return absl::AbortedError("others have published for the address meanwhile");
  }
  KT_RETURN_IF_ERROR(CheckExpectation(request, greatest));
  KT_RETURN_IF_ERROR(CheckForeign(request, *owned));
  smime::CertificateSet current;
  // A value that was erased or is of an unknown format can be replaced, but not added to.
  if (request.operation != PublishRequest::Operation::kReplace) {
    if (erased) {
      return FailedBecause(Failure::kRefusedByPolicy,
                           "the set in force was erased: it can only be replaced as a whole "
                           "(--replace)");
    }
    if (search->found) {
      KT_ASSIGN_OR_RETURN(current, DecodeSet(search->value));
    }
  }
  KT_ASSIGN_OR_RETURN(base::Bytes value, NextValue(request, std::move(current)));
  KT_ASSIGN_OR_RETURN(const core::MonitorMapEntry published,
                      session.Update(label, {std::move(value)}, token));
  PublishResult result;
  result.version = published.version;
  result.position = published.position;
  result.tree_size = session.info().tree_size;
  result.verified = true;
  result.foreign_versions = session.record()->FindOwned(label)->foreign.size();
  return result;
}

}  // namespace

absl::StatusOr<PublishResult> PublishAsOwner(LogSession& session, base::ByteView label,
                                             const PublishRequest& request,
                                             const std::string& token) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    absl::StatusOr<PublishResult> result = PublishOnce(session, label, request, token);
    if (!absl::IsAborted(result.status())) return result;
  }
  return FailedBecause(Failure::kRefusedByPolicy,
                       "others keep publishing for the address at the same time; nothing was "
                       "published from here");
}

}  // namespace kt::client
