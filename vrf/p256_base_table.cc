// SPDX-License-Identifier: Apache-2.0
#include "vrf/p256_base_table.h"

#include <vector>

#include "base/check.h"
#include "base/secret.h"
#include "vrf/p256_formulas.h"

namespace kt::vrf::p256 {
namespace {

Jacobian<Field> DoubleTimes(Jacobian<Field> point, int n) {
  for (int i = 0; i < n; ++i) point = Double(point);
  return point;
}

}  // namespace

void ToAffine(std::span<const Jacobian<Field>> points, std::span<Affine<Field>> out) {
  KT_CHECK(out.size() == points.size());
  std::vector<Field> inverse(points.size());
  std::vector<Field> scratch(points.size());
  for (size_t i = 0; i < points.size(); ++i) inverse[i] = points[i].z;
  InvertAll(inverse, scratch);
  for (size_t i = 0; i < points.size(); ++i) {
    const Field square = Sqr(inverse[i]);
    out[i].x = Canonical(Mul(points[i].x, square));
    out[i].y = Canonical(Mul(Mul(points[i].y, square), inverse[i]));
  }
  for (std::vector<Field>* z : {&inverse, &scratch}) {
    base::SecureZero({reinterpret_cast<uint8_t*>(z->data()), z->size() * sizeof(Field)});
  }
}

BaseTable::BaseTable() {
  std::vector<Jacobian<Field>> multiples(kWideMultiples);
  Jacobian<Field> power = {kGenerator.x, kGenerator.y, kOne};
  OddMultiples(power, multiples.data(), kWideMultiples);
  ToAffine(multiples, wide);
  OddMultiples(DoubleTimes(power, 128), multiples.data(), kWideMultiples);
  ToAffine(multiples, wide_128);

  multiples.resize(kOddMultiples);
  for (auto& table : comb) {
    OddMultiples(power, multiples.data(), kOddMultiples);
    ToAffine(multiples, table);
    power = DoubleTimes(power, 2 * kDigitBits);
  }
}

const BaseTable& Base() {
  static const BaseTable* const table = new BaseTable();
  return *table;
}

}  // namespace kt::vrf::p256
