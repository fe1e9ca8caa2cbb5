// SPDX-License-Identifier: Apache-2.0
#include "vrf/ed25519_base_table.h"

#include <span>
#include <vector>

#include "vrf/ed25519_base_lanes.h"

namespace kt::vrf::ed25519 {
namespace {

// out[i] = first + i * step
void Progression(const Extended& first, const Extended& step, std::span<CachedAffine> out) {
  const Cached cached_step = ToCached(step);
  std::vector<Projective> points;
  Extended point = first;
  for (size_t i = 0; i < out.size(); ++i) {
    points.push_back(ToProjective(point));
    point = Add(point, cached_step, kPlus);
  }
  std::vector<Affine> affine(points.size());
  ToAffine(points, affine);
  for (size_t i = 0; i < out.size(); ++i) out[i] = ToCachedAffine(affine[i]);
}

BaseComb* NewBaseComb() {
  auto* comb = new BaseComb();
  Extended power = ToExtended(kBasePoint);
  for (auto& row : comb->multiples) {
    Progression(power, power, row);
    power = DoubleTimes(power, 8);
  }
  return comb;
}

BaseNafTables* NewBaseNafTables() {
  auto* tables = new BaseNafTables();
  const Extended low = ToExtended(kBasePoint);
  const Extended high = DoubleTimes(low, 128);
  Progression(low, Double(low), tables->low);
  Progression(high, Double(high), tables->high);
  return tables;
}

// A multiplication by one brings the limbs down.
template <int M>
void Spread(const Field<M>& from, size_t multiple, uint64_t (&to)[kLimbs][kCombColumns]) {
  const FieldElement reduced = from * kOne;
  for (size_t i = 0; i < kLimbs; ++i) to[i][multiple] = reduced.limbs[i];
}

BaseLanes* NewBaseLanes() {
  auto* lanes = new BaseLanes();
  const BaseComb& comb = GetBaseComb();
  for (size_t row = 0; row < kCombRows; ++row) {
    for (size_t multiple = 0; multiple < kCombColumns; ++multiple) {
      const CachedAffine& point = comb.multiples[row][multiple];
      Spread(point.y_plus_x, multiple, lanes->rows[row].y_plus_x);
      Spread(point.y_minus_x, multiple, lanes->rows[row].y_minus_x);
      Spread(point.two_d_t, multiple, lanes->rows[row].two_d_t);
    }
  }
  return lanes;
}

}  // namespace

// Never destroyed: threads may outlive the end of main().
const BaseComb& GetBaseComb() {
  static const BaseComb* const comb = NewBaseComb();
  return *comb;
}

const BaseNafTables& GetBaseNafTables() {
  static const BaseNafTables* const tables = NewBaseNafTables();
  return *tables;
}

const BaseLanes& GetBaseLanes() {
  static const BaseLanes* const lanes = NewBaseLanes();
  return *lanes;
}

}  // namespace kt::vrf::ed25519
