// SPDX-License-Identifier: Apache-2.0
#ifndef KT_AUDITOR_PROGRESS_H_
#define KT_AUDITOR_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace kt::auditor {

// A bar on standard error for work that takes long; nothing if that is no terminal.
class Progress {
 public:
  // `total` is what Update's `done` grows to; 0 if it is not known.
  Progress(std::string what, uint64_t total);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  // Clears the line.
  ~Progress();

  // `detail` stands beside the bar. Draws at most ten times a second.
  void Update(uint64_t done, const std::string& detail);

 private:
  const std::string what_;
  const uint64_t total_;
  const bool is_shown_;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace kt::auditor
#endif  // KT_AUDITOR_PROGRESS_H_
