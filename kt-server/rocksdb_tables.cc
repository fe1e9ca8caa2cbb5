// SPDX-License-Identifier: Apache-2.0
#include "kt-server/rocksdb_tables.h"

#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/sst_partitioner.h>
#include <rocksdb/table.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-server/rocksdb_status.h"
#include "kt-server/store_codec.h"
#include "kt-server/torn_manifest.h"

namespace kt::server {
namespace {

constexpr size_t kKiB = 1024;
constexpr size_t kMiB = 1024 * kKiB;

enum class Compression { kNone, kZstdWithDictionary };

struct TableOptions {
  const char* name;
  size_t write_buffer_bytes;
  size_t block_bytes;
  // A Bloom filter helps reads of one key only, so tables that are scanned have none.
  bool filter;
  // Rows that are asked for are there: no filter for the last level, which is most of the data.
  bool always_found;
  // Hashes and proofs do not get shorter, and a block of them would be decompressed for every
  // bucket, tile and label that is not in the cache.
  Compression compression;
  // Commits bring many rows, in the order of their keys: each is looked for in memory from the one
  // before on.
  bool sorted_inserts;
};

// In the order of Table.
constexpr std::array<TableOptions, kTableCount> kTables = {{
    {"meta", 4 * kMiB, 4 * kKiB, false, false, Compression::kNone, false},
    {"leaf", 32 * kMiB, 8 * kKiB, false, false, Compression::kNone, true},
    {"band", 32 * kMiB, 8 * kKiB, false, false, Compression::kNone, true},
    {"log", 4 * kMiB, 4 * kKiB, true, true, Compression::kNone, false},
    {"entry", 4 * kMiB, 4 * kKiB, true, true, Compression::kNone, false},
    {"version", 32 * kMiB, 8 * kKiB, true, false, Compression::kNone, true},
    {"value", 32 * kMiB, 16 * kKiB, true, true, Compression::kZstdWithDictionary, true},
    {"changed", 4 * kMiB, 4 * kKiB, true, true, Compression::kNone, false},
}};

bool IsSupported(rocksdb::CompressionType type) {
  const std::vector<rocksdb::CompressionType> supported = rocksdb::GetSupportedCompressions();
  return std::find(supported.begin(), supported.end(), type) != supported.end();
}

// Cuts what a compaction writes into files of rows and files of marks. A file that holds both spans
// all keys between the two, so that no file above it could be moved down as it is.
class CutBeforeMarks : public rocksdb::SstPartitioner {
 public:
  const char* Name() const override { return "CutBeforeMarks"; }
  rocksdb::PartitionerResult ShouldPartition(const rocksdb::PartitionerRequest& request) override {
    return Spans(*request.prev_user_key, *request.current_user_key) ? rocksdb::kRequired
                                                                    : rocksdb::kNotRequired;
  }
  bool CanDoTrivialMove(const rocksdb::Slice& smallest, const rocksdb::Slice& largest) override {
    return !Spans(smallest, largest);
  }

 private:
  static bool Spans(const rocksdb::Slice& first, const rocksdb::Slice& last) {
    const rocksdb::Slice end = AsSlice(RowsEnd());
    return first.compare(end) < 0 && last.compare(end) >= 0;
  }
};

class CutBeforeMarksFactory : public rocksdb::SstPartitionerFactory {
 public:
  const char* Name() const override { return "CutBeforeMarksFactory"; }
  std::unique_ptr<rocksdb::SstPartitioner> CreatePartitioner(
      const rocksdb::SstPartitioner::Context&) const override {
    return std::make_unique<CutBeforeMarks>();
  }
};

rocksdb::ColumnFamilyOptions ColumnFamilyOptions(const TableOptions& table,
                                                 const RocksDbOptions& options,
                                                 std::shared_ptr<rocksdb::Cache> cache) {
  rocksdb::BlockBasedTableOptions blocks;
  blocks.block_cache = std::move(cache);
  blocks.block_size = table.block_bytes;
  blocks.cache_index_and_filter_blocks = true;
  // Otherwise each read looks them up in the cache, once for every file, under a lock.
  blocks.metadata_cache_options.top_level_index_pinning = rocksdb::PinningTier::kAll;
  blocks.metadata_cache_options.unpartitioned_pinning = rocksdb::PinningTier::kAll;
  if (table.filter) blocks.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));

  rocksdb::ColumnFamilyOptions out;
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(blocks));
  out.write_buffer_size = std::min(table.write_buffer_bytes, options.max_write_buffer_bytes);
  if (table.sorted_inserts) {
    out.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewCappedPrefixTransform(1));
  }
  // Most labels of a commit are new: what is still in memory is not searched for them.
  if (table.filter && !table.always_found) {
    out.memtable_prefix_bloom_size_ratio = 0.05;
    out.memtable_whole_key_filtering = true;
  }
  out.level_compaction_dynamic_level_bytes = true;
  out.sst_partitioner_factory = std::make_shared<CutBeforeMarksFactory>();
  out.optimize_filters_for_hits = table.always_found;
  out.compression = rocksdb::kNoCompression;
  if (table.compression == Compression::kNone) return out;
  if (IsSupported(rocksdb::kLZ4Compression)) out.compression = rocksdb::kLZ4Compression;
  if (!IsSupported(rocksdb::kZSTD)) return out;
  // The same in all levels, so that a file whose rows lie between those of the level below is moved
  // there as it is. Values come in the order of their keys, so that goes for most of them.
  out.compression = rocksdb::kZSTD;
  // The level by default gains less than a byte of a certificate's 613, and makes an insert of one
  // take a quarter more processor time.
  out.compression_opts.level = 1;
  // Certificates of one provider repeat names and addresses from one value to the next. The
  // dictionary is pieces of them as they are: trained, it would take 0.2 s of each file and save
  // three bytes of a certificate's 613.
  out.compression_opts.max_dict_bytes = 16 * kKiB;
  out.compression_opts.max_dict_buffer_bytes = 4 * kMiB;
  return out;
}

// RocksDB's own log file lies in the database. If a line of it cannot be written, because the disk
// is full, the library as Debian builds it aborts at the next one, at the latest when it is closed.
// What matters comes back as a status too.
class NoLog : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

rocksdb::Env* EnvOf(const RocksDbOptions& options) {
  return options.env == nullptr ? rocksdb::Env::Default() : options.env;
}

rocksdb::DBOptions DatabaseOptions(rocksdb::Env* env, bool may_create) {
  rocksdb::DBOptions out;
  out.env = env;
  out.create_if_missing = may_create;
  out.create_missing_column_families = may_create;
  out.paranoid_checks = true;
  // A torn tail is what a power cut leaves; recovery stops before it. Damage further up also ends
  // the log early, which the head guard notices.
  out.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  // A table that is rarely flushed would keep the write-ahead log, and with it a restart, long.
  out.max_total_wal_size = 128 * kMiB;
  // After a failed write or sync nobody knows what is on the disk; trying again would hide it.
  out.max_bgerror_resume_count = 0;
  out.max_background_jobs = 2;
  out.max_file_opening_threads = 2;
  // Space that is taken beforehand is missing where a nearly full disk has to make room.
  out.allow_fallocate = false;
  out.bytes_per_sync = 1 * kMiB;
  out.info_log = std::make_shared<NoLog>();
  out.stats_dump_period_sec = 0;
  return out;
}

absl::Status ErrnoStatus(const std::string& what, const std::string& path) {
  return absl::UnavailableError(absl::StrCat("cannot ", what, " ", path, ": ", strerror(errno)));
}

// Without CURRENT, RocksDB would begin an empty database and delete what lies around.
absl::Status RefuseRemains(const std::string& path) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    const std::string extension = it->path().extension().string();
    if (extension == ".sst" || extension == ".log") {
      return absl::DataLossError(
          absl::StrCat(path, " holds files of a database, but its file CURRENT is missing"));
    }
  }
  if (error) {
    return absl::UnavailableError(absl::StrCat("cannot list ", path, ": ", error.message()));
  }
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus("open", path);
  const bool synced = fsync(fd) == 0;
  absl::Status status = synced ? absl::OkStatus() : ErrnoStatus("sync", path);
  close(fd);
  return status;
}

// Labels are addresses of people, so nobody else may read the directory.
absl::Status CreateDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0) {
    return errno == EEXIST ? RefuseRemains(path) : ErrnoStatus("create", path);
  }
  std::filesystem::path parent = std::filesystem::absolute(path).lexically_normal();
  if (!parent.has_filename()) parent = parent.parent_path();  // of a path that ends in a slash
  return SyncDirectory(parent.parent_path().string());
}

absl::StatusOr<bool> HasDatabase(const std::string& path) {
  struct stat info;
  if (stat((path + "/CURRENT").c_str(), &info) == 0) return true;
  if (errno == ENOENT) return false;
  return ErrnoStatus("open", path);
}

// Whether opening the database at `path` will replay anything.
absl::StatusOr<bool> HasLogs(const RocksDbOptions& options) {
  rocksdb::Env& env = *EnvOf(options);
  std::vector<std::string> names;
  KT_RETURN_IF_ERROR(FromRocksDb(env.GetChildren(options.path, &names), options.path));
  for (const std::string& name : names) {
    if (!name.ends_with(".log")) continue;
    uint64_t bytes = 0;
    KT_RETURN_IF_ERROR(FromRocksDb(env.GetFileSize(options.path + "/" + name, &bytes), name));
    if (bytes > 0) return true;
  }
  return false;
}

// What is missing when a database is opened is damage, not an answer to a question.
absl::Status OpenError(const rocksdb::Status& status, const std::string& path) {
  const bool damaged = status.IsPathNotFound() || status.IsNotFound() || status.IsInvalidArgument();
  if (damaged) return absl::DataLossError(absl::StrCat(path, ": ", status.ToString()));
  return FromRocksDb(status, path);
}

// Sets `names` to the tables of the database at `path`. Reads its manifest to the end.
rocksdb::Status ListTables(const std::shared_ptr<rocksdb::FileSystem>& files,
                           const std::string& path, std::vector<std::string>* names) {
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(files);
  return rocksdb::DB::ListColumnFamilies(DatabaseOptions(env.get(), false), path, names);
}

// As WithoutTornManifestEnd; what keeps the manifest from being read at all is told as at the
// opening.
absl::StatusOr<std::shared_ptr<rocksdb::FileSystem>> WithSoundManifest(
    const std::shared_ptr<rocksdb::FileSystem>& files, const std::string& path) {
  std::vector<std::string> names;
  const rocksdb::Status status = ListTables(files, path, &names);
  if (!status.ok() && !status.IsCorruption()) return OpenError(status, path);
  return WithoutTornManifestEnd(files, path);
}

absl::Status CheckTables(const std::shared_ptr<rocksdb::FileSystem>& files, const std::string& path,
                         bool may_create) {
  std::vector<std::string> names;
  const rocksdb::Status status = ListTables(files, path, &names);
  if (!status.ok()) return OpenError(status, path);
  for (const std::string& name : names) {
    const bool known = name == rocksdb::kDefaultColumnFamilyName ||
                       std::any_of(kTables.begin(), kTables.end(),
                                   [&](const TableOptions& table) { return name == table.name; });
    if (!known) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, " has a table that this version does not know (", name,
                       "): it was written by a later version of this program, or is not a log"));
    }
  }
  for (const TableOptions& table : kTables) {
    if (!may_create && std::find(names.begin(), names.end(), table.name) == names.end()) {
      return absl::DataLossError(absl::StrCat(path, ": table ", table.name, " is missing"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

const char* TableName(Table table) { return kTables[static_cast<size_t>(table)].name; }

// When a full disk has room again, RocksDB would by itself go on. And what it finds damaged while
// it compacts, it tells only who writes next.
class RocksDatabase::BackgroundWatch : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }

  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* error) override {
    absl::MutexLock lock(&mutex_);
    if (error->IsCorruption()) damage_.Update(FromRocksDb(*error, "in the background"));
  }

  // The first that was found.
  absl::Status damage() const {
    absl::MutexLock lock(&mutex_);
    return damage_;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Status damage_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<std::unique_ptr<RocksDatabase>> RocksDatabase::Open(const RocksDbOptions& options,
                                                                   const Check& check_torn) {
  KT_ASSIGN_OR_RETURN(const bool exists, HasDatabase(options.path));
  if (!exists) {
    if (!options.create_if_missing) {
      return absl::NotFoundError(absl::StrCat("there is no database at ", options.path));
    }
    KT_RETURN_IF_ERROR(CreateDirectory(options.path));
  }
  // RocksDB has a lock of its own, but reports a taken one like any other I/O error.
  KT_ASSIGN_OR_RETURN(base::FileLock lock, base::FileLock::Acquire(options.path + "/kt.lock"));
  std::unique_ptr<RocksDatabase> out(new RocksDatabase);
  out->lock_ = std::move(lock);
  std::shared_ptr<rocksdb::FileSystem> files = EnvOf(options)->GetFileSystem();
  if (exists) {
    KT_ASSIGN_OR_RETURN(const auto sound, WithSoundManifest(files, options.path));
    out->manifest_was_torn_ = sound != files;
    files = sound;
    KT_RETURN_IF_ERROR(CheckTables(files, options.path, options.create_if_missing));
    if (out->manifest_was_torn_ && !options.read_only) {
      KT_RETURN_IF_ERROR(CheckWithoutWriting(options, files, check_torn));
    }
    KT_ASSIGN_OR_RETURN(out->recovered_, HasLogs(options));
  }
  KT_RETURN_IF_ERROR(out->OpenTables(options, files));
  KT_RETURN_IF_ERROR(out->CheckSchema(options.create_if_missing));
  KT_RETURN_IF_ERROR(out->CheckMarks());
  return out;
}

RocksDatabase::~RocksDatabase() {
  if (db_ == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
  db_->DestroyColumnFamilyHandle(default_handle_);
  // Everything committed is synced; what closing could still fail to write is only a convenience.
  db_->Close().PermitUncheckedError();
}

// Opening a database for writing removes the files that its manifest does not name.
absl::Status RocksDatabase::CheckWithoutWriting(const RocksDbOptions& options,
                                                const std::shared_ptr<rocksdb::FileSystem>& files,
                                                const Check& check) {
  RocksDbOptions for_reading = options;
  for_reading.read_only = true;
  for_reading.create_if_missing = false;
  RocksDatabase database;
  KT_RETURN_IF_ERROR(database.OpenTables(for_reading, files));
  KT_RETURN_IF_ERROR(database.CheckSchema(/*may_create=*/false));
  KT_RETURN_IF_ERROR(database.CheckMarks());
  return check ? check(database) : absl::OkStatus();
}

absl::Status RocksDatabase::OpenTables(const RocksDbOptions& options,
                                       const std::shared_ptr<rocksdb::FileSystem>& files) {
  const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.reserve(std::size(kTables) + 1);
  for (const TableOptions& table : kTables) {
    families.emplace_back(table.name, ColumnFamilyOptions(table, options, cache));
  }
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, rocksdb::ColumnFamilyOptions());
  sync_watch_ = std::make_shared<SyncWatch>(files);
  env_ = rocksdb::NewCompositeEnv(sync_watch_);
  background_watch_ = std::make_shared<BackgroundWatch>();
  rocksdb::DBOptions db_options = DatabaseOptions(env_.get(), options.create_if_missing);
  db_options.listeners.push_back(background_watch_);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      options.read_only
          ? rocksdb::DB::OpenForReadOnly(db_options, options.path, families, &handles, &db)
          : rocksdb::DB::Open(db_options, options.path, families, &handles, &db);
  if (!status.ok()) return OpenError(status, options.path);
  db_.reset(db);
  KT_CHECK(handles.size() == kTableCount + 1);
  std::copy_n(handles.begin(), kTableCount, handles_.begin());
  default_handle_ = handles.back();
  return absl::OkStatus();
}

rocksdb::SequenceNumber RocksDatabase::OldestSnapshot() const {
  uint64_t number = 0;  // none
  KT_CHECK(db_->GetIntProperty(rocksdb::DB::Properties::kOldestSnapshotSequence, &number));
  return number > 0 ? number : std::numeric_limits<rocksdb::SequenceNumber>::max();
}

absl::StatusOr<uint64_t> RocksDatabase::FreeBytes() const {
  uint64_t bytes = 0;
  const rocksdb::Status status =
      sync_watch_->GetFreeSpace(db_->GetName(), rocksdb::IOOptions(), &bytes, nullptr);
  if (!status.ok()) return FromRocksDb(status, db_->GetName());
  return bytes;
}

uint64_t RocksDatabase::UnflushedBytes() const {
  uint64_t bytes = 0;
  KT_CHECK(db_->GetAggregatedIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &bytes));
  return bytes;
}

absl::Status RocksDatabase::Flush() const {
  // All of them: a write-ahead log is kept as long as a table has rows of it in memory only.
  const std::vector<rocksdb::ColumnFamilyHandle*> tables(handles_.begin(), handles_.end());
  return FromRocksDb(db_->Flush(rocksdb::FlushOptions(), tables), "flushing");
}

absl::Status RocksDatabase::CheckFiles(const std::function<absl::Status()>& next) const {
  const auto live_files = [this] {
    std::vector<rocksdb::LiveFileMetaData> files;
    db_->GetLiveFilesMetaData(&files);
    return files;
  };
  rocksdb::ReadOptions read;
  read.readahead_size = 2 * kMiB;
  for (const rocksdb::LiveFileMetaData& file : live_files()) {
    KT_RETURN_IF_ERROR(next());
    const rocksdb::Status status = rocksdb::VerifySstFileChecksum(
        db_->GetOptions(), rocksdb::EnvOptions(), read, file.db_path + file.name);
    if (status.ok()) continue;
    // Its rows may have been merged into another one meanwhile.
    const auto live = live_files();
    const bool is_live = std::any_of(live.begin(), live.end(),
                                     [&](const auto& other) { return other.name == file.name; });
    if (is_live) return FromRocksDb(status, absl::StrCat("table ", file.column_family_name));
  }
  return background_watch_->damage();
}

absl::StatusOr<std::optional<std::string>> RocksDatabase::Get(Table table,
                                                              const rocksdb::Slice& key) const {
  std::string value;
  const rocksdb::Status status =
      db_->Get(rocksdb::ReadOptions(), handles_[static_cast<size_t>(table)], key, &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return FromRocksDb(status, absl::StrCat("table ", TableName(table)));
  return std::optional<std::string>(std::move(value));
}

absl::Status RocksDatabase::CheckSchema(bool may_create) {
  KT_ASSIGN_OR_RETURN(const std::optional<std::string> stored, Get(Table::kMeta, kSchemaKey));
  if (stored.has_value()) {
    KT_ASSIGN_OR_RETURN(const uint64_t version, DecodeUint64("meta", base::AsBytes(*stored)));
    if (version == kSchemaVersion) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(
        "the database has schema version ", version, ", but this program knows version ",
        kSchemaVersion, " only; use the version of the program that wrote it, or a later one"));
  }
  // The schema version is the first row of a database: without it the others mean nothing.
  for (size_t i = 0; i < kTableCount; ++i) {
    std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(rocksdb::ReadOptions(), handles_[i]));
    it->SeekToFirst();
    if (!it->status().ok()) return FromRocksDb(it->status(), kTables[i].name);
    if (it->Valid()) return absl::DataLossError("table meta: the schema version is missing");
  }
  if (!may_create) {
    return absl::DataLossError("the database is empty: its creation was interrupted");
  }
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const PositionKeyBytes version = EncodeUint64(kSchemaVersion);
  return FromRocksDb(db_->Put(synced, table(Table::kMeta), kSchemaKey, AsSlice(version)),
                     "creating the database");
}

absl::StatusOr<RocksDatabase::Marks> RocksDatabase::ReadMarks(Table table) const {
  Marks out;
  const char* name = TableName(table);
  KT_ASSIGN_OR_RETURN(const std::optional<std::string> mark, Get(table, AsSlice(MarkKey())));
  uint64_t seals = 0;
  if (mark.has_value()) {
    KT_ASSIGN_OR_RETURN(std::tie(out.writes, seals), DecodeMark(name, base::AsBytes(*mark)));
  }
  std::unique_ptr<rocksdb::Iterator> it(
      db_->NewIterator(rocksdb::ReadOptions(), handles_[static_cast<size_t>(table)]));
  for (it->Seek(AsSlice(SealKey(1))); it->Valid(); it->Next()) {
    if (it->key() != AsSlice(SealKey(out.seals + 1))) break;
    ++out.seals;
  }
  KT_RETURN_IF_ERROR(FromRocksDb(it->status(), absl::StrCat("table ", name)));
  if (out.seals == seals && !it->Valid()) return out;
  return absl::DataLossError(absl::StrCat("table ", name, ": of ", seals, " seals, ", out.seals + 1,
                                          " is missing: the table has lost a file"));
}

absl::Status RocksDatabase::CheckMarks() {
  KT_ASSIGN_OR_RETURN(marks_, ReadMarks(Table::kMeta));
  for (size_t i = 0; i < kTableCount; ++i) {
    KT_ASSIGN_OR_RETURN(const Marks marks, ReadMarks(static_cast<Table>(i)));
    if (marks != marks_) {
      return absl::DataLossError(
          absl::StrCat("table ", kTables[i].name, " is as of write ", marks.writes, " and seal ",
                       marks.seals, ", table meta as of write ", marks_.writes, " and seal ",
                       marks_.seals, ": the database has lost data"));
    }
  }
  return absl::OkStatus();
}

}  // namespace kt::server
