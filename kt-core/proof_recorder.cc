// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/prover.h"

namespace kt::core {
namespace {

// CombinedTreeProof.timestamps and .prefix_proofs. It is refused as soon as it is known that they
// would hold more, before anything is read for a proof that cannot be sent.
constexpr size_t kMaxListed = std::numeric_limits<uint8_t>::max();

absl::Status DoesNotFit(const char* what) {
  return absl::ResourceExhaustedError(
      absl::StrCat("the proof would have more than ", kMaxListed, " ", what));
}

}  // namespace

absl::StatusOr<ProofParts> LogView::ReadProof(const ProofQuery& query) const {
  ProofParts parts;
  KT_ASSIGN_OR_RETURN(parts.prefix, ProvePrefix(query.prefix));
  KT_ASSIGN_OR_RETURN(parts.roots, PrefixRoots(query.roots));
  KT_ASSIGN_OR_RETURN(parts.nodes, ReadLogNodes(query.nodes));
  return parts;
}

ProofRecorder::ProofRecorder(const LogView& log, std::optional<TreeSize> last,
                             const LabelRecord& label)
    : log_(log), last_(last), label_(label) {
  KT_CHECK(!last.has_value() || (*last >= 1 && *last <= log.size()));
  if (!last.has_value()) return;
  for (const LogPosition position : Frontier(*last)) retained_.insert(position);
}

absl::StatusOr<uint64_t> ProofRecorder::Timestamp(LogPosition position) {
  const auto known = known_.find(position);
  if (known != known_.end()) return known->second;
  KT_ASSIGN_OR_RETURN(const uint64_t timestamp_ms, log_.Timestamp(position));
  known_[position] = timestamp_ms;
  if (retained_.contains(position)) return timestamp_ms;
  if (asked_.size() == kMaxListed) return DoesNotFit("timestamps");
  asked_.push_back(position);
  return timestamp_ms;
}

absl::Status ProofRecorder::BeginLookups(LogPosition position) {
  if (requests_.size() == kMaxListed) return DoesNotFit("prefix proofs");
  requests_.push_back({position, {}});
  return absl::OkStatus();
}

absl::StatusOr<bool> ProofRecorder::Lookup(Version version) {
  const auto record = label_.find(version);
  if (record == label_.end()) {
    return absl::InternalError(absl::StrCat("the label's record lacks version ", version));
  }
  merkle::PrefixProofRequest& request = requests_.back();
  request.keys.push_back(record->second.output);
  return record->second.existing.has_value() &&
         record->second.existing->position <= request.position;
}

absl::Status ProofRecorder::EndLookups() { return absl::OkStatus(); }

absl::StatusOr<CombinedTreeProof> ProofRecorder::Finish(std::optional<TreeSize> other_size) {
  CombinedTreeProof proof;
  for (const LogPosition position : asked_) proof.timestamps.push_back(known_.at(position));

  merkle::LogProofShape shape;
  shape.size = log_.size();
  shape.retained = last_;
  shape.other_size = other_size;
  shape.leaves = asked_;
  std::sort(shape.leaves.begin(), shape.leaves.end());
  std::set<LogPosition> searched;
  for (const merkle::PrefixProofRequest& request : requests_) searched.insert(request.position);
  std::vector<LogPosition> without_root;
  for (const LogPosition position : shape.leaves) {
    if (!searched.contains(position)) without_root.push_back(position);
  }
  const std::vector<merkle::LogNodeId> nodes = merkle::RequiredNodes(shape);
  KT_ASSIGN_OR_RETURN(ProofParts parts, log_.ReadProof({requests_, without_root, nodes}));
  proof.prefix_proofs = std::move(parts.prefix);
  proof.prefix_roots = std::move(parts.roots);
  proof.inclusion.elements = std::move(parts.nodes);
  return proof;
}

}  // namespace kt::core
