// SPDX-License-Identifier: Apache-2.0
//
// A whole deployment in one thread, under fake clocks, from one seed: the server's sequencer and
// log over a store and a head guard that fail at any step of a commit, users who come and go, an
// owner who publishes, senders and receivers of credentials, the auditor, and a second operator
// with the same keys who shows a fork. A run may end with a log that lies, and with those who must
// notice. docs/invariants.md lists what must hold, docs/threat-model.md who notices what.
#ifndef TESTS_SIM_SIMULATION_H_
#define TESTS_SIM_SIMULATION_H_

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kt-auditor/log_auditor.h"
#include "kt-client/log_user.h"
#include "tests/sim/exchange.h"
#include "tests/sim/log_operator.h"
#include "tests/support/fakes.h"

namespace kt::sim {

// How often what happened, so that a run that tests nothing shows.
struct SimulationCounts {
  uint64_t commits = 0, failed_commits = 0, restarts = 0, refused_starts = 0, idle_entries = 0;
  uint64_t publications = 0, refused_publications = 0, failed_reads = 0;
  uint64_t searches = 0, absences = 0, monitorings = 0, walks = 0, updates = 0, audits = 0;
  uint64_t owner_publications = 0, lost_answers = 0, returns = 0, clock_jumps = 0;
  uint64_t credentials = 0, provisional_credentials = 0, settled_credentials = 0;
  uint64_t flips_refused = 0, forks_refused = 0;
  // Of logs that forget.
  uint64_t prunings = 0, rows_pruned = 0, failed_prunings = 0, erasures = 0, failed_erasures = 0;
  uint64_t told_expired = 0, told_erased = 0, begun_anew = 0, auditor_behind = 0;
  std::map<std::string, uint64_t> lies;  // that were noticed, by name

  SimulationCounts& operator+=(const SimulationCounts& other);
};

// Whether a log keeps all that it ever had, or has a maximum lifetime, most of the time, and
// publishers who want things erased. One that forgets does not end with a lie.
enum class Memory { kKeeps, kForgets };

class Simulation {
 public:
  // The suite, the mode and all that happens follow from the two.
  explicit Simulation(uint64_t seed, Memory memory = Memory::kKeeps);

  // Does `steps` random things and checks the invariants after each. kInternal if one does not
  // hold, with the step and what was seen.
  absl::Status Run(uint64_t steps);

  const SimulationCounts& counts() const { return counts_; }

 private:
  // An acknowledged version.
  struct Published {
    base::LogPosition position = 0;
    base::Bytes value;
    bool owners = false;       // the owner made it
    bool alone = false;        // of the address in its log entry, but for those published with it
    uint64_t publication = 0;  // by which it was made
    bool erased = false;
  };
  // What was handed to the sequencer.
  struct Publication {
    uint64_t number = 0;
    std::string label;
    bool alone = false;
    bool owners = false;
    bool refuses = false;  // its mutation finds that it has nothing to publish
    base::Version first = 0;
    std::vector<base::Bytes> values;  // empty until its turn comes
    std::optional<absl::StatusOr<server::Submitter::Outcome>> answer;
  };
  struct User {
    std::unique_ptr<client::LogUser> retained;
    uint64_t away_until_ms = 0;
  };
  struct SentCredential {
    size_t sender = 0;
    client::SentCredential sent;
    std::string label;
  };

  // simulation.cc: what happens when.
  absl::Status Step();
  absl::Status Wait();
  absl::Status SetClockForward();
  // simulation_log.cc: what the log does.
  absl::Status Submit();
  absl::Status Submit(std::shared_ptr<Publication> publication);
  std::shared_ptr<Publication> NewPublication(const std::string& label);
  void Acknowledge(const Publication& publication, base::LogPosition position);
  absl::StatusOr<std::vector<base::Bytes>> Mutate(const std::shared_ptr<Publication>& publication,
                                                  const server::CurrentValue* current);
  absl::Status Epoch();
  absl::Status EpochUnderFaults();
  absl::Status CheckAnswers();
  std::vector<std::shared_ptr<Publication>> CommitOf(size_t versions) const;
  void Observe(const server::Sequencer::CommitReport& report);
  void Answered(const std::shared_ptr<Publication>& publication,
                const absl::StatusOr<server::Submitter::Outcome>& outcome);
  absl::Status Restart();
  absl::Status StartUnderFaults();
  // After a restart: the log has all that it acknowledged, and perhaps what it could not.
  absl::Status Adopt();
  server::Sequencer::Observer Observer() {
    return [this](const server::Sequencer::CommitReport& report) { Observe(report); };
  }
  absl::Status CheckHeads();
  absl::Status CheckLabel(const std::string& label);
  absl::Status Audit();
  absl::Status AuditUpTo(base::TreeSize size);
  absl::Status ApplyUpdates(const server::LogState& state,
                            const std::vector<core::AuditorUpdate>& updates);

  // simulation_forgetting.cc: what it forgets, and how its users take that.
  absl::Status Forget(uint64_t choice);
  absl::Status AuditSome();
  bool IsKept(const absl::Status& reclaimed) const;
  absl::Status Prune();
  absl::Status CheckPruned();
  absl::Status Erase();
  absl::Status MarkErased(const std::string& label, std::optional<base::Version> version,
                          size_t expected);
  absl::Status NoteTimestamps();
  absl::Status Forgotten(client::LogUser& user, const Exchange& exchange);
  absl::Status CheckMayForget(const client::LogUser& user, const Exchange& exchange);
  bool MayHaveExpired(const client::LogUser& user, const Exchange& exchange);
  bool TwinSaysExpired(const Exchange& search);
  bool IsErased(const Exchange& exchange);
  bool HasExpired(base::LogPosition position);
  bool IsPruned(const std::string& label, base::Version version);
  void BeginAnew(const client::LogUser& user);

  // simulation_users.cc: what its users do.
  absl::Status Take(client::LogUser& user, const Exchange& exchange, std::string* result = nullptr);
  absl::Status CheckFlip(const client::LogUser& before, const client::LogUser& after,
                         const Exchange& exchange, const std::string& honest);
  absl::Status NoticedByMonitoring(client::LogUser owner);
  absl::Status Search(client::LogUser& user, const std::string& label,
                      std::optional<base::Version> version);
  absl::Status ContactMonitor(client::LogUser& user);
  absl::Status Walk(client::LogUser& user);
  absl::Status AskOfFailingDisk(const client::LogUser& user);
  absl::Status Own();
  absl::Status BecomeOwner();
  absl::Status CatchUp();
  absl::Status CheckForeign();
  absl::Status OwnerMonitor();
  absl::Status OwnerPublish();
  absl::Status TakeUpdates(core::UpdateRequest request, std::optional<base::LogPosition> created);
  absl::Status SendCredential();
  absl::Status ReceiveCredential(client::LogUser& receiver, const SentCredential& credential);
  absl::Status SettleCredentials();
  absl::Status SettleCredential(client::LogUser& user, const client::CredentialEvent& event);
  absl::Status NoCredentialUpdate(client::LogUser& user, client::Operation kind,
                                  const core::CredentialUpdateRequest& request,
                                  const absl::Status& status);

  // simulation_lies.cc: what a log may try, and who must notice. Each name is one of
  // docs/threat-model.md.
  absl::Status ShowFork(const client::LogUser& user);
  absl::Status Refused(const client::LogUser& user, const Exchange& exchange);
  absl::Status TellLie();
  absl::Status PrepareForLie();
  absl::Status Grow(LogOperator& log, int entries, uint64_t step_ms);
  absl::StatusOr<std::unique_ptr<LogOperator>> ForkBehind(base::TreeSize size);
  absl::Status LieForkForOneWhoHasSeenTheOther();
  absl::Status LieForkForANewcomer();
  absl::Status LieForkBehindAnHonestAuditor();
  absl::Status LieRollback();
  absl::Status LieOldHeadReplayed();
  absl::Status LieVersionInsertedAndKeptFromItsOwner();
  absl::Status LieGreatestVersion();
  absl::Status LieLabelDenied();
  absl::Status LieAlteredResponses();
  absl::Status LieChangeKeptFromTheAuditor();
  absl::Status LieEntryFromTheFuture();
  absl::Status LieAuditorLags();

  bool forgets() const { return memory_ == Memory::kForgets; }
  bool audited() const { return log_.config().mode == core::DeploymentMode::kThirdPartyAuditing; }
  uint64_t now_ms() const { return time_.NowMs(); }
  void Advance(uint64_t ms);
  // Of the entries that users may be shown.
  std::optional<base::Version> GreatestShown(const std::string& label, base::TreeSize size) const;
  std::string AnyLabel();
  base::Bytes AnyValue(const std::string& label, const server::CurrentValue* current);
  client::LogUser& AnyUser();
  std::unique_ptr<client::LogUser> NewUser() const;
  client::LogUser& victim() { return *users_[0].retained; }

  const Memory memory_;
  testing::SeededRandom random_;
  testing::FakeClock time_;   // as it is; users' clocks are right
  testing::FakeClock clock_;  // the log's
  std::unique_ptr<core::ResponseVerifier> verifier_;
  LogOperator log_;
  std::unique_ptr<LogOperator> fork_;
  base::TreeSize forked_at_ = 0;                // what fork_ has in common with log_
  std::map<base::TreeSize, base::Hash> heads_;  // that were ever published
  std::map<std::string, std::vector<Published>> published_;
  base::TreeSize acknowledged_size_ = 0;               // after the last commit that succeeded
  uint64_t publications_ = 0;                          // that were made
  std::vector<std::shared_ptr<Publication>> pending_;  // in order
  std::vector<std::shared_ptr<Publication>> batch_;    // that the next commits hold
  std::vector<std::shared_ptr<Publication>> unknown_;  // of a commit whose outcome nobody knows
  std::array<User, 4> users_;
  std::unique_ptr<client::LogUser> owner_;
  base::LogPosition owned_from_ = 0;
  std::vector<SentCredential> credentials_;
  std::optional<auditor::LogAuditor> auditor_;
  std::vector<uint64_t> timestamps_;  // of a log that forgets: of all entries, in milliseconds
  base::LogPosition horizon_ = 0;     // the greatest that was seen
  SimulationCounts counts_;
};

// A broken invariant.
absl::Status Broken(const std::string& what, const absl::Status& why = absl::OkStatus());

}  // namespace kt::sim
#endif  // TESTS_SIM_SIMULATION_H_
