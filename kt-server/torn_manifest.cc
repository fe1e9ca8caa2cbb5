// SPDX-License-Identifier: Apache-2.0
#include "kt-server/torn_manifest.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "kt-server/rocksdb_status.h"

namespace kt::server {
namespace {

// RocksDB's log format: blocks, in each of them pieces of records, in front of each piece its
// checksum (4 bytes), length (2, little-endian) and type (1). A block's last bytes hold nothing if
// they are too few for another piece.
constexpr size_t kBlockBytes = 32 * 1024;
constexpr size_t kHeaderBytes = 7;
enum PieceType : uint8_t { kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };
// More than a power cut tears: what was written since the last sync.
constexpr size_t kMaxTornBytes = 64 * 1024;

// CRC-32C (RFC 3720 appendix B.4).
uint32_t Crc32c(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

uint32_t LittleEndian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

struct Piece {
  PieceType type;
  size_t size;  // header included
};

// The piece at `offset`; nullopt if there is none whose checksum is right.
std::optional<Piece> SoundPieceAt(std::string_view manifest, size_t offset) {
  const size_t room = std::min(kBlockBytes - offset % kBlockBytes, manifest.size() - offset);
  if (room < kHeaderBytes) return std::nullopt;
  const std::string_view header = manifest.substr(offset, kHeaderBytes);
  const size_t size = kHeaderBytes + LittleEndian(header.substr(4, 2));
  const auto type = static_cast<PieceType>(header[6]);
  if (type < kFull || type > kLast || size > room) return std::nullopt;
  const uint32_t crc = Crc32c(manifest.substr(offset + 6, size - 6));  // of type and bytes
  const uint32_t masked = (crc >> 15 | crc << 17) + 0xa282ead8;
  if (LittleEndian(header.substr(0, 4)) != masked) return std::nullopt;
  return Piece{type, size};
}

// Where the sound records of a manifest end, of which it holds more bytes.
size_t EndOfSoundRecords(std::string_view manifest) {
  size_t end = 0;
  size_t offset = 0;
  while (offset < manifest.size()) {
    const size_t left_of_block = kBlockBytes - offset % kBlockBytes;
    if (left_of_block < kHeaderBytes) {
      offset += left_of_block;
      continue;
    }
    const std::optional<Piece> piece = SoundPieceAt(manifest, offset);
    if (!piece.has_value()) return end;
    offset += piece->size;
    if (piece->type == kFull || piece->type == kLast) end = offset;
  }
  return end;
}

// Whether a record begins sound behind `begin`, where one begins that is not. What stands at any
// byte is tried, for the lengths before it mean nothing. (The end of the torn record itself may be
// sound: it may lie in another block, whose page reached the disk.)
bool HoldsASoundRecord(std::string_view manifest, size_t begin) {
  for (size_t offset = begin + 1; offset < manifest.size(); ++offset) {
    const std::optional<Piece> piece = SoundPieceAt(manifest, offset);
    if (piece.has_value() && (piece->type == kFull || piece->type == kFirst)) return true;
  }
  return false;
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

// Whoever reads the file of a name from the beginning is shown other bytes.
class OneFileReplaced : public rocksdb::FileSystemWrapper {
 public:
  OneFileReplaced(const std::shared_ptr<rocksdb::FileSystem>& target, std::string name,
                  std::string bytes)
      : FileSystemWrapper(target),
        name_(std::move(name)),
        bytes_(std::make_shared<const std::string>(std::move(bytes))) {}
  const char* Name() const override { return "OneFileReplaced"; }
  rocksdb::IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* out,
                                      rocksdb::IODebugContext* debug) override {
    if (std::filesystem::path(path).filename() != name_)
      return FileSystemWrapper::NewSequentialFile(path, options, out, debug);
    *out = std::make_unique<FileInMemory>(bytes_);
    return rocksdb::IOStatus::OK();
  }

 private:
  const std::string name_;
  const std::shared_ptr<const std::string> bytes_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<rocksdb::FileSystem>> WithoutTornManifestEnd(
    const std::shared_ptr<rocksdb::FileSystem>& target, const std::string& path) {
  const auto read = [&](const std::string& file, std::string* bytes) {
    return FromRocksDb(rocksdb::ReadFileToString(target.get(), file, bytes), file);
  };
  std::string current;
  KT_RETURN_IF_ERROR(read(path + "/CURRENT", &current));
  const std::string name(absl::StripSuffix(current, "\n"));
  if (name == current || !name.starts_with("MANIFEST-") || name.find('/') != std::string::npos) {
    return absl::DataLossError(absl::StrCat(path, "/CURRENT names no manifest"));
  }
  std::string manifest;
  KT_RETURN_IF_ERROR(read(path + "/" + name, &manifest));
  const size_t end = EndOfSoundRecords(manifest);
  const size_t torn = manifest.size() - end;
  if (torn == 0) return target;
  if (end == 0 || torn > kMaxTornBytes || HoldsASoundRecord(manifest, end)) {
    return absl::DataLossError(absl::StrCat(path, "/", name, " is damaged"));
  }
  manifest.resize(end);
  return std::make_shared<OneFileReplaced>(target, name, std::move(manifest));
}

}  // namespace kt::server
