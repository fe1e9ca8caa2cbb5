// SPDX-License-Identifier: Apache-2.0
//
// Puts a server under more load than it can take. The server has one processor core, this program
// another:
//
//   kt-load [--labels N] [--per-entry N] [--value-bytes N] [--searched N] [--seconds N]
//           [--connections N] [--json]
//
// Searches over gRPC with TLS: as many as the server answers, then evenly at half of that rate, at
// five times that rate, and at half of it again while others begin TLS handshakes as fast as they
// can. Each with the times that clients saw; and the most memory that the server took. In the end,
// how many calls it refuses if it refuses them all.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <thread>

#include "absl/strings/numbers.h"
#include "base/check.h"
#include "kt-core/operations.h"
#include "proto/kt.pb.h"
#include "tests/bench/bench_log.h"
#include "tests/bench/load_client.h"
#include "tests/support/paths.h"

namespace kt::bench {
namespace {

constexpr char kSearch[] = "/kt.v1.KeyTransparency/Search";

struct Options {
  size_t labels = 20'000;
  size_t per_entry = 1'000;
  size_t value_bytes = 2'048;
  size_t searched = 20'000;
  double seconds = 10;
  size_t connections = 64;
  bool json = false;
};

// The cores that this process may run on.
std::vector<int> Cores() {
  cpu_set_t set;
  KT_CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
  std::vector<int> cores;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) cores.push_back(i);
  }
  return cores;
}

void RunOn(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  KT_CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
}

// A server of the log in a process of its own, on one core.
class PinnedServer {
 public:
  // `output` names the file that it writes to.
  PinnedServer(const BenchLog& log, const std::string& output, int core) {
    const std::string config = log.File("kt-server.toml");
    testing::WriteText(config, server::FormatServerConfig(log.config()));
    const auto begin = Clock::now();
    process_ = std::make_unique<testing::BackgroundProcess>(
        std::vector<std::string>{"/usr/bin/taskset", "--cpu-list", std::to_string(core),
                                 testing::ServerProgram(), "run", "--config", config},
        log.File(output));
    static const std::string kServing = "\"event\":\"serving\",\"address\":\"127.0.0.1:";
    KT_CHECK(process_->WaitForLog(kServing, 120'000));
    start_seconds_ = Seconds(Clock::now() - begin);
    const std::string text = process_->Log();
    KT_CHECK(absl::SimpleAtoi(text.substr(text.find(kServing) + kServing.size(),
                                          text.find('"', text.find(kServing) + kServing.size()) -
                                              text.find(kServing) - kServing.size()),
                              &port_));
  }

  int port() const { return port_; }
  // From its start until it serves.
  double start_seconds() const { return start_seconds_; }

  // Since the start, megabytes.
  double MostMemory() const {
    std::istringstream status(
        testing::ReadText("/proc/" + std::to_string(process_->pid()) + "/status"));
    for (std::string line; std::getline(status, line);) {
      double kilobytes = 0;
      if (std::sscanf(line.c_str(), "VmHWM: %lf", &kilobytes) == 1) return kilobytes / 1000;
    }
    return 0;
  }

 private:
  std::unique_ptr<testing::BackgroundProcess> process_;
  int port_ = 0;
  double start_seconds_ = 0;
};

// Begins TLS handshakes from many addresses as fast as it can and ends none: the server signs, the
// others send the same bytes again and again.
class HandshakeFlood {
 public:
  explicit HandshakeFlood(int port) : port_(port), hello_(MakeHello()) {
    thread_ = std::thread([this] { Run(); });
  }
  // Returns how many were begun.
  uint64_t Stop() {
    stop_ = true;
    thread_.join();
    return begun_;
  }

 private:
  static std::string MakeHello() {
    SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
    SSL* const ssl = SSL_new(context);
    static const unsigned char kAlpn[] = {2, 'h', '2'};
    KT_CHECK(SSL_set_alpn_protos(ssl, kAlpn, sizeof(kAlpn)) == 0);
    BIO* const out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    SSL_connect(ssl);
    char bytes[4096];
    const int size = BIO_read(out, bytes, sizeof(bytes));
    KT_CHECK(size > 0);
    SSL_free(ssl);
    SSL_CTX_free(context);
    return std::string(bytes, static_cast<size_t>(size));
  }

  void Run() {
    // Open for a while, so that the server gets to sign.
    constexpr size_t kOpen = 2'000;
    std::vector<int> open(kOpen, -1);
    while (!stop_) {
      int& slot = open[begun_ % kOpen];
      if (slot >= 0) close(slot);
      slot = Begin();
      ++begun_;
    }
    for (const int fd : open) {
      if (fd >= 0) close(fd);
    }
  }

  int Begin() const {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    // 127.1.0.1 and onwards: 4,000 clients.
    address.sin_addr.s_addr = htonl(0x7f010001 + static_cast<uint32_t>(begun_ % 4'000));
    (void)bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    address.sin_port = htons(static_cast<uint16_t>(port_));
    (void)connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    (void)!send(fd, hello_.data(), hello_.size(), MSG_NOSIGNAL);
    return fd;
  }

  const int port_;
  const std::string hello_;
  std::atomic<bool> stop_ = false;
  std::atomic<uint64_t> begun_ = 0;
  std::thread thread_;
};

std::string SearchFor(size_t label) {
  core::SearchRequest request;
  request.label = BenchLog::Label(label);
  v1::SearchRequest body;
  body.set_request(base::ToText(base::codec::Encode(request)));
  return body.SerializeAsString();
}

nlohmann::ordered_json Figures(const LoadResult& result) {
  return {{"sent_per_second", static_cast<double>(result.sent) / result.seconds},
          {"unsent", result.unsent},
          {"answered_per_second", result.AnsweredPerSecond()},
          {"answered_p50_ms", Percentile(result.answered_ms, 50)},
          {"answered_p99_ms", Percentile(result.answered_ms, 99)},
          {"refused_per_second", static_cast<double>(result.refused) / result.seconds},
          {"refused_p50_ms", Percentile(result.refused_ms, 50)},
          {"refused_p99_ms", Percentile(result.refused_ms, 99)},
          {"failed", result.failed}};
}

// How many calls a server refuses, if it takes next to none.
LoadResult Refusals(BenchLog& log, int core, const Options& options) {
  log.config().limits.requests_per_second = 1;
  const PinnedServer server(log, "refusing.log", core);
  LoadClient client(server.port(), options.connections);
  return client.RunClosed(
      kSearch, [] { return SearchFor(0); }, options.connections, options.seconds);
}

nlohmann::ordered_json UnderLoad(const BenchLog& log, int core, const Options& options) {
  const PinnedServer server(log, "server.log", core);
  LoadClient client(server.port(), options.connections);
  std::mt19937_64 random(1);
  // Evenly from all over the log.
  const size_t searched = std::min(options.searched, options.labels);
  const auto search_for = [&](size_t i) {
    return SearchFor(i % searched * options.labels / searched);
  };
  const auto next = [&] { return search_for(random()); };
  const double seconds = options.seconds;

  nlohmann::ordered_json out;
  out["start_seconds"] = server.start_seconds();
  // The first search of a label makes a VRF proof, which is not what is measured here.
  size_t asked = 0;
  const auto each = [&] { return search_for(asked++); };
  while (asked < searched) {
    client.RunClosed(kSearch, each, options.connections, seconds / 5);
  }
  const LoadResult most = client.RunClosed(kSearch, next, options.connections, seconds);
  out["capacity"] = Figures(most);
  const double capacity = most.AnsweredPerSecond();
  out["half"] = Figures(client.RunOpen(kSearch, next, capacity / 2, seconds));
  out["memory_mb"] = server.MostMemory();
  out["fivefold"] = Figures(client.RunOpen(kSearch, next, capacity * 5, seconds));
  out["memory_after_fivefold_mb"] = server.MostMemory();
  HandshakeFlood flood(server.port());
  out["half_in_flood"] = Figures(client.RunOpen(kSearch, next, capacity / 2, seconds));
  out["handshakes_begun_per_second"] = static_cast<double>(flood.Stop()) / seconds;
  out["memory_after_flood_mb"] = server.MostMemory();
  return out;
}

void Run(const Options& options) {
  BenchLog log({.labels = options.labels,
                .per_entry = options.per_entry,
                .value_bytes = options.value_bytes});
  log.Fill();
  log.config().logging.level = "info";  // the server tells its port
  const std::vector<int> cores = Cores();
  RunOn(cores.back());
  nlohmann::ordered_json out = UnderLoad(log, cores.front(), options);
  out["cores"] = cores.size();
  out["refusals"] = Figures(Refusals(log, cores.front(), options));
  std::cout << out.dump(options.json ? -1 : 2) << "\n";
}

}  // namespace
}  // namespace kt::bench

int main(int argc, char** argv) {
  kt::bench::Options options;
  CLI::App app("Puts a server under more load than it can take", "kt-load");
  app.add_option("--labels", options.labels, "Label-versions in the log")->capture_default_str();
  app.add_option("--per-entry", options.per_entry, "Of them in one log entry")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--value-bytes", options.value_bytes, "Size of each value")->capture_default_str();
  app.add_option("--searched", options.searched, "Of the labels, how many are searched for")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "Length of each part")->capture_default_str();
  app.add_option("--connections", options.connections, "Connections of the client")
      ->check(CLI::Range(1, 128))
      ->capture_default_str();
  app.add_flag("--json", options.json, "Print JSON in one line");
  CLI11_PARSE(app, argc, argv);
  kt::bench::Run(options);
  return 0;
}
