// SPDX-License-Identifier: Apache-2.0
//
// What the algorithms ask. The prover's source reads the log and records what was asked, the
// verifier's consumes a received proof, and the tests' answers from a table; so that all of them
// run the very same algorithms. draft-ietf-keytrans-protocol, appendix "CombinedTreeProof
// Implementation".
#ifndef KT_CORE_PROOF_SOURCE_H_
#define KT_CORE_PROOF_SOURCE_H_

#include <map>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"

namespace kt::core {

// Answers the algorithms' questions about one log and one label. Not thread-safe.
class ProofSource {
 public:
  virtual ~ProofSource() = default;

  // The number of log entries that the algorithms work on; at least 1.
  virtual base::TreeSize size() const = 0;

  // The timestamp of an entry, in milliseconds. Asking again gives the same answer and costs
  // nothing.
  virtual absl::StatusOr<uint64_t> Timestamp(base::LogPosition position) = 0;

  // A series of lookups from one entry's prefix tree, which is one PrefixProof on the wire:
  // Begin, Lookup once a version, End. Lookup tells whether the version is included.
  // The entry's timestamp has been asked for before.
  virtual absl::Status BeginLookups(base::LogPosition position) = 0;
  virtual absl::StatusOr<bool> Lookup(base::Version version) = 0;
  virtual absl::Status EndLookups() = 0;
};

// Which lookups of the label were shown so far in one response, to know which later ones are
// redundant. "Search Binary Ladder", second optimization.
class LookupMemory {
 public:
  void Remember(base::LogPosition position, base::Version version, bool included);

  // The outcome of a lookup that need not be repeated: an inclusion shown further left, or a
  // non-inclusion shown further right. nullopt if it has to be looked up.
  std::optional<bool> Known(base::LogPosition position, base::Version version) const;

 private:
  std::map<base::Version, base::LogPosition> leftmost_inclusion_;
  std::map<base::Version, base::LogPosition> rightmost_non_inclusion_;
};

}  // namespace kt::core
#endif  // KT_CORE_PROOF_SOURCE_H_
