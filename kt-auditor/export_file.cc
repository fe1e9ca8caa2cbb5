// SPDX-License-Identifier: Apache-2.0
#include "kt-auditor/export_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/status.h"

namespace kt::auditor {
namespace {

constexpr std::array<uint8_t, 8> kMagic = {'k', 't', 'e', 'x', 'p', 'o', 'r', 't'};
constexpr size_t kLengthSize = 4;
constexpr size_t kMaxHeaderBytes = 1 << 20;
constexpr size_t kMaxRecordBytes = 16 << 20;

struct Preamble {
  std::array<uint8_t, 8> magic = kMagic;
  core::Configuration config;
  core::AuditorState state;

  static constexpr auto Fields() {
    return base::codec::List(&Preamble::magic, &Preamble::config, &Preamble::state);
  }
};

absl::Status IoError(const char* what, const std::string& path) {
  return absl::UnavailableError(absl::StrCat("cannot ", what, " ", path, ": ", strerror(errno)));
}

// Every part is preceded by its length; a length of zero ends the file.
base::Bytes Frame(base::ByteView content) {
  base::codec::Writer w;
  w.Int(static_cast<uint32_t>(content.size()));
  w.Raw(content);
  return std::move(w).Take();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ExportWriter>> ExportWriter::Create(const std::string& path,
                                                                   const ExportHeader& header) {
  const std::string temporary = path + ".new";
  FileHandle file(std::fopen(temporary.c_str(), "wbe"));
  if (file == nullptr) return IoError("create", temporary);
  std::unique_ptr<ExportWriter> writer(new ExportWriter(path, std::move(file)));
  Preamble preamble;
  preamble.config = header.config;
  preamble.state = header.state;
  KT_RETURN_IF_ERROR(writer->Put(base::codec::Encode(preamble)));
  return writer;
}

ExportWriter::~ExportWriter() {
  if (file_ != nullptr) unlink(temporary_.c_str());
}

absl::Status ExportWriter::Put(base::ByteView content) {
  const base::Bytes frame = Frame(content);
  if (std::fwrite(frame.data(), 1, frame.size(), file_.get()) != frame.size()) {
    return IoError("write", temporary_);
  }
  chain_ = base::Sha256({chain_.view(), frame});
  return absl::OkStatus();
}

absl::Status ExportWriter::Add(const AuditRecord& record) {
  const base::Bytes content = base::codec::Encode(record);
  if (content.size() > kMaxRecordBytes) return absl::InvalidArgumentError("a record is too long");
  return Put(content);
}

absl::Status ExportWriter::Finish() {
  base::Bytes end = Frame({});
  base::Append(end, chain_.view());
  if (std::fwrite(end.data(), 1, end.size(), file_.get()) != end.size() ||
      std::fflush(file_.get()) != 0 || fsync(fileno(file_.get())) != 0) {
    return IoError("write", temporary_);
  }
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) return IoError("replace", path_);
  file_ = nullptr;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ExportReader>> ExportReader::Open(const std::string& path) {
  FileHandle file(std::fopen(path.c_str(), "rbe"));
  if (file == nullptr && errno == ENOENT) {
    return absl::NotFoundError(absl::StrCat("there is no file ", path));
  }
  if (file == nullptr) return IoError("open", path);
  std::unique_ptr<ExportReader> reader(new ExportReader(std::move(file)));
  struct stat info;
  if (fstat(fileno(reader->file_.get()), &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  }
  reader->file_bytes_ = static_cast<uint64_t>(info.st_size);
  const absl::StatusOr<base::Bytes> content = reader->TakeFramed(kMaxHeaderBytes);
  if (content.ok()) {
    absl::StatusOr<Preamble> preamble = base::codec::Decode<Preamble>(*content);
    if (preamble.ok() && preamble->magic == kMagic &&
        core::ValidateConfiguration(preamble->config).ok() &&
        core::ValidateAuditorState(preamble->state).ok()) {
      reader->header_ = {std::move(preamble->config), std::move(preamble->state)};
      return reader;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(path, " is not an exported log"));
}

absl::StatusOr<base::Bytes> ExportReader::Take(size_t size) {
  base::Bytes bytes(size);
  if (std::fread(bytes.data(), 1, size, file_.get()) != size) {
    return absl::DataLossError("the file is cut off");
  }
  bytes_read_ += size;
  return bytes;
}

// Empty at the end.
absl::StatusOr<base::Bytes> ExportReader::TakeFramed(size_t max_size) {
  KT_ASSIGN_OR_RETURN(const base::Bytes length, Take(kLengthSize));
  const size_t size = size_t{length[0]} << 24 | size_t{length[1]} << 16 | size_t{length[2]} << 8 |
                      size_t{length[3]};
  if (size == 0) return base::Bytes();
  if (bytes_read_ > file_bytes_ || size > file_bytes_ - bytes_read_) {
    return absl::DataLossError("the file is cut off");
  }
  if (size > max_size) {
    return absl::DataLossError("the file is damaged: a record is longer than one can be");
  }
  KT_ASSIGN_OR_RETURN(base::Bytes content, Take(size));
  chain_ = base::Sha256({chain_.view(), length, content});
  return content;
}

absl::StatusOr<std::optional<AuditRecord>> ExportReader::Next() {
  KT_ASSIGN_OR_RETURN(const base::Bytes content, TakeFramed(kMaxRecordBytes));
  if (content.empty()) {
    KT_ASSIGN_OR_RETURN(const base::Bytes seal, Take(base::kHashSize));
    if (seal != base::ToBytes(chain_.view()) || bytes_read_ != file_bytes_) {
      return absl::DataLossError("the file is damaged: its seal does not fit");
    }
    return std::optional<AuditRecord>();
  }
  absl::StatusOr<AuditRecord> record = base::codec::Decode<AuditRecord>(content);
  if (!record.ok()) return absl::DataLossError("the file is damaged: a record is malformed");
  return std::optional<AuditRecord>(*std::move(record));
}

absl::Status WriteEvidence(const std::string& path, const core::Configuration& config,
                           const core::AuditorState& state, const AuditRecord& record) {
  KT_ASSIGN_OR_RETURN(const auto writer, ExportWriter::Create(path, {config, state}));
  KT_RETURN_IF_ERROR(writer->Add(record));
  return writer->Finish();
}

}  // namespace kt::auditor
