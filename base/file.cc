// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace kt::base {
namespace {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

absl::Status ErrnoStatus(const std::string& what, const std::string& path) {
  const std::string message = absl::StrCat("cannot ", what, " ", path, ": ", strerror(errno));
  if (errno == ENOENT) return absl::NotFoundError(message);
  if (errno == EACCES || errno == EPERM) return absl::PermissionDeniedError(message);
  return absl::UnavailableError(message);
}

absl::Status ReadAll(const Fd& fd, const std::string& path, size_t max_bytes, Bytes* out) {
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus("read", path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  }
  if (info.st_size < 0 || static_cast<uint64_t>(info.st_size) > max_bytes) {
    return absl::OutOfRangeError(absl::StrCat(path, " is longer than ", max_bytes, " bytes"));
  }
  out->resize(static_cast<size_t>(info.st_size));
  size_t done = 0;
  while (done < out->size()) {
    const ssize_t got = read(fd.get(), out->data() + done, out->size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus("read", path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  out->resize(done);
  return absl::OkStatus();
}

// Opens for reading. Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
int OpenToRead(const std::string& path) {
  return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

absl::Status WriteBytes(const Fd& fd, ByteView bytes, const std::string& path) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = write(fd.get(), bytes.data() + done, bytes.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return ErrnoStatus("write", path);
    done += static_cast<size_t>(put);
  }
  return absl::OkStatus();
}

absl::Status WriteAll(const Fd& fd, ByteView bytes, const std::string& path) {
  KT_RETURN_IF_ERROR(WriteBytes(fd, bytes, path));
  if (fsync(fd.get()) != 0) return ErrnoStatus("sync", path);
  return absl::OkStatus();
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::StatusOr<Bytes> ReadFile(const std::string& path, size_t max_bytes) {
  const Fd fd(OpenToRead(path));
  if (!fd.ok()) return ErrnoStatus("open", path);
  Bytes out;
  KT_RETURN_IF_ERROR(ReadAll(fd, path, max_bytes, &out));
  return out;
}

absl::Status WriteFileAtomically(const std::string& path, ByteView bytes, mode_t mode) {
  const std::string temporary = absl::StrCat(path, ".new");
  struct stat before = {};
  const bool keep_owner = geteuid() == 0 && lstat(path.c_str(), &before) == 0;
  // A crash may have left the temporary file behind, possibly with another mode.
  if (unlink(temporary.c_str()) != 0 && errno != ENOENT) return ErrnoStatus("remove", temporary);
  auto remove = absl::MakeCleanup([&] { unlink(temporary.c_str()); });
  {
    const Fd fd(
        open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!fd.ok()) return ErrnoStatus("create", temporary);
    if (keep_owner && fchown(fd.get(), before.st_uid, before.st_gid) != 0) {
      return ErrnoStatus("give away", temporary);
    }
    KT_RETURN_IF_ERROR(WriteAll(fd, bytes, temporary));
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) return ErrnoStatus("replace", path);
  std::move(remove).Cancel();
  const std::string directory = DirectoryOf(path);
  const Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", directory);
  if (fsync(fd.get()) != 0) return ErrnoStatus("sync", directory);
  return absl::OkStatus();
}

absl::Status WriteOutput(const std::string& path, ByteView bytes) {
  constexpr mode_t kMode = 0644;
  struct stat info;
  const bool exists = lstat(path.c_str(), &info) == 0;
  if (!exists || S_ISREG(info.st_mode)) return WriteFileAtomically(path, bytes, kMode);
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode));
  if (!fd.ok()) return ErrnoStatus("open", path);
  return WriteBytes(fd, bytes, path);
}

absl::StatusOr<SecretBytes> ReadSecretFile(const std::string& path, size_t max_bytes) {
  const Fd fd(OpenToRead(path));
  if (!fd.ok()) return ErrnoStatus("open", path);
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus("read", path);
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        path, " holds a secret and may be read or written by its owner only; run: chmod 600 ",
        path));
  }
  Bytes bytes;
  const absl::Status status = ReadAll(fd, path, max_bytes, &bytes);
  SecretBytes secret(bytes);
  SecureZero(bytes);
  KT_RETURN_IF_ERROR(status);
  return secret;
}

ssize_t FileCalls::Pwrite(int fd, ByteView bytes, off_t offset) const {
  return pwrite(fd, bytes.data(), bytes.size(), offset);
}

int FileCalls::Fdatasync(int fd) const { return fdatasync(fd); }

const FileCalls& FileCalls::System() {
  static const FileCalls calls;
  return calls;
}

absl::StatusOr<FileLock> FileLock::Acquire(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return ErrnoStatus("open", path);
  FileLock lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return absl::AbortedError(absl::StrCat(path, " is locked by another process"));
    }
    return ErrnoStatus("lock", path);
  }
  return lock;
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace kt::base
