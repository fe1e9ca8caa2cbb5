// SPDX-License-Identifier: Apache-2.0
//
// PortableEngine::Check(). Everything here is public, and nothing takes a constant time.
#include <algorithm>
#include <vector>

#include "base/check.h"
#include "vrf/p256_base_table.h"
#include "vrf/p256_field.h"
#include "vrf/p256_formulas.h"
#include "vrf/p256_portable.h"

namespace kt::vrf::p256 {
namespace {

using Point = Jacobian<Field>;

bool IsInfinity(const Point& point) { return IsZeroMask(point.z) != 0; }

Point ToJacobian(const Point& point) { return point; }
Point ToJacobian(const Affine<Field>& point) { return {point.x, point.y, kOne}; }

// P + Q, whatever they are; Q is not infinity.
template <typename Addend>
Point AddAny(const Point& p, const Addend& q) {
  const Point sum = AddUnequal(p, q);
  if (!IsInfinity(sum)) return sum;
  if (IsInfinity(p)) return ToJacobian(q);
  // P = Q or P = -Q, which the ordinates tell.
  const Point other = ToJacobian(q);
  const Field p_y = Mul(Mul(p.y, other.z), Sqr(other.z));
  const Field q_y = Mul(Mul(other.y, p.z), Sqr(p.z));
  return IsZeroMask(SubTimes<1>(p_y, q_y)) != 0 ? Double(p) : sum;
}

// Signed digits of a public number below 2^(64 * words): digit[i] * 2^i add up to it, each is zero
// or odd and below 2^(width - 1) in size, and of `width` in a row at most one is not zero.
class SignedDigits {
 public:
  static constexpr int kMaxBits = 256;

  SignedDigits(std::span<const uint64_t> words, int width) {
    const int bits = 64 * static_cast<int>(words.size());
    KT_CHECK(bits <= kMaxBits && width >= 2 && width <= 8);
    const auto bit = [&](int i) {
      return i < bits ? static_cast<int>(words[static_cast<size_t>(i / 64)] >> (i % 64) & 1) : 0;
    };
    int carry = 0;
    for (int i = 0; i <= bits; ++i) {
      if (bit(i) == carry) continue;
      int window = carry;
      for (int j = 0; j < width; ++j) window += bit(i + j) << j;
      carry = window >> (width - 1);
      digit_[i] = static_cast<int8_t>(window - (carry << width));
      size_ = i + 1;
      i += width - 1;
    }
  }

  int operator[](int i) const { return digit_[i]; }
  // One more than the place of the highest digit that is not zero; 0 if there is none.
  int size() const { return size_; }

 private:
  int8_t digit_[kMaxBits + 1] = {};
  int size_ = 0;
};

// Adds digit * P to `sum`, given P, 3P, 5P, ...
template <typename Entry>
void AddDigit(int digit, const Entry* multiples, Point& sum) {
  if (digit == 0) return;
  Entry entry = multiples[(digit < 0 ? -digit : digit) / 2];
  if (digit < 0) entry.y = Reduce(SubTimes<1>(kZero, entry.y));
  sum = AddAny(sum, entry);
}

constexpr Point kInfinityPoint = {kOne, kOne, kZero};

constexpr int kWidth = 5;
constexpr int kMultiples = 8;  // 1, 3, ..., 15

// s*H - c*Gamma: both scalars share their doublings.
Point CheckV(const ProofTerms& terms) {
  Point of_h[kMultiples];
  Point of_gamma[kMultiples];
  OddMultiples(ToJacobian(terms.h), of_h, kMultiples);
  OddMultiples(ToJacobian(Negate(terms.gamma)), of_gamma, kMultiples);
  const SignedDigits s(terms.s, kWidth);
  const SignedDigits c(terms.c, kWidth);
  Point sum = kInfinityPoint;
  for (int i = std::max(s.size(), c.size()) - 1; i >= 0; --i) {
    sum = Double(sum);
    AddDigit(s[i], of_h, sum);
    AddDigit(c[i], of_gamma, sum);
  }
  return sum;
}

// s*B - c*Y with 128 doublings: s = s_high * 2^128 + s_low, and multiples of 2^128*B are at hand.
Point CheckU(const KeyTable& key, const ProofTerms& terms) {
  static_assert(kWideMultiples == 1 << 6 && kKeyMultiples == 1 << 4);
  const std::span<const uint64_t> s(terms.s);
  const SignedDigits low(s.first(2), 8);
  const SignedDigits high(s.last(2), 8);
  const SignedDigits c(terms.c, 6);
  const BaseTable& base = Base();
  Point sum = kInfinityPoint;
  for (int i = std::max({low.size(), high.size(), c.size()}) - 1; i >= 0; --i) {
    sum = Double(sum);
    AddDigit(low[i], base.wide, sum);
    AddDigit(high[i], base.wide_128, sum);
    AddDigit(c[i], key.minus_y, sum);
  }
  return sum;
}

// All at the price of one inversion.
std::vector<PlainPoint> ToPlain(std::span<const Point> points) {
  std::vector<Field> inverse(points.size());
  std::vector<Field> scratch(points.size());
  std::vector<PlainPoint> plain(points.size());
  for (size_t i = 0; i < points.size(); ++i) {
    plain[i].infinity = IsInfinity(points[i]);
    inverse[i] = plain[i].infinity ? kOne : points[i].z;
  }
  InvertAll(inverse, scratch);
  for (size_t i = 0; i < points.size(); ++i) {
    if (plain[i].infinity) continue;
    const Field square = Sqr(inverse[i]);
    plain[i].x = FromMontgomery(Mul(points[i].x, square));
    plain[i].y = FromMontgomery(Mul(Mul(points[i].y, square), inverse[i]));
  }
  return plain;
}

}  // namespace

KeyTable::KeyTable(const CurvePoint& y) {
  Point multiples[kKeyMultiples];
  OddMultiples(ToJacobian(Negate(y)), multiples, kKeyMultiples);
  ToAffine(multiples, minus_y);
}

void PortableEngine::Check(const KeyTable& key, std::span<const ProofTerms> terms,
                           std::span<CheckPoints> out) const {
  KT_CHECK(out.size() == terms.size());
  std::vector<Point> points;
  points.reserve(2 * terms.size());
  for (const ProofTerms& one : terms) {
    points.push_back(CheckU(key, one));
    points.push_back(CheckV(one));
  }
  const std::vector<PlainPoint> plain = ToPlain(points);
  for (size_t i = 0; i < terms.size(); ++i) out[i] = {plain[2 * i], plain[2 * i + 1]};
}

}  // namespace kt::vrf::p256
