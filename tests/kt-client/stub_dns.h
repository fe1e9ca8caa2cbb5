// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_KT_CLIENT_STUB_DNS_H_
#define TESTS_KT_CLIENT_STUB_DNS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "kt-client/dns_message.h"

namespace kt::client {

// Header flags of RFC 1035 §4.1.1 and RFC 4035 §3.2.3, for the second pair of octets.
inline constexpr uint16_t kQr = 0x8000;
inline constexpr uint16_t kAa = 0x0400;
inline constexpr uint16_t kTc = 0x0200;
inline constexpr uint16_t kRd = 0x0100;
inline constexpr uint16_t kRa = 0x0080;
inline constexpr uint16_t kAd = 0x0020;

// Writes DNS messages, well formed or not.
class MessageBuilder {
 public:
  // Answers the question of `query`, with its id.
  MessageBuilder(base::ByteView query, uint16_t flags);
  // An answer to a question of our own.
  MessageBuilder(const std::string& name, DnsType type, uint16_t flags);

  MessageBuilder& Srv(uint16_t priority, uint16_t weight, uint16_t port, const std::string& target);
  MessageBuilder& Txt(const std::vector<std::string>& chunks);
  // What follows belongs to `target`.
  MessageBuilder& Cname(const std::string& target);
  MessageBuilder& A(std::array<uint8_t, 4> address);
  MessageBuilder& Aaaa(std::array<uint8_t, 16> address);
  base::Bytes Build() const { return message_; }

 private:
  MessageBuilder& Record(uint16_t type, const base::Bytes& data);
  base::Bytes message_;
  base::Bytes owner_ = {0xc0, 12};  // a pointer to the name of the question
};

// The name in the question of `query`: "example.com".
std::string QuestionName(base::ByteView query);
DnsType QuestionType(base::ByteView query);

// A name server that answers whatever the test says, on UDP and TCP of one port. For answers that
// a healthy server does not give.
class StubDns {
 public:
  // Called on the stub's thread. The result is sent as it is; empty: no answer.
  using Handler = std::function<base::Bytes(base::ByteView query, bool is_tcp)>;
  // `host` is an address of this machine.
  explicit StubDns(Handler handler, const std::string& host = "127.0.0.1");
  StubDns(const StubDns&) = delete;
  StubDns& operator=(const StubDns&) = delete;
  ~StubDns();

  std::string address() const { return HostPort{host_, port_}.ToString(); }
  int queries() const { return queries_; }

 private:
  void Serve();
  void ServeUdp();
  void ServeTcp();

  const Handler handler_;
  const std::string host_;
  uint16_t port_ = 0;
  int udp_ = -1;
  int tcp_ = -1;
  std::atomic<int> queries_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace kt::client
#endif  // TESTS_KT_CLIENT_STUB_DNS_H_
