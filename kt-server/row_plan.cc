// SPDX-License-Identifier: Apache-2.0
#include "kt-server/row_plan.h"

#include <optional>

#include "base/status.h"
#include "kt-server/version_rows.h"

namespace kt::server {
namespace {

absl::StatusOr<std::optional<VersionRow>> ReadRow(const Snapshot& snapshot, base::ByteView label,
                                                  base::Version version) {
  KT_ASSIGN_OR_RETURN(auto rows, snapshot.ReadVersionRows(label, {&version, 1}));
  return std::move(rows.front());
}

}  // namespace

absl::Status RowPlan::Add(const Snapshot& snapshot, base::ByteView label, base::Version version) {
  const auto [entry, is_new] = index_.try_emplace({base::AsText(label), version}, rows_.size());
  if (!is_new) return absl::OkStatus();
  std::optional<VersionRow> stored;
  if (version > 0) {  // before version 0 a label has no rows
    KT_ASSIGN_OR_RETURN(stored, ReadRow(snapshot, label, version));
  }
  if (stored.has_value()) {
    rows_.push_back(*std::move(stored));
  } else {
    unproven_.push_back(rows_.size());
    rows_.push_back({base::ToBytes(label), version, {}, {}, std::nullopt});
  }
  return absl::OkStatus();
}

absl::Status RowPlan::Prove(const vrf::Prover& vrf) {
  std::vector<LabelVersion> inputs;
  inputs.reserve(unproven_.size());
  for (const size_t i : unproven_) inputs.push_back({rows_[i].label, rows_[i].version});
  KT_ASSIGN_OR_RETURN(std::vector<vrf::ProvenOutput> proven, ProveVrf(vrf, inputs));
  for (size_t i = 0; i < proven.size(); ++i) {
    rows_[unproven_[i]].vrf_output = proven[i].output;
    rows_[unproven_[i]].vrf_proof = std::move(proven[i].proof);
  }
  return absl::OkStatus();
}

absl::Status RowPlan::AddUnsaved(const Snapshot& snapshot, std::vector<VersionRow> unsaved) {
  for (VersionRow& row : unsaved) {
    if (index_.contains({base::AsText(row.label), row.version})) continue;
    KT_ASSIGN_OR_RETURN(const auto stored, ReadRow(snapshot, row.label, row.version));
    if (!stored.has_value()) rows_.push_back(std::move(row));
  }
  return absl::OkStatus();
}

VersionRow& RowPlan::RowOf(base::ByteView label, base::Version version) {
  return rows_[index_.at({base::AsText(label), version})];
}

}  // namespace kt::server
