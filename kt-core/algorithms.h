// SPDX-License-Identifier: Apache-2.0
//
// The draft's algorithms over a ProofSource, one implementation for provers and verifiers. Statuses
// that come from the source are passed on. What a proof shows to be wrong is a verification
// failure; a prover runs into it only when its own data is inconsistent.
#ifndef KT_CORE_ALGORITHMS_H_
#define KT_CORE_ALGORITHMS_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "kt-core/configuration.h"
#include "kt-core/proof_source.h"

namespace kt::core {

// "Updating Views of the Tree / Algorithm": asks for the timestamps that bring a user who has seen
// the first `last` entries (nullopt: none) up to the source's size. last <= size.
absl::Status UpdateView(ProofSource& source, std::optional<base::TreeSize> last);

// "Reasonable Monitoring Window": whether an entry whose bounding timestamps are `left_ms` and
// `right_ms` is distinguished, given that its parent is (or that it is the root).
bool IsDistinguished(uint64_t left_ms, uint64_t right_ms, const Configuration& config);

// The rightmost distinguished entry, which always lies on the frontier; nullopt if there is none.
absl::StatusOr<std::optional<base::LogPosition>> RightmostDistinguished(
    ProofSource& source, const Configuration& config);

// What a search binary ladder says of the greatest version in one entry, relative to the target.
enum class LadderOutcome { kLess, kEqual, kGreater };

// "Search Binary Ladder": runs the ladder for `target` at `position`, without the lookups that
// `memory` makes redundant, and remembers the others there. The series of lookups is one
// PrefixProof, even if all of them are redundant.
absl::StatusOr<LadderOutcome> SearchLadder(ProofSource& source, base::LogPosition position,
                                           base::Version target, LookupMemory& memory);

struct SearchOutcome {
  base::LogPosition terminal = 0;  // the search's terminal log entry
  // The terminal entry is to the right of every distinguished one: in Contact Monitoring mode the
  // user then must monitor the label ("Monitoring the Tree").
  bool right_of_distinguished = false;
};

// "Greatest-Version Search / Algorithm", after UpdateView. `target` is the claimed greatest
// version.
absl::StatusOr<SearchOutcome> GreatestVersionSearch(ProofSource& source, base::Version target,
                                                    const Configuration& config);

// "Fixed-Version Search / Algorithm", after UpdateView. kNotFound if the proof shows that the
// version does not exist, kOutOfRange if it is expired; a verifier turns both into failures unless
// that is what the log claimed.
absl::StatusOr<SearchOutcome> FixedVersionSearch(ProofSource& source, base::Version target,
                                                 const Configuration& config);

// docs/extensions.md, "Absence", after UpdateView: one lookup of `version` in the rightmost entry,
// which must show non-inclusion.
absl::Status AbsenceCheck(ProofSource& source, base::Version version);

}  // namespace kt::core
#endif  // KT_CORE_ALGORITHMS_H_
