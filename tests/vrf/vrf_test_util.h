// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_VRF_VRF_TEST_UTIL_H_
#define TESTS_VRF_VRF_TEST_UTIL_H_

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/secret.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"
#include "vrf/implementation.h"
#include "vrf/vrf.h"

namespace kt::vrf {

// A suite by one of the implementations of it that this machine has.
struct Variant {
  Suite suite;
  Implementation implementation;
};

inline std::vector<Variant> AvailableVariants(std::initializer_list<Suite> suites) {
  std::vector<Variant> variants;
  for (Suite suite : suites) {
    for (Implementation implementation :
         {Implementation::kLibrary, Implementation::kPortable, Implementation::kAvx512Ifma}) {
      if (IsAvailable(suite, implementation)) variants.push_back({suite, implementation});
    }
  }
  return variants;
}

// "Ed25519Portable"
inline std::string VariantName(const ::testing::TestParamInfo<Variant>& info) {
  const std::string suite = info.param.suite == Suite::kP256Sha256Tai ? "P256" : "Ed25519";
  switch (info.param.implementation) {
    case Implementation::kLibrary:
      return suite + "Library";
    case Implementation::kPortable:
      return suite + "Portable";
    case Implementation::kAvx512Ifma:
      return suite + "Avx512Ifma";
  }
  KT_CHECK(false);
}

// How often to repeat what a property test does in a moment: KT_TEST_ROUNDS if it is set, otherwise
// once.
inline size_t TestRounds() {
  const char* rounds = std::getenv("KT_TEST_ROUNDS");
  return rounds == nullptr ? 1 : std::strtoul(rounds, nullptr, 10);
}

inline base::Bytes Hex(std::string_view text) {
  std::optional<base::Bytes> bytes = base::FromHex(text);
  KT_CHECK(bytes.has_value());
  return *std::move(bytes);
}

inline base::SecretBytes SecretFromHex(std::string_view text) {
  return base::SecretBytes(base::ByteView(Hex(text)));
}

inline base::Bytes RandomBytes(testing::SeededRandom& random, size_t size) {
  base::Bytes bytes(size);
  random.Fill(bytes);
  return bytes;
}

inline base::Bytes WithBitFlipped(base::Bytes bytes, size_t bit) {
  bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
  return bytes;
}

// A copy of `bytes` in which `part` stands from `offset` on.
inline base::Bytes WithPart(base::Bytes bytes, size_t offset, base::ByteView part) {
  KT_CHECK(offset + part.size() <= bytes.size());
  std::copy(part.begin(), part.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  return bytes;
}

inline absl::StatusOr<base::VrfOutput> VerifyOne(const Verifier& verifier, base::ByteView alpha,
                                                 base::ByteView proof) {
  const Claim claim{alpha, proof};
  auto outputs = verifier.Verify({&claim, 1});
  if (!outputs.ok()) return outputs.status();
  KT_CHECK(outputs->size() == 1);
  return outputs->front();
}

inline ProvenOutput ProveOne(const Prover& prover, const base::Bytes& alpha) {
  std::vector<ProvenOutput> proven = prover.Prove({&alpha, 1});
  KT_CHECK(proven.size() == 1);
  return std::move(proven.front());
}

// EXPECT_THAT(VerifyOne(...), FailsWith("s is out of range"));
MATCHER_P(FailsWith, reason, "is a refused proof for the reason") {
  return ::testing::ExplainMatchResult(testing::FailsCheck("vrf-proof"), arg, result_listener) &&
         ::testing::ExplainMatchResult(::testing::HasSubstr(reason),
                                       std::string(arg.status().message()), result_listener);
}

}  // namespace kt::vrf
#endif  // TESTS_VRF_VRF_TEST_UTIL_H_
