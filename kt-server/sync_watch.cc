// SPDX-License-Identifier: Apache-2.0
#include "kt-server/sync_watch.h"

#include <utility>

namespace kt::server {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

namespace {

IOStatus Noted(IOStatus status, std::atomic<bool>& failed) {
  if (!status.ok()) failed = true;
  return status;
}

}  // namespace

class SyncWatch::WritableFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WritableFile(std::unique_ptr<rocksdb::FSWritableFile> target, std::atomic<bool>& failed)
      : FSWritableFileOwnerWrapper(std::move(target)), failed_(failed) {}
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return Noted(target()->Sync(options, debug), failed_);
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Noted(target()->Fsync(options, debug), failed_);
  }
  // The kernel reports an error of writing back once, so a later sync may not tell of it again.
  IOStatus RangeSync(uint64_t offset, uint64_t size, const IOOptions& options,
                     IODebugContext* debug) override {
    return Noted(target()->RangeSync(offset, size, options, debug), failed_);
  }

 private:
  std::atomic<bool>& failed_;
};

class SyncWatch::Directory : public rocksdb::FSDirectoryWrapper {
 public:
  Directory(std::unique_ptr<rocksdb::FSDirectory> target, std::atomic<bool>& failed)
      : FSDirectoryWrapper(std::move(target)), failed_(failed) {}
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Noted(FSDirectoryWrapper::Fsync(options, debug), failed_);
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& directory) override {
    return Noted(FSDirectoryWrapper::FsyncWithDirOptions(options, debug, directory), failed_);
  }

 private:
  std::atomic<bool>& failed_;
};

SyncWatch::SyncWatch(const std::shared_ptr<rocksdb::FileSystem>& target)
    : FileSystemWrapper(target) {}

SyncWatch::~SyncWatch() = default;

void SyncWatch::Watch(std::unique_ptr<rocksdb::FSWritableFile>* file) {
  if (*file != nullptr) *file = std::make_unique<WritableFile>(std::move(*file), failed_);
}

IOStatus SyncWatch::NewWritableFile(const std::string& path, const FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* out,
                                    IODebugContext* debug) {
  IOStatus status = target()->NewWritableFile(path, options, out, debug);
  if (status.ok()) Watch(out);
  return status;
}

IOStatus SyncWatch::ReopenWritableFile(const std::string& path, const FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* out,
                                       IODebugContext* debug) {
  IOStatus status = target()->ReopenWritableFile(path, options, out, debug);
  if (status.ok()) Watch(out);
  return status;
}

IOStatus SyncWatch::ReuseWritableFile(const std::string& path, const std::string& old_path,
                                      const FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* out,
                                      IODebugContext* debug) {
  IOStatus status = target()->ReuseWritableFile(path, old_path, options, out, debug);
  if (status.ok()) Watch(out);
  return status;
}

IOStatus SyncWatch::NewDirectory(const std::string& path, const IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* out,
                                 IODebugContext* debug) {
  IOStatus status = target()->NewDirectory(path, options, out, debug);
  if (status.ok()) *out = std::make_unique<Directory>(std::move(*out), failed_);
  return status;
}

}  // namespace kt::server
