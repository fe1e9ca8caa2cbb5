// SPDX-License-Identifier: Apache-2.0
//
// The choice of an implementation. That all give the same bytes is for the other tests here.
#include "vrf/implementation.h"

#include <gtest/gtest.h>

#include "base/cpu.h"
#include "tests/vrf/vrf_test_util.h"

namespace kt::vrf {
namespace {

using testing::IsOk;
using testing::SeededRandom;
using testing::StatusIs;

constexpr Suite kSuites[] = {Suite::kP256Sha256Tai, Suite::kEdwards25519Sha512Tai};
constexpr Implementation kImplementations[] = {Implementation::kLibrary, Implementation::kPortable,
                                               Implementation::kAvx512Ifma};

// No limit again, whatever a test has set.
class ImplementationTest : public ::testing::Test {
 protected:
  ~ImplementationTest() override { LimitDefaultImplementation(Implementation::kAvx512Ifma); }
};

TEST_F(ImplementationTest, TheLibraryIsAlwaysThere) {
  for (Suite suite : kSuites) EXPECT_TRUE(IsAvailable(suite, Implementation::kLibrary));
}

TEST_F(ImplementationTest, LanesNeedTheMachine) {
  if (base::HasAvx512Ifma()) GTEST_SKIP() << "this machine has them";
  for (Suite suite : kSuites) EXPECT_FALSE(IsAvailable(suite, Implementation::kAvx512Ifma));
}

TEST_F(ImplementationTest, NamesDiffer) {
  EXPECT_EQ(ImplementationName(Implementation::kLibrary), "library");
  EXPECT_EQ(ImplementationName(Implementation::kPortable), "portable");
  EXPECT_EQ(ImplementationName(Implementation::kAvx512Ifma), "avx512-ifma");
}

TEST_F(ImplementationTest, IsCreatedWhereAvailableAndRefusedElsewhere) {
  SeededRandom random(40);
  for (Suite suite : kSuites) {
    const base::SecretBytes secret = GenerateSecret(suite, random);
    const base::Bytes key = CreateProver(suite, secret).value()->public_key();
    for (Implementation implementation : kImplementations) {
      SCOPED_TRACE(ImplementationName(implementation));
      if (IsAvailable(suite, implementation)) {
        EXPECT_THAT(CreateProver(suite, implementation, secret), IsOk());
        EXPECT_THAT(CreateVerifier(suite, implementation, key), IsOk());
      } else {
        EXPECT_THAT(CreateProver(suite, implementation, secret),
                    StatusIs(absl::StatusCode::kFailedPrecondition));
        EXPECT_THAT(CreateVerifier(suite, implementation, key),
                    StatusIs(absl::StatusCode::kFailedPrecondition));
      }
    }
  }
}

TEST_F(ImplementationTest, TheDefaultIsTheFastestWithinTheLimit) {
  for (Suite suite : kSuites) {
    for (Implementation limit : kImplementations) {
      LimitDefaultImplementation(limit);
      const Implementation chosen = DefaultImplementation(suite);
      EXPECT_TRUE(IsAvailable(suite, chosen));
      EXPECT_LE(chosen, limit);
      for (Implementation other : kImplementations) {
        EXPECT_TRUE(other <= chosen || other > limit || !IsAvailable(suite, other));
      }
    }
  }
}

TEST_F(ImplementationTest, TheLimitCanBeAWordOfAConfiguration) {
  const Suite suite = Suite::kEdwards25519Sha512Tai;
  EXPECT_THAT(LimitDefaultImplementation("library"), IsOk());
  EXPECT_EQ(DefaultImplementation(suite), Implementation::kLibrary);
  EXPECT_THAT(LimitDefaultImplementation("portable"), IsOk());
  EXPECT_EQ(DefaultImplementation(suite), Implementation::kPortable);
  for (const char* word : {"", "Auto", "avx512-ifma", "fast"}) {
    EXPECT_THAT(LimitDefaultImplementation(word), StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_EQ(DefaultImplementation(suite), Implementation::kPortable);
  }
  EXPECT_THAT(LimitDefaultImplementation("auto"), IsOk());
  EXPECT_EQ(DefaultImplementation(suite), IsAvailable(suite, Implementation::kAvx512Ifma)
                                              ? Implementation::kAvx512Ifma
                                              : Implementation::kPortable);
}

}  // namespace
}  // namespace kt::vrf
