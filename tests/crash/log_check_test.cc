// SPDX-License-Identifier: Apache-2.0
//
// A sound log is found sound, whatever happened to it; a flipped bit anywhere is found.
#include "kt-server/log_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "base/file.h"
#include "kt-server/pruner.h"
#include "kt-server/rocksdb_tables.h"
#include "kt-server/scrubber.h"
#include "kt-server/store.h"
#include "kt-server/store_codec.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/support/fakes.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;
using testing::IsOk;

using Mode = core::DeploymentMode;

class LogCheckTest : public ::testing::Test {
 protected:
  std::string path() const { return directory_.File("db"); }

  std::unique_ptr<Store> OpenStore() {
    RocksDbOptions options;
    options.path = path();
    options.create_if_missing = true;
    options.block_cache_bytes = 8 << 20;
    auto store = OpenRocksDbStore(options);
    KT_CHECK(store.ok());
    return *std::move(store);
  }

  // A log of many entries and some labels, one of which has many versions.
  void Make(core::CipherSuite suite, Mode mode, std::optional<uint64_t> lifetime = std::nullopt) {
    log_ = std::make_unique<LogFixture>(suite, mode, lifetime, [this] { return OpenStore(); });
    for (base::Version i = 0; i < 40; ++i) {
      log_->clock().Advance(100);
      KT_CHECK(log_->Add("alice@a.example", i, "value " + std::to_string(i)).ok());
      if (i % 2 == 0) KT_CHECK(log_->Add("user" + std::to_string(i), 0, "value").ok());
    }
    config_ = log_->config();
  }

  // Lets go of the database.
  void Close() { log_ = nullptr; }

  absl::StatusOr<CheckReport> Check() {
    RocksDbOptions options;
    options.path = path();
    options.read_only = true;
    options.block_cache_bytes = 8 << 20;
    KT_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, OpenRocksDbStore(options));
    KT_RETURN_IF_ERROR(store->CheckFiles([] { return absl::OkStatus(); }));
    KT_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot, store->GetSnapshot());
    CheckOptions check;
    check.max_leaves_in_memory = 16;  // so that it takes several passes
    return CheckLog(config_, kLayout, *snapshot, check);
  }

  // Flips a bit of the value of a row of `table`, the `row`-th; false if it has no more.
  bool FlipRow(Table table, size_t row, testing::SeededRandom& random) {
    const auto database = RocksDatabase::Open({.path = path(), .block_cache_bytes = 8 << 20});
    KT_CHECK(database.ok());
    rocksdb::DB& db = (*database)->db();
    std::unique_ptr<rocksdb::Iterator> it(
        db.NewIterator(rocksdb::ReadOptions(), (*database)->table(table)));
    it->SeekToFirst();
    while (it->Valid() && row-- > 0) it->Next();
    if (!it->Valid() || it->key().compare(AsSlice(RowsEnd())) >= 0) return false;
    const std::string key = it->key().ToString();
    std::string value = it->value().ToString();
    value[random.Below(value.size())] ^= static_cast<char>(1 << random.Below(8));
    rocksdb::WriteOptions synced;
    synced.sync = true;
    KT_CHECK(db.Put(synced, (*database)->table(table), key, value).ok());
    return true;
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<LogFixture> log_;
  core::Configuration config_;
};

TEST_F(LogCheckTest, ASoundLogIsSound) {
  for (const auto suite : {core::CipherSuite::kP256, core::CipherSuite::kEd25519}) {
    for (const Mode mode : {Mode::kContactMonitoring, Mode::kThirdPartyAuditing}) {
      fs::remove_all(path());
      Make(suite, mode);
      Close();
      const auto report = Check();
      ASSERT_THAT(report, IsOk());
      EXPECT_THAT(report->damage, IsEmpty());
      EXPECT_EQ(report->entries, 60u);
      EXPECT_EQ(report->leaves, 60u);
      EXPECT_EQ(report->versions, 60u);
      EXPECT_EQ(report->values, 60u);
      EXPECT_EQ(report->labels, 21u);
    }
  }
}

TEST_F(LogCheckTest, WhatWasPrunedAndErasedIsNotMissing) {
  Make(core::CipherSuite::kEd25519, Mode::kContactMonitoring, /*lifetime=*/1'500);
  Pruner pruner({}, log_->log(), log_->real_store(), log_->clock(), nullptr);
  ASSERT_THAT(pruner.Run().status, IsOk());
  const auto rows = log_->log().newest()->snapshot().ReadVersions(base::AsBytes("user38"), 0);
  ASSERT_THAT(rows, IsOk());
  ErasureRow erasure;
  erasure.commitment = rows->front().existing->commitment;
  erasure.position = rows->front().existing->position;
  ASSERT_THAT(log_->real_store().Erase({&erasure, 1}), IsOk());
  Close();
  const auto report = Check();
  ASSERT_THAT(report, IsOk());
  EXPECT_THAT(report->damage, IsEmpty());
  EXPECT_LT(report->entries, 60u);
  EXPECT_GT(report->entries, 20u);
  EXPECT_EQ(report->versions, 60u);
  EXPECT_LT(report->values, 59u);
}

// Of each table, rows from all over it are altered in turn, each written as a sound row is, so that
// no checksum tells.
TEST_F(LogCheckTest, AFlippedBitInAnyRowIsFound) {
  const uint64_t seed = testing::TestSeed(20260302);
  SCOPED_TRACE("KT_TEST_SEED=" + std::to_string(seed));
  testing::SeededRandom random(seed);
  Make(core::CipherSuite::kEd25519, Mode::kThirdPartyAuditing);
  Close();
  const std::string sound = directory_.File("sound");
  fs::rename(path(), sound);
  constexpr size_t kRowsOfATable = 8;
  for (const Table table : {Table::kLeaf, Table::kBand, Table::kLog, Table::kEntry, Table::kVersion,
                            Table::kValue, Table::kChanged, Table::kMeta}) {
    size_t found = 0;
    for (size_t i = 0; i < kRowsOfATable; ++i) {
      fs::remove_all(path());
      fs::copy(sound, path());
      const size_t row = i < 2 ? i : random.Below(59);
      if (!FlipRow(table, row, random)) continue;
      const auto report = Check();
      EXPECT_TRUE(!report.ok() || !report->sound())
          << "row " << row << " of table " << TableName(table);
      ++found;
    }
    EXPECT_GE(found, table == Table::kMeta ? 1u : 4u) << TableName(table);
  }
}

TEST_F(LogCheckTest, AFlippedBitInAnyFileIsFound) {
  const uint64_t seed = testing::TestSeed(20260303);
  SCOPED_TRACE("KT_TEST_SEED=" + std::to_string(seed));
  testing::SeededRandom random(seed);
  Make(core::CipherSuite::kEd25519, Mode::kContactMonitoring);
  ASSERT_THAT(log_->ReopenStore(), IsOk());  // which writes sorted files
  Close();
  // The last bytes of a file say where its index is, padded with some that nothing reads.
  constexpr size_t kFooterBytes = 53;
  size_t files = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(path())) {
    if (entry.path().extension() != ".sst") continue;
    ++files;
    const auto before = base::ReadFile(entry.path().string(), 64 << 20);
    ASSERT_THAT(before, IsOk());
    base::Bytes altered = *before;
    altered[random.Below(altered.size() - kFooterBytes)] ^=
        static_cast<uint8_t>(1 << random.Below(8));
    ASSERT_THAT(base::WriteFileAtomically(entry.path().string(), altered, 0600), IsOk());
    const auto report = Check();
    EXPECT_TRUE(!report.ok() || !report->sound()) << entry.path();
    ASSERT_THAT(base::WriteFileAtomically(entry.path().string(), *before, 0600), IsOk());
  }
  EXPECT_GE(files, 8u);
  const auto report = Check();
  ASSERT_THAT(report, IsOk());
  EXPECT_THAT(report->damage, IsEmpty());
}

TEST_F(LogCheckTest, TheScrubberReportsAndStopsWhenToldTo) {
  Make(core::CipherSuite::kEd25519, Mode::kContactMonitoring);
  ScrubberOptions options;
  options.first = absl::ZeroDuration();
  options.rows_per_second = 1e6;
  absl::Notification done;
  absl::StatusOr<CheckReport> report;
  Scrubber scrubber(options, config_, kLayout, log_->real_store(),
                    [&](const absl::StatusOr<CheckReport>& result) {
                      report = result;
                      done.Notify();
                    });
  scrubber.Start();
  done.WaitForNotification();
  scrubber.Stop();
  ASSERT_THAT(report, IsOk());
  EXPECT_THAT(report->damage, IsEmpty());
  EXPECT_EQ(report->versions, 60u);

  options.rows_per_second = 1;
  Scrubber slow(options, config_, kLayout, log_->real_store(),
                [&](const absl::StatusOr<CheckReport>&) { ADD_FAILURE() << "it was stopped"; });
  slow.Start();
  absl::SleepFor(absl::Milliseconds(50));
  slow.Stop();
}

TEST_F(LogCheckTest, AHaltedLogSignsNothingAndAnswers) {
  Make(core::CipherSuite::kEd25519, Mode::kContactMonitoring);
  log_->log().Halt();
  EXPECT_THAT(log_->AddEmpty(),
              testing::StatusIs(absl::StatusCode::kUnavailable, ::testing::HasSubstr("damaged")));
  EXPECT_THAT(log_->log().Present(), IsOk());
}

}  // namespace
}  // namespace kt::server
