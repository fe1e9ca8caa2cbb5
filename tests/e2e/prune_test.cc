// SPDX-License-Identifier: Apache-2.0
//
// A log with a short lifetime, and an erasure, with the real programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/e2e/deployment.h"
#include "tests/support/paths.h"

namespace kt::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kFound = 0;
constexpr int kUnavailable = 4;
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
    std::string toml = ReadText(deployment_->config());
    const std::string section = "[pruning]\n";
    const size_t at = toml.find("interval_ms", toml.find(section));
    ASSERT_NE(at, std::string::npos);
    toml.replace(at, toml.find('\n', at) - at, "interval_ms = 200");
    WriteText(deployment_->config(), toml);
    ASSERT_TRUE(deployment_->StartServer()) << deployment_->server().Log();
    deployment_->StartDns();
  }
  ~Retention() override { deployment_->StopServer(); }

  void Publish(const std::string& certificate) {
    const ProcessResult published =
        deployment_->Publish(kAlice, {"--cert", deployment_->Vector(certificate)});
    ASSERT_EQ(published.exit_code, 0) << published.err;
  }
  ProcessResult History() { return deployment_->Client("history", {kAlice}); }

  std::optional<Deployment> deployment_;
};

INSTANTIATE_TEST_SUITE_P(Suites, Retention, ::testing::Values("p256", "ed25519"));

TEST_P(Retention, WhatHasExpiredIsPrunedAndToldApart) {
  Begin({"--rmw-ms", "500", "--maximum-lifetime-ms", "2000", "--max-behind-ms", "600000"});
  for (const char* certificate :
       {"alice.sign.crt.pem", "alice.encr.crt.pem", "alice.sign.crt.pem"}) {
    Publish(certificate);
  }
  ProcessResult history = History();
  EXPECT_EQ(history.exit_code, kFound) << history.err;
  EXPECT_THAT(history.out, HasSubstr("version 0:"));

  // Entries so late that all before have passed their lifetime.
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2'700));
    const ProcessResult published = deployment_->Publish(
        "bob@smime.example", {"--cert", deployment_->Vector("bob.encr.crt.pem"), "--replace"});
    ASSERT_EQ(published.exit_code, 0) << published.err;
  }
  EXPECT_TRUE(deployment_->server().WaitForLog("\"event\":\"pruned\""))
      << deployment_->server().Log();

  // The newest version never expires.
  history = deployment_->Client("history", {kAlice, "--state", deployment_->File("another")});
  EXPECT_EQ(history.exit_code, kFound) << history.err;
  EXPECT_THAT(history.out, HasSubstr("version 2:"));
  EXPECT_THAT(history.out, Not(HasSubstr("version 1:")));
  EXPECT_THAT(history.err, HasSubstr("older versions have expired"));
  // One that has seen the log before, and long ago: the status is clear, and no verification
  // failed.
  const ProcessResult returning = deployment_->Client("lookup", {kAlice});
  EXPECT_TRUE(returning.exit_code == kFound || returning.exit_code == kUnavailable)
      << returning.exit_code << returning.err;
  EXPECT_THAT(returning.err, Not(HasSubstr("VERIFICATION FAILED")));

  // A restart finds everything in order, and goes on.
  deployment_->StopServer();
  ASSERT_TRUE(deployment_->StartServer()) << deployment_->server().Log();
  history = deployment_->Client("history", {kAlice, "--state", deployment_->File("another")});
  EXPECT_EQ(history.exit_code, kFound) << history.err;
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
