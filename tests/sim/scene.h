// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SIM_SCENE_H_
#define TESTS_SIM_SCENE_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "kt-auditor/log_auditor.h"
#include "kt-client/log_user.h"
#include "tests/support/lying_server.h"

namespace kt::sim {

inline constexpr char kAlice[] = "alice@a.example";
inline constexpr char kReturning[] = "returning user";
inline constexpr char kNewcomer[] = "newcomer";
inline constexpr char kOwner[] = "owner";
inline constexpr char kAuditor[] = "auditor";

// A lying server with all who deal with it: a user who has looked Alice up before, one who does so
// for the first time, Alice herself, and the log's auditor. They keep what they retain, as the
// programs do.
class Scene {
 public:
  // All have seen an honest log of 13 entries, 100 ms apart, in which Alice published in entries 0,
  // 3, 6, 9 and 12. Entries are distinguished some 350 ms apart.
  Scene(core::CipherSuite suite, core::DeploymentMode mode);

  testing::LyingServer& server() { return server_; }
  testing::TestLog& log() { return server_.log(); }
  uint64_t now_ms() const { return now_ms_; }
  // Lets time pass; the log does not grow.
  void Wait(uint64_t ms) { now_ms_ += ms; }
  // Adds an entry 100 ms later.
  void Append(testing::TestLog& log, const std::vector<testing::TestUpdate>& updates = {});
  // Called each time that the logs have grown.
  std::function<void()> after_growth;

  // The users look Alice up.
  void LookUp();
  // All logs grow by as much as it takes for new distinguished entries. Then everybody monitors,
  // walks and audits.
  void LiveOn();

  // Who noticed something, and in which operation: "newcomer: search, at once". What the newcomer
  // and the returning user find when they compare their distinguished heads is "comparing heads".
  const std::set<std::string>& noticed() const { return noticed_; }
  // What was wrong each time, for people.
  const std::string& details() const { return details_; }

 private:
  void Note(const std::string& who, const std::string& operation, const absl::Status& status);
  absl::Status Search(const std::string& who, client::LogUser& user);
  absl::Status ContactMonitor(const std::string& who, client::LogUser& user);
  absl::Status Walk(const std::string& who, client::LogUser& user);
  absl::Status BecomeOwner();
  absl::Status CatchUp();
  absl::Status OwnerMonitor();
  absl::Status Audit();

  testing::LyingServer server_;
  std::unique_ptr<core::ResponseVerifier> verifier_;
  uint64_t now_ms_ = 0;
  std::string when_ = "before";
  std::optional<client::LogUser> returning_, newcomer_, owner_;
  std::optional<auditor::LogAuditor> auditor_;
  std::set<std::string> noticed_;
  std::string details_;
};

}  // namespace kt::sim
#endif  // TESTS_SIM_SCENE_H_
