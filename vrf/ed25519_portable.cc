// SPDX-License-Identifier: Apache-2.0
//
// The steps of vrf/ed25519_kernel.h in C++ for any machine, one item after the other; but they
// share one inversion.
#include <sodium.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <type_traits>

#include "base/check.h"
#include "base/secret.h"
#include "vrf/ed25519_base_table.h"
#include "vrf/ed25519_field.h"
#include "vrf/ed25519_kernel.h"
#include "vrf/ed25519_point.h"
#include "vrf/ed25519_scalar.h"

namespace kt::vrf::ed25519 {
namespace {

// A secret scalar is cut into pieces of as many digits, which then share their doublings.
constexpr size_t kPieces = 4;

template <typename T>
void Wipe(T& object) {
  static_assert(std::is_trivially_copyable_v<T>);
  base::SecureZero({reinterpret_cast<uint8_t*>(&object), sizeof(object)});
}

// Hides from the compiler what a mask can be, lest it makes a branch of it.
uint64_t Opaque(uint64_t mask) {
  __asm__("" : "+r"(mask));
  return mask;
}

// All ones if a == b, else 0; for values below 2^63.
uint64_t EqualMask(uint64_t a, uint64_t b) { return Opaque(uint64_t{0} - (((a ^ b) - 1) >> 63)); }

template <int M>
void SelectIf(uint64_t mask, const Field<M>& from, Field<M>& to) {
  for (size_t i = 0; i < kLimbs; ++i) to.limbs[i] ^= (to.limbs[i] ^ from.limbs[i]) & mask;
}

void SelectIf(uint64_t mask, const Cached& from, Cached& to) {
  SelectIf(mask, from.y_plus_x, to.y_plus_x);
  SelectIf(mask, from.y_minus_x, to.y_minus_x);
  SelectIf(mask, from.two_z, to.two_z);
  SelectIf(mask, from.two_d_t, to.two_d_t);
}

void SelectIf(uint64_t mask, const CachedAffine& from, CachedAffine& to) {
  SelectIf(mask, from.y_plus_x, to.y_plus_x);
  SelectIf(mask, from.y_minus_x, to.y_minus_x);
  SelectIf(mask, from.two_d_t, to.two_d_t);
}

constexpr Cached kCachedNeutral = {kOne, kOne, {{2, 0, 0, 0, 0}}, kZero};
constexpr CachedAffine kCachedAffineNeutral = {kOne, kOne, kZero};

// 1*P to 8*P
using Multiples = std::array<Cached, 8>;

// point + digit * P, for a secret digit from -8 to 8: all multiples are read.
template <typename Entry>
Extended AddMultiple(const Extended& point, const std::array<Entry, 8>& multiples, Entry selected,
                     int32_t digit) {
  const int64_t wide = digit;
  const SignMask sign = Opaque(static_cast<uint64_t>(wide >> 63));
  const uint64_t magnitude = (static_cast<uint64_t>(wide) ^ sign) - sign;
  for (size_t j = 0; j < multiples.size(); ++j) {
    SelectIf(EqualMask(magnitude, j + 1), multiples[j], selected);
  }
  return Add(point, selected, sign);
}

Extended AddMultiple(const Extended& point, const Multiples& multiples, int32_t digit) {
  return AddMultiple(point, multiples, kCachedNeutral, digit);
}

Multiples MakeMultiples(const Extended& point) {
  Multiples multiples;
  multiples[0] = ToCached(point);
  Extended next = Double(point);
  for (size_t j = 1; j < multiples.size(); ++j) {
    multiples[j] = ToCached(next);
    if (j + 1 < multiples.size()) next = Add(next, multiples[0], kPlus);
  }
  return multiples;
}

// The sum of what the pieces of a secret scalar multiply: multiples[i] are of P * 16^(i * digits of
// a piece).
template <size_t Pieces>
Extended Multiply(const std::array<Multiples, Pieces>& multiples, const SignedDigits& digits) {
  constexpr size_t kPerPiece = kDigits / Pieces;
  Extended sum = kNeutral;
  for (size_t i = kPerPiece; i-- > 0;) {
    if (i + 1 < kPerPiece) sum = DoubleTimes(sum, 4);
    for (size_t piece = 0; piece < Pieces; ++piece) {
      sum = AddMultiple(sum, multiples[piece], digits[piece * kPerPiece + i]);
    }
  }
  return sum;
}

// The same for B.
Extended MultiplyBase(const SignedDigits& digits) {
  const BaseComb& comb = GetBaseComb();
  Extended sum = kNeutral;
  for (size_t i = 1; i < kDigits; i += 2) {
    sum = AddMultiple(sum, comb.multiples[i / 2], kCachedAffineNeutral, digits[i]);
  }
  sum = DoubleTimes(sum, 4);
  for (size_t i = 0; i < kDigits; i += 2) {
    sum = AddMultiple(sum, comb.multiples[i / 2], kCachedAffineNeutral, digits[i]);
  }
  return sum;
}

// For verification: 1*P, 3*P to 15*P, and what a public scalar makes of them.
constexpr unsigned kNafWidth = 5;
using OddMultiples = std::array<Cached, 1 << (kNafWidth - 2)>;

OddMultiples MakeOddMultiples(const Extended& point) {
  OddMultiples multiples;
  multiples[0] = ToCached(point);
  const Cached twice = ToCached(Double(point));
  Extended next = point;
  for (size_t j = 1; j < multiples.size(); ++j) {
    next = Add(next, twice, kPlus);
    multiples[j] = ToCached(next);
  }
  return multiples;
}

template <typename Table>
void VartimeAddDigit(const Table& odd_multiples, int digit, Extended& sum) {
  if (digit == 0) return;
  const size_t index = static_cast<size_t>(digit < 0 ? -digit : digit) / 2;
  sum = Add(sum, odd_multiples[index], digit < 0 ? kMinus : kPlus);
}

// The sum of rows of digits, each of which multiplies a point: `add(i, sum)` adds what the digits
// of 2^i stand for, and `any(i)` tells whether there is one.
template <typename Any, typename AddDigits>
Projective VartimeSum(size_t digits, Any any, AddDigits add) {
  Projective sum = ToProjective(kNeutral);
  size_t i = digits;
  while (i > 0 && !any(i - 1)) --i;
  while (i-- > 0) {
    if (!any(i)) {
      sum = DoubleProjective(sum);
      continue;
    }
    Extended next = Double(sum);
    add(i, next);
    sum = ToProjective(next);
  }
  return sum;
}

// s*P - c*Q
Projective VartimeDifference(const NafDigits& s, const OddMultiples& p, const NafDigits& c,
                             const OddMultiples& q) {
  return VartimeSum(
      kNafDigits, [&](size_t i) { return s[i] != 0 || c[i] != 0; },
      [&](size_t i, Extended& sum) {
        VartimeAddDigit(p, s[i], sum);
        VartimeAddDigit(q, -c[i], sum);
      });
}

// s*B - c*Q, with half of the doublings: s is cut in two.
Projective VartimeDifferenceOfBase(std::span<const uint8_t, 32> s, const NafDigits& c,
                                   const OddMultiples& q) {
  const BaseNafTables& tables = GetBaseNafTables();
  const NafDigits low = VartimeNaf(s.first<16>(), kBaseNafWidth);
  const NafDigits high = VartimeNaf(s.last<16>(), kBaseNafWidth);
  return VartimeSum(
      kNafDigits, [&](size_t i) { return low[i] != 0 || high[i] != 0 || c[i] != 0; },
      [&](size_t i, Extended& sum) {
        VartimeAddDigit(tables.low, low[i], sum);
        VartimeAddDigit(tables.high, high[i], sum);
        VartimeAddDigit(q, -c[i], sum);
      });
}

Affine Load(const AffineBytes& point) { return {FromBytes(point.x), FromBytes(point.y)}; }

void Store(const FieldElement& from, uint8_t (&to)[32]) {
  const FieldBytes bytes = ToBytes(from);
  std::copy(bytes.begin(), bytes.end(), to);
}

void StoreEncoded(const Affine& from, PointBytes& to) {
  const EncodedPoint encoded = Encode(from);
  std::copy(encoded.begin(), encoded.end(), to.bytes);
}

// Points on their way to be encoded together.
class Encoder {
 public:
  void Add(const Projective& point, PointBytes& out) {
    points_[size_] = point;
    out_[size_++] = &out;
  }
  void Add(const Extended& point, PointBytes& out) { Add(ToProjective(point), out); }
  void Finish() {
    std::array<Affine, 4 * kMaxBatch> affine;
    ToAffine(std::span(points_).first(size_), std::span(affine).first(size_));
    for (size_t i = 0; i < size_; ++i) StoreEncoded(affine[i], *out_[i]);
  }
  // What was added tells more of a secret scalar than its encoding does.
  void WipePoints() { Wipe(points_); }

 private:
  std::array<Projective, 4 * kMaxBatch> points_;
  std::array<PointBytes*, 4 * kMaxBatch> out_;
  size_t size_ = 0;
};

void HashAll(const HashMessage* messages, size_t count, HashBytes* out) {
  for (size_t i = 0; i < count; ++i) {
    crypto_hash_sha512(out[i].bytes, messages[i].bytes, messages[i].size);
  }
}

void DecodeAll(const PointBytes* encoded, size_t count, AffineBytes* out, uint8_t* valid) {
  KT_CHECK(count <= kMaxBatch);
  for (size_t i = 0; i < count; ++i) {
    EncodedPoint bytes;
    std::copy(std::begin(encoded[i].bytes), std::end(encoded[i].bytes), bytes.begin());
    Affine point = kBasePoint;
    valid[i] = VartimeDecode(bytes, point) ? 1 : 0;
    Store(point.x, out[i].x);
    Store(point.y, out[i].y);
  }
}

void ClearCofactorOfAll(const AffineBytes* points, size_t count, AffineBytes* out) {
  KT_CHECK(count <= kMaxBatch);
  std::array<Projective, kMaxBatch> cleared;
  std::array<Affine, kMaxBatch> affine;
  for (size_t i = 0; i < count; ++i) {
    cleared[i] = ToProjective(DoubleTimes(ToExtended(Load(points[i])), 3));
  }
  ToAffine(std::span(cleared).first(count), std::span(affine).first(count));
  for (size_t i = 0; i < count; ++i) {
    Store(affine[i].x, out[i].x);
    Store(affine[i].y, out[i].y);
  }
}

void EvaluateAll(const uint8_t* scalar, const AffineBytes* candidates, size_t count,
                 PointBytes* out) {
  KT_CHECK(count <= kMaxBatch);
  SignedDigits digits = ToSignedDigits(std::span<const uint8_t, 32>(scalar, 32));
  Encoder encoder;
  for (size_t i = 0; i < count; ++i) {
    const Extended h = DoubleTimes(ToExtended(Load(candidates[i])), 3);
    const std::array<Multiples, 1> multiples = {MakeMultiples(h)};
    encoder.Add(Multiply(multiples, digits), out[i]);
  }
  encoder.Finish();
  encoder.WipePoints();
  Wipe(digits);
}

void ProveAll(const uint8_t* x, const ProveInput* inputs, size_t count, ProveOutput* out) {
  KT_CHECK(count <= kMaxBatch);
  SignedDigits x_digits = ToSignedDigits(std::span<const uint8_t, 32>(x, 32));
  Encoder encoder;
  for (size_t i = 0; i < count; ++i) {
    std::array<Multiples, kPieces> multiples;
    Extended power = ToExtended(Load(inputs[i].h));
    for (size_t piece = 0; piece < kPieces; ++piece) {
      if (piece > 0) power = DoubleTimes(power, 4 * kDigits / kPieces);
      multiples[piece] = MakeMultiples(power);
    }
    SignedDigits k_digits = ToSignedDigits(inputs[i].k);
    Extended gamma = Multiply(multiples, x_digits);
    encoder.Add(gamma, out[i].gamma);
    encoder.Add(DoubleTimes(gamma, 3), out[i].cofactor_gamma);
    encoder.Add(MultiplyBase(k_digits), out[i].u);
    encoder.Add(Multiply(multiples, k_digits), out[i].v);
    Wipe(gamma);
    Wipe(k_digits);
  }
  encoder.Finish();
  encoder.WipePoints();
  Wipe(x_digits);
}

void VerifyAll(const AffineBytes& key, const VerifyInput* inputs, size_t count, VerifyOutput* out) {
  KT_CHECK(count <= kMaxBatch);
  const OddMultiples y_multiples = MakeOddMultiples(ToExtended(Load(key)));
  Encoder encoder;
  for (size_t i = 0; i < count; ++i) {
    const Extended h = DoubleTimes(ToExtended(Load(inputs[i].candidate)), 3);
    const Extended gamma = ToExtended(Load(inputs[i].gamma));
    const NafDigits s = VartimeNaf(inputs[i].s, kNafWidth);
    const NafDigits c = VartimeNaf(inputs[i].c, kNafWidth);
    encoder.Add(h, out[i].h);
    encoder.Add(DoubleTimes(gamma, 3), out[i].cofactor_gamma);
    encoder.Add(VartimeDifferenceOfBase(inputs[i].s, c, y_multiples), out[i].u);
    encoder.Add(VartimeDifference(s, MakeOddMultiples(h), c, MakeOddMultiples(gamma)), out[i].v);
  }
  encoder.Finish();
}

}  // namespace

const Kernel& PortableKernel() {
  static constexpr Kernel kKernel = {.lanes = 1,
                                     .min_to_prove = 1,
                                     .hash = HashAll,
                                     .decode = DecodeAll,
                                     .clear_cofactor = ClearCofactorOfAll,
                                     .evaluate = EvaluateAll,
                                     .prove = ProveAll,
                                     .verify = VerifyAll};
  return kKernel;
}

}  // namespace kt::vrf::ed25519
