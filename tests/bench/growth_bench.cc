// SPDX-License-Identifier: Apache-2.0
//
// What inserts and searches cost as a log grows, over RocksDB: at a hundredth, a tenth and all of
// --labels, and how long the server's log then takes to open.
//
//   kt-growth [--labels N] [--per-entry N | --entries N] [--value-bytes N] [--cache-mb N]
//             [--leaf-mb N] [--bucket-depth N] [--rows-per-snapshot N] [--deepest-rows]
//             [--directory DIR [--resume N]] [--inserts-only] [--sequencer [--vrf IMPLEMENTATION]]
//             [--certificates] [--json]
//
// The VRF is replaced by a hash, since its cost does not depend on the size and would be most of
// the time; vrf_bench measures it. All else is the server's own: rows, trees, commits, proofs. With
// --sequencer nothing is replaced: values are submitted to the sequencer, which has each label's
// rows looked up, Ed25519 proofs made, and commits as it does in a server.
//
// Searches are measured in processor time of the thread that answers. "random" ones are for labels
// at random, all of the log, so that most of what they read of a large log is in no cache of the
// process; "warm" ones come back to a thousand labels that were asked for before. A new user's
// proof shows as many log entries as the frontier has: with --entries 4095 these are twelve, and
// one entry more makes them a single one, which is measured last. "two_entries" is a new user
// again, after so many small entries more that the frontier has two: how many entries a proof shows
// depends on how long a log has run, and not on how much it holds. "blocks" are those of sorted
// files that RocksDB read past its cache for a search at random, and "block_us" the time that this
// took, waiting and checksums included. With --resume a log that an earlier run left in DIR is
// measured as it is, and again after N more labels.
#include <malloc.h>
#include <rocksdb/perf_context.h>
#include <rocksdb/perf_level.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "kt-core/operations.h"
#include "kt-server/head_guard.h"
#include "kt-server/log_files.h"
#include "kt-server/rocksdb_tables.h"
#include "kt-server/search_service.h"
#include "kt-server/sequencer.h"
#include "kt-server/store.h"
#include "kt-server/transparency_log.h"
#include "tests/bench/certificate_values.h"
#include "tests/bench/counting_store.h"
#include "tests/support/directory_bytes.h"
#include "tests/support/fakes.h"
#include "tests/support/process.h"
#include "vrf/implementation.h"

namespace kt::bench {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::ordered_json;

constexpr uint64_t kEntryIntervalMs = 10'000;
constexpr size_t kRandomSearches = 5'000;
constexpr size_t kTimedReads = 1'000;
constexpr size_t kWarmLabels = 1'000;
constexpr size_t kWarmRounds = 5;

struct Options {
  size_t labels = 1'000'000;
  size_t per_entry = 10'000;
  size_t entries = 0;
  size_t value_bytes = 64;
  size_t cache_mb = 256;
  size_t leaf_mb = 1024;
  std::optional<unsigned> bucket_depth;
  unsigned rows_per_snapshot = 32;
  bool deepest_rows = false;
  std::string directory;
  size_t resume = 0;
  bool inserts_only = false;
  bool sequencer = false;
  std::string vrf = "auto";
  bool certificates = false;
  bool json = false;
};

double Seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

// Processor time so far, of this thread or of the whole process with RocksDB's threads.
double CpuSeconds(clockid_t clock) {
  timespec now{};
  KT_CHECK(clock_gettime(clock, &now) == 0);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}
double ThreadSeconds() { return CpuSeconds(CLOCK_THREAD_CPUTIME_ID); }
double ProcessSeconds() { return CpuSeconds(CLOCK_PROCESS_CPUTIME_ID); }

// What the process has written to files so far.
double BytesWritten() {
  std::ifstream io("/proc/self/io");
  std::string name;
  double value = 0;
  while (io >> name >> value) {
    if (name == "wchar:") return value;
  }
  return 0;
}

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) {
    std::cerr << "kt-growth: " << result.status() << "\n";
    std::exit(1);
  }
  return *std::move(result);
}

// Outputs and proofs of the right sizes and without any meaning, as hard to compress as real ones.
// The public key is a real one's.
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
      base::Bytes proof;
      for (base::Hash part{output.bytes}; proof.size() < kProofSize;) {
        part = base::Sha256(part.bytes);
        base::Append(proof, part.view());
      }
      proof.resize(kProofSize);
      proven.push_back({output, std::move(proof)});
    }
    return proven;
  }
  const base::Bytes& public_key() const override { return public_key_; }

 private:
  static constexpr size_t kProofSize = 80;
  const base::Bytes public_key_;
};

base::Bytes Label(size_t number) {
  return base::ToBytes("user" + std::to_string(number) + "@bench.example");
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
    signature_secret_.emplace(base::GenerateSignatureSecret(kSignature, random_));
    vrf_secret_.emplace(vrf::GenerateSecret(kVrf, random_));
    if (options.certificates) certificates_.emplace();
    seconds_to_open_ = Open();
  }

  double seconds_to_open() const { return seconds_to_open_; }
  // So far.
  size_t labels() const { return labels_; }

  // How long it takes until a search could be answered.
  double Open() {
    const auto begin = Clock::now();
    server::LogKeys keys;
    keys.signer = Must(base::CreateSigner(kSignature, *signature_secret_));
    keys.vrf = Must(vrf::CreateProver(kVrf, *vrf_secret_));
    if (!options_.sequencer) keys.vrf = std::make_unique<HashVrf>(keys.vrf->public_key());
    keys.config.ciphersuite = core::CipherSuite::kEd25519;
    keys.config.max_ahead = 60'000;
    keys.config.max_behind = 3'600'000;
    keys.config.reasonable_monitoring_window = 86'400'000;
    keys.config.signature_public_key = keys.signer->public_key();
    keys.config.vrf_public_key = keys.vrf->public_key();
    guard_ = Must(server::HeadGuard::Open(directory_ + "/guard",
                                          core::ConfigurationFingerprint(keys.config),
                                          server::HeadGuard::IfMissing::kCreate));
    store_ = Must(server::OpenRocksDbStore({.path = directory_ + "/db",
                                            .create_if_missing = true,
                                            .block_cache_bytes = options_.cache_mb << 20}));
    counting_ = std::make_unique<CountingStore>(*store_);
    log_ = Must(server::TransparencyLog::Open(std::move(keys), Layout(), *counting_, *guard_,
                                              random_, Memory()));
    return Seconds(Clock::now() - begin);
  }

  double Reopen() {
    Close();
    return Open();
  }

  // What the tables take once everything is compacted, each and a label-version. Nothing may be
  // done with the log after it.
  ordered_json Compact() {
    Close();
    const auto database = Must(server::RocksDatabase::Open({.path = directory_ + "/db"}));
    rocksdb::CompactRangeOptions whole;
    whole.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    ordered_json row;
    double all = 0;
    for (size_t i = 0; i < server::kTableCount; ++i) {
      const auto table = static_cast<server::Table>(i);
      uint64_t bytes = 0;
      KT_CHECK(database->db().CompactRange(whole, database->table(table), nullptr, nullptr).ok());
      KT_CHECK(database->db().GetIntProperty(database->table(table),
                                             rocksdb::DB::Properties::kLiveSstFilesSize, &bytes));
      const double a_label = static_cast<double>(bytes) / static_cast<double>(labels_);
      row[std::string("compacted_bytes_") + server::TableName(table)] = a_label;
      if (table != server::Table::kValue) all += a_label;
    }
    row["compacted_bytes_without_values"] = all;
    row["given_bytes_value"] = static_cast<double>(value_bytes_) / static_cast<double>(labels_);
    return row;
  }

  // Takes up the log that an earlier run left, and returns how many label-versions it has.
  size_t Resume() {
    std::ifstream(LabelsFile()) >> labels_;
    const auto state = log_->current();
    KT_CHECK(labels_ > 0 && state != nullptr);
    return labels_;
  }

  // Grows the log to `labels`; one row of figures.
  ordered_json GrowTo(size_t labels) {
    const size_t added = labels - labels_;
    const double cpu = ProcessSeconds();
    const double written = BytesWritten();
    const auto begin = Clock::now();
    if (options_.sequencer) {
      Submit(labels);
    } else {
      while (labels_ < labels) AppendEntry(std::min(labels, EndOfEntry()));
    }
    const double seconds = Seconds(Clock::now() - begin);
    const auto count = static_cast<double>(added);
    ordered_json row = {{"labels", labels}, {"log_entries", log_->current()->size()}};
    if (added > 0) {
      row["inserts_per_second"] = count / seconds;
      row["inserts_per_cpu_second"] = count / (ProcessSeconds() - cpu);
      row["written_bytes_an_insert"] = (BytesWritten() - written) / count;
    }
    row["stored_bytes_a_label"] = static_cast<double>(testing::DirectoryBytes(directory_ + "/db")) /
                                  static_cast<double>(labels);
    row["resident_mb"] = ResidentMegabytes();
    if (options_.inserts_only) return row;
    // The returning user was here a twentieth of the log ago.
    const base::TreeSize size = log_->current()->size();
    MeasureSearches("new_user", std::nullopt, &row);
    MeasureSearches("returning_user", std::max<base::TreeSize>(size - size / 20, 1), &row);
    if (options_.entries == 0) {
      while (std::popcount(log_->current()->size()) != 2) AppendEntry(labels_ + 1);
      MeasureSearches("two_entries", std::nullopt, &row);
    }
    return row;
  }

  // One entry more: with --entries 4095 a proof then shows a single log entry.
  ordered_json AfterOneMoreEntry() {
    AppendEntry(labels_ + 1);
    ordered_json row = {{"log_entries", log_->current()->size()}};
    MeasureSearches("new_user", std::nullopt, &row);
    return row;
  }

 private:
  static constexpr auto kSignature = base::SignatureAlgorithm::kEd25519;
  static constexpr auto kVrf = vrf::Suite::kEdwards25519Sha512Tai;

  void Close() {
    log_.reset();
    counting_.reset();
    store_.reset();
    guard_.reset();
  }

  merkle::PrefixTreeLayout Layout() const {
    const uint8_t init = server::LayoutFor(options_.labels).bucket_depth;
    return {.bucket_depth = static_cast<uint8_t>(options_.bucket_depth.value_or(init)),
            .rows_per_snapshot = static_cast<uint8_t>(options_.rows_per_snapshot),
            .deepest_from_leaves = !options_.deepest_rows};
  }

  merkle::PrefixTreeMemory Memory() const {
    merkle::PrefixTreeMemory memory = server::MemoryFor(server::ServerConfig());
    memory.leaf_bytes = options_.leaf_mb << 20;
    return memory;
  }

  // How many labels there are once the next log entry is full.
  size_t EndOfEntry() const {
    if (options_.entries == 0) return labels_ + options_.per_entry;
    const size_t next = log_->current() == nullptr ? 1 : log_->current()->size() + 1;
    return std::max(labels_ + 1, options_.labels * next / options_.entries);
  }

  void AppendEntry(size_t end) {
    server::NewEntry entry;
    entry.timestamp_ms = NextMs();
    for (; labels_ < end; ++labels_) {
      entry.versions.push_back({Label(labels_), 0, {NextValue(), {}}});
    }
    const absl::Status appended = log_->Append({&entry, 1});
    if (!appended.ok()) Must<int>(appended);
    std::ofstream(LabelsFile()) << labels_;
  }

  base::Bytes NextValue() {
    base::Bytes value;
    if (certificates_.has_value()) {
      value = certificates_->Next(std::to_string(labels_), random_);
    } else {
      value.resize(options_.value_bytes);
      random_.Fill(value);
    }
    value_bytes_ += value.size();
    return value;
  }

  // Has the labels up to `end` published, as many waiting at a time as a server takes.
  void Submit(size_t end) {
    server::SequencerOptions options;
    options.epoch_interval_ms = 1;
    options.max_pending_per_submitter = options.max_pending;
    options.batch.versions_per_entry = options_.per_entry;
    options.accept_clock = true;
    const auto status = [](const absl::Status& what) {
      Must<int>(what.ok() ? absl::StatusOr<int>(0) : what);
    };
    server::Sequencer sequencer(
        options, *log_, base::SystemClock(), [&](const auto& report) { status(report.status); },
        [](const absl::Status&) {});
    status(sequencer.Start());
    for (; labels_ < end; ++labels_) {
      base::Bytes value = NextValue();
      server::Submitter::Submission submission;
      submission.label = Label(labels_);
      submission.bytes = value.size();
      submission.mutation = [value = std::move(value)](
                                const server::CurrentValue*) -> absl::StatusOr<server::NewValues> {
        return server::NewValues({value});
      };
      submission.done = [&](absl::StatusOr<server::Submitter::Outcome> outcome) {
        status(outcome.status());
      };
      while (true) {
        const absl::Status submitted = sequencer.Submit(submission);
        if (submitted.ok()) break;
        if (!absl::IsResourceExhausted(submitted)) status(submitted);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
    sequencer.Stop();
    std::ofstream(LabelsFile()) << labels_;
  }

  std::string LabelsFile() const { return directory_ + "/labels"; }

  // The sequencer goes by the real clock, which is ahead of this one.
  uint64_t NextMs() {
    const auto state = log_->current();
    if (state != nullptr) now_ms_ = std::max(now_ms_, Must(state->Timestamp(state->size() - 1)));
    return now_ms_ += kEntryIntervalMs;
  }

  // Searches once for each label; returns the mean time of this thread in microseconds.
  double Search(std::optional<base::TreeSize> last, std::span<const size_t> labels,
                uint64_t* bytes) {
    const server::SearchService service(*log_);
    std::vector<base::Bytes> requests;
    for (const size_t label : labels) {
      core::SearchRequest request;
      request.last = last;
      request.label = Label(label);
      requests.push_back(base::codec::Encode(request));
    }
    const double begin = ThreadSeconds();
    for (const base::Bytes& request : requests) {
      const server::SearchAnswer answer = Must(service.Search(request));
      KT_CHECK(answer.found && answer.vrf_proofs <= 1);
      *bytes += answer.response.size();
    }
    return 1e6 * (ThreadSeconds() - begin) / static_cast<double>(labels.size());
  }

  std::vector<size_t> RandomLabels(size_t count) {
    std::vector<size_t> labels;
    for (size_t i = 0; i < count; ++i) labels.push_back(random_.Below(labels_));
    return labels;
  }

  void MeasureSearches(const std::string& user, std::optional<base::TreeSize> last,
                       ordered_json* row) {
    uint64_t bytes = 0;
    counting_->Reset();
    const double random_us = Search(last, RandomLabels(kRandomSearches), &bytes);
    (*row)["search_random_us_" + user] = random_us;
    (*row)["response_bytes_" + user] = static_cast<double>(bytes) / kRandomSearches;
    (*row)["rounds_" + user] = static_cast<double>(counting_->rounds()) / kRandomSearches;
    (*row)["tree_rounds_" + user] = static_cast<double>(counting_->tree_rounds()) / kRandomSearches;
    MeasureReads(user, last, row);
    const std::vector<size_t> labels = RandomLabels(kWarmLabels);
    Search(last, labels, &bytes);
    double warm_us = 0;
    for (size_t i = 0; i < kWarmRounds; ++i) warm_us += Search(last, labels, &bytes);
    (*row)["search_warm_us_" + user] = warm_us / kWarmRounds;
  }

  // Apart from the searches that are timed, since RocksDB takes longer when it times its reads.
  void MeasureReads(const std::string& user, std::optional<base::TreeSize> last,
                    ordered_json* row) {
    rocksdb::SetPerfLevel(rocksdb::PerfLevel::kEnableTimeExceptForMutex);
    const rocksdb::PerfContext& counts = *rocksdb::get_perf_context();
    rocksdb::get_perf_context()->Reset();
    uint64_t bytes = 0;
    Search(last, RandomLabels(kTimedReads), &bytes);
    rocksdb::SetPerfLevel(rocksdb::PerfLevel::kEnableCount);  // its default
    const auto a_search = [](uint64_t sum) { return static_cast<double>(sum) / kTimedReads; };
    (*row)["blocks_random_" + user] = a_search(counts.block_read_count);
    (*row)["block_us_random_" + user] =
        a_search(counts.block_read_time + counts.block_checksum_time) / 1e3;
  }

  const Options options_;
  const testing::TemporaryDirectory temporary_;
  const std::string directory_;
  testing::SeededRandom random_;
  std::optional<base::SecretBytes> signature_secret_;
  std::optional<base::SecretBytes> vrf_secret_;
  std::optional<CertificateValues> certificates_;  // if values are such
  double seconds_to_open_ = 0;
  size_t labels_ = 0;
  uint64_t value_bytes_ = 0;  // given by this run
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
  if (options.resume > 0) {
    const size_t labels = growth.Resume();
    print({{"seconds_to_open", growth.seconds_to_open()}});
    print(growth.GrowTo(labels));
    print(growth.GrowTo(growth.labels() + options.resume));
    return;
  }
  for (const size_t part : {100, 10, 1}) {
    if (options.labels / part > 0) print(growth.GrowTo(options.labels / part));
  }
  if (!options.inserts_only) print(growth.AfterOneMoreEntry());
  print({{"seconds_to_open", growth.Reopen()}});
  print(growth.Compact());
}

}  // namespace
}  // namespace kt::bench

int main(int argc, char** argv) {
  kt::bench::Options options;
  CLI::App app("Measures a log as it grows", "kt-growth");
  app.add_option("--labels", options.labels, "Label-versions at the end")->capture_default_str();
  app.add_option("--per-entry", options.per_entry, "Of them in one log entry")
      ->capture_default_str();
  app.add_option("--entries", options.entries, "Log entries at the end, instead of --per-entry");
  app.add_option("--cache-mb", options.cache_mb, "RocksDB's block cache")->capture_default_str();
  app.add_option("--leaf-mb", options.leaf_mb, "Of memory for leaves of the prefix tree")
      ->capture_default_str();
  app.add_option("--bucket-depth", options.bucket_depth,
                 "Of the prefix tree [as kt-server init has it for --labels]");
  app.add_option("--rows-per-snapshot", options.rows_per_snapshot, "Of a tile's history")
      ->capture_default_str();
  app.add_flag("--deepest-rows", options.deepest_rows, "Keep a history of the deepest tiles too");
  app.add_option("--value-bytes", options.value_bytes, "Size of each value")->capture_default_str();
  app.add_option("--directory", options.directory, "New directory for the log [a temporary one]");
  app.add_option("--resume", options.resume, "Goes on with the log in --directory, by so many");
  app.add_flag("--sequencer", options.sequencer, "Publish through the sequencer, with a real VRF");
  app.add_flag("--inserts-only", options.inserts_only, "Without searches");
  app.add_option("--vrf", options.vrf, "Implementation of the VRF: auto, portable or library")
      ->check(CLI::IsMember({"auto", "portable", "library"}))
      ->capture_default_str();
  app.add_flag("--certificates", options.certificates,
               "Values are certificates with their issuers', instead of random bytes");
  app.add_flag("--json", options.json, "Print JSON, a line for each size");
  CLI11_PARSE(app, argc, argv);
  KT_CHECK(kt::vrf::LimitDefaultImplementation(options.vrf).ok());
  kt::bench::Run(options);
  return 0;
}
