// SPDX-License-Identifier: Apache-2.0
//
// Keeping watch over what was looked up, and over the log, with the real programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "kt-core/distinguished_forks.h"
#include "tests/e2e/deployment.h"
#include "tests/support/paths.h"

namespace kt::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

// Longer than a busy machine takes for a publication and a lookup.
constexpr int kWindowMs = 1500;

core::ForkEvidence Decoded(const std::string& bytes) {
  const auto evidence = base::codec::Decode<core::ForkEvidence>(base::AsBytes(bytes));
  EXPECT_TRUE(evidence.ok()) << evidence.status();
  return evidence.value_or(core::ForkEvidence());
}
std::string ConfigurationIn(const std::string& path) {
  return base::ToText(Decoded(ReadText(path)).configuration);
}
std::string SameTwice(const std::string& bytes) {
  core::ForkEvidence evidence = Decoded(bytes);
  evidence.second_response = evidence.first_response;
  return base::ToText(base::codec::Encode(evidence));
}

std::string EvidenceIn(const std::string& directory) {
  for (const auto& file : fs::directory_iterator(directory)) {
    if (file.path().extension() == ".evidence") return file.path();
  }
  return "";
}

class Monitoring : public ::testing::TestWithParam<std::string> {
 protected:
  Monitoring() : deployment_(GetParam(), 50, {"--rmw-ms", std::to_string(kWindowMs)}) {
    EXPECT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
    deployment_.StartDns();
  }
  ~Monitoring() override { deployment_.StopServer(); }

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
  // Looks Alice up when her newest log entry is right of every distinguished one, which depends on
  // where the entry lies in the search tree.
  void LookUpWhatMustBeMonitored() {
    for (int attempt = 0; attempt < 8; ++attempt) {
      Publish("alice");
      const ProcessResult found = deployment_.Client("lookup", {"alice@smime.example", "--json"});
      ASSERT_EQ(found.exit_code, 0) << found.err;
      if (nlohmann::json::parse(found.out)["monitoring_required"] == true) return;
    }
    FAIL() << "every log entry is distinguished";
  }
  ProcessResult Monitor(const std::vector<std::string>& arguments = {"--json"}) {
    return deployment_.Client("monitor", arguments);
  }

  Deployment deployment_;
  std::string publisher_state_ = "publisher";
};

TEST_P(Monitoring, WhatWasLookedUpIsMonitoredUntilADistinguishedEntryCoversIt) {
  PassWindow();
  LookUpWhatMustBeMonitored();
  PassWindow();
  PassWindow();
  const ProcessResult monitored = Monitor();
  ASSERT_EQ(monitored.exit_code, 0) << monitored.err;
  const auto report = nlohmann::json::parse(monitored.out)["monitored"];
  ASSERT_EQ(report.size(), 1u);
  EXPECT_EQ(report[0]["subject"], "alice@smime.example");
  EXPECT_EQ(report[0]["result"], "done");
  // Nothing is left to do, and a timer that runs it has nothing to mail.
  const ProcessResult again = Monitor({});
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_EQ(again.out + again.err, "");
}

TEST_P(Monitoring, ForkIsToldAndHandedToTheCommand) {
  PassWindow();
  // The database before Alice publishes becomes the root of another history.
  deployment_.StopServer();
  const std::string log = deployment_.File("log");
  fs::copy(log, deployment_.File("older"), fs::copy_options::recursive);
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  LookUpWhatMustBeMonitored();
  deployment_.StopServer();
  fs::remove_all(log);
  fs::copy(deployment_.File("older"), log, fs::copy_options::recursive);
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  publisher_state_ = "newcomer";
  for (const char* name : {"carlos", "dana", "bob"}) Publish(name);

  const std::string told = deployment_.File("told.json");
  const ProcessResult result = Monitor({"--notify", "cat >" + told});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("VERIFICATION FAILED"));
  EXPECT_EQ(result.out, "");
  const auto event = nlohmann::json::parse(ReadText(told));
  EXPECT_EQ(event["subject"], "alice@smime.example");
  EXPECT_EQ(event["result"], "verification-failed");
  // What it was told by is kept, and refused again without any log.
  const std::string kept = event["kept"];
  EXPECT_THAT(result.err, HasSubstr("kt-client verify --kept " + kept));
  deployment_.StopServer();
  const ProcessResult again =
      RunProcess({kt::testing::ClientProgram(), "verify", "--kept", kept, "--json"});
  EXPECT_EQ(again.exit_code, 3);
  EXPECT_EQ(nlohmann::json::parse(again.out)["error"]["failed_check"], event["failed_check"]);
  EXPECT_EQ(nlohmann::json::parse(again.out)["error"]["message"], event["message"]);
  WriteText(kept + ".cut", ReadText(kept).substr(1));
  EXPECT_EQ(RunProcess({kt::testing::ClientProgram(), "verify", "--kept", kept + ".cut"}).exit_code,
            2);
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  // The obligation is still there.
  EXPECT_EQ(Monitor({}).exit_code, 3);
}

TEST_P(Monitoring, LogThatCannotBeAskedIsNotASecurityEvent) {
  PassWindow();
  LookUpWhatMustBeMonitored();
  deployment_.StopServer();
  const ProcessResult result = Monitor({"--timeout", "500"});
  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_EQ(Monitor({"not an address"}).exit_code, 2);
}

TEST_P(Monitoring, HeadsOfTwoUsersAgreeAndThoseOfAnotherLogDoNot) {
  PassWindow();
  const std::string one = deployment_.File("one.heads");
  const std::string two = deployment_.File("two.heads");
  ASSERT_EQ(deployment_.Client("heads", {"smime.example", "--out", one}).exit_code, 0);
  PassWindow();
  const ProcessResult second = deployment_.Client(
      "heads", {"SMIME.example", "--out", two, "--state", deployment_.File("other"), "--json"});
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_GE(nlohmann::json::parse(second.out)["heads"].size(), 2u);
  const auto compare = [&](const std::string& a, const std::string& b) {
    return RunProcess({kt::testing::ClientProgram(), "compare-heads", a, b});
  };
  EXPECT_EQ(compare(one, two).exit_code, 0) << compare(one, two).err;
  EXPECT_EQ(compare(two, one).exit_code, 0);

  const std::string server = "127.0.0.1:" + std::to_string(deployment_.port());
  EXPECT_EQ(deployment_.Client("heads", {"smime.example", "--via", server}).exit_code, 0);

  // What somebody has changed is not what the log has signed.
  std::string bytes = ReadText(two);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  const std::string forged = deployment_.File("forged.heads");
  WriteText(forged, bytes);
  const ProcessResult changed = compare(two, forged);
  EXPECT_EQ(changed.exit_code, 3);
  EXPECT_THAT(changed.err, HasSubstr("VERIFICATION FAILED"));
  for (const std::string& unusable : {bytes.substr(1), "ktheads2" + bytes.substr(8)}) {
    WriteText(forged, unusable);
    EXPECT_EQ(compare(two, forged).exit_code, 2);
  }
  EXPECT_EQ(compare(two, deployment_.File("nowhere")).exit_code, 2);
}

// The draft's structure, which another implementation may send.
TEST_P(Monitoring, BareHeadsAreComparedButProveNothing) {
  PassWindow();
  const std::string one = deployment_.File("one.heads");
  const std::string bare = deployment_.File("bare.heads");
  ASSERT_EQ(deployment_.Client("heads", {"smime.example", "--out", one}).exit_code, 0);
  ASSERT_EQ(deployment_.Client("heads", {"smime.example", "--unsigned", "--out", bare}).exit_code,
            0);
  const auto compare = [&] {
    return RunProcess({kt::testing::ClientProgram(), "compare-heads", one, bare, "--json"});
  };
  const ProcessResult same = compare();
  ASSERT_EQ(same.exit_code, 0) << same.err;
  EXPECT_EQ(nlohmann::json::parse(same.out)["signed"], false);
  std::string bytes = ReadText(bare);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  WriteText(bare, bytes);
  const ProcessResult differ = compare();
  EXPECT_EQ(differ.exit_code, 3);
  EXPECT_THAT(differ.err, HasSubstr("forked"));
  EXPECT_THAT(differ.err, HasSubstr("not both of the files are signed"));
}

// Two servers with the keys of one log, which grow apart.
TEST_P(Monitoring, ForkThatTwoServersShowIsProvenToAnybody) {
  PassWindow();
  deployment_.StopServer();
  const std::string log = deployment_.File("log");
  const std::string fork = deployment_.File("fork");
  fs::copy(log, fork, fs::copy_options::recursive);
  std::string toml = ReadText(fork + "/kt-server.toml");
  for (size_t at = toml.find(log); at != std::string::npos; at = toml.find(log, at + 1)) {
    toml.replace(at, log.size(), fork);
  }
  const std::string port = "127.0.0.1:" + std::to_string(deployment_.port());
  ASSERT_NE(toml.find(port), std::string::npos);
  toml.replace(toml.find(port), port.size(), "127.0.0.1:0");
  WriteText(fork + "/kt-server.toml", toml);
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  BackgroundProcess other(
      {kt::testing::ServerProgram(), "run", "--config", fork + "/kt-server.toml"},
      deployment_.File("fork.log"));
  const std::string serving = "\"event\":\"serving\",\"address\":\"";
  ASSERT_TRUE(other.WaitForLog(serving)) << other.Log();
  const std::string text = other.Log();
  const size_t begin = text.find(serving) + serving.size();
  const std::string via = text.substr(begin, text.find('"', begin) - begin);
  const auto heads = [&] {
    return deployment_.Client("heads", {"smime.example", "--via", via, "--json"});
  };
  ASSERT_EQ(heads().exit_code, 0) << "they have not parted yet";

  Publish("carlos");
  const ProcessResult forked = deployment_.Publish(
      "dana@smime.example", {"--cert", deployment_.Vector("dana.encr.crt.pem"), "--server", via,
                             "--state", deployment_.File("deceived")});
  ASSERT_EQ(forked.exit_code, 0) << forked.err;
  const ProcessResult found = heads();
  EXPECT_EQ(found.exit_code, 3) << found.err;
  const std::string evidence = EvidenceIn(deployment_.state());
  ASSERT_NE(evidence, "");
  EXPECT_THAT(found.err, HasSubstr(evidence));

  // Users who only send each other files come to the same, wherever they asked.
  const std::string mine = deployment_.File("mine.heads");
  const std::string theirs = deployment_.File("theirs.heads");
  const std::string friends = deployment_.File("friends");
  ASSERT_EQ(deployment_.Client("heads", {"smime.example", "--out", mine}).exit_code, 0);
  ASSERT_EQ(deployment_
                .Client("heads", {"smime.example", "--out", theirs, "--server", via, "--state",
                                  deployment_.File("deceived")})
                .exit_code,
            0);
  const auto compare = [&](const std::string& a, const std::string& b) {
    return RunProcess(
        {kt::testing::ClientProgram(), "compare-heads", a, b, "--state", friends, "--json"});
  };
  EXPECT_EQ(compare(mine, mine).exit_code, 0);
  EXPECT_FALSE(fs::exists(friends)) << "nothing to keep";
  const ProcessResult parted = compare(theirs, mine);
  EXPECT_EQ(parted.exit_code, 3);
  EXPECT_EQ(nlohmann::json::parse(parted.out)["error"]["failed_check"], "fork");
  const std::string from_files = EvidenceIn(friends);
  ASSERT_NE(from_files, "");
  EXPECT_THAT(parted.err, HasSubstr(from_files));

  const std::string config = deployment_.File("public.config");
  WriteText(config, ConfigurationIn(evidence));
  const auto verify = [&](const std::string& file) {
    return RunProcess({kt::testing::ClientProgram(), "verify", "--operation", "fork", "--config",
                       config, "--response", file, "--json"});
  };
  const ProcessResult proven = verify(evidence);
  ASSERT_EQ(proven.exit_code, 0) << proven.err;
  EXPECT_NE(nlohmann::json::parse(proven.out)["contradiction"], "");
  EXPECT_EQ(verify(from_files).exit_code, 0) << verify(from_files).err;
  // Every byte counts.
  const std::string bytes = ReadText(evidence);
  const std::string bad = deployment_.File("bad.evidence");
  for (size_t i = 2; i < bytes.size(); i += bytes.size() / 30) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    WriteText(bad, changed);
    EXPECT_EQ(verify(bad).exit_code, 3) << "byte " << i;
  }
  WriteText(bad, bytes.substr(0, bytes.size() - 1));
  EXPECT_EQ(verify(bad).exit_code, 3);
  // The same response twice proves nothing.
  WriteText(bad, SameTwice(bytes));
  const ProcessResult same = verify(bad);
  EXPECT_EQ(same.exit_code, 3);
  EXPECT_THAT(same.err, HasSubstr("no-contradiction"));
  // Evidence of another log than the one that its reader means.
  core::Configuration another =
      *core::DecodeConfiguration(base::AsBytes(ConfigurationIn(evidence)));
  another.max_behind += 1;
  WriteText(config, base::ToText(base::codec::Encode(another)));
  const ProcessResult elsewhere = verify(evidence);
  EXPECT_EQ(elsewhere.exit_code, 3);
  EXPECT_THAT(elsewhere.err, HasSubstr("another log"));
}

INSTANTIATE_TEST_SUITE_P(Suites, Monitoring, ::testing::Values("p256", "ed25519"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace kt::testing
