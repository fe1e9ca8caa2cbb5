// SPDX-License-Identifier: Apache-2.0
//
// Measures a whole server: fills a log with label-versions, then searches it in process (time,
// database reads, bytes) and over gRPC with TLS (rate and latency).
//
//   kt-bench [--labels N] [--per-entry N] [--seconds N] [--clients N] [--suite p256|ed25519]
//   [--json]
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "kt-core/response_verifier.h"
#include "kt-server/event_log.h"
#include "kt-server/log_files.h"
#include "kt-server/search_service.h"
#include "kt-server/server.h"
#include "proto/kt.grpc.pb.h"
#include "tests/bench/bench_log.h"
#include "tests/bench/counting_store.h"
#include "tests/support/directory_bytes.h"

namespace kt::bench {
namespace {

struct Options {
  size_t labels = 20'000;
  size_t per_entry = 1'000;
  size_t value_bytes = 2'048;
  int seconds = 3;
  int clients = 4;
  std::string suite = "ed25519";
  bool json = false;
};

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options),
        log_({options.labels, options.per_entry, options.value_bytes, options.suite}) {}

  void Fill() {
    const double seconds = log_.Fill();
    results_["insert_per_second"] = static_cast<double>(options_.labels) / seconds;
    results_["insert_us"] = 1e6 * seconds / static_cast<double>(options_.labels);
  }

  // Searches without gRPC: server time, what it reads, and what the client's verification costs.
  void SearchInProcess() {
    const server::OpenedLog opened = Must(server::OpenLog(log_.config(), base::SystemRandom()));
    const uint64_t stored = testing::DirectoryBytes(log_.config().log.database);
    results_["stored_bytes_per_label_version"] =
        static_cast<double>(stored) / static_cast<double>(options_.labels);
    results_["value_bytes"] = options_.value_bytes;
    const auto verifier = Must(core::ResponseVerifier::Create(opened.log->config()));
    const server::SearchService service(*opened.log);
    constexpr int kSearches = 2'000;
    std::mt19937_64 random(1);
    uint64_t bytes = 0;
    Clock::duration proving{};
    Clock::duration verifying{};
    for (int i = 0; i < kSearches; ++i) {
      core::SearchRequest request;
      request.label = BenchLog::Label(random() % options_.labels);
      const base::Bytes encoded = base::codec::Encode(request);
      const auto begin = Clock::now();
      const server::SearchAnswer answer = Must(service.Search(encoded));
      const auto proven = Clock::now();
      KT_CHECK(answer.found);
      Must(verifier->VerifySearch(request, answer.response, nullptr, base::SystemClock().NowMs()));
      verifying += Clock::now() - proven;
      proving += proven - begin;
      bytes += answer.response.size();
    }
    results_["search_us"] = 1e6 * Seconds(proving) / kSearches;
    results_["verify_us"] = 1e6 * Seconds(verifying) / kSearches;
    results_["response_bytes"] = static_cast<double>(bytes) / kSearches;
    results_["tree_size"] = opened.log->current()->size();
  }

  // The same searches against a store that counts.
  void CountReads() {
    server::OpenedLog opened = Must(server::OpenLog(log_.config(), base::SystemRandom()));
    opened.log = nullptr;
    CountingStore store(*opened.store);
    server::LogKeys keys = ReadKeys();
    const auto log =
        Must(server::TransparencyLog::Open(std::move(keys), opened.layout, store, *opened.guard,
                                           base::SystemRandom(), server::MemoryFor(log_.config())));
    const server::SearchService service(*log);
    store.Reset();
    constexpr int kSearches = 200;
    for (int i = 0; i < kSearches; ++i) {
      core::SearchRequest request;
      request.label = BenchLog::Label(static_cast<size_t>(i) % options_.labels);
      Must(service.Search(base::codec::Encode(request)));
    }
    results_["read_rounds_per_search"] = static_cast<double>(store.rounds()) / kSearches;
    results_["tree_read_rounds_per_search"] = static_cast<double>(store.tree_rounds()) / kSearches;
    results_["keys_read_per_search"] = static_cast<double>(store.keys()) / kSearches;
  }

  void SearchOverGrpc() {
    server::EventLog events(log_.config().logging.level);
    const auto server = Must(
        server::Server::Start(log_.config(), events, base::SystemClock(), base::SystemRandom()));
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = testing::ReadText(log_.config().listen.tls_certificate);
    std::atomic<bool> stop = false;
    std::vector<std::vector<double>> latencies(static_cast<size_t>(options_.clients));
    std::vector<std::thread> threads;
    const auto begin = Clock::now();
    for (size_t c = 0; c < latencies.size(); ++c) {
      threads.emplace_back([&, c] {
        grpc::ChannelArguments arguments;
        arguments.SetSslTargetNameOverride("bench.example");
        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        const auto stub = v1::KeyTransparency::NewStub(
            grpc::CreateCustomChannel(server->address(), grpc::SslCredentials(tls), arguments));
        std::mt19937_64 random(c);
        while (!stop) {
          core::SearchRequest request;
          request.label = BenchLog::Label(random() % options_.labels);
          const base::Bytes encoded = base::codec::Encode(request);
          v1::SearchRequest body;
          body.set_request(encoded.data(), encoded.size());
          grpc::ClientContext context;
          v1::SearchResponse response;
          const auto sent = Clock::now();
          const grpc::Status status = stub->Search(&context, body, &response);
          KT_CHECK(status.ok() && response.has_found());
          latencies[c].push_back(1e3 * Seconds(Clock::now() - sent));
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::seconds(options_.seconds));
    stop = true;
    for (std::thread& thread : threads) thread.join();
    const double seconds = Seconds(Clock::now() - begin);
    std::vector<double> all;
    for (const auto& part : latencies) all.insert(all.end(), part.begin(), part.end());
    std::sort(all.begin(), all.end());
    results_["grpc_searches_per_second"] = static_cast<double>(all.size()) / seconds;
    results_["grpc_p50_ms"] = all[all.size() / 2];
    results_["grpc_p99_ms"] = all[all.size() * 99 / 100];
  }

  const nlohmann::ordered_json& results() const { return results_; }

 private:
  server::LogKeys ReadKeys() const {
    server::LogKeys keys;
    keys.config = Must(server::ReadPublicConfiguration(log_.config()));
    const auto read = [](const std::string& path) {
      std::string hex = testing::ReadText(path);
      hex.pop_back();
      return base::SecretBytes(*base::FromHex(hex));
    };
    keys.signer = Must(base::CreateSigner(core::SignatureAlgorithmOf(keys.config.ciphersuite),
                                          read(log_.config().log.signature_key)));
    keys.vrf = Must(vrf::CreateProver(core::VrfSuiteOf(keys.config.ciphersuite),
                                      read(log_.config().log.vrf_key)));
    return keys;
  }

  const Options options_;
  BenchLog log_;
  nlohmann::ordered_json results_;
};

void Run(const Options& options) {
  Bench bench(options);
  bench.Fill();
  bench.SearchInProcess();
  bench.CountReads();
  bench.SearchOverGrpc();
  if (options.json) {
    std::cout << bench.results().dump() << "\n";
    return;
  }
  std::printf("%zu label-versions, %zu an entry, suite %s, %d clients\n", options.labels,
              options.per_entry, options.suite.c_str(), options.clients);
  for (const auto& [name, value] : bench.results().items()) {
    std::printf("%-34s %12.1f\n", name.c_str(), value.get<double>());
  }
}

}  // namespace
}  // namespace kt::bench

int main(int argc, char** argv) {
  kt::bench::Options options;
  CLI::App app("Measures a whole server", "kt-bench");
  app.add_option("--labels", options.labels, "Label-versions in the log")->capture_default_str();
  app.add_option("--per-entry", options.per_entry, "Of them in one log entry")
      ->capture_default_str();
  app.add_option("--value-bytes", options.value_bytes, "Size of each value")->capture_default_str();
  app.add_option("--seconds", options.seconds, "Length of the gRPC run")->capture_default_str();
  app.add_option("--clients", options.clients, "Concurrent gRPC clients")->capture_default_str();
  app.add_option("--suite", options.suite, "Cipher suite")
      ->check(CLI::IsMember({"p256", "ed25519"}))
      ->capture_default_str();
  app.add_flag("--json", options.json, "Print JSON");
  CLI11_PARSE(app, argc, argv);
  kt::bench::Run(options);
  return 0;
}
