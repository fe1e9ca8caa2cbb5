// SPDX-License-Identifier: Apache-2.0
#include "tests/vrf/ed25519_field_ops.h"

#include <algorithm>

#include "vrf/ed25519_field.h"

namespace kt::vrf {
namespace {

using ed25519::Field;
using ed25519::FieldElement;
using ed25519::kUnit;

template <int M>
Field<M> Load(const uint64_t (&limbs)[5]) {
  Field<M> out;
  std::copy(std::begin(limbs), std::end(limbs), out.limbs.begin());
  return out;
}

template <int M, typename Operation>
void ForEachLane(const FieldLimbs& a, const FieldLimbs& b, FieldLimbs& out, Operation operation) {
  for (int lane = 0; lane < 8; ++lane) {
    const auto result = operation(Load<M>(a[lane]), Load<M>(b[lane]));
    std::copy(result.limbs.begin(), result.limbs.end(), out[lane]);
  }
}

void Multiply(const FieldLimbs& a, const FieldLimbs& b, FieldLimbs& out) {
  ForEachLane<8>(a, b, out, [](const auto& x, const auto& y) { return x * y; });
}
void SquareAll(const FieldLimbs& a, FieldLimbs& out) {
  ForEachLane<8>(a, a, out, [](const auto& x, const auto&) { return ed25519::Square(x); });
}
void Add(const FieldLimbs& a, const FieldLimbs& b, FieldLimbs& out) {
  ForEachLane<1>(a, b, out, [](const auto& x, const auto& y) { return x + y; });
}
void Subtract(const FieldLimbs& a, const FieldLimbs& b, FieldLimbs& out) {
  ForEachLane<1>(a, b, out, [](const auto& x, const auto& y) { return x - y; });
}
void Reduce(const FieldLimbs& a, FieldLimbs& out) {
  ForEachLane<1>(a, a, out, [](const auto& x, const auto&) {
    return ed25519::FromBytes(ed25519::ToBytes(x));
  });
}
void InvertAll(const FieldLimbs& a, FieldLimbs& out) {
  ForEachLane<1>(a, a, out, [](const auto& x, const auto&) { return ed25519::Invert(x); });
}
void PowerAll(const FieldLimbs& a, FieldLimbs& out) {
  ForEachLane<1>(a, a, out, [](const auto& x, const auto&) { return ed25519::PowerForRoot(x); });
}

}  // namespace

const FieldOps& PortableFieldOps() {
  static constexpr FieldOps kOps = {.factor_limit = 8 * kUnit,
                                    .operand_limit = kUnit,
                                    .carry_limit = 0,
                                    .result_limit = kUnit,
                                    .multiply = Multiply,
                                    .square = SquareAll,
                                    .add = Add,
                                    .subtract = Subtract,
                                    .carry = nullptr,
                                    .reduce = Reduce,
                                    .invert = InvertAll,
                                    .power_for_root = PowerAll};
  return kOps;
}

#if !defined(KT_WITH_AVX512_IFMA)
const FieldOps* IfmaFieldOps() { return nullptr; }
#endif

}  // namespace kt::vrf
