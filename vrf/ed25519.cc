// SPDX-License-Identifier: Apache-2.0
#include "vrf/ed25519.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <initializer_list>
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
using Point = Ed25519Transcript::Point;
using Sha512Hash = std::array<uint8_t, kSha512Size>;

constexpr uint8_t kSuite = 0x03;  // suite_string

// The encoding of the neutral element: x = 0, y = 1.
constexpr Point kIdentity = {1};

// q = 2^252 + 27742317777372353535851937790883648493, little-endian. RFC 8032 §5.1.
constexpr Scalar kOrder = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                           0xa2, 0xde, 0xf9, 0xde, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                           0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10};

// p = 2^255 - 19, little-endian.
constexpr Point kFieldPrime = {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};

void Sha512(std::initializer_list<ByteView> parts, std::span<uint8_t> out) {
  KT_CHECK(out.size() == kSha512Size);
  crypto_hash_sha512_state state;
  crypto_hash_sha512_init(&state);
  for (ByteView part : parts) crypto_hash_sha512_update(&state, part.data(), part.size());
  crypto_hash_sha512_final(&state, out.data());
  sodium_memzero(&state, sizeof(state));
}

Sha512Hash Sha512(std::initializer_list<ByteView> parts) {
  Sha512Hash hash;
  Sha512(parts, hash);
  return hash;
}

// `wide` modulo q; up to 64 bytes, little-endian. Constant time.
SecretBytes Reduce(ByteView wide) {
  SecretBytes padded(crypto_core_ed25519_NONREDUCEDSCALARBYTES);
  SecretBytes reduced(kScalarSize);
  KT_CHECK(wide.size() <= padded.size());
  std::copy(wide.begin(), wide.end(), padded.ExposeMutable().begin());
  crypto_core_ed25519_scalar_reduce(reduced.ExposeMutable().data(), padded.Expose().data());
  return reduced;
}

// Little-endian comparison, for public values.
bool IsLess(ByteView a, ByteView b) {
  return std::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend());
}

// Whether the ordinate in `encoded` is reduced modulo p, which crypto_core_ed25519_add does not
// check. (RFC 8032 §5.1.3 also refuses x = 0 with the sign set; those points are of small order.)
bool HasCanonicalY(const Point& encoded) {
  Point y = encoded;
  y[31] &= 0x7f;
  return IsLess(y, kFieldPrime);
}

// Whether `encoded` is the canonical encoding of a point of the prime-order group other than the
// neutral element.
bool IsGroupElement(ByteView encoded) {
  return encoded.size() == kEd25519PointSize &&
         crypto_core_ed25519_is_valid_point(encoded.data()) == 1;
}

// 8 * point. False if `point` is not on the curve; its ordinate is read modulo p. In this way since
// libsodium multiplies no point outside of the prime-order group.
bool MultiplyByCofactor(const Point& point, Point& out) {
  out = point;
  for (int doubling = 0; doubling < 3; ++doubling) {
    const Point half = out;
    if (crypto_core_ed25519_add(out.data(), half.data(), half.data()) != 0) return false;
  }
  return true;
}

// scalar * point, in constant time for scalars other than 0, which libsodium treats as a failure.
// False unless IsGroupElement(point). The scalar has 32 bytes and less than 256 bits.
bool Multiply(ByteView scalar, ByteView point, Point& out) {
  if (sodium_is_zero(scalar.data(), scalar.size()) == 1) {
    out = kIdentity;
    return IsGroupElement(point);
  }
  return crypto_scalarmult_ed25519_noclamp(out.data(), scalar.data(), point.data()) == 0;
}

// scalar * B.
Point MultiplyBase(ByteView scalar) {
  Point out = kIdentity;
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
  const std::array<uint8_t, 2> front = {kSuite, kEncodeToCurveFront};
  for (unsigned ctr = 0; ctr < kMaxAttempts; ++ctr) {
    const std::array<uint8_t, 2> back = {static_cast<uint8_t>(ctr), kDomainSeparatorBack};
    const Sha512Hash hash = Sha512({front, public_key, alpha, back});
    Point candidate;
    std::copy_n(hash.begin(), candidate.size(), candidate.begin());
    CurveInput input{.ctr = ctr};
    if (CandidateToCurve(candidate, input.h)) return input;
  }
  return std::nullopt;
}

// RFC 9381 §5.4.3.
Challenge ComputeChallenge(ByteView public_key, ByteView h, ByteView gamma, ByteView u,
                           ByteView v) {
  const std::array<uint8_t, 2> front = {kSuite, kChallengeFront};
  const Sha512Hash hash =
      Sha512({front, public_key, h, gamma, u, v, ByteView(&kDomainSeparatorBack, 1)});
  Challenge challenge;
  std::copy_n(hash.begin(), challenge.size(), challenge.begin());
  return challenge;
}

// The end of ECVRF_proof_to_hash, RFC 9381 §5.2.
Sha512Hash HashCofactorGamma(const Point& cofactor_gamma) {
  const std::array<uint8_t, 2> front = {kSuite, kProofToHashFront};
  return Sha512({front, cofactor_gamma, ByteView(&kDomainSeparatorBack, 1)});
}

// ECVRF_proof_to_hash, RFC 9381 §5.2, for a Gamma on the curve.
Sha512Hash ProofToHash(const Point& gamma) {
  Point cofactor_gamma;
  KT_CHECK(MultiplyByCofactor(gamma, cofactor_gamma));
  return HashCofactorGamma(cofactor_gamma);
}

Scalar ToScalar(const Challenge& challenge) {
  Scalar scalar{};
  std::copy(challenge.begin(), challenge.end(), scalar.begin());
  return scalar;
}

}  // namespace

Ed25519ExpandedSecret ExpandEd25519Seed(const SecretBytes& seed) {
  KT_CHECK(seed.size() == kSecretSize);
  SecretBytes hash(kSha512Size);
  Sha512({seed.Expose()}, hash.ExposeMutable());
  Ed25519ExpandedSecret expanded{SecretBytes(hash.Expose().first(kScalarSize)),
                                 SecretBytes(hash.Expose().last(kScalarSize))};
  const std::span<uint8_t> x = expanded.x.ExposeMutable();
  x[0] &= 0xf8;
  x[31] &= 0x7f;
  x[31] |= 0x40;
  return expanded;
}

bool CandidateToCurve(const Point& candidate, Point& out) {
  return HasCanonicalY(candidate) && MultiplyByCofactor(candidate, out) && out != kIdentity;
}

absl::StatusOr<std::unique_ptr<Ed25519Prover>> Ed25519Prover::Create(const SecretBytes& secret) {
  KT_CHECK(sodium_init() >= 0);
  if (secret.size() != kSecretSize) {
    return absl::InvalidArgumentError("an Ed25519 VRF secret is a seed of 32 bytes");
  }
  Ed25519ExpandedSecret expanded = ExpandEd25519Seed(secret);
  std::unique_ptr<Ed25519Prover> prover(new Ed25519Prover());
  prover->prefix_ = std::move(expanded.prefix);
  prover->x_ = Reduce(expanded.x.Expose());
  const Scalar cofactor = {8};
  prover->cofactor_x_ = SecretBytes(kScalarSize);
  crypto_core_ed25519_scalar_mul(prover->cofactor_x_.ExposeMutable().data(),
                                 prover->x_.Expose().data(), cofactor.data());
  prover->public_key_ = base::ToBytes(ByteView(MultiplyBase(prover->x_.Expose())));
  return prover;
}

std::vector<VrfOutput> Ed25519Prover::Evaluate(std::span<const Bytes> alphas) const {
  std::vector<VrfOutput> outputs;
  outputs.reserve(alphas.size());
  for (const Bytes& alpha : alphas) {
    const std::optional<CurveInput> input = EncodeToCurve(public_key_, alpha);
    // 8*Gamma in one multiplication, without Gamma.
    Point cofactor_gamma;
    KT_CHECK(input.has_value() && Multiply(cofactor_x_.Expose(), input->h, cofactor_gamma));
    outputs.push_back(ToOutput(HashCofactorGamma(cofactor_gamma)));
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
  const std::optional<CurveInput> input = EncodeToCurve(public_key_, alpha);
  KT_CHECK(input.has_value());
  const SecretBytes k = Nonce(input->h).k;

  Ed25519Transcript transcript;
  transcript.ctr = input->ctr;
  transcript.h = input->h;
  Point gamma;
  KT_CHECK(Multiply(x_.Expose(), transcript.h, gamma));
  transcript.u = MultiplyBase(k.Expose());
  KT_CHECK(Multiply(k.Expose(), transcript.h, transcript.v));
  const Challenge c =
      ComputeChallenge(public_key_, transcript.h, gamma, transcript.u, transcript.v);

  // s = k + c*x
  SecretBytes product(kScalarSize);
  Scalar s;
  crypto_core_ed25519_scalar_mul(product.ExposeMutable().data(), ToScalar(c).data(),
                                 x_.Expose().data());
  crypto_core_ed25519_scalar_add(s.data(), product.Expose().data(), k.Expose().data());

  auto out = std::copy(gamma.begin(), gamma.end(), transcript.proof.begin());
  out = std::copy(c.begin(), c.end(), out);
  std::copy(s.begin(), s.end(), out);
  transcript.beta = ProofToHash(gamma);
  return transcript;
}

Ed25519Nonce Ed25519Prover::Nonce(ByteView h) const {
  SecretBytes k_string(kSha512Size);
  Sha512({prefix_.Expose(), h}, k_string.ExposeMutable());
  SecretBytes k = Reduce(k_string.Expose());
  return {std::move(k_string), std::move(k)};
}

absl::StatusOr<std::unique_ptr<Ed25519Verifier>> Ed25519Verifier::Create(ByteView public_key) {
  KT_CHECK(sodium_init() >= 0);
  if (!IsGroupElement(public_key)) {
    return absl::InvalidArgumentError(
        "not an Ed25519 VRF public key: a point of the prime-order group, 32 bytes");
  }
  std::unique_ptr<Ed25519Verifier> verifier(new Ed25519Verifier());
  verifier->public_key_ = base::ToBytes(public_key);
  return verifier;
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
  if (claim.proof.size() != kEd25519ProofSize) return BadProof("it has the wrong length");
  Point gamma;
  Challenge c;
  Scalar s;
  auto in = claim.proof.begin();
  for (std::span<uint8_t> part :
       {std::span<uint8_t>(gamma), std::span<uint8_t>(c), std::span<uint8_t>(s)}) {
    std::copy_n(in, part.size(), part.begin());
    in += static_cast<std::ptrdiff_t>(part.size());
  }
  if (!IsLess(s, kOrder)) return BadProof("s is out of range");

  Point c_gamma;
  if (!Multiply(ToScalar(c), gamma, c_gamma)) {
    return BadProof("Gamma is not a point of the prime-order group");
  }
  const std::optional<CurveInput> input = EncodeToCurve(public_key_, claim.alpha);
  if (!input.has_value()) return BadProof("the input does not encode to the curve");

  // U = s*B - c*Y, V = s*H - c*Gamma
  Point c_y;
  Point s_h;
  Point u;
  Point v;
  const Point s_b = MultiplyBase(s);
  KT_CHECK(Multiply(ToScalar(c), public_key_, c_y));
  KT_CHECK(Multiply(s, input->h, s_h));
  KT_CHECK(crypto_core_ed25519_sub(u.data(), s_b.data(), c_y.data()) == 0);
  KT_CHECK(crypto_core_ed25519_sub(v.data(), s_h.data(), c_gamma.data()) == 0);

  if (ComputeChallenge(public_key_, input->h, gamma, u, v) != c) {
    return BadProof("its equations do not hold for this key and input");
  }
  return ToOutput(ProofToHash(gamma));
}

}  // namespace kt::vrf
