// SPDX-License-Identifier: Apache-2.0
//
// The curve operations that ECVRF-P256 is made of, in batches. vrf/p256_fast.h puts RFC 9381 around
// them; there is one engine in portable C++ and one in vector lanes. Internal to vrf/.
#ifndef VRF_P256_ENGINE_H_
#define VRF_P256_ENGINE_H_

#include <cstdint>
#include <span>

#include "vrf/p256_limbs.h"
#include "vrf/p256_scalar.h"

namespace kt::vrf::p256 {

// In Montgomery form, tight.
using CurvePoint = Affine<Field>;

// What became of an abscissa.
struct Lifted {
  bool on_curve = false;
  CurvePoint point{};  // if on_curve: that with the even ordinate
};

// A result: canonical integers, not in Montgomery form. Unset coordinates if it is infinity.
struct PlainPoint {
  bool infinity = false;
  Field x{}, y{};
};

struct ProofPoints {
  PlainPoint gamma, u, v;  // x*H, k*B, k*H
};

// What a proof and its input give.
struct ProofTerms {
  uint64_t s[kScalarWords] = {};  // below q, lowest word first
  uint64_t c[2] = {};
  CurvePoint h{};
  CurvePoint gamma{};
};

struct CheckPoints {
  PlainPoint u, v;  // s*B - c*Y, s*H - c*Gamma
};

inline constexpr int kKeyMultiples = 16;

// A public key, prepared.
struct KeyTable {
  explicit KeyTable(const CurvePoint& y);
  CurvePoint minus_y[kKeyMultiples];  // -Y, -3Y, ..., -31Y
};

// Thread-safe. Spans of inputs and outputs of one call have the same length.
class Engine {
 public:
  virtual ~Engine() = default;

  // The engine to evaluate or check a single item with, if that is faster by another.
  virtual const Engine& ForOne() const { return *this; }

  // As many abscissas as take no more time than one.
  virtual size_t lift_width() const = 0;

  // `abscissas`: canonical integers, not in Montgomery form. Time depends on their number only.
  virtual void Lift(std::span<const Field> abscissas, std::span<Lifted> out) const = 0;

  // x * H. Neither branches nor indexes on `x`.
  virtual void Multiply(const SecretDigits& x, std::span<const CurvePoint> h,
                        std::span<PlainPoint> out) const = 0;

  // Neither branches nor indexes on `x` and `k`.
  virtual void Prove(const SecretDigits& x, std::span<const SecretDigits> k,
                     std::span<const CurvePoint> h, std::span<ProofPoints> out) const = 0;

  // Takes a time that depends on its arguments, which are public. Right for all of them, whatever
  // relation they were chosen to have.
  virtual void Check(const KeyTable& key, std::span<const ProofTerms> terms,
                     std::span<CheckPoints> out) const = 0;
};

}  // namespace kt::vrf::p256
#endif  // VRF_P256_ENGINE_H_
