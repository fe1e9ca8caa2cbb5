// SPDX-License-Identifier: Apache-2.0
//
// All implementations of the Ed25519 VRF do the same with a key and a claim that somebody else made
// up, and their curve steps give the same points: for whatever bytes, and for points of any order.
//
// Input: key, Gamma and candidate (32 bytes each), s (32), c (16), then alpha. A key or Gamma whose
// first byte is below 8 and whose others are 0 stands for a point of small order, which a fuzzer
// would not find by itself.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/cpu.h"
#include "tests/fuzz/fuzz_input.h"
#include "vrf/ed25519.h"
#include "vrf/ed25519_kernel.h"
#include "vrf/ed25519_suite.h"
#include "vrf/implementation.h"

namespace {

using kt::base::Bytes;
using kt::base::ByteView;
using kt::vrf::Ed25519Point;
using kt::vrf::Implementation;
namespace ed25519 = kt::vrf::ed25519;

constexpr auto kSuite = kt::vrf::Suite::kEdwards25519Sha512Tai;

Ed25519Point TakePoint(kt::fuzz::FuzzInput& input) {
  Ed25519Point point;
  for (uint8_t& byte : point) byte = input.Byte();
  const bool small =
      point[0] < 8 && std::all_of(point.begin() + 1, point.end(), [](uint8_t b) { return b == 0; });
  return small ? kt::vrf::kEd25519SmallOrderPoints[point[0]] : point;
}

ed25519::AffineBytes DecodeOr(const ed25519::Kernel& kernel, const Ed25519Point& point,
                              const ed25519::AffineBytes& fallback, bool* valid) {
  ed25519::PointBytes encoded;
  std::copy(point.begin(), point.end(), encoded.bytes);
  ed25519::AffineBytes out;
  uint8_t is_valid = 0;
  kernel.decode(&encoded, 1, &out, &is_valid);
  *valid = is_valid == 1;
  return *valid ? out : fallback;
}

struct Steps {
  std::array<bool, 3> valid;
  ed25519::VerifyOutput verified;
  ed25519::ProveOutput proven;
};

Steps RunSteps(const ed25519::Kernel& kernel, const std::array<Ed25519Point, 3>& points,
               const std::array<uint8_t, 32>& s, const std::array<uint8_t, 16>& c) {
  Steps steps{};
  bool base_valid = false;
  Ed25519Point base;
  base.fill(0x66);
  base[0] = 0x58;
  const ed25519::AffineBytes fallback = DecodeOr(kernel, base, {}, &base_valid);
  KT_CHECK(base_valid);
  ed25519::VerifyInput input;
  const ed25519::AffineBytes key = DecodeOr(kernel, points[0], fallback, &steps.valid[0]);
  input.gamma = DecodeOr(kernel, points[1], fallback, &steps.valid[1]);
  input.candidate = DecodeOr(kernel, points[2], fallback, &steps.valid[2]);
  std::ranges::copy(s, input.s);
  std::ranges::copy(c, input.c);
  kernel.verify(key, &input, 1, &steps.verified);
  ed25519::ProveInput prove{input.candidate, {}};
  std::copy(c.begin(), c.end(), prove.k);
  kernel.prove(s.data(), &prove, 1, &steps.proven);
  return steps;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kt::fuzz::FuzzInput input(data, size);
  const std::array<Ed25519Point, 3> points = {TakePoint(input), TakePoint(input), TakePoint(input)};
  std::array<uint8_t, 32> s;
  std::array<uint8_t, 16> c;
  for (uint8_t& byte : s) byte = input.Byte();
  for (uint8_t& byte : c) byte = input.Byte();

  // The claim, by everybody.
  Bytes proof;
  kt::base::Append(proof, points[1]);
  kt::base::Append(proof, c);
  kt::base::Append(proof, s);
  const kt::vrf::Claim claim{input.Rest(), proof};
  const auto library = kt::vrf::CreateVerifier(kSuite, Implementation::kLibrary, points[0]);
  for (Implementation implementation : {Implementation::kPortable, Implementation::kAvx512Ifma}) {
    if (!kt::vrf::IsAvailable(kSuite, implementation)) continue;
    const auto verifier = kt::vrf::CreateVerifier(kSuite, implementation, points[0]);
    KT_CHECK(verifier.status() == library.status());
    if (!library.ok()) continue;
    KT_CHECK((*verifier)->Verify({&claim, 1}).status() == (*library)->Verify({&claim, 1}).status());
  }

  // The curve steps, with a scalar in range.
  s[31] &= 0x0f;
  const Steps portable = RunSteps(ed25519::PortableKernel(), points, s, c);
  Ed25519Point h;
  const bool usable = kt::vrf::CandidateToCurve(points[2], h);
  KT_CHECK(usable == (portable.valid[2] && !kt::vrf::IsEd25519SmallOrder(points[2])));
  if (usable) KT_CHECK(std::equal(h.begin(), h.end(), portable.verified.h.bytes));
#if defined(KT_WITH_AVX512_IFMA)
  if (kt::base::HasAvx512Ifma()) {
    const Steps lanes = RunSteps(ed25519::Avx512IfmaKernel(), points, s, c);
    KT_CHECK(lanes.valid == portable.valid);
    KT_CHECK(std::memcmp(&lanes.verified, &portable.verified, sizeof(lanes.verified)) == 0);
    KT_CHECK(std::memcmp(&lanes.proven, &portable.proven, sizeof(lanes.proven)) == 0);
  }
#endif
  return 0;
}
