// SPDX-License-Identifier: Apache-2.0
#include "merkle/node_lanes.h"

#include <immintrin.h>

#include "merkle/sha256_constants.h"

namespace kt::merkle {
namespace {

// One word of each of the sixteen messages.
using Words = __m512i;

constexpr int kBlockWords = 16;
constexpr int kStateWords = 8;
constexpr int kRounds = 64;

inline Words Sum(Words a, Words b) { return _mm512_add_epi32(a, b); }
inline Words Xor(Words a, Words b, Words c) { return _mm512_ternarylogic_epi32(a, b, c, 0x96); }

// FIPS 180-4 section 4.1.2.
inline Words Choose(Words x, Words y, Words z) { return _mm512_ternarylogic_epi32(x, y, z, 0xca); }
inline Words Majority(Words x, Words y, Words z) {
  return _mm512_ternarylogic_epi32(x, y, z, 0xe8);
}
inline Words BigSigma0(Words x) {
  return Xor(_mm512_ror_epi32(x, 2), _mm512_ror_epi32(x, 13), _mm512_ror_epi32(x, 22));
}
inline Words BigSigma1(Words x) {
  return Xor(_mm512_ror_epi32(x, 6), _mm512_ror_epi32(x, 11), _mm512_ror_epi32(x, 25));
}
inline Words SmallSigma0(Words x) {
  return Xor(_mm512_ror_epi32(x, 7), _mm512_ror_epi32(x, 18), _mm512_srli_epi32(x, 3));
}
inline Words SmallSigma1(Words x) {
  return Xor(_mm512_ror_epi32(x, 17), _mm512_ror_epi32(x, 19), _mm512_srli_epi32(x, 10));
}

// Words are big-endian in messages and digests.
inline Words SwapBytes(Words words) {
  return _mm512_shuffle_epi8(words,
                             _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203));
}

// Row i, column j becomes row j, column i.
inline void Transpose(Words rows[16]) {
  Words by_two[16];
  for (int i = 0; i < 16; i += 2) {
    by_two[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    by_two[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  // by_four[i + c] has, in each quarter q, column 4 * q + c of rows i to i + 3.
  Words by_four[16];
  for (int i = 0; i < 16; i += 4) {
    by_four[i] = _mm512_unpacklo_epi64(by_two[i], by_two[i + 2]);
    by_four[i + 1] = _mm512_unpackhi_epi64(by_two[i], by_two[i + 2]);
    by_four[i + 2] = _mm512_unpacklo_epi64(by_two[i + 1], by_two[i + 3]);
    by_four[i + 3] = _mm512_unpackhi_epi64(by_two[i + 1], by_two[i + 3]);
  }
  constexpr int kEven = 0x88;  // quarters 0 and 2 of either
  constexpr int kOdd = 0xdd;   // quarters 1 and 3
  for (int c = 0; c < 4; ++c) {
    const Words first_even = _mm512_shuffle_i32x4(by_four[c], by_four[4 + c], kEven);
    const Words first_odd = _mm512_shuffle_i32x4(by_four[c], by_four[4 + c], kOdd);
    const Words second_even = _mm512_shuffle_i32x4(by_four[8 + c], by_four[12 + c], kEven);
    const Words second_odd = _mm512_shuffle_i32x4(by_four[8 + c], by_four[12 + c], kOdd);
    rows[c] = _mm512_shuffle_i32x4(first_even, second_even, kEven);
    rows[4 + c] = _mm512_shuffle_i32x4(first_odd, second_odd, kEven);
    rows[8 + c] = _mm512_shuffle_i32x4(first_even, second_even, kOdd);
    rows[12 + c] = _mm512_shuffle_i32x4(first_odd, second_odd, kOdd);
  }
}

// FIPS 180-4 section 6.2.2; `block` becomes the last words of its message schedule.
inline void Compress(Words state[kStateWords], Words block[kBlockWords]) {
  Words a = state[0], b = state[1], c = state[2], d = state[3];
  Words e = state[4], f = state[5], g = state[6], h = state[7];
#pragma GCC unroll 64
  for (int t = 0; t < kRounds; ++t) {
    Words& word = block[t % kBlockWords];
    if (t >= kBlockWords) {
      word = Sum(Sum(word, SmallSigma0(block[(t + 1) % kBlockWords])),
                 Sum(block[(t + 9) % kBlockWords], SmallSigma1(block[(t + 14) % kBlockWords])));
    }
    const Words constant = _mm512_set1_epi32(static_cast<int>(kSha256RoundConstants[t]));
    const Words t1 = Sum(Sum(h, Sum(word, constant)), Sum(BigSigma1(e), Choose(e, f, g)));
    const Words t2 = Sum(BigSigma0(a), Majority(a, b, c));
    h = g;
    g = f;
    f = e;
    e = Sum(d, t1);
    d = c;
    c = b;
    b = a;
    a = Sum(t1, t2);
  }
  const Words after[kStateWords] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < kStateWords; ++i) state[i] = Sum(state[i], after[i]);
}

// The sixteen words of first || second, of each node.
inline void Load(const NodeInput inputs[kNodeLanes], Words words[kBlockWords]) {
  for (size_t i = 0; i < kNodeLanes; ++i) {
    const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(inputs[i].first));
    const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(inputs[i].second));
    words[i] = SwapBytes(_mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1));
  }
  Transpose(words);
}

inline void Store(const Words state[kStateWords], uint8_t* const hashes[kNodeLanes]) {
  Words rows[16];
  for (int i = 0; i < 16; ++i) rows[i] = i < kStateWords ? state[i] : _mm512_setzero_si512();
  Transpose(rows);
  for (size_t i = 0; i < kNodeLanes; ++i) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(hashes[i]),
                        _mm512_castsi512_si256(SwapBytes(rows[i])));
  }
}

}  // namespace

// A message of 65 bytes and its padding (FIPS 180-4 section 5.1.1) are two blocks, of which the
// second holds the message's last byte.
void HashNodeLanesByAvx512(uint8_t prefix, const NodeInput inputs[kNodeLanes],
                           uint8_t* const hashes[kNodeLanes]) {
  Words words[kBlockWords];
  Load(inputs, words);
  Words block[kBlockWords];
  Words before = _mm512_set1_epi32(prefix);
  for (int i = 0; i < kBlockWords; ++i) {
    block[i] = _mm512_or_epi32(_mm512_slli_epi32(before, 24), _mm512_srli_epi32(words[i], 8));
    before = words[i];
  }
  Words state[kStateWords];
  for (int i = 0; i < kStateWords; ++i) {
    state[i] = _mm512_set1_epi32(static_cast<int>(kSha256InitialState[i]));
  }
  Compress(state, block);

  for (Words& word : block) word = _mm512_setzero_si512();
  block[0] = _mm512_or_epi32(_mm512_slli_epi32(before, 24), _mm512_set1_epi32(0x80 << 16));
  block[kBlockWords - 1] = _mm512_set1_epi32(65 * 8);
  Compress(state, block);
  Store(state, hashes);
}

}  // namespace kt::merkle
