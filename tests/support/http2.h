// SPDX-License-Identifier: Apache-2.0
//
// HTTP/2 by hand (RFC 9113), as much as a gRPC call takes: for clients that do what no HTTP/2
// library would, or that must cost less than the server which they put under load.
#ifndef TESTS_SUPPORT_HTTP2_H_
#define TESTS_SUPPORT_HTTP2_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace kt::testing::http2 {

// Frame types, flags and settings of RFC 9113 §6.
inline constexpr uint8_t kData = 0;
inline constexpr uint8_t kHeaders = 1;
inline constexpr uint8_t kRstStream = 3;
inline constexpr uint8_t kSettings = 4;
inline constexpr uint8_t kPing = 6;
inline constexpr uint8_t kGoAway = 7;
inline constexpr uint8_t kWindowUpdate = 8;

inline constexpr uint8_t kEndStream = 1;  // of kData and kHeaders
inline constexpr uint8_t kAck = 1;        // of kSettings and kPing

inline constexpr uint16_t kHeaderTableSize = 1;
inline constexpr uint16_t kMaxConcurrentStreams = 3;
inline constexpr uint16_t kInitialWindowSize = 4;

struct Frame {
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;
  std::string payload;
};

// Big endian, in so many bytes.
std::string Number(uint32_t value, int bytes);

std::string Encode(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload);

// The preface of a client, with its settings.
std::string Preface(const std::vector<std::pair<uint16_t, uint32_t>>& settings);

// A gRPC call with one encoded message, as the frames of its stream.
std::string Call(uint32_t stream, const std::string& path, const std::string& message,
                 const std::string& te = "trailers");

// Takes all whole frames from the front of what was received.
std::vector<Frame> TakeFrames(std::string* received);

}  // namespace kt::testing::http2
#endif  // TESTS_SUPPORT_HTTP2_H_
