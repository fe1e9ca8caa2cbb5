// SPDX-License-Identifier: Apache-2.0
//
// A log's operator who holds all keys and lies. Whom it shows what is set by tests; the answers are
// otherwise as sound as the operator can make them.
#ifndef TESTS_SUPPORT_LYING_SERVER_H_
#define TESTS_SUPPORT_LYING_SERVER_H_

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "kt-core/operations.h"
#include "tests/support/auditor_answers.h"
#include "tests/support/test_log.h"

namespace kt::testing {

class LyingServer {
 public:
  explicit LyingServer(TestLog log) : log_(std::move(log)) {}

  // What everybody is shown to whom nothing else is shown. A copy is a fork, and a Prefix a log
  // that was rolled back.
  TestLog& log() { return log_; }
  void Show(const std::string& who, TestLog log) { shown_.insert_or_assign(who, std::move(log)); }
  TestLog& LogOf(const std::string& who);
  // Calls `change` for each of the logs.
  void ForEachLog(const std::function<void(TestLog&)>& change);

  // In searches for the label's greatest version.
  void ClaimGreatest(base::Version version) { claimed_ = version; }
  // Answers searches as if the label did not exist.
  void Deny() { denied_ = true; }
  // Tells owners of no new versions.
  void WithholdUpdates() { withheld_ = true; }

  // Changes every response to users, or every message to the auditor, before it is sent.
  std::function<void(core::FullTreeHead&, core::CombinedTreeProof&)> tamper;
  std::function<void(AuditorMessage&)> tamper_audit;

  struct SearchAnswer {
    bool found = true;
    base::Bytes response;
  };
  absl::StatusOr<SearchAnswer> Search(const std::string& who, core::SearchRequest request);
  absl::StatusOr<base::Bytes> ContactMonitor(const std::string& who,
                                             core::ContactMonitorRequest request);
  absl::StatusOr<base::Bytes> OwnerInit(const std::string& who, core::OwnerInitRequest request);
  absl::StatusOr<base::Bytes> OwnerMonitor(const std::string& who,
                                           core::OwnerMonitorRequest request);
  absl::StatusOr<base::Bytes> Update(const std::string& who, core::UpdateRequest request);
  absl::StatusOr<base::Bytes> Distinguished(const std::string& who,
                                            core::DistinguishedRequest request);
  AuditorMessage Audit(const std::string& who, base::LogPosition position);

 private:
  template <typename Response>
  absl::StatusOr<base::Bytes> Send(const std::string& who, absl::StatusOr<Response> response,
                                   core::CombinedTreeProof Response::*proof, bool forgotten,
                                   bool version_in_request = false);

  TestLog log_;
  std::map<std::string, TestLog> shown_;
  std::optional<base::Version> claimed_;
  bool denied_ = false;
  bool withheld_ = false;
};

}  // namespace kt::testing
#endif  // TESTS_SUPPORT_LYING_SERVER_H_
