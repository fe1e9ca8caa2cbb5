// SPDX-License-Identifier: Apache-2.0
//
// The engine in portable C++. Internal to vrf/.
//
// Secret scalars: odd signed digits, a scan of the whole table at each step, and formulas that are
// not complete. That no step meets a case which they do not cover is shown at MultiplySecret() and
// MultiplyBaseSecret().
#ifndef VRF_P256_PORTABLE_H_
#define VRF_P256_PORTABLE_H_

#include <span>

#include "vrf/p256_engine.h"

namespace kt::vrf::p256 {

class PortableEngine final : public Engine {
 public:
  size_t lift_width() const override { return 1; }
  void Lift(std::span<const Field> abscissas, std::span<Lifted> out) const override;
  void Multiply(const SecretDigits& x, std::span<const CurvePoint> h,
                std::span<PlainPoint> out) const override;
  void Prove(const SecretDigits& x, std::span<const SecretDigits> k, std::span<const CurvePoint> h,
             std::span<ProofPoints> out) const override;
  void Check(const KeyTable& key, std::span<const ProofTerms> terms,
             std::span<CheckPoints> out) const override;
};

const PortableEngine& Portable();

// scalar * B. Neither branches nor indexes on it.
PlainPoint MultiplyGenerator(const SecretDigits& scalar);

// -P.
CurvePoint Negate(const CurvePoint& point);

}  // namespace kt::vrf::p256
#endif  // VRF_P256_PORTABLE_H_
