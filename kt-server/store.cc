// SPDX-License-Identifier: Apache-2.0
#include "kt-server/store.h"

#include "base/status.h"

namespace kt::server {

absl::StatusOr<std::vector<VersionRow>> Snapshot::ReadWanted(base::ByteView label, size_t limit,
                                                             const Wanted& wanted) const {
  KT_ASSIGN_OR_RETURN(std::vector<VersionRow> rows, ReadVersions(label, limit));
  std::optional<base::Version> greatest;
  for (const VersionRow& row : rows) {
    if (row.existing.has_value()) greatest = row.version;
  }
  if (!greatest.has_value()) return rows;
  std::erase_if(rows, [&](const VersionRow& row) {
    return row.version != *greatest && !wanted(row.version, *greatest);
  });
  return rows;
}

absl::Status Snapshot::ScanLabels(
    const std::function<absl::Status(base::ByteView label)>& /*visit*/) const {
  return absl::UnimplementedError("this store does not list its labels");
}

absl::StatusOr<ProofRows> Snapshot::ReadProof(const ProofReads& reads) const {
  ProofRows out;
  if (!reads.buckets.empty() || !reads.bands.empty()) {
    KT_RETURN_IF_ERROR(Read(reads.buckets, reads.bands, &out.leaves, &out.bands));
  }
  if (!reads.entries.empty()) {
    KT_ASSIGN_OR_RETURN(out.entries, ReadEntries(reads.entries));
  }
  if (!reads.nodes.empty()) {
    KT_ASSIGN_OR_RETURN(out.nodes, ReadLogNodes(reads.nodes));
  }
  for (const ValueKey& key : reads.values) {
    absl::StatusOr<base::Bytes> value = ReadValue(key);
    if (!value.ok() && !absl::IsNotFound(value.status())) return value.status();
    out.values.emplace_back();
    if (value.ok()) out.values.back() = *std::move(value);
  }
  return out;
}

}  // namespace kt::server
