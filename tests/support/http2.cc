// SPDX-License-Identifier: Apache-2.0
#include "tests/support/http2.h"

#include "base/check.h"

namespace kt::testing::http2 {
namespace {

// RFC 7541 §6.2.2, lengths below 127.
std::string Header(const std::string& name, const std::string& value) {
  KT_CHECK(name.size() < 127 && value.size() < 127);
  return std::string(1, '\0') + static_cast<char>(name.size()) + name +
         static_cast<char>(value.size()) + value;
}

}  // namespace

std::string Number(uint32_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}

std::string Encode(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  return Number(static_cast<uint32_t>(payload.size()), 3) + static_cast<char>(type) +
         static_cast<char>(flags) + Number(stream, 4) + payload;
}

std::string Preface(const std::vector<std::pair<uint16_t, uint32_t>>& settings) {
  std::string payload;
  for (const auto& [id, value] : settings) payload += Number(id, 2) + Number(value, 4);
  return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Encode(kSettings, 0, 0, payload);
}

std::string Call(uint32_t stream, const std::string& path, const std::string& message,
                 const std::string& te) {
  constexpr uint8_t kEndHeaders = 4;
  const std::string headers = Header(":method", "POST") + Header(":scheme", "https") +
                              Header(":path", path) + Header(":authority", "smime.example") +
                              Header("te", te) + Header("content-type", "application/grpc");
  const std::string body =
      std::string(1, '\0') + Number(static_cast<uint32_t>(message.size()), 4) + message;
  return Encode(kHeaders, kEndHeaders, stream, headers) + Encode(kData, kEndStream, stream, body);
}

std::vector<Frame> TakeFrames(std::string* received) {
  constexpr size_t kFrameHeader = 9;
  std::vector<Frame> frames;
  size_t at = 0;
  while (received->size() - at >= kFrameHeader) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>((*received)[at + i]); };
    const size_t size = size_t{byte(0)} << 16 | size_t{byte(1)} << 8 | byte(2);
    if (received->size() - at < kFrameHeader + size) break;
    const uint32_t stream = uint32_t{byte(5)} << 24 | uint32_t{byte(6)} << 16 |
                            uint32_t{byte(7)} << 8 | uint32_t{byte(8)};
    frames.push_back({byte(3), byte(4), stream, received->substr(at + kFrameHeader, size)});
    at += kFrameHeader + size;
  }
  received->erase(0, at);
  return frames;
}

}  // namespace kt::testing::http2
