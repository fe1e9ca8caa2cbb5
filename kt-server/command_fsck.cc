// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "base/status.h"
#include "kt-server/commands.h"
#include "kt-server/log_check.h"
#include "kt-server/log_files.h"
#include "kt-server/server_config.h"

namespace kt::server {
namespace {

struct FsckOptions {
  std::string config;
  bool json = false;
};

// A bar on standard error, ten times a second; nothing if that is no terminal.
class Bar {
 public:
  Bar() : is_shown_(isatty(STDERR_FILENO) == 1) {}
  Bar(const Bar&) = delete;
  Bar& operator=(const Bar&) = delete;
  ~Bar() {
    if (is_shown_) std::fputs("\r\033[K", stderr);
  }

  void Show(const CheckProgress& progress) {
    const auto now = std::chrono::steady_clock::now();
    if (!is_shown_ || now < next_) return;
    next_ = now + std::chrono::milliseconds(100);
    constexpr uint64_t kWidth = 30;
    const uint64_t total = std::max<uint64_t>(progress.total, 1);
    const uint64_t full = std::min(kWidth, kWidth * progress.done / total);
    std::fprintf(stderr, "\r\033[K%-12s [%s%s] %llu of %llu", progress.step,
                 std::string(full, '#').c_str(), std::string(kWidth - full, ' ').c_str(),
                 static_cast<unsigned long long>(progress.done),
                 static_cast<unsigned long long>(progress.total));
  }

 private:
  const bool is_shown_;
  std::chrono::steady_clock::time_point next_;
};

absl::StatusOr<CheckReport> Check(const FsckOptions& options) {
  KT_ASSIGN_OR_RETURN(const ServerConfig config, LoadServerConfig(options.config));
  KT_RETURN_IF_ERROR(CheckHoldsLog(config));
  Bar bar;
  CheckOptions check;
  check.progress = [&](const CheckProgress& progress) {
    bar.Show(progress);
    return absl::OkStatus();
  };
  return CheckLogFiles(config, check);
}

int Fsck(const FsckOptions& options) {
  const absl::StatusOr<CheckReport> report = Check(options);
  if (!report.ok()) return ExitCodeOf(report.status());
  if (options.json) {
    const nlohmann::ordered_json json = {
        {"sound", report->sound()}, {"entries", report->entries},   {"leaves", report->leaves},
        {"labels", report->labels}, {"versions", report->versions}, {"values", report->values},
        {"damage", report->damage}};
    std::cout << json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  } else {
    for (const std::string& damage : report->damage) std::cout << "damage: " << damage << "\n";
    std::cout << (report->sound() ? "sound" : "DAMAGED") << ": " << report->entries
              << " log entries, " << report->leaves << " leaves, " << report->labels
              << " addresses, " << report->versions << " versions, " << report->values
              << " values\n";
  }
  return report->sound() ? 0 : kExitDamage;
}

}  // namespace

void AddFsckCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<FsckOptions>();
  CLI::App* const command = app.add_subcommand(
      "fsck",
      "Check everything that is stored: files against their checksums, and all that can be\n"
      "computed anew. Changes nothing. The server must not run; a running one checks itself in "
      "the\n"
      "background ([scrub]). Exit code 3: there is damage");
  command->add_option("--config", options->config, "Configuration file")->required();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([=] { *exit_code = Fsck(*options); });
}

}  // namespace kt::server
