// SPDX-License-Identifier: Apache-2.0
#include "kt-client/dns_message.h"

#include <ares.h>
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "absl/strings/str_cat.h"
#include "kt-client/failure.h"

namespace kt::client {
namespace {

using base::ByteView;

// The header of RFC 1035 §4.1.1.
constexpr size_t kHeaderSize = 12;
constexpr uint8_t kResponseBit = 0x80;  // of byte 2, as are the next three
constexpr uint8_t kOpcodeBits = 0x78;
constexpr uint8_t kAuthoritativeBit = 0x04;
constexpr uint8_t kTruncatedBit = 0x02;
constexpr uint8_t kRecursionAvailableBit = 0x80;  // of byte 3, as are the next two
constexpr uint8_t kAuthenticatedDataBit = 0x20;
constexpr uint8_t kRcodeBits = 0x0f;

constexpr int kNoError = 0;
constexpr int kServFail = 2;
constexpr int kNxDomain = 3;
constexpr int kRefusedRcode = 5;

size_t Int16At(ByteView message, size_t at) { return message[at] * 256u + message[at + 1]; }
size_t AnswerCount(ByteView message) { return Int16At(message, 6); }
bool IsRecursive(ByteView message) { return (message[3] & kRecursionAvailableBit) != 0; }
bool IsAuthoritative(ByteView message) { return (message[2] & kAuthoritativeBit) != 0; }

absl::Status Malformed(const std::string& what) {
  return FailedBecause(Failure::kMalformedAnswer,
                       absl::StrCat("malformed DNS answer (", what, ")"));
}

absl::Status ReferredElsewhere() {
  return FailedBecause(
      Failure::kRefused,
      "the DNS server refers to others instead of answering; it is not a resolver");
}

// What a c-ares parser's failure means. An alias that a server which does not recurse leaves
// dangling is no statement about the name behind it.
absl::Status ParserFailure(int status, ByteView message) {
  if (status != ARES_ENODATA) return Malformed(ares_strerror(status));
  if (AnswerCount(message) > 0 && !IsRecursive(message)) return ReferredElsewhere();
  return FailedBecause(Failure::kNoRecords, "the name has no record of this type");
}

absl::Status TooMany(const std::string& type, size_t limit) {
  return Malformed(absl::StrCat("more than ", limit, " ", type, " records"));
}

// Moves `*at` past a domain name (RFC 1035 §4.1.4). A pointer ends it; where pointers lead to is
// for the reader of the name to follow.
bool SkipName(ByteView message, size_t* at) {
  while (*at < message.size()) {
    const uint8_t length = message[*at];
    if (length >= 0xc0) {
      *at += 2;
      return *at <= message.size();
    }
    if (length >= 0x40) return false;
    *at += 1u + length;
    if (length == 0) return true;
  }
  return false;
}

// Whether one question and as many records as the header counts fill the message exactly. c-ares
// reads no further than the records it wants.
bool IsWellFormed(ByteView message) {
  if (Int16At(message, 4) != 1) return false;
  size_t at = kHeaderSize;
  if (!SkipName(message, &at) || message.size() - at < 4) return false;
  at += 4;
  const size_t records = Int16At(message, 6) + Int16At(message, 8) + Int16At(message, 10);
  for (size_t i = 0; i < records; ++i) {
    constexpr size_t kFixedSize = 10;  // type, class, TTL, length of the data
    if (!SkipName(message, &at) || message.size() - at < kFixedSize) return false;
    const size_t data_size = Int16At(message, at + 8);
    at += kFixedSize;
    if (message.size() - at < data_size) return false;
    at += data_size;
  }
  return at == message.size();
}

struct FreeAresData {
  void operator()(void* data) const { ares_free_data(data); }
};

bool IsLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsHostLabel(std::string_view label) {
  if (label.empty() || label.size() > 63) return false;
  if (label.front() == '-' || label.back() == '-') return false;
  return std::all_of(label.begin(), label.end(),
                     [](char c) { return IsLetterOrDigit(c) || c == '-'; });
}

std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || stop != end || port == 0) return std::nullopt;
  return port;
}

}  // namespace

absl::Status CheckAnswer(ByteView message) {
  if (message.size() < kHeaderSize) return Malformed("shorter than its header");
  if ((message[2] & kResponseBit) == 0 || (message[2] & kOpcodeBits) != 0) {
    return Malformed("not an answer to a query");
  }
  const int rcode = message[3] & kRcodeBits;
  if (rcode == kServFail) {
    return FailedBecause(Failure::kServerFailure, "the DNS server failed to answer (SERVFAIL)");
  }
  if (rcode == kRefusedRcode) {
    return FailedBecause(Failure::kRefused, "the DNS server refused to answer (REFUSED)");
  }
  if (rcode != kNoError && rcode != kNxDomain) {
    return FailedBecause(Failure::kServerFailure,
                         absl::StrCat("the DNS server failed to answer (code ", rcode, ")"));
  }
  // Over TCP nothing is truncated, and over UDP a truncated answer is asked for again.
  if ((message[2] & kTruncatedBit) != 0) return Malformed("truncated");
  if (AnswerCount(message) > kMaxAnswerRecords) return TooMany("answer", kMaxAnswerRecords);
  if (!IsWellFormed(message)) return Malformed("records that do not fit the message");
  const bool says_absent = rcode == kNxDomain || AnswerCount(message) == 0;
  if (says_absent && !IsAuthoritative(message) && !IsRecursive(message)) return ReferredElsewhere();
  if (rcode == kNxDomain) {
    return FailedBecause(Failure::kNoSuchName, "the name does not exist (NXDOMAIN)");
  }
  return absl::OkStatus();
}

bool HasAuthenticatedDataBit(ByteView message) {
  return message.size() >= kHeaderSize && (message[3] & kAuthenticatedDataBit) != 0;
}

absl::StatusOr<std::vector<SrvRecord>> ParseSrvAnswer(ByteView message) {
  ares_srv_reply* list = nullptr;
  const int status = ares_parse_srv_reply(message.data(), static_cast<int>(message.size()), &list);
  const std::unique_ptr<ares_srv_reply, FreeAresData> owner(list);
  if (status != ARES_SUCCESS) return ParserFailure(status, message);
  std::vector<SrvRecord> records;
  for (const ares_srv_reply* srv = list; srv != nullptr; srv = srv->next) {
    if (records.size() == kMaxSrvRecords) return TooMany("SRV", kMaxSrvRecords);
    records.push_back({srv->priority, srv->weight, srv->port, ToLower(srv->host)});
  }
  // c-ares reports an answer of aliases only as a success without records.
  if (records.empty()) return ParserFailure(ARES_ENODATA, message);
  return records;
}

absl::StatusOr<std::vector<std::string>> ParseTxtAnswer(ByteView message) {
  ares_txt_ext* list = nullptr;
  const int status =
      ares_parse_txt_reply_ext(message.data(), static_cast<int>(message.size()), &list);
  const std::unique_ptr<ares_txt_ext, FreeAresData> owner(list);
  if (status != ARES_SUCCESS) return ParserFailure(status, message);
  std::vector<std::string> texts;
  for (const ares_txt_ext* part = list; part != nullptr; part = part->next) {
    if (part->record_start != 0) {
      if (texts.size() == kMaxTxtRecords) return TooMany("TXT", kMaxTxtRecords);
      texts.emplace_back();
    }
    if (texts.empty()) return Malformed("TXT record without a start");
    texts.back().append(reinterpret_cast<const char*>(part->txt), part->length);
  }
  if (texts.empty()) return ParserFailure(ARES_ENODATA, message);
  return texts;
}

absl::StatusOr<std::vector<std::string>> ParseAddressAnswer(ByteView message, DnsType type) {
  const bool is_ipv4 = type == DnsType::kA;
  std::array<ares_addrttl, kMaxAddresses> ipv4;
  std::array<ares_addr6ttl, kMaxAddresses> ipv6;
  int count = kMaxAddresses;
  const int size = static_cast<int>(message.size());
  const int status =
      is_ipv4 ? ares_parse_a_reply(message.data(), size, nullptr, ipv4.data(), &count)
              : ares_parse_aaaa_reply(message.data(), size, nullptr, ipv6.data(), &count);
  if (status != ARES_SUCCESS) return ParserFailure(status, message);
  std::vector<std::string> addresses;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    std::array<char, INET6_ADDRSTRLEN> text;
    const void* raw = is_ipv4 ? static_cast<const void*>(&ipv4[i].ipaddr)
                              : static_cast<const void*>(&ipv6[i].ip6addr);
    inet_ntop(is_ipv4 ? AF_INET : AF_INET6, raw, text.data(), text.size());
    addresses.emplace_back(text.data());
  }
  if (addresses.empty()) return ParserFailure(ARES_ENODATA, message);
  return addresses;
}

bool IsHostName(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  std::string_view label;
  for (size_t begin = 0; begin <= name.size(); begin += label.size() + 1) {
    label = name.substr(begin, name.find('.', begin) - begin);
    if (!IsHostLabel(label)) return false;
  }
  // No top-level domain is a number, but some readers of addresses take "127.1" for one.
  return !std::all_of(label.begin(), label.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool IsIpAddress(std::string_view text) {
  const std::string copy(text);
  if (copy.find('\0') != std::string::npos) return false;  // where inet_pton would stop reading
  std::array<uint8_t, sizeof(in6_addr)> raw;
  return inet_pton(AF_INET, copy.c_str(), raw.data()) == 1 ||
         inet_pton(AF_INET6, copy.c_str(), raw.data()) == 1;
}

std::string HostPort::ToString() const {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return is_ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

absl::StatusOr<HostPort> ParseHostPort(const std::string& text,
                                       std::optional<uint16_t> default_port) {
  const auto error = [&](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\": ", what));
  };
  HostPort result{text, default_port.value_or(0)};
  std::optional<std::string> port;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string::npos) return error("\"]\" is missing");
    result.host = text.substr(1, end - 1);
    if (result.host.find(':') == std::string::npos) return error("only IPv6 stands in brackets");
    const std::string rest = text.substr(end + 1);
    if (!rest.empty()) {
      if (rest.front() != ':') return error("\":PORT\" is expected after \"]\"");
      port = rest.substr(1);
    }
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    const size_t colon = text.find(':');
    result.host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (port.has_value()) {
    const std::optional<uint16_t> number = ParsePort(*port);
    if (!number.has_value()) return error("the port is not a number from 1 to 65535");
    result.port = *number;
  }
  if (result.port == 0) return error("the port is missing; write HOST:PORT");
  if (!IsIpAddress(result.host) && !IsHostName(result.host)) {
    return error("this is neither a host name nor an IP address");
  }
  result.host = ToLower(result.host);
  return result;
}

std::string ToLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace kt::client
