// SPDX-License-Identifier: Apache-2.0
#include "kt-server/rocksdb_prune.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-server/retention.h"
#include "kt-server/rocksdb_snapshot.h"
#include "kt-server/rocksdb_status.h"

namespace kt::server {
namespace {

// Marks come after all rows.
bool IsAtRow(const rocksdb::Iterator& it) {
  return it.Valid() && it.key().compare(AsSlice(RowsEnd())) < 0;
}

}  // namespace

std::unique_ptr<rocksdb::Iterator> PrunePass::Iterate(Table table) const {
  rocksdb::ReadOptions options;
  // One pass over a whole table would push everything else out of the cache.
  options.fill_cache = false;
  options.verify_checksums = true;
  return std::unique_ptr<rocksdb::Iterator>(
      database_.db().NewIterator(options, database_.table(table)));
}

void PrunePass::Delete(Table table, base::ByteView key, rocksdb::WriteBatch* batch) {
  KT_CHECK(batch->Delete(database_.table(table), AsSlice(key)).ok());
  ++found_[static_cast<size_t>(table)];
}

void PrunePass::DeleteRange(Table table, base::ByteView begin, base::ByteView end, uint64_t rows,
                            rocksdb::WriteBatch* batch) {
  if (rows == 0) return;
  KT_CHECK(batch->DeleteRange(database_.table(table), AsSlice(begin), AsSlice(end)).ok());
  found_[static_cast<size_t>(table)] += rows;
}

absl::Status PrunePass::Next(size_t max_rows, rocksdb::WriteBatch* batch) {
  KT_CHECK(max_rows > 0);
  found_ = {};
  switch (phase_) {
    case Phase::kLog:
      DeleteLog(batch);
      phase_ = Phase::kBands;
      cursor_ = BandDepthRange(0).begin;
      return absl::OkStatus();
    case Phase::kBands:
      return NextBands(max_rows, batch);
    case Phase::kVersions:
      return NextVersions(max_rows, batch);
    case Phase::kDone:
      break;
  }
  return absl::OkStatus();
}

void PrunePass::DeleteLog(rocksdb::WriteBatch* batch) {
  if (pruned_.horizon == pruned_.completed) return;
  DeleteEntries(batch);
  DeleteLogNodes(batch);
  // An update tells what changed from the tree before, so the entry at the horizon has none either.
  DeleteRange(Table::kChanged, EntryKey(pruned_.completed), EntryKey(pruned_.horizon + 1),
              pruned_.horizon + 1 - pruned_.completed, batch);
}

void PrunePass::DeleteEntries(rocksdb::WriteBatch* batch) {
  for (const base::LogPosition position : KeptEntries(pruned_.completed)) {
    if (!KeepsEntry(pruned_.horizon, position)) Delete(Table::kEntry, EntryKey(position), batch);
  }
  // What is kept splits the rest into a few ranges.
  base::LogPosition begin = pruned_.completed;
  std::vector<base::LogPosition> ends = KeptEntries(pruned_.horizon);
  ends.push_back(pruned_.horizon);
  for (const base::LogPosition end : ends) {
    if (end < begin) continue;
    DeleteRange(Table::kEntry, EntryKey(begin), EntryKey(end), end - begin, batch);
    begin = end + 1;
  }
}

void PrunePass::DeleteLogNodes(rocksdb::WriteBatch* batch) {
  for (const merkle::LogNodeId& id : KeptLogNodes(pruned_.completed)) {
    if (!KeepsLogNode(pruned_.horizon, id)) Delete(Table::kLog, LogNodeKey(id), batch);
  }
  std::map<uint8_t, std::vector<uint64_t>> kept;
  for (const merkle::LogNodeId& id : KeptLogNodes(pruned_.horizon)) {
    kept[id.level].push_back(id.index);
  }
  for (uint8_t level = 0; level < 64 && pruned_.horizon >> level > 0; ++level) {
    std::vector<uint64_t>& ends = kept[level];
    std::sort(ends.begin(), ends.end());
    ends.push_back(pruned_.horizon >> level);
    uint64_t begin = pruned_.completed >> level;
    for (const uint64_t end : ends) {
      if (end < begin) continue;
      DeleteRange(Table::kLog, LogNodeKey({level, begin}), LogNodeKey({level, end}), end - begin,
                  batch);
      begin = end + 1;
    }
  }
}

// Of each tile, rows older than the newest snapshot at or before the horizon.
absl::Status PrunePass::NextBands(size_t max_rows, rocksdb::WriteBatch* batch) {
  const std::unique_ptr<rocksdb::Iterator> it = Iterate(Table::kBand);
  const uint64_t& deleted = found_[static_cast<size_t>(Table::kBand)];
  size_t looked_at = 0;
  it->Seek(AsSlice(cursor_));
  while (IsAtRow(*it) && looked_at < max_rows) {
    KT_ASSIGN_OR_RETURN(const merkle::BandRow tile,
                        DecodeBand(AsView(it->key()), AsView(it->value())));
    const KeyRange range = BandRange({.id = tile.id, .position = pruned_.horizon});
    bool complete = false;  // what is newer gives the tile as of the horizon
    it->Seek(AsSlice(range.begin));
    for (; it->Valid() && range.Contains(AsView(it->key())); it->Next()) {
      // The tile begins again in the next step, which finds deleted what this one has.
      if (deleted >= max_rows) return absl::OkStatus();
      ++looked_at;
      if (complete) {
        Delete(Table::kBand, AsView(it->key()), batch);
        continue;
      }
      KT_ASSIGN_OR_RETURN(const merkle::BandRow row,
                          DecodeBand(AsView(it->key()), AsView(it->value())));
      complete = row.is_snapshot;
    }
    ++looked_at;
    cursor_ = range.end;
  }
  KT_RETURN_IF_ERROR(FromRocksDb(it->status(), "table band"));
  if (IsAtRow(*it)) return absl::OkStatus();
  phase_ = Phase::kVersions;
  cursor_ = VersionRange({}).begin;
  return absl::OkStatus();
}

// Values of versions whose successors were added before the horizon.
absl::Status PrunePass::NextVersions(size_t max_rows, rocksdb::WriteBatch* batch) {
  const std::unique_ptr<rocksdb::Iterator> it = Iterate(Table::kVersion);
  const rocksdb::ReadOptions options;
  LeafFinder leaves(database_, options);
  std::optional<StoredVersion> before;
  size_t looked_at = 0;
  for (it->Seek(AsSlice(cursor_)); IsAtRow(*it); it->Next()) {
    KT_ASSIGN_OR_RETURN(StoredVersion next, DecodeVersion(AsView(it->key()), AsView(it->value())));
    const VersionRow& row = next.row;
    const bool follows = before.has_value() && before->row.label == row.label &&
                         before->row.version + 1 == row.version && before->row.existing.has_value();
    if (follows && row.existing.has_value() && row.existing->position < pruned_.horizon &&
        row.existing->position >= pruned_.completed) {
      KT_RETURN_IF_ERROR(leaves.Complete(&*before));
      Delete(Table::kValue, ValueRowKey(before->row.existing->value_key()), batch);
    }
    before = std::move(next);
    // The row at which this ends is the next one's predecessor.
    cursor_ = base::ToBytes(AsView(it->key()));
    if (++looked_at > max_rows) return absl::OkStatus();
  }
  KT_RETURN_IF_ERROR(FromRocksDb(it->status(), "table version"));
  phase_ = Phase::kDone;
  return absl::OkStatus();
}

}  // namespace kt::server
