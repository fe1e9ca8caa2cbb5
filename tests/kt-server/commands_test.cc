// SPDX-License-Identifier: Apache-2.0
//
// kt-server as its operator uses it, as far as that takes no client: what is wrong is refused in
// one line, before anything is signed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "kt-server/log_files.h"
#include "kt-server/server_config.h"
#include "kt-server/tls_files.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"

namespace kt::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
namespace fs = std::filesystem;

class ServerCommands : public ::testing::Test {
 protected:
  static ProcessResult Command(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), kt::testing::ServerProgram());
    return RunProcess(arguments);
  }

  ProcessResult Init(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"init",
                                          "--data",
                                          File("log"),
                                          "--domain",
                                          "smime.example",
                                          "--tls-cert",
                                          File("server.pem"),
                                          "--tls-key",
                                          File("server.key"),
                                          "--trust-anchors",
                                          File("server.pem")};
    if (std::find(more.begin(), more.end(), "--listen") == more.end()) {
      arguments.insert(arguments.end(), {"--listen", "127.0.0.1:0"});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Command(arguments);
  }

  void MakeCertificate(const std::string& name) {
    const ProcessResult made = RunProcess(
        {"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-keyout", File("server.key"), "-out", File("server.pem"), "-subj",
         "/CN=smime.example", "-addext", "subjectAltName=DNS:" + name});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    WriteText(File("server.key"), ReadText(File("server.key")), 0600);
  }

  // `run`, which must not get as far as an entry.
  void ExpectRefused(const std::string& part) {
    const ProcessResult result = Command({"run", "--config", config()});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, HasSubstr(part));
    EXPECT_THAT(result.err, Not(HasSubstr("epoch_signed")));
  }

  void SetKey(const std::string& key, const std::string& value) {
    std::string toml = ReadText(config());
    const size_t begin = toml.find("\n" + key + " = ");
    KT_CHECK(begin != std::string::npos);
    toml.replace(begin + 1, toml.find('\n', begin + 1) - begin - 1, key + " = " + value);
    WriteText(config(), toml);
  }

  std::string File(const std::string& name) const { return directory_.File(name); }
  std::string config() const { return File("log/kt-server.toml"); }

  TemporaryDirectory directory_;
};

void ExpectError(const ProcessResult& result, int exit_code, const std::string& part) {
  EXPECT_EQ(result.exit_code, exit_code);
  EXPECT_THAT(result.err, AllOf(StartsWith("kt-server: "), HasSubstr(part)));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_EQ(result.out, "");
}

TEST_F(ServerCommands, VersionIsToldAndUnknownCommandsAreNamed) {
  const ProcessResult version = Command({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, ::testing::MatchesRegex("kt-server [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  ExpectError(Command({"serve"}), 2, "there is no command serve");
  ExpectError(Command({"token", "destroy"}), 2, "there is no command destroy");
  ExpectError(Command({}), 2, "subcommand");
}

TEST_F(ServerCommands, InitRefusesWhatCannotWorkAndLeavesNothing) {
  const std::pair<std::vector<std::string>, const char*> bad[] = {
      {{"--listen", "bogus"}, "HOST:PORT"},
      {{"--listen", "host:99999"}, "HOST:PORT"},
      {{"--max-behind-ms", "20000"}, "max_behind"},
  };
  for (const auto& [options, part] : bad) ExpectError(Init(options), 1, part);
  ExpectError(Init({"--epoch-ms", "60001"}), 2, "60000");
  ExpectError(Init({"--expected-versions", "0"}), 2, "--expected-versions");
  ExpectError(Init({"--expected-versions", "2000000001"}), 2, "--expected-versions");
  ExpectError(Init({"--role", "operator", "--manager", "log.example:8443",  //
                    "--expected-versions", "10"}),
              1, "--role manager");
  EXPECT_FALSE(fs::exists(File("log")));
}

TEST_F(ServerCommands, InitStoresALargeLogsTreeDeeper) {
  MakeCertificate("smime.example");
  ASSERT_EQ(Init({"--expected-versions", "30000001"}).exit_code, 0);
  ASSERT_OK_AND_ASSIGN(const server::ServerConfig log, server::LoadServerConfig(config()));
  ASSERT_OK_AND_ASSIGN(const server::OpenedLog opened, server::OpenLog(log, base::SystemRandom()));
  EXPECT_EQ(opened.layout.bucket_depth, 24);
  EXPECT_TRUE(opened.layout.deepest_from_leaves);
}

TEST_F(ServerCommands, RunChecksItsFilesBeforeItSignsAnything) {
  MakeCertificate("smime.example");
  ASSERT_EQ(Init().exit_code, 0);
  const std::string good = ReadText(config());
  SetKey("tls_certificate", "\"" + File("missing.pem") + "\"");
  ExpectRefused("missing.pem");
  WriteText(config(), good);
  SetKey("trust_anchors", "\"" + File("missing.pem") + "\"");
  ExpectRefused("missing.pem");
  WriteText(config(), good);
  SetKey("address", "\"192.0.2.1:8443\"");
  ExpectRefused("192.0.2.1");
  WriteText(config(), good);
  SetKey("max_idle_ms", "7200000");
  ExpectRefused("max_idle_ms");
  WriteText(config(), good);
  WriteText(File("log/tokens.toml"), "token = 1\n", 0600);
  ExpectRefused("tokens.toml");
  fs::remove(File("log/tokens.toml"));
  const std::string key = ReadText(File("server.key"));
  MakeCertificate("smime.example");
  WriteText(File("server.key"), key, 0600);
  ExpectRefused("is not the key");
}

TEST_F(ServerCommands, CertificateThatClientsWillRefuseIsToldAtTheStart) {
  MakeCertificate("other.example");
  ASSERT_EQ(Init().exit_code, 0);
  BackgroundProcess server({kt::testing::ServerProgram(), "run", "--config", config()},
                           File("run.log"));
  ASSERT_TRUE(server.WaitForLog("\"serving\"")) << server.Log();
  EXPECT_THAT(server.Log(), AllOf(HasSubstr("tls_certificate_problem"),
                                  HasSubstr("not valid for smime.example")));
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0) << server.Log();
}

TEST_F(ServerCommands, CertificatesAreJudgedByTimeAndEveryDomain) {
  MakeCertificate("*.smime.example");
  const std::string certificate = ReadText(File("server.pem"));
  const uint64_t now_ms = base::SystemClock().NowMs();
  constexpr uint64_t kDayMs = 24 * 60 * 60 * 1000;
  const auto problems = [&](const std::vector<std::string>& domains, uint64_t at_ms) {
    return server::TlsProblems(certificate, domains, at_ms);
  };
  EXPECT_THAT(problems({"a.smime.example", "b.smime.example"}, now_ms), IsEmpty());
  EXPECT_THAT(problems({"smime.example", "a.smime.example", "a.b.smime.example"}, now_ms),
              ElementsAre(HasSubstr("not valid for smime.example"),
                          HasSubstr("not valid for a.b.smime.example")));
  EXPECT_THAT(problems({"a.smime.example"}, now_ms + 3 * kDayMs),
              ElementsAre(HasSubstr("has expired")));
  EXPECT_THAT(problems({"a.smime.example"}, now_ms - kDayMs),
              ElementsAre(HasSubstr("not valid yet")));
}

TEST_F(ServerCommands, ConfigPrintsEveryDnsRecordAndRefusesOutAlone) {
  ASSERT_EQ(Init().exit_code, 0);
  SetKey("address", "\"[::1]:8443\"");
  const ProcessResult shown = Command({"config", "--config", config()});
  EXPECT_THAT(shown.out,
              AllOf(HasSubstr("_sm._keytransparency._https.smime.example. IN SRV 10 5 8443 HOST."),
                    HasSubstr("_sm._keytransparency.smime.example. IN TXT \"v=kt1; cfg=sha256:")));
  ExpectError(Command({"config", "--config", config(), "--out", File("out")}), 2, "--public");
  EXPECT_FALSE(fs::exists(File("out")));
}

TEST_F(ServerCommands, TokenCreateTellsTheIdAndOfDomainsThatAreNotHosted) {
  ASSERT_EQ(Init().exit_code, 0);
  const auto create = [&](const std::string& scope) {
    return Command({"token", "create", "--config", config(), "--scope", scope});
  };
  const ProcessResult hosted = create("alice@smime.example");
  ASSERT_EQ(hosted.exit_code, 0) << hosted.err;
  EXPECT_THAT(hosted.err, Not(HasSubstr("warning")));
  EXPECT_EQ(hosted.out.size(), 65u);
  std::string id = hosted.err.substr(hosted.err.rfind(' ') + 1);
  id.pop_back();
  EXPECT_EQ(Command({"token", "revoke", "--config", config(), "--id", id}).exit_code, 0);
  const ProcessResult foreign = create("other.example");
  EXPECT_EQ(foreign.exit_code, 0);
  EXPECT_THAT(foreign.err, HasSubstr("does not host other.example"));
}

TEST_F(ServerCommands, RootsTokenKeepsTheFilesOwner) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_EQ(Init().exit_code, 0);
  const std::string tokens = File("log/tokens.toml");
  ASSERT_TRUE(fs::exists(tokens)) << "init makes it, for its own user";
  constexpr uid_t kUser = 4242;
  ASSERT_EQ(chown(tokens.c_str(), kUser, kUser), 0);
  ASSERT_EQ(
      Command({"token", "create", "--config", config(), "--scope", "smime.example"}).exit_code, 0);
  for (const std::string& path : {tokens, tokens + ".lock"}) {
    struct stat info = {};
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, kUser) << path;
    EXPECT_EQ(info.st_gid, kUser) << path;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << path;
  }
}

TEST_F(ServerCommands, GuardIsRebuiltOnlyForThoseWhoAreSure) {
  ASSERT_EQ(Init().exit_code, 0);
  fs::remove(File("log/guard/head"));
  ExpectError(Command({"guard", "rebuild", "--config", config()}), 2, "--i-am-sure");
  EXPECT_FALSE(fs::exists(File("log/guard/head")));
  const ProcessResult rebuilt = Command({"guard", "rebuild", "--config", config(), "--i-am-sure"});
  EXPECT_EQ(rebuilt.exit_code, 0) << rebuilt.err;
  EXPECT_THAT(rebuilt.out, EndsWith("guards tree size 0\n"));
  ExpectError(Command({"guard", "rebuild", "--config", config(), "--i-am-sure"}), 1, "in order");
}

// The disk gets full while the log is served: publishing stops, the server ends cleanly.
TEST_F(ServerCommands, StopsCleanlyAfterAFailedWrite) {
  MakeCertificate("smime.example");
  ASSERT_EQ(Init({"--epoch-ms", "10"}).exit_code, 0);
  SetKey("max_idle_ms", "20");
  BackgroundProcess server(
      {"/bin/bash", "-c", "trap '' XFSZ; ulimit -f 40; exec \"$0\" run --config \"$1\"",
       kt::testing::ServerProgram(), config()},
      File("run.log"));
  ASSERT_TRUE(server.WaitForLog("epoch_failed")) << server.Log();
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0) << server.Log();
}

}  // namespace
}  // namespace kt::testing
