// SPDX-License-Identifier: Apache-2.0
//
// What a user does with a log's responses: the same for one that has just arrived and for one that
// was saved.
#ifndef KT_CLIENT_LOG_USER_H_
#define KT_CLIENT_LOG_USER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/types.h"
#include "kt-client/log_record.h"
#include "kt-core/distinguished.h"
#include "kt-core/operations.h"
#include "kt-core/response_verifier.h"

namespace kt::client {

// A verified answer to a search.
struct SearchResult {
  bool found = false;
  base::Version version = 0;
  base::Bytes value;
  bool monitoring_required = false;
};

// Makes requests out of what is retained of a log, and verifies the responses to them. A response
// is verified completely and its consequences are in record() afterwards, or the result is an error
// and the record is unchanged. Errors are those of core::ResponseVerifier. No I/O; not thread-safe.
class LogUser {
 public:
  // `record.config` is that of `verifier`, which is borrowed.
  LogUser(const core::ResponseVerifier& verifier, LogRecord record)
      : verifier_(verifier), record_(std::move(record)) {}

  // To be retained.
  const LogRecord& record() const { return record_; }

  // "Search". If the label must be monitored from now on, the record says so.
  core::SearchRequest MakeSearch(base::ByteView label, std::optional<base::Version> version) const;
  absl::StatusOr<SearchResult> Search(const core::SearchRequest& request, base::ByteView response,
                                      uint64_t now_ms);
  // docs/extensions.md, "Absence": `response` is an AbsenceResponse to the same request. A
  // verification failure ("label-removed") if a version is claimed not to exist that the record
  // knows.
  absl::StatusOr<SearchResult> Absence(const core::SearchRequest& request, base::ByteView response,
                                       uint64_t now_ms);

  // "Contact Monitor", for a label that is watched (kFailedPrecondition otherwise).
  absl::StatusOr<core::ContactMonitorRequest> MakeContactMonitor(base::ByteView label) const;
  absl::Status ContactMonitor(const core::ContactMonitorRequest& request, base::ByteView response,
                              uint64_t now_ms);

  // "Walking Distinguished Heads", from where the last walk ended. Gives what was new.
  core::DistinguishedRequest MakeDistinguished() const;
  absl::StatusOr<std::vector<core::DistinguishedEntry>> Distinguished(
      const core::DistinguishedRequest& request, base::ByteView response, uint64_t now_ms);

 private:
  std::optional<base::TreeSize> last() const;
  const core::UserState* previous() const {
    return record_.state.has_value() ? &*record_.state : nullptr;
  }
  absl::Status CheckNotKnown(base::ByteView label, base::Version absent) const;

  const core::ResponseVerifier& verifier_;
  LogRecord record_;
};

}  // namespace kt::client
#endif  // KT_CLIENT_LOG_USER_H_
