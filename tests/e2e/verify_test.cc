// SPDX-License-Identifier: Apache-2.0
//
// kt-client verify, on files as another implementation would write them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "tests/support/test_log.h"

namespace kt::testing {
namespace {

using ::testing::HasSubstr;

struct Case {
  core::CipherSuite suite;
  core::DeploymentMode mode;
};

class Verify : public ::testing::TestWithParam<Case> {
 protected:
  Verify() : log_(Options()) {
    log_.Append(10'000, {{"alice@a.example", std::string("\0\xff not a set", 12)}});
    log_.Append(20'000, {{"bob@a.example", "x"}});
    WriteStructure("config", base::codec::Encode(log_.config()));
  }

  static TestLogOptions Options() {
    TestLogOptions options;
    options.suite = GetParam().suite;
    options.mode = GetParam().mode;
    return options;
  }

  void WriteStructure(const std::string& name, base::ByteView bytes) const {
    WriteText(directory_.File(name), base::ToText(bytes));
  }
  // Writes a request and the log's honest answer to it.
  void Ask(const std::string& label, std::optional<base::TreeSize> last,
           std::optional<base::Version> version = std::nullopt) {
    core::SearchRequest request;
    request.last = last;
    request.label = base::ToBytes(label);
    request.version = version;
    WriteStructure("request", base::codec::Encode(request));
    const auto response = log_.Search(request);
    ASSERT_TRUE(response.ok()) << response.status();
    WriteStructure("response", *response);
  }
  ProcessResult Run(const std::vector<std::string>& more) const {
    std::vector<std::string> argv = {kt::testing::ClientProgram(),
                                     "verify",
                                     "--config",
                                     directory_.File("config"),
                                     "--request",
                                     directory_.File("request"),
                                     "--response",
                                     directory_.File("response"),
                                     "--at",
                                     std::to_string(log_.RightmostMs())};
    argv.insert(argv.end(), more.begin(), more.end());
    return RunProcess(argv);
  }

  TemporaryDirectory directory_;
  TestLog log_;
};

TEST_P(Verify, AcceptsWhatTheLogAnsweredWhateverTheValueIs) {
  Ask("alice@a.example", std::nullopt);
  const ProcessResult result = Run({"--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["operation"], "search");
  EXPECT_EQ(json["label"], "alice@a.example");
  EXPECT_EQ(json["version"], 0);
  EXPECT_EQ(json["value"], base::ToBase64(base::AsBytes(std::string("\0\xff not a set", 12))));
  EXPECT_EQ(json["tree_size"], 2);
  Ask("alice@a.example", std::nullopt, 0);
  EXPECT_EQ(Run({}).exit_code, 0);
}

TEST_P(Verify, StateIsReadAndCarriedOn) {
  const std::string state = directory_.File("state");
  Ask("alice@a.example", std::nullopt);
  ASSERT_EQ(Run({"--state", state}).exit_code, 0);
  // The same request again advertises nothing, but the state has seen two entries.
  EXPECT_EQ(Run({"--state", state}).exit_code, 2);
  Ask("bob@a.example", 2);
  EXPECT_EQ(Run({"--state", state}).exit_code, 0) << "the head stays the same";
  log_.Append(30'000, {{"alice@a.example", "later"}});
  Ask("alice@a.example", 2);
  ASSERT_EQ(Run({"--state", state}).exit_code, 0);
  Ask("alice@a.example", 3, 0);
  EXPECT_EQ(Run({"--state", state}).exit_code, 0);
  EXPECT_EQ(Run({}).exit_code, 2) << "without the state";
}

TEST_P(Verify, FailureChangesNoState) {
  const std::string state = directory_.File("state");
  Ask("alice@a.example", std::nullopt);
  ASSERT_EQ(Run({"--state", state}).exit_code, 0);
  log_.Append(30'000);
  Ask("alice@a.example", 2);
  const std::string response = ReadText(directory_.File("response"));
  std::string bad = response;
  bad.back() = static_cast<char>(bad.back() ^ 1);
  WriteText(directory_.File("response"), bad);
  const ProcessResult refused = Run({"--state", state, "--json"});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, HasSubstr("VERIFICATION FAILED"));
  EXPECT_TRUE(nlohmann::json::parse(refused.out)["error"].contains("failed_check"));
  WriteText(directory_.File("response"), response);
  EXPECT_EQ(Run({"--state", state}).exit_code, 0);
}

TEST_P(Verify, ClockIsTheOneGiven) {
  Ask("alice@a.example", std::nullopt);
  const uint64_t last_ms = log_.RightmostMs() + log_.config().max_behind;
  const auto at = [&](uint64_t ms) {
    std::vector<std::string> argv = {kt::testing::ClientProgram(),
                                     "verify",
                                     "--config",
                                     directory_.File("config"),
                                     "--request",
                                     directory_.File("request"),
                                     "--response",
                                     directory_.File("response"),
                                     "--at",
                                     std::to_string(ms)};
    return RunProcess(argv).exit_code;
  };
  EXPECT_EQ(at(last_ms), 0);
  EXPECT_EQ(at(last_ms + 1), 3);
}

TEST_P(Verify, AbsenceHasItsFlagAndExitCode) {
  core::SearchRequest request;
  request.label = base::ToBytes("nobody@a.example");
  WriteStructure("request", base::codec::Encode(request));
  const auto response = log_.Absence(request);
  ASSERT_TRUE(response.ok()) << response.status();
  WriteStructure("response", *response);
  EXPECT_EQ(Run({"--absence"}).exit_code, 1);
  EXPECT_EQ(Run({}).exit_code, 3) << "an absence is no search response";
}

TEST_P(Verify, UnusableFilesAreUsageErrors) {
  Ask("alice@a.example", std::nullopt);
  for (const char* file : {"config", "request"}) {
    const std::string good = ReadText(directory_.File(file));
    WriteText(directory_.File(file), good + "x");
    EXPECT_EQ(Run({}).exit_code, 2) << file;
    std::filesystem::remove(directory_.File(file));
    EXPECT_EQ(Run({}).exit_code, 2) << file;
    WriteText(directory_.File(file), good);
  }
  WriteText(directory_.File("response"), "");
  EXPECT_EQ(Run({}).exit_code, 3) << "an empty response proves nothing";
}

INSTANTIATE_TEST_SUITE_P(
    All, Verify,
    ::testing::Values(Case{core::CipherSuite::kP256, core::DeploymentMode::kContactMonitoring},
                      Case{core::CipherSuite::kEd25519, core::DeploymentMode::kContactMonitoring},
                      Case{core::CipherSuite::kP256, core::DeploymentMode::kThirdPartyManagement},
                      Case{core::CipherSuite::kEd25519, core::DeploymentMode::kThirdPartyAuditing}),
    [](const auto& test) {
      return std::string(test.param.suite == core::CipherSuite::kP256 ? "P256" : "Ed25519") +
             "Mode" + std::to_string(static_cast<int>(test.param.mode));
    });

}  // namespace
}  // namespace kt::testing
