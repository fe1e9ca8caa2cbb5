// SPDX-License-Identifier: Apache-2.0
//
// The choice holds for a process, so each test makes it in a process of its own.
#include "base/cpu.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace kt::base {
namespace {

class CpuDeathTest : public ::testing::Test {
 protected:
  CpuDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(CpuDeathTest, VectorPathsCanBeSwitchedOffBeforeTheFirstQuestion) {
  EXPECT_EXIT(
      {
        DisableVectorPaths();
        DisableVectorPaths();
        std::exit(HasAvx512Ifma() || HasShaExtensions() || HasAvx512Ifma() ? 1 : 0);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_F(CpuDeathTest, VectorPathsCannotBeSwitchedOffAfterTheFirstQuestion) {
  EXPECT_DEATH(
      {
        HasAvx512Ifma();
        DisableVectorPaths();
      },
      "invariant does not hold");
  EXPECT_DEATH(
      {
        HasShaExtensions();
        DisableVectorPaths();
      },
      "invariant does not hold");
}

TEST_F(CpuDeathTest, TheAnswerDoesNotChange) {
  EXPECT_EXIT(
      {
        const bool first = HasAvx512Ifma();
        const bool second = HasShaExtensions();
        std::exit(HasAvx512Ifma() == first && HasShaExtensions() == second ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace kt::base
