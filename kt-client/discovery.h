// SPDX-License-Identifier: Apache-2.0
//
// From a mail domain to the servers that may speak for it.
//
// The domain publishes
//
//   _sm._keytransparency._https.DOMAIN  SRV  PRIORITY WEIGHT PORT TARGET
//   _sm._keytransparency.DOMAIN         TXT  "v=kt1; cfg=sha256:HEX"            (optional)
//
// and a server must show a TLS certificate that is valid for DOMAIN: without DNSSEC, TARGET is
// whatever an attacker on the path says it is, so a certificate for TARGET proves nothing. Only
// if a trusted resolver has verified the SRV answer with DNSSEC is a certificate for TARGET good
// as well (RFC 6125 §6.2.1: a derived domain needs a secure derivation).
#ifndef KT_CLIENT_DISCOVERY_H_
#define KT_CLIENT_DISCOVERY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/random.h"
#include "base/types.h"
#include "kt-client/dns.h"

namespace kt::client {

inline constexpr size_t kMaxConnectAttempts = 64;

// One address to connect to, and the one name that its certificate must be valid for. Attempts at
// the same address stand next to each other.
struct ConnectAttempt {
  HostPort address;      // an IP address
  std::string host;      // the name behind the address, for messages: "kt1.provider.example"
  std::string tls_name;  // A-labels
  std::string why;       // why that name: "... because the SRV answer is not DNSSEC-verified"
};

struct Discovery {
  std::vector<ConnectAttempt> attempts;  // in the order to try; 1 to kMaxConnectAttempts
  bool srv_authenticated = false;        // verified with DNSSEC by a trusted resolver
  // SHA-256 of the domain's encoded Configuration, if the domain pins it.
  std::optional<base::Hash> pinned_configuration;
  bool pin_authenticated = false;  // as srv_authenticated; false if there is no pin
  std::vector<std::string> notes;  // targets that were left out and why, for a person
};

// Looks `domain` (A-labels) up and orders the targets as RFC 2782 says. Takes at most the
// resolver's timeout_ms. Errors (failure.h) are sentences for the person who asked, and name the
// domain:
//   kNotFound         the domain offers no service: kNoSuchName, kNoRecords, or kRootTarget for
//                     "." as the only target. No other host is ever guessed.
//   kUnavailable      it cannot be found out: kServerFailure, kRefused, kTimeout, kNoDnsServer;
//                     or the targets have no addresses, kNoAddress. A pin that cannot be looked
//                     up counts too, since it must not be possible to make one disappear.
//   kInvalidArgument  kMalformedAnswer, kNoUsableTarget, kMalformedPin, kConflictingPins;
//                     without a Failure if `domain` is no domain.
absl::StatusOr<Discovery> Discover(const Resolver& resolver, const std::string& domain,
                                   base::Random& random);

// The same for a server that the person named ("HOST:PORT"), which replaces discovery: neither SRV
// nor TXT is looked up. HOST comes from the person and not from the network, so the certificate
// must be valid for HOST; if HOST is an IP address, for `domain`.
// kInvalidArgument without a Failure if `server` or `domain` cannot be read; otherwise
// kUnavailable.
absl::StatusOr<Discovery> UseServer(const Resolver& resolver, const std::string& server,
                                    const std::string& domain);

// Orders by priority, and within a priority by the weighted choice of RFC 2782.
std::vector<SrvRecord> OrderSrvRecords(std::vector<SrvRecord> records, base::Random& random);

// Reads the pin out of TXT records. Records of other kinds, those that do not begin with the tag
// "v=kt1", are ignored; one of ours must be exactly "v=kt1; cfg=sha256:" and 64 hexadecimal
// digits (kMalformedPin), and several must agree (kConflictingPins). nullopt if there is none.
absl::StatusOr<std::optional<base::Hash>> ParsePin(const std::vector<std::string>& texts);

}  // namespace kt::client
#endif  // KT_CLIENT_DISCOVERY_H_
