// SPDX-License-Identifier: Apache-2.0
//
// "Updating a Label / Algorithm"; step numbers are its.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/monitoring.h"

namespace kt::core {
namespace {

// Answers lookups in entries that step 2.1 skips, from what is known of them.
class KnownEntries : public ProofSource {
 public:
  KnownEntries(TreeSize size, const UpdateClaim& claim) : size_(size), claim_(claim) {}
  TreeSize size() const override { return size_; }
  absl::StatusOr<uint64_t> Timestamp(LogPosition) override {
    return absl::InternalError("a skipped log entry needs no timestamp");
  }
  absl::Status BeginLookups(LogPosition position) override {
    position_ = position;
    return absl::OkStatus();
  }
  absl::StatusOr<bool> Lookup(Version version) override {
    return version <= *claim_.previous && claim_.existed(position_, version);
  }
  absl::Status EndLookups() override { return absl::OkStatus(); }

 private:
  const TreeSize size_;
  const UpdateClaim& claim_;
  LogPosition position_ = 0;
};

// Steps 1 and 2: that nothing greater than the previous version was in the previous tree.
absl::Status InspectPreviousTree(ProofSource& source, const UpdateClaim& claim,
                                 const Configuration& config, LookupMemory& memory) {
  const TreeSize previous_size = claim.position;
  if (previous_size == 0) return absl::OkStatus();
  KT_ASSIGN_OR_RETURN(const DistinguishedPath walk, WalkTowards(source, previous_size - 1, config));
  KnownEntries known(source.size(), claim);
  for (const LogPosition entry : Frontier(previous_size)) {
    // The previous tree's frontier is part of that path.
    const auto on_path = std::find(walk.path.begin(), walk.path.end(), entry);
    KT_CHECK(on_path != walk.path.end());
    if (on_path < walk.path.begin() + static_cast<ptrdiff_t>(walk.distinguished)) continue;
    if (claim.previous.has_value() && entry <= claim.known_through) {  // step 2.1
      KT_RETURN_IF_ERROR(SearchLadder(known, entry, *claim.previous, memory).status());
      continue;
    }
    KT_RETURN_IF_ERROR(source.Timestamp(entry).status());
    KT_ASSIGN_OR_RETURN(const LadderOutcome outcome,
                        SearchLadder(source, entry, claim.previous.value_or(0), memory));
    if (outcome != (claim.previous.has_value() ? LadderOutcome::kEqual : LadderOutcome::kLess)) {
      return base::VerificationFailed(
          "update-ladder",
          absl::StrCat("log entry ", entry, " holds another greatest version than ",
                       "before the update at entry ", claim.position));
    }
  }
  return absl::OkStatus();
}

// The new versions that the binary ladder of the greatest does not look up.
std::vector<Version> VersionsBesidesLadder(const UpdateClaim& claim) {
  const std::vector<Version> ladder = BaseBinaryLadder(claim.greatest);
  std::vector<Version> versions;
  for (uint64_t version = claim.previous.has_value() ? uint64_t{*claim.previous} + 1 : 0;
       version <= claim.greatest; ++version) {
    if (std::find(ladder.begin(), ladder.end(), version) == ladder.end()) {
      versions.push_back(static_cast<Version>(version));
    }
  }
  return versions;
}

absl::Status LookUpNewVersions(ProofSource& source, const UpdateClaim& claim,
                               std::span<const Version> versions) {
  if (versions.empty()) return absl::OkStatus();
  KT_RETURN_IF_ERROR(source.Timestamp(claim.position).status());
  KT_RETURN_IF_ERROR(source.BeginLookups(claim.position));
  for (const Version version : versions) {
    KT_ASSIGN_OR_RETURN(const bool included, source.Lookup(version));
    if (!included) {
      return base::VerificationFailed(
          "new-versions", absl::StrCat("log entry ", claim.position, " lacks version ", version));
    }
  }
  return source.EndLookups();
}

}  // namespace

absl::StatusOr<bool> VerifyNewVersions(ProofSource& source, const UpdateClaim& claim,
                                       const Configuration& config) {
  LookupMemory memory;
  KT_RETURN_IF_ERROR(InspectPreviousTree(source, claim, config, memory));
  KT_ASSIGN_OR_RETURN(const DistinguishedPath walk, WalkTowards(source, claim.position, config));
  const bool distinguished = walk.ends_distinguished();
  if (!distinguished) {  // step 4
    KT_RETURN_IF_ERROR(source.Timestamp(claim.position).status());
    KT_ASSIGN_OR_RETURN(const LadderOutcome outcome,
                        SearchLadder(source, claim.position, claim.greatest, memory));
    if (outcome != LadderOutcome::kEqual) {
      return base::VerificationFailed(
          "update-ladder", absl::StrCat("version ", claim.greatest,
                                        " is not the greatest in log entry ", claim.position));
    }
  }
  KT_RETURN_IF_ERROR(LookUpNewVersions(source, claim, VersionsBesidesLadder(claim)));  // 3 and 4
  return distinguished;
}

}  // namespace kt::core
