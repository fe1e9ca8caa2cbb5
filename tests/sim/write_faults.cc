// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/write_faults.h"

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>

namespace kt::sim {
namespace {

std::atomic<WriteFault> next{WriteFault::kNone};
std::atomic<bool> failed{false};

int Sync() {
  if (next != WriteFault::kNotSynced) return 0;
  next = WriteFault::kNone;
  failed = true;
  errno = EIO;
  return -1;
}

ssize_t Write(int fd, const void* bytes, size_t size, off_t offset) {
  if (next == WriteFault::kNone || next == WriteFault::kNotSynced) {
    return syscall(SYS_pwrite64, fd, bytes, size, offset);
  }
  failed = true;
  if (next.exchange(WriteFault::kNone) == WriteFault::kTorn) {
    return syscall(SYS_pwrite64, fd, bytes, size / 2, offset);
  }
  errno = EIO;
  return -1;
}

}  // namespace

void FailNextWrite(WriteFault fault) {
  next = fault;
  failed = false;
}

bool EndWriteFault() {
  next = WriteFault::kNone;
  return failed.exchange(false);
}

}  // namespace kt::sim

// An executable's definitions come before those of the C library.
extern "C" {
int fsync(int) { return kt::sim::Sync(); }
int fdatasync(int) { return kt::sim::Sync(); }
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  return kt::sim::Write(fd, bytes, size, offset);
}
}
