// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_FILE_H_
#define BASE_FILE_H_

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/secret.h"

namespace kt::base {

// Reads a whole regular file of at most `max_bytes`. kNotFound if there is none, kOutOfRange if
// it is longer, kUnavailable for other I/O errors.
absl::StatusOr<Bytes> ReadFile(const std::string& path, size_t max_bytes);

// Replaces `path` in one step, synced: after a crash the file holds either the old or the new
// bytes. `mode` as for open(2). When root replaces a file, its owner and group stay.
absl::Status WriteFileAtomically(const std::string& path, ByteView bytes, mode_t mode);

// Writes what a user asked to be written to `path`. A regular file is replaced as by
// WriteFileAtomically; where there is something else, such as a device, a pipe or a link, `bytes`
// are written to that.
absl::Status WriteOutput(const std::string& path, ByteView bytes);

// Reads a file that holds a secret. kPermissionDenied if group or others may do anything with it.
absl::StatusOr<SecretBytes> ReadSecretFile(const std::string& path, size_t max_bytes);

// The system calls of whoever overwrites a file in place, so that tests can let them fail.
class FileCalls {
 public:
  virtual ~FileCalls() = default;
  virtual ssize_t Pwrite(int fd, ByteView bytes, off_t offset) const;  // pwrite(2)
  virtual int Fdatasync(int fd) const;                                 // fdatasync(2)

  // Those of the system.
  static const FileCalls& System();
};

// Holds an exclusive advisory lock on `path` (created, mode 0600) for the object's lifetime.
class FileLock {
 public:
  // kAborted if another process holds the lock.
  static absl::StatusOr<FileLock> Acquire(const std::string& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace kt::base
#endif  // BASE_FILE_H_
