// SPDX-License-Identifier: Apache-2.0
//
// A log with its auditor, out of the real programs: what users see, kill -9 of the auditor in a
// loop, exported logs, and a log that forks.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "proto/kt.grpc.pb.h"
#include "tests/e2e/deployment.h"
#include "tests/support/fakes.h"
#include "tests/support/paths.h"

namespace kt::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kKills = 25;

ProcessResult AuditorCommand(const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {kt::testing::AuditorProgram()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return RunProcess(argv);
}

class Audited : public ::testing::TestWithParam<std::string> {
 protected:
  Audited() {
    const ProcessResult init =
        AuditorCommand({"init", "--data", directory_.File("auditor"), "--suite", GetParam()});
    EXPECT_EQ(init.exit_code, 0) << init.err;
    deployment_ = std::make_unique<Deployment>(
        GetParam(), 20,
        std::vector<std::string>{"--mode", "third-party-auditing", "--auditor-key",
                                 directory_.File("auditor/auditor.key.pub"), "--max-auditor-lag-ms",
                                 "60000"});
    EXPECT_TRUE(deployment_->StartServer()) << deployment_->server().Log();
    deployment_->StartDns();
    const ProcessResult shown =
        deployment_->ServerCommand({"config", "--config", deployment_->config(), "--json"});
    fingerprint_ = "sha256:" + json::parse(shown.out)["fingerprint"].get<std::string>();
    WriteText(config(), "[[log]]\nname = \"test\"\nserver = \"" + server() +
                            "\"\ntls_name = \"smime.example\"\nca = \"" + deployment_->ca_file() +
                            "\"\nfingerprint = \"" + fingerprint_ + "\"\nkey = \"auditor.key\"\n");
  }
  ~Audited() override { deployment_->StopServer(); }

  std::string config() const { return directory_.File("auditor/kt-auditor.toml"); }
  std::string server() const { return "127.0.0.1:" + std::to_string(deployment_->port()); }

  void StartAuditor() {
    auditor_ = std::make_unique<BackgroundProcess>(
        std::vector<std::string>{kt::testing::AuditorProgram(), "run", "--config", config()},
        directory_.File("auditor." + std::to_string(starts_++) + ".log"));
    ASSERT_TRUE(auditor_->WaitForLog("\"auditing\"")) << auditor_->Log();
  }
  int StopAuditor() {
    auditor_->Signal(SIGTERM);
    return auditor_->Wait();
  }
  json Status() {
    const ProcessResult status = AuditorCommand({"status", "--config", config(), "--json"});
    EXPECT_EQ(status.exit_code, 0) << status.err;
    return json::parse(status.out)[0];
  }
  // Until the auditor has signed `size` entries.
  bool WaitForHead(uint64_t size) {
    for (int i = 0; i < 400; ++i) {
      const json status = Status();
      if (status.contains("signed_tree_size") && status["signed_tree_size"] >= size) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
    return false;
  }
  ProcessResult Publish(const std::string& who) {
    return deployment_->Publish(who + "@smime.example",
                                {"--cert", deployment_->Vector(who + ".encr.crt.pem")});
  }
  ProcessResult Export(const std::string& name, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"export",
                                          "--server",
                                          server(),
                                          "--tls-name",
                                          "smime.example",
                                          "--ca",
                                          deployment_->ca_file(),
                                          "--fingerprint",
                                          fingerprint_,
                                          "--out",
                                          directory_.File(name)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return AuditorCommand(arguments);
  }
  ProcessResult Verify(const std::string& name, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"verify", directory_.File(name), "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return AuditorCommand(arguments);
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Deployment> deployment_;
  std::string fingerprint_;
  std::unique_ptr<BackgroundProcess> auditor_;
  int starts_ = 0;
};

TEST_P(Audited, UsersAreServedOnceTheAuditorHasSigned) {
  ASSERT_EQ(AuditorCommand({"status", "--config", config()}).exit_code, 0);
  const ProcessResult early =
      deployment_->Client("lookup", {"alice@smime.example", "--timeout", "3000"});
  EXPECT_EQ(early.exit_code, 4) << early.err;
  EXPECT_THAT(early.err, HasSubstr("auditor has not signed"));

  StartAuditor();
  ASSERT_TRUE(WaitForHead(1)) << auditor_->Log();
  ASSERT_EQ(Publish("alice").exit_code, 0);
  ASSERT_EQ(deployment_->Client("lookup", {"alice@smime.example"}).exit_code, 0);
  // A returning user too, also while the auditor is away for less than it may lag.
  EXPECT_EQ(StopAuditor(), 0) << auditor_->Log();
  ASSERT_EQ(Publish("bob").exit_code, 0);
  EXPECT_EQ(deployment_->Client("lookup", {"bob@smime.example"}).exit_code, 0);
  EXPECT_EQ(deployment_->Client("lookup", {"nobody@smime.example"}).exit_code, 1);
  // The log remembers the head over a restart.
  deployment_->StopServer();
  ASSERT_TRUE(deployment_->StartServer());
  EXPECT_EQ(deployment_->Client("lookup", {"bob@smime.example"}).exit_code, 0);
  StartAuditor();
  ASSERT_TRUE(WaitForHead(3)) << auditor_->Log();
  EXPECT_EQ(StopAuditor(), 0);
}

TEST_P(Audited, ExportedLogsReplayAndDamageIsNoticed) {
  StartAuditor();
  ASSERT_TRUE(WaitForHead(1));
  for (const char* who : {"alice", "bob", "carlos"}) ASSERT_EQ(Publish(who).exit_code, 0);
  ASSERT_TRUE(WaitForHead(4));
  ProcessResult result = Export("all");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  result = Verify("all", {"--fingerprint", fingerprint_});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json all = json::parse(result.out);
  EXPECT_EQ(all["from"], 0);
  EXPECT_GE(all["to"], 3);
  EXPECT_EQ(all["changes"], 3);
  EXPECT_GE(all["tree_heads"], 1);
  EXPECT_EQ(StopAuditor(), 0);
  EXPECT_EQ(Status()["root"], all["root"]);

  result = Verify("all", {"--from", "1", "--to", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(json::parse(result.out)["changes"], 2);
  EXPECT_EQ(Verify("all", {"--to", "1000"}).exit_code, 2);
  EXPECT_EQ(Verify("all", {"--from", "2", "--to", "1"}).exit_code, 2);
  EXPECT_EQ(Verify("nothing").exit_code, 2);
  EXPECT_EQ(Verify("all", {"--fingerprint", "sha256:" + std::string(64, '0')}).exit_code, 3);

  ASSERT_EQ(Export("part", {"--from", "2", "--to", "3"}).exit_code, 0);
  result = Verify("part");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(json::parse(result.out)["from"], 2);
  EXPECT_EQ(Verify("part", {"--from", "1"}).exit_code, 2);

  std::string text = ReadText(directory_.File("all"));
  text[text.size() / 2] = static_cast<char>(text[text.size() / 2] ^ 1);
  WriteText(directory_.File("bad"), text);
  const int exit_code = Verify("bad").exit_code;
  EXPECT_TRUE(exit_code == 1 || exit_code == 3) << exit_code;
  WriteText(directory_.File("bad"), text.substr(0, text.size() - 40));
  EXPECT_NE(Verify("bad").exit_code, 0);
}

TEST_P(Audited, ForkedLogIsCaughtAndTheAuditorSaysSo) {
  StartAuditor();
  ASSERT_TRUE(WaitForHead(1));
  ASSERT_EQ(Publish("alice").exit_code, 0);
  ASSERT_TRUE(WaitForHead(2));
  deployment_->StopServer();
  const std::string log = deployment_->File("log");
  fs::copy(log, deployment_->File("backup"), fs::copy_options::recursive);
  ASSERT_TRUE(deployment_->StartServer());
  ASSERT_EQ(Publish("bob").exit_code, 0);
  ASSERT_TRUE(WaitForHead(3));
  deployment_->StopServer();
  // An operator who lies puts database and guard back, and lets the log grow another way.
  for (const char* part : {"/db", "/guard"}) {
    fs::remove_all(log + part);
    fs::copy(deployment_->File("backup") + part, log + part, fs::copy_options::recursive);
  }
  ASSERT_TRUE(deployment_->StartServer());
  ASSERT_EQ(Publish("carlos").exit_code, 0);
  EXPECT_EQ(auditor_->Wait(), 3) << "the only log is halted, so the service ends";
  EXPECT_THAT(auditor_->Log(), HasSubstr("log_misbehaves"));
  EXPECT_THAT(auditor_->Log(), HasSubstr("tree-head-signature"));
  EXPECT_EQ(AuditorCommand({"status", "--config", config()}).exit_code, 3);
  EXPECT_TRUE(fs::exists(directory_.File("auditor/state/test.evidence")));
  EXPECT_EQ(AuditorCommand({"verify", directory_.File("auditor/state/test.evidence")}).exit_code,
            3);
  // An operator's decision, which does not help a forked log.
  EXPECT_EQ(AuditorCommand({"resume", "--config", config(), "--log", "test"}).exit_code, 0);
  EXPECT_EQ(AuditorCommand({"status", "--config", config()}).exit_code, 0);
  const ProcessResult again = AuditorCommand({"run", "--config", config()});
  EXPECT_EQ(again.exit_code, 3) << again.err;
}

TEST_P(Audited, CommandsRefuseWhatIsWrong) {
  const auto expect_error = [](const ProcessResult& result, int exit_code) {
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  expect_error(AuditorCommand({}), 2);
  expect_error(AuditorCommand({"run", "--config", "/nonexistent"}), 2);
  expect_error(AuditorCommand({"init", "--data", directory_.File("auditor")}), 2);
  expect_error(AuditorCommand({"resume", "--config", config(), "--log", "other"}), 2);
  expect_error(AuditorCommand({"resume", "--config", config(), "--log", "test"}), 2);
  expect_error(Export("x", {"--from", "3", "--to", "2"}), 2);
  expect_error(AuditorCommand({"export", "--server", "127.0.0.1:1", "--out", directory_.File("x")}),
               4);
  ASSERT_EQ(chmod(directory_.File("auditor/auditor.key").c_str(), 0640), 0);
  const ProcessResult loose = AuditorCommand({"run", "--config", config()});
  EXPECT_EQ(loose.exit_code, 2);
  EXPECT_THAT(loose.err, HasSubstr("chmod 600"));
  ASSERT_EQ(chmod(directory_.File("auditor/auditor.key").c_str(), 0600), 0);
  StartAuditor();
  const ProcessResult second = AuditorCommand({"run", "--config", config()});
  EXPECT_EQ(second.exit_code, 1) << second.err;
  EXPECT_EQ(StopAuditor(), 0);
  for (const char* command : {"init", "run", "status", "resume", "export", "verify"}) {
    const ProcessResult help = AuditorCommand({command, "--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, HasSubstr("Exit codes"));
  }
}

// Users wait for the auditor, so it must not wait for long itself.
TEST_P(Audited, AuditorIsBackSoonAfterTheServer) {
  StartAuditor();
  ASSERT_TRUE(WaitForHead(1));
  uint64_t size = Status()["signed_tree_size"];
  // Started again at once, after some attempts to reach it, and after several times in a row.
  for (const int away_ms : {0, 0, 1'500, 4'000, 0, 0}) {
    deployment_->StopServer();
    std::this_thread::sleep_for(std::chrono::milliseconds(away_ms));
    ASSERT_TRUE(deployment_->StartServer()) << deployment_->server().Log();
    const auto back = std::chrono::steady_clock::now();
    ASSERT_EQ(Publish("alice").exit_code, 0);
    ASSERT_TRUE(WaitForHead(++size)) << auditor_->Log();
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - back;
    std::cout << "away for " << away_ms << " ms, followed again after " << waited.count() << " s\n";
    EXPECT_LT(waited.count(), 10);
  }
  EXPECT_EQ(StopAuditor(), 0) << auditor_->Log();
}

INSTANTIATE_TEST_SUITE_P(Suites, Audited, ::testing::Values("p256", "ed25519"),
                         [](const auto& param_info) { return param_info.param; });

class AuditorKillNine : public Audited {
 protected:
  // Publishes until `done`, one version after another.
  void PublishLoop(const std::atomic<bool>& done) {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = ReadText(deployment_->ca_file());
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("smime.example");
    const auto stub = v1::Publisher::NewStub(
        grpc::CreateCustomChannel("ipv4:" + server(), grpc::SslCredentials(tls), arguments));
    std::string token = ReadText(deployment_->token_file());
    token.pop_back();
    while (!done) {
      v1::PublishRequest request;
      request.set_address("alice@smime.example");
      request.set_operation(v1::PublishRequest::REPLACE);
      grpc::ClientContext context;
      context.AddMetadata("authorization", "Bearer " + token);
      v1::PublishResponse response;
      ASSERT_TRUE(stub->Publish(&context, request, &response).ok());
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Suite, AuditorKillNine, ::testing::Values("ed25519"));

TEST_P(AuditorKillNine, NeverSignsTwoRootsForOneSize) {
  const uint64_t seed = TestSeed(20260302);
  SCOPED_TRACE("KT_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::atomic<bool> done = false;
  std::thread publisher([&] { PublishLoop(done); });
  std::map<uint64_t, std::string> roots;  // of what was signed and stored when it was killed
  uint64_t last_signed = 0;
  for (int kill = 0; kill < kKills; ++kill) {
    StartAuditor();
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 250));
    auditor_->Signal(SIGKILL);
    EXPECT_EQ(auditor_->Wait(), 128 + SIGKILL);
    const json status = Status();
    if (!status.contains("signed_tree_size")) continue;
    const uint64_t size = status["signed_tree_size"];
    EXPECT_GE(size, last_signed) << "a stored head is never forgotten";
    last_signed = size;
    if (status["tree_size"] != size) continue;
    const auto [known, fresh] = roots.try_emplace(size, status["root"].get<std::string>());
    EXPECT_EQ(known->second, status["root"]) << "two roots of size " << size;
  }
  done = true;
  publisher.join();
  // The auditor catches up, and the log has nothing against any of its heads.
  StartAuditor();
  ASSERT_TRUE(WaitForHead(last_signed + 1)) << auditor_->Log();
  ASSERT_EQ(deployment_->Client("lookup", {"nobody@smime.example"}).exit_code, 1);
  EXPECT_EQ(StopAuditor(), 0) << auditor_->Log();
  ASSERT_EQ(Export("all").exit_code, 0);
  for (const auto& [size, root] : roots) {
    const ProcessResult verified = Verify("all", {"--to", std::to_string(size - 1)});
    ASSERT_EQ(verified.exit_code, 0) << verified.err;
    EXPECT_EQ(json::parse(verified.out)["root"], root) << size;
  }
  std::cout << roots.size() << " heads compared, " << kKills << " kills, " << last_signed
            << " entries\n";
  EXPECT_GT(roots.size(), 3u);
}

}  // namespace
}  // namespace kt::testing
