// SPDX-License-Identifier: Apache-2.0
//
// Stands in for fsync and fdatasync of the whole test binary, of the libraries that it loads too.
// Tests end or kill processes but never the kernel, so syncing would only cost them time: syncs are
// counted instead, and fail when a test says so.
#ifndef TESTS_KT_SERVER_SYNC_CONTROL_H_
#define TESTS_KT_SERVER_SYNC_CONTROL_H_

#include <cstddef>

namespace kt::testing {

// How often this process has synced a file.
size_t SyncCount();

// While it lives, every sync fails with EIO.
class FailingSyncs {
 public:
  FailingSyncs();
  FailingSyncs(const FailingSyncs&) = delete;
  FailingSyncs& operator=(const FailingSyncs&) = delete;
  ~FailingSyncs();
};

}  // namespace kt::testing
#endif  // TESTS_KT_SERVER_SYNC_CONTROL_H_
