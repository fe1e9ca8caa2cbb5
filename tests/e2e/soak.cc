// SPDX-License-Identifier: Apache-2.0
//
// kt-soak: a server under mixed load for as long as is asked for, restarted again and again by
// SIGTERM and by kill -9 in turn. Publishers remember what was acknowledged, users verify what they
// find, and in the end fsck has a look. Exit codes: 0 all holds, 1 something does not, 2 usage.
#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/clock.h"
#include "kt-core/response_verifier.h"
#include "proto/kt.grpc.pb.h"
#include "smime/certificate_set.h"
#include "tests/e2e/deployment.h"
#include "tests/e2e/publisher.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace kt::testing {
namespace {

constexpr int kEpochMs = 50;
constexpr const char* kPeople[] = {"alice", "bob", "carlos", "dana"};
constexpr int kSearchers = 2;

struct SoakOptions {
  int minutes = 10;
  int restart_seconds = 120;
  int max_rss_mb = 900;
  int pause_ms = 0;
  std::string suite = "ed25519";
};

class Soak {
 public:
  explicit Soak(const SoakOptions& options)
      : options_(options), deployment_(options.suite, kEpochMs) {
    for (const char* limit :
         {"requests_per_second", "publishes_per_second", "connections_per_second_per_client"}) {
      deployment_.SetLimit(limit, "100000");
    }
    verifier_ = VerifierOf(deployment_);
  }

  int Run() {
    const absl::Time end = absl::Now() + absl::Minutes(options_.minutes);
    while (absl::Now() < end && !failed_) Live(std::min(end, absl::Now() + Restart()));
    // It computes anew all that the load has made.
    constexpr int kFsckMs = 3'600'000;
    const ProcessResult fsck =
        RunProcess({ServerProgram(), "fsck", "--config", deployment_.config()}, {}, kFsckMs);
    std::cout << "fsck: " << fsck.out;
    if (fsck.exit_code != 0) Fail("fsck: " + fsck.err);
    return failed_ ? 1 : 0;
  }

 private:
  struct Acknowledged {
    uint32_t version;
    base::Bytes der;
  };

  absl::Duration Restart() const { return absl::Seconds(options_.restart_seconds); }

  void Fail(const std::string& what) {
    failed_ = true;
    std::cerr << "kt-soak: " << what << std::endl;
  }

  // One life of the server, under load until `until`.
  void Live(absl::Time until) {
    if (!deployment_.StartServer()) return Fail("no start: " + deployment_.server().Log());
    stopping_ = false;
    std::vector<std::thread> threads;
    for (const char* who : kPeople) threads.emplace_back([this, who] { Publish(who); });
    for (int i = 0; i < kSearchers; ++i) threads.emplace_back([this, i] { Search(i); });
    const absl::Time begin = absl::Now();
    std::vector<uint64_t> rss_mb;  // by second
    while (absl::Now() < until && !failed_) {
      absl::SleepFor(absl::Seconds(1));
      rss_mb.push_back(RssMb());
      if (rss_mb.back() > static_cast<uint64_t>(options_.max_rss_mb)) Fail("too much memory");
    }
    const absl::Duration lived = absl::Now() - begin;
    const bool kill = lives_++ % 2 == 1;
    stopping_ = true;
    deployment_.server().Signal(kill ? SIGKILL : SIGTERM);
    const int code = deployment_.server().Wait();
    for (std::thread& thread : threads) thread.join();
    if (code != (kill ? 128 + SIGKILL : 0)) {
      Fail(absl::StrCat("exit code ", code, ": ", deployment_.server().Log()));
    }
    if (rss_mb.empty()) return;
    std::cout << "life " << lives_ << (kill ? ", killed" : ", stopped") << " after "
              << absl::ToInt64Seconds(lived) << " s: " << published_ << " acknowledged, "
              << searches_ << " verified searches; MB at the start, half-way, at the end, most: "
              << rss_mb.front() << ", " << rss_mb[rss_mb.size() / 2] << ", " << rss_mb.back()
              << ", " << *std::max_element(rss_mb.begin(), rss_mb.end()) << std::endl;
  }

  uint64_t RssMb() {
    std::ifstream status(absl::StrCat("/proc/", deployment_.server().pid(), "/status"));
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("VmRSS:", 0) == 0) return std::stoull(line.substr(6)) / 1024;
    }
    return 0;
  }

  // Each version that is acknowledged can be searched for.
  void Publish(const std::string& who) {
    Publisher publisher(deployment_, who);
    while (!stopping_) {
      const auto published = publisher.Publish();
      if (!published.ok()) {
        if (!stopping_) Fail("not published: " + std::string(published.status().message()));
        return;
      }
      ++published_;
      Remember(publisher.address(), {published->version, published->der});
      Pause();
    }
  }

  void Remember(const std::string& address, Acknowledged acknowledged) {
    absl::MutexLock lock(&mutex_);
    acknowledged_[address].push_back(std::move(acknowledged));
  }

  // Anybody's version, now and then one that nobody has.
  void Search(int number) {
    std::mt19937_64 random(static_cast<uint64_t>(number) + 1);
    const auto stub = v1::KeyTransparency::NewStub(ConnectTo(deployment_));
    std::optional<core::UserState> state;
    while (!stopping_) {
      const std::string address =
          absl::StrCat(random() % 8 == 0 ? "nobody" : kPeople[random() % 4], "@smime.example");
      core::SearchRequest request;
      request.label = base::ToBytes(address);
      const base::Bytes expected = Choose(address, random(), &request);
      if (state.has_value()) request.last = state->tree_size();
      const base::Bytes encoded = base::codec::Encode(request);
      v1::SearchRequest body;
      body.set_request(encoded.data(), encoded.size());
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
      v1::SearchResponse response;
      const grpc::Status status = stub->Search(&context, body, &response);
      if (!status.ok()) {
        if (!stopping_) Fail("not found: " + status.error_message());
        return;
      }
      if (!Verify(request, response, expected, &state)) return;
      ++searches_;
      Pause();
    }
  }

  void Pause() const { absl::SleepFor(absl::Milliseconds(options_.pause_ms)); }

  // Sets the version to search for to one that was acknowledged; returns what it holds. Empty if
  // the address has none: then the greatest version is asked for, and may be there.
  base::Bytes Choose(const std::string& address, uint64_t random, core::SearchRequest* request) {
    absl::MutexLock lock(&mutex_);
    const auto versions = acknowledged_.find(address);
    if (versions == acknowledged_.end()) return {};
    const Acknowledged& chosen = versions->second[random % versions->second.size()];
    request->version = chosen.version;
    return chosen.der;
  }

  bool Verify(const core::SearchRequest& request, const v1::SearchResponse& response,
              const base::Bytes& expected, std::optional<core::UserState>* state) {
    // Who sees an absence keeps the state from before: the check of it is another test's.
    if (!response.has_found()) {
      if (expected.empty()) return true;
      Fail("an acknowledged version is gone");
      return false;
    }
    const auto verified = verifier_->VerifySearch(request, base::AsBytes(response.found()),
                                                  state->has_value() ? &**state : nullptr,
                                                  base::SystemClock().NowMs());
    if (!verified.ok()) {
      Fail("not verified: " + std::string(verified.status().message()));
      return false;
    }
    const auto set = smime::CertificateSet::Decode(verified->value);
    const bool is_right = set.ok() && set->entries().size() == 1 &&
                          (expected.empty() || set->entries().front().der == expected);
    if (!is_right) Fail("another certificate than was published");
    *state = verified->state;
    return is_right;
  }

  const SoakOptions options_;
  Deployment deployment_;
  std::unique_ptr<core::ResponseVerifier> verifier_;
  int lives_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> failed_ = false;
  std::atomic<uint64_t> published_ = 0;
  std::atomic<uint64_t> searches_ = 0;

  absl::Mutex mutex_;
  std::map<std::string, std::vector<Acknowledged>> acknowledged_ ABSL_GUARDED_BY(mutex_);
};

int Main(int argc, char** argv) {
  CLI::App app("Runs a server under mixed load, with restarts", "kt-soak");
  SoakOptions options;
  app.add_option("--minutes", options.minutes, "how long")->capture_default_str();
  app.add_option("--restart-seconds", options.restart_seconds, "how long each life of it lasts")
      ->capture_default_str();
  app.add_option("--max-rss-mb", options.max_rss_mb, "more memory of the server is a failure")
      ->capture_default_str();
  app.add_option("--pause-ms", options.pause_ms,
                 "how long each of the publishers and searchers rests after a call")
      ->capture_default_str();
  app.add_option("--suite", options.suite, "p256 or ed25519")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::cerr << "kt-soak: " << error.what() << "; see kt-soak --help\n";
    return 2;
  }
  return Soak(options).Run();
}

}  // namespace
}  // namespace kt::testing

int main(int argc, char** argv) {
  try {
    return kt::testing::Main(argc, argv);
  } catch (const std::exception& error) {
    fprintf(stderr, "kt-soak: %s\n", error.what());
    return 2;
  }
}
