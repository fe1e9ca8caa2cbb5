// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_AUDIT_SERVICE_H_
#define KT_SERVER_AUDIT_SERVICE_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "kt-core/operations.h"
#include "kt-server/transparency_log.h"

namespace kt::server {

// The log's side of auditing: draft-ietf-keytrans-protocol, "Third Parties / Auditing", and
// docs/extensions.md, "Auditing". Thread-safe. Borrows `log`, which is in thirdPartyAuditing mode.
class AuditService {
 public:
  explicit AuditService(TransparencyLog& log) : log_(log) {}

  const TransparencyLog& log() const { return log_; }

  // The updates of the `count` entries from `first` on, which are in `state`, in one round of
  // reads. kOutOfRange if they have expired, kDataLoss if what is stored does not fit together.
  static absl::StatusOr<std::vector<core::AuditorUpdate>> MakeUpdates(const LogState& state,
                                                                      base::LogPosition first,
                                                                      size_t count);

  // An encoded AuditorStart for the log's first `tree_size` entries. kFailedPrecondition if the log
  // has not as many, kOutOfRange if they have expired.
  absl::StatusOr<base::Bytes> Start(base::TreeSize tree_size) const;

  // `head` is an encoded AuditorTreeHead. kInvalidArgument if it is not one, otherwise as
  // TransparencyLog::SubmitAuditorHead.
  absl::Status Submit(base::ByteView head);

 private:
  TransparencyLog& log_;
};

}  // namespace kt::server
#endif  // KT_SERVER_AUDIT_SERVICE_H_
