// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/deployment.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "tests/support/paths.h"

namespace kt::testing {
namespace {

constexpr char kServing[] = "\"event\":\"serving\",\"address\":\"127.0.0.1:";

void MustRun(const std::vector<std::string>& argv) {
  const ProcessResult result = RunProcess(argv);
  EXPECT_EQ(result.exit_code, 0) << argv[0] << " " << argv[1] << ": " << result.err;
  KT_CHECK(result.exit_code == 0);
}

}  // namespace

Deployment::Deployment(const std::string& suite, int epoch_ms,
                       const std::vector<std::string>& init_options) {
  MakeTlsKeys();
  WriteText(File("anchors.pem"),
            ReadText(Vector("ca.rsa.crt.pem")) + ReadText(Vector("ca.ed25519.crt.pem")));
  std::vector<std::string> init_command = {"init",
                                           "--data",
                                           File("log"),
                                           "--domain",
                                           "smime.example",
                                           "--suite",
                                           suite,
                                           "--listen",
                                           "127.0.0.1:0",
                                           "--tls-cert",
                                           File("server.pem"),
                                           "--tls-key",
                                           File("server.key"),
                                           "--trust-anchors",
                                           File("anchors.pem"),
                                           "--epoch-ms",
                                           std::to_string(epoch_ms)};
  init_command.insert(init_command.end(), init_options.begin(), init_options.end());
  const ProcessResult init = ServerCommand(init_command);
  EXPECT_EQ(init.exit_code, 0) << init.err;
  const ProcessResult token =
      ServerCommand({"token", "create", "--config", config(), "--scope", "smime.example"});
  EXPECT_EQ(token.exit_code, 0) << token.err;
  WriteText(token_file(), token.out, 0600);
}

void Deployment::MakeTlsKeys() {
  const std::string openssl = "/usr/bin/openssl";
  WriteText(File("server.ext"), "subjectAltName=DNS:smime.example\n");
  MustRun({openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
           "-nodes", "-days", "2", "-keyout", File("ca.key"), "-out", ca_file(), "-subj",
           "/CN=Test CA", "-addext", "basicConstraints=critical,CA:TRUE"});
  MustRun({openssl, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
           "-keyout", File("server.key"), "-out", File("server.csr"), "-subj",
           "/CN=smime.example"});
  MustRun({openssl, "x509", "-req", "-in", File("server.csr"), "-CA", ca_file(), "-CAkey",
           File("ca.key"), "-CAcreateserial", "-days", "2", "-extfile", File("server.ext"), "-out",
           File("server.pem")});
  WriteText(File("server.key"), ReadText(File("server.key")), 0600);
}

void Deployment::SetOption(const std::string& section, const std::string& key,
                           const std::string& value) {
  std::string toml = ReadText(config());
  const size_t in_section = toml.find("[" + section + "]\n");
  KT_CHECK(in_section != std::string::npos);
  const size_t begin = toml.find("\n" + key + " = ", in_section);
  KT_CHECK(begin != std::string::npos && begin < toml.find("\n[", in_section));
  toml.replace(begin + 1, toml.find('\n', begin + 1) - begin - 1, key + " = " + value);
  WriteText(config(), toml);
}

bool Deployment::StartServer(const std::vector<std::string>& wrapper) {
  const std::string log = File("server." + std::to_string(starts_++) + ".log");
  std::vector<std::string> argv = wrapper;
  argv.insert(argv.end(), {kt::testing::ServerProgram(), "run", "--config", config()});
  server_ = std::make_unique<BackgroundProcess>(argv, log);
  if (!server_->WaitForLog(kServing)) return false;
  if (port_ == 0) {
    const std::string text = server_->Log();
    port_ = std::stoi(text.substr(text.find(kServing) + sizeof(kServing) - 1));
    std::string toml = ReadText(config());
    const std::string free_port = "127.0.0.1:0";
    toml.replace(toml.find(free_port), free_port.size(), "127.0.0.1:" + std::to_string(port_));
    WriteText(config(), toml);
  }
  return true;
}

void Deployment::StopServer() {
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
}

void Deployment::StartDns() {
  DnsZone zone;
  zone.name = "smime.example";
  zone.records = "kt 60 A 127.0.0.1\n_sm._keytransparency._https 60 SRV 10 5 " +
                 std::to_string(port_) + " kt\n";
  auto dns = DnsServer::Start({zone});
  EXPECT_TRUE(dns.ok()) << dns.status();
  KT_CHECK(dns.ok());
  dns_ = *std::move(dns);
}

ProcessResult Deployment::Client(const std::string& command,
                                 const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {kt::testing::ClientProgram(), command};
  const std::pair<std::string, std::string> defaults[] = {
      {"--dns-server", dns()}, {"--ca", ca_file()}, {"--state", state()}};
  for (const auto& [option, value] : defaults) {
    if (std::find(arguments.begin(), arguments.end(), option) != arguments.end()) continue;
    argv.push_back(option);
    argv.push_back(value);
  }
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return RunProcess(argv);
}

ProcessResult Deployment::Publish(const std::string& address,
                                  const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {address, "--token-file", token_file()};
  // Who publishes is somebody else than who looks up, and knows nothing from before.
  if (std::find(arguments.begin(), arguments.end(), "--state") == arguments.end()) {
    all.insert(all.end(), {"--state", File("publisher" + std::to_string(starts_))});
  }
  all.insert(all.end(), arguments.begin(), arguments.end());
  return Client("publish", all);
}

ProcessResult Deployment::ServerCommand(const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {kt::testing::ServerProgram()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return RunProcess(argv);
}

std::string Deployment::Vector(const std::string& name) const {
  return kt::testing::SourceDir() + "/tests/vectors/rfc9216/" + name;
}

}  // namespace kt::testing
