// SPDX-License-Identifier: Apache-2.0
//
// Third-Party Management with the real programs: users talk to the operator, who signs each value;
// its manager hosts the log. Either may be killed, and the manager may lie.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "proto/kt.grpc.pb.h"
#include "tests/e2e/managed_deployment.h"
#include "tests/support/paths.h"

namespace kt::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

constexpr int kWindowMs = 1500;
constexpr int kLongEpochMs = 8'000;
constexpr char kAlice[] = "alice@smime.example";
constexpr char kSign[] = "alice.sign.crt.pem";
constexpr char kEncrypt[] = "alice.encr.crt.pem";

class Managed : public ::testing::TestWithParam<std::string> {
 protected:
  Managed() : deployment_(GetParam(), {"--rmw-ms", std::to_string(kWindowMs)}) {
    EXPECT_TRUE(deployment_.StartManager()) << deployment_.manager().Log();
    EXPECT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
    deployment_.StartDns();
  }

  // By whoever has a token, unless `state` is an owner's.
  ProcessResult Publish(const std::string& certificate, const std::string& state = "other",
                        const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"--cert", deployment_.Vector(certificate), "--state",
                                          deployment_.File(state), "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return deployment_.Publish(kAlice, arguments);
  }
  json Published(const std::string& certificate, const std::string& state = "other") {
    const ProcessResult result = Publish(certificate, state);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.exit_code == 0 ? json::parse(result.out) : json();
  }
  // By somebody who knows nothing yet.
  json Lookup(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {kAlice, "--json", "--state",
                                          deployment_.File("user" + std::to_string(users_++))};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult result = deployment_.Client("lookup", arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.exit_code == 0 ? json::parse(result.out) : json();
  }
  ProcessResult Owner(const std::string& command, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--state", deployment_.File("owner")});
    return deployment_.Client(command, arguments);
  }
  void StopBoth() {
    deployment_.StopServer();
    deployment_.StopManager();
  }
  // Publishes in the background, and returns once the operator has signed the value. The manager
  // must have been started with a long epoch.
  std::future<ProcessResult> PublishUntilSigned(const std::string& certificate) {
    const size_t before = TimesSigned();
    auto result = std::async(std::launch::async, [this, certificate] {
      return Publish(certificate, "other", {"--timeout", "30000"});
    });
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (TimesSigned() == before && std::chrono::steady_clock::now() < give_up) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(TimesSigned(), before + 1) << deployment_.server().Log();
    return result;
  }
  // By the operator, whose log goes on after a restart.
  size_t TimesSigned() {
    const std::string log = deployment_.server().Log();
    size_t times = 0;
    for (size_t at = 0; (at = log.find("\"event\":\"signed\"", at)) != std::string::npos; ++at) {
      ++times;
    }
    return times;
  }
  void Kill(BackgroundProcess& process) {
    process.Signal(SIGKILL);
    EXPECT_EQ(process.Wait(), 128 + SIGKILL);
  }
  void RestartManager(int epoch_ms) {
    deployment_.SetManagerEpoch(epoch_ms);
    ASSERT_TRUE(deployment_.StartManager()) << deployment_.manager().Log();
  }
  // The operator finds a manager that was away by itself, if not at once, and sends what it signs
  // over a connection of its own.
  void AwaitManager() {
    const std::vector<std::string> arguments = {"--cert", deployment_.Vector("bob.encr.crt.pem"),
                                                "--state", deployment_.File("other")};
    for (int i = 0; i < 50; ++i) {
      if (deployment_.Publish("bob@smime.example", arguments).exit_code == 0) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    FAIL() << deployment_.server().Log();
  }
  void RestartOperator() { ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log(); }

  ManagedDeployment deployment_;
  int users_ = 0;
};

TEST_P(Managed, EverythingThatUsersAndOwnersDo) {
  EXPECT_EQ(deployment_.Client("lookup", {kAlice}).exit_code, 1) << "proven absent";
  ASSERT_EQ(Owner("own", {kAlice}).exit_code, 0);
  const ProcessResult first = Publish(kSign, "owner");
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(json::parse(first.out)["version"], 0);
  EXPECT_EQ(json::parse(first.out)["verified"], true);
  EXPECT_EQ(Published(kEncrypt)["version"], 1);
  EXPECT_EQ(Publish(kEncrypt, "other", {"--expect-version", "0"}).exit_code, 5);
  EXPECT_EQ(Publish(kEncrypt, "other", {"--expect-absent"}).exit_code, 5);
  EXPECT_EQ(Publish("bob.encr.crt.pem").exit_code, 5) << "not Alice's certificate";
  EXPECT_EQ(Lookup()["version"], 1);

  // Somebody else's version is told to the owner, and proven.
  const ProcessResult told = Owner("monitor", {"--all"});
  EXPECT_THAT(told.out + told.err, HasSubstr("version 1"));
  EXPECT_EQ(Owner("own", {kAlice, "--accept", "1"}).exit_code, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(kWindowMs + 200));
  EXPECT_EQ(Published(kSign)["version"], 2);
  EXPECT_EQ(Owner("monitor", {"--all"}).exit_code, 3) << "not hers";
  EXPECT_EQ(Owner("own", {kAlice, "--accept", "2"}).exit_code, 0);
  const ProcessResult quiet = Owner("monitor", {"--all"});
  EXPECT_EQ(quiet.exit_code, 0) << quiet.err;
  const ProcessResult history = deployment_.Client("history", {kAlice, "--json"});
  ASSERT_EQ(history.exit_code, 0) << history.err;
  EXPECT_EQ(json::parse(history.out)["versions"].size(), 3u);

  // After a restart of both, returning users find the same log.
  StopBoth();
  ASSERT_TRUE(deployment_.StartManager());
  RestartOperator();
  EXPECT_EQ(deployment_.Client("lookup", {kAlice}).exit_code, 0);
  EXPECT_EQ(Owner("monitor", {"--all"}).exit_code, 0);
  StopBoth();
}

// The walk to a distinguished entry goes through the operator, and the manager's signature is in
// the credential.
TEST_P(Managed, CredentialIsVerifiedByItsReceiver) {
  ASSERT_EQ(Published(kSign)["version"], 0);
  for (int i = 0; i < 2; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(kWindowMs + 100));
    const ProcessResult other = deployment_.Publish(
        "bob@smime.example",
        {"--cert", deployment_.Vector("bob.encr.crt.pem"), "--state", deployment_.File("other")});
    ASSERT_EQ(other.exit_code, 0) << other.err;
  }
  const std::string file = deployment_.File("alice.credential");
  const ProcessResult made =
      RunProcess({ClientProgram(), "credential", "make", "--dns-server", deployment_.dns(), "--ca",
                  deployment_.ca_file(), "--state", deployment_.state(), kAlice, "--out", file});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const ProcessResult heads =
      deployment_.Client("heads", {"smime.example", "--state", deployment_.File("receiver")});
  ASSERT_EQ(heads.exit_code, 0) << heads.err;
  StopBoth();
  const auto check = [&](const std::string& address) {
    return RunProcess({ClientProgram(), "credential", "check", file, "--json", "--state",
                       deployment_.File("receiver"), "--address", address});
  };
  const ProcessResult checked = check(kAlice);
  ASSERT_EQ(checked.exit_code, 0) << checked.err;
  EXPECT_EQ(json::parse(checked.out)["state"], "final");
  EXPECT_EQ(check("bob@smime.example").exit_code, 3);
}

// The manager erases; the operator cannot see the greatest version any more, and goes on.
TEST_P(Managed, ErasedVersionIsFollowedByAnother) {
  ASSERT_EQ(Published(kSign)["version"], 0);
  const ProcessResult erased = deployment_.ServerCommand(
      {"erase", "--config", deployment_.manager_config(), kAlice, "--all"});
  ASSERT_EQ(erased.exit_code, 0) << erased.err;
  const ProcessResult lookup = deployment_.Client("lookup", {kAlice});
  EXPECT_THAT(lookup.err, HasSubstr("erased by the log: cannot be verified"));
  EXPECT_EQ(Publish(kEncrypt, "other", {"--add"}).exit_code, 5) << "to what?";
  EXPECT_EQ(Published(kEncrypt)["version"], 1);
  EXPECT_EQ(Lookup()["version"], 1);
  StopBoth();
}

// What was signed and never reached the log is skipped by the next value.
TEST_P(Managed, ManagerKilledBeforeItAddsAVersion) {
  ASSERT_EQ(Owner("own", {kAlice}).exit_code, 0);
  ASSERT_EQ(Publish(kSign, "owner").exit_code, 0);
  StopBoth();
  RestartManager(kLongEpochMs);
  RestartOperator();
  auto lost = PublishUntilSigned(kEncrypt);
  Kill(deployment_.manager());
  EXPECT_EQ(lost.get().exit_code, 4);
  RestartManager(50);
  AwaitManager();
  EXPECT_EQ(Lookup()["version"], 0);
  EXPECT_EQ(Published(kSign)["version"], 2);
  EXPECT_EQ(Lookup()["version"], 2);
  const ProcessResult history =
      deployment_.Client("history", {kAlice, "--json", "--state", deployment_.File("reader")});
  ASSERT_EQ(history.exit_code, 0) << history.err;
  EXPECT_EQ(json::parse(history.out)["versions"].size(), 2u);
  EXPECT_EQ(json::parse(history.out)["skipped"], json::array({1}));
  // The owner is told of version 2, and that 1 was skipped is proven to her too.
  const ProcessResult told = Owner("monitor", {"--all"});
  EXPECT_THAT(told.out + told.err, HasSubstr("version 2"));
  EXPECT_EQ(Owner("own", {kAlice, "--accept", "2"}).exit_code, 0);
  const ProcessResult next = Publish(kEncrypt, "owner");
  ASSERT_EQ(next.exit_code, 0) << next.err;
  EXPECT_EQ(json::parse(next.out)["version"], 3);
  StopBoth();
}

// The same value goes out again under the same version.
TEST_P(Managed, LostAnswerIsMadeUpForByTheSameValue) {
  StopBoth();
  RestartManager(kLongEpochMs);
  RestartOperator();
  auto lost = PublishUntilSigned(kEncrypt);
  Kill(deployment_.manager());
  EXPECT_EQ(lost.get().exit_code, 4);
  RestartManager(50);
  AwaitManager();
  EXPECT_EQ(Published(kEncrypt)["version"], 0);
  StopBoth();
}

// The manager has the value, and adds it although nobody waits for it any more.
TEST_P(Managed, OperatorKilledBetweenSigningAndAnswer) {
  StopBoth();
  RestartManager(kLongEpochMs);
  RestartOperator();
  auto lost = PublishUntilSigned(kEncrypt);
  // Signed is not yet sent.
  std::this_thread::sleep_for(std::chrono::seconds(1));
  Kill(deployment_.server());
  EXPECT_EQ(lost.get().exit_code, 4);
  // Answers what waits, and so adds it.
  deployment_.StopManager();
  RestartManager(50);
  RestartOperator();
  EXPECT_EQ(Lookup()["version"], 0);
  EXPECT_EQ(Published(kSign)["version"], 1);
  StopBoth();
}

// Only who holds the operator's certificate gets as far as HTTP.
TEST_P(Managed, ManagerServesNobodyElse) {
  deployment_.MakeClientCertificate("mallory");
  const auto ask = [&](const std::string& certificate, const std::string& key) {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = ReadText(deployment_.ca_file());
    if (!certificate.empty()) {
      tls.pem_cert_chain = ReadText(certificate);
      tls.pem_private_key = ReadText(key);
    }
    const auto channel = grpc::CreateChannel(
        "127.0.0.1:" + std::to_string(deployment_.manager_port()), grpc::SslCredentials(tls));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    v1::GetConfigurationResponse response;
    return v1::KeyTransparency::NewStub(channel)
        ->GetConfiguration(&context, v1::GetConfigurationRequest(), &response)
        .error_code();
  };
  EXPECT_EQ(ask("", ""), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ask(deployment_.File("mallory.pem"), deployment_.File("mallory.key")),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ask(deployment_.File("log/operator.pem"), deployment_.File("log/keys/operator.key")),
            grpc::StatusCode::OK);
  // What is about the log's own files is asked at the manager.
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"fsck"}, {"erase", kAlice, "--all"}, {"erasures"}}) {
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {"--config", deployment_.config()});
    const ProcessResult refused = deployment_.ServerCommand(arguments);
    EXPECT_EQ(refused.exit_code, 1) << command[0];
    EXPECT_THAT(refused.err, HasSubstr("at its manager")) << command[0];
  }
  StopBoth();
}

// The manager puts an older database and guard back, and lets the log grow another way.
TEST_P(Managed, ForkIsCaughtByTheOperator) {
  ASSERT_EQ(Published(kSign)["version"], 0);
  deployment_.StopManager();
  const std::string manager = deployment_.File("manager");
  fs::copy(manager, deployment_.File("backup"), fs::copy_options::recursive);
  ASSERT_TRUE(deployment_.StartManager());
  AwaitManager();
  ASSERT_EQ(Published(kEncrypt)["version"], 1);
  StopBoth();
  for (const char* part : {"db", "guard"}) {
    fs::remove_all(manager + "/" + part);
    fs::copy(deployment_.File("backup/") + part, manager + "/" + part, fs::copy_options::recursive);
  }
  // Rolled back: what the operator has seen is not there.
  ASSERT_TRUE(deployment_.StartManager());
  RestartOperator();
  EXPECT_TRUE(deployment_.server().WaitForLog("manager_not_followed"));
  EXPECT_EQ(deployment_.Client("lookup", {kAlice, "--state", deployment_.File("new")}).exit_code,
            4);
  // And grown again, past what it had before, by itself: it adds entries when it is idle.
  deployment_.StopManager();
  std::string toml = ReadText(deployment_.manager_config());
  toml.replace(toml.find("max_idle_ms = 0"), 15, "max_idle_ms = 50");
  WriteText(deployment_.manager_config(), toml);
  ASSERT_TRUE(deployment_.StartManager());
  ASSERT_TRUE(deployment_.server().WaitForLog("manager_lied")) << deployment_.server().Log();
  const ProcessResult refused =
      deployment_.Client("lookup", {kAlice, "--state", deployment_.File("new")});
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_THAT(refused.err, HasSubstr("contradicted itself"));
  EXPECT_EQ(Publish(kEncrypt).exit_code, 4);
  const json evidence = json::parse(ReadText(deployment_.File("log/manager/evidence.json")));
  EXPECT_TRUE(evidence.contains("verified_state") && evidence.contains("response"));
  deployment_.StopServer();
  EXPECT_FALSE(deployment_.StartServer()) << "not before somebody has looked into it";
  EXPECT_THAT(deployment_.server().Log(), HasSubstr("evidence.json"));
  deployment_.StopManager();
}

INSTANTIATE_TEST_SUITE_P(Suites, Managed, ::testing::Values("p256", "ed25519"),
                         [](const auto& param_info) { return param_info.param; });

// Setting up goes wrong in one line, and nothing is left half done.
TEST(ManagedSetUp, WhatDoesNotFitIsRefused) {
  ManagedDeployment deployment("ed25519");
  ManagedDeployment other("ed25519");
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& message) {
    const ProcessResult result = deployment.ServerCommand(arguments);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, HasSubstr(message));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  refused({"config", "--config", deployment.config(), "--import",
           other.File("manager/configuration.tls")},
          "not signed with");
  refused({"config", "--config", deployment.manager_config(), "--import",
           deployment.File("manager/configuration.tls")},
          "operator");
  const auto init = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"init", "--data", deployment.File("new")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  const std::string leaf = deployment.File("log/keys/leaf.key.pub");
  const std::string certificate = deployment.File("log/operator.pem");
  refused(init({"--role", "manager", "--leaf-public-key", leaf}), "needs --operator-certificate");
  refused(init({"--role", "manager", "--operator-certificate", certificate}),
          "needs --leaf-public-key");
  refused(init({"--role", "operator", "--domain", "smime.example"}), "needs --manager");
  refused(init({"--role", "operator", "--manager", "manager.example:1"}), "--domain");
  refused(init({"--domain", "smime.example", "--manager", "manager.example:1"}),
          "is for --role operator");
  refused(init({"--role", "manager", "--suite", "p256", "--leaf-public-key", leaf,
                "--operator-certificate", certificate}),
          "not a public key");
  deployment.MakeClientCertificate("ca-like", /*is_ca=*/true);
  refused(init({"--role", "manager", "--suite", "ed25519", "--leaf-public-key", leaf,
                "--operator-certificate", deployment.File("ca-like.pem")}),
          "or a CA's");
  refused(init({"--role", "manager", "--suite", "ed25519", "--leaf-public-key", leaf,
                "--operator-certificate", deployment.File("server.pem")}),
          "not self-signed");
  EXPECT_FALSE(fs::exists(deployment.File("new")));
}

}  // namespace
}  // namespace kt::testing
