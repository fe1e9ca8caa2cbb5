// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_VERSION_ROWS_H_
#define KT_SERVER_VERSION_ROWS_H_

#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/types.h"
#include "kt-core/prover.h"
#include "kt-server/store.h"
#include "kt-server/unsaved_proofs.h"
#include "vrf/vrf.h"

namespace kt::server {

// What the store knows of a label's versions.
struct LabelRows {
  std::map<base::Version, VersionRow> rows;
  std::optional<base::Version> greatest;  // the greatest version that exists
  // Of the versions beyond it, those without a row are known to have none: all (nullopt) or these.
  std::optional<std::vector<base::Version>> looked_for;
  size_t vrf_proofs_made = 0;  // by CompleteRows
};

// The greatest version of a label and the binary ladder of `target`, or (nullopt) of the greatest
// version, read in one range scan.
absl::StatusOr<LabelRows> ReadLabel(const Snapshot& snapshot, base::ByteView label,
                                    std::optional<base::Version> target = std::nullopt);

// All versions of a label, as many as it has had changes; or the greatest `limit` of its rows, if
// it has more and that is not 0.
absl::StatusOr<LabelRows> ReadWholeLabel(const Snapshot& snapshot, base::ByteView label,
                                         size_t limit = 0);

// Adds the rows of `versions` that `rows` lacks: from the store, and where that has none by
// evaluating the VRF. Versions that the store does not know do not exist. What was made for a label
// that exists is kept in `unsaved`.
absl::Status CompleteRows(const Snapshot& snapshot, const vrf::Prover& vrf, UnsavedProofs& unsaved,
                          base::ByteView label, std::span<const base::Version> versions,
                          LabelRows* rows);

// The value of a version and what opens the commitment to it: one row of the value table, so that
// one deletion takes both. The opening is random, so no two versions ever share a row.
struct OpenedValue {
  base::Opening opening{};
  core::UpdateValue value;
};
absl::StatusOr<base::Bytes> EncodeOpenedValue(const OpenedValue& opened,
                                              const core::WireContext& context);

// What whoever asks for a version's value is told that was erased: kPermissionDenied.
absl::Status ErasedStatus(const ErasureRow& erasure);

// Reads that of `version`, which exists. kPermissionDenied if it was erased, kDataLoss if what is
// stored is not what the version's commitment was made to.
absl::StatusOr<OpenedValue> ReadOpenedValue(const Snapshot& snapshot, const VersionRow& version,
                                            const core::Configuration& config);

// The same of a row that was read from the value table together with other things; nullopt if it is
// not there.
absl::StatusOr<OpenedValue> DecodeOpenedValue(const Snapshot& snapshot, const VersionRow& version,
                                              const core::Configuration& config,
                                              const std::optional<base::Bytes>& row);

// Whether `version` can never be found again, and its value may have been pruned: its successor
// was added before the horizon. The successor's row must be among `rows` if it exists; the binary
// ladder of `version` contains it.
bool HasExpired(const LabelRows& rows, base::Version version, base::LogPosition horizon);

// The rows as the prover wants them.
core::LabelRecord RecordOf(const LabelRows& rows);

// A label-version whose VRF proof is needed.
struct LabelVersion {
  base::Bytes label;
  base::Version version = 0;
  auto operator<=>(const LabelVersion&) const = default;
};

// Proofs for all of `inputs`, in their order, on as many threads as the machine has processors.
// kInvalidArgument if a label is too long.
absl::StatusOr<std::vector<vrf::ProvenOutput>> ProveVrf(const vrf::Prover& vrf,
                                                        std::span<const LabelVersion> inputs);

}  // namespace kt::server
#endif  // KT_SERVER_VERSION_ROWS_H_
