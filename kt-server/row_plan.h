// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_ROW_PLAN_H_
#define KT_SERVER_ROW_PLAN_H_

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/types.h"
#include "kt-server/store.h"
#include "vrf/vrf.h"

namespace kt::server {

// The version rows that a commit writes, of all its entries, whose labels it borrows.
class RowPlan {
 public:
  RowPlan() = default;
  RowPlan(RowPlan&&) = default;
  RowPlan& operator=(RowPlan&&) = default;

  // Plans the row of a version that becomes existing, with the VRF proof that is stored if a search
  // has asked for it before.
  absl::Status Add(const Snapshot& snapshot, base::ByteView label, base::Version version);

  // Makes the VRF proofs that are missing, on all processors if they are many. kInvalidArgument if
  // a label is too long.
  absl::Status Prove(const vrf::Prover& vrf);

  // Stores proofs that searches have made, unless their versions came to exist since. The rows of
  // versions move.
  absl::Status AddUnsaved(const Snapshot& snapshot, std::vector<VersionRow> unsaved);

  // The row of a version that was added.
  VersionRow& RowOf(base::ByteView label, base::Version version);

  std::vector<VersionRow> TakeRows() { return std::move(rows_); }

 private:
  using Key = std::pair<std::string_view, base::Version>;

  std::vector<VersionRow> rows_;
  absl::flat_hash_map<Key, size_t> index_;  // of rows_
  std::vector<size_t> unproven_;            // of rows_
};

}  // namespace kt::server
#endif  // KT_SERVER_ROW_PLAN_H_
