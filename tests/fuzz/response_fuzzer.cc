// SPDX-License-Identifier: Apache-2.0
//
// Alters a real response to any operation of a user, or a credential, and has it taken: whatever is
// altered is refused, and changes nothing that the user retains. An input is a deployment, an
// operation and a list of edits (kind, position, byte), so that every input is near a valid
// response.
#include <algorithm>
#include <memory>
#include <vector>

#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/response_scenarios.h"

namespace {

using kt::base::Bytes;
using kt::fuzz::Deployment;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using kt::core::CipherSuite;
  using kt::core::DeploymentMode;
  static const auto* const kDeployments = [] {
    auto* const all = new std::vector<std::unique_ptr<Deployment>>();
    for (const CipherSuite suite : {CipherSuite::kEd25519, CipherSuite::kP256}) {
      for (const DeploymentMode mode :
           {DeploymentMode::kContactMonitoring, DeploymentMode::kThirdPartyManagement,
            DeploymentMode::kThirdPartyAuditing}) {
        all->push_back(std::make_unique<Deployment>(suite, mode));
      }
    }
    return all;
  }();
  kt::fuzz::FuzzInput input(data, size);
  const Deployment& deployment = *(*kDeployments)[input.Below(6)];
  const kt::fuzz::Scenario& scenario =
      deployment.at(input.Below(static_cast<unsigned>(deployment.size())));
  Bytes altered = scenario.response;
  constexpr int kMaxEdits = 8;
  for (int i = 0; i < kMaxEdits && !input.empty(); ++i) input.Edit(&altered);
  kt::fuzz::CheckAltered(scenario, altered);
  return 0;
}
