// SPDX-License-Identifier: Apache-2.0
//
// The steps of vrf/ed25519_kernel.h in eight lanes of AVX-512 IFMA. This file is compiled for these
// instructions, and must leave no inline function behind that others might be linked to: it uses
// plain arrays and functions of its own, and nothing of the standard library that is a template.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "vrf/ed25519_base_lanes.h"
#include "vrf/ed25519_ifma_field.h"
#include "vrf/ed25519_ifma_point.h"
#include "vrf/ed25519_ifma_sha512.h"
#include "vrf/ed25519_kernel.h"

namespace kt::vrf::ed25519 {
namespace {

constexpr size_t kBlocks = kMaxBatch / kLaneCount;
constexpr int kLaneDigits = 64;
// A secret scalar is cut into pieces of as many digits, which then share their doublings.
constexpr int kPieces = 2;
// Claims of one pass of verification: V in one half of the lanes, U in the other.
constexpr size_t kClaims = kLaneCount / 2;

// For temporaries that tell of a secret scalar.
template <typename T>
void Wipe(T& object) {
  memset(&object, 0, sizeof(object));
  __asm__ __volatile__("" : : "r"(&object) : "memory");
}

struct AffineLanes {
  Lanes x;
  Lanes y;
};

void LoadField(const uint8_t* bytes, LaneWords& to, size_t lane) {
  uint64_t words[4];
  memcpy(words, bytes, sizeof(words));
  to.words[0][lane] = words[0] & kLaneLimbMask;
  to.words[1][lane] = (words[0] >> 51 | words[1] << 13) & kLaneLimbMask;
  to.words[2][lane] = (words[1] >> 38 | words[2] << 26) & kLaneLimbMask;
  to.words[3][lane] = (words[2] >> 25 | words[3] << 39) & kLaneLimbMask;
  to.words[4][lane] = (words[3] >> 12) & kLaneLimbMask;
}

// Of a reduced element.
void StoreField(const LaneWords& from, size_t lane, uint8_t* bytes) {
  const uint64_t words[4] = {
      from.words[0][lane] | from.words[1][lane] << 51,
      from.words[1][lane] >> 13 | from.words[2][lane] << 38,
      from.words[2][lane] >> 26 | from.words[3][lane] << 25,
      from.words[3][lane] >> 39 | from.words[4][lane] << 12,
  };
  memcpy(bytes, words, sizeof(words));
}

// Of each lane the point that `point_of(lane)` refers to.
template <typename PointOf>
AffineLanes LoadPoints(PointOf point_of) {
  LaneWords x;
  LaneWords y;
  for (size_t lane = 0; lane < kLaneCount; ++lane) {
    const AffineBytes& point = point_of(lane);
    LoadField(point.x, x, lane);
    LoadField(point.y, y, lane);
  }
  return {LoadLanes(x), LoadLanes(y)};
}

// Points on their way to be encoded together: they share one inversion.
class Encoder {
 public:
  void Add(const ExtendedLanes& point) {
    KT_CHECK(size_ < kCapacity);
    points_[size_++] = {point.x, point.y, point.z};
  }

  // x and y, reduced, in the order of Add().
  void Finish() {
    Lanes products[kCapacity];
    Lanes product = BroadcastLanes(kLaneOne);
    for (size_t i = 0; i < size_; ++i) {
      products[i] = product;
      product = product * points_[i].z;
    }
    Lanes inverse = InvertLanes(product);
    for (size_t i = size_; i-- > 0;) {
      const Lanes inverse_of_z = inverse * products[i];
      inverse = inverse * points_[i].z;
      StoreLanes(Canonical(points_[i].x * inverse_of_z), x_[i]);
      StoreLanes(Canonical(points_[i].y * inverse_of_z), y_[i]);
    }
    // They tell more of a secret scalar than the encodings do.
    Wipe(products);
    Wipe(points_);
  }

  void Get(size_t i, size_t lane, AffineBytes& out) const {
    StoreField(x_[i], lane, out.x);
    StoreField(y_[i], lane, out.y);
  }
  void Get(size_t i, size_t lane, PointBytes& out) const {
    StoreField(y_[i], lane, out.bytes);
    const uint64_t sign = x_[i].words[0][lane] & 1;
    out.bytes[31] = static_cast<uint8_t>(out.bytes[31] | sign << 7);
  }

 private:
  struct Projective {
    Lanes x;
    Lanes y;
    Lanes z;
  };
  static constexpr size_t kCapacity = 4 * kBlocks;
  Projective points_[kCapacity];
  LaneWords x_[kCapacity];
  LaneWords y_[kCapacity];
  size_t size_ = 0;
};

// Signed digits of eight scalars, [digit][lane]: a scalar is the sum of digit * 16^i, with digits
// from -8 to 7, and to 8 for the last one.
struct DigitLanes {
  int8_t digits[kLaneDigits][kLaneCount];
};

// For a little-endian scalar below 2^255. Constant time.
void SetDigits(const uint8_t* scalar, size_t lane, DigitLanes& out) {
  int carry = 0;
  for (int i = 0; i < kLaneDigits; ++i) {
    const int digit = ((scalar[i / 2] >> (4 * (i % 2))) & 15) + carry;
    carry = i + 1 < kLaneDigits ? (digit + 8) >> 4 : 0;
    out.digits[i][lane] = static_cast<int8_t>(digit - 16 * carry);
  }
}

// One digit of each lane as sign and magnitude.
struct Digit {
  __mmask8 negative;
  __m512i magnitude;
};

Digit GetDigit(const DigitLanes& digits, int i) {
  const __m512i wide =
      _mm512_cvtepi8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(digits.digits[i])));
  return {_mm512_movepi64_mask(wide), _mm512_abs_epi64(wide)};
}

// 1*P to 8*P
struct Multiples {
  CachedLanes of[8];
};

void MakeMultiples(const ExtendedLanes& point, Multiples& out) {
  out.of[0] = CacheLanes(point);
  ExtendedLanes next = point;
  DoubleLanes<true>(next);
  out.of[1] = CacheLanes(next);
  for (int j = 2; j < 8; ++j) {
    AddLanes(next, out.of[0], 0);
    out.of[j] = CacheLanes(next);
  }
}

void TakeIf(__mmask8 mask, const CachedLanes& from, CachedLanes& to) {
  to.y_plus_x = Select(mask, to.y_plus_x, from.y_plus_x);
  to.y_minus_x = Select(mask, to.y_minus_x, from.y_minus_x);
  to.two_z = Select(mask, to.two_z, from.two_z);
  to.two_d_t = Select(mask, to.two_d_t, from.two_d_t);
}

// sum += digit * P: all multiples are read.
void AddMultiple(ExtendedLanes& sum, const Multiples& multiples, const Digit& digit) {
  const Lanes one = BroadcastLanes(kLaneOne);
  CachedLanes selected = {one, one, BroadcastLanes(kLaneTwo), BroadcastLanes(kLaneZero)};
  for (uint64_t j = 0; j < 8; ++j) {
    TakeIf(_mm512_cmpeq_epi64_mask(digit.magnitude, Broadcast(j + 1)), multiples.of[j], selected);
  }
  AddLanes(sum, selected, digit.negative);
}

// The sum of what the pieces of the scalars multiply: multiples[i] are of P * 16^(i * digits of a
// piece).
template <int Pieces>
ExtendedLanes Multiply(const Multiples (&multiples)[Pieces], const DigitLanes& digits) {
  constexpr int kPerPiece = kLaneDigits / Pieces;
  ExtendedLanes sum = NeutralLanes();
  for (int i = kPerPiece - 1; i >= 0; --i) {
    if (i + 1 < kPerPiece) DoubleLanesTimes(sum, 4);
    for (int piece = 0; piece < Pieces; ++piece) {
      AddMultiple(sum, multiples[piece], GetDigit(digits, piece * kPerPiece + i));
    }
  }
  return sum;
}

// sum += digit * 256^row * B. A register holds one limb of all eight multiples, and each lane takes
// the one it wants.
void AddBaseMultiple(ExtendedLanes& sum, const BaseLanesRow& row, const Digit& digit) {
  const __mmask8 some = _mm512_test_epi64_mask(digit.magnitude, digit.magnitude);
  const __m512i index = _mm512_sub_epi64(digit.magnitude, Broadcast(1));
  const Lanes one = BroadcastLanes(kLaneOne);
  CachedLanes selected = {one, one, one, BroadcastLanes(kLaneZero)};
  for (int i = 0; i < kLaneLimbs; ++i) {
    const auto take = [&](__m512i& to, const uint64_t(&limb_of_all)[kLaneCount]) {
      to = _mm512_mask_permutexvar_epi64(to, some, index, _mm512_load_si512(limb_of_all));
    };
    take(selected.y_plus_x.v[i], row.y_plus_x[i]);
    take(selected.y_minus_x.v[i], row.y_minus_x[i]);
    take(selected.two_d_t.v[i], row.two_d_t[i]);
  }
  AddAffineLanes(sum, selected, digit.negative);
}

ExtendedLanes MultiplyBase(const DigitLanes& digits) {
  const BaseLanes& base = GetBaseLanes();
  ExtendedLanes sum = NeutralLanes();
  for (int i = 1; i < kLaneDigits; i += 2) {
    AddBaseMultiple(sum, base.rows[i / 2], GetDigit(digits, i));
  }
  DoubleLanesTimes(sum, 4);
  for (int i = 0; i < kLaneDigits; i += 2) {
    AddBaseMultiple(sum, base.rows[i / 2], GetDigit(digits, i));
  }
  return sum;
}

// Calls `run(block, first, lanes)` for each eight of `count` items, or fewer at the end.
template <typename Run>
void ForEachBlock(size_t count, size_t per_block, Run run) {
  KT_CHECK(count > 0 && count <= kBlocks * per_block);
  size_t block = 0;
  for (size_t first = 0; first < count; first += per_block, ++block) {
    const size_t left = count - first;
    run(block, first, left < per_block ? left : per_block);
  }
}

bool IsReduced(const uint8_t* encoded, const uint8_t* y) {
  return memcmp(encoded, y, 31) == 0 && (encoded[31] & 0x7f) == y[31];
}

bool IsZero(const uint8_t* bytes) {
  uint8_t any = 0;
  for (int i = 0; i < 32; ++i) any = static_cast<uint8_t>(any | bytes[i]);
  return any == 0;
}

void DecodeAll(const PointBytes* encoded, size_t count, AffineBytes* out, uint8_t* valid) {
  ForEachBlock(count, kLaneCount, [&](size_t, size_t first, size_t lanes) {
    LaneWords words;
    for (size_t lane = 0; lane < kLaneCount; ++lane) {
      LoadField(encoded[first + (lane < lanes ? lane : 0)].bytes, words, lane);
    }
    const Lanes y = LoadLanes(words);
    Lanes x;
    const __mmask8 found = RecoverX(y, x);
    LaneWords x_words;
    LaneWords minus_x_words;
    LaneWords y_words;
    StoreLanes(x, x_words);
    StoreLanes(Canonical(BroadcastLanes(kLaneZero) - x), minus_x_words);
    StoreLanes(Canonical(y), y_words);
    for (size_t lane = 0; lane < lanes; ++lane) {
      AffineBytes& point = out[first + lane];
      const uint8_t* bytes = encoded[first + lane].bytes;
      const int sign = bytes[31] >> 7;
      StoreField(y_words, lane, point.y);
      StoreField(
          (x_words.words[0][lane] & 1) == static_cast<uint64_t>(sign) ? x_words : minus_x_words,
          lane, point.x);
      const bool ok = ((found >> lane) & 1) != 0 && IsReduced(bytes, point.y) &&
                      !(sign == 1 && IsZero(point.x));
      valid[first + lane] = ok ? 1 : 0;
    }
  });
}

void ClearCofactorOfAll(const AffineBytes* points, size_t count, AffineBytes* out) {
  Encoder encoder;
  ForEachBlock(count, kLaneCount, [&](size_t, size_t first, size_t lanes) {
    const AffineLanes point = LoadPoints([&](size_t lane) -> const AffineBytes& {
      return points[first + (lane < lanes ? lane : 0)];
    });
    ExtendedLanes cleared = ExtendLanes(point.x, point.y);
    DoubleLanesTimes(cleared, 3);
    encoder.Add(cleared);
  });
  encoder.Finish();
  for (size_t i = 0; i < count; ++i) encoder.Get(i / kLaneCount, i % kLaneCount, out[i]);
}

void EvaluateAll(const uint8_t* scalar, const AffineBytes* candidates, size_t count,
                 PointBytes* out) {
  DigitLanes digits;
  for (size_t lane = 0; lane < kLaneCount; ++lane) SetDigits(scalar, lane, digits);
  Encoder encoder;
  ForEachBlock(count, kLaneCount, [&](size_t, size_t first, size_t lanes) {
    const AffineLanes point = LoadPoints([&](size_t lane) -> const AffineBytes& {
      return candidates[first + (lane < lanes ? lane : 0)];
    });
    ExtendedLanes h = ExtendLanes(point.x, point.y);
    DoubleLanesTimes(h, 3);
    Multiples multiples[1];
    MakeMultiples(h, multiples[0]);
    encoder.Add(Multiply(multiples, digits));
  });
  encoder.Finish();
  Wipe(digits);
  for (size_t i = 0; i < count; ++i) encoder.Get(i / kLaneCount, i % kLaneCount, out[i]);
}

void ProveAll(const uint8_t* x, const ProveInput* inputs, size_t count, ProveOutput* out) {
  DigitLanes x_digits;
  DigitLanes k_digits;
  for (size_t lane = 0; lane < kLaneCount; ++lane) SetDigits(x, lane, x_digits);
  Encoder encoder;
  ForEachBlock(count, kLaneCount, [&](size_t, size_t first, size_t lanes) {
    const auto input = [&](size_t lane) -> const ProveInput& {
      return inputs[first + (lane < lanes ? lane : 0)];
    };
    const AffineLanes h =
        LoadPoints([&](size_t lane) -> const AffineBytes& { return input(lane).h; });
    ExtendedLanes power = ExtendLanes(h.x, h.y);
    Multiples multiples[kPieces];
    for (int piece = 0; piece < kPieces; ++piece) {
      if (piece > 0) DoubleLanesTimes(power, 4 * kLaneDigits / kPieces);
      MakeMultiples(power, multiples[piece]);
    }
    for (size_t lane = 0; lane < kLaneCount; ++lane) SetDigits(input(lane).k, lane, k_digits);
    ExtendedLanes gamma = Multiply(multiples, x_digits);
    encoder.Add(gamma);
    DoubleLanesTimes(gamma, 3);
    encoder.Add(gamma);
    encoder.Add(MultiplyBase(k_digits));
    encoder.Add(Multiply(multiples, k_digits));
    Wipe(gamma);
  });
  encoder.Finish();
  Wipe(x_digits);
  Wipe(k_digits);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = 4 * (i / kLaneCount);
    const size_t lane = i % kLaneCount;
    encoder.Get(at, lane, out[i].gamma);
    encoder.Get(at + 1, lane, out[i].cofactor_gamma);
    encoder.Get(at + 2, lane, out[i].u);
    encoder.Get(at + 3, lane, out[i].v);
  }
}

// s*P - c*Q, for c below 2^128.
ExtendedLanes DifferenceOfProducts(const DigitLanes& s, const ExtendedLanes& p, const DigitLanes& c,
                                   const ExtendedLanes& q) {
  Multiples of_p;
  Multiples of_q;
  MakeMultiples(p, of_p);
  MakeMultiples(q, of_q);
  ExtendedLanes sum = NeutralLanes();
  for (int i = kLaneDigits - 1; i >= 0; --i) {
    if (i + 1 < kLaneDigits) DoubleLanesTimes(sum, 4);
    AddMultiple(sum, of_p, GetDigit(s, i));
    if (i > 32) continue;  // 32 digits and a carry
    Digit digit = GetDigit(c, i);
    digit.negative = static_cast<__mmask8>(~digit.negative);
    AddMultiple(sum, of_q, digit);
  }
  return sum;
}

void VerifyAll(const AffineBytes& key, const VerifyInput* inputs, size_t count, VerifyOutput* out) {
  constexpr __mmask8 kUpperLanes = 0xf0;
  Encoder encoder;
  ForEachBlock(count, kClaims, [&](size_t, size_t first, size_t claims) {
    const auto input = [&](size_t lane) -> const VerifyInput& {
      return inputs[first + (lane % kClaims < claims ? lane % kClaims : 0)];
    };
    // Below candidates, above Gammas; times 8 these are H and 8*Gamma.
    const AffineLanes points = LoadPoints([&](size_t lane) -> const AffineBytes& {
      return lane < kClaims ? input(lane).candidate : input(lane).gamma;
    });
    ExtendedLanes cleared = ExtendLanes(points.x, points.y);
    DoubleLanesTimes(cleared, 3);
    // Below H and Gamma, for V; above B and Y, for U.
    const ExtendedLanes base = ExtendLanes(BroadcastLanes(kLaneBaseX), BroadcastLanes(kLaneBaseY));
    const AffineLanes subtracted = LoadPoints([&](size_t lane) -> const AffineBytes& {
      return lane < kClaims ? input(lane).gamma : key;
    });
    DigitLanes s;
    DigitLanes c;
    for (size_t lane = 0; lane < kLaneCount; ++lane) {
      uint8_t wide_c[32] = {};
      memcpy(wide_c, input(lane).c, sizeof(input(lane).c));
      SetDigits(input(lane).s, lane, s);
      SetDigits(wide_c, lane, c);
    }
    encoder.Add(cleared);
    encoder.Add(DifferenceOfProducts(s, SelectLanes(kUpperLanes, cleared, base), c,
                                     ExtendLanes(subtracted.x, subtracted.y)));
  });
  encoder.Finish();
  for (size_t i = 0; i < count; ++i) {
    const size_t at = 2 * (i / kClaims);
    const size_t lane = i % kClaims;
    encoder.Get(at, lane, out[i].h);
    encoder.Get(at, lane + kClaims, out[i].cofactor_gamma);
    encoder.Get(at + 1, lane, out[i].v);
    encoder.Get(at + 1, lane + kClaims, out[i].u);
  }
}

constexpr Kernel kKernel = {.lanes = kLaneCount,
                            .min_to_prove = 2,
                            .hash = HashByAvx512,
                            .decode = DecodeAll,
                            .clear_cofactor = ClearCofactorOfAll,
                            .evaluate = EvaluateAll,
                            .prove = ProveAll,
                            .verify = VerifyAll};

}  // namespace

const Kernel& Avx512IfmaKernel() { return kKernel; }

}  // namespace kt::vrf::ed25519
