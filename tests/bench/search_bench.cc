// SPDX-License-Identifier: Apache-2.0
//
// What a search costs the server's processor, from the encoded request to the encoded answer, and
// its user's: a log over RocksDB, warm, in process. $KT_BENCH_LABELS labels of one version each
// (20,000 if unset) are published first, 100 in an entry.
//
//   search_bench --benchmark_filter=P256
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/check.h"
#include "kt-core/response_verifier.h"
#include "kt-server/head_guard.h"
#include "kt-server/log_files.h"
#include "kt-server/search_service.h"
#include "kt-server/store.h"
#include "kt-server/transparency_log.h"
#include "tests/bench/counting_store.h"
#include "tests/support/fakes.h"
#include "tests/support/process.h"

namespace kt::server {
namespace {

constexpr size_t kLabelsPerEntry = 100;
constexpr size_t kValueSize = 2'048;
constexpr uint64_t kEntryIntervalMs = 10'000;

template <typename T>
T Must(absl::StatusOr<T> result) {
  KT_CHECK(result.ok());
  return *std::move(result);
}

base::Bytes Label(size_t number) {
  return base::ToBytes("user" + std::to_string(number) + "@bench.example");
}

size_t Labels() {
  const char* labels = std::getenv("KT_BENCH_LABELS");
  return labels == nullptr ? 20'000 : std::strtoull(labels, nullptr, 10);
}

// A filled log of one suite; made once, since filling takes seconds.
class Log {
 public:
  static Log& Of(core::CipherSuite suite) {
    std::unique_ptr<Log>& log = logs_[suite];
    if (log == nullptr) log.reset(new Log(suite));
    return *log;
  }

  // Before main() ends: RocksDB cannot be closed after it.
  static void CloseAll() { logs_.clear(); }

  const SearchService& service() const { return *service_; }
  const core::ResponseVerifier& verifier() const { return *verifier_; }
  bench::CountingStore& counts() { return *counting_; }
  uint64_t now_ms() const { return now_ms_; }
  base::TreeSize size() const { return log_->current()->size(); }

  core::SearchRequest RandomRequest(const core::UserState* state) {
    core::SearchRequest request;
    request.label = Label(random_.Below(labels_));
    if (state != nullptr) request.last = state->tree_size();
    return request;
  }

 private:
  static inline std::map<core::CipherSuite, std::unique_ptr<Log>> logs_;

  explicit Log(core::CipherSuite suite) : random_(1), labels_(Labels()) {
    const auto algorithm = core::SignatureAlgorithmOf(suite);
    LogKeys keys;
    keys.signer =
        Must(base::CreateSigner(algorithm, base::GenerateSignatureSecret(algorithm, random_)));
    keys.vrf = Must(vrf::CreateProver(core::VrfSuiteOf(suite),
                                      vrf::GenerateSecret(core::VrfSuiteOf(suite), random_)));
    keys.config.ciphersuite = suite;
    keys.config.max_ahead = 60'000;
    keys.config.max_behind = 3'600'000;
    keys.config.reasonable_monitoring_window = 86'400'000;
    keys.config.signature_public_key = keys.signer->public_key();
    keys.config.vrf_public_key = keys.vrf->public_key();
    verifier_ = Must(core::ResponseVerifier::Create(keys.config));
    guard_ =
        Must(HeadGuard::Open(directory_.File("guard"), core::ConfigurationFingerprint(keys.config),
                             HeadGuard::IfMissing::kCreate));
    store_ = Must(OpenRocksDbStore({.path = directory_.File("db"), .create_if_missing = true}));
    counting_ = std::make_unique<bench::CountingStore>(*store_);
    log_ = Must(TransparencyLog::Open(std::move(keys), LayoutFor(labels_), *counting_, *guard_,
                                      random_, MemoryFor(ServerConfig())));
    service_ = std::make_unique<SearchService>(*log_);
    Fill();
  }

  void Fill() {
    base::Bytes value(kValueSize);
    for (size_t done = 0; done < labels_;) {
      NewEntry entry;
      entry.timestamp_ms = now_ms_ += kEntryIntervalMs;
      for (; done < labels_ && entry.versions.size() < kLabelsPerEntry; ++done) {
        random_.Fill(value);
        entry.versions.push_back({Label(done), 0, {value, {}}});
      }
      KT_CHECK(log_->Append({&entry, 1}).ok());
    }
  }

  testing::TemporaryDirectory directory_;
  testing::SeededRandom random_;
  const size_t labels_;
  uint64_t now_ms_ = 0;
  std::unique_ptr<core::ResponseVerifier> verifier_;
  std::unique_ptr<HeadGuard> guard_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<bench::CountingStore> counting_;
  std::unique_ptr<TransparencyLog> log_;
  std::unique_ptr<SearchService> service_;
};

core::UserState StateOf(Log& log) {
  const core::SearchRequest request = log.RandomRequest(nullptr);
  const SearchAnswer answer = Must(log.service().Search(base::codec::Encode(request)));
  return Must(log.verifier().VerifySearch(request, answer.response, nullptr, log.now_ms())).state;
}

enum class User { kNew, kReturning };

std::optional<core::UserState> StateOf(Log& log, User user) {
  if (user == User::kNew) return std::nullopt;
  return StateOf(log);
}

// A greatest-version search, answered. bytes: the response, of which 2,048 are the value.
void BM_Search(benchmark::State& state, core::CipherSuite suite, User user) {
  Log& log = Log::Of(suite);
  const std::optional<core::UserState> known = StateOf(log, user);
  log.counts().Reset();
  uint64_t bytes = 0;
  for (auto _ : state) {
    const auto request = log.RandomRequest(known.has_value() ? &*known : nullptr);
    const SearchAnswer answer = Must(log.service().Search(base::codec::Encode(request)));
    bytes += answer.response.size();
  }
  using benchmark::Counter;
  state.counters["bytes"] = Counter(static_cast<double>(bytes), Counter::kAvgIterations);
  state.counters["keys"] =
      Counter(static_cast<double>(log.counts().keys()), Counter::kAvgIterations);
  state.counters["rounds"] =
      Counter(static_cast<double>(log.counts().rounds()), Counter::kAvgIterations);
  state.counters["tree_rounds"] =
      Counter(static_cast<double>(log.counts().tree_rounds()), Counter::kAvgIterations);
  state.counters["log_entries"] = static_cast<double>(log.size());
}

// A search for a label that does not exist: a VRF proof is made for each.
void BM_SearchAbsent(benchmark::State& state, core::CipherSuite suite) {
  Log& log = Log::Of(suite);
  size_t number = 0;
  for (auto _ : state) {
    core::SearchRequest request;
    request.label = base::ToBytes("nobody" + std::to_string(number++) + "@bench.example");
    KT_CHECK(!Must(log.service().Search(base::codec::Encode(request))).found);
  }
}

// What the user does with the answer.
void BM_VerifySearch(benchmark::State& state, core::CipherSuite suite, User user) {
  Log& log = Log::Of(suite);
  const std::optional<core::UserState> known = StateOf(log, user);
  const core::UserState* previous = known.has_value() ? &*known : nullptr;
  const core::SearchRequest request = log.RandomRequest(previous);
  const SearchAnswer answer = Must(log.service().Search(base::codec::Encode(request)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        Must(log.verifier().VerifySearch(request, answer.response, previous, log.now_ms())));
  }
}

constexpr auto kP256 = core::CipherSuite::kP256;
constexpr auto kEd25519 = core::CipherSuite::kEd25519;
BENCHMARK_CAPTURE(BM_Search, P256_new_user, kP256, User::kNew);
BENCHMARK_CAPTURE(BM_Search, P256_returning_user, kP256, User::kReturning);
BENCHMARK_CAPTURE(BM_SearchAbsent, P256, kP256);
BENCHMARK_CAPTURE(BM_VerifySearch, P256_new_user, kP256, User::kNew);
BENCHMARK_CAPTURE(BM_VerifySearch, P256_returning_user, kP256, User::kReturning);
BENCHMARK_CAPTURE(BM_Search, Ed25519_new_user, kEd25519, User::kNew);
BENCHMARK_CAPTURE(BM_Search, Ed25519_returning_user, kEd25519, User::kReturning);
BENCHMARK_CAPTURE(BM_SearchAbsent, Ed25519, kEd25519);
BENCHMARK_CAPTURE(BM_VerifySearch, Ed25519_new_user, kEd25519, User::kNew);
BENCHMARK_CAPTURE(BM_VerifySearch, Ed25519_returning_user, kEd25519, User::kReturning);

}  // namespace

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  Log::CloseAll();
  return 0;
}

}  // namespace kt::server

int main(int argc, char** argv) { return kt::server::Main(argc, argv); }
