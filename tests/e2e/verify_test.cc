// SPDX-License-Identifier: Apache-2.0
//
// kt-client verify, on files as another implementation would write them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/monitoring_answers.h"
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

// --- the operations of an owner, each checked against what the ones before it left ---------------

constexpr char kAlice[] = "alice@a.example";

// Beside the command's state directory, the test keeps the state of an owner of its own, out of
// which it makes the requests.
class VerifyOwner : public Verify {
 protected:
  VerifyOwner() : verifier_(*core::ResponseVerifier::Create(log_.config())) {}

  ProcessResult Run(const std::string& operation) {
    return Verify::Run({"--operation", operation, "--state", directory_.File("state"), "--json"});
  }
  // The command's report on a request and its answer, of which it refuses a damaged copy first.
  template <typename Request, typename Response>
  nlohmann::json Check(const std::string& operation, const Request& request,
                       const absl::StatusOr<Response>& answer) {
    EXPECT_TRUE(answer.ok()) << answer.status();
    if (!answer.ok()) return {};
    WriteStructure("request", base::codec::Encode(request));
    response_ = base::codec::Encode(*answer, log_.context());
    base::Bytes damaged = response_;
    damaged.back() ^= 1;
    WriteStructure("response", damaged);
    EXPECT_EQ(Run(operation).exit_code, 3) << operation;
    WriteStructure("response", response_);
    const ProcessResult result = Run(operation);
    EXPECT_EQ(result.exit_code, 0) << operation << ": " << result.err;
    return nlohmann::json::parse(result.out);
  }
  const core::UserState* previous() const { return state_.has_value() ? &*state_ : nullptr; }
  std::optional<base::TreeSize> last() const {
    if (!state_.has_value()) return std::nullopt;
    return state_->tree_size();
  }

  nlohmann::json Init(base::LogPosition start) {
    const core::OwnerInitRequest request{last(), base::ToBytes(kAlice), start};
    nlohmann::json json = Check("owner-init", request, AnswerOwnerInit(log_, request));
    const auto verified =
        verifier_->VerifyOwnerInit(request, response_, previous(), log_.RightmostMs());
    EXPECT_TRUE(verified.ok()) << verified.status();
    owner_ = verified->owner;
    state_ = verified->state;
    return json;
  }
  // `values`: what the owner has just created, or none to catch up.
  nlohmann::json Update(const std::vector<std::string>& values) {
    core::UpdateRequest request;
    request.last = last();
    request.label = base::ToBytes(kAlice);
    request.greatest_version = owner_.greatest_version();
    for (const std::string& value : values) request.values.push_back({base::ToBytes(value)});
    nlohmann::json json =
        Check("update", request, AnswerUpdate(log_, request, /*of_request=*/!values.empty()));
    const auto verified =
        verifier_->VerifyUpdate(request, response_, owner_, previous(), log_.RightmostMs());
    EXPECT_TRUE(verified.ok()) << verified.status();
    owner_ = verified->owner;
    state_ = verified->state;
    return json;
  }
  nlohmann::json Monitor() {
    const auto request = core::MakeOwnerMonitorRequest(base::AsBytes(kAlice), owner_, last());
    nlohmann::json json = Check("owner-monitor", request, AnswerOwnerMonitor(log_, request));
    const auto verified =
        verifier_->VerifyOwnerMonitor(request, response_, owner_, previous(), log_.RightmostMs());
    EXPECT_TRUE(verified.ok()) << verified.status();
    owner_ = verified->owner;
    state_ = verified->state;
    return json;
  }

  const std::unique_ptr<core::ResponseVerifier> verifier_;
  core::OwnerState owner_;
  std::optional<core::UserState> state_;
  base::Bytes response_;
};

TEST_P(VerifyOwner, EveryResponseIsCheckedAgainstTheStateThatTheOthersLeft) {
  nlohmann::json json = Init(0);
  EXPECT_EQ(json["start"], 0);
  EXPECT_EQ(json["greatest_versions"][0]["version"], 0);
  EXPECT_EQ(Run("owner-init").exit_code, 2) << "it is owned already";

  // Her own versions, two in one entry; then others', in two responses to one request.
  log_.Append(20'100, {{kAlice, "one"}, {kAlice, "two"}});
  json = Update({"one", "two"});
  EXPECT_EQ(json["own"], true);
  ASSERT_EQ(json["created"].size(), 2u);
  EXPECT_EQ(json["created"][1]["version"], 2);
  log_.Append(20'200, {{kAlice, "three"}});
  log_.Append(20'300, {{kAlice, "four"}});
  json = Update({});
  EXPECT_EQ(json["own"], false);
  EXPECT_EQ(json["position"], 3);
  EXPECT_EQ(Run("update").exit_code, 2) << "an answer to what the state no longer asks";
  json = Update({});
  EXPECT_EQ(json["created"][0]["value"], base::ToBase64(base::AsBytes(std::string("four"))));

  for (int i = 0; i < 3; ++i) log_.Append(30'000 + 5'000 * i);
  json = Monitor();
  EXPECT_EQ(json["complete"], true);
  EXPECT_GT(json["start"], 4);
  EXPECT_EQ(json["entries"].size(), 0u);
}

TEST_P(VerifyOwner, WithoutStateThereIsNoOwner) {
  Init(0);
  log_.Append(20'100, {{kAlice, "one"}});
  Update({"one"});
  Monitor();
  std::filesystem::remove_all(directory_.File("state"));
  EXPECT_EQ(Run("owner-monitor").exit_code, 2);
  EXPECT_EQ(Run("update").exit_code, 2);
}

// The log hid a version from its owner while a distinguished entry came to cover it.
TEST_P(VerifyOwner, HiddenVersionIsNoticedByOwnerMonitoring) {
  Init(0);
  TestLog honest = log_;
  log_.Append(40'000, {{kAlice, "not hers"}});
  for (int i = 1; i < 4; ++i) log_.Append(40'000 + 5'000 * i);
  // An answer that claims that nothing is there needs other ladders than the log can prove.
  for (int i = 0; i < 4; ++i) honest.Append(40'000 + 5'000 * i);
  const auto request = core::MakeOwnerMonitorRequest(base::AsBytes(kAlice), owner_, last());
  const auto lie = AnswerOwnerMonitor(honest, request);
  auto answer = AnswerOwnerMonitor(log_, request);
  ASSERT_TRUE(lie.ok() && answer.ok());
  answer->monitor = lie->monitor;
  WriteStructure("request", base::codec::Encode(request));
  WriteStructure("response", base::codec::Encode(*answer, log_.context()));
  EXPECT_EQ(Run("owner-monitor").exit_code, 3);
  // The honest one stops where there is more than the owner knows.
  EXPECT_EQ(Monitor()["complete"], false);
  EXPECT_EQ(Update({})["own"], false);
  EXPECT_EQ(Monitor()["complete"], true);
}

std::vector<Case> Cases() {
  return {{core::CipherSuite::kP256, core::DeploymentMode::kContactMonitoring},
          {core::CipherSuite::kEd25519, core::DeploymentMode::kContactMonitoring},
          {core::CipherSuite::kP256, core::DeploymentMode::kThirdPartyManagement},
          {core::CipherSuite::kEd25519, core::DeploymentMode::kThirdPartyAuditing}};
}

std::string NameOf(const ::testing::TestParamInfo<Case>& test) {
  return std::string(test.param.suite == core::CipherSuite::kP256 ? "P256" : "Ed25519") + "Mode" +
         std::to_string(static_cast<int>(test.param.mode));
}

INSTANTIATE_TEST_SUITE_P(All, Verify, ::testing::ValuesIn(Cases()), NameOf);
INSTANTIATE_TEST_SUITE_P(All, VerifyOwner, ::testing::ValuesIn(Cases()), NameOf);

}  // namespace
}  // namespace kt::testing
