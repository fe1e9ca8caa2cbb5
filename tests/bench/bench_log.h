// SPDX-License-Identifier: Apache-2.0
//
// The log of a server that is measured: its files, and as many label-versions as are asked for.
#ifndef TESTS_BENCH_BENCH_LOG_H_
#define TESTS_BENCH_BENCH_LOG_H_

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "kt-server/log_files.h"
#include "kt-server/server_config.h"
#include "tests/support/process.h"

namespace kt::bench {

using Clock = std::chrono::steady_clock;

inline double Seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// For programs that have nothing to measure if something fails.
template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) {
    std::cerr << "benchmark: " << result.status() << "\n";
    std::exit(1);
  }
  return *std::move(result);
}
inline void Must(const absl::Status& status) {
  Must<int>(status.ok() ? absl::StatusOr<int>(0) : status);
}

class BenchLog {
 public:
  struct Options {
    size_t labels = 20'000;
    size_t per_entry = 1'000;
    size_t value_bytes = 2'048;
    std::string suite = "ed25519";  // or "p256"
  };

  // Makes the files, for a server on a free port of 127.0.0.1 without a limit for one client's
  // requests; with a TLS certificate for bench.example.
  explicit BenchLog(const Options& options);

  // Version 0 of each label, through TransparencyLog::Append (admission apart). Returns seconds.
  double Fill();

  static base::Bytes Label(size_t i);
  const server::ServerConfig& config() const { return config_; }
  server::ServerConfig& config() { return config_; }
  std::string File(const std::string& name) const { return directory_.File(name); }

 private:
  const Options options_;
  testing::TemporaryDirectory directory_;
  server::ServerConfig config_;
};

}  // namespace kt::bench
#endif  // TESTS_BENCH_BENCH_LOG_H_
