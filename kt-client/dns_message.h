// SPDX-License-Identifier: Apache-2.0
//
// What is read out of DNS answers, and the text forms of names and addresses around them. Pure
// functions over bytes that anybody on the path may have written.
#ifndef KT_CLIENT_DNS_MESSAGE_H_
#define KT_CLIENT_DNS_MESSAGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"

namespace kt::client {

// RFC 1035 §3.2.2, RFC 3596, RFC 2782.
enum class DnsType : uint16_t { kA = 1, kTxt = 16, kAaaa = 28, kSrv = 33 };

inline constexpr size_t kMaxAnswerRecords = 64;  // of one answer, aliases included
inline constexpr size_t kMaxSrvRecords = 32;
inline constexpr size_t kMaxTxtRecords = 32;
inline constexpr size_t kMaxAddresses = 8;  // of one host and address family; more are left out

struct SrvRecord {
  uint16_t priority = 0;  // lower is tried earlier
  uint16_t weight = 0;
  uint16_t port = 0;
  std::string target;  // without a final dot; empty for the root, "."
  friend bool operator==(const SrvRecord&, const SrvRecord&) = default;
};

// Decides whether a message is an answer at all: OK for NOERROR and a message that is whole, from
// its header to its last octet; otherwise a Failure of failure.h. "No such name" and "no records"
// are believed only from a server that is authoritative or recursive: others answer questions
// about foreign names with a reference to somebody else, which looks the same and says nothing.
absl::Status CheckAnswer(base::ByteView message);

// The AD bit: the server says that it has verified the answer with DNSSEC (RFC 4035 §3.2.3).
bool HasAuthenticatedDataBit(base::ByteView message);

// The records of one type in the answer section, in the order of the message and whatever their
// owner, so that the aliases which a resolver followed need no further attention. Failures:
// kNoRecords if there is none, kMalformedAnswer if the message is not well formed or exceeds one
// of the limits above. `message` has passed CheckAnswer.
absl::StatusOr<std::vector<SrvRecord>> ParseSrvAnswer(base::ByteView message);
absl::StatusOr<std::vector<std::string>> ParseTxtAnswer(base::ByteView message);
// Addresses as text ("192.0.2.1", "2001:db8::1") of `type` kA or kAaaa.
absl::StatusOr<std::vector<std::string>> ParseAddressAnswer(base::ByteView message, DnsType type);

// Whether `name` is a host name in A-label form: labels of 1 to 63 letters, digits and inner
// hyphens (RFC 1123 §2.1), at most 253 characters, no final dot, and not an IPv4 address.
bool IsHostName(std::string_view name);

// Whether `text` is an IPv4 or IPv6 address without brackets, port or zone.
bool IsIpAddress(std::string_view text);

// A host or address with a port, as a person writes it and as messages show it: IPv6 addresses
// that are followed by a port stand in brackets.
struct HostPort {
  std::string host;  // a host name in lower case, or an IP address, without brackets
  uint16_t port = 0;
  std::string ToString() const;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

// Reads "HOST:PORT", "[IPV6]:PORT", and with a `default_port` also HOST and an IPv6 address
// without brackets. kInvalidArgument otherwise, with a message for whoever typed it.
absl::StatusOr<HostPort> ParseHostPort(const std::string& text,
                                       std::optional<uint16_t> default_port);

// ASCII only, which is all that A-labels have.
std::string ToLower(std::string_view text);

}  // namespace kt::client
#endif  // KT_CLIENT_DNS_MESSAGE_H_
