// SPDX-License-Identifier: Apache-2.0
//
// Both roots of a change to the prefix tree, out of one proof from the tree before it:
// draft-ietf-keytrans-protocol, "Third Parties / Auditing", steps 6 and 7.
#ifndef MERKLE_PREFIX_UPDATE_H_
#define MERKLE_PREFIX_UPDATE_H_

#include <span>

#include "absl/status/statusor.h"
#include "base/types.h"
#include "merkle/prefix_proof.h"

namespace kt::merkle {

// What becomes of one key. Borrows everything.
struct PrefixChange {
  const base::VrfOutput* key = nullptr;
  const PrefixSearchResult* result = nullptr;  // of the search for `key` in the tree before
  const base::Hash* before = nullptr;          // its commitment there; null if it is absent
  const base::Hash* after = nullptr;           // its commitment from now on; null if it goes
};

struct PrefixRoots {
  base::Hash before;
  base::Hash after;
};

// The roots before and after `changes`, which stand in ascending order of distinct keys, from the
// `elements` of a PrefixProof with their results. The checks are those of EvaluatePrefixProof: a
// verification failure "prefix-proof" if the proof's shape is not that of a canonical tree, or if a
// result is an inclusion although `before` is null, or the reverse.
//
// A verification failure "prefix-update" if the elements do not determine the tree after: a place
// becomes empty beside an element of which nobody can tell whether it is a lone leaf, which would
// move up, or a parent, which stays; or two leaves would stand at depth 256. Additions alone always
// determine it.
//
// Iterative; two hashes for each node on a changed path.
absl::StatusOr<PrefixRoots> EvaluatePrefixUpdate(std::span<const base::Hash> elements,
                                                 std::span<const PrefixChange> changes);

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_UPDATE_H_
