// SPDX-License-Identifier: Apache-2.0
//
// What was asked of a log and what came back, so that it can be judged when it comes and again when
// it was kept.
#ifndef KT_CLIENT_EXCHANGE_H_
#define KT_CLIENT_EXCHANGE_H_

#include <grpcpp/support/status.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/codec.h"
#include "base/types.h"
#include "kt-client/log_record.h"

namespace kt::client {

enum class Operation : uint8_t {
  kSearch = 1,
  kContactMonitor = 2,
  kDistinguished = 3,
  kOwnerInit = 4,
  kOwnerMonitor = 5,
  kUpdate = 6,
  kStrangersWalk = 7,     // a DistinguishedRequest of somebody without state
  kCredentialSearch = 8,  // a search to make a credential of
  kCredentialUpdate = 9,  // a CredentialUpdateRequest for a credential that was sent
  kOverdueUpdate = 10,    // the same for one that was received
};
constexpr bool IsKnown(Operation operation) {
  return operation >= Operation::kSearch && operation <= Operation::kOverdueUpdate;
}

enum class AnswerKind : uint8_t {
  kNothing = 0,   // the call ended well and brought nothing
  kResponse = 1,  // the response of the operation's name
  kAbsence = 2,   // an AbsenceResponse
  kStatus = 3,    // the call failed
};
constexpr bool IsKnown(AnswerKind kind) { return kind <= AnswerKind::kStatus; }

// The encoding is for storing it and no part of the draft.
struct Exchange {
  Operation operation = Operation::kSearch;
  // For kCredentialUpdate the encoded Credential, for kOverdueUpdate its SHA-256; otherwise empty.
  base::Bytes subject;
  base::Bytes request;  // encoded
  AnswerKind kind = AnswerKind::kNothing;
  uint32_t status_code = 0;  // of gRPC, if kStatus
  base::Bytes answer;        // encoded; the message if kStatus
  uint64_t at_ms = 0;        // the client's clock when the answer was there

  bool operator==(const Exchange&) const = default;
  static constexpr auto Fields() {
    return base::codec::List(
        &Exchange::operation, base::codec::Opaque<uint32_t>(&Exchange::subject),
        base::codec::Opaque<uint32_t>(&Exchange::request), &Exchange::kind, &Exchange::status_code,
        base::codec::Opaque<uint32_t>(&Exchange::answer), &Exchange::at_ms);
  }

  void SetAnswer(AnswerKind answer_kind, const std::string& bytes, uint64_t now_ms);
  // `status` is not OK.
  void SetStatus(const grpc::Status& status, uint64_t now_ms);
};

// OK if there is a response to be verified. Otherwise what it means that there is none
// (docs/extensions.md, "Transport"): a verification failure if the log thereby goes back on what it
// showed before, and else as client.h. kNotFound without a Failure if the log tells of no versions
// that an update without values asks for. `record` is what the request was made of; `server` is for
// messages.
absl::Status CheckAnswered(const Exchange& exchange, const LogRecord& record,
                           const std::string& server);

// Verification failures of two exchanges together. A version below one that was found does not
// exist; the versions that are known are not proven to be all after log entry `start`, and the log
// tells of no others.
absl::Status HistoryGap(base::Version absent);
absl::Status OwnerWithheld(base::LogPosition start);

}  // namespace kt::client
#endif  // KT_CLIENT_EXCHANGE_H_
