// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CLIENT_FAILURE_H_
#define KT_CLIENT_FAILURE_H_

#include <optional>
#include <string>

#include "absl/status/status.h"

namespace kt::client {

// Why a domain's service was not found or not reached. Every error of dns.h, discovery.h and
// channel.h that a peer or the network caused carries one of these as a payload; its status code
// follows from it:
//
//   kNotFound         the domain itself says that it offers no service
//   kUnavailable      nobody could be asked, or nobody who could be believed answered
//   kInvalidArgument  what the domain publishes is not in the form that it must have
//   kPermissionDenied, kFailedPrecondition  the server refused, by its policy
//   kOutOfRange       the log no longer knows what it is asked to go on from
//
// kInvalidArgument without a payload is the caller's own mistake: a domain, an address or an
// option that cannot be read.
enum class Failure {
  // kNotFound.
  kNoSuchName,  // NXDOMAIN
  kNoRecords,   // NODATA: the name exists and has no record of the type
  kRootTarget,  // the SRV target is ".": the service is decidedly not available (RFC 2782)

  // kUnavailable.
  kServerFailure,  // SERVFAIL, which is also how a resolver reports a forged DNSSEC answer
  kRefused,        // REFUSED, or a server that does not answer for other people's names
  kTimeout,        // no DNS server answered in time
  kNoDnsServer,    // no DNS server could be contacted
  kNoAddress,      // servers are named, but no name has an address
  kNoServer,       // no server answered
  kTlsFailed,      // servers answered, but TLS failed: mostly a certificate for another name
  kNotYet,         // the log has not come, or the client not seen, as far as is needed

  // kInvalidArgument.
  kMalformedAnswer,  // a DNS answer that cannot be read, or has too many records
  kNoUsableTarget,   // SRV records, none of which names a host and a port
  kMalformedPin,     // a TXT record that starts as ours and goes on otherwise
  kConflictingPins,  // TXT records that contradict each other

  // kPermissionDenied.
  kNotAllowed,  // the server does not know who asks, or does not allow it
  kErased,      // the log says that the value was erased, which nobody can verify
  // kFailedPrecondition.
  kRefusedByPolicy,  // the server does not take what it was sent
  // kOutOfRange.
  kExpired,  // what was retained of the log has expired, and is old enough for that
};

// A status with the code that belongs to `failure`, and the payload.
absl::Status FailedBecause(Failure failure, const std::string& message);

// The payload, or nullopt if `status` has none.
std::optional<Failure> FailureOf(const absl::Status& status);

// A log has contradicted what is retained of it, and all that this depends on is kept in a file:
// the same status with the file's path as a payload, and that path; nullopt if there is none.
absl::Status KeptIn(const absl::Status& status, const std::string& path);
std::optional<std::string> KeptAt(const absl::Status& status);

}  // namespace kt::client
#endif  // KT_CLIENT_FAILURE_H_
