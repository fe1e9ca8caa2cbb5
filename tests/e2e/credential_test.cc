// SPDX-License-Identifier: Apache-2.0
//
// Credentials between two users, with the real programs over TLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/e2e/deployment.h"
#include "tests/support/paths.h"

namespace kt::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

// Longer than a busy machine takes for a publication and a credential.
constexpr int kWindowMs = 1500;

class Credentials : public ::testing::TestWithParam<std::string> {
 protected:
  Credentials() : deployment_(GetParam(), 50, {"--rmw-ms", std::to_string(kWindowMs)}) {
    EXPECT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
    deployment_.StartDns();
    Publish("alice");
    PassWindow();
  }
  ~Credentials() override { deployment_.StopServer(); }

  void Publish(const std::string& name) {
    const ProcessResult published = deployment_.Publish(
        name + "@smime.example", {"--cert", deployment_.Vector(name + ".encr.crt.pem"), "--state",
                                  deployment_.File(publisher_state_)});
    ASSERT_EQ(published.exit_code, 0) << published.err;
  }
  // Log entries far enough apart that there is a distinguished one to the right of all before.
  void PassWindow() {
    for (int i = 0; i < 2; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kWindowMs + 100));
      Publish("bob");
    }
  }
  // The receiver's regular walk, and everything else that the receiver does.
  ProcessResult Receiver(const std::string& command, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--state", deployment_.File("receiver")});
    return deployment_.Client(command, arguments);
  }
  ProcessResult Heads() { return Receiver("heads", {"smime.example"}); }
  ProcessResult Check(const std::string& file, std::vector<std::string> more = {}) {
    std::vector<std::string> argv = {
        kt::testing::ClientProgram(), "credential", "check", file, "--json", "--state",
        deployment_.File("receiver")};
    argv.insert(argv.end(), more.begin(), more.end());
    return RunProcess(argv);
  }
  // `kt-client credential COMMAND ...` of the sender's.
  ProcessResult Sender(const std::string& command, const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = {kt::testing::ClientProgram(),
                                     "credential",
                                     command,
                                     "--dns-server",
                                     deployment_.dns(),
                                     "--ca",
                                     deployment_.ca_file(),
                                     "--state",
                                     deployment_.state()};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return RunProcess(argv);
  }
  ProcessResult Make(const std::string& file, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"alice@smime.example", "--out", file, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Sender("make", arguments);
  }
  // A credential of a version that no distinguished entry holds, which the receiver has checked
  // initially; depends on where the entry lies in the search tree.
  void ReceiveProvisional(const std::string& file) {
    ASSERT_EQ(Heads().exit_code, 0);
    for (int attempt = 0; attempt < 8; ++attempt) {
      Publish("alice");
      ASSERT_EQ(Heads().exit_code, 0);
      const ProcessResult made = Make(file);
      ASSERT_EQ(made.exit_code, 0) << made.err;
      if (nlohmann::json::parse(made.out)["provisional"] != true) continue;
      const ProcessResult checked = Check(file);
      ASSERT_EQ(checked.exit_code, 0) << checked.err;
      ASSERT_EQ(nlohmann::json::parse(checked.out)["state"], "waiting");
      return;
    }
    FAIL() << "every log entry is distinguished";
  }
  nlohmann::json Pending() {
    const ProcessResult list = RunProcess({kt::testing::ClientProgram(), "credential", "list",
                                           "--json", "--state", deployment_.File("receiver")});
    EXPECT_EQ(list.exit_code, 0) << list.err;
    return nlohmann::json::parse(list.out)["pending"];
  }

  Deployment deployment_;
  std::string publisher_state_ = "publisher";
};

TEST_P(Credentials, StandardIsVerifiedWithoutAskingAnybody) {
  const std::string file = deployment_.File("alice.credential");
  EXPECT_EQ(Check(file).exit_code, 2) << "there is no such file yet";
  const ProcessResult made = Make(file);
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_EQ(nlohmann::json::parse(made.out)["provisional"], false);
  const ProcessResult stranger = Check(file);
  EXPECT_EQ(stranger.exit_code, 4) << "nothing is known of the log: " << stranger.err;
  ASSERT_EQ(Heads().exit_code, 0);

  deployment_.StopServer();
  const std::string pem = deployment_.File("alice.pem");
  const ProcessResult checked = Check(file, {"--address", "alice@SMIME.example", "--out", pem});
  ASSERT_EQ(checked.exit_code, 0) << checked.err;
  const auto json = nlohmann::json::parse(checked.out);
  EXPECT_EQ(json["address"], "alice@smime.example");
  EXPECT_EQ(json["state"], "final");
  EXPECT_EQ(json["certificates"].size(), 1u);
  EXPECT_THAT(ReadText(pem), HasSubstr("BEGIN CERTIFICATE"));
  EXPECT_EQ(Pending().size(), 0u);
  const ProcessResult other = Check(file, {"--address", "bob@smime.example"});
  EXPECT_EQ(other.exit_code, 3);
  EXPECT_THAT(other.err, HasSubstr("credential-address"));

  const std::string bytes = ReadText(file);
  for (size_t i = 1; i < bytes.size(); i += bytes.size() / 12) {
    std::string bad = bytes;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    WriteText(file, bad);
    const int code = Check(file).exit_code;
    EXPECT_TRUE(code == 2 || code == 3 || code == 4) << "byte " << i << ": " << code;
    EXPECT_TRUE(code == 3 || i < 40 || i > bytes.size() / 4) << "byte " << i << ": " << code;
  }
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
}

TEST_P(Credentials, AbsentAddressHasNone) {
  const std::string file = deployment_.File("nobody.credential");
  const ProcessResult made = Sender("make", {"nobody@smime.example", "--out", file});
  EXPECT_EQ(made.exit_code, 1) << made.err;
  EXPECT_EQ(ReadText(file), "");
  EXPECT_EQ(Check(file).exit_code, 2);
}

TEST_P(Credentials, ProvisionalIsSettledByTheWalkOrByTheSendersUpdate) {
  const std::string file = deployment_.File("alice.credential");
  ASSERT_NO_FATAL_FAILURE(ReceiveProvisional(file));
  ASSERT_EQ(Pending().size(), 1u);
  EXPECT_EQ(Pending()[0]["address"], "alice@smime.example");
  const std::string update = deployment_.File("alice.update");
  EXPECT_EQ(Sender("update", {file, "--out", update}).exit_code, 4) << "it is too early";
  PassWindow();
  PassWindow();
  const ProcessResult made = Sender("update", {file, "--out", update});
  if (made.exit_code == 0) {
    const std::string bytes = ReadText(update);
    std::string bad = bytes;
    bad.back() = static_cast<char>(bad.back() ^ 1);
    // Before the walk it is queued, whatever it is; then it fails, and a good one is still taken.
    EXPECT_EQ(Receiver("monitor", {}).exit_code, 0);
    WriteText(update, bad);
    EXPECT_EQ(Check(file, {"--update", update}).exit_code, 3);
    WriteText(update, bytes);
    const ProcessResult settled = Check(file, {"--update", update});
    ASSERT_EQ(settled.exit_code, 0) << settled.err;
    EXPECT_EQ(nlohmann::json::parse(settled.out)["state"], "final");
  } else {
    ASSERT_EQ(made.exit_code, 1) << made.err;
    EXPECT_EQ(Receiver("monitor", {}).exit_code, 0);
  }
  EXPECT_EQ(Pending().size(), 0u);
}

TEST_P(Credentials, FromAForkIsFoundAndGivenUpOnlyWhenTold) {
  deployment_.StopServer();
  const std::string log = deployment_.File("log");
  fs::copy(log, deployment_.File("older"), fs::copy_options::recursive);
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  ASSERT_EQ(Heads().exit_code, 0);
  // What the sender is shown after this is another history than the receiver's, with a common past.
  Publish("alice");
  const std::string file = deployment_.File("alice.credential");
  // Based on an entry of the common past.
  const ProcessResult made = Make(file, {"--known-for", "1"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const bool provisional = nlohmann::json::parse(made.out)["provisional"];
  ASSERT_EQ(Check(file).exit_code, 0);
  deployment_.StopServer();
  fs::remove_all(log);
  fs::copy(deployment_.File("older"), log, fs::copy_options::recursive);
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  publisher_state_ = "newcomer";
  PassWindow();
  PassWindow();
  ASSERT_EQ(Heads().exit_code, 0);
  if (provisional) {
    ASSERT_EQ(Pending().size(), 1u);
    const std::string id = Pending()[0]["id"];
    const ProcessResult monitored = Receiver("monitor", {});
    if (monitored.exit_code == 3) {
      EXPECT_THAT(monitored.err, HasSubstr("credential-fork"));
    } else {
      // No update can be had from either.
      EXPECT_EQ(Pending()[0]["state"], "update-needed");
    }
    EXPECT_EQ(Pending().size(), 1u) << "it is evidence";
    const auto forget = [&] {
      return RunProcess({kt::testing::ClientProgram(), "credential", "forget", id, "--state",
                         deployment_.File("receiver")});
    };
    EXPECT_EQ(forget().exit_code, 0);
    EXPECT_EQ(forget().exit_code, 2);
    EXPECT_EQ(Pending().size(), 0u);
  }
  // The sender's next request shows it to her.
  EXPECT_EQ(Make(file).exit_code, 3);
}

// Ten later distinguished entries make it expire.
TEST_P(Credentials, ExpiredIsNotAcceptedAndAPendingOneIsSettledByTheLog) {
  const std::string standard = deployment_.File("standard.credential");
  const std::string file = deployment_.File("alice.credential");
  ASSERT_EQ(Make(standard).exit_code, 0);
  ASSERT_NO_FATAL_FAILURE(ReceiveProvisional(file));
  for (int i = 0; i < 7; ++i) PassWindow();
  const ProcessResult monitored = Receiver("monitor", {"--json"});
  ASSERT_EQ(monitored.exit_code, 0) << monitored.err;
  const auto report = nlohmann::json::parse(monitored.out)["monitored"];
  ASSERT_EQ(report.size(), 1u);
  EXPECT_EQ(report[0]["result"], "done");
  EXPECT_EQ(Pending().size(), 0u);
  const ProcessResult late = Check(standard);
  EXPECT_EQ(late.exit_code, 4);
  EXPECT_THAT(late.err, HasSubstr("not recent any more"));
}

INSTANTIATE_TEST_SUITE_P(Suites, Credentials, ::testing::Values("p256", "ed25519"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace kt::testing
