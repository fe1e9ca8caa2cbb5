// SPDX-License-Identifier: Apache-2.0
#include "kt-core/proof_source.h"

#include <algorithm>

namespace kt::core {

using base::LogPosition;
using base::Version;

void LookupMemory::Remember(LogPosition position, Version version, bool included) {
  if (included) {
    const auto [entry, fresh] = leftmost_inclusion_.try_emplace(version, position);
    if (!fresh) entry->second = std::min(entry->second, position);
  } else {
    const auto [entry, fresh] = rightmost_non_inclusion_.try_emplace(version, position);
    if (!fresh) entry->second = std::max(entry->second, position);
  }
}

std::optional<bool> LookupMemory::Known(LogPosition position, Version version) const {
  const auto included = leftmost_inclusion_.find(version);
  if (included != leftmost_inclusion_.end() && included->second < position) return true;
  const auto missing = rightmost_non_inclusion_.find(version);
  if (missing != rightmost_non_inclusion_.end() && missing->second > position) return false;
  return std::nullopt;
}

}  // namespace kt::core
