// SPDX-License-Identifier: Apache-2.0
#include "tests/kt-server/sync_control.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace kt::testing {
namespace {

std::atomic<size_t> syncs{0};
std::atomic<bool> failing{false};

int Sync() {
  ++syncs;
  if (!failing) return 0;
  errno = EIO;
  return -1;
}

}  // namespace

size_t SyncCount() { return syncs; }
FailingSyncs::FailingSyncs() { failing = true; }
FailingSyncs::~FailingSyncs() { failing = false; }

}  // namespace kt::testing

// An executable's definitions come before those of the C library.
extern "C" int fsync(int) { return kt::testing::Sync(); }
extern "C" int fdatasync(int) { return kt::testing::Sync(); }
