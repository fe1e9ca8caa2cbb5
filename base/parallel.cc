// SPDX-License-Identifier: Apache-2.0
#include "base/parallel.h"

#include <algorithm>
#include <thread>
#include <vector>

namespace kt::base {

size_t PartCount(size_t items, size_t min_per_part) {
  const size_t processors = std::max(1u, std::thread::hardware_concurrency());
  return std::clamp<size_t>(items / min_per_part, 1, processors);
}

void RunInParts(size_t parts, size_t items,
                const std::function<void(size_t part, size_t begin, size_t end)>& work) {
  const auto run = [&](size_t part) {
    work(part, items * part / parts, items * (part + 1) / parts);
  };
  std::vector<std::thread> threads;
  for (size_t part = 1; part < parts; ++part) threads.emplace_back(run, part);
  run(0);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace kt::base
