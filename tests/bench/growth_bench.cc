// SPDX-License-Identifier: Apache-2.0
//
// What inserts and searches cost as a log grows, over RocksDB: at a hundredth, a tenth and all of
// --labels, and how long the server's log then takes to open.
//
//   kt-growth [--labels N] [--per-entry N] [--value-bytes N] [--directory DIR] [--json]
//
// The VRF is replaced by a hash, since its cost does not depend on the size and would be most of
// the time; vrf_bench measures it. All else is the server's own: rows, trees, commits, proofs.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/check.h"
#include "base/hash.h"
#include "kt-core/operations.h"
#include "kt-server/head_guard.h"
#include "kt-server/search_service.h"
#include "kt-server/store.h"
#include "kt-server/transparency_log.h"
#include "tests/bench/counting_store.h"
#include "tests/support/fakes.h"
#include "tests/support/process.h"

namespace kt::bench {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::ordered_json;

// As kt-server init creates it.
constexpr merkle::PrefixTreeLayout kLayout = {.bucket_depth = 20, .rows_per_snapshot = 16};
constexpr uint64_t kEntryIntervalMs = 10'000;
constexpr int kSearches = 5'000;

struct Options {
  size_t labels = 1'000'000;
  size_t per_entry = 10'000;
  size_t value_bytes = 64;
  std::string directory;
  bool json = false;
};

double Seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) {
    std::cerr << "kt-growth: " << result.status() << "\n";
    std::exit(1);
  }
  return *std::move(result);
}

// Outputs and proofs of the right sizes and without any meaning. The public key is a real one's.
class HashVrf : public vrf::Prover {
 public:
  explicit HashVrf(base::Bytes public_key) : public_key_(std::move(public_key)) {}

  std::vector<base::VrfOutput> Evaluate(std::span<const base::Bytes> alphas) const override {
    std::vector<base::VrfOutput> outputs;
    for (const base::Bytes& alpha : alphas) outputs.push_back({base::Sha256(alpha).bytes});
    return outputs;
  }
  std::vector<vrf::ProvenOutput> Prove(std::span<const base::Bytes> alphas) const override {
    std::vector<vrf::ProvenOutput> proven;
    for (const base::VrfOutput& output : Evaluate(alphas)) {
      base::Bytes proof(vrf::ProofSize(vrf::Suite::kP256Sha256Tai));
      for (size_t i = 0; i < proof.size(); ++i) proof[i] = output.bytes[i % output.bytes.size()];
      proven.push_back({output, std::move(proof)});
    }
    return proven;
  }
  const base::Bytes& public_key() const override { return public_key_; }

 private:
  const base::Bytes public_key_;
};

base::Bytes Label(size_t number) {
  return base::ToBytes("user" + std::to_string(number) + "@bench.example");
}

uint64_t DirectoryBytes(const std::string& path) {
  uint64_t bytes = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(path)) {
    if (file.is_regular_file()) bytes += file.file_size();
  }
  return bytes;
}

double ResidentMegabytes() {
  malloc_trim(0);
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  statm >> total >> resident;
  return static_cast<double>(resident) * 4096 / 1e6;
}

class Growth {
 public:
  explicit Growth(const Options& options)
      : options_(options),
        directory_(options.directory.empty() ? temporary_.path() : options.directory),
        random_(1) {
    std::filesystem::create_directories(directory_);
    constexpr auto kAlgorithm = base::SignatureAlgorithm::kEcdsaP256Sha256;
    signature_secret_.emplace(base::GenerateSignatureSecret(kAlgorithm, random_));
    vrf_public_key_ =
        Must(vrf::CreateProver(vrf::Suite::kP256Sha256Tai,
                               vrf::GenerateSecret(vrf::Suite::kP256Sha256Tai, random_)))
            ->public_key();
    Open();
  }

  // How long it takes until a search could be answered.
  double Open() {
    const auto begin = Clock::now();
    server::LogKeys keys;
    keys.signer =
        Must(base::CreateSigner(base::SignatureAlgorithm::kEcdsaP256Sha256, *signature_secret_));
    keys.vrf = std::make_unique<HashVrf>(vrf_public_key_);
    keys.config.ciphersuite = core::CipherSuite::kP256;
    keys.config.max_ahead = 60'000;
    keys.config.max_behind = 3'600'000;
    keys.config.reasonable_monitoring_window = 86'400'000;
    keys.config.signature_public_key = keys.signer->public_key();
    keys.config.vrf_public_key = keys.vrf->public_key();
    guard_ = Must(server::HeadGuard::Open(directory_ + "/guard",
                                          core::ConfigurationFingerprint(keys.config),
                                          server::HeadGuard::IfMissing::kCreate));
    store_ =
        Must(server::OpenRocksDbStore({.path = directory_ + "/db", .create_if_missing = true}));
    counting_ = std::make_unique<CountingStore>(*store_);
    log_ =
        Must(server::TransparencyLog::Open(std::move(keys), kLayout, *counting_, *guard_, random_));
    return Seconds(Clock::now() - begin);
  }

  double Reopen() {
    log_.reset();
    counting_.reset();
    store_.reset();
    guard_.reset();
    return Open();
  }

  // Grows the log to `labels`; one row of figures.
  ordered_json GrowTo(size_t labels) {
    const size_t added = labels - labels_;
    base::Bytes value(options_.value_bytes);
    const auto begin = Clock::now();
    while (labels_ < labels) {
      server::NewEntry entry;
      entry.timestamp_ms = now_ms_ += kEntryIntervalMs;
      for (; labels_ < labels && entry.versions.size() < options_.per_entry; ++labels_) {
        random_.Fill(value);
        entry.versions.push_back({Label(labels_), 0, {value, {}}});
      }
      const absl::Status appended = log_->Append({&entry, 1});
      if (!appended.ok()) Must<int>(appended);
    }
    const double seconds = Seconds(Clock::now() - begin);
    ordered_json row = {{"labels", labels},
                        {"log_entries", log_->current()->size()},
                        {"inserts_per_second", static_cast<double>(added) / seconds}};
    row["stored_bytes_a_label"] =
        static_cast<double>(DirectoryBytes(directory_ + "/db")) / static_cast<double>(labels);
    row["resident_mb"] = ResidentMegabytes();
    Search("new_user", std::nullopt, &row);
    // One who was here a twentieth of the log ago.
    const base::TreeSize size = log_->current()->size();
    Search("returning_user", std::max<base::TreeSize>(size - size / 20, 1), &row);
    return row;
  }

 private:
  // Random labels, all of the log: most of what is read is not in a cache for a large one.
  void Search(const std::string& user, std::optional<base::TreeSize> last, ordered_json* row) {
    const server::SearchService service(*log_);
    counting_->Reset();
    uint64_t bytes = 0;
    const auto begin = Clock::now();
    for (int i = 0; i < kSearches; ++i) {
      core::SearchRequest request;
      request.last = last;
      request.label = Label(random_.Below(labels_));
      const server::SearchAnswer answer = Must(service.Search(base::codec::Encode(request)));
      KT_CHECK(answer.found && answer.vrf_proofs == 0);
      bytes += answer.response.size();
    }
    const double us = 1e6 * Seconds(Clock::now() - begin) / kSearches;
    (*row)["search_us_" + user] = us;
    (*row)["response_bytes_" + user] = static_cast<double>(bytes) / kSearches;
    (*row)["tree_rounds_" + user] = static_cast<double>(counting_->tree_rounds()) / kSearches;
  }

  const Options options_;
  const testing::TemporaryDirectory temporary_;
  const std::string directory_;
  testing::SeededRandom random_;
  std::optional<base::SecretBytes> signature_secret_;
  base::Bytes vrf_public_key_;
  size_t labels_ = 0;
  uint64_t now_ms_ = 0;
  std::unique_ptr<server::HeadGuard> guard_;
  std::unique_ptr<server::Store> store_;
  std::unique_ptr<CountingStore> counting_;
  std::unique_ptr<server::TransparencyLog> log_;
};

void Run(const Options& options) {
  Growth growth(options);
  const auto print = [&](const ordered_json& row) {
    if (options.json) {
      std::cout << row.dump() << std::endl;
      return;
    }
    for (const auto& [name, value] : row.items()) {
      std::printf("%-32s %14.1f\n", name.c_str(), value.get<double>());
    }
    std::printf("\n");
    std::fflush(stdout);
  };
  for (const size_t part : {100, 10, 1}) {
    if (options.labels / part > 0) print(growth.GrowTo(options.labels / part));
  }
  print({{"seconds_to_open", growth.Reopen()}});
}

}  // namespace
}  // namespace kt::bench

int main(int argc, char** argv) {
  kt::bench::Options options;
  CLI::App app("Measures a log as it grows", "kt-growth");
  app.add_option("--labels", options.labels, "Label-versions at the end")->capture_default_str();
  app.add_option("--per-entry", options.per_entry, "Of them in one log entry")
      ->capture_default_str();
  app.add_option("--value-bytes", options.value_bytes, "Size of each value")->capture_default_str();
  app.add_option("--directory", options.directory, "New directory for the log [a temporary one]");
  app.add_flag("--json", options.json, "Print JSON, a line for each size");
  CLI11_PARSE(app, argc, argv);
  kt::bench::Run(options);
  return 0;
}
