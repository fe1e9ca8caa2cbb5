// SPDX-License-Identifier: Apache-2.0
#include "kt-server/version_rows.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/parallel.h"
#include "base/status.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/commitment_value.h"

namespace kt::server {
namespace {

// Beyond the greatest version there are at most 33 rows of versions that do not exist yet (the ones
// of its binary ladder), so this many rows always contain it, and mostly its whole ladder too.
constexpr size_t kRowsPerScan = 64;

LabelRows RowsOf(std::vector<VersionRow> found) {
  LabelRows label_rows;
  for (VersionRow& row : found) {
    if (row.existing.has_value()) label_rows.greatest = row.version;
    const base::Version version = row.version;
    label_rows.rows.emplace(version, std::move(row));
  }
  return label_rows;
}

// Whether it is known of a version that is not among `rows` that the store has none of it.
bool HasNoRow(base::Version version, const LabelRows& rows) {
  if (!rows.greatest.has_value()) return true;
  if (version <= *rows.greatest) return false;
  if (!rows.looked_for.has_value()) return true;
  return std::find(rows.looked_for->begin(), rows.looked_for->end(), version) !=
         rows.looked_for->end();
}

// Whether a search for the greatest version shows that `version` does not exist. Any other version
// a peer can choose at will, so that it could have any number of rows stored.
bool IsInLadder(base::Version version, std::optional<base::Version> greatest) {
  if (!greatest.has_value() || version <= *greatest) return false;
  const std::vector<base::Version> ladder = core::BaseBinaryLadder(*greatest);
  return std::find(ladder.begin(), ladder.end(), version) != ladder.end();
}

}  // namespace

absl::StatusOr<LabelRows> ReadLabel(const Snapshot& snapshot, base::ByteView label,
                                    std::optional<base::Version> target) {
  std::vector<base::Version> ladder;
  const auto find_ladder = [&](base::Version greatest) {
    // What is beyond the greatest version is not looked for, and its ladder may be long.
    if (ladder.empty()) {
      ladder = core::BaseBinaryLadder(std::min(target.value_or(greatest), greatest));
    }
  };
  const auto in_ladder = [&](base::Version version, base::Version greatest) {
    find_ladder(greatest);
    return std::find(ladder.begin(), ladder.end(), version) != ladder.end();
  };
  KT_ASSIGN_OR_RETURN(std::vector<VersionRow> found,
                      snapshot.ReadWanted(label, kRowsPerScan, in_ladder));
  LabelRows rows = RowsOf(std::move(found));
  if (rows.greatest.has_value()) find_ladder(*rows.greatest);
  rows.looked_for = std::move(ladder);
  return rows;
}

absl::StatusOr<LabelRows> ReadWholeLabel(const Snapshot& snapshot, base::ByteView label,
                                         size_t limit) {
  KT_ASSIGN_OR_RETURN(std::vector<VersionRow> found, snapshot.ReadVersions(label, limit));
  return RowsOf(std::move(found));
}

absl::Status CompleteRows(const Snapshot& snapshot, const vrf::Prover& vrf, UnsavedProofs& unsaved,
                          base::ByteView label, std::span<const base::Version> versions,
                          LabelRows* rows) {
  std::vector<base::Version> missing;
  for (const base::Version version : versions) {
    if (rows->rows.contains(version)) continue;
    // Only beyond the greatest version can a row be unsaved; what is there may be older than it.
    std::optional<VersionRow> kept;
    if (rows->greatest.has_value() && version > *rows->greatest) {
      kept = unsaved.Find(label, version);
    }
    if (kept.has_value()) {
      rows->rows.emplace(version, *std::move(kept));
    } else {
      missing.push_back(version);
    }
  }
  if (missing.empty()) return absl::OkStatus();
  std::vector<LabelVersion> unknown;
  std::vector<base::Version> to_read;
  for (const base::Version version : missing) {
    if (HasNoRow(version, *rows)) {
      unknown.push_back({base::ToBytes(label), version});
    } else {
      to_read.push_back(version);
    }
  }
  if (!to_read.empty()) {
    KT_ASSIGN_OR_RETURN(auto found, snapshot.ReadVersionRows(label, to_read));
    for (size_t i = 0; i < to_read.size(); ++i) {
      if (found[i].has_value()) {
        rows->rows.emplace(to_read[i], *std::move(found[i]));
      } else {
        unknown.push_back({base::ToBytes(label), to_read[i]});
      }
    }
  }
  std::vector<base::Bytes> alphas;
  for (const LabelVersion& input : unknown) {
    KT_ASSIGN_OR_RETURN(base::Bytes alpha, core::EncodeVrfInput(input.label, input.version));
    alphas.push_back(std::move(alpha));
  }
  std::vector<vrf::ProvenOutput> proven = vrf.Prove(alphas);
  for (size_t i = 0; i < unknown.size(); ++i) {
    VersionRow row{std::move(unknown[i].label), unknown[i].version, proven[i].output,
                   std::move(proven[i].proof), std::nullopt};
    if (IsInLadder(row.version, rows->greatest)) unsaved.Add(row);
    rows->rows.emplace(row.version, std::move(row));
  }
  rows->vrf_proofs_made += unknown.size();
  return absl::OkStatus();
}

absl::StatusOr<base::Bytes> EncodeOpenedValue(const OpenedValue& opened,
                                              const core::WireContext& context) {
  KT_ASSIGN_OR_RETURN(const base::Bytes value, core::codec::TryEncode(opened.value, context));
  base::Bytes row = base::ToBytes(opened.opening);
  base::Append(row, value);
  return row;
}

absl::Status ErasedStatus(const ErasureRow& erasure) {
  return absl::PermissionDeniedError(
      absl::StrCat("the log's operator has erased version ", erasure.version));
}

absl::StatusOr<OpenedValue> ReadOpenedValue(const Snapshot& snapshot, const VersionRow& version,
                                            const core::Configuration& config) {
  absl::StatusOr<base::Bytes> row = snapshot.ReadValue(version.existing->value_key());
  if (absl::IsNotFound(row.status())) {
    return DecodeOpenedValue(snapshot, version, config, std::nullopt);
  }
  KT_RETURN_IF_ERROR(row.status());
  return DecodeOpenedValue(snapshot, version, config, *std::move(row));
}

absl::StatusOr<OpenedValue> DecodeOpenedValue(const Snapshot& snapshot, const VersionRow& version,
                                              const core::Configuration& config,
                                              const std::optional<base::Bytes>& row) {
  const base::Hash& commitment = version.existing->commitment;
  if (!row.has_value()) {
    KT_ASSIGN_OR_RETURN(const std::optional<ErasureRow> erasure, snapshot.ReadErasure(commitment));
    if (!erasure.has_value()) {
      return absl::DataLossError("a version's value is missing in the database");
    }
    return ErasedStatus(*erasure);
  }
  OpenedValue opened;
  if (row->size() >= opened.opening.size()) {
    std::copy_n(row->begin(), opened.opening.size(), opened.opening.begin());
    absl::StatusOr<core::UpdateValue> value = core::codec::Decode<core::UpdateValue>(
        base::ByteView(*row).subspan(opened.opening.size()), core::WireContext::For(config));
    if (value.ok()) {
      opened.value = *std::move(value);
      const absl::StatusOr<base::Hash> opens =
          core::CommitTo(config, opened.opening, version.label, version.version, opened.value);
      if (opens.ok() && *opens == commitment) return opened;
    }
  }
  return absl::DataLossError("a version's value in the database is damaged");
}

bool HasExpired(const LabelRows& rows, base::Version version, base::LogPosition horizon) {
  if (!rows.greatest.has_value() || version >= *rows.greatest) return false;
  const auto successor = rows.rows.find(version + 1);
  return successor != rows.rows.end() && successor->second.existing.has_value() &&
         successor->second.existing->position < horizon;
}

core::LabelRecord RecordOf(const LabelRows& rows) {
  core::LabelRecord record;
  for (const auto& [version, row] : rows.rows) {
    core::VersionRecord& out = record[version];
    out.output = row.vrf_output;
    out.vrf_proof = row.vrf_proof;
    if (row.existing.has_value()) {
      out.existing = {row.existing->position, row.existing->commitment};
    }
  }
  return record;
}

absl::StatusOr<std::vector<vrf::ProvenOutput>> ProveVrf(const vrf::Prover& vrf,
                                                        std::span<const LabelVersion> inputs) {
  std::vector<base::Bytes> alphas;
  alphas.reserve(inputs.size());
  for (const LabelVersion& input : inputs) {
    KT_ASSIGN_OR_RETURN(base::Bytes alpha, core::EncodeVrfInput(input.label, input.version));
    alphas.push_back(std::move(alpha));
  }
  constexpr size_t kMinPerThread = 32;
  std::vector<std::vector<vrf::ProvenOutput>> parts(base::PartCount(alphas.size(), kMinPerThread));
  const std::span<const base::Bytes> all(alphas);
  const auto prove = [&](size_t part, size_t begin, size_t end) {
    parts[part] = vrf.Prove(all.subspan(begin, end - begin));
    return absl::OkStatus();
  };
  KT_RETURN_IF_ERROR(base::RunInParts(parts.size(), alphas.size(), prove));
  std::vector<vrf::ProvenOutput> results;
  results.reserve(alphas.size());
  for (auto& part : parts) {
    std::move(part.begin(), part.end(), std::back_inserter(results));
  }
  return results;
}

}  // namespace kt::server
