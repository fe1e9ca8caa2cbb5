// SPDX-License-Identifier: Apache-2.0
//
// A disk that fails: under RocksDB as its file system, under the head guard as its system calls.
// Files lie where they would lie without it, so that what it leaves can be opened by anybody; but
// it knows what of them was synced, and at a chosen operation it ends the process and, if the power
// fails too, takes back what a real disk may take back:
//
//   bytes  of a file since its last sync, from some byte on; what is left may end in rubbish
//   names  that were made, changed or removed in a directory since its last sync, from some change
//          on: file systems with a journal keep the order of such changes
//
// Nothing is ever synced to the real disk, since the kernel does not die.
#ifndef TESTS_SUPPORT_FAULT_DISK_H_
#define TESTS_SUPPORT_FAULT_DISK_H_

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/file.h"
#include "tests/support/fakes.h"

namespace kt::testing {

// Thread-safe.
class FaultDisk {
 public:
  enum class Crash {
    kProcess,  // kill -9: what was written stays
    kPower,
  };
  static constexpr int kCrashed = 77;  // exit code of a process that crashed here
  static constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

  // `scratch` is a directory of its own outside of the database, which lasts as long as the files
  // do: what a process that was killed had not synced, the power can still take from the next one.
  FaultDisk(uint64_t seed, const std::string& scratch);
  FaultDisk(const FaultDisk&) = delete;
  FaultDisk& operator=(const FaultDisk&) = delete;
  ~FaultDisk();

  rocksdb::Env* env() { return env_.get(); }
  const base::FileCalls& files() const { return *files_; }

  // Ends the process at the `operation`-th operation from now on, which may be carried out before,
  // in part or not at all. Operations are writes, syncs and changes of names.
  void CrashAt(uint64_t operation, Crash crash);

  // From now on a write that exceeds `bytes` in all is carried out up to there, and fails.
  void SetSpace(uint64_t bytes);
  // While set, writes are carried out in part and fail with EIO.
  void FailWrites(bool failing);
  // How syncs of files and directories fail from now on, if they do; then nothing is synced.
  enum class SyncFault { kNone, kEio, kNoSpace };
  void FailSyncs(SyncFault fault);
  // While set, syncs succeed and nothing is synced, which no log survives.
  void LieAboutSyncs(bool lying);
  // How long each sync takes.
  void SetSyncTime(absl::Duration time);

  uint64_t operations() const;
  uint64_t syncs() const;  // tried, those that failed included

  // What a power cut takes back, without the end of the process; for tests of this class. All files
  // must be closed.
  void CutPower();

 private:
  class Files;
  class FileSystem;
  class WritableFile;
  class Directory;

  // What is known of a file that was written to.
  struct File {
    std::string path;
    uint64_t size = 0;
    uint64_t synced = 0;  // bytes from the beginning that no power cut takes
  };
  // A change of names in a directory that was not synced since.
  struct Change {
    std::string from;  // empty if the file was made
    std::string to;    // empty if the file was removed
    std::string kept;  // where the file lies that was at `to`, or was removed; empty if none was
  };
  // Bytes that were overwritten in place.
  struct Overwritten {
    int fd;
    off_t offset;
    base::Bytes before;
  };

  enum class Step { kGoOn, kCrash };
  // Counts an operation, and tells whether it is the one to crash at.
  Step Count() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[noreturn]] void Die() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Coin() { return random_.Below(2) == 0; }

  rocksdb::IOStatus Append(File& file, const rocksdb::Slice& data, rocksdb::FSWritableFile& target);
  rocksdb::IOStatus Sync(File& file);
  rocksdb::IOStatus SyncNames(const std::string& directory);
  rocksdb::IOStatus Create(const std::string& path, std::shared_ptr<File>* file);
  rocksdb::IOStatus Rename(const std::string& from, const std::string& to);
  rocksdb::IOStatus Remove(const std::string& path);
  ssize_t Overwrite(int fd, base::ByteView bytes, off_t offset);
  int SyncOverwritten(int fd);
  rocksdb::IOStatus TrySync(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Moves the file at `path` out of sight, if there is one; returns where to.
  std::string Keep(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeBack() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeBackNames() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeBackBytes(const File& file) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LoadUnsynced() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SaveUnsynced() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string scratch_;
  SeededRandom random_;
  std::unique_ptr<base::FileCalls> files_;
  std::unique_ptr<rocksdb::Env> env_;

  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<File>> by_path_ ABSL_GUARDED_BY(mutex_);
  std::vector<Change> changes_ ABSL_GUARDED_BY(mutex_);
  std::vector<Overwritten> overwritten_ ABSL_GUARDED_BY(mutex_);
  uint64_t kept_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t operations_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t syncs_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t crash_at_ ABSL_GUARDED_BY(mutex_) = kUnlimited;
  Crash crash_ ABSL_GUARDED_BY(mutex_) = Crash::kProcess;
  uint64_t space_ ABSL_GUARDED_BY(mutex_) = kUnlimited;
  bool failing_writes_ ABSL_GUARDED_BY(mutex_) = false;
  SyncFault sync_fault_ ABSL_GUARDED_BY(mutex_) = SyncFault::kNone;
  bool lying_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration sync_time_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();
};

}  // namespace kt::testing
#endif  // TESTS_SUPPORT_FAULT_DISK_H_
