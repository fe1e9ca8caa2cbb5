// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/crash_run.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/signature.h"
#include "base/status.h"
#include "tests/crash/life.h"
#include "vrf/vrf.h"

namespace kt::crash {
namespace {

constexpr int kBroken = 1;
constexpr unsigned kMostSeconds = 900;  // of a life, beside other work; then it hangs

absl::Status Broken(const std::string& what) { return absl::InternalError(what); }

// Often while the log opens, mostly under load.
uint64_t CrashPoint(testing::SeededRandom& random) {
  constexpr uint64_t kOpening = 120;
  constexpr uint64_t kLoad = 1'000;
  return 1 + random.Below(random.Below(4) == 0 ? kOpening : kLoad);
}

}  // namespace

CrashCounts& CrashCounts::operator+=(const CrashCounts& other) {
  kills += other.kills;
  power_cuts += other.power_cuts;
  while_opening += other.while_opening;
  full_disks += other.full_disks;
  heads += other.heads;
  acknowledged += other.acknowledged;
  searches += other.searches;
  return *this;
}

CrashRun::CrashRun(uint64_t seed) : seed_(seed), random_(seed) {
  const core::CipherSuite suite =
      seed % 4 == 0 ? core::CipherSuite::kP256 : core::CipherSuite::kEd25519;
  const auto algorithm = core::SignatureAlgorithmOf(suite);
  signature_secret_ = base::GenerateSignatureSecret(algorithm, random_);
  vrf_secret_ = vrf::GenerateSecret(core::VrfSuiteOf(suite), random_);
  const auto signer = base::CreateSigner(algorithm, signature_secret_);
  const auto prover = vrf::CreateProver(core::VrfSuiteOf(suite), vrf_secret_);
  KT_CHECK(signer.ok() && prover.ok());
  config_.ciphersuite = suite;
  config_.mode = core::DeploymentMode::kContactMonitoring;
  config_.max_ahead = 10'000;
  config_.max_behind = 100'000;
  config_.reasonable_monitoring_window = 1'000;
  config_.signature_public_key = (*signer)->public_key();
  config_.vrf_public_key = (*prover)->public_key();
}

absl::Status CrashRun::Run(int crashes) {
  for (int i = 0; i < crashes; ++i) KT_RETURN_IF_ERROR(Live(Ending::kCrash));
  return Live(Ending::kNone);
}

absl::Status CrashRun::Live(Ending ending) {
  using Crash = testing::FaultDisk::Crash;
  LifeOptions options;
  options.seed = random_.Below(uint64_t{1} << 62);
  options.directory = directory_.path();
  options.now_ms = testing::FakeClock().NowMs() + 1'000 * lives_;
  // Half of the logs flush and compact under load, which others do only when they are opened.
  options.max_write_buffer_bytes = seed_ % 2 == 0 ? 64 << 10 : 4 << 20;
  options.lying_disk = lying_disk_;
  options.config = config_;
  options.signature_secret = &signature_secret_;
  options.vrf_secret = &vrf_secret_;
  if (ending == Ending::kCrash) options.crash_at = CrashPoint(random_);
  options.crash = random_.Below(2) == 0 ? Crash::kProcess : Crash::kPower;
  const bool first = lives_++ == 0;

  int ends[2];
  KT_CHECK(pipe(ends) == 0);
  fflush(nullptr);
  const pid_t child = fork();
  KT_CHECK(child >= 0);
  if (child == 0) {
    close(ends[0]);
    alarm(kMostSeconds);
    absl::Status status = first ? CreateLog(options) : absl::OkStatus();
    if (status.ok()) status = LiveLife(options, told_, ends[1]);
    if (!status.ok()) fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    _exit(status.ok() ? 0 : kBroken);
  }
  close(ends[1]);
  serving_ = false;
  const absl::Status heard = Listen(ends[0]);
  close(ends[0]);
  int status = 0;
  KT_CHECK(waitpid(child, &status, 0) == child);
  KT_RETURN_IF_ERROR(heard);
  const int expected = ending == Ending::kCrash ? testing::FaultDisk::kCrashed : 0;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != expected) {
    return Broken(absl::StrCat("life ", lives_, " ended with status ", status));
  }
  if (ending == Ending::kNone) return absl::OkStatus();
  ++(options.crash == Crash::kPower ? counts_.power_cuts : counts_.kills);
  if (!serving_) ++counts_.while_opening;
  return absl::OkStatus();
}

absl::Status CrashRun::Listen(int pipe) {
  std::string text;
  char buffer[4096];
  absl::Status status;
  for (;;) {
    const ssize_t got = read(pipe, buffer, sizeof(buffer));
    if (got <= 0) return status;
    text.append(buffer, static_cast<size_t>(got));
    for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      status.Update(Hear(text.substr(0, end)));
      text.erase(0, end + 1);
    }
  }
}

absl::Status CrashRun::Hear(const std::string& line) {
  std::istringstream in(line);
  std::string word;
  in >> word;
  if (word == "opened") {
    serving_ = true;
  } else if (word == "full") {
    ++counts_.full_disks;
  } else if (word == "searched") {
    uint64_t count = 0;
    in >> count;
    counts_.searches += count;
  } else if (word == "head") {
    base::TreeSize size = 0;
    std::string hex;
    in >> size >> hex;
    const auto bytes = base::FromHex(hex);
    KT_CHECK(bytes.has_value() && bytes->size() == base::kHashSize);
    base::Hash root;
    std::copy(bytes->begin(), bytes->end(), root.bytes.begin());
    const auto [known, fresh] = told_.heads.try_emplace(size, root);
    if (known->second != root) return Broken(absl::StrCat("two heads of size ", size));
    if (fresh) ++counts_.heads;
  } else if (word == "version") {
    std::string label;
    base::Version version = 0;
    uint64_t number = 0;
    in >> label >> version >> number;
    const auto [known, fresh] = told_.versions.try_emplace({label, version}, number);
    if (!fresh) return Broken(absl::StrCat("version ", version, " of ", label, " twice"));
    ++counts_.acknowledged;
  } else {
    return Broken("a life told: " + line);
  }
  if (!in) return Broken("a life told: " + line);
  return absl::OkStatus();
}

}  // namespace kt::crash
