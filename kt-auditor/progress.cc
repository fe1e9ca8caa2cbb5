// SPDX-License-Identifier: Apache-2.0
#include "kt-auditor/progress.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <utility>

namespace kt::auditor {
namespace {

constexpr size_t kBarWidth = 30;
constexpr auto kInterval = std::chrono::milliseconds(100);
constexpr char kClearLine[] = "\r\x1b[K";

}  // namespace

Progress::Progress(std::string what, uint64_t total)
    : what_(std::move(what)), total_(total), is_shown_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (is_shown_) std::cerr << kClearLine << std::flush;
}

void Progress::Update(uint64_t done, const std::string& detail) {
  const auto now = std::chrono::steady_clock::now();
  if (!is_shown_ || now < next_) return;
  next_ = now + kInterval;
  std::cerr << kClearLine << what_ << " ";
  if (total_ > 0) {
    const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
    const size_t full = static_cast<size_t>(part * static_cast<double>(kBarWidth));
    std::cerr << "[" << std::string(full, '#') << std::string(kBarWidth - full, ' ') << "] "
              << static_cast<int>(part * 100) << " % ";
  }
  std::cerr << detail << std::flush;
}

}  // namespace kt::auditor
