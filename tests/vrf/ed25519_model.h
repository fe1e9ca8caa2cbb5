// SPDX-License-Identifier: Apache-2.0
//
// edwards25519 as the book has it, over OpenSSL's numbers: affine, slow, and with nothing in common
// with what it judges.
#ifndef TESTS_VRF_ED25519_MODEL_H_
#define TESTS_VRF_ED25519_MODEL_H_

#include <openssl/bn.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "vrf/openssl_handles.h"

namespace kt::vrf::model {

// An integer modulo p = 2^255 - 19.
class Number {
 public:
  Number() : Number(0) {}
  explicit Number(uint64_t small);
  // Little-endian, reduced modulo p.
  static Number FromBytes(std::span<const uint8_t> bytes);
  // The sum of limbs[i] * 2^(51*i), reduced modulo p.
  static Number FromLimbs(std::span<const uint64_t, 5> limbs);

  Number(const Number& other);
  Number& operator=(const Number& other);

  std::array<uint8_t, 32> ToBytes() const;  // little-endian
  bool IsOdd() const { return BN_is_odd(value_.get()) == 1; }

  friend Number operator+(const Number& a, const Number& b);
  friend Number operator-(const Number& a, const Number& b);
  friend Number operator*(const Number& a, const Number& b);
  friend bool operator==(const Number& a, const Number& b) {
    return BN_cmp(a.value_.get(), b.value_.get()) == 0;
  }
  // 1/a, and 0 for 0.
  static Number Inverse(const Number& a);
  // One of two; nullopt if there is none.
  static std::optional<Number> Root(const Number& a);
  // a^((p-5)/8)
  static Number PowerForRoot(const Number& a);

 private:
  BigNum value_;
};

struct Point {
  Number x;
  Number y;
};

Point Neutral();
Point Base();
// The addition law of RFC 8032 §5.1, for any two points.
Point Add(const Point& a, const Point& b);
Point Negate(const Point& a);
// By doubling and adding; little-endian.
Point Multiply(std::span<const uint8_t> scalar, const Point& point);
inline Point MultiplyBy8(const Point& point) {
  const std::array<uint8_t, 1> eight = {8};
  return Multiply(eight, point);
}

std::array<uint8_t, 32> Encode(const Point& point);
// RFC 8032 §5.1.3.
std::optional<Point> Decode(std::span<const uint8_t, 32> encoded);

}  // namespace kt::vrf::model
#endif  // TESTS_VRF_ED25519_MODEL_H_
