// SPDX-License-Identifier: Apache-2.0
#include "kt-server/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>
#include <string_view>

#include "base/bytes.h"

namespace kt::server {
namespace {

std::string KeyOf(const in_addr& address) {
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &address, text, sizeof(text));
  return text;
}

std::string KeyOf(const in6_addr& address) {
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    in_addr mapped;
    std::memcpy(&mapped, address.s6_addr + 12, sizeof(mapped));
    return KeyOf(mapped);
  }
  constexpr size_t kPrefixBytes = 8;
  return base::ToHex(base::ByteView(address.s6_addr, kPrefixBytes));
}

}  // namespace

std::string RateKey(const std::string& peer) {
  constexpr std::string_view kIpv4 = "ipv4:";
  constexpr std::string_view kIpv6 = "ipv6:%5B";
  std::string host = peer.substr(0, peer.rfind(':'));
  if (host.starts_with(kIpv4)) return host.substr(kIpv4.size());
  if (!host.starts_with(kIpv6)) return host;
  const std::string text = host.substr(kIpv6.size(), host.rfind("%5D") - kIpv6.size());
  in6_addr address;
  return inet_pton(AF_INET6, text.c_str(), &address) == 1 ? KeyOf(address) : host;
}

std::string RateKey(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    sockaddr_in ipv4;
    std::memcpy(&ipv4, &address, sizeof(ipv4));
    return KeyOf(ipv4.sin_addr);
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 ipv6;
    std::memcpy(&ipv6, &address, sizeof(ipv6));
    return KeyOf(ipv6.sin6_addr);
  }
  return "";
}

}  // namespace kt::server
