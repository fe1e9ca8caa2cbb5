// SPDX-License-Identifier: Apache-2.0
//
// Alters a real response and has it verified: no alteration is accepted but of commitments that no
// lookup of a fixed-version search reaches, and none crashes. An input is a scenario and a list of
// edits (kind, position, byte), so that every input is near a valid response.
#include <algorithm>
#include <vector>

#include "base/check.h"
#include "base/status.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/support/test_log.h"

namespace {

using kt::base::Bytes;

// A response that verifies, and all that it takes to verify it.
struct Scenario {
  kt::core::SearchRequest request;
  std::optional<kt::core::UserState> state;
  bool absence = false;
  Bytes response;
  Bytes value;  // of a version that was asked for
};

class Setup {
 public:
  explicit Setup(kt::core::DeploymentMode mode) : log_(Options(mode)) {
    for (int i = 0; i < 21; ++i) {
      std::vector<kt::testing::TestUpdate> updates;
      if (i % 3 == 1) updates.push_back({"alice@a.example", "value " + std::to_string(i)});
      if (i % 5 == 2) updates.push_back({"bob@a.example", "value " + std::to_string(i)});
      log_.Append(1'000'000 + 400 * static_cast<uint64_t>(i), updates);
    }
    auto verifier = kt::core::ResponseVerifier::Create(log_.config());
    KT_CHECK(verifier.ok());
    verifier_ = *std::move(verifier);
    Add("alice@a.example", std::nullopt, std::nullopt);
    Add("alice@a.example", 13, std::nullopt);
    Add("alice@a.example", 21, std::nullopt);
    Add("bob@a.example", std::nullopt, 0);
    Add("bob@a.example", 8, 1);
    Add("nobody@a.example", std::nullopt, std::nullopt);
    Add("nobody@a.example", 20, 3);
  }

  size_t size() const { return scenarios_.size(); }
  void Run(size_t index, const Bytes& response) const {
    const Scenario& scenario = scenarios_[index];
    const kt::core::UserState* const state =
        scenario.state.has_value() ? &*scenario.state : nullptr;
    if (scenario.absence) {
      Check(
          scenario, response,
          verifier_->VerifyAbsence(scenario.request, response, state, log_.RightmostMs()).status());
      return;
    }
    const auto search =
        verifier_->VerifySearch(scenario.request, response, state, log_.RightmostMs());
    // The one part of a response that nothing authenticates, and on which nothing depends.
    if (search.ok() && scenario.request.version.has_value() && response != scenario.response) {
      KT_CHECK(search->version == *scenario.request.version && search->value == scenario.value);
      return;
    }
    Check(scenario, response, search.status());
  }
  const Bytes& response(size_t index) const { return scenarios_[index].response; }

 private:
  static kt::testing::TestLogOptions Options(kt::core::DeploymentMode mode) {
    kt::testing::TestLogOptions options;
    options.mode = mode;
    return options;
  }
  static void Check(const Scenario& scenario, const Bytes& response, const absl::Status& status) {
    KT_CHECK(status.ok() == (response == scenario.response));
    KT_CHECK(status.ok() || kt::base::IsVerificationFailure(status));
  }
  void Add(const std::string& label, std::optional<kt::base::TreeSize> last,
           std::optional<kt::base::Version> version) {
    Scenario scenario;
    scenario.request = {last, kt::base::ToBytes(label), version};
    if (last.has_value()) scenario.state = log_.StateAt(*last);
    auto response = log_.Search(scenario.request);
    if (!response.ok()) {
      scenario.absence = true;
      response = log_.Absence(scenario.request);
    }
    KT_CHECK(response.ok());
    scenario.response = *std::move(response);
    if (!scenario.absence && version.has_value()) {
      scenario.value = log_.Find(label, *version)->update.value;
    }
    scenarios_.push_back(std::move(scenario));
  }

  kt::testing::TestLog log_;
  std::unique_ptr<kt::core::ResponseVerifier> verifier_;
  std::vector<Scenario> scenarios_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Setup* const setups[] = {
      new Setup(kt::core::DeploymentMode::kContactMonitoring),
      new Setup(kt::core::DeploymentMode::kThirdPartyManagement),
      new Setup(kt::core::DeploymentMode::kThirdPartyAuditing),
  };
  kt::fuzz::FuzzInput input(data, size);
  const Setup& setup = *setups[input.Below(3)];
  const size_t scenario = input.Below(static_cast<unsigned>(setup.size()));
  Bytes response = setup.response(scenario);
  constexpr int kMaxEdits = 16;
  for (int i = 0; i < kMaxEdits && !input.empty(); ++i) input.Edit(&response);
  setup.Run(scenario, response);
  return 0;
}
