// SPDX-License-Identifier: Apache-2.0
#include "vrf/p256_portable.h"

#include <vector>

#include "base/check.h"
#include "base/secret.h"
#include "vrf/p256_base_table.h"
#include "vrf/p256_field.h"
#include "vrf/p256_formulas.h"

namespace kt::vrf::p256 {
namespace {

using Point = Jacobian<Field>;

Field NegateField(const Field& a) { return Reduce(SubTimes<1>(kZero, a)); }

// The entry for a digit 2v - 31, its ordinate negated if the digit is. Reads all entries.
template <typename Entry>
Entry LookUp(const Entry (&multiples)[kOddMultiples], uint8_t v) {
  static_assert(sizeof(Entry) % sizeof(uint64_t) == 0);
  const uint64_t negative = Opaque((uint64_t{v} >> 4) - 1);  // all ones below 16
  const uint64_t index = (v ^ negative) & (kOddMultiples - 1);
  Entry entry{};
  for (int i = 0; i < kOddMultiples; ++i) {
    const uint64_t mask = EqualMask(index, static_cast<uint64_t>(i));
    for (int limb = 0; limb < kLimbs; ++limb) {
      entry.x.limb[limb] |= multiples[i].x.limb[limb] & mask;
      entry.y.limb[limb] |= multiples[i].y.limb[limb] & mask;
      if constexpr (requires { entry.z; }) entry.z.limb[limb] |= multiples[i].z.limb[limb] & mask;
    }
  }
  entry.y = Select(negative, NegateField(entry.y), entry.y);
  return entry;
}

void NegateIf(uint8_t negate, Point& point) {
  point.y = Select(Opaque(0 - uint64_t{negate}), NegateField(point.y), point.y);
}

// scalar * P, given P, 3P, ..., 31P.
//
// Let A be the number of P's that stand in the sum before digit d is added. A is 32 times the part
// of the scalar above that digit, with its lowest bit set: a positive multiple of 32. The formulas
// fail if q divides A + d or A - d. Neither is zero, since |d| <= 31. For all digits but the last,
// both are below 2^253. With the last, A + d is the scalar itself, and A - d is the scalar less 2d.
// The latter is below 2q and not zero, as the scalar is odd; it could be q. But the scalar is d +
// 32 modulo 64 (the digit is its five bits above the lowest), so q would be 32 - d modulo 64, hence
// d = 15, and the scalar q + 30.
static_assert(kOrder[0] % 64 == 17);
Point MultiplySecret(const Point (&multiples)[kOddMultiples], const SecretDigits& scalar) {
  Point sum = multiples[0];
  for (int i = kDigits - 1; i >= 0; --i) {
    for (int bit = 0; bit < kDigitBits; ++bit) sum = Double(sum);
    sum = AddUnequal(sum, LookUp(multiples, scalar.value[i]));
  }
  NegateIf(scalar.negate, sum);
  return sum;
}

// scalar * B: first the digits at odd places, then five doublings, then those at even places.
//
// No step fails. Let A be the number of B's that stand in the sum before (d * 2^(10j))B is added.
// In the first pass, A is a positive multiple of 2^(10(j+1)) and far below q. In the second, A is
// 32 d' modulo 1024, where d' is the digit at place 1, and odd: so if j > 0, A plus or minus the
// addend is not zero; it is a multiple of 32 and of size below 2q, so it is not q either. For the
// last digit the argument is that of MultiplySecret().
Point MultiplyBaseSecret(const SecretDigits& scalar) {
  const auto& comb = Base().comb;
  static_assert(kDigits % 2 == 1);  // the leading one is at an odd place
  const Affine<Field>& leading = comb[kCombTables - 1][0];
  Point sum = {leading.x, leading.y, kOne};
  for (int j = kCombTables - 2; j >= 0; --j) {
    sum = AddUnequal(sum, LookUp(comb[j], scalar.value[2 * j + 1]));
  }
  for (int bit = 0; bit < kDigitBits; ++bit) sum = Double(sum);
  for (int j = kCombTables - 1; j >= 0; --j) {
    sum = AddUnequal(sum, LookUp(comb[j], scalar.value[2 * j]));
  }
  NegateIf(scalar.negate, sum);
  return sum;
}

PlainPoint ToPlain(const Affine<Field>& point) {
  return {false, FromMontgomery(point.x), FromMontgomery(point.y)};
}

// The results of secret scalars, of which none is infinity: affine, and the projective coordinates,
// which tell something of the scalars, wiped.
std::vector<Affine<Field>> PublishAll(std::vector<Point>& points) {
  std::vector<Affine<Field>> affine(points.size());
  ToAffine(points, affine);
  base::SecureZero({reinterpret_cast<uint8_t*>(points.data()), points.size() * sizeof(Point)});
  return affine;
}

}  // namespace

CurvePoint Negate(const CurvePoint& point) { return {point.x, NegateField(point.y)}; }

PlainPoint MultiplyGenerator(const SecretDigits& scalar) {
  std::vector<Point> point = {MultiplyBaseSecret(scalar)};
  return ToPlain(PublishAll(point).front());
}

const PortableEngine& Portable() {
  static const PortableEngine* const engine = new PortableEngine();
  return *engine;
}

void PortableEngine::Lift(std::span<const Field> abscissas, std::span<Lifted> out) const {
  KT_CHECK(out.size() == abscissas.size());
  for (size_t i = 0; i < abscissas.size(); ++i) {
    const Field x = ToMontgomery(abscissas[i]);
    const Field square = CurveEquation(x, kMinusThree, kB);
    const Field root = FieldRootCandidate(square);
    const uint64_t odd = 0 - (FromMontgomery(root).limb[0] & 1);
    out[i].on_curve = IsZeroMask(SubTimes<1>(Sqr(root), square)) != 0;
    out[i].point = {x, Select(odd, NegateField(root), root)};
  }
}

void PortableEngine::Multiply(const SecretDigits& x, std::span<const CurvePoint> h,
                              std::span<PlainPoint> out) const {
  KT_CHECK(out.size() == h.size());
  std::vector<Point> products(h.size());
  for (size_t i = 0; i < h.size(); ++i) {
    Point multiples[kOddMultiples];
    OddMultiples({h[i].x, h[i].y, kOne}, multiples, kOddMultiples);
    products[i] = MultiplySecret(multiples, x);
  }
  const std::vector<Affine<Field>> affine = PublishAll(products);
  for (size_t i = 0; i < h.size(); ++i) out[i] = ToPlain(affine[i]);
}

void PortableEngine::Prove(const SecretDigits& x, std::span<const SecretDigits> k,
                           std::span<const CurvePoint> h, std::span<ProofPoints> out) const {
  KT_CHECK(out.size() == h.size() && k.size() == h.size());
  std::vector<Point> products(3 * h.size());
  for (size_t i = 0; i < h.size(); ++i) {
    Point multiples[kOddMultiples];
    OddMultiples({h[i].x, h[i].y, kOne}, multiples, kOddMultiples);
    products[3 * i] = MultiplySecret(multiples, x);
    products[3 * i + 1] = MultiplyBaseSecret(k[i]);
    products[3 * i + 2] = MultiplySecret(multiples, k[i]);
  }
  const std::vector<Affine<Field>> affine = PublishAll(products);
  for (size_t i = 0; i < h.size(); ++i) {
    out[i] = {ToPlain(affine[3 * i]), ToPlain(affine[3 * i + 1]), ToPlain(affine[3 * i + 2])};
  }
}

}  // namespace kt::vrf::p256
