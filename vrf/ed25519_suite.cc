// SPDX-License-Identifier: Apache-2.0
#include "vrf/ed25519_suite.h"

#include <sodium.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "absl/status/status.h"
#include "base/check.h"

namespace kt::vrf {
namespace {

using base::Bytes;
using base::ByteView;
using base::SecretBytes;

constexpr uint8_t kSuite = 0x03;  // suite_string

// q = 2^252 + 27742317777372353535851937790883648493, little-endian. RFC 8032 §5.1.
constexpr Scalar kOrder = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                           0xa2, 0xde, 0xf9, 0xde, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                           0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10};

// The ordinates of the points of order 8; one is minus the other.
constexpr Ed25519Point kOrder8Y = {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
                                   0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
                                   0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a};
constexpr Ed25519Point kMinusOrder8Y = {
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
    0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05};
constexpr Ed25519Point kMinusOneY = {
    0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};

constexpr Ed25519Point WithSign(Ed25519Point y) {
  y[31] |= 0x80;
  return y;
}

Sha512Hash Sha512(ByteView message) {
  Sha512Hash hash;
  crypto_hash_sha512(hash.data(), message.data(), message.size());
  return hash;
}

// Of a message that is secret.
SecretBytes SecretSha512(ByteView message) {
  SecretBytes hash(kSha512Size);
  crypto_hash_sha512(hash.ExposeMutable().data(), message.data(), message.size());
  return hash;
}

void Append(std::initializer_list<ByteView> parts, Bytes& out) {
  for (const ByteView part : parts) base::Append(out, part);
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

}  // namespace

const std::array<Ed25519Point, 8> kEd25519SmallOrderPoints = {
    kEd25519Identity,        kOrder8Y,       WithSign({}),      kMinusOrder8Y, kMinusOneY,
    WithSign(kMinusOrder8Y), Ed25519Point{}, WithSign(kOrder8Y)};

bool IsEd25519SmallOrder(const Ed25519Point& encoded) {
  return std::ranges::find(kEd25519SmallOrderPoints, encoded) != kEd25519SmallOrderPoints.end();
}

Ed25519ExpandedSecret ExpandEd25519Seed(const SecretBytes& seed) {
  KT_CHECK(seed.size() == kSecretSize);
  const SecretBytes hash = SecretSha512(seed.Expose());
  Ed25519ExpandedSecret expanded{SecretBytes(hash.Expose().first(kScalarSize)),
                                 SecretBytes(hash.Expose().last(kScalarSize))};
  const std::span<uint8_t> x = expanded.x.ExposeMutable();
  x[0] &= 0xf8;
  x[31] &= 0x7f;
  x[31] |= 0x40;
  return expanded;
}

absl::StatusOr<Ed25519Key> MakeEd25519Key(const SecretBytes& secret) {
  KT_CHECK(sodium_init() >= 0);
  if (secret.size() != kSecretSize) {
    return absl::InvalidArgumentError("an Ed25519 VRF secret is a seed of 32 bytes");
  }
  Ed25519ExpandedSecret expanded = ExpandEd25519Seed(secret);
  Ed25519Key key;
  key.prefix = std::move(expanded.prefix);
  // Not 0: of the multiples of q, none that is a multiple of 8 lies between 2^254 and 2^255.
  key.x = Reduce(expanded.x.Expose());
  const Scalar cofactor = {8};
  key.cofactor_x = SecretBytes(kScalarSize);
  crypto_core_ed25519_scalar_mul(key.cofactor_x.ExposeMutable().data(), key.x.Expose().data(),
                                 cofactor.data());
  key.public_key.resize(kEd25519PointSize);
  KT_CHECK(crypto_scalarmult_ed25519_base_noclamp(key.public_key.data(), key.x.Expose().data()) ==
           0);
  return key;
}

void AppendEd25519NonceMessage(const Ed25519Key& key, ByteView h, Bytes& out) {
  Append({key.prefix.Expose(), h}, out);
}

SecretBytes Ed25519NonceOf(ByteView k_string) { return Reduce(k_string); }

Ed25519Nonce MakeEd25519Nonce(const Ed25519Key& key, ByteView h) {
  Bytes message;
  message.reserve(key.prefix.size() + h.size());  // so that no copy is left behind
  AppendEd25519NonceMessage(key, h, message);
  SecretBytes k_string = SecretSha512(message);
  base::SecureZero(message);
  SecretBytes k = Ed25519NonceOf(k_string.Expose());
  return {std::move(k_string), std::move(k)};
}

Scalar Ed25519Response(const Ed25519Key& key, ByteView k, const Challenge& c) {
  KT_CHECK(k.size() == kScalarSize);
  Scalar wide_c{};
  std::copy(c.begin(), c.end(), wide_c.begin());
  SecretBytes product(kScalarSize);
  Scalar s;
  crypto_core_ed25519_scalar_mul(product.ExposeMutable().data(), wide_c.data(),
                                 key.x.Expose().data());
  crypto_core_ed25519_scalar_add(s.data(), product.Expose().data(), k.data());
  return s;
}

void AppendEd25519CandidateMessage(ByteView public_key, ByteView alpha, unsigned ctr, Bytes& out) {
  const std::array<uint8_t, 2> front = {kSuite, kEncodeToCurveFront};
  const std::array<uint8_t, 2> back = {static_cast<uint8_t>(ctr), kDomainSeparatorBack};
  Append({front, public_key, alpha, back}, out);
}

Ed25519Point Ed25519CandidateOf(ByteView hash) {
  Ed25519Point candidate;
  std::copy_n(hash.begin(), candidate.size(), candidate.begin());
  return candidate;
}

Ed25519Point Ed25519Candidate(ByteView public_key, ByteView alpha, unsigned ctr) {
  Bytes message;
  AppendEd25519CandidateMessage(public_key, alpha, ctr, message);
  return Ed25519CandidateOf(Sha512(message));
}

void AppendEd25519ChallengeMessage(ByteView public_key, ByteView h, ByteView gamma, ByteView u,
                                   ByteView v, Bytes& out) {
  const std::array<uint8_t, 2> front = {kSuite, kChallengeFront};
  Append({front, public_key, h, gamma, u, v, ByteView(&kDomainSeparatorBack, 1)}, out);
}

Challenge Ed25519ChallengeOf(ByteView hash) {
  Challenge challenge;
  std::copy_n(hash.begin(), challenge.size(), challenge.begin());
  return challenge;
}

Challenge Ed25519Challenge(ByteView public_key, ByteView h, ByteView gamma, ByteView u,
                           ByteView v) {
  Bytes message;
  AppendEd25519ChallengeMessage(public_key, h, gamma, u, v, message);
  return Ed25519ChallengeOf(Sha512(message));
}

void AppendEd25519OutputMessage(ByteView cofactor_gamma, Bytes& out) {
  const std::array<uint8_t, 2> front = {kSuite, kProofToHashFront};
  Append({front, cofactor_gamma, ByteView(&kDomainSeparatorBack, 1)}, out);
}

Sha512Hash HashEd25519Gamma(ByteView cofactor_gamma) {
  Bytes message;
  AppendEd25519OutputMessage(cofactor_gamma, message);
  return Sha512(message);
}

absl::StatusOr<Ed25519Proof> ParseEd25519Proof(ByteView pi_string) {
  if (pi_string.size() != kEd25519ProofSize) return BadProof("it has the wrong length");
  Ed25519Proof proof;
  auto in = pi_string.begin();
  for (std::span<uint8_t> part : {std::span<uint8_t>(proof.gamma), std::span<uint8_t>(proof.c),
                                  std::span<uint8_t>(proof.s)}) {
    std::copy_n(in, part.size(), part.begin());
    in += static_cast<std::ptrdiff_t>(part.size());
  }
  if (!std::lexicographical_compare(proof.s.rbegin(), proof.s.rend(), kOrder.rbegin(),
                                    kOrder.rend())) {
    return BadProof("s is out of range");
  }
  return proof;
}

void WriteEd25519Proof(ByteView gamma, const Challenge& c, const Scalar& s,
                       std::span<uint8_t> out) {
  KT_CHECK(out.size() == kEd25519ProofSize && gamma.size() == kEd25519PointSize);
  auto next = std::copy(gamma.begin(), gamma.end(), out.begin());
  next = std::copy(c.begin(), c.end(), next);
  std::copy(s.begin(), s.end(), next);
}

absl::Status BadEd25519PublicKey() {
  return absl::InvalidArgumentError(
      "not an Ed25519 VRF public key: the encoding of a point that is not of small order, 32 "
      "bytes");
}

}  // namespace kt::vrf
