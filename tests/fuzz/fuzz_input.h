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

 private:
  base::ByteView rest_;
};

}  // namespace kt::fuzz
#endif  // TESTS_FUZZ_FUZZ_INPUT_H_
