// SPDX-License-Identifier: Apache-2.0
//
// Bits of the responses to all operations, and of credentials, in each deployment: what is altered
// is refused and changes nothing, or it is what the draft leaves uncovered (response_scenarios.h).
#include <gtest/gtest.h>

#include "tests/fuzz/response_scenarios.h"
#include "tests/support/fakes.h"

namespace kt::fuzz {
namespace {

using core::CipherSuite;
using core::DeploymentMode;

class ResponseFlips : public ::testing::TestWithParam<std::tuple<CipherSuite, DeploymentMode>> {};
INSTANTIATE_TEST_SUITE_P(
    All, ResponseFlips,
    ::testing::Combine(::testing::Values(CipherSuite::kP256, CipherSuite::kEd25519),
                       ::testing::Values(DeploymentMode::kContactMonitoring,
                                         DeploymentMode::kThirdPartyManagement,
                                         DeploymentMode::kThirdPartyAuditing)));

// Some bytes of each response, another set for each seed, and truncations.
TEST_P(ResponseFlips, AreRefusedInEveryOperation) {
  const uint64_t seed = testing::TestSeed(1);
  SCOPED_TRACE("KT_TEST_SEED=" + std::to_string(seed));
  testing::SeededRandom random(seed);
  const Deployment deployment(std::get<0>(GetParam()), std::get<1>(GetParam()));
  ASSERT_GE(deployment.size(), 10u);
  constexpr uint64_t kMaxStep = 24;
  for (size_t i = 0; i < deployment.size(); ++i) {
    const Scenario& scenario = deployment.at(i);
    CheckAltered(scenario, scenario.response);
    for (size_t at = random.Below(kMaxStep); at < scenario.response.size();
         at += 1 + random.Below(kMaxStep)) {
      base::Bytes altered = scenario.response;
      altered[at] ^= static_cast<uint8_t>(1 << random.Below(8));
      CheckAltered(scenario, altered);
      altered.resize(at);
      CheckAltered(scenario, altered);
    }
  }
}

}  // namespace
}  // namespace kt::fuzz
