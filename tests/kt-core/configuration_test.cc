// SPDX-License-Identifier: Apache-2.0
#include "kt-core/configuration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "kt-core/response_verifier.h"
#include "kt-core/user_state.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::core {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;
using testing::TestLog;
using testing::TestLogOptions;

Configuration ValidConfiguration(CipherSuite suite, DeploymentMode mode) {
  TestLogOptions options;
  options.suite = suite;
  options.mode = mode;
  return TestLog(options).config();
}

TEST(DecodeConfiguration, AcceptsEveryModeOfBothSuites) {
  for (const CipherSuite suite : {CipherSuite::kP256, CipherSuite::kEd25519}) {
    for (const DeploymentMode mode :
         {DeploymentMode::kContactMonitoring, DeploymentMode::kThirdPartyManagement,
          DeploymentMode::kThirdPartyAuditing}) {
      const Configuration config = ValidConfiguration(suite, mode);
      EXPECT_THAT(DecodeConfiguration(codec::Encode(config)), IsOkAndHolds(config));
      EXPECT_THAT(ResponseVerifier::Create(config), IsOk());
    }
  }
}

TEST(ValidateConfiguration, NamesTheKeyThatIsNotUsable) {
  const auto expect_refused = [](const Configuration& good, Bytes Configuration::*key,
                                 const char* name) {
    for (const Bytes& bad : {Bytes(), Bytes(32, 0), Bytes(33, 5), Bytes(65, 4)}) {
      Configuration config = good;
      config.*key = bad;
      EXPECT_THAT(ValidateConfiguration(config),
                  StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name)));
      EXPECT_THAT(ResponseVerifier::Create(config), StatusIs(absl::StatusCode::kInvalidArgument));
      EXPECT_THAT(DecodeConfiguration(codec::Encode(config)),
                  StatusIs(absl::StatusCode::kInvalidArgument));
    }
  };
  for (const CipherSuite suite : {CipherSuite::kP256, CipherSuite::kEd25519}) {
    const auto managed = ValidConfiguration(suite, DeploymentMode::kThirdPartyManagement);
    const auto audited = ValidConfiguration(suite, DeploymentMode::kThirdPartyAuditing);
    expect_refused(managed, &Configuration::signature_public_key, "signature_public_key");
    expect_refused(managed, &Configuration::vrf_public_key, "vrf_public_key");
    expect_refused(managed, &Configuration::leaf_public_key, "leaf_public_key");
    expect_refused(audited, &Configuration::auditor_public_key, "auditor_public_key");
  }
}

TEST(ValidateConfiguration, RefusesTheOtherSuitesKeys) {
  Configuration config = ValidConfiguration(CipherSuite::kP256, DeploymentMode::kContactMonitoring);
  config.ciphersuite = CipherSuite::kEd25519;
  EXPECT_THAT(ValidateConfiguration(config), StatusIs(absl::StatusCode::kInvalidArgument));
}

// "Maximum Lifetime": "If defined, it MUST be greater than zero and greater than the RMW."
TEST(ValidateConfiguration, RefusesALifetimeWithinTheMonitoringWindow) {
  Configuration config =
      ValidConfiguration(CipherSuite::kEd25519, DeploymentMode::kContactMonitoring);
  config.max_ahead = 0;
  config.reasonable_monitoring_window = 100;
  config.maximum_lifetime = 101;
  EXPECT_THAT(ValidateConfiguration(config), IsOk());
  for (const uint64_t lifetime_ms : {0, 99, 100}) {
    config.maximum_lifetime = lifetime_ms;
    EXPECT_THAT(ValidateConfiguration(config),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("maximum_lifetime")));
  }
  config.reasonable_monitoring_window = 0;
  config.maximum_lifetime = 0;
  EXPECT_THAT(ValidateConfiguration(config), StatusIs(absl::StatusCode::kInvalidArgument));
  config.maximum_lifetime = 1;
  EXPECT_THAT(ValidateConfiguration(config), IsOk());
}

// Otherwise what was seen a moment ago can be called expired.
TEST(ValidateConfiguration, RefusesALifetimeWithinWhatATreeMayBeAhead) {
  Configuration config =
      ValidConfiguration(CipherSuite::kEd25519, DeploymentMode::kContactMonitoring);
  config.reasonable_monitoring_window = 10;
  config.max_ahead = 100;
  EXPECT_THAT(ValidateConfiguration(config), IsOk()) << "without a lifetime";
  config.maximum_lifetime = 101;
  EXPECT_THAT(ValidateConfiguration(config), IsOk());
  for (const uint64_t lifetime_ms : {11, 99, 100}) {
    config.maximum_lifetime = lifetime_ms;
    EXPECT_THAT(ValidateConfiguration(config),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_ahead")));
  }
}

TEST(DecodeConfiguration, RefusesTruncationsAndTrailingBytes) {
  Bytes bytes =
      codec::Encode(ValidConfiguration(CipherSuite::kEd25519, DeploymentMode::kThirdPartyAuditing));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(DecodeConfiguration(ByteView(bytes).first(size)),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  bytes.push_back(0);
  EXPECT_THAT(DecodeConfiguration(bytes), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ConfigurationFingerprint, DependsOnEveryField) {
  const Configuration config =
      ValidConfiguration(CipherSuite::kEd25519, DeploymentMode::kThirdPartyAuditing);
  EXPECT_EQ(ConfigurationFingerprint(config), base::Sha256(codec::Encode(config)));
  std::vector<Configuration> others(8, config);
  others[0].signature_public_key[0] ^= 1;
  others[1].vrf_public_key[0] ^= 1;
  others[2].max_auditor_lag += 1;
  others[3].auditor_start_pos += 1;
  others[4].max_ahead += 1;
  others[5].max_behind += 1;
  others[6].reasonable_monitoring_window += 1;
  others[7].maximum_lifetime = 1 << 30;
  for (const Configuration& other : others) {
    EXPECT_NE(ConfigurationFingerprint(other), ConfigurationFingerprint(config));
  }
}

// --- what a user retains -----------------------------------------------------------------

UserState ValidState() {
  TestLog log(TestLogOptions{});
  for (uint64_t timestamp_ms : {5, 5, 6, 7, 9, 10, 11}) log.Append(timestamp_ms);
  return log.StateAt(7);
}

TEST(ValidateUserState, AcceptsWhatALogShows) {
  EXPECT_THAT(ValidateUserState(ValidState()), IsOk());
}

TEST(ValidateUserState, RefusesListsThatDoNotFitTheTree) {
  const auto expect_refused = [](const auto& change) {
    UserState state = ValidState();
    change(state);
    EXPECT_THAT(ValidateUserState(state), StatusIs(absl::StatusCode::kDataLoss));
  };
  expect_refused([](UserState& state) { state.tree_head.tree_size = 0; });
  expect_refused([](UserState& state) { state.tree_head.tree_size = 8; });
  expect_refused([](UserState& state) { state.tree_head.tree_size = 6; });
  expect_refused([](UserState& state) { state.tree_head.tree_size = uint64_t{1} << 63; });
  expect_refused([](UserState& state) { state.tree_head.tree_size = ~uint64_t{0}; });
  expect_refused([](UserState& state) { state.full_subtrees.pop_back(); });
  expect_refused([](UserState& state) { state.full_subtrees.emplace_back(); });
  expect_refused([](UserState& state) { state.full_subtrees.clear(); });
  expect_refused([](UserState& state) { state.frontier.pop_back(); });
  expect_refused([](UserState& state) { state.frontier.emplace_back(); });
  expect_refused([](UserState& state) { state = UserState(); });
}

TEST(ValidateUserState, RefusesTimestampsThatGoBackwards) {
  UserState state = ValidState();
  ASSERT_GE(state.frontier.size(), 2u);
  state.frontier[0].timestamp = state.frontier[1].timestamp;
  EXPECT_THAT(ValidateUserState(state), IsOk());
  state.frontier[0].timestamp = state.frontier[1].timestamp + 1;
  EXPECT_THAT(ValidateUserState(state), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(UserState, SurvivesBeingStored) {
  UserState state = ValidState();
  EXPECT_THAT(codec::Decode<UserState>(codec::Encode(state)), IsOkAndHolds(state));
  state.auditor_tree_head = AuditorTreeHead{1, 2, {3}};
  const Bytes bytes = codec::Encode(state);
  EXPECT_THAT(codec::Decode<UserState>(bytes), IsOkAndHolds(state));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(codec::Decode<UserState>(ByteView(bytes).first(size)).ok());
  }
}

}  // namespace
}  // namespace kt::core
