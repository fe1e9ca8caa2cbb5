// SPDX-License-Identifier: Apache-2.0
#include "vrf/ed25519_batch.h"

#include <sodium.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/status.h"

namespace kt::vrf {
namespace {

using base::Bytes;
using base::ByteView;
using base::SecretBytes;
using base::VrfOutput;
using ed25519::AffineBytes;
using ed25519::Kernel;
using ed25519::kMaxBatch;
using ed25519::PointBytes;

PointBytes ToPointBytes(const Ed25519Point& point) {
  PointBytes bytes;
  std::copy(point.begin(), point.end(), bytes.bytes);
  return bytes;
}

// RFC 8032 §5.1.2, of coordinates.
Ed25519Point Encode(const AffineBytes& point) {
  Ed25519Point encoded;
  std::copy_n(point.y, encoded.size(), encoded.begin());
  encoded[31] = static_cast<uint8_t>(encoded[31] | (point.x[0] & 1) << 7);
  return encoded;
}

using Hashes = std::array<ed25519::HashBytes, kMaxBatch>;

// Hashes `count` messages together: `append(i, bytes)` appends message i, whose hash comes to
// out[i].
template <typename AppendMessage>
void HashTogether(const Kernel& kernel, size_t count, AppendMessage append, Hashes& out) {
  // Enough for all but candidates of long inputs. Messages of nonces, which are secret, must not be
  // moved: they would leave a copy behind.
  constexpr size_t kReserved = kMaxBatch * 192;
  if (count == 0) return;
  KT_CHECK(count <= kMaxBatch);
  Bytes bytes;
  bytes.reserve(kReserved);
  std::array<size_t, kMaxBatch> ends;
  for (size_t i = 0; i < count; ++i) {
    append(i, bytes);
    ends[i] = bytes.size();
  }
  std::array<ed25519::HashMessage, kMaxBatch> messages;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    messages[i] = {bytes.data() + begin, ends[i] - begin};
  }
  kernel.hash(messages.data(), count, out.data());
  base::SecureZero(bytes);
}

// Finds the candidates of a batch: attempts of all inputs are decoded together, and lanes that
// would stay idle try later ones. RFC 9381 §5.4.1.1 but for the last step, the multiplication by 8.
class CandidateSearch {
 public:
  CandidateSearch(const Kernel& kernel, ByteView public_key) : kernel_(kernel), key_(public_key) {}

  // Decodes one more point in passing; before Run().
  void AddEncoded(const Ed25519Point& point) {
    KT_CHECK(extras_ < kMaxBatch);
    encoded_[extras_++] = ToPointBytes(point);
  }
  void AddAlpha(ByteView alpha) { open_.push_back({alpha, inputs_++, 0}); }

  // False if all attempts of an input failed, which those of no input do.
  bool Run() {
    candidates_.resize(inputs_);
    for (size_t extras = extras_; !open_.empty(); extras = 0) {
      FillSlots(extras);
      kernel_.decode(encoded_.data(), extras + slots_.size(), decoded_.data(), valid_.data());
      if (extras > 0) {
        extra_points_.assign(decoded_.begin(), decoded_.begin() + static_cast<ptrdiff_t>(extras));
        extra_valid_.assign(valid_.begin(), valid_.begin() + static_cast<ptrdiff_t>(extras));
      }
      if (!TakeResults(extras)) return false;
    }
    return true;
  }

  // In the order of AddAlpha().
  const std::vector<AffineBytes>& candidates() const { return candidates_; }
  // In the order of AddEncoded().
  bool IsValid(size_t i) const { return extra_valid_[i] == 1; }
  const AffineBytes& extra(size_t i) const { return extra_points_[i]; }

 private:
  struct Input {
    ByteView alpha;
    size_t index;
    unsigned ctr;  // the next attempt
  };

  // One attempt of each input and, as long as lanes are free, the ones that follow.
  void FillSlots(size_t extras) {
    const size_t lanes = kernel_.lanes;
    const size_t wanted = (extras + open_.size() + lanes - 1) / lanes * lanes - extras;
    KT_CHECK(extras + wanted <= kMaxBatch);
    slots_.clear();
    while (slots_.size() < wanted) {
      Input& input = open_[slots_.size() % open_.size()];
      if (input.ctr == kMaxAttempts) break;
      slots_.push_back({input.index, input.alpha, input.ctr++, false});
    }
    const auto append = [&](size_t i, Bytes& bytes) {
      AppendEd25519CandidateMessage(key_, slots_[i].alpha, slots_[i].ctr, bytes);
    };
    HashTogether(kernel_, slots_.size(), append, hashes_);
    for (size_t i = 0; i < slots_.size(); ++i) {
      const Ed25519Point candidate = Ed25519CandidateOf(hashes_[i].bytes);
      slots_[i].usable = !IsEd25519SmallOrder(candidate);
      encoded_[extras + i] = ToPointBytes(candidate);
    }
  }

  bool TakeResults(size_t extras) {
    // Attempts of one input stand in their order, so that the first success is the one that counts.
    for (size_t i = slots_.size(); i-- > 0;) {
      if (!slots_[i].usable || valid_[extras + i] != 1) continue;
      candidates_[slots_[i].index] = decoded_[extras + i];
      found_[slots_[i].index] = true;
    }
    std::erase_if(open_, [&](const Input& input) { return found_[input.index]; });
    return std::ranges::none_of(open_,
                                [](const Input& input) { return input.ctr == kMaxAttempts; });
  }

  struct Slot {
    size_t index;
    ByteView alpha;
    unsigned ctr;
    bool usable;  // 8 times the point is not the neutral element
  };

  const Kernel& kernel_;
  const ByteView key_;
  size_t extras_ = 0;
  size_t inputs_ = 0;
  std::vector<Input> open_;
  std::vector<Slot> slots_;
  std::array<bool, kMaxBatch> found_{};
  Hashes hashes_;
  std::array<PointBytes, kMaxBatch> encoded_;
  std::array<AffineBytes, kMaxBatch> decoded_;
  std::array<uint8_t, kMaxBatch> valid_;
  std::vector<AffineBytes> candidates_;
  std::vector<AffineBytes> extra_points_;
  std::vector<uint8_t> extra_valid_;
};

// Calls `run` with at most `size` of `all` at a time.
template <typename T, typename Run>
void InPieces(std::span<const T> all, size_t size, Run run) {
  for (; !all.empty(); all = all.subspan(std::min(size, all.size()))) {
    run(all.first(std::min(size, all.size())));
  }
}

// The candidates of inputs to a prover, who has none that fails.
std::vector<AffineBytes> FindCandidates(const Kernel& kernel, ByteView public_key,
                                        std::span<const Bytes> alphas) {
  CandidateSearch search(kernel, public_key);
  for (const Bytes& alpha : alphas) search.AddAlpha(alpha);
  KT_CHECK(search.Run());
  return search.candidates();
}

// Lanes that stay empty cost as much as the others.
const Kernel& KernelFor(const Kernel& kernel, size_t count) {
  return count < kernel.min_to_prove ? ed25519::PortableKernel() : kernel;
}

// With the nonces, which go with it.
struct ProveInputs {
  ProveInputs() = default;
  ProveInputs(const ProveInputs&) = delete;
  ProveInputs& operator=(const ProveInputs&) = delete;
  ~ProveInputs() {
    for (ed25519::ProveInput& item : items) base::SecureZero(item.k);
    for (ed25519::HashBytes& k_string : k_strings) base::SecureZero(k_string.bytes);
  }
  std::array<ed25519::ProveInput, kMaxBatch> items;
  Hashes k_strings;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Ed25519BatchProver>> Ed25519BatchProver::Create(
    const Kernel& kernel, const SecretBytes& secret) {
  KT_ASSIGN_OR_RETURN(Ed25519Key key, MakeEd25519Key(secret));
  return std::make_unique<Ed25519BatchProver>(kernel, std::move(key));
}

std::vector<VrfOutput> Ed25519BatchProver::Evaluate(std::span<const Bytes> alphas) const {
  std::vector<VrfOutput> outputs;
  outputs.reserve(alphas.size());
  InPieces(alphas, kMaxBatch, [&](auto some) { EvaluateSome(some, outputs); });
  return outputs;
}

void Ed25519BatchProver::EvaluateSome(std::span<const Bytes> alphas,
                                      std::vector<VrfOutput>& out) const {
  const Kernel& kernel = KernelFor(kernel_, alphas.size());
  const std::vector<AffineBytes> candidates = FindCandidates(kernel, key_.public_key, alphas);
  // x*H times the cofactor is 8*Gamma, without Gamma.
  std::array<PointBytes, kMaxBatch> cofactor_gammas;
  kernel.evaluate(key_.cofactor_x.Expose().data(), candidates.data(), candidates.size(),
                  cofactor_gammas.data());
  const auto append = [&](size_t i, Bytes& bytes) {
    AppendEd25519OutputMessage(cofactor_gammas[i].bytes, bytes);
  };
  Hashes hashes;
  HashTogether(kernel, alphas.size(), append, hashes);
  for (size_t i = 0; i < alphas.size(); ++i) out.push_back(ToOutput(hashes[i].bytes));
}

std::vector<ProvenOutput> Ed25519BatchProver::Prove(std::span<const Bytes> alphas) const {
  std::vector<ProvenOutput> proven;
  proven.reserve(alphas.size());
  InPieces(alphas, kMaxBatch, [&](auto some) { ProveSome(some, proven); });
  return proven;
}

void Ed25519BatchProver::ProveSome(std::span<const Bytes> alphas,
                                   std::vector<ProvenOutput>& out) const {
  const Kernel& kernel = KernelFor(kernel_, alphas.size());
  const std::vector<AffineBytes> candidates = FindCandidates(kernel, key_.public_key, alphas);
  std::array<AffineBytes, kMaxBatch> h;
  kernel.clear_cofactor(candidates.data(), candidates.size(), h.data());

  ProveInputs inputs;
  std::array<Ed25519Point, kMaxBatch> encoded_h;
  for (size_t i = 0; i < alphas.size(); ++i) encoded_h[i] = Encode(h[i]);
  const auto append_nonce = [&](size_t i, Bytes& bytes) {
    AppendEd25519NonceMessage(key_, encoded_h[i], bytes);
  };
  HashTogether(kernel, alphas.size(), append_nonce, inputs.k_strings);
  for (size_t i = 0; i < alphas.size(); ++i) {
    inputs.items[i].h = h[i];
    const SecretBytes k = Ed25519NonceOf(inputs.k_strings[i].bytes);
    std::copy(k.Expose().begin(), k.Expose().end(), inputs.items[i].k);
  }
  std::array<ed25519::ProveOutput, kMaxBatch> points;
  kernel.prove(key_.x.Expose().data(), inputs.items.data(), alphas.size(), points.data());

  const auto append_challenge = [&](size_t i, Bytes& bytes) {
    AppendEd25519ChallengeMessage(key_.public_key, encoded_h[i], points[i].gamma.bytes,
                                  points[i].u.bytes, points[i].v.bytes, bytes);
  };
  const auto append_output = [&](size_t i, Bytes& bytes) {
    AppendEd25519OutputMessage(points[i].cofactor_gamma.bytes, bytes);
  };
  Hashes challenges;
  Hashes outputs;
  HashTogether(kernel, alphas.size(), append_challenge, challenges);
  HashTogether(kernel, alphas.size(), append_output, outputs);
  for (size_t i = 0; i < alphas.size(); ++i) {
    const Challenge c = Ed25519ChallengeOf(challenges[i].bytes);
    Bytes proof(kEd25519ProofSize);
    WriteEd25519Proof(points[i].gamma.bytes, c, Ed25519Response(key_, inputs.items[i].k, c), proof);
    out.push_back({ToOutput(outputs[i].bytes), std::move(proof)});
  }
}

absl::StatusOr<std::unique_ptr<Ed25519BatchVerifier>> Ed25519BatchVerifier::Create(
    const Kernel& kernel, ByteView public_key) {
  KT_CHECK(sodium_init() >= 0);
  Ed25519Point key{};
  if (public_key.size() != key.size()) return BadEd25519PublicKey();
  std::copy(public_key.begin(), public_key.end(), key.begin());
  const PointBytes encoded = ToPointBytes(key);
  AffineBytes decoded;
  uint8_t valid = 0;
  kernel.decode(&encoded, 1, &decoded, &valid);
  if (valid != 1 || IsEd25519SmallOrder(key)) return BadEd25519PublicKey();
  return std::unique_ptr<Ed25519BatchVerifier>(new Ed25519BatchVerifier(kernel, key, decoded));
}

absl::StatusOr<std::vector<VrfOutput>> Ed25519BatchVerifier::Verify(
    std::span<const Claim> claims) const {
  std::vector<VrfOutput> outputs;
  outputs.reserve(claims.size());
  absl::Status status;
  InPieces(claims, kMaxBatch / 2, [&](auto some) {
    if (status.ok()) status = VerifySome(some, outputs);
  });
  if (!status.ok()) return status;
  return outputs;
}

absl::Status Ed25519BatchVerifier::VerifySome(std::span<const Claim> claims,
                                              std::vector<VrfOutput>& out) const {
  CandidateSearch search(kernel_, public_key_);
  std::array<Ed25519Proof, kMaxBatch / 2> proofs;
  for (size_t i = 0; i < claims.size(); ++i) {
    KT_ASSIGN_OR_RETURN(proofs[i], ParseEd25519Proof(claims[i].proof));
    search.AddEncoded(proofs[i].gamma);
    search.AddAlpha(claims[i].alpha);
  }
  if (!search.Run()) return BadProof("the input does not encode to the curve");

  std::array<ed25519::VerifyInput, kMaxBatch / 2> inputs;
  for (size_t i = 0; i < claims.size(); ++i) {
    if (!search.IsValid(i)) return BadProof("Gamma is not a point of the curve");
    inputs[i].candidate = search.candidates()[i];
    inputs[i].gamma = search.extra(i);
    std::ranges::copy(proofs[i].s, inputs[i].s);
    std::ranges::copy(proofs[i].c, inputs[i].c);
  }
  std::array<ed25519::VerifyOutput, kMaxBatch / 2> points;
  kernel_.verify(decoded_key_, inputs.data(), claims.size(), points.data());

  const auto append_challenge = [&](size_t i, Bytes& bytes) {
    AppendEd25519ChallengeMessage(public_key_, points[i].h.bytes, proofs[i].gamma,
                                  points[i].u.bytes, points[i].v.bytes, bytes);
  };
  const auto append_output = [&](size_t i, Bytes& bytes) {
    AppendEd25519OutputMessage(points[i].cofactor_gamma.bytes, bytes);
  };
  Hashes challenges;
  Hashes outputs;
  HashTogether(kernel_, claims.size(), append_challenge, challenges);
  HashTogether(kernel_, claims.size(), append_output, outputs);
  for (size_t i = 0; i < claims.size(); ++i) {
    if (Ed25519ChallengeOf(challenges[i].bytes) != proofs[i].c) {
      return BadProof("its equations do not hold for this key and input");
    }
    out.push_back(ToOutput(outputs[i].bytes));
  }
  return absl::OkStatus();
}

}  // namespace kt::vrf
