// SPDX-License-Identifier: Apache-2.0
#include "kt-core/distinguished_forks.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-core/algorithms.h"
#include "kt-core/proof_verifier.h"
#include "kt-core/tree_head.h"
#include "kt-core/verification_context.h"

namespace kt::core {
namespace {

// A walk as a user without any state verifies it, but for the clock and an auditor's signature,
// which have no part in what the log is accused of.
struct SignedWalk {
  TreeSize size = 0;
  DistinguishedWalk found;
  std::map<merkle::LogNodeId, Hash> nodes;
  std::vector<Hash> roots;  // at the entries in `found`

  // Whether the walk shows that an entry is not distinguished.
  bool Denies(LogPosition position) const {
    return (!found.ended_at.has_value() || position > *found.ended_at) &&
           !std::binary_search(found.positions.begin(), found.positions.end(), position);
  }
};

absl::StatusOr<SignedWalk> CheckWalk(const VerificationContext& context,
                                     const RecentDefinition& recent,
                                     const DistinguishedRequest& request, ByteView bytes) {
  const Configuration& config = context.config();
  KT_ASSIGN_OR_RETURN(const DistinguishedResponse response,
                      DecodeResponse<DistinguishedResponse>(bytes, WireContext::For(config)));
  const FullTreeHead& head = response.full_tree_head;
  SignedWalk walk;
  KT_ASSIGN_OR_RETURN(walk.size, PresentedTreeSize(head, nullptr));
  std::optional<TreeSize> audited;
  if (config.mode == DeploymentMode::kThirdPartyAuditing) {
    audited = head.auditor_tree_head.tree_size;
    if (*audited == 0 || *audited > walk.size) {
      return base::VerificationFailed("auditor-tree-head",
                                      "the auditor's tree size is out of range");
    }
  }
  ProofVerifier proof(response.distinguished, walk.size, nullptr, {});
  KT_RETURN_IF_ERROR(UpdateView(proof, std::nullopt));
  KT_ASSIGN_OR_RETURN(walk.found, WalkDistinguished(proof, config, recent, request.stop));
  KT_ASSIGN_OR_RETURN(const ProvenView view, proof.Finish(audited));
  const absl::Status signature = context.log_key().Verify(
      EncodeTreeHeadTbs(config, walk.size, view.log.root), head.tree_head.signature);
  if (!signature.ok()) {
    if (!base::IsVerificationFailure(signature)) return signature;
    return base::VerificationFailed("tree-head-signature",
                                    "the tree head is not signed by the log");
  }
  walk.nodes = proof.nodes();
  for (const LogPosition position : walk.found.positions) {
    // The walk has visited all ancestors of the entry, among which is its frontier.
    const std::optional<UserState> state = proof.PrefixState(position + 1);
    KT_CHECK(state.has_value());
    walk.roots.push_back(
        DistinguishedEntry{position, state->full_subtrees, state->frontier}.root());
  }
  return walk;
}

// Verifies with the configuration that came along. `malformed` names the check of what is no
// verified statement of the log because of its form.
absl::StatusOr<std::unique_ptr<VerificationContext>> ContextOf(const std::string& malformed,
                                                               ByteView configuration,
                                                               uint8_t recent_rightmost) {
  absl::StatusOr<Configuration> config = DecodeConfiguration(configuration);
  if (!config.ok()) {
    return base::VerificationFailed(
        malformed,
        absl::StrCat("there is no usable configuration: ", std::string(config.status().message())));
  }
  if (recent_rightmost == 0) {
    return base::VerificationFailed(malformed, "no log entry can be recent");
  }
  return VerificationContext::Create(*std::move(config));
}

absl::Status CheckIndependent(const std::string& malformed, const DistinguishedRequest& request) {
  if (!request.last.has_value()) return absl::OkStatus();
  return base::VerificationFailed(malformed,
                                  "the response relies on what its receiver has seen before");
}

DistinguishedHead Rightmost255(const std::vector<Hash>& roots) {
  constexpr size_t kMost = std::numeric_limits<uint8_t>::max();
  const size_t skipped = roots.size() - std::min(roots.size(), kMost);
  return {{roots.begin() + static_cast<ptrdiff_t>(skipped), roots.end()}};
}

std::string NameOf(const merkle::LogNodeId& id) {
  const LogPosition begin = id.index << id.level;
  return absl::StrCat("log entries ", begin, " to ", begin + ((uint64_t{1} << id.level) - 1));
}

// What the two walks cannot both say of one log; nullopt if they can. `a` is not the longer log.
std::optional<std::string> FindContradiction(const SignedWalk& a, const SignedWalk& b) {
  for (const auto& [id, value] : a.nodes) {
    const auto other = b.nodes.find(id);
    if (other != b.nodes.end() && other->second != value) {
      return absl::StrCat("two different contents of ", NameOf(id));
    }
  }
  // "Once a log entry is chosen to be distinguished, it will never stop being distinguished."
  for (const LogPosition position : a.found.positions) {
    if (b.Denies(position)) {
      return absl::StrCat("log entry ", position, " was distinguished among ", a.size,
                          " entries and no longer is among ", b.size);
    }
  }
  // Nor does an entry become distinguished after one to its right: that one would lie in its right
  // subtree, or the timestamps on which it depends are long fixed.
  if (a.found.positions.empty()) return std::nullopt;
  const LogPosition last = a.found.positions.back();
  for (const LogPosition position : b.found.positions) {
    if (position < last && a.Denies(position)) {
      return absl::StrCat("log entry ", position, " is distinguished among ", b.size,
                          " entries, but was not among ", a.size, " when entry ", last, " was");
    }
  }
  return std::nullopt;
}

}  // namespace

DistinguishedHead ToDistinguishedHead(const DistinguishedState& aware) {
  std::vector<Hash> roots;
  for (const DistinguishedEntry& entry : aware.entries) roots.push_back(entry.root());
  return Rightmost255(roots);
}

HeadComparison CompareDistinguishedHeads(const DistinguishedHead& a, const DistinguishedHead& b) {
  // Roots of one honest log are distinct and ordered, so whatever the lists share they share at one
  // offset, and there they agree wherever both have a root.
  const auto find = [](const DistinguishedHead& list, const Hash& root) {
    return std::find(list.heads.begin(), list.heads.end(), root) - list.heads.begin();
  };
  const auto a_size = std::ssize(a.heads), b_size = std::ssize(b.heads);
  std::optional<ptrdiff_t> offset;  // of b's roots, relative to a's
  for (ptrdiff_t i = 0; i < a_size && !offset.has_value(); ++i) {
    const ptrdiff_t j = find(b, a.heads[static_cast<size_t>(i)]);
    if (j < b_size) offset = j - i;
  }
  if (!offset.has_value()) return HeadComparison::kNothingInCommon;
  for (ptrdiff_t i = 0; i < a_size; ++i) {
    const ptrdiff_t j = find(b, a.heads[static_cast<size_t>(i)]);
    const bool both = i + *offset >= 0 && i + *offset < b_size;
    if (both ? j != i + *offset : j < b_size) return HeadComparison::kFork;
  }
  return HeadComparison::kConsistent;
}

RecentDefinition RecentOf(const SignedHeads& heads) {
  return {heads.recent_rightmost, heads.recent_max_age};
}

absl::StatusOr<CheckedHeads> CheckSignedHeads(const SignedHeads& heads) {
  constexpr char kMalformed[] = "malformed-heads";
  if (heads.magic != SignedHeads::kMagic) {
    return base::VerificationFailed(kMalformed, "these are no signed heads of a known format");
  }
  KT_RETURN_IF_ERROR(CheckIndependent(kMalformed, heads.request));
  KT_ASSIGN_OR_RETURN(const auto context,
                      ContextOf(kMalformed, heads.configuration, heads.recent_rightmost));
  KT_ASSIGN_OR_RETURN(const SignedWalk walk,
                      CheckWalk(*context, RecentOf(heads), heads.request, heads.response));
  return CheckedHeads{context->config(), walk.size, Rightmost255(walk.roots)};
}

absl::StatusOr<ForkEvidence> MakeForkEvidence(const SignedHeads& first, const SignedHeads& second) {
  if (first.configuration != second.configuration) {
    return absl::InvalidArgumentError("the heads are of two logs");
  }
  if (RecentOf(first) != RecentOf(second)) {
    return absl::InvalidArgumentError("the heads answer two definitions of a recent log entry");
  }
  ForkEvidence evidence;
  evidence.configuration = first.configuration;
  evidence.recent_rightmost = first.recent_rightmost;
  evidence.recent_max_age = first.recent_max_age;
  evidence.first_request = first.request;
  evidence.first_response = first.response;
  evidence.second_request = second.request;
  evidence.second_response = second.response;
  return evidence;
}

absl::StatusOr<ForkFinding> CheckForkEvidence(ByteView bytes) {
  constexpr char kMalformed[] = "malformed-evidence";
  const absl::StatusOr<ForkEvidence> evidence = codec::Decode<ForkEvidence>(bytes);
  if (!evidence.ok()) {
    return base::VerificationFailed(kMalformed, "the evidence cannot be decoded");
  }
  KT_ASSIGN_OR_RETURN(const auto context,
                      ContextOf(kMalformed, evidence->configuration, evidence->recent_rightmost));
  KT_RETURN_IF_ERROR(CheckIndependent(kMalformed, evidence->first_request));
  KT_RETURN_IF_ERROR(CheckIndependent(kMalformed, evidence->second_request));
  const RecentDefinition recent{evidence->recent_rightmost, evidence->recent_max_age};
  const absl::StatusOr<SignedWalk> first =
      CheckWalk(*context, recent, evidence->first_request, evidence->first_response);
  if (!first.ok()) return base::Annotate(first.status(), "first response");
  const absl::StatusOr<SignedWalk> second =
      CheckWalk(*context, recent, evidence->second_request, evidence->second_response);
  if (!second.ok()) return base::Annotate(second.status(), "second response");

  const bool ordered = first->size <= second->size;
  std::optional<std::string> contradiction =
      ordered ? FindContradiction(*first, *second) : FindContradiction(*second, *first);
  if (!contradiction.has_value()) {
    return base::VerificationFailed("no-contradiction",
                                    "both responses can be of one log that is honest");
  }
  ForkFinding finding;
  finding.config = context->config();
  finding.first_size = first->size;
  finding.second_size = second->size;
  finding.contradiction = *std::move(contradiction);
  return finding;
}

}  // namespace kt::core
