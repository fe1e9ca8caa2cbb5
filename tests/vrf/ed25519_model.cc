// SPDX-License-Identifier: Apache-2.0
#include "tests/vrf/ed25519_model.h"

#include "base/check.h"

namespace kt::vrf::model {
namespace {

void Must(bool ok) { KT_CHECK(ok); }

BN_CTX* Context() {
  thread_local const BigNumContext context(BN_CTX_new());
  return context.get();
}

// p, (p - 5) / 8 and d.
struct Constants {
  Constants() : p(BN_new()), root_exponent(BN_new()) {
    Must(BN_set_bit(p.get(), 255) == 1 && BN_sub_word(p.get(), 19) == 1);
    Must(BN_copy(root_exponent.get(), p.get()) != nullptr);
    Must(BN_sub_word(root_exponent.get(), 5) == 1);
    Must(BN_rshift(root_exponent.get(), root_exponent.get(), 3) == 1);
  }
  BigNum p;
  BigNum root_exponent;
};

const Constants& Get() {
  static const Constants* const constants = new Constants();
  return *constants;
}

const Number& D() {
  static const Number* const d =
      new Number(Number(0) - Number(121665) * Number::Inverse(Number(121666)));
  return *d;
}

}  // namespace

Number::Number(uint64_t small) : value_(BN_new()) { Must(BN_set_word(value_.get(), small) == 1); }

Number::Number(const Number& other) : value_(BN_dup(other.value_.get())) {}

Number& Number::operator=(const Number& other) {
  if (this != &other) Must(BN_copy(value_.get(), other.value_.get()) != nullptr);
  return *this;
}

Number Number::FromBytes(std::span<const uint8_t> bytes) {
  Number out;
  Must(BN_lebin2bn(bytes.data(), static_cast<int>(bytes.size()), out.value_.get()) != nullptr);
  Must(BN_nnmod(out.value_.get(), out.value_.get(), Get().p.get(), Context()) == 1);
  return out;
}

Number Number::FromLimbs(std::span<const uint64_t, 5> limbs) {
  Number out;
  for (size_t i = limbs.size(); i-- > 0;) {
    Must(BN_lshift(out.value_.get(), out.value_.get(), 51) == 1);
    Must(BN_add_word(out.value_.get(), limbs[i]) == 1);
  }
  Must(BN_nnmod(out.value_.get(), out.value_.get(), Get().p.get(), Context()) == 1);
  return out;
}

std::array<uint8_t, 32> Number::ToBytes() const {
  std::array<uint8_t, 32> bytes;
  Must(BN_bn2lebinpad(value_.get(), bytes.data(), bytes.size()) == 32);
  return bytes;
}

Number operator+(const Number& a, const Number& b) {
  Number out;
  Must(BN_mod_add(out.value_.get(), a.value_.get(), b.value_.get(), Get().p.get(), Context()) == 1);
  return out;
}

Number operator-(const Number& a, const Number& b) {
  Number out;
  Must(BN_mod_sub(out.value_.get(), a.value_.get(), b.value_.get(), Get().p.get(), Context()) == 1);
  return out;
}

Number operator*(const Number& a, const Number& b) {
  Number out;
  Must(BN_mod_mul(out.value_.get(), a.value_.get(), b.value_.get(), Get().p.get(), Context()) == 1);
  return out;
}

Number Number::Inverse(const Number& a) {
  Number out;
  if (a == out) return out;
  Must(BN_mod_inverse(out.value_.get(), a.value_.get(), Get().p.get(), Context()) != nullptr);
  return out;
}

std::optional<Number> Number::Root(const Number& a) {
  Number out;
  if (BN_mod_sqrt(out.value_.get(), a.value_.get(), Get().p.get(), Context()) == nullptr) {
    return std::nullopt;
  }
  return out;
}

Number Number::PowerForRoot(const Number& a) {
  Number out;
  Must(BN_mod_exp(out.value_.get(), a.value_.get(), Get().root_exponent.get(), Get().p.get(),
                  Context()) == 1);
  return out;
}

Point Neutral() { return {Number(0), Number(1)}; }

// y = 4/5, and x is even. RFC 8032 §5.1.
Point Base() {
  std::array<uint8_t, 32> encoded = (Number(4) * Number::Inverse(Number(5))).ToBytes();
  const std::optional<Point> base = Decode(encoded);
  KT_CHECK(base.has_value());
  return *base;
}

Point Add(const Point& a, const Point& b) {
  const Number product = D() * a.x * b.x * a.y * b.y;
  const Number plus = Number(1) + product;
  const Number minus = Number(1) - product;
  // Both inverses of one.
  const Number inverse = Number::Inverse(plus * minus);
  return {(a.x * b.y + b.x * a.y) * inverse * minus, (a.y * b.y + a.x * b.x) * inverse * plus};
}

Point Negate(const Point& a) { return {Number(0) - a.x, a.y}; }

Point Multiply(std::span<const uint8_t> scalar, const Point& point) {
  Point sum = Neutral();
  for (size_t bit = 8 * scalar.size(); bit-- > 0;) {
    sum = Add(sum, sum);
    if (((scalar[bit / 8] >> (bit % 8)) & 1) != 0) sum = Add(sum, point);
  }
  return sum;
}

std::array<uint8_t, 32> Encode(const Point& point) {
  std::array<uint8_t, 32> encoded = point.y.ToBytes();
  if (point.x.IsOdd()) encoded[31] |= 0x80;
  return encoded;
}

std::optional<Point> Decode(std::span<const uint8_t, 32> encoded) {
  std::array<uint8_t, 32> ordinate;
  std::copy(encoded.begin(), encoded.end(), ordinate.begin());
  const bool sign = (ordinate[31] & 0x80) != 0;
  ordinate[31] &= 0x7f;
  const Number y = Number::FromBytes(ordinate);
  if (y.ToBytes() != ordinate) return std::nullopt;
  const Number y_squared = y * y;
  const std::optional<Number> x =
      Number::Root((y_squared - Number(1)) * Number::Inverse(D() * y_squared + Number(1)));
  if (!x.has_value()) return std::nullopt;
  if (*x == Number(0) && sign) return std::nullopt;
  return Point{x->IsOdd() == sign ? *x : Number(0) - *x, y};
}

}  // namespace kt::vrf::model
