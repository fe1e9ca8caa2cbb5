// SPDX-License-Identifier: Apache-2.0
#include "vrf/ed25519.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <optional>

#include "absl/status/status.h"
#include "base/check.h"
#include "base/status.h"

namespace kt::vrf {
namespace {

using base::Bytes;
using base::ByteView;
using base::SecretBytes;
using base::VrfOutput;
using Point = Ed25519Point;

// p = 2^255 - 19, little-endian.
constexpr Point kFieldPrime = {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};

// RFC 8032 §5.1.3. libsodium's own decoding reads ordinates modulo p, and takes -0 for 0.
bool IsPoint(const Point& encoded) {
  Point y = encoded;
  y[31] &= 0x7f;
  if (!std::lexicographical_compare(y.rbegin(), y.rend(), kFieldPrime.rbegin(),
                                    kFieldPrime.rend())) {
    return false;
  }
  // The points that have x = 0.
  const bool negative = (encoded[31] & 0x80) != 0;
  if (negative && (y == kEd25519SmallOrderPoints[0] || y == kEd25519SmallOrderPoints[4])) {
    return false;
  }
  Point twice;
  return crypto_core_ed25519_add(twice.data(), encoded.data(), encoded.data()) == 0;
}

// Whether `point` is in the prime-order group and not the neutral element.
bool IsGroupElement(const Point& point) {
  return crypto_core_ed25519_is_valid_point(point.data()) == 1;
}

// Of points of the curve.
Point Add(const Point& a, const Point& b) {
  Point sum;
  KT_CHECK(crypto_core_ed25519_add(sum.data(), a.data(), b.data()) == 0);
  return sum;
}

Point Subtract(const Point& a, const Point& b) {
  Point difference;
  KT_CHECK(crypto_core_ed25519_sub(difference.data(), a.data(), b.data()) == 0);
  return difference;
}

// 8 * point, for a point of the curve. In this way since libsodium multiplies no point outside of
// the prime-order group.
Point MultiplyByCofactor(Point point) {
  for (int doubling = 0; doubling < 3; ++doubling) point = Add(point, point);
  return point;
}

// scalar * point, in constant time for scalars other than 0, which libsodium treats as a failure.
// `point` is a group element, the scalar has 32 bytes and less than 256 bits.
Point Multiply(ByteView scalar, const Point& point) {
  Point out = kEd25519Identity;
  if (sodium_is_zero(scalar.data(), scalar.size()) == 0) {
    KT_CHECK(crypto_scalarmult_ed25519_noclamp(out.data(), scalar.data(), point.data()) == 0);
  }
  return out;
}

// The same for any point of the curve; not constant time. A point is the sum of one of the
// prime-order group and one of the eight of small order, which is found by trying.
Point VartimeMultiply(const Scalar& scalar, const Point& point) {
  for (size_t i = 0; i < kEd25519SmallOrderPoints.size(); ++i) {
    const Point in_group = Subtract(point, kEd25519SmallOrderPoints[i]);
    const bool is_neutral = in_group == kEd25519Identity;
    if (!is_neutral && !IsGroupElement(in_group)) continue;
    const Point product = is_neutral ? in_group : Multiply(scalar, in_group);
    return Add(product, kEd25519SmallOrderPoints[(scalar[0] * i) % 8]);
  }
  KT_CHECK(false);
}

// scalar * B.
Point MultiplyBase(ByteView scalar) {
  Point out = kEd25519Identity;
  if (sodium_is_zero(scalar.data(), scalar.size()) == 0) {
    KT_CHECK(crypto_scalarmult_ed25519_base_noclamp(out.data(), scalar.data()) == 0);
  }
  return out;
}

struct CurveInput {
  Point h{};
  unsigned ctr = 0;
};

// nullopt if all attempts fail, which no input does. RFC 9381 §5.4.1.1.
std::optional<CurveInput> EncodeToCurve(ByteView public_key, ByteView alpha) {
  for (unsigned ctr = 0; ctr < kMaxAttempts; ++ctr) {
    CurveInput input{.ctr = ctr};
    if (CandidateToCurve(Ed25519Candidate(public_key, alpha, ctr), input.h)) return input;
  }
  return std::nullopt;
}

Scalar ToScalar(const Challenge& challenge) {
  Scalar scalar{};
  std::copy(challenge.begin(), challenge.end(), scalar.begin());
  return scalar;
}

}  // namespace

bool CandidateToCurve(const Point& candidate, Point& out) {
  if (!IsPoint(candidate)) return false;
  out = MultiplyByCofactor(candidate);
  return out != kEd25519Identity;
}

absl::StatusOr<std::unique_ptr<Ed25519Prover>> Ed25519Prover::Create(const SecretBytes& secret) {
  KT_ASSIGN_OR_RETURN(Ed25519Key key, MakeEd25519Key(secret));
  return std::unique_ptr<Ed25519Prover>(new Ed25519Prover(std::move(key)));
}

std::vector<VrfOutput> Ed25519Prover::Evaluate(std::span<const Bytes> alphas) const {
  std::vector<VrfOutput> outputs;
  outputs.reserve(alphas.size());
  for (const Bytes& alpha : alphas) {
    const std::optional<CurveInput> input = EncodeToCurve(key_.public_key, alpha);
    KT_CHECK(input.has_value());
    // 8*Gamma in one multiplication, without Gamma.
    outputs.push_back(ToOutput(HashEd25519Gamma(Multiply(key_.cofactor_x.Expose(), input->h))));
  }
  return outputs;
}

std::vector<ProvenOutput> Ed25519Prover::Prove(std::span<const Bytes> alphas) const {
  std::vector<ProvenOutput> proven;
  proven.reserve(alphas.size());
  for (const Bytes& alpha : alphas) {
    const Ed25519Transcript transcript = ProveInDetail(alpha);
    proven.push_back({ToOutput(transcript.beta), base::ToBytes(ByteView(transcript.proof))});
  }
  return proven;
}

Ed25519Transcript Ed25519Prover::ProveInDetail(ByteView alpha) const {
  const std::optional<CurveInput> input = EncodeToCurve(key_.public_key, alpha);
  KT_CHECK(input.has_value());
  const SecretBytes k = Nonce(input->h).k;

  Ed25519Transcript transcript;
  transcript.ctr = input->ctr;
  transcript.h = input->h;
  const Point gamma = Multiply(key_.x.Expose(), transcript.h);
  transcript.u = MultiplyBase(k.Expose());
  transcript.v = Multiply(k.Expose(), transcript.h);
  const Challenge c =
      Ed25519Challenge(key_.public_key, transcript.h, gamma, transcript.u, transcript.v);
  WriteEd25519Proof(gamma, c, Ed25519Response(key_, k.Expose(), c), transcript.proof);
  transcript.beta = HashEd25519Gamma(MultiplyByCofactor(gamma));
  return transcript;
}

absl::StatusOr<std::unique_ptr<Ed25519Verifier>> Ed25519Verifier::Create(ByteView public_key) {
  KT_CHECK(sodium_init() >= 0);
  Point key{};
  if (public_key.size() != key.size()) return BadEd25519PublicKey();
  std::copy(public_key.begin(), public_key.end(), key.begin());
  if (!IsPoint(key) || IsEd25519SmallOrder(key)) return BadEd25519PublicKey();
  return std::unique_ptr<Ed25519Verifier>(new Ed25519Verifier(key));
}

absl::StatusOr<std::vector<VrfOutput>> Ed25519Verifier::Verify(
    std::span<const Claim> claims) const {
  std::vector<VrfOutput> outputs;
  outputs.reserve(claims.size());
  for (const Claim& claim : claims) {
    KT_ASSIGN_OR_RETURN(const VrfOutput output, VerifyOne(claim));
    outputs.push_back(output);
  }
  return outputs;
}

absl::StatusOr<VrfOutput> Ed25519Verifier::VerifyOne(const Claim& claim) const {
  KT_ASSIGN_OR_RETURN(const Ed25519Proof proof, ParseEd25519Proof(claim.proof));
  if (!IsPoint(proof.gamma)) return BadProof("Gamma is not a point of the curve");
  const std::optional<CurveInput> input = EncodeToCurve(public_key_, claim.alpha);
  if (!input.has_value()) return BadProof("the input does not encode to the curve");

  // U = s*B - c*Y, V = s*H - c*Gamma
  const Scalar c = ToScalar(proof.c);
  const Point u = Subtract(MultiplyBase(proof.s), VartimeMultiply(c, public_key_));
  const Point v = Subtract(Multiply(proof.s, input->h), VartimeMultiply(c, proof.gamma));
  if (Ed25519Challenge(public_key_, input->h, proof.gamma, u, v) != proof.c) {
    return BadProof("its equations do not hold for this key and input");
  }
  return ToOutput(HashEd25519Gamma(MultiplyByCofactor(proof.gamma)));
}

}  // namespace kt::vrf
