// SPDX-License-Identifier: Apache-2.0
//
// A log under publishing load whose process dies at random points, again and again: by kill -9, or
// because the power fails and takes what was not synced (tests/support/fault_disk.h). Each life is
// a process of its own that opens the log as a server does, checks what the lives before it
// promised, and publishes through the sequencer until it dies at the chosen operation of the disk.
//
// Now and then the disk is full for a moment.
//
// What must hold, in every life:
//   the log opens, and has every head that was ever released, with the same root
//   after a full disk it goes on by itself
//   every acknowledged version is found, with its value, in an answer that a client accepts
#ifndef TESTS_CRASH_CRASH_RUN_H_
#define TESTS_CRASH_CRASH_RUN_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "base/secret.h"
#include "base/types.h"
#include "kt-core/configuration.h"
#include "tests/support/fakes.h"
#include "tests/support/process.h"

namespace kt::crash {

// How often what happened, so that a run that tests nothing shows.
struct CrashCounts {
  uint64_t kills = 0, power_cuts = 0;
  uint64_t while_opening = 0;  // of both: before anything was published
  uint64_t full_disks = 0;     // times that it was found full
  uint64_t heads = 0, acknowledged = 0, searches = 0;

  CrashCounts& operator+=(const CrashCounts& other);
};

// What the world outside was told.
struct Told {
  std::map<base::TreeSize, base::Hash> heads;  // that were released
  // Acknowledged: label and version, and the number that its value was made with.
  std::map<std::pair<std::string, base::Version>, uint64_t> versions;
};

class CrashRun {
 public:
  // All that is random follows from `seed`, but what happens depends on threads too.
  explicit CrashRun(uint64_t seed);

  // Lets the log die `crashes` times, and checks it once more. kInternal, with what was seen, if
  // something does not hold. The calling process must not have used RocksDB before: it forks.
  absl::Status Run(int crashes);

  // From now on the disk does not sync, which a run has to notice.
  void LieAboutSyncs() { lying_disk_ = true; }

  const CrashCounts& counts() const { return counts_; }

 private:
  enum class Ending { kCrash, kNone };
  struct Life;

  absl::Status Live(Ending ending);
  absl::Status Listen(int pipe);
  absl::Status Hear(const std::string& line);

  const uint64_t seed_;
  testing::TemporaryDirectory directory_;
  testing::SeededRandom random_;
  base::SecretBytes signature_secret_;
  base::SecretBytes vrf_secret_;
  core::Configuration config_;
  bool lying_disk_ = false;
  uint64_t lives_ = 0;
  bool serving_ = false;  // the life that is listened to got so far
  Told told_;
  CrashCounts counts_;
};

}  // namespace kt::crash
#endif  // TESTS_CRASH_CRASH_RUN_H_
