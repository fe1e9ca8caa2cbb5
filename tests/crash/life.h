// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_CRASH_LIFE_H_
#define TESTS_CRASH_LIFE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/secret.h"
#include "kt-core/configuration.h"
#include "tests/crash/crash_run.h"
#include "tests/support/fault_disk.h"

namespace kt::crash {

// What one life of the log is to be.
struct LifeOptions {
  uint64_t seed = 0;
  std::string directory;
  uint64_t now_ms = 0;
  uint64_t crash_at = 0;  // an operation of the disk; 0: only check, and end
  testing::FaultDisk::Crash crash = testing::FaultDisk::Crash::kProcess;
  bool lying_disk = false;
  size_t max_write_buffer_bytes = 0;
  core::Configuration config;
  const base::SecretBytes* signature_secret = nullptr;
  const base::SecretBytes* vrf_secret = nullptr;
};

// Makes an empty log, as kt-server init does.
absl::Status CreateLog(const LifeOptions& options);

// Opens the log, checks it against `told`, and publishes until it dies. Tells the world by lines
// that are written to `pipe`, each before anything else can happen:
//   opened | head SIZE ROOT | version LABEL VERSION NUMBER | full | searched COUNT
// Returns only if `crash_at` is 0, or something does not hold.
absl::Status LiveLife(const LifeOptions& options, const Told& told, int pipe);

}  // namespace kt::crash
#endif  // TESTS_CRASH_LIFE_H_
