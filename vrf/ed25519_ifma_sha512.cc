// SPDX-License-Identifier: Apache-2.0
//
// SHA-512 (FIPS 180-4) of eight messages at once: each of a register's lanes of 64 bits is a
// message of its own. Of plain arrays and functions, for the reason that vrf/ed25519_ifma.cc gives.
#include "vrf/ed25519_ifma_sha512.h"

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace kt::vrf::ed25519 {
namespace {

constexpr size_t kLanes = 8;
constexpr size_t kBlockBytes = 128;
constexpr size_t kLengthBytes = 16;  // the end of a message's last block
constexpr int kBlockWords = 16;
constexpr int kStateWords = 8;
constexpr int kRounds = 80;

// FIPS 180-4 section 4.2.3.
alignas(64) constexpr uint64_t kRoundConstants[kRounds] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817};

// Section 5.3.5.
constexpr uint64_t kInitialState[kStateWords] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

// One word of each of the eight messages.
using Words = __m512i;

inline Words Sum(Words a, Words b) { return _mm512_add_epi64(a, b); }
inline Words Xor(Words a, Words b, Words c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }

// Section 4.1.3.
inline Words Choose(Words x, Words y, Words z) { return _mm512_ternarylogic_epi64(x, y, z, 0xca); }
inline Words Majority(Words x, Words y, Words z) {
  return _mm512_ternarylogic_epi64(x, y, z, 0xe8);
}
inline Words BigSigma0(Words x) {
  return Xor(_mm512_ror_epi64(x, 28), _mm512_ror_epi64(x, 34), _mm512_ror_epi64(x, 39));
}
inline Words BigSigma1(Words x) {
  return Xor(_mm512_ror_epi64(x, 14), _mm512_ror_epi64(x, 18), _mm512_ror_epi64(x, 41));
}
inline Words SmallSigma0(Words x) {
  return Xor(_mm512_ror_epi64(x, 1), _mm512_ror_epi64(x, 8), _mm512_srli_epi64(x, 7));
}
inline Words SmallSigma1(Words x) {
  return Xor(_mm512_ror_epi64(x, 19), _mm512_ror_epi64(x, 61), _mm512_srli_epi64(x, 6));
}

// Words are big-endian in messages and digests.
inline Words SwapBytes(Words words) {
  return _mm512_shuffle_epi8(words,
                             _mm512_set4_epi32(0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607));
}

// Row i, column j becomes row j, column i.
inline void Transpose(Words rows[kLanes]) {
  Words by_two[kLanes];
  for (size_t i = 0; i < kLanes; i += 2) {
    by_two[i] = _mm512_unpacklo_epi64(rows[i], rows[i + 1]);
    by_two[i + 1] = _mm512_unpackhi_epi64(rows[i], rows[i + 1]);
  }
  constexpr int kEven = 0x88;  // quarters 0 and 2 of either
  constexpr int kOdd = 0xdd;   // quarters 1 and 3
  for (size_t c = 0; c < 2; ++c) {
    const Words first_even = _mm512_shuffle_i64x2(by_two[c], by_two[2 + c], kEven);
    const Words first_odd = _mm512_shuffle_i64x2(by_two[c], by_two[2 + c], kOdd);
    const Words second_even = _mm512_shuffle_i64x2(by_two[4 + c], by_two[6 + c], kEven);
    const Words second_odd = _mm512_shuffle_i64x2(by_two[4 + c], by_two[6 + c], kOdd);
    rows[c] = _mm512_shuffle_i64x2(first_even, second_even, kEven);
    rows[2 + c] = _mm512_shuffle_i64x2(first_odd, second_odd, kEven);
    rows[4 + c] = _mm512_shuffle_i64x2(first_even, second_even, kOdd);
    rows[6 + c] = _mm512_shuffle_i64x2(first_odd, second_odd, kOdd);
  }
}

inline Words Load(const uint8_t* bytes) {
  return SwapBytes(_mm512_loadu_si512(reinterpret_cast<const __m512i*>(bytes)));
}

// The sixteen words of a block of each message.
inline void LoadBlocks(const uint8_t* const blocks[kLanes], Words words[kBlockWords]) {
  for (size_t lane = 0; lane < kLanes; ++lane) {
    words[lane] = Load(blocks[lane]);
    words[kLanes + lane] = Load(blocks[lane] + kBlockBytes / 2);
  }
  Transpose(words);
  Transpose(words + kLanes);
}

// Section 6.4.2, in the lanes of `active`; `block` becomes the last words of its message schedule.
inline void Compress(Words state[kStateWords], Words block[kBlockWords], __mmask8 active) {
  Words a = state[0], b = state[1], c = state[2], d = state[3];
  Words e = state[4], f = state[5], g = state[6], h = state[7];
  for (int first = 0; first < kRounds; first += kBlockWords) {
#pragma GCC unroll 16
    for (int t = 0; t < kBlockWords; ++t) {
      Words& word = block[t];
      if (first > 0) {
        word = Sum(Sum(word, SmallSigma0(block[(t + 1) % kBlockWords])),
                   Sum(block[(t + 9) % kBlockWords], SmallSigma1(block[(t + 14) % kBlockWords])));
      }
      const Words constant = _mm512_set1_epi64(static_cast<long long>(kRoundConstants[first + t]));
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
  }
  const Words after[kStateWords] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < kStateWords; ++i) {
    state[i] = _mm512_mask_add_epi64(state[i], active, state[i], after[i]);
  }
}

// A message as blocks: those that lie within it where they are, and what is left with its padding
// (section 5.1.2) here.
class Blocks {
 public:
  void Set(const HashMessage& message) {
    bytes_ = message.bytes;
    whole_ = message.size / kBlockBytes;
    const size_t left = message.size % kBlockBytes;
    count_ = whole_ + (left + 1 + kLengthBytes <= kBlockBytes ? 1 : 2);
    const size_t end = (count_ - whole_) * kBlockBytes;
    if (left > 0) memcpy(tail_, bytes_ + whole_ * kBlockBytes, left);
    tail_[left] = 0x80;
    memset(tail_ + left + 1, 0, end - left - 1);
    const uint64_t bits = __builtin_bswap64(uint64_t{8} * message.size);
    memcpy(tail_ + end - sizeof(bits), &bits, sizeof(bits));
  }
  size_t count() const { return count_; }
  // Block i, and the last one in place of those that there are not.
  const uint8_t* At(size_t i) const {
    if (i < whole_) return bytes_ + i * kBlockBytes;
    return tail_ + ((i < count_ ? i : count_ - 1) - whole_) * kBlockBytes;
  }

 private:
  const uint8_t* bytes_;
  size_t whole_;
  size_t count_;
  uint8_t tail_[2 * kBlockBytes];
};

// Of at most eight messages.
void HashSome(const HashMessage* messages, size_t count, HashBytes* out) {
  Blocks blocks[kLanes];
  size_t most = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    // Lanes without a message of their own repeat one.
    blocks[lane].Set(messages[lane < count ? lane : 0]);
    if (blocks[lane].count() > most) most = blocks[lane].count();
  }
  Words state[kStateWords];
  for (int i = 0; i < kStateWords; ++i) {
    state[i] = _mm512_set1_epi64(static_cast<long long>(kInitialState[i]));
  }
  Words words[kBlockWords];
  for (size_t i = 0; i < most; ++i) {
    const uint8_t* at[kLanes];
    unsigned active = 0;
    for (size_t lane = 0; lane < kLanes; ++lane) {
      at[lane] = blocks[lane].At(i);
      if (i < blocks[lane].count()) active |= 1u << lane;
    }
    LoadBlocks(at, words);
    Compress(state, words, static_cast<__mmask8>(active));
  }
  Transpose(state);
  for (size_t lane = 0; lane < count; ++lane) {
    _mm512_storeu_si512(reinterpret_cast<__m512i*>(out[lane].bytes), SwapBytes(state[lane]));
  }
  memset(blocks, 0, sizeof(blocks));
  memset(words, 0, sizeof(words));
  memset(state, 0, sizeof(state));
  __asm__ __volatile__("" : : "r"(blocks), "r"(words), "r"(state) : "memory");
}

}  // namespace

void HashByAvx512(const HashMessage* messages, size_t count, HashBytes* out) {
  for (size_t i = 0; i < count; i += kLanes) {
    HashSome(messages + i, count - i < kLanes ? count - i : kLanes, out + i);
  }
}

}  // namespace kt::vrf::ed25519
