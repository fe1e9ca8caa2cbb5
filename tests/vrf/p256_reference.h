// SPDX-License-Identifier: Apache-2.0
//
// The field and the curve of P-256 by OpenSSL's numbers, to compare our own arithmetic with.
#ifndef TESTS_VRF_P256_REFERENCE_H_
#define TESTS_VRF_P256_REFERENCE_H_

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "tests/vrf/vrf_test_util.h"
#include "vrf/openssl_handles.h"
#include "vrf/p256_engine.h"
#include "vrf/p256_field.h"
#include "vrf/p256_scalar.h"

namespace kt::vrf::p256 {

// A number of any size; arithmetic is exact, and % is never negative.
class Number {
 public:
  Number() : value_(BN_new()) {}
  Number(uint64_t value) : Number() { KT_CHECK(BN_set_word(value_.get(), value) == 1); }  // NOLINT
  Number(const Number& other) : value_(BN_dup(other.get())) {}
  Number& operator=(const Number& other) {
    KT_CHECK(BN_copy(value_.get(), other.get()) != nullptr);
    return *this;
  }
  static Number FromBytes(base::ByteView bytes) {
    Number number;
    KT_CHECK(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), number.get()) != nullptr);
    return number;
  }
  static Number FromHex(std::string_view hex) { return FromBytes(Hex(hex)); }
  static Number PowerOf2(int exponent) {
    Number number;
    KT_CHECK(BN_set_bit(number.get(), exponent) == 1);
    return number;
  }

  BIGNUM* get() const { return value_.get(); }
  base::Bytes ToBytes(int size = 32) const {
    base::Bytes bytes(static_cast<size_t>(size));
    KT_CHECK(BN_bn2binpad(get(), bytes.data(), size) == size);
    return bytes;
  }
  std::string ToHex() const {
    char* const text = BN_bn2hex(get());
    std::string hex = text;
    OPENSSL_free(text);
    return hex;
  }
  bool IsOdd() const { return BN_is_odd(get()) == 1; }
  Number InverseModulo(const Number& modulus) const {
    Number inverse;
    KT_CHECK(BN_mod_inverse(inverse.get(), get(), modulus.get(), Context()) != nullptr);
    return inverse;
  }

  friend Number operator+(const Number& a, const Number& b) { return Make(BN_add, a, b); }
  friend Number operator-(const Number& a, const Number& b) { return Make(BN_sub, a, b); }
  friend Number operator*(const Number& a, const Number& b) {
    Number r;
    KT_CHECK(BN_mul(r.get(), a.get(), b.get(), Context()) == 1);
    return r;
  }
  friend Number operator%(const Number& a, const Number& b) {
    Number r;
    KT_CHECK(BN_nnmod(r.get(), a.get(), b.get(), Context()) == 1);
    return r;
  }
  friend bool operator==(const Number& a, const Number& b) { return BN_cmp(a.get(), b.get()) == 0; }
  friend bool operator<(const Number& a, const Number& b) { return BN_cmp(a.get(), b.get()) < 0; }
  friend std::ostream& operator<<(std::ostream& out, const Number& number) {
    return out << number.ToHex();
  }

  static BN_CTX* Context() {
    thread_local const BigNumContext context(BN_CTX_new());
    return context.get();
  }

 private:
  using Operation = int (*)(BIGNUM*, const BIGNUM*, const BIGNUM*);
  static Number Make(Operation operation, const Number& a, const Number& b) {
    Number r;
    KT_CHECK(operation(r.get(), a.get(), b.get()) == 1);
    return r;
  }

  BigNum value_;
};

inline const EC_GROUP* Group() {
  static const EC_GROUP* const group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
  return group;
}

inline const Number& P() {
  static const Number p = [] {
    Number number;
    KT_CHECK(EC_GROUP_get_curve(Group(), number.get(), nullptr, nullptr, nullptr) == 1);
    return number;
  }();
  return p;
}

inline const Number& Q() {
  static const Number q = [] {
    Number number;
    KT_CHECK(EC_GROUP_get_order(Group(), number.get(), nullptr) == 1);
    return number;
  }();
  return q;
}

// The number that limbs, carried or not, stand for.
inline Number ValueOf(const Field& a) {
  Number value;
  for (int i = 0; i < kLimbs; ++i) {
    value = value + Number(a.limb[i]) * Number::PowerOf2(kLimbBits * i);
  }
  return value;
}

inline Field LimbsOf(const Number& value) {
  Field a;
  Number rest = value;
  for (uint64_t& limb : a.limb) {
    limb = BN_get_word((rest % Number::PowerOf2(kLimbBits)).get());
    KT_CHECK(BN_rshift(rest.get(), rest.get(), kLimbBits) == 1);
  }
  KT_CHECK(BN_is_zero(rest.get()) == 1);
  return a;
}

// a * R mod p.
inline Field InMontgomery(const Number& a) { return LimbsOf(a * Number::PowerOf2(260) % P()); }
// The element that limbs in Montgomery form stand for.
inline Number ElementOf(const Field& a) {
  return ValueOf(a) * Number::PowerOf2(260).InverseModulo(P()) % P();
}

// A point of the curve, or infinity.
class ReferencePoint {
 public:
  ReferencePoint() : point_(EC_POINT_new(Group())) {}
  ReferencePoint(const ReferencePoint& other) : point_(EC_POINT_dup(other.get(), Group())) {}
  ReferencePoint& operator=(const ReferencePoint& other) {
    KT_CHECK(EC_POINT_copy(point_.get(), other.get()) == 1);
    return *this;
  }
  static ReferencePoint Generator() {
    ReferencePoint point;
    KT_CHECK(EC_POINT_copy(point.get(), EC_GROUP_get0_generator(Group())) == 1);
    return point;
  }
  static ReferencePoint Random(testing::SeededRandom& random) {
    return Number::FromBytes(RandomBytes(random, 32)) * Generator();
  }

  EC_POINT* get() const { return point_.get(); }
  bool IsInfinity() const { return EC_POINT_is_at_infinity(Group(), get()) == 1; }
  // Not infinity.
  std::pair<Number, Number> Coordinates() const {
    std::pair<Number, Number> xy;
    KT_CHECK(EC_POINT_get_affine_coordinates(Group(), get(), xy.first.get(), xy.second.get(),
                                             nullptr) == 1);
    return xy;
  }
  CurvePoint ToCurvePoint() const {
    const auto [x, y] = Coordinates();
    return {InMontgomery(x), InMontgomery(y)};
  }

  friend ReferencePoint operator*(const Number& scalar, const ReferencePoint& point) {
    ReferencePoint r;
    KT_CHECK(EC_POINT_mul(Group(), r.get(), nullptr, point.get(), scalar.get(), nullptr) == 1);
    return r;
  }
  friend ReferencePoint operator-(const ReferencePoint& a, const ReferencePoint& b) {
    ReferencePoint minus = b;
    ReferencePoint r;
    KT_CHECK(EC_POINT_invert(Group(), minus.get(), nullptr) == 1);
    KT_CHECK(EC_POINT_add(Group(), r.get(), a.get(), minus.get(), nullptr) == 1);
    return r;
  }

 private:
  Handle<EC_POINT, EC_POINT_free> point_;
};

// Whether a result is that point.
inline bool Same(const PlainPoint& result, const ReferencePoint& expected) {
  if (result.infinity || expected.IsInfinity()) return result.infinity == expected.IsInfinity();
  const auto [x, y] = expected.Coordinates();
  return ValueOf(result.x) == x && ValueOf(result.y) == y;
}

inline SecretScalar ScalarOf(const Number& value) { return SecretScalar(value.ToBytes()); }

// Scalars from 1 to q - 1 near to every edge: of the order, of words, of windows.
inline std::vector<Number> EdgeScalars() {
  std::vector<Number> scalars;
  const auto add = [&](const Number& scalar) {
    const Number reduced = scalar % Q();
    if (!(reduced == Number(0))) scalars.push_back(reduced);
  };
  for (uint64_t small = 1; small <= 70; ++small) {
    add(small);
    add(Q() - small);
  }
  for (int bit = 5; bit < 257; ++bit) {
    add(Number::PowerOf2(bit));
    add(Number::PowerOf2(bit) - 1);
    add(Number::PowerOf2(bit) + 1);
  }
  for (int digit = 0; digit < 32; ++digit) {  // the same digit throughout
    Number repeated;
    for (int i = 0; i < 51; ++i) {
      repeated = repeated + Number(static_cast<uint64_t>(digit)) * Number::PowerOf2(5 * i);
    }
    add(repeated);
  }
  return scalars;
}

}  // namespace kt::vrf::p256
#endif  // TESTS_VRF_P256_REFERENCE_H_
