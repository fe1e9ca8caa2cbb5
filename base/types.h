// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_TYPES_H_
#define BASE_TYPES_H_

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace kt::base {

inline constexpr size_t kHashSize = 32;       // Hash.Nh of both cipher suites
inline constexpr size_t kVrfOutputSize = 32;  // VRF.Nh of both cipher suites

// A SHA-256 value: a node of one of the trees, or a commitment.
struct Hash {
  std::array<uint8_t, kHashSize> bytes{};
  auto operator<=>(const Hash&) const = default;
  bool IsZero() const { return *this == Hash{}; }
  ByteView view() const { return bytes; }
};

// The position of a label-version in the prefix tree, most significant bit first.
// Uniformly distributed, and meaningless to whoever holds neither the key nor a proof.
struct VrfOutput {
  std::array<uint8_t, kVrfOutputSize> bytes{};
  auto operator<=>(const VrfOutput&) const = default;
  ByteView view() const { return bytes; }
  // Bit `depth` (0..255) decides between left (false) and right (true) below depth `depth`.
  bool bit(unsigned depth) const { return (bytes[depth / 8] >> (7 - depth % 8)) & 1; }
};

// Index of a log entry, from 0.
using LogPosition = uint64_t;
// Number of log entries.
using TreeSize = uint64_t;
// Counter of a label's values, from 0.
using Version = uint32_t;

}  // namespace kt::base
#endif  // BASE_TYPES_H_
