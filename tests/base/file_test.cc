// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "tests/support/status_matchers.h"

namespace kt::base {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    std::string name = ::testing::TempDir() + "/kt-file-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  ~FileTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  // Creates a file behind the back of the code under test.
  std::string Make(const std::string& name, const std::string& content, mode_t mode) {
    const int fd = open(Path(name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    EXPECT_GE(fd, 0);
    EXPECT_EQ(write(fd, content.data(), content.size()), static_cast<ssize_t>(content.size()));
    EXPECT_EQ(fchmod(fd, mode), 0);
    close(fd);
    return Path(name);
  }
  mode_t ModeOf(const std::string& path) const {
    struct stat info {};
    EXPECT_EQ(stat(path.c_str(), &info), 0);
    return info.st_mode & 07777;
  }
  // Names in the directory, to see that nothing is left behind.
  std::set<std::string> Names() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      names.insert(entry.path().filename());
    }
    return names;
  }

  std::string directory_;
};

// A test that would wait for ever is killed instead.
class Watchdog {
 public:
  Watchdog() { alarm(20); }
  ~Watchdog() { alarm(0); }
};

TEST_F(FileTest, ReadsAWholeFileUpToTheBound) {
  const std::string path = Make("file", "12345", 0644);
  EXPECT_THAT(ReadFile(path, 5), IsOkAndHolds(ToBytes("12345")));
  EXPECT_THAT(ReadFile(path, 6), IsOkAndHolds(ToBytes("12345")));
  EXPECT_THAT(ReadFile(path, 4), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(ReadFile(Make("empty", "", 0644), 0), IsOkAndHolds(Bytes()));
}

TEST_F(FileTest, SaysThatThereIsNoFile) {
  EXPECT_THAT(ReadFile(Path("none"), 10),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(Path("none"))));
  EXPECT_THAT(ReadSecretFile(Path("none"), 10), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FileTest, RefusesWhatIsNotARegularFile) {
  EXPECT_THAT(ReadFile(directory_, 10), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ReadFile("/dev/zero", 10), StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_EQ(chmod(directory_.c_str(), 0700), 0);
  EXPECT_THAT(ReadSecretFile(directory_, 10), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(FileTest, DoesNotWaitForTheWriterOfAFifo) {
  const Watchdog watchdog;
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  EXPECT_THAT(ReadFile(Path("fifo"), 10), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ReadSecretFile(Path("fifo"), 10), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(FileTest, FollowsSymbolicLinksWhenReading) {
  Make("target", "x", 0600);
  ASSERT_EQ(symlink("target", Path("link").c_str()), 0);
  EXPECT_THAT(ReadFile(Path("link"), 10), IsOkAndHolds(ToBytes("x")));
  EXPECT_THAT(ReadSecretFile(Path("link"), 10), IsOk());
  ASSERT_EQ(symlink("loop", Path("loop").c_str()), 0);
  EXPECT_FALSE(ReadFile(Path("loop"), 10).ok());
}

TEST_F(FileTest, RefusesASecretThatOthersMayTouch) {
  for (const mode_t mode : {0604, 0640, 0644, 0620, 0602, 0610, 0601, 0660, 0777}) {
    const std::string path = Make("secret", "s", mode);
    EXPECT_THAT(ReadSecretFile(path, 10),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("chmod 600 " + path)))
        << std::oct << mode;
    ASSERT_EQ(unlink(path.c_str()), 0);
  }
  // Also through a link, whose own mode says nothing.
  Make("secret", "s", 0644);
  ASSERT_EQ(symlink("secret", Path("link").c_str()), 0);
  EXPECT_THAT(ReadSecretFile(Path("link"), 10), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(FileTest, ReadsASecretThatOnlyItsOwnerMayTouch) {
  for (const mode_t mode : {0600, 0400, 0700}) {
    const std::string path = Make("secret", "0123", mode);
    ASSERT_OK_AND_ASSIGN(const SecretBytes secret, ReadSecretFile(path, 4));
    EXPECT_EQ(ToText(secret.Expose()), "0123");
    EXPECT_THAT(ReadSecretFile(path, 3), StatusIs(absl::StatusCode::kOutOfRange));
    ASSERT_EQ(unlink(path.c_str()), 0);
  }
}

TEST_F(FileTest, WritesWithTheGivenMode) {
  const mode_t before = umask(022);
  EXPECT_THAT(WriteFileAtomically(Path("public"), AsBytes("p"), 0644), IsOk());
  EXPECT_THAT(WriteFileAtomically(Path("secret"), AsBytes("s"), 0600), IsOk());
  umask(before);
  EXPECT_EQ(ModeOf(Path("public")), 0644u);
  EXPECT_EQ(ModeOf(Path("secret")), 0600u);
  EXPECT_THAT(Names(), ::testing::ElementsAre("public", "secret"));
}

TEST_F(FileTest, ReplacesContentAndMode) {
  const std::string path = Make("file", "a much longer content than the new one", 0644);
  EXPECT_THAT(WriteFileAtomically(path, AsBytes("new"), 0600), IsOk());
  EXPECT_THAT(ReadFile(path, 100), IsOkAndHolds(ToBytes("new")));
  EXPECT_EQ(ModeOf(path), 0600u);
}

// The file is another one afterwards: whoever had the old one open keeps reading the old bytes.
TEST_F(FileTest, ReplacesInsteadOfOverwriting) {
  const std::string path = Make("file", "old", 0644);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_THAT(WriteFileAtomically(path, AsBytes("new"), 0644), IsOk());
  char buffer[8];
  ASSERT_EQ(read(fd, buffer, sizeof(buffer)), 3);
  EXPECT_EQ(std::string(buffer, 3), "old");
  close(fd);
}

TEST_F(FileTest, ReplacesALinkAndLeavesItsTargetAlone) {
  const std::string target = Make("target", "precious", 0644);
  ASSERT_EQ(symlink("target", Path("link").c_str()), 0);
  ASSERT_THAT(WriteFileAtomically(Path("link"), AsBytes("new"), 0644), IsOk());
  EXPECT_THAT(ReadFile(target, 100), IsOkAndHolds(ToBytes("precious")));
  EXPECT_THAT(ReadFile(Path("link"), 100), IsOkAndHolds(ToBytes("new")));
}

TEST_F(FileTest, OutputGoesToWhatIsThereUnlessItIsAFile) {
  ASSERT_THAT(WriteOutput(Path("out"), AsBytes("first")), IsOk());
  ASSERT_THAT(WriteOutput(Path("out"), AsBytes("two")), IsOk());
  EXPECT_THAT(ReadFile(Path("out"), 100), IsOkAndHolds(ToBytes("two")));
  ASSERT_EQ(symlink("out", Path("link").c_str()), 0);
  ASSERT_THAT(WriteOutput(Path("link"), AsBytes("3")), IsOk());
  EXPECT_THAT(ReadFile(Path("out"), 100), IsOkAndHolds(ToBytes("3")));
  EXPECT_TRUE(std::filesystem::is_symlink(Path("link")));
  EXPECT_THAT(WriteOutput("/dev/null", AsBytes("gone")), IsOk());
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_THAT(WriteOutput("/dev/full", AsBytes("no room")),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(WriteOutput(Path("missing/out"), AsBytes("x")),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FileTest, WritesOverWhatACrashLeftBehind) {
  Make("file.new", "half of somethi", 0666);
  ASSERT_THAT(WriteFileAtomically(Path("file"), AsBytes("whole"), 0600), IsOk());
  EXPECT_THAT(ReadFile(Path("file"), 100), IsOkAndHolds(ToBytes("whole")));
  EXPECT_EQ(ModeOf(Path("file")), 0600u);
  EXPECT_THAT(Names(), ::testing::ElementsAre("file"));
}

// Somebody may have put a link where the temporary file goes.
TEST_F(FileTest, DoesNotWriteThroughALinkInPlaceOfTheTemporaryFile) {
  const std::string target = Make("target", "precious", 0644);
  ASSERT_EQ(symlink("target", Path("file.new").c_str()), 0);
  ASSERT_THAT(WriteFileAtomically(Path("file"), AsBytes("new"), 0600), IsOk());
  EXPECT_THAT(ReadFile(target, 100), IsOkAndHolds(ToBytes("precious")));
}

TEST_F(FileTest, LeavesNothingBehindWhenReplacingFails) {
  ASSERT_EQ(mkdir(Path("directory").c_str(), 0700), 0);
  EXPECT_FALSE(WriteFileAtomically(Path("directory"), AsBytes("x"), 0600).ok());
  EXPECT_THAT(Names(), ::testing::ElementsAre("directory"));
  EXPECT_THAT(WriteFileAtomically(Path("none/file"), AsBytes("x"), 0600),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FileTest, WritesRelativePaths) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(directory_);
  EXPECT_THAT(WriteFileAtomically("relative", AsBytes("x"), 0600), IsOk());
  std::filesystem::current_path(before);
  EXPECT_THAT(Names(), ::testing::ElementsAre("relative"));
}

// Runs `body` in a child process and returns its exit status.
template <typename Body>
int InChild(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
int TryLock(const std::string& path) {
  const absl::StatusOr<FileLock> lock = FileLock::Acquire(path);
  return lock.ok() ? 0 : static_cast<int>(lock.status().code());
}

TEST_F(FileTest, LockExcludesAnotherProcess) {
  const std::string path = Path("lock");
  std::optional<FileLock> lock;
  { ASSERT_OK_AND_ASSIGN(lock, FileLock::Acquire(path)); }
  EXPECT_EQ(ModeOf(path), 0600u);
  const auto try_lock = [&] { return TryLock(path); };
  EXPECT_EQ(InChild(try_lock), static_cast<int>(absl::StatusCode::kAborted));
  lock.reset();
  EXPECT_EQ(InChild(try_lock), 0);
}

TEST_F(FileTest, LockExcludesItsOwnProcess) {
  ASSERT_OK_AND_ASSIGN(const FileLock lock, FileLock::Acquire(Path("lock")));
  EXPECT_THAT(FileLock::Acquire(Path("lock")), StatusIs(absl::StatusCode::kAborted));
}

TEST_F(FileTest, LockMovesWithItsOwner) {
  const std::string path = Path("lock");
  ASSERT_OK_AND_ASSIGN(FileLock first, FileLock::Acquire(path));
  std::optional<FileLock> second(std::move(first));
  EXPECT_EQ(TryLock(path), static_cast<int>(absl::StatusCode::kAborted));
  second.reset();
  EXPECT_EQ(TryLock(path), 0);
}

TEST_F(FileTest, LockGivesUpTheOldOneWhenAnotherIsMovedIn) {
  ASSERT_OK_AND_ASSIGN(FileLock a, FileLock::Acquire(Path("a")));
  {
    ASSERT_OK_AND_ASSIGN(FileLock b, FileLock::Acquire(Path("b")));
    a = std::move(b);
  }
  EXPECT_EQ(TryLock(Path("a")), 0);
  EXPECT_EQ(TryLock(Path("b")), static_cast<int>(absl::StatusCode::kAborted));
}

TEST_F(FileTest, LockOfAProcessThatDiedIsFree) {
  const std::string path = Path("lock");
  EXPECT_EQ(InChild([&] {
              const absl::StatusOr<FileLock> lock = FileLock::Acquire(path);
              if (!lock.ok()) return 1;
              _exit(0);  // without the destructor
            }),
            0);
  EXPECT_EQ(TryLock(path), 0);
}

TEST_F(FileTest, LockDoesNotFollowLinksOrTakeDirectories) {
  Make("target", "", 0600);
  ASSERT_EQ(symlink("target", Path("link").c_str()), 0);
  EXPECT_FALSE(FileLock::Acquire(Path("link")).ok());
  EXPECT_FALSE(FileLock::Acquire(directory_).ok());
  EXPECT_THAT(FileLock::Acquire(Path("none/lock")), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace kt::base
