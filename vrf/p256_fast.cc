// SPDX-License-Identifier: Apache-2.0
#include "vrf/p256_fast.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "base/check.h"
#include "vrf/p256_field.h"
#include "vrf/p256_portable.h"

namespace kt::vrf {
namespace {

using base::Bytes;
using base::ByteView;
using base::SecretBytes;
using base::VrfOutput;
using p256::Field;
using p256::Lifted;
using p256::PlainPoint;
using p256::SecretDigits;
using p256::SecretScalar;
using PointBytes = P256Transcript::Point;

// point_to_string, of any point: infinity takes a single byte (SEC 1 §2.3.3). Only a verifier can
// meet it, as U or V of a proof made with the nonce 0.
class EncodedPoint {
 public:
  explicit EncodedPoint(const PlainPoint& point) {
    if (point.infinity) {
      bytes_[0] = kInfinity;
      size_ = 1;
      return;
    }
    bytes_[0] = (point.y.limb[0] & 1) != 0 ? kOddY : kEvenY;
    p256::FieldToBytes(point.x, std::span<uint8_t, kP256PointSize>(bytes_).subspan<1>());
  }

  ByteView view() const { return {bytes_.data(), size_}; }
  // Where infinity cannot occur.
  const PointBytes& bytes() const {
    KT_CHECK(size_ == kP256PointSize);
    return bytes_;
  }

 private:
  PointBytes bytes_{};
  size_t size_ = kP256PointSize;
};

struct CurveInput {
  bool found = false;
  unsigned ctr = 0;  // the attempt that succeeded; while none has, the next one
  PointBytes h{};
  p256::CurvePoint point{};
};

// try_and_increment for many inputs, RFC 9381 §5.4.1.1. Each pass lifts candidates of all inputs
// that have none yet, and several of each when there is room. In the first pass the abscissas
// `others` come along, which saves them one of their own.
std::vector<CurveInput> EncodeToCurve(const p256::Engine& engine, ByteView prefix,
                                      std::span<const ByteView> alphas,
                                      std::span<const Field> others, std::span<Lifted> lifted) {
  std::vector<CurveInput> inputs(alphas.size());
  std::vector<size_t> pending(alphas.size());
  for (size_t i = 0; i < pending.size(); ++i) pending[i] = i;
  struct Attempt {
    size_t input;
    unsigned ctr;
    base::Hash hash;
  };
  std::vector<Attempt> attempts;
  std::vector<Field> abscissas(others.begin(), others.end());
  std::vector<Lifted> results;
  for (bool first = true; first || !pending.empty(); first = false) {
    const size_t width = engine.lift_width();
    const size_t room = width - std::min(width, abscissas.size());
    const size_t each = pending.empty() ? 0 : std::max<size_t>(room / pending.size(), 1);
    for (size_t input : pending) {
      for (size_t i = 0; i < each && inputs[input].ctr < kMaxAttempts; ++i) {
        const unsigned ctr = inputs[input].ctr++;
        const base::Hash hash = P256Candidate(prefix, alphas[input], ctr);
        Field x;
        if (!p256::FieldFromBytes(hash.view(), x)) continue;
        attempts.push_back({input, ctr, hash});
        abscissas.push_back(x);
      }
    }
    results.resize(abscissas.size());
    engine.Lift(abscissas, results);
    const size_t before = abscissas.size() - attempts.size();
    std::copy_n(results.begin(), before, lifted.begin());
    for (size_t i = 0; i < attempts.size(); ++i) {
      CurveInput& input = inputs[attempts[i].input];
      if (input.found || !results[before + i].on_curve) continue;
      input.found = true;
      input.ctr = attempts[i].ctr;
      input.h[0] = kEvenY;
      std::copy(attempts[i].hash.bytes.begin(), attempts[i].hash.bytes.end(), input.h.begin() + 1);
      input.point = results[before + i].point;
    }
    attempts.clear();
    abscissas.clear();
    std::erase_if(pending, [&](size_t input) {
      return inputs[input].found || inputs[input].ctr >= kMaxAttempts;
    });
  }
  return inputs;
}

const p256::Engine& EngineFor(const p256::Engine& engine, size_t items) {
  return items == 1 ? engine.ForOne() : engine;
}

// For a prover, who cannot go on without.
std::vector<CurveInput> MustEncodeToCurve(const p256::Engine& engine, ByteView prefix,
                                          std::span<const Bytes> alphas) {
  const std::vector<ByteView> views(alphas.begin(), alphas.end());
  std::vector<CurveInput> inputs = EncodeToCurve(engine, prefix, views, {}, {});
  for (const CurveInput& input : inputs) KT_CHECK(input.found);
  return inputs;
}

std::vector<p256::CurvePoint> PointsOf(std::span<const CurveInput> inputs) {
  std::vector<p256::CurvePoint> points;
  points.reserve(inputs.size());
  for (const CurveInput& input : inputs) points.push_back(input.point);
  return points;
}

// The first step of string_to_point: compressed points only, of which each has one encoding.
// Whether the abscissa is one of the curve is left to Lift().
bool ReadAbscissa(ByteView encoded, Field& x) {
  return encoded.size() == kP256PointSize && (encoded[0] == kEvenY || encoded[0] == kOddY) &&
         p256::FieldFromBytes(encoded.subspan(1), x);
}

p256::CurvePoint WithTag(uint8_t tag, const p256::CurvePoint& even) {
  return tag == kOddY ? p256::Negate(even) : even;
}

// Wipes what secret digits it holds, as they wipe themselves.
std::vector<SecretDigits> DigitsOf(std::span<const SecretScalar> scalars) {
  std::vector<SecretDigits> digits;
  digits.reserve(scalars.size());
  for (const SecretScalar& scalar : scalars) digits.emplace_back(scalar);
  return digits;
}

}  // namespace

P256FastProver::P256FastProver(const p256::Engine& engine, const SecretBytes& secret)
    : engine_(engine), secret_(secret.Clone()), x_(SecretScalar(secret.Expose())) {
  p256::ToMontgomeryModOrder(SecretScalar(secret.Expose()), x_montgomery_);
  public_key_ = base::ToBytes(ByteView(EncodedPoint(p256::MultiplyGenerator(x_)).bytes()));
  encode_prefix_ = P256EncodePrefix(public_key_);
}

absl::StatusOr<std::unique_ptr<P256FastProver>> P256FastProver::Create(const p256::Engine& engine,
                                                                       const SecretBytes& secret) {
  if (secret.size() != kSecretSize || !p256::ScalarInRange(secret.Expose())) {
    return absl::InvalidArgumentError(
        "a P-256 VRF secret is a scalar of 32 bytes, from 1 to q - 1");
  }
  return std::unique_ptr<P256FastProver>(new P256FastProver(engine, secret));
}

std::vector<VrfOutput> P256FastProver::Evaluate(std::span<const Bytes> alphas) const {
  const p256::Engine& engine = EngineFor(engine_, alphas.size());
  const std::vector<CurveInput> inputs = MustEncodeToCurve(engine, encode_prefix_, alphas);
  std::vector<PlainPoint> gammas(inputs.size());
  engine.Multiply(x_, PointsOf(inputs), gammas);
  std::vector<VrfOutput> outputs;
  outputs.reserve(inputs.size());
  for (const PlainPoint& gamma : gammas) {
    outputs.push_back(ToOutput(P256ProofToHash(EncodedPoint(gamma).bytes()).view()));
  }
  return outputs;
}

std::vector<ProvenOutput> P256FastProver::Prove(std::span<const Bytes> alphas) const {
  std::vector<ProvenOutput> proven;
  proven.reserve(alphas.size());
  for (const P256Transcript& transcript : ProveInDetail(alphas)) {
    proven.push_back({ToOutput(transcript.beta), base::ToBytes(ByteView(transcript.proof))});
  }
  return proven;
}

P256Transcript P256FastProver::ProveInDetail(const Bytes& alpha) const {
  return ProveInDetail({&alpha, 1}).front();
}

std::vector<P256Transcript> P256FastProver::ProveInDetail(std::span<const Bytes> alphas) const {
  const std::vector<CurveInput> inputs = MustEncodeToCurve(engine_, encode_prefix_, alphas);
  std::vector<SecretScalar> k(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    k[i].Load(P256Nonce(secret_, inputs[i].h).Expose());
  }
  std::vector<p256::ProofPoints> points(inputs.size());
  engine_.Prove(x_, DigitsOf(k), PointsOf(inputs), points);

  std::vector<P256Transcript> transcripts(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    P256Transcript& transcript = transcripts[i];
    const PointBytes gamma = EncodedPoint(points[i].gamma).bytes();
    transcript.ctr = inputs[i].ctr;
    transcript.h = inputs[i].h;
    transcript.u = EncodedPoint(points[i].u).bytes();
    transcript.v = EncodedPoint(points[i].v).bytes();
    const Challenge c = P256Challenge(public_key_, transcript.h, gamma, transcript.u, transcript.v);
    SecretScalar s;
    p256::MulAddModOrder(k[i], SecretScalar(c), x_montgomery_, s);
    auto out = std::copy(gamma.begin(), gamma.end(), transcript.proof.begin());
    std::copy(c.begin(), c.end(), out);
    s.ToBytes(std::span(transcript.proof).last<kScalarSize>());
    transcript.beta = P256ProofToHash(gamma).bytes;
  }
  return transcripts;
}

P256FastVerifier::P256FastVerifier(const p256::Engine& engine, ByteView public_key,
                                   const p256::CurvePoint& y)
    : engine_(engine),
      public_key_(base::ToBytes(public_key)),
      encode_prefix_(P256EncodePrefix(public_key)),
      key_table_(y) {}

absl::StatusOr<std::unique_ptr<P256FastVerifier>> P256FastVerifier::Create(
    const p256::Engine& engine, ByteView public_key) {
  // The encoding has no room for infinity, the one point that ECVRF_validate_key refuses.
  Field x;
  Lifted lifted;
  const bool is_field_element = ReadAbscissa(public_key, x);
  if (is_field_element) p256::Portable().Lift({&x, 1}, {&lifted, 1});
  if (!lifted.on_curve) {
    return absl::InvalidArgumentError("not a P-256 VRF public key: a compressed point, 33 bytes");
  }
  return std::unique_ptr<P256FastVerifier>(
      new P256FastVerifier(engine, public_key, WithTag(public_key[0], lifted.point)));
}

absl::StatusOr<std::vector<VrfOutput>> P256FastVerifier::Verify(
    std::span<const Claim> claims) const {
  const size_t n = claims.size();
  std::vector<ByteView> alphas(n);
  std::vector<Field> abscissas(n);
  std::vector<p256::ProofTerms> terms(n);
  for (size_t i = 0; i < n; ++i) {
    const ByteView proof = claims[i].proof;
    if (proof.size() != kP256ProofSize) return BadProof("it has the wrong length");
    if (!p256::ReadScalar(proof.last(kScalarSize), terms[i].s)) {
      return BadProof("s is out of range");
    }
    if (!ReadAbscissa(proof.first(kP256PointSize), abscissas[i])) {
      return BadProof("Gamma is not a point");
    }
    p256::ReadChallenge(proof.subspan(kP256PointSize, kChallengeSize), terms[i].c);
    alphas[i] = claims[i].alpha;
  }

  const p256::Engine& engine = EngineFor(engine_, n);
  std::vector<Lifted> gammas(n);
  const std::vector<CurveInput> inputs =
      EncodeToCurve(engine, encode_prefix_, alphas, abscissas, gammas);
  for (size_t i = 0; i < n; ++i) {
    if (!gammas[i].on_curve) return BadProof("Gamma is not a point");
    if (!inputs[i].found) return BadProof("the input does not encode to the curve");
    terms[i].gamma = WithTag(claims[i].proof[0], gammas[i].point);
    terms[i].h = inputs[i].point;
  }
  std::vector<p256::CheckPoints> points(n);
  engine.Check(key_table_, terms, points);

  std::vector<VrfOutput> outputs;
  outputs.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    const ByteView gamma = claims[i].proof.first(kP256PointSize);
    const ByteView c = claims[i].proof.subspan(kP256PointSize, kChallengeSize);
    const Challenge expected =
        P256Challenge(public_key_, inputs[i].h, gamma, EncodedPoint(points[i].u).view(),
                      EncodedPoint(points[i].v).view());
    if (!std::equal(expected.begin(), expected.end(), c.begin(), c.end())) {
      return BadProof("its equations do not hold for this key and input");
    }
    outputs.push_back(ToOutput(P256ProofToHash(gamma).view()));
  }
  return outputs;
}

}  // namespace kt::vrf
