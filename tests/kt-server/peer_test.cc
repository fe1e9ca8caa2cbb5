// SPDX-License-Identifier: Apache-2.0
#include "kt-server/peer.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

namespace kt::server {
namespace {

std::string KeyOfSocket(const char* text) {
  sockaddr_storage storage = {};
  in_addr ipv4;
  if (inet_pton(AF_INET, text, &ipv4) == 1) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr = ipv4;
    std::memcpy(&storage, &address, sizeof(address));
  } else {
    sockaddr_in6 address = {};
    address.sin6_family = AF_INET6;
    EXPECT_EQ(inet_pton(AF_INET6, text, &address.sin6_addr), 1);
    std::memcpy(&storage, &address, sizeof(address));
  }
  return RateKey(storage);
}

TEST(Peer, BothNamesOfAPeerGiveOneKey) {
  EXPECT_EQ(RateKey("ipv4:192.0.2.1:4711"), KeyOfSocket("192.0.2.1"));
  EXPECT_EQ(RateKey("ipv4:192.0.2.1:4711"), KeyOfSocket("::ffff:192.0.2.1"));
  EXPECT_EQ(RateKey("ipv6:%5B::ffff:192.0.2.1%5D:4711"), KeyOfSocket("192.0.2.1"));
  EXPECT_EQ(RateKey("ipv6:%5B2001:db8::1%5D:4711"), KeyOfSocket("2001:db8::1"));
}

TEST(Peer, PortsAndHostsOfOneSubscriberShareAKey) {
  EXPECT_EQ(RateKey("ipv4:192.0.2.1:1"), RateKey("ipv4:192.0.2.1:2"));
  EXPECT_NE(RateKey("ipv4:192.0.2.1:1"), RateKey("ipv4:192.0.2.2:1"));
  EXPECT_EQ(KeyOfSocket("2001:db8:1:2::1"), KeyOfSocket("2001:db8:1:2:ffff::9"));
  EXPECT_NE(KeyOfSocket("2001:db8:1:2::1"), KeyOfSocket("2001:db8:1:3::1"));
}

TEST(Peer, WhatIsNoAddressIsAKeyToo) {
  EXPECT_EQ(RateKey(""), "");
  EXPECT_EQ(RateKey("unix:/run/kt"), "unix");
  EXPECT_EQ(RateKey("ipv6:%5Bnonsense%5D:1"), "ipv6:%5Bnonsense%5D");
}

}  // namespace
}  // namespace kt::server
