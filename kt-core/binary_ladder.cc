// SPDX-License-Identifier: Apache-2.0
#include "kt-core/binary_ladder.h"

#include <cstdint>

namespace kt::core {

using base::Version;

std::vector<Version> BaseBinaryLadder(Version greatest) {
  constexpr uint64_t kVersionEnd = uint64_t{1} << 32;
  std::vector<Version> ladder;
  // Lookups of versions beyond 2^32 - 1 are skipped, as if they had shown non-inclusion.
  const auto add = [&](uint64_t version) {
    if (version < kVersionEnd) ladder.push_back(static_cast<Version>(version));
  };

  uint64_t lower = 0;
  uint64_t upper = 0;
  add(upper);
  while (upper <= greatest) {
    lower = upper;
    upper = 2 * upper + 1;
    add(upper);
  }
  while (lower + 1 < upper) {
    const uint64_t middle = (lower + upper) / 2;
    add(middle);
    (middle <= greatest ? lower : upper) = middle;
  }
  return ladder;
}

std::vector<Version> MonitoringBinaryLadder(Version target) {
  std::vector<Version> ladder = BaseBinaryLadder(target);
  std::erase_if(ladder, [&](Version version) { return version > target; });
  return ladder;
}

}  // namespace kt::core
