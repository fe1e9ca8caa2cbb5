// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_MONITORING_SERVICE_H_
#define KT_SERVER_MONITORING_SERVICE_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "kt-server/transparency_log.h"

namespace kt::server {

// An encoded response.
struct MonitoringAnswer {
  base::Bytes response;
  size_t vrf_proofs = 0;  // that had to be made, which costs more than all the rest
};

// Answers what users ask to keep watch over labels and over the log, from the newest published
// state: draft-ietf-keytrans-protocol, "User Operations". Thread-safe.
//
// Each takes an encoded request and gives an encoded response. kInvalidArgument if the request is
// malformed or breaks a rule that the draft has the log check, kFailedPrecondition if it names a
// tree size that this log has not reached, kUnavailable if the log has no entries yet, kDataLoss if
// what is stored does not fit together.
class MonitoringService {
 public:
  explicit MonitoringService(const TransparencyLog& log) : log_(log) {}

  // ContactMonitorRequest, ContactMonitorResponse.
  absl::StatusOr<MonitoringAnswer> ContactMonitor(base::ByteView request) const;
  // OwnerInitRequest, OwnerInitResponse.
  absl::StatusOr<MonitoringAnswer> OwnerInit(base::ByteView request) const;
  // OwnerMonitorRequest, OwnerMonitorResponse.
  absl::StatusOr<MonitoringAnswer> OwnerMonitor(base::ByteView request) const;
  // DistinguishedRequest, DistinguishedResponse. "Recent" is as docs/extensions.md says.
  absl::StatusOr<MonitoringAnswer> Distinguished(base::ByteView request) const;
  // CredentialUpdateRequest, CredentialUpdate: docs/extensions.md, "Credentials".
  absl::StatusOr<MonitoringAnswer> UpdateCredential(base::ByteView request) const;

 private:
  const TransparencyLog& log_;
};

}  // namespace kt::server
#endif  // KT_SERVER_MONITORING_SERVICE_H_
