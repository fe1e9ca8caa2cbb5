// SPDX-License-Identifier: Apache-2.0
//
// A client that puts a server under load and costs little itself: one thread, TLS, HTTP/2 by hand.
#ifndef TESTS_BENCH_LOAD_CLIENT_H_
#define TESTS_BENCH_LOAD_CLIENT_H_

#include <openssl/ssl.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kt::bench {

// One call on a connection of its own kind: what it is, and how it ended.
enum class CallEnd { kAnswered, kRefused, kFailed };

struct LoadResult {
  uint64_t sent = 0;
  uint64_t unsent = 0;   // no connection had room for one more stream at its time
  uint64_t refused = 0;  // RESOURCE_EXHAUSTED
  uint64_t failed = 0;   // anything else, and calls not over within five seconds after the last
  std::vector<double> answered_ms;  // sorted
  std::vector<double> refused_ms;   // sorted
  double seconds = 0;

  double AnsweredPerSecond() const { return static_cast<double>(answered_ms.size()) / seconds; }
};

// Milliseconds below which so many percent of the sorted times are; 0 of none.
double Percentile(const std::vector<double>& sorted, double percent);

class LoadClient {
 public:
  // The encoded message of the next call.
  using NextMessage = std::function<std::string()>;

  // Connects to 127.0.0.1; the certificate of the server is not looked at.
  LoadClient(int port, size_t connections);
  LoadClient(const LoadClient&) = delete;
  LoadClient& operator=(const LoadClient&) = delete;
  ~LoadClient();

  // Always so many calls in progress.
  LoadResult RunClosed(const std::string& path, const NextMessage& next, size_t in_progress,
                       double seconds);
  // So many calls a second, evenly, whatever becomes of them. Times count from when a call was due.
  LoadResult RunOpen(const std::string& path, const NextMessage& next, double per_second,
                     double seconds);

 private:
  class Connection;
  using Clock = std::chrono::steady_clock;

  // Sends one call that was due at `due`; false if no connection has room.
  bool Send(const std::string& path, const std::string& message, Clock::time_point due);
  // Writes what is to be written, reads what has come.
  void Poll(LoadResult* result);
  void Drain(LoadResult* result);
  size_t in_progress() const;

  SSL_CTX* const context_;
  std::vector<std::unique_ptr<Connection>> connections_;
  size_t next_connection_ = 0;
};

}  // namespace kt::bench
#endif  // TESTS_BENCH_LOAD_CLIENT_H_
