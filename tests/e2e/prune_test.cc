// SPDX-License-Identifier: Apache-2.0
//
// A log with a short lifetime, and an erasure, with the real programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/e2e/deployment.h"
#include "tests/support/paths.h"

namespace kt::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kFound = 0;
constexpr int kUsage = 2;
constexpr int kUnavailable = 4;
constexpr int kRefused = 5;
constexpr int kExpired = 6;
constexpr char kAlice[] = "alice@smime.example";

int CountOf(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

class Retention : public ::testing::TestWithParam<std::string> {
 protected:
  void Begin(const std::vector<std::string>& options) {
    deployment_.emplace(GetParam(), 50, options);
    deployment_->SetOption("pruning", "interval_ms", "200");
    ASSERT_TRUE(deployment_->StartServer()) << deployment_->server().Log();
    deployment_->StartDns();
  }
  ~Retention() override { deployment_->StopServer(); }

  void Publish(const std::string& certificate) {
    const ProcessResult published =
        deployment_->Publish(kAlice, {"--cert", deployment_->Vector(certificate)});
    ASSERT_EQ(published.exit_code, 0) << published.err;
  }
  // Entries so late that all before have passed their lifetime, and are pruned.
  void Age() {
    for (int i = 0; i < 3; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2'700));
      const ProcessResult published = deployment_->Publish(
          "bob@smime.example", {"--cert", deployment_->Vector("bob.encr.crt.pem"), "--replace"});
      ASSERT_EQ(published.exit_code, 0) << published.err;
    }
    EXPECT_TRUE(deployment_->server().WaitForLog("\"event\":\"pruned\""))
        << deployment_->server().Log();
  }
  ProcessResult History() { return deployment_->Client("history", {kAlice}); }

  std::optional<Deployment> deployment_;
};

INSTANTIATE_TEST_SUITE_P(Suites, Retention, ::testing::Values("p256", "ed25519"));

TEST_P(Retention, WhatHasExpiredIsPrunedAndToldApart) {
  Begin({"--rmw-ms", "500", "--maximum-lifetime-ms", "2000", "--max-ahead-ms", "1000",
         "--max-behind-ms", "600000"});
  for (const char* certificate :
       {"alice.sign.crt.pem", "alice.encr.crt.pem", "alice.sign.crt.pem"}) {
    Publish(certificate);
  }
  ProcessResult history = History();
  EXPECT_EQ(history.exit_code, kFound) << history.err;
  EXPECT_THAT(history.out, HasSubstr("version 0:"));

  Age();

  // The newest version never expires.
  history = deployment_->Client("history", {kAlice, "--state", deployment_->File("another")});
  EXPECT_EQ(history.exit_code, kFound) << history.err;
  EXPECT_THAT(history.out, HasSubstr("version 2:"));
  EXPECT_THAT(history.out, Not(HasSubstr("version 1:")));
  EXPECT_THAT(history.err, HasSubstr("older versions have expired"));
  // A restart finds everything in order, and goes on.
  deployment_->StopServer();
  ASSERT_TRUE(deployment_->StartServer()) << deployment_->server().Log();
  history = deployment_->Client("history", {kAlice, "--state", deployment_->File("another")});
  EXPECT_EQ(history.exit_code, kFound) << history.err;
}

// Who was away for longer than the lifetime: no false alarm, and a way on.
TEST_P(Retention, WhoComesBackTooLateBeginsAnew) {
  Begin({"--rmw-ms", "500", "--maximum-lifetime-ms", "2000", "--max-ahead-ms", "1000",
         "--max-behind-ms", "600000"});
  const auto as = [&](const std::string& state, const std::string& command,
                      std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--state", deployment_->File(state)});
    return deployment_->Client(command, arguments);
  };
  Publish("alice.sign.crt.pem");
  ASSERT_EQ(as("user", "lookup", {kAlice}).exit_code, kFound);
  ASSERT_EQ(as("owner", "own", {kAlice}).exit_code, kFound);
  Publish("alice.encr.crt.pem");
  Age();

  // A size may be one that can still be gone on from; of two sizes in a row one is not.
  const ProcessResult user = as("user", "lookup", {kAlice});
  const ProcessResult owner = as("owner", "monitor", {kAlice});
  EXPECT_TRUE(user.exit_code == kExpired || owner.exit_code == kExpired)
      << user.exit_code << user.err << owner.exit_code << owner.err;
  for (const auto& [state, result] : {std::pair("user", user), std::pair("owner", owner)}) {
    SCOPED_TRACE(state + result.err);
    EXPECT_THAT(result.err, Not(HasSubstr("VERIFICATION FAILED")));
    EXPECT_THAT(result.exit_code, AnyOf(kFound, kExpired));
    if (result.exit_code != kExpired) continue;
    EXPECT_THAT(result.err, HasSubstr("to begin anew"));
    EXPECT_EQ(CountOf(result.err, "\n"), 1);
  }
  for (const char* state : {"user", "owner"}) {
    for (const auto& file : std::filesystem::directory_iterator(deployment_->File(state))) {
      if (file.path().extension() == ".state") std::filesystem::remove(file);
    }
  }
  EXPECT_EQ(as("user", "lookup", {kAlice}).exit_code, kFound);
  const ProcessResult anew = as("owner", "own", {kAlice});
  EXPECT_EQ(anew.exit_code, kFound) << anew.err;
  EXPECT_EQ(as("owner", "monitor", {kAlice}).exit_code, kFound);
}

TEST_P(Retention, WhatWasLookedUpCanBeForgotten) {
  Begin({});
  Publish("alice.sign.crt.pem");
  Publish("alice.encr.crt.pem");
  ASSERT_EQ(deployment_->Client("lookup", {kAlice}).exit_code, kFound);
  EXPECT_EQ(deployment_->Client("monitor", {"--forget"}).exit_code, kUsage) << "of whom?";
  const ProcessResult forgotten = deployment_->Client("monitor", {kAlice, "--forget"});
  EXPECT_EQ(forgotten.exit_code, kFound) << forgotten.err;
  const ProcessResult again = deployment_->Client("monitor", {kAlice, "--forget"});
  EXPECT_EQ(again.exit_code, kUsage);
  EXPECT_THAT(again.err, HasSubstr("alice@smime.example is not one that is monitored"));
}

TEST_P(Retention, AnErasedVersionIsToldAsErased) {
  Begin({});
  for (const char* certificate : {"alice.sign.crt.pem", "alice.encr.crt.pem"}) Publish(certificate);
  EXPECT_EQ(History().exit_code, kFound);

  // While the server runs.
  ProcessResult erased = deployment_->ServerCommand(
      {"erase", "--config", deployment_->config(), kAlice, "--version", "0"});
  ASSERT_EQ(erased.exit_code, 0) << erased.err;
  EXPECT_THAT(erased.out, HasSubstr("erased 1 of 1 versions"));
  const std::string log = deployment_->server().Log();
  EXPECT_EQ(CountOf(log, "\"event\":\"value_erased\""), 1);
  EXPECT_THAT(log, Not(HasSubstr("alice")));

  ProcessResult history = History();
  EXPECT_EQ(history.exit_code, kUnavailable);
  EXPECT_THAT(history.out, HasSubstr("version 1:"));
  EXPECT_THAT(history.err, HasSubstr("version 0: erased by the log: cannot be verified"));
  ProcessResult lookup = deployment_->Client("lookup", {kAlice});
  EXPECT_EQ(lookup.exit_code, kFound) << "the newest is still there: " << lookup.err;

  // While it does not.
  deployment_->StopServer();
  erased =
      deployment_->ServerCommand({"erase", "--config", deployment_->config(), kAlice, "--all"});
  ASSERT_EQ(erased.exit_code, 0) << erased.err;
  EXPECT_THAT(erased.out, HasSubstr("erased 1 of 2 versions"));
  const ProcessResult list =
      deployment_->ServerCommand({"erasures", "--config", deployment_->config()});
  EXPECT_EQ(list.exit_code, 0) << list.err;
  EXPECT_EQ(CountOf(list.out, "\"vrf_output\""), 2);
  EXPECT_THAT(list.out, Not(HasSubstr("alice")));
  ASSERT_TRUE(deployment_->StartServer()) << deployment_->server().Log();

  lookup = deployment_->Client("lookup", {kAlice});
  EXPECT_EQ(lookup.exit_code, kUnavailable);
  EXPECT_EQ(lookup.out, "");
  EXPECT_THAT(lookup.err, HasSubstr("erased by the log: cannot be verified"));

  // A later set is found like any other.
  const ProcessResult published = deployment_->Publish(
      kAlice, {"--cert", deployment_->Vector("alice.sign.crt.pem"), "--replace"});
  ASSERT_EQ(published.exit_code, 0) << published.err;
  lookup = deployment_->Client("lookup", {kAlice});
  EXPECT_EQ(lookup.exit_code, kFound) << lookup.err;
}

// Of an owner, who has to go on without a search that proves the newest value.
TEST_P(Retention, AnErasedSetIsReplacedByItsOwner) {
  Begin({});
  const auto owner = [&](const std::string& command, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), kAlice);
    arguments.insert(arguments.end(), {"--state", deployment_->File("owner")});
    return deployment_->Client(command, arguments);
  };
  const auto publish = [&](const std::string& how) {
    return owner("publish", {"--token-file", deployment_->token_file(), "--cert",
                             deployment_->Vector("alice.sign.crt.pem"), how});
  };
  ProcessResult result = owner("own", {});
  ASSERT_EQ(result.exit_code, kFound) << result.err;
  result = publish("--replace");
  ASSERT_EQ(result.exit_code, kFound) << result.err;
  ASSERT_EQ(
      deployment_->ServerCommand({"erase", "--config", deployment_->config(), kAlice, "--all"})
          .exit_code,
      0);
  result = publish("--add");
  EXPECT_EQ(result.exit_code, kRefused);
  EXPECT_THAT(result.err, HasSubstr("erased"));
  result = publish("--replace");
  EXPECT_EQ(result.exit_code, kFound) << result.err;
  EXPECT_EQ(deployment_->Client("lookup", {kAlice}).exit_code, kFound);
  result = owner("monitor", {});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_P(Retention, EraseRefusesWhatIsNotThere) {
  Begin({});
  const auto erase = [&](const std::vector<std::string>& more) {
    std::vector<std::string> argv = {"erase", "--config", deployment_->config()};
    argv.insert(argv.end(), more.begin(), more.end());
    return deployment_->ServerCommand(argv);
  };
  EXPECT_EQ(erase({kAlice}).exit_code, 2) << "neither --version nor --all";
  EXPECT_EQ(erase({kAlice, "--all", "--version", "0"}).exit_code, 2);
  const ProcessResult missing = erase({kAlice, "--all"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("no such address"));
}

}  // namespace
}  // namespace kt::testing
