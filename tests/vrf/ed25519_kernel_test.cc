// SPDX-License-Identifier: Apache-2.0
//
// The curve steps of every implementation against the model: scalars at the edges of what they may
// be, points of all orders, and batches of all sizes. Its hashes against OpenSSL's.
#include "vrf/ed25519_kernel.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/cpu.h"
#include "tests/support/fakes.h"
#include "tests/vrf/ed25519_model.h"
#include "tests/vrf/vrf_test_util.h"
#include "vrf/ed25519_suite.h"

namespace kt::vrf {
namespace {

using base::Bytes;
using base::ByteView;
using ed25519::AffineBytes;
using ed25519::Kernel;
using ed25519::kMaxBatch;
using ed25519::PointBytes;
using testing::SeededRandom;

struct NamedKernel {
  std::string name;
  const Kernel* kernel;
};

std::vector<NamedKernel> AllKernels() {
  std::vector<NamedKernel> all = {{"Portable", &ed25519::PortableKernel()}};
#if defined(KT_WITH_AVX512_IFMA)
  if (base::HasAvx512Ifma()) all.push_back({"Avx512Ifma", &ed25519::Avx512IfmaKernel()});
#endif
  return all;
}

class Ed25519KernelTest : public ::testing::TestWithParam<NamedKernel> {
 protected:
  const Kernel& kernel() const { return *GetParam().kernel; }
};

INSTANTIATE_TEST_SUITE_P(Vrf, Ed25519KernelTest, ::testing::ValuesIn(AllKernels()),
                         [](const auto& kernel) { return kernel.param.name; });

AffineBytes ToAffineBytes(const model::Point& point) {
  AffineBytes out;
  std::ranges::copy(point.x.ToBytes(), out.x);
  std::ranges::copy(point.y.ToBytes(), out.y);
  return out;
}

std::string HexOf(const uint8_t (&bytes)[32]) { return base::ToHex(bytes); }
std::string HexOf(const PointBytes& point) { return base::ToHex(point.bytes); }
std::string HexOf(const model::Point& point) { return base::ToHex(model::Encode(point)); }

// Little-endian and below q: 0 and 1, q-1, digits that carry from end to end, and others.
std::vector<Bytes> EdgeScalars() {
  std::vector<Bytes> scalars;
  for (std::string_view hex : {
           "0000000000000000000000000000000000000000000000000000000000000000",
           "0100000000000000000000000000000000000000000000000000000000000000",
           "0800000000000000000000000000000000000000000000000000000000000000",
           "ecd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",  // q - 1
           "ebd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",  // q - 2
           "0000000000000000000000000000000000000000000000000000000000000010",  // 2^252
           "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff0f",  // 2^252 - 1
           "8888888888888888888888888888888888888888888888888888888888888808",
           "7777777777777777777777777777777777777777777777777777777777777707",
           "f8ffffffffffffffffffffffffffffff00000000000000000000000000000000",
           "00000000000000000000000000000000ffffffffffffffffffffffffffffff0f",
           "0000000000000000000000000000000001000000000000000000000000000000",
       }) {
    scalars.push_back(Hex(hex));
  }
  SeededRandom random(70);
  for (int i = 0; i < 5; ++i) {
    scalars.push_back(RandomBytes(random, 32));
    scalars.back()[31] &= 0x0f;
  }
  return scalars;
}

// Of c: 16 bytes, any.
std::vector<Bytes> EdgeChallenges() {
  std::vector<Bytes> challenges;
  for (std::string_view hex :
       {"00000000000000000000000000000000", "01000000000000000000000000000000",
        "08000000000000000000000000000000", "07000000000000000000000000000000",
        "ffffffffffffffffffffffffffffffff", "feffffffffffffffffffffffffffffff",
        "00000000000000000000000000000080", "88888888888888888888888888888888",
        "77777777777777777777777777777777"}) {
    challenges.push_back(Hex(hex));
  }
  SeededRandom random(71);
  for (int i = 0; i < 4; ++i) challenges.push_back(RandomBytes(random, 16));
  return challenges;
}

model::Point DecodeOrDie(ByteView encoded) {
  KT_CHECK(encoded.size() == 32);
  const auto point = model::Decode(encoded.first<32>());
  KT_CHECK(point.has_value());
  return *point;
}

// Points of the prime-order group, of small order, and sums of both.
std::vector<model::Point> EdgePoints() {
  std::vector<model::Point> points = {model::Base(), model::Negate(model::Base())};
  const model::Point other = model::Multiply(Hex("0123456789abcdef"), model::Base());
  for (const Ed25519Point& encoded : kEd25519SmallOrderPoints) {
    const model::Point torsion = DecodeOrDie(encoded);
    points.push_back(torsion);
    points.push_back(model::Add(other, torsion));
  }
  return points;
}

// What the model takes long to compute, computed once for all kernels.
model::Point Product(const Bytes& scalar, size_t point) {
  static const std::vector<model::Point>* const points = new auto(EdgePoints());
  static auto* const known = new std::map<std::pair<std::string, size_t>, model::Point>();
  const auto [it, added] = known->try_emplace({base::ToHex(scalar), point});
  if (added) it->second = model::Multiply(scalar, (*points)[point]);
  return it->second;
}

// A batch of `count` items that runs through the edges.
struct Cycle {
  const std::vector<model::Point> points = EdgePoints();
  const std::vector<Bytes> scalars = EdgeScalars();
  const std::vector<Bytes> challenges = EdgeChallenges();
};
const Cycle& Edges() {
  static const Cycle* const edges = new Cycle();
  return *edges;
}

constexpr size_t kBatchSizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 31, 63, 64};

TEST_P(Ed25519KernelTest, ClearsCofactors) {
  const auto& points = Edges().points;
  for (size_t count : kBatchSizes) {
    std::vector<AffineBytes> in;
    for (size_t i = 0; i < count; ++i) in.push_back(ToAffineBytes(points[i % points.size()]));
    std::vector<AffineBytes> out(count);
    kernel().clear_cofactor(in.data(), count, out.data());
    for (size_t i = 0; i < count; ++i) {
      const AffineBytes expected = ToAffineBytes(Product({8}, i % points.size()));
      ASSERT_EQ(HexOf(out[i].x), HexOf(expected.x)) << count << " " << i;
      ASSERT_EQ(HexOf(out[i].y), HexOf(expected.y)) << count << " " << i;
    }
  }
}

TEST_P(Ed25519KernelTest, Evaluates) {
  const auto& points = Edges().points;
  std::vector<AffineBytes> in;
  for (const model::Point& point : points) in.push_back(ToAffineBytes(point));
  std::vector<PointBytes> out(in.size());
  for (const Bytes& scalar : Edges().scalars) {
    kernel().evaluate(scalar.data(), in.data(), in.size(), out.data());
    for (size_t i = 0; i < in.size(); ++i) {
      ASSERT_EQ(HexOf(out[i]), HexOf(model::MultiplyBy8(Product(scalar, i))))
          << base::ToHex(scalar) << " " << i;
    }
  }
}

TEST_P(Ed25519KernelTest, Proves) {
  const std::vector<model::Point>& points = Edges().points;
  const std::vector<Bytes>& scalars = Edges().scalars;
  for (size_t x = 0; x < scalars.size(); ++x) {
    const size_t count = kBatchSizes[x % std::size(kBatchSizes)];
    std::vector<ed25519::ProveInput> in(count);
    const auto scalar_of = [&](size_t i) { return scalars[(x + i) % scalars.size()]; };
    // The formulas are complete, so that nothing depends on H's order.
    const auto point_of = [&](size_t i) { return (3 * x + i) % points.size(); };
    for (size_t i = 0; i < count; ++i) {
      in[i].h = ToAffineBytes(points[point_of(i)]);
      std::ranges::copy(scalar_of(i), in[i].k);
    }
    std::vector<ed25519::ProveOutput> out(count);
    kernel().prove(scalars[x].data(), in.data(), count, out.data());
    for (size_t i = 0; i < count; ++i) {
      const model::Point gamma = Product(scalars[x], point_of(i));
      ASSERT_EQ(HexOf(out[i].gamma), HexOf(gamma)) << x << " " << i;
      ASSERT_EQ(HexOf(out[i].cofactor_gamma), HexOf(model::MultiplyBy8(gamma))) << x << " " << i;
      ASSERT_EQ(HexOf(out[i].u), HexOf(Product(scalar_of(i), 0))) << x << " " << i;
      ASSERT_EQ(HexOf(out[i].v), HexOf(Product(scalar_of(i), point_of(i)))) << x << " " << i;
    }
  }
}

TEST_P(Ed25519KernelTest, Verifies) {
  const std::vector<model::Point>& points = Edges().points;
  const std::vector<Bytes>& scalars = Edges().scalars;
  const std::vector<Bytes>& challenges = Edges().challenges;
  for (size_t key = 0; key < points.size(); ++key) {
    const size_t count = std::min(kBatchSizes[key % std::size(kBatchSizes)], kMaxBatch / 2);
    std::vector<ed25519::VerifyInput> in(count);
    const auto candidate_of = [&](size_t i) { return (key + 2 * i) % points.size(); };
    const auto gamma_of = [&](size_t i) { return (5 * key + i) % points.size(); };
    const auto s_of = [&](size_t i) { return scalars[(key + i) % scalars.size()]; };
    const auto c_of = [&](size_t i) { return challenges[(key + i) % challenges.size()]; };
    for (size_t i = 0; i < count; ++i) {
      in[i].candidate = ToAffineBytes(points[candidate_of(i)]);
      in[i].gamma = ToAffineBytes(points[gamma_of(i)]);
      std::ranges::copy(s_of(i), in[i].s);
      std::ranges::copy(c_of(i), in[i].c);
    }
    std::vector<ed25519::VerifyOutput> out(count);
    kernel().verify(ToAffineBytes(points[key]), in.data(), count, out.data());
    for (size_t i = 0; i < count; ++i) {
      const auto difference = [&](const model::Point& a, const model::Point& b) {
        return HexOf(model::Add(a, model::Negate(b)));
      };
      ASSERT_EQ(HexOf(out[i].h), HexOf(Product({8}, candidate_of(i)))) << key << " " << i;
      ASSERT_EQ(HexOf(out[i].cofactor_gamma), HexOf(Product({8}, gamma_of(i)))) << key << " " << i;
      ASSERT_EQ(HexOf(out[i].u), difference(Product(s_of(i), 0), Product(c_of(i), key)))
          << key << " " << i;
      ASSERT_EQ(HexOf(out[i].v), difference(model::MultiplyBy8(Product(s_of(i), candidate_of(i))),
                                            Product(c_of(i), gamma_of(i))))
          << key << " " << i;
    }
  }
}

// Encodings of points and of none: random ones, small ordinates, ordinates of p and more, and each
// with either sign.
std::vector<Bytes> Encodings() {
  std::vector<Bytes> encodings;
  SeededRandom random(72);
  for (int i = 0; i < 200; ++i) encodings.push_back(RandomBytes(random, 32));
  for (uint8_t y = 0; y < 40; ++y) {
    Bytes small(32);
    small[0] = y;
    encodings.push_back(small);
    Bytes near_p(32, 0xff);
    near_p[0] = static_cast<uint8_t>(0xff - y);
    near_p[31] = 0x7f;
    encodings.push_back(near_p);
  }
  for (const Ed25519Point& point : kEd25519SmallOrderPoints) {
    encodings.push_back(base::ToBytes(ByteView(point)));
  }
  const size_t unsigned_ones = encodings.size();
  for (size_t i = 0; i < unsigned_ones; ++i) {
    encodings.push_back(encodings[i]);
    encodings.back()[31] ^= 0x80;
  }
  return encodings;
}

TEST_P(Ed25519KernelTest, DecodesWhatTheRfcDoes) {
  const std::vector<Bytes> encodings = Encodings();
  int valid_ones = 0;
  size_t batch = 0;
  for (size_t first = 0; first < encodings.size();) {
    const size_t count =
        std::min(kBatchSizes[batch++ % std::size(kBatchSizes)], encodings.size() - first);
    std::vector<PointBytes> in(count);
    for (size_t i = 0; i < count; ++i) std::ranges::copy(encodings[first + i], in[i].bytes);
    std::vector<AffineBytes> out(count);
    std::vector<uint8_t> valid(count, 0xcc);
    kernel().decode(in.data(), count, out.data(), valid.data());
    for (size_t i = 0; i < count; ++i) {
      const auto expected = model::Decode(in[i].bytes);
      ASSERT_EQ(valid[i], expected.has_value() ? 1 : 0) << HexOf(in[i]);
      if (!expected.has_value()) continue;
      ++valid_ones;
      ASSERT_EQ(HexOf(out[i].x), HexOf(ToAffineBytes(*expected).x)) << HexOf(in[i]);
      ASSERT_EQ(HexOf(out[i].y), HexOf(ToAffineBytes(*expected).y)) << HexOf(in[i]);
    }
    first += count;
  }
  EXPECT_GT(valid_ones, 200);
  EXPECT_LT(valid_ones, 400);
}

Bytes Sha512ByOpenSsl(ByteView message) {
  Bytes hash(kSha512Size);
  KT_CHECK(
      EVP_Digest(message.data(), message.size(), hash.data(), nullptr, EVP_sha512(), nullptr) == 1);
  return hash;
}

std::vector<Bytes> HashTogether(const Kernel& kernel, std::span<const Bytes> messages) {
  std::vector<ed25519::HashMessage> inputs;
  for (const Bytes& message : messages) inputs.push_back({message.data(), message.size()});
  std::vector<ed25519::HashBytes> hashes(messages.size());
  kernel.hash(inputs.data(), inputs.size(), hashes.data());
  std::vector<Bytes> out;
  for (const ed25519::HashBytes& hash : hashes) out.emplace_back(hash.bytes, std::end(hash.bytes));
  return out;
}

// FIPS 180-4: NIST's examples of SHA-512, of one block and of two.
TEST_P(Ed25519KernelTest, HashesTheExamplesOfTheStandard) {
  const std::vector<Bytes> messages = {
      base::ToBytes("abc"),
      {},
      base::ToBytes("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                    "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu")};
  const std::vector<Bytes> hashes = HashTogether(kernel(), messages);
  EXPECT_EQ(base::ToHex(hashes[0]),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
  EXPECT_EQ(base::ToHex(hashes[1]),
            "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
            "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e");
  EXPECT_EQ(base::ToHex(hashes[2]),
            "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
            "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909");
}

// All lengths up to five blocks, and so all of a last block; neighbours of other lengths.
TEST_P(Ed25519KernelTest, HashesAsOpenSslDoes) {
  const uint64_t seed = testing::TestSeed(72);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  std::vector<Bytes> all;
  for (size_t length = 0; length <= 5 * 128; ++length) all.push_back(RandomBytes(random, length));
  for (int i = 0; i < 200; ++i) all.push_back(RandomBytes(random, random.Below(1'000)));
  for (size_t i = all.size() - 1; i > 0; --i) std::swap(all[i], all[random.Below(i + 1)]);
  std::span<const Bytes> left = all;
  for (size_t count = 1; !left.empty(); count = count % kMaxBatch + 1) {
    const auto some = left.first(std::min(count, left.size()));
    const std::vector<Bytes> hashes = HashTogether(kernel(), some);
    for (size_t i = 0; i < some.size(); ++i) {
      ASSERT_EQ(hashes[i], Sha512ByOpenSsl(some[i])) << some[i].size() << " bytes, of " << count;
    }
    left = left.subspan(some.size());
  }
}

}  // namespace
}  // namespace kt::vrf
