// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/simulation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace kt::sim {

using base::TreeSize;
using base::Version;
using client::LogUser;
using core::DeploymentMode;

namespace {

core::CipherSuite SuiteOf(uint64_t seed) {
  return seed % 4 == 0 ? core::CipherSuite::kP256 : core::CipherSuite::kEd25519;
}
DeploymentMode ModeOf(uint64_t seed) {
  return seed % 3 == 0 ? DeploymentMode::kThirdPartyAuditing : DeploymentMode::kContactMonitoring;
}

// Of the history, a few steps, most of it or more than all.
std::optional<uint64_t> LifetimeOf(uint64_t seed, Memory memory) {
  static constexpr uint64_t kLifetimesMs[] = {4'000, 20'000, 90'000};
  const uint64_t choice = seed / 3 % 4;
  if (memory == Memory::kKeeps || choice == 3) return std::nullopt;
  return kLifetimesMs[choice];
}

// An auditor of a log that forgets may be behind by more than the lifetime.
uint64_t AuditorLagOf(uint64_t seed, Memory memory) {
  return memory == Memory::kForgets && seed % 2 == 0 ? 60'000 : 1'000;
}

}  // namespace

absl::Status Broken(const std::string& what, const absl::Status& why) {
  return absl::InternalError(why.ok() ? what : absl::StrCat(what, ": ", why.ToString()));
}

SimulationCounts& SimulationCounts::operator+=(const SimulationCounts& other) {
  static constexpr uint64_t SimulationCounts::*kCounts[] = {
      &SimulationCounts::commits,
      &SimulationCounts::failed_commits,
      &SimulationCounts::restarts,
      &SimulationCounts::refused_starts,
      &SimulationCounts::idle_entries,
      &SimulationCounts::publications,
      &SimulationCounts::refused_publications,
      &SimulationCounts::failed_reads,
      &SimulationCounts::searches,
      &SimulationCounts::absences,
      &SimulationCounts::monitorings,
      &SimulationCounts::walks,
      &SimulationCounts::updates,
      &SimulationCounts::audits,
      &SimulationCounts::owner_publications,
      &SimulationCounts::lost_answers,
      &SimulationCounts::returns,
      &SimulationCounts::clock_jumps,
      &SimulationCounts::credentials,
      &SimulationCounts::provisional_credentials,
      &SimulationCounts::settled_credentials,
      &SimulationCounts::flips_refused,
      &SimulationCounts::forks_refused,
      &SimulationCounts::prunings,
      &SimulationCounts::rows_pruned,
      &SimulationCounts::failed_prunings,
      &SimulationCounts::erasures,
      &SimulationCounts::failed_erasures,
      &SimulationCounts::told_expired,
      &SimulationCounts::told_erased,
      &SimulationCounts::begun_anew,
      &SimulationCounts::auditor_behind,
  };
  for (const auto count : kCounts) this->*count += other.*count;
  for (const auto& [name, times] : other.lies) lies[name] += times;
  return *this;
}

Simulation::Simulation(uint64_t seed, Memory memory)
    : memory_(memory),
      random_(seed),
      log_(OperatorKeys::Create(SuiteOf(seed), ModeOf(seed), LifetimeOf(seed, memory),
                                AuditorLagOf(seed, memory)),
           clock_, seed) {
  verifier_ = core::ResponseVerifier::Create(log_.config()).value();
  const absl::Status started = log_.Start(Observer());
  KT_CHECK(started.ok());
  for (User& user : users_) user.retained = NewUser();
  if (audited()) auditor_ = auditor::LogAuditor::Create(log_.config(), {}).value();
}

std::unique_ptr<LogUser> Simulation::NewUser() const {
  client::LogRecord record;
  record.config = log_.config();
  return std::make_unique<LogUser>(*verifier_, std::move(record));
}

LogUser& Simulation::AnyUser() {
  for (int tries = 0; tries < 4; ++tries) {
    User& user = users_[random_.Below(users_.size())];
    if (user.away_until_ms > now_ms()) continue;
    if (user.away_until_ms != 0) ++counts_.returns;
    // For some of the history, or for longer than heads are good for.
    const uint64_t away_ms = random_.Below(random_.Below(2) == 0 ? 20'000 : 300'000);
    user.away_until_ms = random_.Below(12) == 0 ? now_ms() + away_ms : 0;
    return *user.retained;
  }
  // All are away; the next who comes is new.
  User& user = users_[random_.Below(users_.size())];
  user = {NewUser(), 0};
  return *user.retained;
}

std::string Simulation::AnyLabel() {
  const uint64_t choice = random_.Below(6);
  return choice == 0 ? kOwned : absl::StrCat("user", choice, "@smime.example");
}

void Simulation::Advance(uint64_t ms) {
  time_.Advance(ms);
  clock_.Advance(ms);
}

absl::Status Simulation::Run(uint64_t steps) {
  uint64_t lie_at = random_.Below(2) == 0 ? steps / 2 + random_.Below(steps / 2 + 1) : steps;
  if (forgets()) lie_at = steps;
  for (uint64_t step = 0; step < steps; ++step) {
    absl::Status status = step == lie_at ? TellLie() : Step();
    // Somebody was told that what was asked for is forgotten, as it is.
    if (absl::IsCancelled(status)) status = absl::OkStatus();
    if (status.ok() && step == lie_at) return status;
    if (status.ok()) status = CheckHeads();
    if (!status.ok()) return Broken(absl::StrCat("step ", step), status);
  }
  for (const auto& [label, versions] : published_) KT_RETURN_IF_ERROR(CheckLabel(label));
  return absl::OkStatus();
}

absl::Status Simulation::Step() {
  Advance(random_.Below(20) == 0 ? random_.Below(5'000) : random_.Below(300));
  // A clock that is corrected, a little at a time.
  if (random_.Below(40) == 0) clock_.Set(now_ms() + random_.Below(3'000) - 1'500);
  // Users of an audited log wait for its auditor; who asks earlier is told so.
  if (audited() && log_.log().current() == nullptr) return Audit();
  constexpr uint64_t kThings = 28;
  const uint64_t choice = random_.Below(forgets() ? 38 : kThings);
  if (choice >= kThings) return Forget(choice - kThings);
  switch (choice) {
    case 0:
      return Restart();
    case 1:
    case 2:
      return forgets() ? AuditSome() : Audit();
    case 3:
      return Own();
    case 4:
      return OwnerPublish();
    case 5:
      return ContactMonitor(AnyUser());
    case 6:
      return Walk(AnyUser());
    case 7:
      return ShowFork(AnyUser());
    case 8:
      return Search(*NewUser(), AnyLabel(), std::nullopt);
    case 9: {
      const std::string label = AnyLabel();
      const size_t count = published_[label].size();
      return Search(AnyUser(), label, static_cast<Version>(random_.Below(count + 2)));
    }
    case 10:
    case 11:
      return Search(AnyUser(), AnyLabel(), std::nullopt);
    case 12:
      return SendCredential();
    case 13:
      return SettleCredentials();
    case 14:
      return random_.Below(4) == 0 ? Wait() : SetClockForward();
    case 15:
      return AskOfFailingDisk(AnyUser());
    case 16:
    case 17:
    case 18:
      return EpochUnderFaults();
    case 19:
    case 20:
    case 21:
      return Epoch();
    default:
      return Submit();
  }
}

// Longer than heads are good for; without publications the log adds entries all the same.
absl::Status Simulation::Wait() {
  for (uint64_t left_ms = random_.Below(200'000); left_ms > 0;) {
    const uint64_t step_ms = std::min<uint64_t>(left_ms, 15'000);
    left_ms -= step_ms;
    Advance(step_ms);
    const TreeSize size = log_.log().newest()->size();
    const bool publishes = !pending_.empty();
    KT_RETURN_IF_ERROR(Epoch());
    if (!publishes) counts_.idle_entries += log_.log().newest()->size() - size;
    KT_RETURN_IF_ERROR(Audit());
  }
  return absl::OkStatus();
}

// A wall clock that jumps while the server runs gets into no signature.
absl::Status Simulation::SetClockForward() {
  ++counts_.clock_jumps;
  const TreeSize size = log_.log().newest()->size();
  const uint64_t right_ms = clock_.NowMs();
  clock_.Set(right_ms + 3'600'000);
  KT_RETURN_IF_ERROR(Epoch());
  if (log_.log().newest()->size() != size) return Broken("a time from the future is signed");
  if (random_.Below(2) == 0) {
    // Nor does it after a restart: the last entry is too old for that.
    log_.Crash();
    pending_.clear();
    const absl::Status started = log_.Start(Observer());
    if (!absl::IsFailedPrecondition(started)) return Broken("a wrong clock is believed", started);
  }
  clock_.Set(right_ms);
  return log_.running() ? absl::OkStatus() : Restart();
}

}  // namespace kt::sim
