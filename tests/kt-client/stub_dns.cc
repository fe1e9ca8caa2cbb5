// SPDX-License-Identifier: Apache-2.0
#include "tests/kt-client/stub_dns.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <sstream>
#include <utility>

#include "base/check.h"

namespace kt::client {
namespace {

using base::Bytes;
using base::ByteView;

constexpr size_t kHeaderSize = 12;
constexpr int kStopPollMs = 20;

void AppendInt16(Bytes& out, uint16_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}

Bytes EncodeName(const std::string& name) {
  Bytes out;
  std::istringstream labels(name);
  for (std::string label; std::getline(labels, label, '.');) {
    out.push_back(static_cast<uint8_t>(label.size()));
    base::Append(out, base::AsBytes(label));
  }
  out.push_back(0);
  return out;
}

// Where the name of the first question ends.
size_t EndOfName(ByteView message) {
  size_t at = kHeaderSize;
  while (at < message.size() && message[at] != 0) at += message[at] + 1u;
  return at + 1;
}

sockaddr_storage SocketAddress(const std::string& host, uint16_t port, socklen_t* size) {
  sockaddr_storage storage{};
  auto* ipv4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* ipv6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (inet_pton(AF_INET, host.c_str(), &ipv4->sin_addr) == 1) {
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons(port);
    *size = sizeof(sockaddr_in);
  } else {
    KT_CHECK(inet_pton(AF_INET6, host.c_str(), &ipv6->sin6_addr) == 1);
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = htons(port);
    *size = sizeof(sockaddr_in6);
  }
  return storage;
}

bool BindTo(int fd, const std::string& host, uint16_t port) {
  socklen_t size = 0;
  const sockaddr_storage address = SocketAddress(host, port, &size);
  return bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0;
}

uint16_t BoundPort(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  KT_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);  // the same place in IPv6
}

}  // namespace

MessageBuilder::MessageBuilder(ByteView query, uint16_t flags) {
  message_ = base::ToBytes(query.first(2));
  AppendInt16(message_, flags);
  base::Append(message_, Bytes{0, 1, 0, 0, 0, 0, 0, 0});
  base::Append(message_, query.subspan(kHeaderSize, EndOfName(query) + 4 - kHeaderSize));
}

MessageBuilder::MessageBuilder(const std::string& name, DnsType type, uint16_t flags) {
  AppendInt16(message_, 4711);
  AppendInt16(message_, flags);
  base::Append(message_, Bytes{0, 1, 0, 0, 0, 0, 0, 0});
  base::Append(message_, EncodeName(name));
  AppendInt16(message_, static_cast<uint16_t>(type));
  AppendInt16(message_, 1);
}

MessageBuilder& MessageBuilder::Record(uint16_t type, const Bytes& data) {
  const uint16_t count = static_cast<uint16_t>((message_[6] << 8 | message_[7]) + 1);
  message_[6] = static_cast<uint8_t>(count >> 8);
  message_[7] = static_cast<uint8_t>(count);
  base::Append(message_, owner_);
  AppendInt16(message_, type);
  AppendInt16(message_, 1);
  base::Append(message_, Bytes{0, 0, 0, 60});
  AppendInt16(message_, static_cast<uint16_t>(data.size()));
  base::Append(message_, data);
  return *this;
}

MessageBuilder& MessageBuilder::Srv(uint16_t priority, uint16_t weight, uint16_t port,
                                    const std::string& target) {
  Bytes data;
  AppendInt16(data, priority);
  AppendInt16(data, weight);
  AppendInt16(data, port);
  base::Append(data, EncodeName(target));
  return Record(33, data);
}

MessageBuilder& MessageBuilder::Txt(const std::vector<std::string>& chunks) {
  Bytes data;
  for (const std::string& chunk : chunks) {
    data.push_back(static_cast<uint8_t>(chunk.size()));
    base::Append(data, base::AsBytes(chunk));
  }
  return Record(16, data);
}

MessageBuilder& MessageBuilder::Cname(const std::string& target) {
  Record(5, EncodeName(target));
  owner_ = EncodeName(target);
  return *this;
}

MessageBuilder& MessageBuilder::A(std::array<uint8_t, 4> address) {
  return Record(1, base::ToBytes(address));
}

MessageBuilder& MessageBuilder::Aaaa(std::array<uint8_t, 16> address) {
  return Record(28, base::ToBytes(address));
}

std::string QuestionName(ByteView query) {
  std::string name;
  for (size_t at = kHeaderSize; query[at] != 0; at += query[at] + 1u) {
    if (!name.empty()) name += '.';
    name += base::ToText(query.subspan(at + 1, query[at]));
  }
  return name;
}

DnsType QuestionType(ByteView query) {
  const size_t at = EndOfName(query);
  return static_cast<DnsType>(query[at] << 8 | query[at + 1]);
}

StubDns::StubDns(Handler handler, const std::string& host)
    : handler_(std::move(handler)), host_(host) {
  const int family = host.find(':') == std::string::npos ? AF_INET : AF_INET6;
  for (bool bound = false; !bound;) {
    udp_ = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    tcp_ = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    KT_CHECK(BindTo(udp_, host_, 0));
    port_ = BoundPort(udp_);
    bound = BindTo(tcp_, host_, port_);  // somebody may have this port already
    if (!bound) {
      close(udp_);
      close(tcp_);
    }
  }
  KT_CHECK(listen(tcp_, 16) == 0);
  thread_ = std::thread([this] { Serve(); });
}

StubDns::~StubDns() {
  stop_ = true;
  thread_.join();
  close(udp_);
  close(tcp_);
}

void StubDns::Serve() {
  while (!stop_) {
    std::array<pollfd, 2> sockets = {{{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}}};
    if (poll(sockets.data(), sockets.size(), kStopPollMs) <= 0) continue;
    if ((sockets[0].revents & POLLIN) != 0) ServeUdp();
    if ((sockets[1].revents & POLLIN) != 0) ServeTcp();
  }
}

void StubDns::ServeUdp() {
  Bytes query(65535);
  sockaddr_storage peer{};
  socklen_t peer_size = sizeof(peer);
  const ssize_t size =
      recvfrom(udp_, query.data(), query.size(), 0, reinterpret_cast<sockaddr*>(&peer), &peer_size);
  if (size < static_cast<ssize_t>(kHeaderSize)) return;
  query.resize(static_cast<size_t>(size));
  ++queries_;
  const Bytes answer = handler_(query, /*is_tcp=*/false);
  if (answer.empty()) return;
  sendto(udp_, answer.data(), answer.size(), 0, reinterpret_cast<const sockaddr*>(&peer),
         peer_size);
}

// One query a connection, with the length in front (RFC 1035 §4.2.2).
void StubDns::ServeTcp() {
  const int fd = accept(tcp_, nullptr, nullptr);
  std::array<uint8_t, 2> length;
  Bytes query;
  if (recv(fd, length.data(), length.size(), MSG_WAITALL) == 2) {
    query.resize(length[0] * 256u + length[1]);
    if (recv(fd, query.data(), query.size(), MSG_WAITALL) == static_cast<ssize_t>(query.size())) {
      ++queries_;
      const Bytes answer = handler_(query, /*is_tcp=*/true);
      Bytes framed;
      AppendInt16(framed, static_cast<uint16_t>(answer.size()));
      base::Append(framed, answer);
      if (!answer.empty()) send(fd, framed.data(), framed.size(), MSG_NOSIGNAL);
    }
  }
  close(fd);
}

}  // namespace kt::client
