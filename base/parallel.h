// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_PARALLEL_H_
#define BASE_PARALLEL_H_

#include <cstddef>
#include <functional>

#include "absl/status/status.h"

namespace kt::base {

// Into how many parts to divide `items` for all processors, but eight at most, to have one, and
// none of them less than `min_per_part`, since a thread costs some 20 µs to start. At least 1.
size_t PartCount(size_t items, size_t min_per_part);

// Calls `work(part, begin, end)` for consecutive ranges [begin, end) of `items`, as equal as can
// be, the first on this thread and each other on one of its own, if one can be started. Returns
// when all are done, with the error of the first part that has one. `work` must not throw.
absl::Status RunInParts(
    size_t parts, size_t items,
    const std::function<absl::Status(size_t part, size_t begin, size_t end)>& work);

}  // namespace kt::base
#endif  // BASE_PARALLEL_H_
