// SPDX-License-Identifier: Apache-2.0
//
// A part of a log as a file, to be audited without the log: docs/extensions.md, "Auditing".
#ifndef KT_AUDITOR_EXPORT_FILE_H_
#define KT_AUDITOR_EXPORT_FILE_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/types.h"
#include "kt-auditor/audit_record.h"
#include "kt-core/auditor_update_verifier.h"
#include "kt-core/configuration.h"

namespace kt::auditor {

struct CloseFile {
  // What matters was flushed and checked before.
  void operator()(FILE* file) const { static_cast<void>(std::fclose(file)); }
};
using FileHandle = std::unique_ptr<FILE, CloseFile>;

// The file's head: whose log it is, and the state from which the first record goes on.
struct ExportHeader {
  core::Configuration config;
  core::AuditorState state;
};

// Writes beside `path`; the file gets its name when it is complete.
class ExportWriter {
 public:
  // kUnavailable for I/O errors, here and below.
  static absl::StatusOr<std::unique_ptr<ExportWriter>> Create(const std::string& path,
                                                              const ExportHeader& header);
  ExportWriter(const ExportWriter&) = delete;
  ExportWriter& operator=(const ExportWriter&) = delete;
  ~ExportWriter();

  absl::Status Add(const AuditRecord& record);
  // Seals, syncs and renames the file. Nothing may follow.
  absl::Status Finish();

 private:
  ExportWriter(const std::string& path, FileHandle file)
      : path_(path), temporary_(path + ".new"), file_(std::move(file)) {}

  absl::Status Put(base::ByteView content);

  const std::string path_;
  const std::string temporary_;
  FileHandle file_;
  base::Hash chain_;
};

// Reads a file record by record.
class ExportReader {
 public:
  // kNotFound if there is no file, kInvalidArgument if it is not one of these.
  static absl::StatusOr<std::unique_ptr<ExportReader>> Open(const std::string& path);

  const ExportHeader& header() const { return header_; }
  uint64_t file_bytes() const { return file_bytes_; }
  uint64_t bytes_read() const { return bytes_read_; }

  // The next record; nullopt at the end. kDataLoss if the file is cut off or damaged. That records
  // are what the writer wrote is certain only once the end was reached.
  absl::StatusOr<std::optional<AuditRecord>> Next();

 private:
  explicit ExportReader(FileHandle file) : file_(std::move(file)) {}

  absl::StatusOr<base::Bytes> Take(size_t size);
  absl::StatusOr<base::Bytes> TakeFramed(size_t max_size);

  FileHandle file_;
  ExportHeader header_;
  base::Hash chain_;
  uint64_t file_bytes_ = 0;
  uint64_t bytes_read_ = 0;
};

// A file of the one record that a log failed with, after `state`; it replaces an older one.
absl::Status WriteEvidence(const std::string& path, const core::Configuration& config,
                           const core::AuditorState& state, const AuditRecord& record);

}  // namespace kt::auditor
#endif  // KT_AUDITOR_EXPORT_FILE_H_
