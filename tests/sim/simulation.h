// SPDX-License-Identifier: Apache-2.0
//
// A whole deployment in one thread, under a fake clock, from one seed: the server's log over a
// store that fails and restarts at any step of a commit, users, an owner, the auditor, and a second
// operator with the same keys who shows a fork. docs/invariants.md lists what must hold.
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
#include "tests/kt-server/log_fixture.h"
#include "tests/support/fakes.h"

namespace kt::sim {

// How often what happened, so that a run that tests nothing shows.
struct SimulationCounts {
  uint64_t commits = 0, failed_commits = 0, restarts = 0;
  uint64_t searches = 0, absences = 0, monitorings = 0, walks = 0, updates = 0, audits = 0;
  uint64_t flips_refused = 0, forks_refused = 0;

  SimulationCounts& operator+=(const SimulationCounts& other);
};

class Simulation {
 public:
  // The suite, the mode and all that happens follow from `seed`.
  explicit Simulation(uint64_t seed);

  // Does `steps` random things and checks the invariants after each. kInternal if one does not
  // hold, with the step and what was seen.
  absl::Status Run(uint64_t steps);

  const SimulationCounts& counts() const { return counts_; }

 private:
  // An acknowledged version.
  struct Published {
    base::LogPosition position = 0;
    base::Bytes value;
  };

  absl::Status Step();
  absl::Status Publish();
  // After a restart: the log has all that it acknowledged, and perhaps what it could not.
  absl::Status Restart();
  absl::Status Adopt(const std::vector<server::NewEntry>& entries, base::TreeSize size);
  absl::Status CheckHeads();
  absl::Status CheckVersion(const std::string& label, base::Version version);

  absl::Status Search(client::LogUser& user, const std::string& label,
                      std::optional<base::Version> version);
  absl::Status CheckFlips(const client::LogUser& user, const core::SearchRequest& request,
                          const base::Bytes& response, const client::SearchResult& honest);
  absl::Status ContactMonitor(client::LogUser& user);
  absl::Status Walk(client::LogUser& user);
  absl::Status Own();
  absl::Status CatchUp();
  absl::Status OwnerMonitor();
  absl::Status Audit();
  absl::Status ShowFork(const client::LogUser& user);

  bool audited() const;
  // Of the entries that users may be shown.
  std::optional<base::Version> GreatestShown(const std::string& label, base::TreeSize size) const;
  std::string AnyLabel() { return "user" + std::to_string(random_.Below(6)) + "@a.example"; }
  std::unique_ptr<client::LogUser> NewUser() const;

  testing::SeededRandom random_;
  server::LogFixture log_;
  server::LogFixture fork_;
  std::map<base::TreeSize, base::Hash> heads_;  // that were ever published
  std::map<std::string, std::vector<Published>> published_;
  std::vector<server::NewEntry> unknown_;  // of a commit whose outcome nobody knows
  std::array<std::unique_ptr<client::LogUser>, 3> users_;
  std::unique_ptr<client::LogUser> owner_;
  std::optional<auditor::LogAuditor> auditor_;
  SimulationCounts counts_;
};

}  // namespace kt::sim
#endif  // TESTS_SIM_SIMULATION_H_
