// SPDX-License-Identifier: Apache-2.0
//
// What only a store on disk can get wrong: durability, locking, and damage.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "kt-server/head_guard.h"
#include "kt-server/retention.h"
#include "kt-server/rocksdb_tables.h"
#include "kt-server/store.h"
#include "kt-server/store_codec.h"
#include "tests/kt-server/store_test_util.h"
#include "tests/kt-server/sync_control.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using testing::BatchMaker;
using testing::Contents;
using testing::ContentsQuery;
using testing::ExistingVersion;
using testing::HashOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::KeyAt;
using testing::PlannedVersion;
using testing::SeededRandom;
using testing::StatusIs;
using testing::TempDir;
using testing::TestSeed;
using testing::ValueRow;

absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& path, bool create = false) {
  return OpenRocksDbStore(
      {.path = path, .create_if_missing = create, .block_cache_bytes = 8 << 20});
}

std::vector<fs::path> FilesWith(const std::string& path, const std::string& part) {
  std::vector<fs::path> out;
  for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (name.find(part) != std::string::npos) out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

void Rewrite(const fs::path& file, const std::function<void(base::Bytes&)>& change) {
  absl::StatusOr<base::Bytes> bytes = base::ReadFile(file.string(), 64 << 20);
  KT_CHECK(bytes.ok());
  change(*bytes);
  KT_CHECK(base::WriteFileAtomically(file.string(), *bytes, 0644).ok());
}

// Bytes in the write-ahead logs, which the next opening replays.
uintmax_t BytesToReplay(const std::string& path) {
  uintmax_t bytes = 0;
  for (const fs::path& log : FilesWith(path, ".log")) bytes += fs::file_size(log);
  return bytes;
}

// A log with a bit of everything. Remembers what was readable after each commit.
class RecordedLog {
 public:
  // Appends `commits` commits to the database at `path`, which is created if it is missing.
  void Extend(const std::string& path, int commits) {
    const absl::StatusOr<std::unique_ptr<Store>> store = Open(path, true);
    KT_CHECK(store.ok());
    Extend(**store, commits);
  }
  void Extend(Store& store, int commits) {
    Record(store);
    for (int i = 0; i < commits; ++i) {
      const CommitBatch batch = Next();
      KT_CHECK(store.Commit(batch, maker_.size() - batch.entries.size()).ok());
      Record(store);
    }
  }

  // Reads all that the last commit made readable. The values of later commits are absent.
  absl::StatusOr<Contents> Read(const Store& store) const {
    absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot = store.GetSnapshot();
    if (!snapshot.ok()) return snapshot.status();
    return ReadContents(**snapshot, query_);
  }
  const Contents& newest() const { return states_.rbegin()->second; }
  // True if `contents` is what some commit left.
  bool IsAState(const Contents& contents) const {
    const auto it = states_.find(contents.head.tree_size);
    return it != states_.end() && it->second == contents;
  }

 private:
  void Record(const Store& store) {
    const absl::StatusOr<Contents> contents = Read(store);
    KT_CHECK(contents.ok());
    states_[maker_.size()] = *contents;
  }

  CommitBatch Next() {
    CommitBatch batch = maker_.Next(2);
    const base::LogPosition last = maker_.size() - 1;
    for (uint32_t i = 0; i < 12; ++i) {
      batch.prefix.leaves.push_back(
          {.key = KeyAt(static_cast<uint32_t>(last * 0x01234567) * (i + 1)),
           .insert_pos = last,
           .commitment = HashOf(static_cast<uint8_t>(i))});
    }
    for (const uint8_t depth : {0, 4}) {
      batch.prefix.bands.push_back({{depth, 0}, last, last % 4 == 1, base::Bytes(70, depth)});
    }
    for (const char* label : {"alice@example.com", "bob@example.com"}) {
      const base::Version version = static_cast<base::Version>(last / 2);
      batch.versions.push_back(ExistingVersion(label, version, last));
      batch.versions.push_back(PlannedVersion(label, version + 1));
    }
    // Enough bytes that do not compress for several blocks in a file.
    for (int i = 0; i < 4; ++i) {
      std::string value(2'500, '\0');
      for (char& c : value) c = static_cast<char>(random_.Below(256));
      batch.values.push_back(ValueRow(value, last));
      query_.values.push_back(batch.values.back().first);
    }
    return batch;
  }

  BatchMaker maker_;
  SeededRandom random_{1};
  ContentsQuery query_{.bands = {{{0, 0}, 3}, {{4, 0}, 1'000}},
                       .labels = {"alice@example.com", "bob@example.com"},
                       .values = {}};
  std::map<base::TreeSize, Contents> states_;
};

// --- opening -----------------------------------------------------------------------------------

TEST(RocksDbStore, KeepsEverythingWhenReopened) {
  TempDir dir;
  RecordedLog log;
  for (int round = 0; round < 3; ++round) {
    log.Extend(dir.path("db"), 2);
    ASSERT_OK_AND_ASSIGN(const auto store, Open(dir.path("db")));
    EXPECT_THAT(log.Read(*store), IsOkAndHolds(log.newest()));
  }
  {
    ASSERT_OK_AND_ASSIGN(const auto store, Open(dir.path("db")));
    ASSERT_THAT(store->WriteProperties(base::AsBytes("fixed")), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(const auto store, Open(dir.path("db")));
  EXPECT_THAT(store->ReadProperties(), IsOkAndHolds(base::ToBytes("fixed")));
  EXPECT_THAT(store->WriteProperties({}), StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST(RocksDbStore, MissingDatabaseIsNotFound) {
  TempDir dir;
  EXPECT_THAT(Open(dir.path("db")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(fs::exists(dir.path("db")));
  EXPECT_THAT(Open(dir.path("no/such/parent"), true), StatusIs(absl::StatusCode::kUnavailable));
  ASSERT_TRUE(fs::create_directory(dir.path("empty")));
  EXPECT_THAT(Open(dir.path("empty")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Open(dir.path("empty"), true), IsOk());
}

TEST(RocksDbStore, DirectoryIsForItsOwnerOnly) {
  TempDir dir;
  ASSERT_THAT(Open(dir.path("db"), true), IsOk());
  EXPECT_EQ(fs::status(dir.path("db")).permissions(), fs::perms::owner_all);
}

TEST(RocksDbStore, SecondOpenIsAborted) {
  TempDir dir;
  ASSERT_OK_AND_ASSIGN(auto store, Open(dir.path("db"), true));
  EXPECT_THAT(Open(dir.path("db")), StatusIs(absl::StatusCode::kAborted));
  const pid_t child = fork();
  if (child == 0) _exit(absl::IsAborted(Open(dir.path("db")).status()) ? 0 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  store.reset();
  EXPECT_THAT(Open(dir.path("db")), IsOk());
}

// Works on the tables of a closed database, past all checks.
void Tamper(const std::string& path, const std::string& table,
            const std::function<rocksdb::Status(rocksdb::DB&, rocksdb::ColumnFamilyHandle*)>& act) {
  std::vector<std::string> names;
  KT_CHECK(rocksdb::DB::ListColumnFamilies({}, path, &names).ok());
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string& name : names) families.emplace_back(name, rocksdb::ColumnFamilyOptions());
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  KT_CHECK(rocksdb::DB::Open({}, path, families, &handles, &db).ok());
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == table) KT_CHECK(act(*db, handles[i]).ok());
    KT_CHECK(db->DestroyColumnFamilyHandle(handles[i]).ok());
  }
  delete db;
}

void PutRaw(const std::string& path, const std::string& table, const std::string& key,
            base::ByteView value) {
  Tamper(path, table, [&](rocksdb::DB& db, rocksdb::ColumnFamilyHandle* handle) {
    return db.Put({}, handle, key, AsSlice(value));
  });
}

void DeleteRaw(const std::string& path, const std::string& table, base::ByteView key) {
  Tamper(path, table, [&](rocksdb::DB& db, rocksdb::ColumnFamilyHandle* handle) {
    return db.Delete({}, handle, AsSlice(key));
  });
}

TEST(RocksDbStore, AuditorHeadIsThereAfterReopening) {
  TempDir dir;
  for (const char* head : {"first", "second"}) {
    ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Store> store, Open(dir.path("db"), true));
    ASSERT_THAT(store->WriteAuditorHead(base::AsBytes(head)), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Store> store, Open(dir.path("db"), true));
  EXPECT_THAT(store->ReadAuditorHead(), IsOkAndHolds(base::ToBytes("second")));
}

TEST(RocksDbStore, OtherSchemasAreRefused) {
  TempDir dir;
  RecordedLog().Extend(dir.path("db"), 1);
  for (const uint64_t other : {kSchemaVersion - 1, kSchemaVersion + 1}) {
    PutRaw(dir.path("db"), "meta", kSchemaKey, EncodeUint64(other));
    EXPECT_THAT(Open(dir.path("db")), StatusIs(absl::StatusCode::kFailedPrecondition,
                                               HasSubstr(absl::StrCat("schema version ", other))));
  }
  PutRaw(dir.path("db"), "meta", kSchemaKey, base::Bytes{1});
  EXPECT_THAT(Open(dir.path("db")), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("meta")));
}

TEST(RocksDbStore, UnknownTableIsRefused) {
  TempDir dir;
  RecordedLog().Extend(dir.path("db"), 1);
  {
    ASSERT_OK_AND_ASSIGN(const auto database, RocksDatabase::Open({.path = dir.path("db")}));
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    ASSERT_TRUE(database->db().CreateColumnFamily({}, "novelty", &handle).ok());
    ASSERT_TRUE(database->db().DestroyColumnFamilyHandle(handle).ok());
  }
  EXPECT_THAT(Open(dir.path("db"), true),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("novelty")));
}

TEST(RocksDbStore, ForeignDatabaseIsRefused) {
  TempDir dir;
  {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(options, dir.path("db"), &db).ok());
    delete db;
  }
  EXPECT_THAT(Open(dir.path("db")), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("missing")));
}

TEST(RocksDbStore, RowsWithoutASchemaVersionAreRefused) {
  TempDir dir;
  // What a crash while creating leaves: the tables, and nothing in them.
  ASSERT_THAT(RocksDatabase::Open({.path = dir.path("db"), .create_if_missing = true}), IsOk());
  DeleteRaw(dir.path("db"), "meta", base::AsBytes(kSchemaKey));
  // Without any row the creation was interrupted, and is taken up again if that is asked for.
  EXPECT_THAT(Open(dir.path("db")), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("empty")));
  EXPECT_THAT(Open(dir.path("db"), true), IsOk());
  RecordedLog().Extend(dir.path("db"), 1);
  DeleteRaw(dir.path("db"), "meta", base::AsBytes(kSchemaKey));
  EXPECT_THAT(Open(dir.path("db"), true), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("meta")));
}

constexpr std::array<const char*, kTableCount> kTableNames = {
    "meta", "leaf", "band", "log", "entry", "version", "value", "changed"};

// Each table tells as of which write it is.
TEST(RocksDbStore, TableThatLostItsNewestRowsIsRefused) {
  TempDir dir;
  RecordedLog().Extend(dir.path("db"), 3);
  for (const char* table : kTableNames) {
    const std::string copy = dir.path(table);
    fs::copy(dir.path("db"), copy, fs::copy_options::recursive);
    PutRaw(copy, table, base::ToText(MarkKey()), EncodeMark(3, 1));
    EXPECT_THAT(Open(copy), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("lost data")));
  }
}

TEST(RocksDbStore, TableThatLostAnEarlierFileIsRefused) {
  TempDir dir;
  RecordedLog log;
  for (int i = 0; i < 3; ++i) log.Extend(dir.path("db"), 1);  // every opening leaves a seal
  for (size_t i = 0; i < kTableCount; ++i) {
    const std::string copy = dir.path(kTableNames[i]);
    fs::copy(dir.path("db"), copy, fs::copy_options::recursive);
    DeleteRaw(copy, kTableNames[i], SealKey(1 + i % 3));
    EXPECT_THAT(Open(copy), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(kTableNames[i])));
  }
}

TEST(RocksDbStore, SealsComeEveryFewMegabytes) {
  TempDir dir;
  {
    ASSERT_OK_AND_ASSIGN(const auto store, Open(dir.path("db"), true));
    BatchMaker maker;
    for (char c = 'a'; c < 'k'; ++c) {
      CommitBatch batch = maker.Next(1);
      batch.values = {ValueRow(std::string(RocksDatabase::kSealBytes / 2, c))};
      ASSERT_THAT(store->Commit(batch, maker.size() - 1), IsOk());
    }
  }
  ASSERT_OK_AND_ASSIGN(const auto database, RocksDatabase::Open({.path = dir.path("db")}));
  EXPECT_EQ(database->marks().writes, 12u);
  EXPECT_EQ(database->marks().seals, 6u);  // at the opening, every second commit, the closing
}

// The files of `table` once it is compacted, in the order of their keys.
std::vector<rocksdb::SstFileMetaData> CompactedFiles(
    const RocksDatabase& database, Table table,
    rocksdb::BottommostLevelCompaction bottommost = rocksdb::BottommostLevelCompaction::kForce) {
  rocksdb::CompactRangeOptions options;
  options.bottommost_level_compaction = bottommost;
  KT_CHECK(database.Flush().ok());
  KT_CHECK(database.db().CompactRange(options, database.table(table), nullptr, nullptr).ok());
  rocksdb::ColumnFamilyMetaData metadata;
  database.db().GetColumnFamilyMetaData(database.table(table), &metadata);
  std::vector<rocksdb::SstFileMetaData> files;
  for (const rocksdb::LevelMetaData& level : metadata.levels) {
    files.insert(files.end(), level.files.begin(), level.files.end());
  }
  std::ranges::sort(files, {}, &rocksdb::SstFileMetaData::smallestkey);
  return files;
}

// Values come in the order of their keys. Files of them that are merged hold no marks, which sort
// behind all values, so that those of later values do not overlap with them.
TEST(RocksDbStore, MergedFilesHoldRowsOrMarks) {
  TempDir dir;
  RecordedLog log;
  for (int i = 0; i < 3; ++i) log.Extend(dir.path("db"), 3);
  ASSERT_OK_AND_ASSIGN(const auto database, RocksDatabase::Open({.path = dir.path("db")}));
  const rocksdb::Slice end = AsSlice(RowsEnd());
  for (size_t i = 0; i < kTableCount; ++i) {
    SCOPED_TRACE(kTableNames[i]);
    size_t of_rows = 0;
    size_t of_marks = 0;
    for (const rocksdb::SstFileMetaData& file : CompactedFiles(*database, static_cast<Table>(i))) {
      of_rows += rocksdb::Slice(file.largestkey).compare(end) < 0;
      of_marks += rocksdb::Slice(file.smallestkey).compare(end) >= 0;
    }
    // Only audited logs have rows of changes.
    EXPECT_EQ(of_rows, static_cast<Table>(i) == Table::kChanged ? 0u : 1u);
    EXPECT_EQ(of_marks, 1u);
  }
}

TEST(RocksDbStore, MergingLaterValuesLeavesFilesOfEarlierOnesAlone) {
  TempDir dir;
  BatchMaker maker;
  std::string first_file;
  for (int round = 0; round < 3; ++round) {
    {
      ASSERT_OK_AND_ASSIGN(const auto store, Open(dir.path("db"), true));
      for (int i = 0; i < 20; ++i) {
        CommitBatch batch = maker.Next(1);
        const base::LogPosition position = maker.size() - 1;
        batch.values = {ValueRow(std::string(500, 'x') + std::to_string(position), position)};
        ASSERT_THAT(store->Commit(batch, position), IsOk());
      }
    }
    ASSERT_OK_AND_ASSIGN(const auto database, RocksDatabase::Open({.path = dir.path("db")}));
    // The first time by force: a single file would be moved to the last level uncut.
    const auto files =
        CompactedFiles(*database, Table::kValue,
                       round == 0 ? rocksdb::BottommostLevelCompaction::kForce
                                  : rocksdb::CompactRangeOptions().bottommost_level_compaction);
    ASSERT_EQ(files.size(), static_cast<size_t>(round) + 2);  // of each round, and of marks
    if (round == 0) first_file = files.front().name;
    EXPECT_EQ(files.front().name, first_file);
  }
}

// Were there no seal in what is flushed, the loss of its file could not be told.
TEST(RocksDbStore, WhatIsFlushedHoldsASeal) {
  TempDir dir;
  BatchMaker maker;
  const auto seals = [&] {
    const auto database = RocksDatabase::Open({.path = dir.path("db"), .read_only = true});
    KT_CHECK(database.ok());
    return (*database)->marks().seals;
  };
  {
    ASSERT_OK_AND_ASSIGN(const auto store, Open(dir.path("db"), true));
    ASSERT_THAT(store->Commit(maker.Next(1), 0), IsOk());
    std::atomic<bool> cancelled = false;
    ASSERT_THAT(store->Reclaim(cancelled), IsOk());
    ASSERT_THAT(store->Commit(maker.Next(1), 1), IsOk());
    ASSERT_THAT(store->Reclaim(cancelled), IsOk());
    ASSERT_THAT(store->Commit(maker.Next(1), 2), IsOk());
  }
  EXPECT_EQ(seals(), 3u);  // at the opening, and before each flush
  EXPECT_GT(BytesToReplay(dir.path("db")), 0u);
  { ASSERT_OK_AND_ASSIGN(const auto store, Open(dir.path("db"))); }
  EXPECT_EQ(BytesToReplay(dir.path("db")), 0u) << "the seal of the opening is not flushed";
}

TEST(RocksDbStore, AllTablesThatLostTheirNewestSealAreRefused) {
  TempDir dir;
  RecordedLog().Extend(dir.path("db"), 3);
  for (const char* table : kTableNames) DeleteRaw(dir.path("db"), table, SealKey(1));
  EXPECT_THAT(Open(dir.path("db")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("of 1 seals, 1 is missing")));
}

TEST(RocksDbStore, ClosingLeavesLittleToReplay) {
  TempDir dir;
  BatchMaker maker;
  for (const bool much : {true, false}) {
    {
      ASSERT_OK_AND_ASSIGN(const auto store, Open(dir.path("db"), true));
      CommitBatch batch = maker.Next(1);
      batch.values = {ValueRow(std::string(much ? 10'000'000 : 100'000, 'x'))};
      ASSERT_THAT(store->Commit(batch, maker.size() - 1), IsOk());
      EXPECT_GT(BytesToReplay(dir.path("db")), batch.values[0].second.size());
    }
    // Little is not worth the files.
    EXPECT_EQ(BytesToReplay(dir.path("db")) > 0, !much);
  }
}

// --- damage ------------------------------------------------------------------------------------

TEST(RocksDbStore, DamagedRowsAreDataLossAndNameTheirTable) {
  TempDir dir;
  RecordedLog log;
  log.Extend(dir.path("db"), 1);
  const std::string label = base::ToText(base::Bytes{0, 5}) + "mails";
  const base::Bytes leaf = LeafKey(KeyAt(0), 0);
  const BandKeyBytes band = BandKey({8, 0}, 0);
  PutRaw(dir.path("db"), "leaf", base::ToText(leaf), base::Bytes(31));
  PutRaw(dir.path("db"), "band", base::ToText(band), base::Bytes{7});
  PutRaw(dir.path("db"), "log", base::ToText(LogNodeKey({0, 0})), base::Bytes(33));
  PutRaw(dir.path("db"), "entry", base::ToText(EntryKey(0)), base::Bytes(39));
  PutRaw(dir.path("db"), "version", label + std::string(1, '\0'), base::Bytes(3));
  PutRaw(dir.path("db"), "value", base::ToText(ValueRowKey({0, HashOf(1)})),
         base::ToBytes("not of that key"));
  {
    ASSERT_OK_AND_ASSIGN(const auto store, Open(dir.path("db")));
    ASSERT_OK_AND_ASSIGN(const auto snapshot, store->GetSnapshot());
    const auto lost = [](const char* table) {
      return StatusIs(absl::StatusCode::kDataLoss, HasSubstr(std::string("table ") + table));
    };
    std::vector<std::vector<merkle::LeafRow>> leaves;
    std::vector<std::vector<merkle::BandRow>> rows;
    const std::vector<merkle::SubtreeId> bucket = {{24, 0}};
    const std::vector<merkle::BandQuery> query = {{{8, 0}, 9}};
    EXPECT_THAT(snapshot->Read(bucket, {}, &leaves, &rows), lost("leaf"));
    EXPECT_THAT(snapshot->Read({}, query, &leaves, &rows), lost("band"));
    EXPECT_THAT(snapshot->ScanLeaves([](const auto&) { return absl::OkStatus(); }), lost("leaf"));
    EXPECT_THAT(snapshot->ScanNewestBands(8, [](const auto&) { return absl::OkStatus(); }),
                lost("band"));
    EXPECT_THAT(snapshot->ReadLogNodes(std::vector<merkle::LogNodeId>{{0, 0}}), lost("log"));
    EXPECT_THAT(snapshot->ReadEntries(std::vector<base::LogPosition>{0}), lost("entry"));
    EXPECT_THAT(snapshot->ReadVersions(base::AsBytes("mails"), 0), lost("version"));
    EXPECT_THAT(snapshot->ReadVersions(base::AsBytes("mails"), 1), lost("version"));
    EXPECT_THAT(snapshot->ReadVersionRows(base::AsBytes("mails"), std::vector<base::Version>{0}),
                lost("version"));
    EXPECT_THAT(snapshot->ReadValue({0, HashOf(1)}), lost("value"));
  }
  PutRaw(dir.path("db"), "meta", kHeadKey, base::Bytes(9));
  EXPECT_THAT(Open(dir.path("db")), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("table meta")));
}

TEST(RocksDbStore, AVersionWithoutItsLeafIsDataLoss) {
  TempDir dir;
  BatchMaker maker;
  CommitBatch batch = maker.Next(2);
  batch.versions = {ExistingVersion("a", 0, 1)};
  const base::VrfOutput& output = batch.versions[0].vrf_output;
  batch.prefix.leaves = {
      {.key = output, .insert_pos = 1, .commitment = batch.versions[0].existing->commitment}};
  {
    ASSERT_OK_AND_ASSIGN(const auto store, Open(dir.path("db"), true));
    ASSERT_THAT(store->Commit(batch, 0), IsOk());
    ASSERT_OK_AND_ASSIGN(const auto snapshot, store->GetSnapshot());
    EXPECT_THAT(snapshot->ReadVersions(base::AsBytes("a"), 0), IsOkAndHolds(batch.versions));
  }
  const auto read = [&] {
    const auto store = Open(dir.path("db"));
    KT_CHECK(store.ok());
    return (*(*store)->GetSnapshot())->ReadVersions(base::AsBytes("a"), 0).status();
  };
  // Another leaf of the same entry with the same first bytes.
  base::VrfOutput neighbour = output;
  neighbour.bytes[31] ^= 1;
  PutRaw(dir.path("db"), "leaf", base::ToText(LeafKey(neighbour, 1)), base::Bytes(32));
  EXPECT_THAT(read(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("several leaves")));
  // The version says that it is of another entry than its leaf.
  VersionRow moved = batch.versions[0];
  moved.existing->position = 0;
  PutRaw(dir.path("db"), "version", base::ToText(VersionKey(moved.label, 0)),
         EncodeVersion(moved, true));
  EXPECT_THAT(read(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("no leaf")));
}

// In place: a database that has the file open reads it so.
void FlipABit(const fs::path& file, size_t offset, unsigned bit) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(offset));
  const int byte = stream.get();
  stream.seekp(static_cast<std::streamoff>(offset));
  stream.put(static_cast<char>(byte ^ 1 << bit));
  KT_CHECK(stream.flush().good());
}

// By the time of the check the damage may be gone, with a file that was to replace sound ones.
TEST(RocksDbStore, DamageThatACompactionMetIsToldByTheNextCheckOfFiles) {
  TempDir dir;
  RecordedLog().Extend(dir.path("db"), 3);
  ASSERT_OK_AND_ASSIGN(const auto database, RocksDatabase::Open({.path = dir.path("db")}));
  const rocksdb::SstFileMetaData values = CompactedFiles(*database, Table::kValue).front();
  const fs::path file = values.directory + "/" + values.relative_filename;
  const auto check = [&] { return database->CheckFiles([] { return absl::OkStatus(); }); };
  EXPECT_THAT(check(), IsOk());

  FlipABit(file, 10, 0);
  rocksdb::CompactRangeOptions options;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  EXPECT_TRUE(database->db()
                  .CompactRange(options, database->table(Table::kValue), nullptr, nullptr)
                  .IsCorruption());
  FlipABit(file, 10, 0);
  EXPECT_THAT(check(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("in the background")));
}

enum class Outcome { kRefused, kDataLossInRead, kNewest, kEarlierCommit };

// What becomes of the database at `path` if it is damaged by `damage`; the original stays. Anything
// but an error or the state that some commit left fails the test.
Outcome Examine(const std::string& path, const RecordedLog& log,
                const std::function<void(const std::string&)>& damage) {
  TempDir dir;
  const std::string copy = dir.path("copy");
  fs::copy(path, copy, fs::copy_options::recursive);
  damage(copy);
  const absl::StatusOr<std::unique_ptr<Store>> store = Open(copy);
  if (!store.ok()) {
    EXPECT_THAT(store.status(), StatusIs(absl::StatusCode::kDataLoss));
    return Outcome::kRefused;
  }
  const absl::StatusOr<Contents> contents = log.Read(**store);
  if (!contents.ok()) {
    EXPECT_THAT(contents.status(), StatusIs(absl::StatusCode::kDataLoss));
    return Outcome::kDataLossInRead;
  }
  if (*contents == log.newest()) return Outcome::kNewest;
  EXPECT_TRUE(log.IsAState(*contents)) << "size " << contents->head.tree_size;
  return Outcome::kEarlierCommit;
}

class DamageTest : public ::testing::Test {
 protected:
  // The first commits end up in sorted files, since opening the database flushes what was there;
  // the others in the write-ahead log.
  void Build(int flushed_commits, int logged_commits) {
    if (flushed_commits > 0) log_.Extend(path_, flushed_commits);
    log_.Extend(path_, logged_commits);
  }
  // Flips a random bit of all that are in files with `part` in their names, many times over.
  std::map<Outcome, int> FlipBits(const std::string& part, int rounds) {
    const uint64_t seed = TestSeed(5);
    SCOPED_TRACE(seed);
    SeededRandom random(seed);
    std::map<Outcome, int> outcomes;
    for (int round = 0; round < rounds; ++round) {
      const std::vector<fs::path> files = FilesWith(path_, part);
      size_t bytes = 0;
      for (const fs::path& file : files) bytes += fs::file_size(file);
      KT_CHECK(bytes > 0);
      size_t offset = random.Below(bytes);
      auto hit = files.begin();
      for (; offset >= fs::file_size(*hit); ++hit) offset -= fs::file_size(*hit);
      const fs::path file = hit->filename();
      SCOPED_TRACE(file.string() + " at " + std::to_string(offset));
      ++outcomes[Examine(path_, log_, [&](const std::string& copy) {
        FlipABit(copy / file, offset, static_cast<unsigned>(random.Below(8)));
      })];
    }
    return outcomes;
  }

  TempDir dir_;
  fs::path path_ = dir_.path("db");
  RecordedLog log_;
};

TEST_F(DamageTest, FlippedBitInASortedFileIsNeverReadAsData) {
  Build(4, 0);
  std::map<Outcome, int> outcomes = FlipBits(".sst", 60);
  EXPECT_EQ(outcomes[Outcome::kEarlierCommit], 0);
  EXPECT_GT(outcomes[Outcome::kRefused], 0);
  EXPECT_GT(outcomes[Outcome::kDataLossInRead], 0);
}

TEST_F(DamageTest, FlippedBitInTheWriteAheadLogIsRefusedOrEndsItBetweenCommits) {
  Build(0, 5);
  std::map<Outcome, int> outcomes = FlipBits(".log", 30);
  EXPECT_EQ(outcomes[Outcome::kDataLossInRead], 0);
  EXPECT_GT(outcomes[Outcome::kEarlierCommit], 0);
}

TEST_F(DamageTest, FlippedBitInTheManifestIsRefused) {
  Build(3, 2);
  std::map<Outcome, int> outcomes = FlipBits("MANIFEST", 40);
  EXPECT_GT(outcomes[Outcome::kRefused], 0);
  EXPECT_EQ(outcomes[Outcome::kDataLossInRead], 0);
}

// Also where what was replayed at the last opening had no seal, and where the last bytes that are
// left are not what was written.
TEST_F(DamageTest, ShortenedManifestIsRefusedOrLeavesAWholeCommit) {
  Build(3, 2);
  {
    ASSERT_OK_AND_ASSIGN(const auto store, Open(path_.string()));
    std::atomic<bool> cancelled = false;
    ASSERT_THAT(store->Reclaim(cancelled), IsOk());  // flushes
    log_.Extend(*store, 2);
  }
  log_.Extend(path_, 2);
  const std::vector<fs::path> files = FilesWith(path_, "MANIFEST");
  ASSERT_EQ(files.size(), 1u);
  const size_t size = fs::file_size(files[0]);
  for (const size_t zeros : {0, 1, 40}) {
    int refused = 0;
    for (size_t length = zeros; length <= size; length += 1 + size / 150) {
      SCOPED_TRACE(length);
      const Outcome outcome = Examine(path_, log_, [&](const std::string& copy) {
        fs::resize_file(copy / files[0].filename(), length - zeros);
        fs::resize_file(copy / files[0].filename(), length);
      });
      if (outcome == Outcome::kRefused) ++refused;
    }
    EXPECT_GT(refused, 0);
  }
}

// Where the records of a manifest of one block end.
std::vector<size_t> RecordEnds(const base::Bytes& manifest) {
  std::vector<size_t> ends;
  for (size_t offset = 0; offset < manifest.size(); offset = ends.back()) {
    ends.push_back(offset + 7 + manifest[offset + 4] + 256 * manifest[offset + 5]);
  }
  KT_CHECK(ends.back() == manifest.size() && manifest.size() < 32'768);
  return ends;
}

// A power cut while the first files of a database are added to its manifest: this has been
// lengthened, but not all of its last record is there. The files are; the write-ahead log with the
// same rows is, too.
class TornManifestTest : public DamageTest {
 protected:
  TornManifestTest() {
    const absl::StatusOr<std::unique_ptr<Store>> store = Open(path_.string(), true);
    KT_CHECK(store.ok());
    log_.Extend(**store, 3);
    fs::create_directory(torn_);
    for (const fs::path& file : FilesWith(path_, ".log")) {
      fs::create_hard_link(file, torn_ / file.filename());
    }
    const fs::path manifest = FilesWith(path_, "MANIFEST").at(0);
    manifest_ = torn_ / manifest.filename();
    before_ = fs::file_size(manifest);
    std::atomic<bool> cancelled = false;
    KT_CHECK((*store)->Reclaim(cancelled).ok());  // flushes
    for (const fs::path& file : FilesWith(path_, "")) {
      if (file.extension() != ".log") fs::copy(file, torn_);
    }
  }
  Outcome ExamineWith(const std::function<void(base::Bytes&)>& damage) {
    return Examine(torn_, log_,
                   [&](const std::string& copy) { Rewrite(copy / manifest_.filename(), damage); });
  }
  base::Bytes Manifest() const { return *base::ReadFile(manifest_.string(), 1 << 20); }
  // Of the records that were added with the files.
  std::vector<size_t> AddedEnds() const {
    std::vector<size_t> ends = RecordEnds(Manifest());
    std::erase_if(ends, [&](size_t end) { return end <= before_; });
    KT_CHECK(ends.size() > 8);
    return ends;
  }

  const fs::path torn_ = dir_.path("torn");
  fs::path manifest_;
  size_t before_ = 0;  // bytes of the manifest then
};

// Wherever in a record the bytes end that reached the disk, its header included.
TEST_F(TornManifestTest, IsReadWithoutItsLastRecord) {
  SeededRandom random(TestSeed(7));
  size_t begin = before_;
  for (const size_t end : AddedEnds()) {
    SCOPED_TRACE(end);
    std::vector<size_t> lost = {1, (end - begin - 7 + 1) / 2};
    for (size_t header = 0; header <= 7; ++header) lost.push_back(end - begin - header);
    for (const size_t bytes : lost) {
      SCOPED_TRACE(bytes);
      EXPECT_EQ(ExamineWith([&](base::Bytes& file) {
                  file.resize(end);
                  std::ranges::fill(std::span(file).last(bytes), 0);
                }),
                Outcome::kNewest);
      EXPECT_EQ(ExamineWith([&](base::Bytes& file) {
                  file.resize(end);
                  const uint8_t last = file.back();
                  random.Fill(std::span(file).last(bytes));
                  file.back() = static_cast<uint8_t>(~last);
                }),
                Outcome::kNewest);
    }
    begin = end;
  }
}

TEST_F(TornManifestTest, IsRefusedIfASoundRecordFollowsTheDamage) {
  const base::Bytes manifest = Manifest();
  size_t begin = 0;
  for (const size_t end : RecordEnds(manifest)) {
    if (end == manifest.size()) break;
    SCOPED_TRACE(begin);
    for (const size_t byte : {begin, begin + 4, begin + 5, begin + 6, end - 1}) {
      for (const uint8_t bit : {0x01, 0x02, 0x10, 0x80}) {
        EXPECT_EQ(ExamineWith([&](base::Bytes& file) { file[byte] ^= bit; }), Outcome::kRefused)
            << byte;
      }
    }
    begin = end;
  }
}

// A record that was synced, so that the write-ahead log is gone: its rows are nowhere else. The
// files must stay, for whoever can repair the manifest.
TEST_F(TornManifestTest, IsRefusedWithoutWritingIfItsLastRecordIsMissed) {
  int tried = 0;
  size_t begin = before_;
  for (const size_t end : AddedEnds()) {
    const bool names_a_file = end - begin > 100;  // and not only what is no longer needed
    begin = end;
    if (!names_a_file) continue;
    ++tried;
    SCOPED_TRACE(end);
    TempDir dir;
    const fs::path copy = dir.path("copy");
    fs::copy(torn_, copy);
    for (const fs::path& log : FilesWith(copy, ".log")) fs::resize_file(log, 0);
    Rewrite(copy / manifest_.filename(), [&](base::Bytes& file) {
      file.resize(end);
      file.back() ^= 0x10;
    });
    const std::vector<fs::path> files = FilesWith(copy, "");
    EXPECT_THAT(Open(copy), StatusIs(absl::StatusCode::kDataLoss));
    EXPECT_EQ(FilesWith(copy, ""), files);
  }
  EXPECT_GE(tried, 8);
}

// What only looks at the database writes nothing, and is shown the same.
TEST_F(TornManifestTest, CanBeReadWithoutWriting) {
  Rewrite(manifest_, [](base::Bytes& file) { file.back() ^= 0x10; });
  const base::Bytes before = Manifest();
  {
    ASSERT_OK_AND_ASSIGN(const auto store, OpenRocksDbStore({.path = torn_, .read_only = true}));
    EXPECT_THAT(log_.Read(*store), IsOkAndHolds(log_.newest()));
  }
  EXPECT_EQ(Manifest(), before);
}

// What only the caller knows to be missing is found as early.
TEST_F(TornManifestTest, IsShownToTheCallerBeforeAnythingIsWritten) {
  int asked = 0;
  absl::Status answer = absl::FailedPreconditionError("a later head was released");
  RocksDbOptions options{.path = torn_};
  options.check_torn = [&](const Snapshot& snapshot,
                           const absl::StatusOr<base::Bytes>& properties) {
    ++asked;
    EXPECT_THAT(properties, StatusIs(absl::StatusCode::kNotFound));
    EXPECT_EQ(snapshot.head().root, log_.newest().head.root);
    return answer;
  };
  Rewrite(manifest_, [](base::Bytes& file) { file.back() ^= 0x10; });
  const std::vector<fs::path> files = FilesWith(torn_, "");
  const base::Bytes before = Manifest();
  EXPECT_EQ(OpenRocksDbStore(options).status(), answer);
  EXPECT_EQ(FilesWith(torn_, ""), files);
  EXPECT_EQ(Manifest(), before);
  EXPECT_EQ(asked, 1);
  answer = absl::OkStatus();
  EXPECT_THAT(OpenRocksDbStore(options), IsOk());
  EXPECT_EQ(asked, 2);
  // It is whole again.
  EXPECT_THAT(OpenRocksDbStore(options), IsOk());
  EXPECT_EQ(asked, 2);
}

TEST_F(TornManifestTest, IsToldOnce) {
  Rewrite(manifest_, [](base::Bytes& file) { file.back() ^= 0x10; });
  for (const bool torn : {true, false}) {
    ASSERT_OK_AND_ASSIGN(const auto store, Open(torn_.string() + "/"));
    EXPECT_EQ(store->manifest_was_torn(), torn);
  }
}

TEST_F(DamageTest, TruncatedWriteAheadLogLeavesAWholeCommit) {
  Build(2, 4);
  for (const fs::path& file : FilesWith(path_, ".log")) {
    const size_t size = fs::file_size(file);
    for (size_t length = 0; length <= size; length += 1 + size / 30) {
      SCOPED_TRACE(length);
      EXPECT_THAT(Examine(path_, log_,
                          [&](const std::string& copy) {
                            fs::resize_file(copy / file.filename(), length);
                          }),
                  AnyOf(Outcome::kRefused, Outcome::kNewest, Outcome::kEarlierCommit));
    }
  }
}

TEST_F(DamageTest, MissingFileIsRefused) {
  Build(3, 1);
  for (const char* part : {".sst", "MANIFEST", "CURRENT"}) {
    for (const fs::path& file : FilesWith(path_, part)) {
      SCOPED_TRACE(file);
      const Outcome outcome = [&] {
        TempDir dir;
        fs::copy(path_, dir.path("copy"), fs::copy_options::recursive);
        fs::remove(dir.path("copy") / file.filename());
        const auto store = Open(dir.path("copy"));
        EXPECT_THAT(store, AnyOf(StatusIs(absl::StatusCode::kDataLoss),
                                 StatusIs(absl::StatusCode::kNotFound)));
        return Outcome::kRefused;
      }();
      EXPECT_EQ(outcome, Outcome::kRefused);
    }
  }
}

// RocksDB would begin an empty database there, and delete the old one's files.
TEST_F(DamageTest, NewDatabaseIsNotBegunOnTheRemainsOfAnother) {
  Build(3, 1);
  fs::remove(path_ / "CURRENT");
  const size_t files = FilesWith(path_, "").size();
  EXPECT_THAT(Open(path_, true), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("CURRENT")));
  EXPECT_EQ(FilesWith(path_, "").size(), files);
}

TEST_F(DamageTest, GarbageInCurrentIsRefused) {
  Build(1, 1);
  for (const char* text : {"", "MANIFEST", "MANIFEST-999999\n", "../../etc/passwd\n"}) {
    EXPECT_EQ(Examine(path_, log_,
                      [&](const std::string& copy) {
                        Rewrite(copy + "/CURRENT", [&](base::Bytes& bytes) {
                          bytes = base::ToBytes(std::string_view(text));
                        });
                      }),
              Outcome::kRefused)
        << text;
  }
}

// --- failing writes ------------------------------------------------------------------------------

// While it lives, no file grows beyond `bytes`: a disk that is full.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(size_t bytes) {
    handler_ = signal(SIGXFSZ, SIG_IGN);
    KT_CHECK(getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit limit = {.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    KT_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    KT_CHECK(setrlimit(RLIMIT_FSIZE, &before_) == 0);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

TEST(RocksDbStoreWrite, NothingIsCommittedAfterAFailedWrite) {
  TempDir dir;
  BatchMaker maker;
  const CommitBatch first = maker.Next(1);
  CommitBatch second = maker.Next(1);
  second.values = {ValueRow(std::string(3'000, 'x'))};
  // The disk fills up before the commit, within it, and near its end.
  for (const size_t room : {0, 100, 3'100}) {
    const std::string path = dir.path("db" + std::to_string(room));
    {
      ASSERT_OK_AND_ASSIGN(const auto store, Open(path, true));
      ASSERT_THAT(store->Commit(first, 0), IsOk());
      const std::vector<fs::path> logs = FilesWith(path, ".log");
      ASSERT_FALSE(logs.empty());
      absl::Status failed;
      {
        const FileSizeLimit full(fs::file_size(logs.back()) + room);
        failed = store->Commit(second, 1);
      }
      EXPECT_THAT(failed, AnyOf(StatusIs(absl::StatusCode::kUnavailable),
                                StatusIs(absl::StatusCode::kResourceExhausted)));
      // There is room again, but what reached the disk is unknown.
      EXPECT_THAT(store->Commit(second, 1),
                  StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("opened again")));
      EXPECT_THAT(store->WriteProperties({}), StatusIs(absl::StatusCode::kFailedPrecondition));
      ASSERT_OK_AND_ASSIGN(const auto snapshot, store->GetSnapshot());
      EXPECT_EQ(snapshot->head(), first.head);
    }
    ASSERT_OK_AND_ASSIGN(const auto store, Open(path));
    {
      ASSERT_OK_AND_ASSIGN(const auto snapshot, store->GetSnapshot());
      EXPECT_EQ(snapshot->head(), first.head);
      EXPECT_THAT(snapshot->ReadValue(second.values[0].first),
                  StatusIs(absl::StatusCode::kNotFound));
    }
    EXPECT_THAT(store->Commit(second, 1), IsOk());
  }
}

TEST(RocksDbStoreWrite, NothingIsCommittedAfterAFailedSync) {
  TempDir dir;
  BatchMaker maker;
  const CommitBatch first = maker.Next(1);
  const CommitBatch second = maker.Next(1);
  ASSERT_OK_AND_ASSIGN(auto store, Open(dir.path("db"), true));
  ASSERT_THAT(store->Commit(first, 0), IsOk());
  {
    const testing::FailingSyncs failing;
    EXPECT_THAT(store->Commit(second, 1), StatusIs(absl::StatusCode::kUnavailable));
  }
  EXPECT_THAT(store->Commit(second, 1), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(store->WriteProperties({}), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ((*store->GetSnapshot())->head(), first.head);
  store.reset();
  // It may or may not have been written, but as a whole.
  ASSERT_OK_AND_ASSIGN(store, Open(dir.path("db")));
  EXPECT_THAT((*store->GetSnapshot())->head(), AnyOf(first.head, second.head));
}

// While it lives, the disk is full as soon as the write-ahead log of the database at `path` has got
// a few bytes more, or fails to sync.
class BadDisk {
 public:
  BadDisk(const std::string& path, bool full) {
    if (full) {
      limit_.emplace(fs::file_size(FilesWith(path, ".log").back()) + 100);
    } else {
      failing_.emplace();
    }
  }

 private:
  std::optional<FileSizeLimit> limit_;
  std::optional<testing::FailingSyncs> failing_;
};

// The disk stays as it is while the store is closed: that must be an end, not an abort.
TEST(RocksDbStoreWrite, IsClosedWhileTheDiskIsFullOrFails) {
  TempDir dir;
  BatchMaker maker;
  const CommitBatch first = maker.Next(1);
  CommitBatch second = maker.Next(1);
  second.values = {ValueRow(std::string(100'000, 'x'))};
  for (const bool full : {true, false}) {
    const std::string path = dir.path(full ? "full" : "failing");
    {
      ASSERT_OK_AND_ASSIGN(auto store, Open(path, true));
      ASSERT_THAT(store->Commit(first, 0), IsOk());
      const BadDisk disk(path, full);
      EXPECT_FALSE(store->Commit(second, 1).ok());
      store.reset();
    }
    ASSERT_OK_AND_ASSIGN(const auto store, Open(path));
    EXPECT_THAT((*store->GetSnapshot())->head(), AnyOf(first.head, second.head));
  }
}

// As before, but all was acknowledged, and enough that closing wants to write it to sorted files.
TEST(RocksDbStoreWrite, WhatClosingCannotWriteIsReplayed) {
  TempDir dir;
  BatchMaker maker;
  CommitBatch batch = maker.Next(1);
  batch.values = {ValueRow(std::string(10'000'000, 'x'))};
  for (const bool full : {true, false}) {
    const std::string path = dir.path(full ? "full" : "failing");
    {
      ASSERT_OK_AND_ASSIGN(auto store, Open(path, true));
      ASSERT_THAT(store->Commit(batch, 0), IsOk());
      const BadDisk disk(path, full);
      store.reset();
    }
    ASSERT_OK_AND_ASSIGN(const auto store, Open(path));
    ASSERT_OK_AND_ASSIGN(const auto snapshot, store->GetSnapshot());
    EXPECT_EQ(snapshot->head(), batch.head);
    EXPECT_THAT(snapshot->ReadValue(batch.values[0].first), IsOkAndHolds(batch.values[0].second));
  }
}

TEST(RocksDbStoreWrite, EveryCommitIsSyncedOnce) {
  TempDir dir;
  ASSERT_OK_AND_ASSIGN(const auto store, Open(dir.path("db"), true));
  BatchMaker maker;
  for (int i = 0; i < 5; ++i) {
    const CommitBatch batch = maker.Next(4);
    const size_t before = testing::SyncCount();
    ASSERT_THAT(store->Commit(batch, maker.size() - 4), IsOk());
    // A new write-ahead log's first sync also syncs its directory.
    EXPECT_THAT(testing::SyncCount() - before, AnyOf(1u, i == 0 ? 2u : 1u));
  }
  const size_t before = testing::SyncCount();
  ASSERT_THAT(store->WriteProperties({}), IsOk());
  EXPECT_EQ(testing::SyncCount() - before, 1u);
}

// --- kill -9 -----------------------------------------------------------------------------------

constexpr const char* kCrashDirectory = "KT_TEST_CRASH_DIRECTORY";

// Not a test of its own: the process that the next test kills. Tells every size that was committed.
TEST(RocksDbCrash, DISABLED_CommitsUntilKilled) {
  const char* path = std::getenv(kCrashDirectory);
  if (path == nullptr) GTEST_SKIP() << "runs as a child of SurvivesKill only";
  ASSERT_OK_AND_ASSIGN(const auto store, Open(path, true));
  BatchMaker maker;
  ASSERT_OK_AND_ASSIGN(const auto start, store->GetSnapshot());
  maker.Next(start->head().tree_size);
  while (true) {
    CommitBatch batch = maker.Next(3);
    batch.values = {ValueRow(std::string(5'000, 'x') + std::to_string(maker.size()))};
    ASSERT_THAT(store->Commit(batch, maker.size() - 3), IsOk());
    const base::TreeSize size = maker.size();
    ASSERT_EQ(write(STDOUT_FILENO, &size, sizeof(size)), static_cast<ssize_t>(sizeof(size)));
  }
}

// The same, which prunes all the time: whatever it is killed in, it mostly is a step of that.
TEST(RocksDbCrash, DISABLED_PrunesUntilKilled) {
  const char* path = std::getenv(kCrashDirectory);
  if (path == nullptr) GTEST_SKIP() << "runs as a child of PruningSurvivesKill only";
  ASSERT_OK_AND_ASSIGN(const auto store, Open(path, true));
  BatchMaker maker;
  ASSERT_OK_AND_ASSIGN(const auto start, store->GetSnapshot());
  maker.Next(start->head().tree_size);
  while (true) {
    CommitBatch batch = maker.Next(1);
    const base::LogPosition position = maker.size() - 1;
    batch.values = {ValueRow(std::string(500, 'x') + std::to_string(position), position)};
    VersionRow row = ExistingVersion("label", static_cast<base::Version>(position), position);
    row.existing->commitment = batch.values[0].first.commitment;
    batch.versions = {row};
    batch.prefix.bands = {{{0, 0}, position, position % 4 == 0, base::Bytes(100, 7)}};
    ASSERT_THAT(store->Commit(batch, position), IsOk());
    if (maker.size() > 12) {
      ASSERT_THAT(store->SetHorizon(maker.size() - 8), IsOk());
      for (int step = 0; step < 3; ++step) ASSERT_THAT(store->PruneSome(2), IsOk());
      std::atomic<bool> cancelled = false;
      if (maker.size() % 16 == 0) {
        ASSERT_THAT(store->Reclaim(cancelled), IsOk());
      }
    }
    const base::TreeSize size = maker.size();
    ASSERT_EQ(write(STDOUT_FILENO, &size, sizeof(size)), static_cast<ssize_t>(sizeof(size)));
  }
}

// Starts the child that is the test `name` and kills it after it has told of `sizes` commits.
// Returns the last.
base::TreeSize RunAndKill(const std::string& path, int sizes,
                          const std::string& name = "DISABLED_CommitsUntilKilled") {
  const std::string filter = "--gtest_filter=RocksDbCrash." + name;
  std::array<int, 2> ends;
  KT_CHECK(pipe(ends.data()) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    setenv(kCrashDirectory, path.c_str(), 1);
    execl("/proc/self/exe", "server_test", "--gtest_also_run_disabled_tests", "--gtest_brief=1",
          filter.c_str(), nullptr);
    _exit(127);
  }
  close(ends[1]);
  // Skips what the test framework prints first: numbers as great as its text are no tree sizes.
  base::TreeSize last = 0;
  std::string text;
  char byte;
  while (sizes > 0 && read(ends[0], &byte, 1) == 1) {
    text.push_back(byte);
    base::TreeSize size = 0;
    if (text.size() < sizeof(size)) continue;
    memcpy(&size, text.data() + text.size() - sizeof(size), sizeof(size));
    if (size == 0 || size > 1'000'000) continue;
    last = size;
    text.clear();
    --sizes;
  }
  KT_CHECK(sizes == 0);
  kill(child, SIGKILL);
  int status = 0;
  KT_CHECK(waitpid(child, &status, 0) == child);
  close(ends[0]);
  return last;
}

TEST(RocksDbCrash, AcknowledgedCommitsSurviveKill) {
  TempDir dir;
  for (const int commits : {1, 7, 40}) {
    const base::TreeSize acknowledged = RunAndKill(dir.path("db"), commits);
    ASSERT_OK_AND_ASSIGN(const auto store, Open(dir.path("db")));
    ASSERT_OK_AND_ASSIGN(const auto snapshot, store->GetSnapshot());
    const base::TreeSize size = snapshot->head().tree_size;
    EXPECT_GE(size, acknowledged);
    EXPECT_EQ(size % 3, 0u);
    BatchMaker maker;
    EXPECT_EQ(maker.Next(size).head, snapshot->head());
    EXPECT_THAT(LogRootAt(*snapshot, acknowledged), IsOk());
    for (base::TreeSize at = 3; at <= size; at += 3) {
      const auto value = ValueRow(std::string(5'000, 'x') + std::to_string(at));
      EXPECT_THAT(snapshot->ReadValue(value.first), IsOkAndHolds(value.second)) << at;
    }
  }
}

void ExpectKept(const Snapshot& snapshot, bool complete) {
  const base::LogPosition horizon = snapshot.horizon();
  const base::TreeSize size = snapshot.head().tree_size;
  BatchMaker maker;
  EXPECT_EQ(maker.Next(size).head, snapshot.head());
  for (base::TreeSize earlier = std::max<base::TreeSize>(horizon, 1); earlier <= size; ++earlier) {
    EXPECT_THAT(LogRootAt(snapshot, earlier), IsOk()) << earlier;
  }
  for (base::LogPosition position = 0; position < size; ++position) {
    const auto value = ValueRow(std::string(500, 'x') + std::to_string(position), position);
    const auto entry = snapshot.ReadEntries(std::vector{position});
    const auto read = snapshot.ReadValue(value.first);
    if (position + 1 >= horizon) {
      EXPECT_THAT(read, IsOkAndHolds(value.second)) << position;
    } else if (complete) {
      EXPECT_THAT(read, StatusIs(absl::StatusCode::kNotFound)) << position;
    }
    if (KeepsEntry(horizon, position)) {
      EXPECT_THAT(entry, IsOk()) << position;
    } else if (complete) {
      EXPECT_THAT(entry, StatusIs(absl::StatusCode::kDataLoss)) << position;
    }
  }
  std::vector<std::vector<merkle::LeafRow>> leaves;
  std::vector<std::vector<merkle::BandRow>> rows;
  for (base::LogPosition position = horizon; position < size; ++position) {
    const std::vector<merkle::BandQuery> query = {{{0, 0}, position}};
    ASSERT_THAT(snapshot.Read({}, query, &leaves, &rows), IsOk());
    ASSERT_FALSE(rows[0].empty()) << position;
    EXPECT_TRUE(rows[0].back().is_snapshot) << position;
  }
}

TEST(RocksDbCrash, PruningSurvivesKill) {
  TempDir dir;
  for (const int commits : {3, 14, 2, 37, 1, 20}) {
    const base::TreeSize acknowledged =
        RunAndKill(dir.path("db"), commits, "DISABLED_PrunesUntilKilled");
    ASSERT_OK_AND_ASSIGN(const auto store, Open(dir.path("db")));
    ASSERT_OK_AND_ASSIGN(auto snapshot, store->GetSnapshot());
    EXPECT_GE(snapshot->head().tree_size, acknowledged);
    ExpectKept(*snapshot, /*complete=*/false);
    if (commits % 2 == 0) continue;  // the next child goes on from where this one was
    for (bool complete = false; !complete;) {
      ASSERT_OK_AND_ASSIGN(const PruneStep step, store->PruneSome(5));
      complete = step.complete;
    }
    ASSERT_OK_AND_ASSIGN(snapshot, store->GetSnapshot());
    ExpectKept(*snapshot, /*complete=*/true);
  }
}

}  // namespace
}  // namespace kt::server
