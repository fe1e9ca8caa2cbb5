// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_SYNC_WATCH_H_
#define KT_SERVER_SYNC_WATCH_H_

#include <rocksdb/file_system.h>

#include <atomic>
#include <memory>
#include <string>

namespace kt::server {

// A file system for RocksDB that remembers whether a sync failed: also one in the background, whose
// failure RocksDB might tell of late. Thread-safe, as the file system below is.
class SyncWatch : public rocksdb::FileSystemWrapper {
 public:
  explicit SyncWatch(const std::shared_ptr<rocksdb::FileSystem>& target);
  ~SyncWatch() override;
  const char* Name() const override { return "SyncWatch"; }

  // Whether a sync of a file or a directory failed since this was made.
  bool failed() const { return failed_; }

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* out,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* out,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& path, const std::string& old_path,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* out,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* out,
                                 rocksdb::IODebugContext* debug) override;

 private:
  class WritableFile;
  class Directory;

  void Watch(std::unique_ptr<rocksdb::FSWritableFile>* file);

  std::atomic<bool> failed_ = false;
};

}  // namespace kt::server
#endif  // KT_SERVER_SYNC_WATCH_H_
