// SPDX-License-Identifier: Apache-2.0
#include "kt-server/torn_manifest.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "kt-server/rocksdb_tables.h"

namespace kt::server {
namespace {

// RocksDB's log format: blocks, in each of them pieces of records, in front of each piece its
// checksum (4 bytes), length (2, little-endian) and type (1). A block's last bytes hold nothing if
// they are too few for another piece.
constexpr size_t kBlockBytes = 32 * 1024;
constexpr size_t kHeaderBytes = 7;
constexpr uint8_t kFull = 1;
constexpr uint8_t kFirst = 2;
constexpr uint8_t kLast = 4;

// Where the last record of a manifest begins, by the lengths that it tells; 0 if there is only one.
size_t LastRecord(std::string_view manifest) {
  size_t last = 0;
  size_t offset = 0;
  while (manifest.size() - offset >= kHeaderBytes) {
    const size_t left_of_block = kBlockBytes - offset % kBlockBytes;
    if (left_of_block < kHeaderBytes) {
      offset += std::min(left_of_block, manifest.size() - offset);
      continue;
    }
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(manifest[offset + i]); };
    const size_t length = kHeaderBytes + byte(4) + 256 * byte(5);
    const uint8_t type = byte(6);
    const bool known = type >= kFull && type <= kLast;
    if (!known || length > left_of_block || length > manifest.size() - offset) return last;
    if (type == kFull || type == kFirst) last = offset;
    offset += length;
  }
  return last;
}

// A file that is read from memory.
class FileInMemory : public rocksdb::FSSequentialFile {
 public:
  explicit FileInMemory(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)) {}
  rocksdb::IOStatus Read(size_t size, const rocksdb::IOOptions&, rocksdb::Slice* result,
                         char* scratch, rocksdb::IODebugContext*) override {
    const size_t read = bytes_->copy(scratch, size, offset_);
    *result = rocksdb::Slice(scratch, read);
    offset_ += read;
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Skip(uint64_t size) override {
    offset_ += std::min<uint64_t>(size, bytes_->size() - offset_);
    return rocksdb::IOStatus::OK();
  }

 private:
  const std::shared_ptr<const std::string> bytes_;
  size_t offset_ = 0;
};

// Whoever reads one of its files from the beginning is shown other bytes.
class OneFileReplaced : public rocksdb::FileSystemWrapper {
 public:
  OneFileReplaced(const std::shared_ptr<rocksdb::FileSystem>& target, std::string path,
                  std::string bytes)
      : FileSystemWrapper(target),
        path_(std::move(path)),
        bytes_(std::make_shared<const std::string>(std::move(bytes))) {}
  const char* Name() const override { return "OneFileReplaced"; }
  rocksdb::IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* out,
                                      rocksdb::IODebugContext* debug) override {
    if (path != path_) return FileSystemWrapper::NewSequentialFile(path, options, out, debug);
    *out = std::make_unique<FileInMemory>(bytes_);
    return rocksdb::IOStatus::OK();
  }

 private:
  const std::string path_;
  const std::shared_ptr<const std::string> bytes_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<rocksdb::FileSystem>> WithoutLastManifestRecord(
    const std::shared_ptr<rocksdb::FileSystem>& target, const std::string& path) {
  const auto read = [&](const std::string& file, std::string* bytes) {
    return FromRocksDb(rocksdb::ReadFileToString(target.get(), file, bytes), file);
  };
  std::string current;
  KT_RETURN_IF_ERROR(read(path + "/CURRENT", &current));
  const std::string name(absl::StripSuffix(current, "\n"));
  if (!name.starts_with("MANIFEST-") || name.find('/') != std::string::npos) {
    return absl::DataLossError(absl::StrCat(path, "/CURRENT names no manifest"));
  }
  const std::string file = absl::StrCat(path, "/", name);
  std::string manifest;
  KT_RETURN_IF_ERROR(read(file, &manifest));
  const size_t last = LastRecord(manifest);
  if (last == 0) return absl::DataLossError(absl::StrCat(file, " is damaged from its beginning"));
  manifest.resize(last);
  return std::make_shared<OneFileReplaced>(target, file, std::move(manifest));
}

}  // namespace kt::server
