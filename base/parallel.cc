// SPDX-License-Identifier: Apache-2.0
#include "base/parallel.h"

#include <algorithm>
#include <system_error>
#include <thread>
#include <vector>

#include "base/status.h"

namespace kt::base {

size_t PartCount(size_t items, size_t min_per_part) {
  constexpr size_t kMaxParts = 8;
  const size_t processors = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kMaxParts);
  return std::clamp<size_t>(items / min_per_part, 1, processors);
}

absl::Status RunInParts(
    size_t parts, size_t items,
    const std::function<absl::Status(size_t part, size_t begin, size_t end)>& work) {
  std::vector<absl::Status> statuses(parts);
  const auto run = [&](size_t part) {
    statuses[part] = work(part, items * part / parts, items * (part + 1) / parts);
  };
  std::vector<std::jthread> threads;  // which are joined however this ends
  threads.reserve(parts - 1);
  size_t next = 1;
  try {
    for (; next < parts; ++next) threads.emplace_back(run, next);
  } catch (const std::system_error&) {
    // The operating system has no more of them; what is left is done here.
  }
  run(0);
  for (; next < parts; ++next) run(next);
  threads.clear();  // which waits for them
  for (const absl::Status& status : statuses) KT_RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

}  // namespace kt::base
