// SPDX-License-Identifier: Apache-2.0
//
// The instructions: Intel's Software Developer's Manual, volume 2, SHA256RNDS2, SHA256MSG1 and
// SHA256MSG2. They keep the eight working variables of FIPS 180-4 section 6.2.2 in two registers.
#include "merkle/node_pair.h"

#include <immintrin.h>

#include "merkle/sha256_constants.h"

namespace kt::merkle {
namespace {

constexpr int kGroups = 16;  // of four rounds

struct State {
  __m128i abef;
  __m128i cdgh;
};

// FIPS 180-4 section 5.3.3, its words in the order a, b, e, f and c, d, g, h from the top.
inline State InitialState() {
  const auto words = [](int a, int b, int c, int d) {
    const auto word = [](int i) { return static_cast<int>(kSha256InitialState[i]); };
    return _mm_set_epi32(word(a), word(b), word(c), word(d));
  };
  return {words(0, 1, 4, 5), words(2, 3, 6, 7)};
}

// Words are big-endian in messages and digests.
inline __m128i SwapBytes(__m128i words) {
  return _mm_shuffle_epi8(words,
                          _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
}

// The sixteen words of a block.
struct Block {
  __m128i words[4];
};
struct Message {
  Block blocks[2];
};

inline __m128i LoadBytes(const uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

// prefix || first || second and the padding of FIPS 180-4 section 5.1.1. In registers: bytes that
// are stored one by one cannot be loaded as words at once.
inline Message Pad(uint8_t prefix, const NodeInput& node) {
  const __m128i a = LoadBytes(node.first);
  const __m128i b = LoadBytes(node.first + 16);
  const __m128i c = LoadBytes(node.second);
  const __m128i d = LoadBytes(node.second + 16);
  const __m128i before = _mm_set1_epi8(static_cast<char>(prefix));
  const __m128i end = _mm_set_epi32(0, 0, 0, 0x80);
  constexpr int kBits = 65 * 8;
  return {{{{SwapBytes(_mm_alignr_epi8(a, before, 15)), SwapBytes(_mm_alignr_epi8(b, a, 15)),
             SwapBytes(_mm_alignr_epi8(c, b, 15)), SwapBytes(_mm_alignr_epi8(d, c, 15))}},
           {{SwapBytes(_mm_alignr_epi8(end, d, 15)), _mm_setzero_si128(), _mm_setzero_si128(),
             _mm_set_epi32(kBits, 0, 0, 0)}}}};
}

// The next four words of the message schedule, in the place of those sixteen words before them.
inline void Extend(__m128i words[4], int group) {
  const __m128i seven_before = _mm_alignr_epi8(words[(group + 3) % 4], words[(group + 2) % 4], 4);
  const __m128i sum =
      _mm_add_epi32(_mm_sha256msg1_epu32(words[group % 4], words[(group + 1) % 4]), seven_before);
  words[group % 4] = _mm_sha256msg2_epu32(sum, words[(group + 3) % 4]);
}

inline void FourRounds(State* state, __m128i words, int group) {
  const __m128i constants =
      _mm_load_si128(reinterpret_cast<const __m128i*>(&kSha256RoundConstants[4 * group]));
  const __m128i first = _mm_add_epi32(words, constants);
  state->cdgh = _mm_sha256rnds2_epu32(state->cdgh, state->abef, first);
  state->abef = _mm_sha256rnds2_epu32(state->abef, state->cdgh, _mm_shuffle_epi32(first, 0x0e));
}

inline void Compress(State* first, State* second, Block first_block, Block second_block) {
  const State before[2] = {*first, *second};
#pragma GCC unroll 16
  for (int group = 0; group < kGroups; ++group) {
    if (group >= 4) {
      Extend(first_block.words, group);
      Extend(second_block.words, group);
    }
    FourRounds(first, first_block.words[group % 4], group);
    FourRounds(second, second_block.words[group % 4], group);
  }
  *first = {_mm_add_epi32(first->abef, before[0].abef), _mm_add_epi32(first->cdgh, before[0].cdgh)};
  *second = {_mm_add_epi32(second->abef, before[1].abef),
             _mm_add_epi32(second->cdgh, before[1].cdgh)};
}

inline void Store(const State& state, uint8_t* hash) {
  const __m128i abef = _mm_shuffle_epi32(state.abef, 0x1b);
  const __m128i ghcd = _mm_shuffle_epi32(state.cdgh, 0xb1);
  auto* const to = reinterpret_cast<__m128i*>(hash);
  _mm_storeu_si128(to, SwapBytes(_mm_blend_epi16(abef, ghcd, 0xf0)));
  _mm_storeu_si128(to + 1, SwapBytes(_mm_alignr_epi8(ghcd, abef, 8)));
}

}  // namespace

void HashNodePairByShaExtensions(uint8_t prefix, const NodeInput inputs[2],
                                 uint8_t* const hashes[2]) {
  const Message messages[2] = {Pad(prefix, inputs[0]), Pad(prefix, inputs[1])};
  State states[2] = {InitialState(), InitialState()};
  Compress(&states[0], &states[1], messages[0].blocks[0], messages[1].blocks[0]);
  Compress(&states[0], &states[1], messages[0].blocks[1], messages[1].blocks[1]);
  Store(states[0], hashes[0]);
  Store(states[1], hashes[1]);
}

}  // namespace kt::merkle
