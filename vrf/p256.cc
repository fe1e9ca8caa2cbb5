// SPDX-License-Identifier: Apache-2.0
#include "vrf/p256.h"

#include <openssl/obj_mac.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"
#include "vrf/p256_scalar.h"

namespace kt::vrf {
namespace {

using base::Bytes;
using base::ByteView;
using base::SecretBytes;
using base::VrfOutput;
using PointBytes = P256Transcript::Point;

constexpr size_t kFieldSize = 32;

// An OpenSSL call that fails only when memory runs out or we misuse it.
void Must(int ok) { KT_CHECK(ok == 1); }

BigNum NewNumber() {
  BigNum number(BN_new());
  KT_CHECK(number != nullptr);
  return number;
}

BigNum NewSecretNumber() {
  BigNum number(BN_secure_new());
  KT_CHECK(number != nullptr);
  BN_set_flags(number.get(), BN_FLG_CONSTTIME);
  return number;
}

BigNumContext NewContext() {
  BigNumContext context(BN_CTX_new());
  KT_CHECK(context != nullptr);
  return context;
}

CurveGroup NewGroup() {
  CurveGroup group(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
  KT_CHECK(group != nullptr);
  return group;
}

MontgomeryContext NewMontgomery(const BIGNUM* modulus, BN_CTX* context) {
  MontgomeryContext montgomery(BN_MONT_CTX_new());
  KT_CHECK(montgomery != nullptr);
  Must(BN_MONT_CTX_set(montgomery.get(), modulus, context));
  return montgomery;
}

// The curve's constants, made once and never changed, so that threads share them. Coefficients are
// in Montgomery form.
struct Curve {
  Curve() {
    const BigNumContext context = NewContext();
    Must(EC_GROUP_get_curve(group.get(), p.get(), a.get(), b.get(), context.get()));
    mod_p = NewMontgomery(p.get(), context.get());
    mod_q = NewMontgomery(q, context.get());
    Must(BN_to_montgomery(a.get(), a.get(), mod_p.get(), context.get()));
    Must(BN_to_montgomery(b.get(), b.get(), mod_p.get(), context.get()));
    // (p + 1) / 4; a square root modulo p is a power, since p = 3 modulo 4.
    KT_CHECK(BN_copy(root_exponent.get(), p.get()) != nullptr);
    Must(BN_add_word(root_exponent.get(), 1));
    Must(BN_rshift(root_exponent.get(), root_exponent.get(), 2));
  }

  CurvePoint NewPoint() const {
    CurvePoint point(EC_POINT_new(group.get()));
    KT_CHECK(point != nullptr);
    return point;
  }

  const CurveGroup group = NewGroup();
  const BIGNUM* const q = EC_GROUP_get0_order(group.get());
  const BigNum p = NewNumber();
  const BigNum a = NewNumber();
  const BigNum b = NewNumber();
  const BigNum root_exponent = NewNumber();
  MontgomeryContext mod_p;
  MontgomeryContext mod_q;
};

// Never destroyed: threads may outlive the end of main().
const Curve& P256() {
  static const Curve* const curve = new Curve();
  return *curve;
}

// Loads 32 big-endian bytes in constant time but for leading zero words. BN_bin2bn skips leading
// zero bytes one by one, so it is given none.
void LoadSecret(ByteView bytes, BIGNUM* out) {
  std::array<uint8_t, 1 + kScalarSize> padded;
  KT_CHECK(bytes.size() == kScalarSize);
  padded[0] = 1;
  std::copy(bytes.begin(), bytes.end(), padded.begin() + 1);
  KT_CHECK(BN_bin2bn(padded.data(), padded.size(), out) != nullptr);
  Must(BN_clear_bit(out, 8 * kScalarSize));
  base::SecureZero(padded);
}

// point_to_string, of any point: infinity takes a single byte (SEC 1 §2.3.3). Only a verifier can
// meet it, as U or V of a proof made with the nonce 0.
class EncodedPoint {
 public:
  EncodedPoint(const EC_POINT* point, BN_CTX* context) {
    const EC_GROUP* group = P256().group.get();
    if (EC_POINT_is_at_infinity(group, point) == 1) {
      bytes_[0] = kInfinity;
      size_ = 1;
      return;
    }
    size_ = EC_POINT_point2oct(group, point, POINT_CONVERSION_COMPRESSED, bytes_.data(),
                               bytes_.size(), context);
    KT_CHECK(size_ == kP256PointSize);
  }

  ByteView view() const { return {bytes_.data(), size_}; }
  // Where infinity cannot occur.
  const PointBytes& bytes() const {
    KT_CHECK(size_ == kP256PointSize);
    return bytes_;
  }

 private:
  PointBytes bytes_{};
  size_t size_ = 0;
};

}  // namespace

// Allocated once for a batch.
struct P256Workspace {
  const BigNumContext context = NewContext();
  const BigNum x = NewNumber();
  const BigNum y = NewNumber();
  const BigNum square = NewNumber();
  const BigNum number = NewNumber();
  const BigNum c = NewNumber();
  const BigNum s = NewNumber();
  const CurvePoint h = P256().NewPoint();
  const CurvePoint gamma = P256().NewPoint();
  const CurvePoint product = P256().NewPoint();
};

namespace {

// The point of abscissa `x` (32 bytes) whose ordinate has the given parity. False if `x` is no
// element of the field or no abscissa of the curve. In place of EC_POINT_oct2point, whose square
// root is slower, and which writes to the error queue at every refusal: half of all attempts.
bool PointFromX(ByteView x, bool odd, P256Workspace& work, EC_POINT* out) {
  const Curve& curve = P256();
  BN_CTX* const context = work.context.get();
  BN_MONT_CTX* const mod_p = curve.mod_p.get();
  BIGNUM* const y = work.y.get();
  BIGNUM* const square = work.square.get();
  BIGNUM* const number = work.number.get();
  KT_CHECK(BN_bin2bn(x.data(), kFieldSize, work.x.get()) != nullptr);
  if (BN_cmp(work.x.get(), curve.p.get()) >= 0) return false;

  // square = (x^2 + a) * x + b, in Montgomery form
  Must(BN_to_montgomery(number, work.x.get(), mod_p, context));
  Must(BN_mod_mul_montgomery(square, number, number, mod_p, context));
  Must(BN_mod_add_quick(square, square, curve.a.get(), curve.p.get()));
  Must(BN_mod_mul_montgomery(square, square, number, mod_p, context));
  Must(BN_mod_add_quick(square, square, curve.b.get(), curve.p.get()));

  Must(BN_from_montgomery(number, square, mod_p, context));
  Must(BN_mod_exp_mont(y, number, curve.root_exponent.get(), curve.p.get(), context, mod_p));
  Must(BN_to_montgomery(number, y, mod_p, context));
  Must(BN_mod_mul_montgomery(number, number, number, mod_p, context));
  if (BN_cmp(number, square) != 0) return false;

  // The order is odd, so no point has the ordinate 0.
  if ((BN_is_odd(y) == 1) != odd) Must(BN_sub(y, curve.p.get(), y));
  Must(EC_POINT_set_affine_coordinates(curve.group.get(), out, work.x.get(), y, context));
  return true;
}

// string_to_point: compressed points only, of which each has one encoding.
bool DecodePoint(ByteView encoded, P256Workspace& work, EC_POINT* out) {
  if (encoded.size() != kP256PointSize) return false;
  if (encoded[0] != kEvenY && encoded[0] != kOddY) return false;
  return PointFromX(encoded.subspan(1), encoded[0] == kOddY, work, out);
}

struct CurveInput {
  PointBytes h{};  // encoding of work.h
  unsigned ctr = 0;
};

// Sets work.h. nullopt if all attempts fail, which no input does. RFC 9381 §5.4.1.1.
std::optional<CurveInput> EncodeToCurve(ByteView prefix, ByteView alpha, P256Workspace& work) {
  for (unsigned ctr = 0; ctr < kMaxAttempts; ++ctr) {
    const base::Hash hash = P256Candidate(prefix, alpha, ctr);
    if (!PointFromX(hash.view(), /*odd=*/false, work, work.h.get())) continue;
    CurveInput input;
    input.ctr = ctr;
    input.h[0] = kEvenY;
    std::copy(hash.bytes.begin(), hash.bytes.end(), input.h.begin() + 1);
    return input;
  }
  return std::nullopt;
}

// scalar * point, where a null `point` stands for the generator.
EncodedPoint Multiply(const BIGNUM* scalar, const EC_POINT* point, P256Workspace& work) {
  EC_POINT* const out = work.product.get();
  const EC_GROUP* const group = P256().group.get();
  BN_CTX* const context = work.context.get();
  Must(point == nullptr ? EC_POINT_mul(group, out, scalar, nullptr, nullptr, context)
                        : EC_POINT_mul(group, out, nullptr, point, scalar, context));
  return EncodedPoint(out, context);
}

}  // namespace

absl::StatusOr<std::unique_ptr<P256Prover>> P256Prover::Create(const SecretBytes& secret) {
  if (secret.size() != kSecretSize || !p256::ScalarInRange(secret.Expose())) {
    return absl::InvalidArgumentError(
        "a P-256 VRF secret is a scalar of 32 bytes, from 1 to q - 1");
  }
  P256Workspace work;
  std::unique_ptr<P256Prover> prover(new P256Prover());
  prover->secret_ = secret.Clone();
  prover->x_ = NewSecretNumber();
  LoadSecret(secret.Expose(), prover->x_.get());
  prover->x_montgomery_ = NewSecretNumber();
  Must(BN_to_montgomery(prover->x_montgomery_.get(), prover->x_.get(), P256().mod_q.get(),
                        work.context.get()));
  prover->public_key_ = base::ToBytes(ByteView(Multiply(prover->x_.get(), nullptr, work).bytes()));
  prover->encode_prefix_ = P256EncodePrefix(prover->public_key_);
  return prover;
}

std::vector<VrfOutput> P256Prover::Evaluate(std::span<const Bytes> alphas) const {
  P256Workspace work;
  std::vector<VrfOutput> outputs;
  outputs.reserve(alphas.size());
  for (const Bytes& alpha : alphas) {
    KT_CHECK(EncodeToCurve(encode_prefix_, alpha, work).has_value());
    const EncodedPoint gamma = Multiply(x_.get(), work.h.get(), work);
    outputs.push_back(ToOutput(P256ProofToHash(gamma.bytes()).view()));
  }
  return outputs;
}

std::vector<ProvenOutput> P256Prover::Prove(std::span<const Bytes> alphas) const {
  P256Workspace work;
  std::vector<ProvenOutput> proven;
  proven.reserve(alphas.size());
  for (const Bytes& alpha : alphas) {
    const P256Transcript transcript = ProveOne(alpha, work);
    proven.push_back({ToOutput(transcript.beta), base::ToBytes(ByteView(transcript.proof))});
  }
  return proven;
}

P256Transcript P256Prover::ProveInDetail(ByteView alpha) const {
  P256Workspace work;
  return ProveOne(alpha, work);
}

P256Transcript P256Prover::ProveOne(ByteView alpha, P256Workspace& work) const {
  const Curve& curve = P256();
  const std::optional<CurveInput> input = EncodeToCurve(encode_prefix_, alpha, work);
  KT_CHECK(input.has_value());
  const BigNum k = NewSecretNumber();
  LoadSecret(Nonce(input->h).Expose(), k.get());

  P256Transcript transcript;
  transcript.ctr = input->ctr;
  transcript.h = input->h;
  const EncodedPoint gamma = Multiply(x_.get(), work.h.get(), work);
  transcript.u = Multiply(k.get(), nullptr, work).bytes();
  transcript.v = Multiply(k.get(), work.h.get(), work).bytes();
  const Challenge c =
      P256Challenge(public_key_, transcript.h, gamma.bytes(), transcript.u, transcript.v);

  // s = k + c*x; one factor in Montgomery form makes the product a plain number.
  const BigNum s = NewSecretNumber();
  KT_CHECK(BN_bin2bn(c.data(), c.size(), work.c.get()) != nullptr);
  Must(BN_mod_mul_montgomery(s.get(), x_montgomery_.get(), work.c.get(), curve.mod_q.get(),
                             work.context.get()));
  Must(BN_mod_add_quick(s.get(), s.get(), k.get(), curve.q));

  auto out = std::copy(gamma.bytes().begin(), gamma.bytes().end(), transcript.proof.begin());
  out = std::copy(c.begin(), c.end(), out);
  KT_CHECK(BN_bn2binpad(s.get(), &*out, kScalarSize) == kScalarSize);
  transcript.beta = P256ProofToHash(gamma.bytes()).bytes;
  return transcript;
}

absl::StatusOr<std::unique_ptr<P256Verifier>> P256Verifier::Create(ByteView public_key) {
  P256Workspace work;
  std::unique_ptr<P256Verifier> verifier(new P256Verifier());
  verifier->minus_y_ = P256().NewPoint();
  // The encoding has no room for infinity, the one point that ECVRF_validate_key refuses.
  if (!DecodePoint(public_key, work, verifier->minus_y_.get())) {
    return absl::InvalidArgumentError("not a P-256 VRF public key: a compressed point, 33 bytes");
  }
  Must(EC_POINT_invert(P256().group.get(), verifier->minus_y_.get(), work.context.get()));
  verifier->public_key_ = base::ToBytes(public_key);
  verifier->encode_prefix_ = P256EncodePrefix(public_key);
  return verifier;
}

absl::StatusOr<std::vector<VrfOutput>> P256Verifier::Verify(std::span<const Claim> claims) const {
  P256Workspace work;
  const CurveGroup group_of_h(EC_GROUP_dup(P256().group.get()));
  KT_CHECK(group_of_h != nullptr);
  std::vector<VrfOutput> outputs;
  outputs.reserve(claims.size());
  for (const Claim& claim : claims) {
    KT_ASSIGN_OR_RETURN(const VrfOutput output, VerifyOne(claim, group_of_h.get(), work));
    outputs.push_back(output);
  }
  return outputs;
}

absl::StatusOr<VrfOutput> P256Verifier::VerifyOne(const Claim& claim, EC_GROUP* group_of_h,
                                                  P256Workspace& work) const {
  const Curve& curve = P256();
  BN_CTX* const context = work.context.get();
  if (claim.proof.size() != kP256ProofSize) return BadProof("it has the wrong length");
  const ByteView gamma = claim.proof.first(kP256PointSize);
  const ByteView c_bytes = claim.proof.subspan(kP256PointSize, kChallengeSize);
  const ByteView s_bytes = claim.proof.last(kScalarSize);

  BIGNUM* const s = work.s.get();
  BIGNUM* const c = work.c.get();
  KT_CHECK(BN_bin2bn(s_bytes.data(), kScalarSize, s) != nullptr);
  KT_CHECK(BN_bin2bn(c_bytes.data(), kChallengeSize, c) != nullptr);
  if (BN_cmp(s, curve.q) >= 0) return BadProof("s is out of range");
  if (!DecodePoint(gamma, work, work.gamma.get())) return BadProof("Gamma is not a point");
  const std::optional<CurveInput> input = EncodeToCurve(encode_prefix_, claim.alpha, work);
  if (!input.has_value()) return BadProof("the input does not encode to the curve");

  EC_POINT* const product = work.product.get();
  Must(EC_POINT_mul(curve.group.get(), product, s, minus_y_.get(), c, context));
  const EncodedPoint u(product, context);
  // V as s times a generator, H: the two multiplications then share their doublings. OpenSSL's own
  // call for several points is deprecated.
  Must(EC_POINT_invert(curve.group.get(), work.gamma.get(), context));
  Must(EC_GROUP_set_generator(group_of_h, work.h.get(), curve.q, BN_value_one()));
  Must(EC_POINT_mul(group_of_h, product, s, work.gamma.get(), c, context));
  const EncodedPoint v(product, context);

  const Challenge expected = P256Challenge(public_key_, input->h, gamma, u.view(), v.view());
  if (!std::equal(expected.begin(), expected.end(), c_bytes.begin(), c_bytes.end())) {
    return BadProof("its equations do not hold for this key and input");
  }
  return ToOutput(P256ProofToHash(gamma).view());
}

SecretBytes GenerateP256Secret(base::Random& random) {
  SecretBytes secret(kSecretSize);
  do {
    random.Fill(secret.ExposeMutable());
  } while (!p256::ScalarInRange(secret.Expose()));
  return secret;
}

}  // namespace kt::vrf
