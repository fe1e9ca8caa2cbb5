// SPDX-License-Identifier: Apache-2.0
//
// The commands as a person uses them: exit codes, output, and what happens when input is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/clock.h"
#include "smime/certificate.h"
#include "tests/e2e/deployment.h"
#include "tests/smime/test_certificates.h"
#include "tests/support/paths.h"

namespace kt::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

class Commands : public ::testing::TestWithParam<std::string> {
 protected:
  Commands() : deployment_(GetParam()) {
    EXPECT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
    deployment_.StartDns();
  }
  ~Commands() override { deployment_.StopServer(); }

  void PublishAlice() {
    const ProcessResult published = deployment_.Publish(
        "alice@smime.example", {"--cert", deployment_.Vector("alice.sign.crt.pem"), "--cert",
                                deployment_.Vector("alice.encr.crt.pem")});
    ASSERT_EQ(published.exit_code, 0) << published.err;
  }

  Deployment deployment_;
};

// One line, and nothing on standard output.
void ExpectError(const ProcessResult& result, int exit_code, const std::string& part) {
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_THAT(result.err, HasSubstr(part));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_EQ(result.out, "");
}

TEST_P(Commands, LookupWritesWhatWasPublished) {
  PublishAlice();
  const ProcessResult found = deployment_.Client("lookup", {"alice@smime.example", "--json"});
  ASSERT_EQ(found.exit_code, 0) << found.err;
  const auto json = nlohmann::json::parse(found.out);
  EXPECT_EQ(json["found"], true);
  EXPECT_EQ(json["version"], 0);
  ASSERT_EQ(json["certificates"].size(), 2u);
  EXPECT_EQ(json["certificates"][0]["can_encrypt"], true) << "encryption comes first";
  EXPECT_EQ(json["log"]["first_use"], true);

  const std::string out = deployment_.File("found.pem");
  ASSERT_EQ(
      deployment_.Client("lookup", {"alice@smime.example", "--usage", "encryption", "--out", out})
          .exit_code,
      0);
  EXPECT_EQ(ReadText(out), ReadText(deployment_.Vector("alice.encr.crt.pem")));
}

TEST_P(Commands, HistoryShowsEachVersionNewestFirst) {
  PublishAlice();
  const std::string sign = deployment_.Vector("alice.sign.crt.pem");
  ASSERT_EQ(deployment_.Publish("alice@smime.example", {"--remove", "--cert", sign}).exit_code, 0);
  ASSERT_EQ(deployment_.Publish("alice@smime.example", {"--add", "--cert", sign}).exit_code, 0);
  ASSERT_EQ(deployment_.Publish("alice@smime.example", {"--replace"}).exit_code, 0);
  const ProcessResult history = deployment_.Client("history", {"alice@smime.example", "--json"});
  ASSERT_EQ(history.exit_code, 0) << history.err;
  const auto versions = nlohmann::json::parse(history.out)["versions"];
  ASSERT_EQ(versions.size(), 4u);
  const size_t certificates[] = {0, 2, 1, 2};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(versions[i]["version"], 3 - i);
    EXPECT_EQ(versions[i]["certificates"].size(), certificates[i]);
  }
  EXPECT_EQ(deployment_.Client("lookup", {"alice@smime.example"}).exit_code, 1)
      << "all certificates are withdrawn";
}

TEST_P(Commands, RemoveTakesTheFileThatWasPublishedWithItsChain) {
  const std::string with_chain = deployment_.File("alice.chain.pem");
  WriteText(with_chain, ReadText(deployment_.Vector("alice.sign.crt.pem")) +
                            ReadText(deployment_.Vector("ca.rsa.crt.pem")));
  const std::vector<std::string> certificate = {"--cert", with_chain};
  const ProcessResult published = deployment_.Publish("alice@smime.example", certificate);
  ASSERT_EQ(published.exit_code, 0) << published.err;
  const ProcessResult removed =
      deployment_.Publish("alice@smime.example", {"--remove", "--cert", with_chain});
  EXPECT_EQ(removed.exit_code, 0) << removed.err;
  EXPECT_EQ(deployment_.Client("lookup", {"alice@smime.example"}).exit_code, 1);
}

TEST_P(Commands, AbsenceIsVerifiedAndHasItsOwnExitCode) {
  PublishAlice();
  const ProcessResult absent = deployment_.Client("lookup", {"nobody@smime.example"});
  EXPECT_EQ(absent.exit_code, 1) << absent.err;
  EXPECT_THAT(absent.err, HasSubstr("no such address"));
  EXPECT_EQ(absent.out, "");
  EXPECT_EQ(deployment_.Client("history", {"nobody@smime.example"}).exit_code, 1);
  // The local part belongs to its domain and is not folded.
  EXPECT_EQ(deployment_.Client("lookup", {"Alice@smime.example"}).exit_code, 1);
  EXPECT_EQ(deployment_.Client("lookup", {"alice@SMIME.example"}).exit_code, 0);
}

TEST_P(Commands, UsageErrorsEndWithTwo) {
  ExpectError(deployment_.Client("lookup", {"not-an-address"}), 2, "kt-client: ");
  ExpectError(deployment_.Client("lookup", {"alice@smime.example", "--timeout", "0"}), 2,
              "--timeout");
  ExpectError(deployment_.Client("lookup", {"alice@smime.example", "--bogus"}), 2, "--bogus");
  ExpectError(deployment_.Client("lookup", {"a@smime.example", "--ca", "/nonexistent"}), 2,
              "/nonexistent");
  ExpectError(deployment_.Client("lookup", {"a@smime.example", "--server", "no port"}), 2,
              "kt-client: ");
  ExpectError(RunProcess({kt::testing::ClientProgram()}), 2, "subcommand");
  ExpectError(deployment_.Publish("alice@smime.example", {}), 2, "--cert");
  ExpectError(deployment_.Publish("alice@smime.example", {"--cert", "/nonexistent"}), 2,
              "/nonexistent");
  ExpectError(deployment_.Publish("alice@smime.example",
                                  {"--cert", deployment_.Vector("alice.encr.key.pem")}),
              2, "PEM");
  ExpectError(deployment_.Client("monitor", {"nobody@smime.example"}), 2,
              "nobody@smime.example is neither watched nor owned here");
}

TEST_P(Commands, LooseTokenFileIsRefused) {
  ASSERT_EQ(chmod(deployment_.token_file().c_str(), 0640), 0);
  ExpectError(deployment_.Publish("alice@smime.example",
                                  {"--cert", deployment_.Vector("alice.sign.crt.pem")}),
              2, "chmod 600");
}

TEST_P(Commands, UnreachableServiceEndsWithFour) {
  ExpectError(deployment_.Client("lookup", {"alice@other.example", "--timeout", "3000"}), 4,
              "other.example");
  ExpectError(deployment_.Client("lookup", {"alice@smime.example", "--server", "127.0.0.1:1",
                                            "--timeout", "2000"}),
              4, "smime.example");
  ExpectError(deployment_.Client("lookup", {"alice@smime.example", "--dns-server", "127.0.0.1:1",
                                            "--timeout", "2000"}),
              4, "DNS");
}

TEST_P(Commands, ServerCertificateOfAnotherCaIsRefused) {
  // A CA that vouches for nobody here.
  const ProcessResult result = deployment_.Client(
      "lookup",
      {"alice@smime.example", "--ca", deployment_.Vector("ca.rsa.crt.pem"), "--timeout", "4000"});
  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_THAT(result.err, HasSubstr("certificate"));
}

TEST_P(Commands, PolicyRefusalsEndWithFive) {
  const auto publish = [&](const std::string& address, const std::string& certificate) {
    return deployment_.Publish(address, {"--cert", deployment_.Vector(certificate)});
  };
  ExpectError(publish("bob@smime.example", "alice.sign.crt.pem"), 5, "address");
  ExpectError(publish("alice@other.example", "alice.sign.crt.pem"), 4, "other.example");
  ExpectError(publish("alice@smime.example", "ca.rsa.crt.pem"), 5, "address");
  WriteText(deployment_.token_file(), std::string(64, '0') + "\n", 0600);
  ExpectError(publish("alice@smime.example", "alice.sign.crt.pem"), 5, "token");
}

TEST_P(Commands, PublishingOnlyIfThereIsNothingYet) {
  const std::string cert = deployment_.Vector("alice.sign.crt.pem");
  const auto publish = [&] {
    return deployment_.Publish("alice@smime.example", {"--cert", cert, "--expect-absent"});
  };
  EXPECT_EQ(publish().exit_code, 0);
  EXPECT_EQ(publish().exit_code, 5);
  EXPECT_EQ(deployment_
                .Publish("alice@smime.example",
                         {"--cert", cert, "--expect-absent", "--expect-version", "0"})
                .exit_code,
            2);
}

TEST_P(Commands, TokenScopesAndRevocationHold) {
  const ProcessResult created =
      deployment_.ServerCommand({"token", "create", "--config", deployment_.config(), "--scope",
                                 "bob@smime.example", "--json"});
  ASSERT_EQ(created.exit_code, 0) << created.err;
  const auto token = nlohmann::json::parse(created.out);
  const auto publish = [&](const std::string& who) {
    return RunProcess({kt::testing::ClientProgram(), "publish", who + "@smime.example", "--cert",
                       deployment_.Vector(who + ".encr.crt.pem"), "--dns-server", deployment_.dns(),
                       "--ca", deployment_.ca_file(), "--state", deployment_.state()},
                      {"KT_TOKEN=" + token["token"].get<std::string>()});
  };
  EXPECT_EQ(publish("bob").exit_code, 5) << "the server has not read the tokens again yet";
  deployment_.server().Signal(SIGHUP);
  ASSERT_TRUE(deployment_.server().WaitForLog("tokens_reloaded"));
  EXPECT_EQ(publish("bob").exit_code, 0);
  EXPECT_EQ(publish("alice").exit_code, 5);
  ASSERT_EQ(deployment_
                .ServerCommand({"token", "revoke", "--config", deployment_.config(), "--id",
                                token["id"].get<std::string>()})
                .exit_code,
            0);
  deployment_.StopServer();
  ASSERT_TRUE(deployment_.StartServer());
  EXPECT_EQ(publish("bob").exit_code, 5);
}

TEST_P(Commands, RolledBackDatabaseIsRefusedByServerAndClient) {
  deployment_.StopServer();
  const std::string log = deployment_.File("log");
  fs::copy(log, deployment_.File("backup"), fs::copy_options::recursive);
  ASSERT_TRUE(deployment_.StartServer());
  PublishAlice();
  ASSERT_EQ(deployment_.Client("lookup", {"alice@smime.example"}).exit_code, 0);
  deployment_.StopServer();

  fs::remove_all(log + "/db");
  fs::copy(deployment_.File("backup") + "/db", log + "/db", fs::copy_options::recursive);
  EXPECT_FALSE(deployment_.StartServer());
  EXPECT_EQ(deployment_.server().Wait(), 1);
  EXPECT_THAT(deployment_.server().Log(), HasSubstr("head guard"));

  // An operator who lies puts the guard back too.
  fs::remove_all(log + "/guard");
  fs::copy(deployment_.File("backup") + "/guard", log + "/guard", fs::copy_options::recursive);
  ASSERT_TRUE(deployment_.StartServer());
  ExpectError(deployment_.Client("lookup", {"alice@smime.example"}), 3, "rolled-back");
  // With as many entries as before, and more, but others.
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(
        deployment_.Publish("bob@smime.example", {"--cert", deployment_.Vector("bob.encr.crt.pem")})
            .exit_code,
        0);
    ExpectError(deployment_.Client("lookup", {"alice@smime.example"}), 3, "VERIFICATION FAILED");
  }
}

TEST_P(Commands, AnotherLogForThePinnedDomainIsRefused) {
  PublishAlice();
  ASSERT_EQ(deployment_.Client("lookup", {"alice@smime.example"}).exit_code, 0);
  Deployment other(GetParam());
  ASSERT_TRUE(other.StartServer());
  other.StartDns();
  const ProcessResult result =
      RunProcess({kt::testing::ClientProgram(), "lookup", "alice@smime.example", "--dns-server",
                  other.dns(), "--ca", other.ca_file(), "--state", deployment_.state()});
  ExpectError(result, 3, "VERIFICATION FAILED");
  other.StopServer();
}

TEST_P(Commands, DamagedStateIsReportedAndKept) {
  PublishAlice();
  ASSERT_EQ(deployment_.Client("lookup", {"alice@smime.example"}).exit_code, 0);
  for (const auto& file : fs::directory_iterator(deployment_.state())) {
    if (file.path().extension() != ".state") continue;
    const std::string text = ReadText(file.path());
    WriteText(file.path(), text.substr(0, text.size() - 1), 0600);
    ExpectError(deployment_.Client("lookup", {"alice@smime.example"}), 2, "damaged");
    EXPECT_EQ(ReadText(file.path()), text.substr(0, text.size() - 1));
  }
}

TEST_P(Commands, ServerRefusesLooseSecretsAndBadConfiguration) {
  deployment_.StopServer();
  const std::string key = deployment_.File("log/keys/vrf.key");
  ASSERT_EQ(chmod(key.c_str(), 0644), 0);
  EXPECT_FALSE(deployment_.StartServer());
  EXPECT_THAT(deployment_.server().Log(), HasSubstr("chmod 600"));
  ASSERT_EQ(chmod(key.c_str(), 0600), 0);

  const std::string good = ReadText(deployment_.config());
  WriteText(deployment_.config(), good + "\n[epoch2]\nx = 1\n");
  EXPECT_FALSE(deployment_.StartServer());
  EXPECT_THAT(deployment_.server().Log(), HasSubstr("epoch2"));
  WriteText(deployment_.config(), good);
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
}

TEST_P(Commands, InitKeepsTheModeOfADirectoryThatExists) {
  const auto init = [&](const std::string& data) {
    return deployment_.ServerCommand({"init", "--data", data, "--domain", "smime.example"});
  };
  const auto mode = [](const std::string& path) {
    return static_cast<unsigned>(fs::status(path).permissions());
  };
  const std::string shared = deployment_.File("shared");
  ASSERT_EQ(mkdir(shared.c_str(), 0700), 0);
  ASSERT_EQ(chmod(shared.c_str(), 0755), 0);
  EXPECT_EQ(init(shared).exit_code, 0);
  EXPECT_EQ(mode(shared), 0755u);
  EXPECT_EQ(mode(shared + "/db"), 0700u) << "certificates and addresses are in it";
  EXPECT_EQ(mode(shared + "/keys"), 0700u);

  const std::string open = deployment_.File("open");
  ASSERT_EQ(mkdir(open.c_str(), 0700), 0);
  ASSERT_EQ(chmod(open.c_str(), 0775), 0);
  ExpectError(init(open), 1, "chmod go-w");
  EXPECT_EQ(mode(open), 0775u);
  EXPECT_TRUE(fs::is_empty(open));

  EXPECT_EQ(init(deployment_.File("fresh")).exit_code, 0);
  EXPECT_EQ(mode(deployment_.File("fresh")), 0700u);
}

TEST_P(Commands, SecondServerOnTheSameLogIsRefused) {
  const ProcessResult second = deployment_.ServerCommand({"run", "--config", deployment_.config()});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_EQ(std::count(second.err.begin(), second.err.end(), '\n'), 1) << second.err;
}

TEST_P(Commands, LogLinesAreJsonWithoutAddressesOrTokens) {
  PublishAlice();
  deployment_.Client("lookup", {"alice@smime.example"});
  deployment_.StopServer();
  const std::string log = deployment_.server().Log();
  EXPECT_THAT(log, Not(HasSubstr("alice")));
  std::string token = ReadText(deployment_.token_file());
  token.pop_back();
  EXPECT_THAT(log, Not(HasSubstr(token)));
  std::istringstream lines(log);
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  }
  EXPECT_GE(count, 4u);
  ASSERT_TRUE(deployment_.StartServer());
}

TEST_P(Commands, HelpNamesEveryOptionAndExitCode) {
  for (const char* command : {"lookup", "history", "publish", "verify"}) {
    const ProcessResult help = RunProcess({kt::testing::ClientProgram(), command, "--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out,
                AllOf(HasSubstr("--json"), HasSubstr("--state"), HasSubstr("Exit codes")));
  }
  for (const char* command : {"init", "run", "config", "token"}) {
    EXPECT_EQ(RunProcess({kt::testing::ServerProgram(), command, "--help"}).exit_code, 0);
  }
}

// It is no absence: the address has certificates, of which none may be used any more.
TEST_P(Commands, CertificatesThatHaveExpiredSinceAreRefusedByPolicy) {
  const smime::testing::Authority authority(smime::testing::Authority::RootSpec("Short Lives"));
  deployment_.StopServer();
  WriteText(deployment_.File("anchors.pem"), authority.pem());
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  smime::testing::Spec spec;
  spec.emails = {"alice@smime.example"};
  const auto now_s = static_cast<int64_t>(base::SystemClock().NowMs() / 1000);
  spec.not_before_s = now_s - 60;
  spec.not_after_s = now_s + 8;
  const auto certificate = smime::Certificate::Parse(authority.Issue(spec));
  ASSERT_TRUE(certificate.ok()) << certificate.status();
  const std::string pem = deployment_.File("short.pem");
  WriteText(pem, certificate->ToPem());
  const ProcessResult published = deployment_.Publish("alice@smime.example", {"--cert", pem});
  ASSERT_EQ(published.exit_code, 0) << published.err;

  const std::string out = deployment_.File("found.pem");
  const auto lookup = [&] {
    return deployment_.Client("lookup", {"alice@smime.example", "--json", "--out", out});
  };
  const ProcessResult valid = lookup();
  ASSERT_EQ(valid.exit_code, 0) << valid.err;
  EXPECT_NE(ReadText(out), "");
  while (base::SystemClock().NowMs() < static_cast<uint64_t>(spec.not_after_s + 1) * 1000) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  const ProcessResult expired = lookup();
  EXPECT_EQ(expired.exit_code, 5) << expired.err;
  const auto json = nlohmann::json::parse(expired.out);
  EXPECT_EQ(json["found"], true);
  EXPECT_EQ(json["certificates"].size(), 0u);
  ASSERT_EQ(json["passed_over"].size(), 1u);
  EXPECT_THAT(json["passed_over"][0]["reason"].get<std::string>(), HasSubstr("expired"));
  EXPECT_EQ(ReadText(out), "") << "an old file must not be taken for the answer";
}

INSTANTIATE_TEST_SUITE_P(Suites, Commands, ::testing::Values("p256", "ed25519"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace kt::testing
