// SPDX-License-Identifier: Apache-2.0
//
// What every store checks of a batch, so that none of them keeps a log that contradicts itself.
#ifndef KT_SERVER_COMMIT_BATCH_H_
#define KT_SERVER_COMMIT_BATCH_H_

#include <span>

#include "absl/status/status.h"
#include "base/types.h"
#include "kt-server/store.h"

namespace kt::server {

// kInvalidArgument if a label, a VRF proof or the signature is longer than a row can hold. Aborts
// if the batch contradicts itself or `expected_tree_size`: rows beyond the new head, a head of
// the wrong size.
absl::Status CheckCommitBatch(const CommitBatch& batch, base::TreeSize expected_tree_size);

// Aborts if `batch`, made for the size of `current`, would give that size a second head.
void CheckSameHeadIfNoEntries(const CommitBatch& batch, const HeadRow& current);

// Aborts if an erasure is of an entry that `current` does not have: no value would be found.
void CheckErasures(std::span<const ErasureRow> erasures, const HeadRow& current);

// Aborts unless `current` may be pruned up to `horizon`.
void CheckHorizon(base::LogPosition horizon, const Snapshot& current);

}  // namespace kt::server
#endif  // KT_SERVER_COMMIT_BATCH_H_
