// SPDX-License-Identifier: Apache-2.0
#include "kt-server/head_guard.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "tests/kt-server/store_test_util.h"
#include "tests/kt-server/sync_control.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

namespace fs = std::filesystem;
using testing::BatchMaker;
using testing::HashOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;

constexpr size_t kFileSize = 8192;
constexpr size_t kPage = 4096;
constexpr size_t kSealedSize = 120;

class HeadGuardTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<HeadGuard>> Open(
      HeadGuard::IfMissing if_missing = HeadGuard::IfMissing::kRefuse) {
    return HeadGuard::Open(path_, log_id_, if_missing);
  }
  absl::StatusOr<std::unique_ptr<HeadGuard>> Create() {
    return Open(HeadGuard::IfMissing::kCreate);
  }
  // A guard that has seen heads of all `sizes`, and is closed again.
  void Remember(std::initializer_list<base::TreeSize> sizes) {
    ASSERT_OK_AND_ASSIGN(const auto guard, Create());
    for (const base::TreeSize size : sizes) {
      ASSERT_THAT(guard->Advance(size, RootOf(size)), IsOk());
    }
  }
  static base::Hash RootOf(base::TreeSize size) { return HashOf(static_cast<uint8_t>(size)); }

  base::Bytes ReadGuard() {
    absl::StatusOr<base::Bytes> bytes = base::ReadFile(path_, 2 * kFileSize);
    KT_CHECK(bytes.ok());
    return *std::move(bytes);
  }
  void WriteGuard(base::ByteView bytes) {
    // In place: a file that was emptied before it is written goes to the disk when it is closed.
    const int fd = open(path_.c_str(), O_WRONLY);
    KT_CHECK(fd >= 0);
    KT_CHECK(pwrite(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    KT_CHECK(ftruncate(fd, static_cast<off_t>(bytes.size())) == 0);
    close(fd);
  }
  // Every way to open the guard must refuse these bytes and leave them alone.
  void ExpectDamaged(const base::Bytes& bytes) {
    WriteGuard(bytes);
    EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged")));
    EXPECT_THAT(Create(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("must not sign")));
    EXPECT_EQ(ReadGuard(), bytes);
  }

  testing::TempDir dir_;
  const std::string path_ = dir_.path("guard");
  const base::Hash log_id_ = HashOf(0xaa);
};

// --- remembering -------------------------------------------------------------------------------

TEST_F(HeadGuardTest, MissingFileIsRefusedUnlessCreated) {
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("must not sign")));
  EXPECT_FALSE(fs::exists(path_));
  {
    ASSERT_OK_AND_ASSIGN(const auto guard, Create());
    EXPECT_EQ(guard->head(), GuardedHead{});
  }
  ASSERT_OK_AND_ASSIGN(const auto guard, Open());
  EXPECT_EQ(guard->head(), GuardedHead{});
}

TEST_F(HeadGuardTest, RemembersTheNewestHeadWhenReopened) {
  ASSERT_THAT(Create(), IsOk());
  for (base::TreeSize size = 1; size < 20; ++size) {
    {
      ASSERT_OK_AND_ASSIGN(const auto guard, Open());
      EXPECT_EQ(guard->head().tree_size, size - 1);
      ASSERT_THAT(guard->Advance(size, RootOf(size)), IsOk());
      EXPECT_EQ(guard->head(), (GuardedHead{size, RootOf(size)}));
    }
    ASSERT_OK_AND_ASSIGN(const auto guard, Create());  // creates only what is missing
    EXPECT_EQ(guard->head(), (GuardedHead{size, RootOf(size)}));
  }
  EXPECT_EQ(fs::file_size(path_), kFileSize);
}

TEST_F(HeadGuardTest, NeverGoesBackAndNeverTakesASecondRoot) {
  ASSERT_OK_AND_ASSIGN(const auto guard, Create());
  EXPECT_THAT(guard->Advance(0, RootOf(1)), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_THAT(guard->Advance(5, RootOf(5)), IsOk());
  EXPECT_THAT(guard->Advance(5, RootOf(5)), IsOk());
  EXPECT_THAT(guard->Advance(5, RootOf(6)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another root")));
  EXPECT_THAT(guard->Advance(4, RootOf(4)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("size 5")));
  EXPECT_EQ(guard->head(), (GuardedHead{5, RootOf(5)}));
  EXPECT_THAT(guard->Advance(6, RootOf(6)), IsOk());
}

TEST_F(HeadGuardTest, AnotherLogsGuardIsRefused) {
  Remember({1, 2});
  EXPECT_THAT(HeadGuard::Open(path_, HashOf(0xab), HeadGuard::IfMissing::kCreate),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("other keys")));
  EXPECT_THAT(Open(), IsOk());
}

TEST_F(HeadGuardTest, SecondInstanceIsAborted) {
  ASSERT_OK_AND_ASSIGN(auto guard, Create());
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kAborted));
  const pid_t child = fork();
  if (child == 0) _exit(absl::IsAborted(Open().status()) ? 0 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  guard.reset();
  EXPECT_THAT(Open(), IsOk());
}

// --- damage ------------------------------------------------------------------------------------

TEST_F(HeadGuardTest, EveryFlippedBitIsRefused) {
  Remember({3, 8});
  const base::Bytes good = ReadGuard();
  ASSERT_EQ(good.size(), kFileSize);
  for (size_t at = 0; at < kFileSize; ++at) {
    // All bits of what is written; of the zeros around it one bit a byte.
    const bool written = at % kPage < kSealedSize;
    for (unsigned bit = written ? 0 : at % 8; bit < (written ? 8 : at % 8 + 1); ++bit) {
      base::Bytes bad = good;
      bad[at] = static_cast<uint8_t>(bad[at] ^ (1u << bit));
      WriteGuard(bad);
      ASSERT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss)) << at << ", bit " << bit;
    }
  }
  ExpectDamaged([&] {
    base::Bytes bad = good;
    bad[9] ^= 1;
    return bad;
  }());
  WriteGuard(good);
  EXPECT_THAT(Open(), IsOk());
}

TEST_F(HeadGuardTest, EveryOtherLengthIsRefused) {
  Remember({3, 8});
  const base::Bytes good = ReadGuard();
  for (size_t length = 0; length < kFileSize; ++length) {
    WriteGuard(base::ByteView(good).first(length));
    ASSERT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss)) << length;
  }
  ExpectDamaged({});
  base::Bytes longer = good;
  longer.push_back(0);
  ExpectDamaged(longer);
}

TEST_F(HeadGuardTest, SlotsThatDoNotBelongTogetherAreRefused) {
  Remember({1, 2, 3});
  const base::Bytes older = ReadGuard();
  Remember({4, 5, 6});
  const base::Bytes newer = ReadGuard();
  base::Bytes mixed = newer;
  std::copy_n(older.begin(), kPage, mixed.begin());  // one slot put back to an earlier state
  ExpectDamaged(mixed);
  mixed = older;
  std::copy_n(newer.begin(), kPage, mixed.begin());
  ExpectDamaged(mixed);
  mixed = newer;  // swapped
  std::rotate(mixed.begin(), mixed.begin() + kPage, mixed.end());
  ExpectDamaged(mixed);
  mixed = newer;  // the same one twice
  std::copy_n(newer.begin(), kPage, mixed.begin() + kPage);
  ExpectDamaged(mixed);
}

// --- crashes -----------------------------------------------------------------------------------

// A crash in the middle of Advance: any part of the new slot may have reached the file.
TEST_F(HeadGuardTest, CrashWhileAdvancingKeepsOneOfTheHeadsOrRefuses) {
  for (const bool odd : {false, true}) {
    fs::remove(path_);
    Remember(odd ? std::initializer_list<base::TreeSize>{3, 4}
                 : std::initializer_list<base::TreeSize>{2, 3, 4});
    const base::Bytes before = ReadGuard();
    Remember({5});
    const base::Bytes after = ReadGuard();
    for (size_t written = 0; written <= kPage; ++written) {
      base::Bytes torn = before;
      for (const size_t slot : {size_t{0}, kPage}) {
        std::copy_n(after.begin() + static_cast<std::ptrdiff_t>(slot), written,
                    torn.begin() + static_cast<std::ptrdiff_t>(slot));
      }
      WriteGuard(torn);
      const auto guard = Open();
      if (torn == before) {
        ASSERT_THAT(guard, IsOk());
        EXPECT_EQ((*guard)->head().tree_size, 4u);
      } else if (torn == after) {
        ASSERT_THAT(guard, IsOk());
        EXPECT_EQ((*guard)->head().tree_size, 5u);
      } else {
        ASSERT_THAT(guard, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("tree size 4")));
      }
    }
  }
}

TEST_F(HeadGuardTest, CrashWhileCreatingLeavesNoGuard) {
  FILE* file = fopen((path_ + ".new").c_str(), "wb");
  ASSERT_NE(file, nullptr);
  fputs("ktgu", file);
  fclose(file);
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK_AND_ASSIGN(const auto guard, Create());
  EXPECT_EQ(guard->head(), GuardedHead{});
}

// A write that fails is not tried again, even if it would succeed now.
TEST_F(HeadGuardTest, NothingIsRememberedAfterAFailedWrite) {
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  // No room at all, and room for a part of the slot at the file's beginning.
  for (const size_t room : {size_t{0}, kSealedSize / 2}) {
    fs::remove(path_);
    Remember({1});  // the next generation goes to the second slot, the one after to the first
    ASSERT_OK_AND_ASSIGN(auto guard, Open());
    if (room > 0) {
      ASSERT_THAT(guard->Advance(2, RootOf(2)), IsOk());
    }
    const base::TreeSize last = guard->head().tree_size;
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    const rlimit limit = {.rlim_cur = room, .rlim_max = before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const absl::Status failed = guard->Advance(3, RootOf(3));
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_THAT(failed, StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_THAT(guard->Advance(3, RootOf(3)), StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_EQ(guard->head().tree_size, last);
  }
  signal(SIGXFSZ, handler);
}

TEST_F(HeadGuardTest, NothingIsRememberedAfterAFailedSync) {
  ASSERT_OK_AND_ASSIGN(const auto guard, Create());
  ASSERT_THAT(guard->Advance(1, RootOf(1)), IsOk());
  {
    const testing::FailingSyncs failing;
    EXPECT_THAT(guard->Advance(2, RootOf(2)), StatusIs(absl::StatusCode::kUnavailable));
  }
  EXPECT_THAT(guard->Advance(2, RootOf(2)), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(guard->head().tree_size, 1u);
}

TEST_F(HeadGuardTest, EveryNewHeadIsSyncedOnce) {
  ASSERT_OK_AND_ASSIGN(const auto guard, Create());
  for (const base::TreeSize size : {1, 2, 9}) {
    const size_t before = testing::SyncCount();
    ASSERT_THAT(guard->Advance(size, RootOf(size)), IsOk());
    EXPECT_EQ(testing::SyncCount() - before, 1u);
    ASSERT_THAT(guard->Advance(size, RootOf(size)), IsOk());
    EXPECT_EQ(testing::SyncCount() - before, 1u);  // nothing new, nothing written
  }
}

// --- against a database --------------------------------------------------------------------------

TEST_F(HeadGuardTest, EmptyGuardAcceptsAnyDatabase) {
  ASSERT_OK_AND_ASSIGN(const auto guard, Create());
  const auto never = [](base::TreeSize) -> absl::StatusOr<base::Hash> {
    return absl::InternalError("asked");
  };
  EXPECT_THAT(guard->CheckAgainst(0, never), IsOk());
  EXPECT_THAT(guard->CheckAgainst(9, never), IsOk());
}

TEST_F(HeadGuardTest, DatabaseMustContainTheGuardedHead) {
  Remember({4, 7});
  ASSERT_OK_AND_ASSIGN(const auto guard, Open());
  const auto root_at = [](base::TreeSize size) -> absl::StatusOr<base::Hash> {
    return RootOf(size);
  };
  EXPECT_THAT(guard->CheckAgainst(7, root_at), IsOk());
  EXPECT_THAT(guard->CheckAgainst(9, root_at), IsOk());
  for (const base::TreeSize behind : {0, 4, 6}) {
    EXPECT_THAT(guard->CheckAgainst(behind, root_at),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("old backup")));
  }
  const auto other = [](base::TreeSize) -> absl::StatusOr<base::Hash> { return HashOf(0); };
  EXPECT_THAT(guard->CheckAgainst(7, other),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("forked")));
  EXPECT_THAT(guard->CheckAgainst(9, other),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("forked")));
  const auto broken = [](base::TreeSize) -> absl::StatusOr<base::Hash> {
    return absl::DataLossError("a node is missing");
  };
  EXPECT_THAT(guard->CheckAgainst(7, broken), StatusIs(absl::StatusCode::kDataLoss));
}

absl::Status CheckStore(const HeadGuard& guard, const Store& store) {
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot, store.GetSnapshot());
  return CheckGuarded(guard, *snapshot);
}

TEST_F(HeadGuardTest, TellsRestoredAndForkedDatabasesFromTheNewest) {
  const auto open = [&](const std::string& name) {
    absl::StatusOr<std::unique_ptr<Store>> store =
        OpenRocksDbStore({.path = dir_.path(name), .create_if_missing = true});
    KT_CHECK(store.ok());
    return *std::move(store);
  };
  const auto copy = [&](const std::string& from, const std::string& to) {
    fs::copy(dir_.path(from), dir_.path(to), fs::copy_options::recursive);
  };
  ASSERT_OK_AND_ASSIGN(const auto guard, Create());
  BatchMaker maker;
  const auto commit = [&](Store& store, BatchMaker& by, bool release) {
    const CommitBatch batch = by.Next(3);
    ASSERT_THAT(store.Commit(batch, by.size() - 3), IsOk());
    if (release) {
      ASSERT_THAT(guard->Advance(batch.head.tree_size, batch.head.root), IsOk());
    }
  };
  {
    const auto store = open("db");
    EXPECT_THAT(CheckStore(*guard, *store), IsOk());
    commit(*store, maker, true);
  }
  copy("db", "backup");
  {
    const auto store = open("db");
    commit(*store, maker, true);
    EXPECT_THAT(CheckStore(*guard, *store), IsOk());
    commit(*store, maker, false);  // a crash between commit and guard
    EXPECT_THAT(CheckStore(*guard, *store), IsOk());
  }
  {
    const auto restored = open("backup");
    EXPECT_THAT(CheckStore(*guard, *restored),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("old backup")));
  }
  {
    const auto forked = open("forked");
    BatchMaker other(/*salt=*/1);
    commit(*forked, other, false);
    EXPECT_THAT(CheckStore(*guard, *forked), StatusIs(absl::StatusCode::kFailedPrecondition));
    commit(*forked, other, false);
    EXPECT_THAT(CheckStore(*guard, *forked),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("forked")));
    commit(*forked, other, false);
    EXPECT_THAT(CheckStore(*guard, *forked),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("forked")));
  }
}

TEST(LogRootAt, RecomputesEveryEarlierRoot) {
  const std::unique_ptr<Store> store = CreateMemoryStore();
  BatchMaker maker;
  std::vector<base::Hash> roots = {base::Hash{}};
  for (int i = 0; i < 40; ++i) {
    const CommitBatch batch = maker.Next(1);
    ASSERT_THAT(store->Commit(batch, maker.size() - 1), IsOk());
    roots.push_back(batch.head.root);
  }
  ASSERT_OK_AND_ASSIGN(const auto snapshot, store->GetSnapshot());
  for (base::TreeSize size = 1; size <= maker.size(); ++size) {
    EXPECT_THAT(LogRootAt(*snapshot, size), IsOkAndHolds(roots[size]));
  }
}

TEST(LogRootAt, NoticesAHeadThatIsNotTheTrees) {
  const std::unique_ptr<Store> store = CreateMemoryStore();
  CommitBatch batch = BatchMaker().Next(5);
  batch.head.root = HashOf(1);
  ASSERT_THAT(store->Commit(batch, 0), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto snapshot, store->GetSnapshot());
  EXPECT_THAT(LogRootAt(*snapshot, 5), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(LogRootAt(*snapshot, 4), IsOk());
}

}  // namespace
}  // namespace kt::server
