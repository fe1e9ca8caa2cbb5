// SPDX-License-Identifier: Apache-2.0
//
// DNS lookups, on the calling thread and never beyond a deadline.
#ifndef KT_CLIENT_DNS_H_
#define KT_CLIENT_DNS_H_

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/random.h"
#include "kt-client/dns_message.h"
#include "kt-client/dns_trust.h"

namespace kt::client {

using Deadline = std::chrono::steady_clock::time_point;
Deadline DeadlineAfter(int ms);
// 0 once the deadline has passed.
int RemainingMs(Deadline deadline);

struct ResolverConfig {
  // "ADDRESS[:PORT]", several separated by commas, each an IP address; asked in this order.
  // Empty: the name servers of the system (/etc/resolv.conf).
  std::string servers;
  DnsTrust trust = DnsTrust::kLoopback;
  // For one discovery as a whole, whatever number of lookups it takes.
  int timeout_ms = 5000;
};

struct DnsQuestion {
  std::string name;  // A-labels, underscores allowed, without a final dot
  DnsType type;
};

struct DnsAnswer {
  base::Bytes message;         // has passed CheckAnswer; for the parsers of dns_message.h
  bool authenticated = false;  // the AD bit of a trusted server
};

// Asks recursive name servers. Thread-safe: every call has sockets of its own, which also gives
// each a source port that an attacker off the path has to guess.
class Resolver {
 public:
  // kInvalidArgument if `config` cannot be read, kNoDnsServer if the system names no server.
  // `random` is borrowed for the resolver's lifetime.
  static absl::StatusOr<std::unique_ptr<Resolver>> Create(const ResolverConfig& config,
                                                          base::Random& random);

  Deadline NewDeadline() const { return DeadlineAfter(config_.timeout_ms); }

  // Asks all questions at once; results stand in their order. A server that fails, refuses or
  // stays silent passes its questions on to the next; each server gets an equal share of the time
  // that is left. Failures: kNoSuchName, kServerFailure, kRefused, kTimeout, kNoDnsServer,
  // kMalformedAnswer; kInvalidArgument for a name that DNS cannot carry. Never kNoRecords, which
  // is for the parser to tell.
  //
  // Plain DNS without EDNS: an answer beyond 512 bytes comes over TCP, which no middlebox
  // fragments and nobody off the path can forge.
  std::vector<absl::StatusOr<DnsAnswer>> Ask(std::span<const DnsQuestion> questions,
                                             Deadline deadline) const;

  // The addresses of each host, at most kMaxAddresses of a family, IPv6 and IPv4 in turn. Looks
  // into /etc/hosts first. A host that has addresses of one family only is a success, whatever
  // became of the other's lookup. Hosts are in order of preference: once the first has an address
  // everything else gets one more second, so that a fallback with dead name servers, or a server
  // that drops questions for IPv6, does not delay everybody. Failures as for Ask, and kNoRecords.
  std::vector<absl::StatusOr<std::vector<std::string>>> LookupAddresses(
      std::span<const std::string> hosts, Deadline deadline) const;

 private:
  struct Server {
    HostPort address;
    bool trusted;
  };
  Resolver(const ResolverConfig& config, std::vector<Server> servers, base::Random& random)
      : config_(config), servers_(std::move(servers)), random_(random) {}

  class Exchange;
  // Returns whether the answers so far suffice, so that the others need not be waited for long.
  using Progress = std::function<bool(const std::vector<absl::StatusOr<DnsAnswer>>&)>;
  std::vector<absl::StatusOr<DnsAnswer>> AskUntil(std::span<const DnsQuestion> questions,
                                                  Deadline deadline,
                                                  const Progress& has_essentials) const;

  const ResolverConfig config_;
  const std::vector<Server> servers_;
  base::Random& random_;
};

}  // namespace kt::client
#endif  // KT_CLIENT_DNS_H_
