// SPDX-License-Identifier: Apache-2.0
//
// The engine in lanes: packs eight operations into each call of vrf/p256_ifma.h. Internal to vrf/.
//
// Secret scalars take the steps of vrf/p256_portable.h, eight or sixteen at a time.
#ifndef VRF_P256_LANES_H_
#define VRF_P256_LANES_H_

#include <span>

#include "vrf/p256_engine.h"

namespace kt::vrf::p256 {

class LaneEngine final : public Engine {
 public:
  // Portable(): of a lone evaluation or check, seven lanes would be idle, and the eighth would wait
  // for its own results.
  const Engine& ForOne() const override;
  size_t lift_width() const override;
  void Lift(std::span<const Field> abscissas, std::span<Lifted> out) const override;
  void Multiply(const SecretDigits& x, std::span<const CurvePoint> h,
                std::span<PlainPoint> out) const override;
  void Prove(const SecretDigits& x, std::span<const SecretDigits> k, std::span<const CurvePoint> h,
             std::span<ProofPoints> out) const override;
  // The lanes' formulas do not cover sums of equal or opposite points. A proof that leads to one,
  // which only whoever knows the key or the input's logarithm can make, is checked by Portable().
  void Check(const KeyTable& key, std::span<const ProofTerms> terms,
             std::span<CheckPoints> out) const override;
};

// To be called only if base::HasAvx512Ifma().
const LaneEngine& InLanes();

}  // namespace kt::vrf::p256
#endif  // VRF_P256_LANES_H_
