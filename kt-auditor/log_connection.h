// SPDX-License-Identifier: Apache-2.0
#ifndef KT_AUDITOR_LOG_CONNECTION_H_
#define KT_AUDITOR_LOG_CONNECTION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/types.h"
#include "kt-auditor/audit_record.h"

namespace kt::auditor {

// The calls that an auditor makes to a log. What a log answers is not verified here; its statuses
// come back with their codes.
class LogConnection {
 public:
  virtual ~LogConnection() = default;

  // An encoded Configuration.
  virtual absl::StatusOr<base::Bytes> GetConfiguration() = 0;
  // An encoded AuditorStart.
  virtual absl::StatusOr<base::Bytes> GetStart(base::TreeSize tree_size) = 0;

  using Visit = std::function<absl::Status(const AuditRecord&)>;
  // Calls `visit` with the records of the entries from `first` on, in the order in which they come,
  // until the entry before `end`, for ever if that is not set. Ends with the status of a visit that
  // fails, or that of the stream; kDeadlineExceeded from time to time, to be called again.
  virtual absl::Status StreamUpdates(base::LogPosition first, std::optional<base::LogPosition> end,
                                     const Visit& visit) = 0;

  // `head` is an encoded AuditorTreeHead.
  virtual absl::Status SubmitAuditorHead(base::ByteView head) = 0;

  // Waits for `at_most`, or until a connection comes about that does not stand now. Between two
  // calls this must take the place of sleeping: a connection only makes progress while somebody
  // waits.
  virtual void AwaitConnection(absl::Duration at_most) = 0;

  // Ends the call in progress and all later ones with kCancelled, and a wait. From any thread.
  virtual void Cancel() = 0;
};

struct LogServer {
  std::string address;   // HOST:PORT
  std::string tls_name;  // whom the server's certificate must name; empty: HOST
  std::string ca_file;   // PEM; empty: the system's
};

// Over gRPC with TLS; connects when it is first needed, and again after failures. kInvalidArgument
// if the address is not HOST:PORT; otherwise as base::ReadFile.
absl::StatusOr<std::unique_ptr<LogConnection>> ConnectToLog(const LogServer& server);

}  // namespace kt::auditor
#endif  // KT_AUDITOR_LOG_CONNECTION_H_
