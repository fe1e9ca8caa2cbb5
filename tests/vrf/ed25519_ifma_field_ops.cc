// SPDX-License-Identifier: Apache-2.0
//
// Compiled for AVX-512 IFMA, as vrf/ed25519_ifma.cc is and with the same care.
#include "tests/vrf/ed25519_field_ops.h"
#include "vrf/ed25519_ifma_field.h"
#include "vrf/ed25519_ifma_point.h"

namespace kt::vrf {
namespace {

using ed25519::Lanes;
using ed25519::LaneWords;

Lanes Load(const FieldLimbs& from) {
  LaneWords words;
  for (int lane = 0; lane < 8; ++lane) {
    for (int limb = 0; limb < 5; ++limb) words.words[limb][lane] = from[lane][limb];
  }
  return ed25519::LoadLanes(words);
}

void Store(const Lanes& from, FieldLimbs& to) {
  LaneWords words;
  ed25519::StoreLanes(from, words);
  for (int lane = 0; lane < 8; ++lane) {
    for (int limb = 0; limb < 5; ++limb) to[lane][limb] = words.words[limb][lane];
  }
}

void Multiply(const FieldLimbs& a, const FieldLimbs& b, FieldLimbs& out) {
  Store(Load(a) * Load(b), out);
}
void SquareAll(const FieldLimbs& a, FieldLimbs& out) { Store(ed25519::Square(Load(a)), out); }
void Add(const FieldLimbs& a, const FieldLimbs& b, FieldLimbs& out) {
  Store(Load(a) + Load(b), out);
}
void Subtract(const FieldLimbs& a, const FieldLimbs& b, FieldLimbs& out) {
  Store(Load(a) - Load(b), out);
}
void CarryAll(const FieldLimbs& a, FieldLimbs& out) {
  const Lanes limbs = Load(a);
  ed25519::Wide<16> wide;
  for (int limb = 0; limb < 5; ++limb) wide.v[limb] = limbs.v[limb];
  Store(ed25519::Carry(wide), out);
}
void Reduce(const FieldLimbs& a, FieldLimbs& out) { Store(ed25519::Canonical(Load(a)), out); }
void InvertAll(const FieldLimbs& a, FieldLimbs& out) { Store(ed25519::InvertLanes(Load(a)), out); }
void PowerAll(const FieldLimbs& a, FieldLimbs& out) {
  Store(ed25519::PowerForRootLanes(Load(a)), out);
}

constexpr FieldOps kOps = {.factor_limit = ed25519::kLaneLimit,
                           .operand_limit = ed25519::kLaneLimit,
                           .carry_limit = 16 * ed25519::kWideUnit,
                           .result_limit = ed25519::kLaneLimit,
                           .multiply = Multiply,
                           .square = SquareAll,
                           .add = Add,
                           .subtract = Subtract,
                           .carry = CarryAll,
                           .reduce = Reduce,
                           .invert = InvertAll,
                           .power_for_root = PowerAll};

}  // namespace

const FieldOps* IfmaFieldOps() { return &kOps; }

}  // namespace kt::vrf
