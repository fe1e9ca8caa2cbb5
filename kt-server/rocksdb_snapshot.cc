// SPDX-License-Identifier: Apache-2.0
#include "kt-server/rocksdb_snapshot.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-server/rocksdb_status.h"

namespace kt::server {
namespace {

std::string Context(Table table) { return absl::StrCat("table ", TableName(table)); }

// Reads ranges of one table, one after another through one iterator, since making one costs about
// as much as a seek.
class RangeReader {
 public:
  RangeReader(const RocksDatabase& database, Table table, const rocksdb::ReadOptions& options)
      : table_(table) {
    rocksdb::ReadOptions bounded = options;
    bounded.iterate_upper_bound = &end_;  // may change between seeks
    it_.reset(database.db().NewIterator(bounded, database.table(table)));
  }
  RangeReader(const RangeReader&) = delete;
  RangeReader& operator=(const RangeReader&) = delete;

  // Calls `visit(key, value)`, which returns StatusOr<bool>, in the order of keys, until it returns
  // false or fails.
  template <typename Visit>
  absl::Status Scan(const KeyRange& range, Visit visit) {
    end_ = AsSlice(range.end);
    it_->Seek(AsSlice(range.begin));
    return VisitFromHere(range, visit);
  }

  // The same for a range with the same end as the one before, and a later beginning. Where that is
  // only a few rows on, going there is cheaper than a seek, which searches every level of the
  // table.
  template <typename Visit>
  absl::Status ScanOn(const KeyRange& range, Visit visit) {
    constexpr int kMaxSteps = 16;
    end_ = AsSlice(range.end);
    for (int step = 0; it_->Valid() && it_->key().compare(AsSlice(range.begin)) < 0; ++step) {
      if (step == kMaxSteps) return Scan(range, visit);
      it_->Next();
    }
    return VisitFromHere(range, visit);
  }

  // The same from the last key to the first.
  template <typename Visit>
  absl::Status ScanBackwards(const KeyRange& range, Visit visit) {
    end_ = AsSlice(range.end);
    it_->SeekToLast();
    for (; InRange(range); it_->Prev()) {
      KT_ASSIGN_OR_RETURN(const bool more, visit(AsView(it_->key()), AsView(it_->value())));
      if (!more) return absl::OkStatus();
    }
    return FromRocksDb(it_->status(), Context(table_));
  }

 private:
  template <typename Visit>
  absl::Status VisitFromHere(const KeyRange& range, Visit visit) {
    for (; InRange(range); it_->Next()) {
      KT_ASSIGN_OR_RETURN(const bool more, visit(AsView(it_->key()), AsView(it_->value())));
      if (!more) return absl::OkStatus();
    }
    return FromRocksDb(it_->status(), Context(table_));
  }

  bool InRange(const KeyRange& range) const {
    return it_->Valid() && range.Contains(AsView(it_->key()));
  }

  const Table table_;
  rocksdb::Slice end_;
  std::unique_ptr<rocksdb::Iterator> it_;
};

// For one pass over a whole table, which would push everything else out of the cache.
rocksdb::ReadOptions ForLongScan(rocksdb::ReadOptions options) {
  options.fill_cache = false;
  options.readahead_size = 2 << 20;
  return options;
}

}  // namespace

class RocksSnapshot::MultiGet {
 public:
  MultiGet(const RocksSnapshot& snapshot, Table table) : snapshot_(snapshot), table_(table) {}

  void Add(base::ByteView key) { keys_.push_back(base::ToBytes(key)); }

  absl::Status Run() {
    std::vector<rocksdb::Slice> slices;
    slices.reserve(keys_.size());
    for (const base::Bytes& key : keys_) slices.push_back(AsSlice(key));
    values_ = std::vector<rocksdb::PinnableSlice>(keys_.size());
    statuses_.resize(keys_.size());
    snapshot_.database_.db().MultiGet(snapshot_.read_options_, snapshot_.database_.table(table_),
                                      keys_.size(), slices.data(), values_.data(),
                                      statuses_.data());
    for (const rocksdb::Status& status : statuses_) {
      if (!status.ok() && !status.IsNotFound()) return FromRocksDb(status, Context(table_));
    }
    return absl::OkStatus();
  }

  size_t size() const { return keys_.size(); }
  bool found(size_t i) const { return statuses_[i].ok(); }
  base::ByteView key(size_t i) const { return keys_[i]; }
  base::ByteView value(size_t i) const { return AsView(values_[i]); }

 private:
  const RocksSnapshot& snapshot_;
  const Table table_;
  std::vector<base::Bytes> keys_;
  std::vector<rocksdb::PinnableSlice> values_;
  std::vector<rocksdb::Status> statuses_;
};

absl::Status LeafFinder::Complete(StoredVersion* version) {
  if (!version->leaf.has_value()) return absl::OkStatus();
  if (it_ == nullptr)
    it_.reset(database_.db().NewIterator(options_, database_.table(Table::kLeaf)));
  const LeafName& name = *version->leaf;
  size_t found = 0;
  it_->Seek(AsSlice(name.prefix));
  for (; it_->Valid() && it_->key().starts_with(AsSlice(name.prefix)); it_->Next()) {
    KT_ASSIGN_OR_RETURN(const merkle::LeafRow leaf,
                        DecodeLeaf(AsView(it_->key()), AsView(it_->value())));
    if (leaf.insert_pos != name.position) continue;
    version->row.vrf_output = leaf.key;
    version->row.existing->commitment = leaf.commitment;
    ++found;
  }
  KT_RETURN_IF_ERROR(FromRocksDb(it_->status(), Context(Table::kLeaf)));
  if (found == 1) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("table leaf: version ", version->row.version, " of a label, which log entry ",
                   name.position, " added, has ", found == 0 ? "no leaf" : "several leaves"));
}

absl::StatusOr<std::shared_ptr<const RocksSnapshot>> RocksSnapshot::Take(
    const RocksDatabase& database, std::atomic<int>& live) {
  std::shared_ptr<RocksSnapshot> out(new RocksSnapshot(database, live));
  KT_RETURN_IF_ERROR(out->LoadMeta());
  return out;
}

RocksSnapshot::RocksSnapshot(const RocksDatabase& database, std::atomic<int>& live)
    : database_(database), live_(live), snapshot_(database.db().GetSnapshot()) {
  read_options_.snapshot = snapshot_;
  read_options_.verify_checksums = true;
  ++live_;
}

RocksSnapshot::~RocksSnapshot() {
  database_.db().ReleaseSnapshot(snapshot_);
  --live_;
}

absl::StatusOr<std::optional<std::string>> RocksSnapshot::GetMeta(const rocksdb::Slice& key) const {
  std::string value;
  const rocksdb::Status status =
      database_.db().Get(read_options_, database_.table(Table::kMeta), key, &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return FromRocksDb(status, Context(Table::kMeta));
  return std::optional<std::string>(std::move(value));
}

absl::Status RocksSnapshot::LoadMeta() {
  KT_ASSIGN_OR_RETURN(const std::optional<std::string> head, GetMeta(kHeadKey));
  if (!head.has_value()) return absl::OkStatus();  // a log without entries
  KT_ASSIGN_OR_RETURN(head_, DecodeHead(base::AsBytes(*head)));
  KT_ASSIGN_OR_RETURN(const std::optional<std::string> pruned, GetMeta(kPrunedKey));
  if (!pruned.has_value()) return absl::OkStatus();
  KT_ASSIGN_OR_RETURN(pruned_, DecodePruned(base::AsBytes(*pruned)));
  if (pruned_.horizon < head_.tree_size) return absl::OkStatus();
  return absl::DataLossError("table meta: the log is pruned beyond its end");
}

absl::Status RocksSnapshot::Read(std::span<const merkle::SubtreeId> buckets,
                                 std::span<const merkle::BandQuery> bands,
                                 std::vector<std::vector<merkle::LeafRow>>* leaves,
                                 std::vector<std::vector<merkle::BandRow>>* rows) const {
  KT_RETURN_IF_ERROR(ReadBuckets(buckets, leaves));
  return ReadBands(bands, rows);
}

absl::Status RocksSnapshot::ReadBuckets(std::span<const merkle::SubtreeId> buckets,
                                        std::vector<std::vector<merkle::LeafRow>>* leaves) const {
  leaves->assign(buckets.size(), {});
  if (buckets.empty()) return absl::OkStatus();
  RangeReader reader(database_, Table::kLeaf, read_options_);
  for (size_t i = 0; i < buckets.size(); ++i) {
    const KeyRange range = LeafRange(buckets[i]);
    const auto add = [&](base::ByteView key, base::ByteView value) -> absl::StatusOr<bool> {
      KT_ASSIGN_OR_RETURN(merkle::LeafRow row, DecodeLeaf(key, value));
      (*leaves)[i].push_back(row);
      return true;
    };
    KT_RETURN_IF_ERROR(reader.Scan(range, add));
  }
  return absl::OkStatus();
}

// Queries for one tile come from the newest position to the oldest, which is the order of its rows:
// where one query's rows end, the next one's begin, if they are not the same rows anyway.
absl::Status RocksSnapshot::ReadBands(std::span<const merkle::BandQuery> bands,
                                      std::vector<std::vector<merkle::BandRow>>* rows) const {
  rows->assign(bands.size(), {});
  if (bands.empty()) return absl::OkStatus();
  std::vector<size_t> order(bands.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::tie(bands[a].id, bands[b].position) < std::tie(bands[b].id, bands[a].position);
  });
  RangeReader reader(database_, Table::kBand, read_options_);
  const std::vector<merkle::BandRow>* before = nullptr;  // of the same tile
  for (size_t i = 0; i < order.size(); ++i) {
    const merkle::BandQuery& query = bands[order[i]];
    std::vector<merkle::BandRow>& found = (*rows)[order[i]];
    if (i > 0 && bands[order[i - 1]].id != query.id) before = nullptr;
    if (before != nullptr) {
      const auto first = std::find_if(before->begin(), before->end(), [&](const auto& row) {
        return row.position <= query.position;
      });
      if (first != before->end()) {
        found.assign(first, before->end());
        continue;
      }
    }
    const auto add = [&](base::ByteView key, base::ByteView value) -> absl::StatusOr<bool> {
      KT_ASSIGN_OR_RETURN(merkle::BandRow row, DecodeBand(key, value));
      found.push_back(std::move(row));
      return !found.back().is_snapshot;
    };
    const KeyRange range = BandRange(query);
    KT_RETURN_IF_ERROR(before == nullptr ? reader.Scan(range, add) : reader.ScanOn(range, add));
    before = &found;
  }
  return absl::OkStatus();
}

absl::Status RocksSnapshot::ScanLeaves(
    const std::function<absl::Status(const merkle::LeafRow&)>& visit) const {
  RangeReader reader(database_, Table::kLeaf, ForLongScan(read_options_));
  const KeyRange everything = LeafRange(merkle::SubtreeId{});
  return reader.Scan(everything,
                     [&](base::ByteView key, base::ByteView value) -> absl::StatusOr<bool> {
                       KT_ASSIGN_OR_RETURN(const merkle::LeafRow row, DecodeLeaf(key, value));
                       KT_RETURN_IF_ERROR(visit(row));
                       return true;
                     });
}

absl::Status RocksSnapshot::ScanNewestBands(
    uint8_t depth,
    const std::function<absl::Status(std::span<const merkle::BandRow>)>& visit) const {
  RangeReader reader(database_, Table::kBand, read_options_);
  KeyRange range = BandDepthRange(depth);
  while (true) {
    // Reads a tile up to its first snapshot, then seeks past its older history to the next tile.
    std::vector<merkle::BandRow> tile;
    const auto add = [&](base::ByteView key, base::ByteView value) -> absl::StatusOr<bool> {
      KT_ASSIGN_OR_RETURN(merkle::BandRow row, DecodeBand(key, value));
      if (!tile.empty() && row.id != tile.front().id) return false;
      tile.push_back(std::move(row));
      return !tile.back().is_snapshot;
    };
    KT_RETURN_IF_ERROR(reader.Scan(range, add));
    if (tile.empty()) return absl::OkStatus();
    KT_RETURN_IF_ERROR(visit(tile));
    range.begin = BandRange({.id = tile.front().id, .position = 0}).end;
    if (!range.Contains(range.begin)) return absl::OkStatus();
  }
}

absl::StatusOr<std::vector<base::Hash>> RocksSnapshot::ReadLogNodes(
    std::span<const merkle::LogNodeId> ids) const {
  MultiGet nodes(*this, Table::kLog);
  for (const merkle::LogNodeId& id : ids) nodes.Add(LogNodeKey(id));
  KT_RETURN_IF_ERROR(nodes.Run());
  std::vector<base::Hash> out(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!nodes.found(i)) {
      return absl::DataLossError(absl::StrCat("table log: node ", ids[i].index, " of level ",
                                              ids[i].level, " is missing"));
    }
    KT_ASSIGN_OR_RETURN(out[i], DecodeLogNode(nodes.value(i)));
  }
  return out;
}

absl::StatusOr<std::vector<EntryRow>> RocksSnapshot::ReadEntries(
    std::span<const base::LogPosition> positions) const {
  MultiGet entries(*this, Table::kEntry);
  for (const base::LogPosition position : positions) {
    if (position >= head_.tree_size) {
      return absl::OutOfRangeError(absl::StrCat("there is no log entry ", position));
    }
    entries.Add(EntryKey(position));
  }
  KT_RETURN_IF_ERROR(entries.Run());
  std::vector<EntryRow> out(positions.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    if (!entries.found(i)) {
      return absl::DataLossError(absl::StrCat("table entry: entry ", positions[i], " is missing"));
    }
    KT_ASSIGN_OR_RETURN(out[i], DecodeEntry(entries.value(i)));
  }
  return out;
}

absl::StatusOr<std::vector<std::vector<merkle::SubtreeId>>> RocksSnapshot::ReadChanged(
    std::span<const base::LogPosition> positions) const {
  MultiGet rows(*this, Table::kChanged);
  for (const base::LogPosition position : positions) {
    if (position >= head_.tree_size) {
      return absl::OutOfRangeError(absl::StrCat("there is no log entry ", position));
    }
    rows.Add(EntryKey(position));
  }
  KT_RETURN_IF_ERROR(rows.Run());
  std::vector<std::vector<merkle::SubtreeId>> out(positions.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    if (!rows.found(i)) {
      return absl::DataLossError(
          absl::StrCat("table changed: the row of entry ", positions[i], " is missing"));
    }
    KT_ASSIGN_OR_RETURN(out[i], DecodeChanged(rows.value(i)));
  }
  return out;
}

absl::StatusOr<std::vector<VersionRow>> RocksSnapshot::ReadVersions(base::ByteView label,
                                                                    size_t limit) const {
  KT_ASSIGN_OR_RETURN(std::vector<StoredVersion> stored, ScanVersions(label, limit));
  return Complete(std::move(stored));
}

absl::StatusOr<std::vector<VersionRow>> RocksSnapshot::ReadWanted(base::ByteView label,
                                                                  size_t limit,
                                                                  const Wanted& wanted) const {
  KT_ASSIGN_OR_RETURN(std::vector<StoredVersion> stored, ScanVersions(label, limit));
  const auto greatest = std::find_if(stored.rbegin(), stored.rend(), [](const StoredVersion& row) {
    return row.row.existing.has_value();
  });
  if (greatest != stored.rend()) {
    const base::Version version = greatest->row.version;
    std::erase_if(stored, [&](const StoredVersion& row) {
      return row.row.version != version && !wanted(row.row.version, version);
    });
  }
  return Complete(std::move(stored));
}

absl::StatusOr<std::vector<StoredVersion>> RocksSnapshot::ScanVersions(base::ByteView label,
                                                                       size_t limit) const {
  std::vector<StoredVersion> out;
  if (label.size() > kMaxLabelSize) return out;  // none can be stored
  RangeReader reader(database_, Table::kVersion, read_options_);
  const KeyRange range = VersionRange(label);
  const auto add = [&](base::ByteView key, base::ByteView value) -> absl::StatusOr<bool> {
    KT_ASSIGN_OR_RETURN(out.emplace_back(), DecodeVersion(key, value));
    return limit == 0 || out.size() < limit;
  };
  // Nearly all labels have few rows, and forwards is the faster way to read.
  KT_RETURN_IF_ERROR(reader.Scan(range, add));
  if (limit == 0 || out.size() < limit) return out;
  out.clear();
  KT_RETURN_IF_ERROR(reader.ScanBackwards(range, add));
  std::reverse(out.begin(), out.end());
  return out;
}

absl::StatusOr<std::vector<VersionRow>> RocksSnapshot::Complete(
    std::vector<StoredVersion> stored) const {
  LeafFinder leaves(database_, read_options_);
  std::vector<VersionRow> out;
  out.reserve(stored.size());
  for (StoredVersion& row : stored) {
    KT_RETURN_IF_ERROR(leaves.Complete(&row));
    out.push_back(std::move(row.row));
  }
  return out;
}

absl::Status RocksSnapshot::ScanLabels(
    const std::function<absl::Status(base::ByteView label)>& visit) const {
  RangeReader reader(database_, Table::kVersion, ForLongScan(read_options_));
  // Rows of a label are neighbours.
  std::optional<base::Bytes> label;
  return reader.Scan({{}, RowsEnd()},
                     [&](base::ByteView key, base::ByteView value) -> absl::StatusOr<bool> {
                       KT_ASSIGN_OR_RETURN(StoredVersion stored, DecodeVersion(key, value));
                       if (label == stored.row.label) return true;
                       label = std::move(stored.row.label);
                       KT_RETURN_IF_ERROR(visit(*label));
                       return true;
                     });
}

absl::StatusOr<std::vector<std::optional<VersionRow>>> RocksSnapshot::ReadVersionRows(
    base::ByteView label, std::span<const base::Version> versions) const {
  std::vector<std::optional<VersionRow>> out(versions.size());
  if (label.size() > kMaxLabelSize) return out;
  MultiGet rows(*this, Table::kVersion);
  for (const base::Version version : versions) rows.Add(VersionKey(label, version));
  KT_RETURN_IF_ERROR(rows.Run());
  LeafFinder leaves(database_, read_options_);
  for (size_t i = 0; i < versions.size(); ++i) {
    if (!rows.found(i)) continue;
    KT_ASSIGN_OR_RETURN(StoredVersion stored, DecodeVersion(rows.key(i), rows.value(i)));
    KT_RETURN_IF_ERROR(leaves.Complete(&stored));
    out[i] = std::move(stored.row);
  }
  return out;
}

absl::StatusOr<base::Bytes> RocksSnapshot::ReadValue(const ValueKey& key) const {
  rocksdb::PinnableSlice value;
  const rocksdb::Status status = database_.db().Get(read_options_, database_.table(Table::kValue),
                                                    AsSlice(ValueRowKey(key)), &value);
  if (status.IsNotFound()) return absl::NotFoundError("there is no such value");
  if (!status.ok()) return FromRocksDb(status, Context(Table::kValue));
  return DecodeValue(key, AsView(value));
}

absl::StatusOr<std::optional<ErasureRow>> RocksSnapshot::ReadErasure(
    const base::Hash& commitment) const {
  const base::Bytes key = ErasureKey(commitment);
  KT_ASSIGN_OR_RETURN(const std::optional<std::string> row, GetMeta(AsSlice(key)));
  if (!row.has_value()) return std::optional<ErasureRow>();
  KT_ASSIGN_OR_RETURN(ErasureRow erasure, DecodeErasure(key, base::AsBytes(*row)));
  return std::optional<ErasureRow>(erasure);
}

absl::StatusOr<std::vector<ErasureRow>> RocksSnapshot::ReadErasures() const {
  std::vector<ErasureRow> out;
  RangeReader reader(database_, Table::kMeta, read_options_);
  const KeyRange range = ErasureRange();
  const auto add = [&](base::ByteView key, base::ByteView value) -> absl::StatusOr<bool> {
    KT_ASSIGN_OR_RETURN(out.emplace_back(), DecodeErasure(key, value));
    return true;
  };
  KT_RETURN_IF_ERROR(reader.Scan(range, add));
  return out;
}

}  // namespace kt::server
