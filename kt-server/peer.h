// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_PEER_H_
#define KT_SERVER_PEER_H_

#include <sys/socket.h>

#include <string>

namespace kt::server {

// Who is at the other end, for limits: an IPv4 address, or the /64 of an IPv6 address, which is
// what one subscriber commands. Both functions give the same key for the same peer.

// `peer` as gRPC has it: "ipv4:192.0.2.1:4711" or "ipv6:%5B2001:db8::1%5D:4711".
std::string RateKey(const std::string& peer);
std::string RateKey(const sockaddr_storage& address);

}  // namespace kt::server
#endif  // KT_SERVER_PEER_H_
