// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_FUZZ_FUZZ_INPUT_H_
#define TESTS_FUZZ_FUZZ_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/types.h"

namespace kt::fuzz {

// Takes a fuzzer's bytes apart. Once they are used up, all values are zero.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : rest_(data, size) {}

  bool empty() const { return rest_.empty(); }
  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const uint8_t byte = rest_.front();
    rest_ = rest_.subspan(1);
    return byte;
  }
  // Below `bound`, which is 1..256.
  unsigned Below(unsigned bound) { return Byte() % bound; }
  uint64_t Uint64() {
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = (value << 8) | Byte();
    return value;
  }
  // A hash that one byte decides: all zeros for 0, so that fuzzers find that case.
  base::Hash ShortHash() {
    base::Hash hash;
    hash.bytes.fill(Byte());
    return hash;
  }
  base::ByteView Rest() const { return rest_; }

  // Alters one place of `bytes`: flips bits, sets, inserts or removes a byte, or removes several.
  void Edit(base::Bytes* bytes) {
    const unsigned kind = Below(5);
    const size_t high = Byte();
    const size_t position = (high << 8 | Byte()) % (bytes->size() + 1);
    const auto at = bytes->begin() + static_cast<ptrdiff_t>(position);
    const uint8_t value = Byte();
    const bool inside = position < bytes->size();
    if (kind == 0 && inside) *at = static_cast<uint8_t>(*at ^ value);
    if (kind == 1 && inside) *at = value;
    if (kind == 2) bytes->insert(at, value);
    if (kind == 3 && inside) bytes->erase(at);
    if (kind == 4) bytes->erase(at, at + std::min<ptrdiff_t>(value, bytes->end() - at));
  }

 private:
  base::ByteView rest_;
};

}  // namespace kt::fuzz
#endif  // TESTS_FUZZ_FUZZ_INPUT_H_
