// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fault_disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/check.h"

namespace kt::testing {
namespace {

namespace fs = std::filesystem;
using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr char kUnsyncedFile[] = "unsynced";

std::string DirectoryOf(const std::string& path) { return fs::path(path).parent_path().string(); }

IOStatus NoSpace(const std::string& path) { return IOStatus::NoSpace("injected: no space", path); }
IOStatus Eio(const std::string& path) { return IOStatus::IOError("injected: EIO", path); }

}  // namespace

// --- what RocksDB and the head guard see ----------------------------------------------------

class FaultDisk::Files : public base::FileCalls {
 public:
  explicit Files(FaultDisk& disk) : disk_(disk) {}
  ssize_t Pwrite(int fd, base::ByteView bytes, off_t offset) const override {
    return disk_.Overwrite(fd, bytes, offset);
  }
  int Fdatasync(int fd) const override { return disk_.SyncOverwritten(fd); }

 private:
  FaultDisk& disk_;
};

class FaultDisk::WritableFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WritableFile(FaultDisk& disk, std::shared_ptr<File> file,
               std::unique_ptr<rocksdb::FSWritableFile> target)
      : FSWritableFileOwnerWrapper(std::move(target)), disk_(disk), file_(std::move(file)) {}

  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    return disk_.Append(*file_, data, *target());
  }
  IOStatus Append(const Slice& data, const IOOptions&, const rocksdb::DataVerificationInfo&,
                  IODebugContext*) override {
    return disk_.Append(*file_, data, *target());
  }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return disk_.Sync(*file_); }
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return disk_.Sync(*file_); }
  // A hint to begin writing back, which promises nothing.
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }

 private:
  FaultDisk& disk_;
  const std::shared_ptr<File> file_;
};

class FaultDisk::Directory : public rocksdb::FSDirectoryWrapper {
 public:
  Directory(FaultDisk& disk, std::string path, std::unique_ptr<rocksdb::FSDirectory> target)
      : FSDirectoryWrapper(std::move(target)), disk_(disk), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return disk_.SyncNames(path_); }
  IOStatus FsyncWithDirOptions(const IOOptions&, IODebugContext*,
                               const rocksdb::DirFsyncOptions&) override {
    return disk_.SyncNames(path_);
  }

 private:
  FaultDisk& disk_;
  const std::string path_;
};

class FaultDisk::FileSystem : public rocksdb::FileSystemWrapper {
 public:
  explicit FileSystem(FaultDisk& disk)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), disk_(disk) {}
  const char* Name() const override { return "FaultDisk"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* out,
                           IODebugContext* debug) override {
    std::shared_ptr<File> file;
    IOStatus status = disk_.Create(path, &file);
    std::unique_ptr<rocksdb::FSWritableFile> real;
    if (status.ok()) status = target()->NewWritableFile(path, options, &real, debug);
    if (status.ok()) {
      *out = std::make_unique<WritableFile>(disk_, std::move(file), std::move(real));
    }
    return status;
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* out,
                        IODebugContext* debug) override {
    std::unique_ptr<rocksdb::FSDirectory> real;
    IOStatus status = target()->NewDirectory(path, options, &real, debug);
    if (status.ok()) *out = std::make_unique<Directory>(disk_, path, std::move(real));
    return status;
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) override {
    return disk_.Remove(path);
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&,
                      IODebugContext*) override {
    return disk_.Rename(from, to);
  }
  IOStatus GetFreeSpace(const std::string& path, const IOOptions& options, uint64_t* bytes,
                        IODebugContext* debug) override {
    IOStatus status = target()->GetFreeSpace(path, options, bytes, debug);
    absl::MutexLock lock(&disk_.mutex_);
    *bytes = std::min(*bytes, disk_.space_);
    return status;
  }
  // Nothing here is known to use these, so they need not be modelled.
  IOStatus ReopenWritableFile(const std::string& path, const FileOptions&,
                              std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override {
    return IOStatus::NotSupported("ReopenWritableFile", path);
  }
  IOStatus ReuseWritableFile(const std::string& path, const std::string&, const FileOptions&,
                             std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override {
    return IOStatus::NotSupported("ReuseWritableFile", path);
  }
  IOStatus NewRandomRWFile(const std::string& path, const FileOptions&,
                           std::unique_ptr<rocksdb::FSRandomRWFile>*, IODebugContext*) override {
    return IOStatus::NotSupported("NewRandomRWFile", path);
  }
  IOStatus LinkFile(const std::string& path, const std::string&, const IOOptions&,
                    IODebugContext*) override {
    return IOStatus::NotSupported("LinkFile", path);
  }
  IOStatus Truncate(const std::string& path, size_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::NotSupported("Truncate", path);
  }

 private:
  FaultDisk& disk_;
};

// --- the disk ---------------------------------------------------------------------------------

FaultDisk::FaultDisk(uint64_t seed, const std::string& scratch)
    : scratch_(scratch),
      random_(seed),
      files_(std::make_unique<Files>(*this)),
      env_(rocksdb::NewCompositeEnv(std::make_shared<FileSystem>(*this))) {
  absl::MutexLock lock(&mutex_);
  LoadUnsynced();
  fs::remove_all(scratch_);
  fs::create_directories(scratch_);
}

FaultDisk::~FaultDisk() = default;

void FaultDisk::CrashAt(uint64_t operation, Crash crash) {
  absl::MutexLock lock(&mutex_);
  crash_at_ = operations_ + operation;
  crash_ = crash;
}
void FaultDisk::SetSpace(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  space_ = bytes;
}
void FaultDisk::FailWrites(bool failing) {
  absl::MutexLock lock(&mutex_);
  failing_writes_ = failing;
}
void FaultDisk::FailSyncs(SyncFault fault) {
  absl::MutexLock lock(&mutex_);
  sync_fault_ = fault;
}
void FaultDisk::LieAboutSyncs(bool lying) {
  absl::MutexLock lock(&mutex_);
  lying_ = lying;
}
void FaultDisk::SetSyncTime(absl::Duration time) {
  absl::MutexLock lock(&mutex_);
  sync_time_ = time;
}
uint64_t FaultDisk::operations() const {
  absl::MutexLock lock(&mutex_);
  return operations_;
}
uint64_t FaultDisk::syncs() const {
  absl::MutexLock lock(&mutex_);
  return syncs_;
}
void FaultDisk::CutPower() {
  absl::MutexLock lock(&mutex_);
  TakeBack();
}

FaultDisk::Step FaultDisk::Count() {
  return ++operations_ == crash_at_ ? Step::kCrash : Step::kGoOn;
}

void FaultDisk::Die() {
  if (crash_ == Crash::kPower) {
    TakeBack();
  } else {
    SaveUnsynced();
  }
  // As a kill does: no destructor, nothing flushed. The lock is held, so nobody writes any more.
  _exit(kCrashed);
}

IOStatus FaultDisk::Append(File& file, const Slice& data, rocksdb::FSWritableFile& target) {
  absl::MutexLock lock(&mutex_);
  const Step step = Count();
  size_t size = data.size();
  if (step == Step::kCrash || failing_writes_) size = random_.Below(size + 1);
  const bool full = size > space_;
  if (full) size = space_;
  const IOStatus status = target.Append(Slice(data.data(), size), IOOptions(), nullptr);
  if (!status.ok()) return status;
  file.size += size;
  if (space_ != kUnlimited) space_ -= size;
  if (step == Step::kCrash) Die();
  if (full) return NoSpace(file.path);
  return failing_writes_ ? Eio(file.path) : IOStatus::OK();
}

IOStatus FaultDisk::TrySync(const std::string& path) {
  ++syncs_;
  if (sync_time_ > absl::ZeroDuration()) absl::SleepFor(sync_time_);
  const Step step = Count();
  if (step == Step::kCrash && Coin()) Die();
  if (sync_fault_ == SyncFault::kNone) return IOStatus::OK();
  return sync_fault_ == SyncFault::kEio ? Eio(path) : NoSpace(path);
}

IOStatus FaultDisk::Sync(File& file) {
  absl::MutexLock lock(&mutex_);
  const IOStatus status = TrySync(file.path);
  if (!status.ok()) return status;
  if (!lying_) file.synced = file.size;
  if (operations_ == crash_at_) Die();
  return IOStatus::OK();
}

IOStatus FaultDisk::SyncNames(const std::string& directory) {
  absl::MutexLock lock(&mutex_);
  const IOStatus status = TrySync(directory);
  if (!status.ok()) return status;
  std::erase_if(changes_, [&](const Change& change) {
    if (lying_) return false;
    if (DirectoryOf(change.to.empty() ? change.from : change.to) != directory) return false;
    if (!change.kept.empty()) fs::remove(change.kept);
    return true;
  });
  if (operations_ == crash_at_) Die();
  return IOStatus::OK();
}

std::string FaultDisk::Keep(const std::string& path) {
  if (!fs::exists(path)) return "";
  const std::string kept = absl::StrCat(scratch_, "/", ++kept_);
  fs::rename(path, kept);
  by_path_.erase(path);
  return kept;
}

IOStatus FaultDisk::Create(const std::string& path, std::shared_ptr<File>* file) {
  absl::MutexLock lock(&mutex_);
  if (Count() == Step::kCrash) Die();
  if (space_ == 0) return NoSpace(path);
  changes_.push_back({"", path, Keep(path)});
  *file = std::make_shared<File>();
  (*file)->path = path;
  by_path_[path] = *file;
  return IOStatus::OK();
}

IOStatus FaultDisk::Rename(const std::string& from, const std::string& to) {
  absl::MutexLock lock(&mutex_);
  const Step step = Count();
  if (step == Step::kCrash && Coin()) Die();
  if (!fs::exists(from)) return IOStatus::PathNotFound("rename", from);
  changes_.push_back({from, to, Keep(to)});
  fs::rename(from, to);
  if (const auto found = by_path_.find(from); found != by_path_.end()) {
    found->second->path = to;
    by_path_[to] = found->second;
    by_path_.erase(from);
  }
  if (step == Step::kCrash) Die();
  return IOStatus::OK();
}

IOStatus FaultDisk::Remove(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  const Step step = Count();
  if (step == Step::kCrash && Coin()) Die();
  if (!fs::exists(path)) return IOStatus::PathNotFound("remove", path);
  std::string kept = Keep(path);
  changes_.push_back({path, "", std::move(kept)});
  if (step == Step::kCrash) Die();
  return IOStatus::OK();
}

// A sector is written whole or not at all, and the head guard writes less than one.
ssize_t FaultDisk::Overwrite(int fd, base::ByteView bytes, off_t offset) {
  absl::MutexLock lock(&mutex_);
  const Step step = Count();
  if (step == Step::kCrash && Coin()) Die();
  if (failing_writes_) {
    errno = EIO;
    return -1;
  }
  // The descriptor itself may be for writing only.
  const int reader = open(absl::StrCat("/proc/self/fd/", fd).c_str(), O_RDONLY | O_CLOEXEC);
  KT_CHECK(reader >= 0);
  base::Bytes before(bytes.size());
  const ssize_t got = pread(reader, before.data(), before.size(), offset);
  close(reader);
  KT_CHECK(got == static_cast<ssize_t>(before.size()));
  overwritten_.push_back({fd, offset, std::move(before)});
  const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), offset);
  if (step == Step::kCrash) Die();
  return written;
}

int FaultDisk::SyncOverwritten(int fd) {
  absl::MutexLock lock(&mutex_);
  const IOStatus status = TrySync("the head guard");
  if (!status.ok()) {
    errno = status.IsNoSpace() ? ENOSPC : EIO;
    return -1;
  }
  std::erase_if(overwritten_, [&](const Overwritten& write) { return !lying_ && write.fd == fd; });
  if (operations_ == crash_at_) Die();
  return 0;
}

// --- the power ----------------------------------------------------------------------------------

void FaultDisk::TakeBack() {
  for (auto write = overwritten_.rbegin(); write != overwritten_.rend(); ++write) {
    if (Coin()) continue;
    const ssize_t written =
        pwrite(write->fd, write->before.data(), write->before.size(), write->offset);
    KT_CHECK(written == static_cast<ssize_t>(write->before.size()));
  }
  overwritten_.clear();
  TakeBackNames();
  for (const auto& [path, file] : by_path_) TakeBackBytes(*file);
  by_path_.clear();
}

void FaultDisk::TakeBackNames() {
  // Half of the time all or nothing, since that is what happens most.
  size_t stay = random_.Below(changes_.size() + 1);
  if (Coin()) stay = Coin() ? 0 : changes_.size();
  while (changes_.size() > stay) {
    const Change change = std::move(changes_.back());
    changes_.pop_back();
    if (change.from.empty()) {
      fs::remove(change.to);
      by_path_.erase(change.to);
    } else if (!change.to.empty()) {
      fs::rename(change.to, change.from);
      if (const auto found = by_path_.find(change.to); found != by_path_.end()) {
        found->second->path = change.from;
        by_path_[change.from] = found->second;
        by_path_.erase(change.to);
      }
    }
    // What was kept was there for long, and nobody had a reason to write to it any more.
    if (!change.kept.empty()) fs::rename(change.kept, change.to.empty() ? change.from : change.to);
  }
  changes_.clear();
}

void FaultDisk::TakeBackBytes(const File& file) {
  if (file.synced >= file.size || !fs::exists(file.path)) return;
  const uint64_t left = file.synced + random_.Below(file.size - file.synced + 1);
  fs::resize_file(file.path, left);
  // The length may have reached the disk before the bytes.
  if (left == file.synced || random_.Below(3) != 0) return;
  constexpr uint64_t kSector = 512;
  base::Bytes rubbish(random_.Below(std::min(kSector, left - file.synced) + 1));
  if (Coin()) random_.Fill(rubbish);
  const int fd = open(file.path.c_str(), O_WRONLY | O_CLOEXEC);
  KT_CHECK(fd >= 0);
  const auto offset = static_cast<off_t>(left - rubbish.size());
  const ssize_t written = pwrite(fd, rubbish.data(), rubbish.size(), offset);
  KT_CHECK(written == static_cast<ssize_t>(rubbish.size()));
  close(fd);
}

// One line a file: how much of it is synced, and its path. The names count as synced.
void FaultDisk::SaveUnsynced() {
  std::ofstream out(scratch_ + "/" + kUnsyncedFile);
  for (const auto& [path, file] : by_path_) {
    if (file->synced < file->size) out << file->synced << " " << path << "\n";
  }
}

void FaultDisk::LoadUnsynced() {
  std::ifstream in(scratch_ + "/" + kUnsyncedFile);
  uint64_t synced = 0;
  std::string path;
  while (in >> synced >> path) {
    if (!fs::exists(path)) continue;
    auto file = std::make_shared<File>();
    file->path = path;
    file->size = fs::file_size(path);
    file->synced = synced;
    by_path_[path] = std::move(file);
  }
}

}  // namespace kt::testing
