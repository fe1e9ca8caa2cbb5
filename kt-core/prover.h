// SPDX-License-Identifier: Apache-2.0
//
// The log's side of the operations: it runs the same algorithms as the user, over a source that
// records what was asked.
#ifndef KT_CORE_PROVER_H_
#define KT_CORE_PROVER_H_

#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kt-core/operations.h"
#include "kt-core/proof_source.h"
#include "merkle/log_tree.h"
#include "merkle/prefix_tree.h"

namespace kt::core {

// What a CombinedTreeProof consists of beside timestamps. All of it is known once the label's
// record is, so it can be read at once.
struct ProofQuery {
  std::span<const merkle::PrefixProofRequest> prefix;
  std::span<const LogPosition> roots;        // entries whose prefix tree roots are wanted
  std::span<const merkle::LogNodeId> nodes;  // of the log tree
};
struct ProofParts {  // each in the order of the query
  std::vector<PrefixProof> prefix;
  std::vector<Hash> roots;
  std::vector<Hash> nodes;
};

// An immutable view of the log, as its operator holds it. Thread-safe.
class LogView : public merkle::LogNodeReader {
 public:
  virtual TreeSize size() const = 0;

  // In milliseconds; `position` is less than size(). Called once an entry and proof, in a sequence
  // where each call may depend on the one before, so it should not cost a read from disk.
  virtual absl::StatusOr<uint64_t> Timestamp(LogPosition position) const = 0;

  // Prefix tree roots at `positions`, in one round.
  virtual absl::StatusOr<std::vector<Hash>> PrefixRoots(
      std::span<const LogPosition> positions) const = 0;

  // Prefix proofs for all `requests`, in one round.
  virtual absl::StatusOr<std::vector<PrefixProof>> ProvePrefix(
      std::span<const merkle::PrefixProofRequest> requests) const = 0;

  // Everything that a proof needs, in one round by a view that can; otherwise one after the other.
  virtual absl::StatusOr<ProofParts> ReadProof(const ProofQuery& query) const;
};

// What the log knows of one version of a label.
struct VersionRecord {
  base::VrfOutput output;
  Bytes vrf_proof;
  struct Existing {
    LogPosition position = 0;  // of the log entry that added it
    Hash commitment;
  };
  std::optional<Existing> existing;
};

// At least the versions that the operation's binary ladders look up.
using LabelRecord = std::map<Version, VersionRecord>;

// The signed head of a LogView.
struct SignedHead {
  TreeHead tree_head;
  std::optional<AuditorTreeHead> auditor_tree_head;  // thirdPartyAuditing
};

// Records a CombinedTreeProof: draft-ietf-keytrans-protocol, "Tree Proofs / Combined Tree".
// kResourceExhausted where one of its lists would be too long to be encoded, which an algorithm
// can come to in walks and in monitoring only.
class ProofRecorder : public ProofSource {
 public:
  // `last`: the tree size that the user advertised, at most log.size(). Borrows all.
  ProofRecorder(const LogView& log, std::optional<TreeSize> last, const LabelRecord& label);

  TreeSize size() const override { return log_.size(); }
  absl::StatusOr<uint64_t> Timestamp(LogPosition position) override;
  absl::Status BeginLookups(LogPosition position) override;
  absl::StatusOr<bool> Lookup(Version version) override;
  absl::Status EndLookups() override;

  // Reads everything that was asked for and composes the proof, which also gives the root at
  // `other_size` (the auditor's) if that is set.
  absl::StatusOr<CombinedTreeProof> Finish(std::optional<TreeSize> other_size);

 private:
  const LogView& log_;
  const std::optional<TreeSize> last_;
  const LabelRecord& label_;
  std::map<LogPosition, uint64_t> known_;  // timestamps asked for, retained ones among them
  std::set<LogPosition> retained_;
  std::vector<LogPosition> asked_;  // whose timestamps the proof carries, in order
  std::vector<merkle::PrefixProofRequest> requests_;
};

// Answers a SearchRequest, whose target version exists: for a greatest-version search `target` is
// the greatest version. `update` and `opening` are those of the target. kInvalidArgument if
// request.last is out of range, kNotFound and kOutOfRange as FixedVersionSearch, kInternal if
// `label` lacks a version that the search looks up.
absl::StatusOr<SearchResponse> ProveSearch(const Configuration& config, const LogView& log,
                                           const SignedHead& head, const SearchRequest& request,
                                           Version target, const LabelRecord& label,
                                           const Opening& opening, const UpdateValue& update);

// Answers a SearchRequest whose version (0 for a greatest-version search) does not exist; `label`
// holds just that version. docs/extensions.md, "Absence".
absl::StatusOr<AbsenceResponse> ProveAbsence(const LogView& log, const SignedHead& head,
                                             const SearchRequest& request,
                                             const LabelRecord& label);

}  // namespace kt::core
#endif  // KT_CORE_PROVER_H_
