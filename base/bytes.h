// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_BYTES_H_
#define BASE_BYTES_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kt::base {

using Bytes = std::vector<uint8_t>;         // owned
using ByteView = std::span<const uint8_t>;  // borrowed

// Reinterprets text as bytes; the result borrows from `text`.
inline ByteView AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view AsText(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes ToBytes(ByteView bytes) { return {bytes.begin(), bytes.end()}; }
inline Bytes ToBytes(std::string_view text) { return ToBytes(AsBytes(text)); }
inline std::string ToText(ByteView bytes) { return std::string(AsText(bytes)); }

inline void Append(Bytes& out, ByteView more) { out.insert(out.end(), more.begin(), more.end()); }

// Lower-case hexadecimal.
std::string ToHex(ByteView bytes);
// nullopt unless `text` is an even number of hexadecimal digits, of either case.
std::optional<Bytes> FromHex(std::string_view text);

// RFC 4648 §4, with padding and without line breaks.
std::string ToBase64(ByteView bytes);

}  // namespace kt::base
#endif  // BASE_BYTES_H_
