// SPDX-License-Identifier: Apache-2.0
//
// The field arithmetic of each implementation, as functions of limbs in eight lanes: for tests and
// fuzzers that are not compiled for its instructions.
#ifndef TESTS_VRF_ED25519_FIELD_OPS_H_
#define TESTS_VRF_ED25519_FIELD_OPS_H_

#include <cstdint>

namespace kt::vrf {

// [lane][limb], with limbs that count 2^(51*i).
using FieldLimbs = uint64_t[8][5];

struct FieldOps {
  // The greatest limbs that the operands of a multiplication, those of the other operations, and
  // those of carry() may have, and that results of multiplications have.
  uint64_t factor_limit;
  uint64_t operand_limit;
  uint64_t carry_limit;
  uint64_t result_limit;

  void (*multiply)(const FieldLimbs& a, const FieldLimbs& b, FieldLimbs& out);
  void (*square)(const FieldLimbs& a, FieldLimbs& out);
  void (*add)(const FieldLimbs& a, const FieldLimbs& b, FieldLimbs& out);
  void (*subtract)(const FieldLimbs& a, const FieldLimbs& b, FieldLimbs& out);
  // nullptr if the implementation has no such thing.
  void (*carry)(const FieldLimbs& a, FieldLimbs& out);
  // Reduced below p.
  void (*reduce)(const FieldLimbs& a, FieldLimbs& out);
  void (*invert)(const FieldLimbs& a, FieldLimbs& out);
  void (*power_for_root)(const FieldLimbs& a, FieldLimbs& out);
};

const FieldOps& PortableFieldOps();
// nullptr if this build has none; only to be called into where base::HasAvx512Ifma().
const FieldOps* IfmaFieldOps();

}  // namespace kt::vrf
#endif  // TESTS_VRF_ED25519_FIELD_OPS_H_
