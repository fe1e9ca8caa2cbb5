// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SUPPORT_DNS_SERVER_H_
#define TESTS_SUPPORT_DNS_SERVER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace kt::testing {

struct DnsZone {
  std::string name;  // "example.com"
  // Lines of a zone file below $ORIGIN `name`; SOA and NS are added.
  std::string records;
  // If false the server is configured for the zone and has no data: it answers SERVFAIL.
  bool loadable = true;
};

// A real authoritative DNS server, Debian's knotd, on UDP and TCP of one free port of 127.0.0.1
// and ::1. Names outside its zones are REFUSED. Its files live in a temporary directory; both
// go with the object, and the server also with the process.
class DnsServer {
 public:
  // Returns when all loadable zones are answered for. kUnavailable if that does not happen, with
  // the server's log.
  static absl::StatusOr<std::unique_ptr<DnsServer>> Start(const std::vector<DnsZone>& zones);

  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;
  ~DnsServer();

  uint16_t port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string address_ipv6() const { return "[::1]:" + std::to_string(port_); }

 private:
  DnsServer(std::string directory, uint16_t port) : directory_(std::move(directory)), port_(port) {}
  absl::Status WriteFiles(const std::vector<DnsZone>& zones) const;
  absl::Status Spawn();
  absl::Status WaitUntilServing(const std::vector<DnsZone>& zones);
  void Stop();

  const std::string directory_;
  const uint16_t port_;
  pid_t pid_ = -1;
};

}  // namespace kt::testing
#endif  // TESTS_SUPPORT_DNS_SERVER_H_
