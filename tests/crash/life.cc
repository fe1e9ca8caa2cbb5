// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/life.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/signature.h"
#include "base/status.h"
#include "kt-core/response_verifier.h"
#include "kt-server/head_guard.h"
#include "kt-server/search_service.h"
#include "kt-server/sequencer.h"
#include "kt-server/store.h"
#include "kt-server/transparency_log.h"
#include "vrf/vrf.h"

namespace kt::crash {
namespace {

using server::HeadGuard;
using server::Sequencer;
using server::Submitter;

// Holds the leaves of some lives, and only some of those of others.
constexpr size_t kMaxLeafBytes = 20'000;
constexpr merkle::PrefixTreeLayout kLayout = {
    .bucket_depth = 8, .rows_per_snapshot = 4, .deepest_from_leaves = true};
constexpr size_t kLabels = 24;
constexpr uint64_t kOneInFull = 150;  // submissions
constexpr absl::Duration kRecovery = absl::Seconds(20);
constexpr size_t kMostWaiting = 3;  // commits are what matters, not how much is in them

absl::Status Broken(const std::string& what, const absl::Status& why = absl::OkStatus()) {
  return absl::InternalError(why.ok() ? what : absl::StrCat(what, ": ", why.ToString()));
}

// Mostly short, sometimes as long as a set of certificates.
base::Bytes ValueOf(const std::string& label, base::Version version, uint64_t number) {
  base::Bytes value = base::ToBytes(absl::StrCat(label, " ", version, " ", number));
  if (number % 8 == 0) value.resize(value.size() + number % 6'000, static_cast<uint8_t>(number));
  return value;
}

server::RocksDbOptions StoreOptions(const LifeOptions& options) {
  server::RocksDbOptions out;
  out.path = options.directory + "/db";
  out.block_cache_bytes = 8 << 20;
  out.max_write_buffer_bytes = options.max_write_buffer_bytes;
  out.min_free_bytes = 1 << 20;
  return out;
}

absl::StatusOr<std::unique_ptr<HeadGuard>> OpenGuard(const LifeOptions& options,
                                                     HeadGuard::IfMissing if_missing,
                                                     const base::FileCalls& calls) {
  return HeadGuard::Open(options.directory + "/guard",
                         core::ConfigurationFingerprint(options.config), if_missing, calls);
}

class Life {
 public:
  Life(const LifeOptions& options, const Told& told, int pipe)
      : options_(options),
        told_(told),
        pipe_(pipe),
        random_(options.seed),
        clock_(options.now_ms),
        disk_(options.seed, options.directory + "/scratch") {}

  absl::Status Live() {
    disk_.LieAboutSyncs(options_.lying_disk);
    if (options_.crash_at > 0) disk_.CrashAt(options_.crash_at, options_.crash);
    KT_RETURN_IF_ERROR(Open());
    Tell("opened");
    KT_RETURN_IF_ERROR(CheckHeads());
    KT_RETURN_IF_ERROR(CheckVersions());
    if (options_.crash_at == 0) return absl::OkStatus();
    return Publish();
  }

 private:
  void Tell(const std::string& line) {
    const std::string text = line + "\n";
    KT_CHECK(write(pipe_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }

  absl::Status Open() {
    absl::StatusOr<std::unique_ptr<HeadGuard>> guard =
        OpenGuard(options_, HeadGuard::IfMissing::kRefuse, disk_.files());
    if (!guard.ok()) return Broken("the head guard does not open", guard.status());
    guard_ = *std::move(guard);
    server::RocksDbOptions store_options = StoreOptions(options_);
    store_options.env = disk_.env();
    store_options.check_torn = [this](const server::Snapshot& log,
                                      const absl::StatusOr<base::Bytes>&) {
      return server::CheckGuarded(*guard_, log);
    };
    absl::StatusOr<std::unique_ptr<server::Store>> store = server::OpenRocksDbStore(store_options);
    if (!store.ok()) return Broken("the database does not open", store.status());
    store_ = *std::move(store);
    server::LogKeys keys{options_.config, nullptr, nullptr};
    KT_ASSIGN_OR_RETURN(keys.signer,
                        base::CreateSigner(core::SignatureAlgorithmOf(options_.config.ciphersuite),
                                           *options_.signature_secret));
    KT_ASSIGN_OR_RETURN(keys.vrf, vrf::CreateProver(core::VrfSuiteOf(options_.config.ciphersuite),
                                                    *options_.vrf_secret));
    auto log = server::TransparencyLog::Open(std::move(keys), kLayout, *store_, *guard_, random_,
                                             {.leaf_bytes = kMaxLeafBytes});
    if (!log.ok()) return Broken("the log does not open", log.status());
    log_ = *std::move(log);
    return log_->newest() == nullptr ? absl::OkStatus() : TellHead();
  }

  // Users may see it from now on.
  absl::Status TellHead() {
    const std::shared_ptr<const server::LogState> state = log_->newest();
    KT_ASSIGN_OR_RETURN(const base::Hash root, server::LogRootAt(state->snapshot(), state->size()));
    Tell(absl::StrCat("head ", state->size(), " ", base::ToHex(root.bytes)));
    return absl::OkStatus();
  }

  absl::Status CheckHeads() {
    if (told_.heads.empty()) return absl::OkStatus();
    const std::shared_ptr<const server::LogState> state = log_->newest();
    const base::TreeSize size = state == nullptr ? 0 : state->size();
    if (size < told_.heads.rbegin()->first) {
      return Broken(absl::StrCat("the log has ", size, " entries, but a head of ",
                                 told_.heads.rbegin()->first, " was released"));
    }
    for (const auto& [told_size, root] : told_.heads) {
      const auto now = server::LogRootAt(state->snapshot(), told_size);
      if (!now.ok()) return Broken("a root is not there", now.status());
      if (*now != root) return Broken(absl::StrCat("another root at size ", told_size));
    }
    return absl::OkStatus();
  }

  absl::Status CheckVersions() {
    KT_ASSIGN_OR_RETURN(const auto verifier, core::ResponseVerifier::Create(options_.config));
    // When checking is all there is to do, everything; otherwise some, and surely the newest ones.
    constexpr uint64_t kOneIn = 8;
    uint64_t searched = 0;
    for (auto it = told_.versions.begin(); it != told_.versions.end(); ++it) {
      const auto& [label, version] = it->first;
      const auto next = std::next(it);
      const bool newest = next == told_.versions.end() || next->first.first != label;
      if (options_.crash_at > 0 && !newest && random_.Below(kOneIn) != 0) continue;
      KT_RETURN_IF_ERROR(CheckVersion(*verifier, label, version, it->second));
      ++searched;
    }
    Tell(absl::StrCat("searched ", searched));
    return absl::OkStatus();
  }

  absl::Status CheckVersion(const core::ResponseVerifier& verifier, const std::string& label,
                            base::Version version, uint64_t number) {
    core::SearchRequest request;
    request.label = base::ToBytes(label);
    request.version = version;
    const std::string what = absl::StrCat("version ", version, " of ", label);
    const auto answer = server::SearchService(*log_).Search(base::codec::Encode(request));
    if (!answer.ok()) return Broken(what + " is not answered", answer.status());
    if (!answer->found) return Broken(what + " was acknowledged and is lost");
    const auto result = verifier.VerifySearch(request, answer->response, nullptr, clock_.NowMs());
    if (!result.ok()) return Broken(what + " is not proven", result.status());
    if (result->value != ValueOf(label, version, number))
      return Broken(what + " has another value");
    return absl::OkStatus();
  }

  Submitter::Submission MakeSubmission() {
    const std::string label = absl::StrCat("user", random_.Below(kLabels), "@a.example");
    const uint64_t number = random_.Below(uint64_t{1} << 40);
    Submitter::Submission out;
    out.label = base::ToBytes(label);
    out.submitter = "token";
    out.mutation =
        [label, number](const server::CurrentValue* current) -> absl::StatusOr<server::NewValues> {
      return server::NewValues(std::vector<base::Bytes>{
          ValueOf(label, current == nullptr ? 0 : current->version + 1, number)});
    };
    out.done = [this, label, number](absl::StatusOr<Submitter::Outcome> outcome) {
      --waiting_;
      if (outcome.ok()) {
        Tell(absl::StrCat("version ", label, " ", outcome->version, " ", number));
      }
    };
    return out;
  }

  // On the sequencer's thread.
  void Observe(const Sequencer::CommitReport& report) {
    absl::Status status = report.status;
    if (status.ok()) {
      status = TellHead();
      ++commits_;
    } else if (absl::IsResourceExhausted(status) || is_full_) {
      return;
    }
    absl::MutexLock lock(&mutex_);
    failure_.Update(status);
  }

  // Now and then the disk is full for a moment.
  void ChangeSpace() {
    const absl::Time now = absl::Now();
    if (full_until_ <= now && full_until_ > absl::InfinitePast()) {
      disk_.SetSpace(testing::FaultDisk::kUnlimited);
      full_until_ = absl::InfinitePast();
      recovered_by_ = now + kRecovery;
      commits_then_ = commits_;
    } else if (full_until_ == absl::InfinitePast() && recovered_by_ == absl::InfiniteFuture() &&
               random_.Below(kOneInFull) == 0) {
      is_full_ = true;
      disk_.SetSpace(random_.Below(20'000));
      full_until_ = now + absl::Milliseconds(5 + random_.Below(20));
    }
    // The first commit may have been under way.
    if (recovered_by_ == absl::InfiniteFuture() || commits_ <= commits_then_ + 1) return;
    recovered_by_ = absl::InfiniteFuture();
    is_full_ = false;
  }

  absl::Status CheckProgress() {
    // If space runs out in the middle of a write, only a restart helps.
    const bool needs_restart =
        log_->writable().message().find("started again") != std::string::npos;
    if (needs_restart && is_full_) _exit(testing::FaultDisk::kCrashed);
    if (absl::Now() > recovered_by_) {
      return Broken("the disk has room again, but nothing is signed", log_->writable());
    }
    absl::MutexLock lock(&mutex_);
    return failure_.ok() ? failure_ : Broken("a commit failed on a sound disk", failure_);
  }

  // Until the disk ends the process.
  absl::Status Publish() {
    server::SequencerOptions sequencer_options;
    sequencer_options.epoch_interval_ms = 1;
    // So that some epochs have several, of which one is prepared while another is made.
    sequencer_options.batch.versions = 1 + random_.Below(12);
    Sequencer sequencer(
        sequencer_options, *log_, clock_,
        [this](const Sequencer::CommitReport& report) { Observe(report); },
        [](const absl::Status&) {},
        [this](const absl::Status& status) {
          if (absl::IsResourceExhausted(status)) Tell("full");
        });
    KT_RETURN_IF_ERROR(sequencer.Start());
    for (;;) {
      KT_RETURN_IF_ERROR(CheckProgress());
      ChangeSpace();
      ++waiting_;
      // One label may have only so much waiting; another one comes next.
      if (!sequencer.Submit(MakeSubmission()).ok()) --waiting_;
      while (waiting_ >= kMostWaiting) absl::SleepFor(absl::Microseconds(100));
    }
  }

  const LifeOptions& options_;
  const Told& told_;
  const int pipe_;
  testing::SeededRandom random_;
  testing::FakeClock clock_;
  testing::FaultDisk disk_;
  std::unique_ptr<HeadGuard> guard_;
  std::unique_ptr<server::Store> store_;
  std::unique_ptr<server::TransparencyLog> log_;
  std::atomic<size_t> waiting_ = 0;
  std::atomic<uint64_t> commits_ = 0;
  std::atomic<bool> is_full_ = false;  // the disk, or it was and nothing was signed since

  // Of the publishing thread.
  absl::Time full_until_ = absl::InfinitePast();
  absl::Time recovered_by_ = absl::InfiniteFuture();
  uint64_t commits_then_ = 0;  // when the disk got room again

  absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::Status CreateLog(const LifeOptions& options) {
  server::RocksDbOptions store_options = StoreOptions(options);
  store_options.create_if_missing = true;
  KT_RETURN_IF_ERROR(server::OpenRocksDbStore(store_options).status());
  return OpenGuard(options, HeadGuard::IfMissing::kCreate, base::FileCalls::System()).status();
}

absl::Status LiveLife(const LifeOptions& options, const Told& told, int pipe) {
  return Life(options, told, pipe).Live();
}

}  // namespace kt::crash
