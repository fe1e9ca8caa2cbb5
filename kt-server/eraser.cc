// SPDX-License-Identifier: Apache-2.0
#include "kt-server/eraser.h"

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/status.h"
#include "kt-server/version_rows.h"

namespace kt::server {

// A function of its own, so that the snapshot, which shows the values, is gone when it returns.
absl::StatusOr<std::vector<ErasureRow>> Eraser::FindVersions(
    const smime::Address& address, std::optional<base::Version> version) const {
  // From the store, since users of an audited log may be shown an older state.
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot, store_.GetSnapshot());
  KT_ASSIGN_OR_RETURN(const LabelRows rows, ReadWholeLabel(*snapshot, address.label()));
  const uint64_t now_ms = clock_.NowMs();
  std::vector<ErasureRow> erasures;
  for (const auto& [number, row] : rows.rows) {
    if (!row.existing.has_value() || (version.has_value() && number != *version)) continue;
    erasures.push_back({.commitment = row.existing->commitment,
                        .vrf_output = row.vrf_output,
                        .version = number,
                        .position = row.existing->position,
                        .erased_at_ms = now_ms});
  }
  if (!erasures.empty()) return erasures;
  return absl::NotFoundError(version.has_value()
                                 ? absl::StrCat("the log has no version ", *version, " of it")
                                 : "the log has no such address");
}

absl::StatusOr<std::vector<ErasureRow>> Eraser::NotErasedBefore(
    const std::vector<ErasureRow>& erasures) const {
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot, store_.GetSnapshot());
  std::vector<ErasureRow> out;
  for (const ErasureRow& row : erasures) {
    KT_ASSIGN_OR_RETURN(const auto earlier, snapshot->ReadErasure(row.commitment));
    if (!earlier.has_value()) out.push_back(row);
  }
  return out;
}

absl::StatusOr<ErasureReport> Eraser::Erase(const std::string& text,
                                            std::optional<base::Version> version) {
  KT_ASSIGN_OR_RETURN(const smime::Address address, smime::ParseAddress(text));
  KT_ASSIGN_OR_RETURN(const std::vector<ErasureRow> erasures, FindVersions(address, version));
  ErasureReport report;
  report.versions = erasures.size();
  KT_ASSIGN_OR_RETURN(const std::vector<ErasureRow> fresh, NotErasedBefore(erasures));
  KT_ASSIGN_OR_RETURN(report.erased, store_.Erase(erasures));
  for (const ErasureRow& row : fresh) {
    events_.Info("value_erased", {{"vrf_output", base::ToHex(row.vrf_output.bytes)},
                                  {"version", row.version},
                                  {"position", row.position}});
  }
  report.reclaimed = ReclaimFiles();
  if (!report.reclaimed.ok()) {
    events_.Write(EventLog::Level::kWarn, "erasure_unfinished",
                  {{"values", store_.UnreclaimedErasures()},
                   {"error", std::string(report.reclaimed.message())}});
  }
  return report;
}

absl::Status Eraser::ReclaimFiles() {
  KT_RETURN_IF_ERROR(log_.Renew());
  return store_.Reclaim(cancelled_);
}

}  // namespace kt::server
