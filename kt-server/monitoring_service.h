// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_MONITORING_SERVICE_H_
#define KT_SERVER_MONITORING_SERVICE_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "kt-server/concurrency_limit.h"
#include "kt-server/transparency_log.h"
#include "kt-server/version_rows.h"

namespace kt::server {

// An encoded response.
struct MonitoringAnswer {
  base::Bytes response;
};

// What an answer took, also if it became none.
struct AnswerCost {
  size_t vrf_proofs = 0;  // that had to be made, which costs more than all the rest
  size_t rows = 0;        // of the label's versions
};

// Answers what users ask to keep watch over labels and over the log, from the newest published
// state: draft-ietf-keytrans-protocol, "User Operations". Thread-safe.
//
// Each takes an encoded request and gives an encoded response. kInvalidArgument if the request is
// malformed or breaks a rule that the draft has the log check, kFailedPrecondition if it names a
// tree size that this log has not reached, kUnavailable if the log has no entries yet, kDataLoss if
// what is stored does not fit together. In `cost`, unless it is null, it says what that took,
// whatever came of it.
class MonitoringService {
 public:
  // An owner's answers are made from all versions of a label. Of labels that have at least so many,
  // one is answered for at a time; for others it is kResourceExhausted meanwhile.
  static constexpr size_t kLargeLabel = 4096;

  explicit MonitoringService(const TransparencyLog& log, size_t large_label = kLargeLabel)
      : log_(log), large_label_(large_label) {}

  // ContactMonitorRequest, ContactMonitorResponse.
  absl::StatusOr<MonitoringAnswer> ContactMonitor(base::ByteView request,
                                                  AnswerCost* cost = nullptr) const;
  // OwnerInitRequest, OwnerInitResponse.
  absl::StatusOr<MonitoringAnswer> OwnerInit(base::ByteView request,
                                             AnswerCost* cost = nullptr) const;
  // OwnerMonitorRequest, OwnerMonitorResponse.
  absl::StatusOr<MonitoringAnswer> OwnerMonitor(base::ByteView request,
                                                AnswerCost* cost = nullptr) const;
  // DistinguishedRequest, DistinguishedResponse. "Recent" is as docs/extensions.md says.
  absl::StatusOr<MonitoringAnswer> Distinguished(base::ByteView request,
                                                 AnswerCost* cost = nullptr) const;
  // CredentialUpdateRequest, CredentialUpdate: docs/extensions.md, "Credentials".
  absl::StatusOr<MonitoringAnswer> UpdateCredential(base::ByteView request,
                                                    AnswerCost* cost = nullptr) const;

 private:
  class Turn;
  // Reads all versions of a label. If they are many, `turn` holds a place of `large_labels_` until
  // it is destroyed; if it gets none, `rows` are those that were read in vain.
  absl::Status ReadHistory(const Snapshot& snapshot, base::ByteView label, Turn* turn,
                           LabelRows* rows) const;

  const TransparencyLog& log_;
  const size_t large_label_;
  mutable ConcurrencyLimit large_labels_{1};
};

}  // namespace kt::server
#endif  // KT_SERVER_MONITORING_SERVICE_H_
