// SPDX-License-Identifier: Apache-2.0
//
// Checks a whole log as it is stored: everything that can be computed is computed anew.
#ifndef KT_SERVER_LOG_CHECK_H_
#define KT_SERVER_LOG_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kt-core/configuration.h"
#include "kt-server/store.h"
#include "merkle/prefix_tree.h"

namespace kt::server {

// How far a check is.
struct CheckProgress {
  const char* step = "";
  uint64_t done = 0;
  uint64_t total = 0;  // 0: not known
};

struct CheckOptions {
  // Told after each few rows; if it fails, the check ends with its status. May wait.
  std::function<absl::Status(const CheckProgress&)> progress;
  // Leaves that are held in memory at once, about 80 bytes each; more are read in several passes.
  size_t max_leaves_in_memory = 2'000'000;
};

struct CheckReport {
  std::vector<std::string> damage;  // what was found, a line each; empty if the log is sound
  uint64_t entries = 0;             // of the log, those that are kept
  uint64_t leaves = 0;              // of the prefix tree
  uint64_t labels = 0;
  uint64_t versions = 0;  // that exist
  uint64_t values = 0;    // of these; the others have expired or were erased

  bool sound() const { return damage.empty(); }
};

// Checks, in `snapshot`,
//   the head's signature, and that the log tree's kept nodes, the entries and the head agree;
//   that the timestamps do not go back;
//   that at every kept position, the prefix tree's root is that of the log entry: computed from
//     proofs of the leaves that the entry added, and of places beside them in each tile on the way,
//     so that every row of the tree's history is used;
//   that each version has its leaf and each leaf its version, that VRF outputs, proofs and
//     commitments are right, that versions have no gaps;
//   that each value opens its commitment, and is missing only if it was erased or has expired;
//   in a log with an auditor, that the index of changed subtrees is right.
// One kind of damage is found once: what depends on it is left out. Damage goes into the report; an
// error is what kept the check from being made, such as `options.progress`.
absl::StatusOr<CheckReport> CheckLog(const core::Configuration& config,
                                     const merkle::PrefixTreeLayout& layout,
                                     const Snapshot& snapshot, const CheckOptions& options);

}  // namespace kt::server
#endif  // KT_SERVER_LOG_CHECK_H_
