// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/bench_log.h"

#include <filesystem>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"

namespace kt::bench {

namespace fs = std::filesystem;

BenchLog::BenchLog(const Options& options) : options_(options) {
  config_.log.domains = {"bench.example"};
  config_.log.configuration = directory_.File("configuration.tls");
  config_.log.signature_key = directory_.File("keys/signature.key");
  config_.log.vrf_key = directory_.File("keys/vrf.key");
  config_.log.database = directory_.File("db");
  config_.log.head_guard = directory_.File("guard/head");
  config_.listen.address = "127.0.0.1:0";
  config_.listen.tls_certificate = directory_.File("server.pem");
  config_.listen.tls_key = directory_.File("server.key");
  config_.admission.trust_anchors = directory_.File("server.pem");
  config_.publishers.tokens = directory_.File("tokens.toml");
  config_.limits.requests_per_second = 1e9;
  config_.limits.connections_per_second_per_client = 1e3;
  config_.logging.level = "error";
  core::Configuration log;
  log.ciphersuite =
      options.suite == "p256" ? core::CipherSuite::kP256 : core::CipherSuite::kEd25519;
  log.max_ahead = 60'000;
  log.max_behind = 3'600'000;
  log.reasonable_monitoring_window = 86'400'000;
  Must(server::CreateLogFiles(config_, log, server::LayoutFor(options.labels),
                              base::SystemRandom()));
  const auto made =
      testing::RunProcess({"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                           "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout",
                           config_.listen.tls_key, "-out", config_.listen.tls_certificate, "-subj",
                           "/CN=bench.example", "-addext", "subjectAltName=DNS:bench.example"});
  KT_CHECK(made.exit_code == 0);
  fs::permissions(config_.listen.tls_key, fs::perms::owner_read | fs::perms::owner_write);
}

base::Bytes BenchLog::Label(size_t i) {
  return base::ToBytes("user" + std::to_string(i) + "@bench.example");
}

double BenchLog::Fill() {
  const server::OpenedLog opened = Must(server::OpenLog(config_, base::SystemRandom()));
  base::Bytes value(options_.value_bytes);
  const auto begin = Clock::now();
  for (size_t done = 0; done < options_.labels;) {
    server::NewEntry entry;
    entry.timestamp_ms = base::SystemClock().NowMs();
    for (; done < options_.labels && entry.versions.size() < options_.per_entry; ++done) {
      base::SystemRandom().Fill(value);
      entry.versions.push_back({Label(done), 0, {value, {}}});
    }
    Must(opened.log->Append({&entry, 1}));
  }
  return Seconds(Clock::now() - begin);
}

}  // namespace kt::bench
