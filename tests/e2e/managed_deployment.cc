// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/managed_deployment.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "base/check.h"
#include "tests/support/paths.h"

namespace kt::testing {
namespace {

constexpr char kServing[] = "\"event\":\"serving\",\"address\":\"127.0.0.1:";
constexpr char kOpenssl[] = "/usr/bin/openssl";
// Until the manager has told its port.
constexpr char kNoManager[] = "127.0.0.1:1";

void MustSucceed(const ProcessResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  KT_CHECK(result.exit_code == 0);
}

// Sets a key of a configuration file.
void SetKey(const std::string& path, const std::string& key, const std::string& value) {
  std::string toml = ReadText(path);
  const size_t begin = toml.find("\n" + key + " = ");
  KT_CHECK(begin != std::string::npos);
  toml.replace(begin + 1, toml.find('\n', begin + 1) - begin - 1, key + " = " + value);
  WriteText(path, toml);
}

}  // namespace

ManagedDeployment::ManagedDeployment(const std::string& suite,
                                     const std::vector<std::string>& manager_options)
    : Deployment(suite, 50, {"--role", "operator", "--manager", kNoManager}) {
  SetKey(config(), "manager_ca", "\"" + ca_file() + "\"");
  SetKey(config(), "level", "\"debug\"");
  WriteText(File("manager.ext"), "subjectAltName=IP:127.0.0.1\n");
  MustSucceed(RunProcess({kOpenssl, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                          "-nodes", "-keyout", File("manager.key"), "-out", File("manager.csr"),
                          "-subj", "/CN=manager"}));
  MustSucceed(RunProcess({kOpenssl, "x509", "-req", "-in", File("manager.csr"), "-CA", ca_file(),
                          "-CAkey", File("ca.key"), "-CAcreateserial", "-days", "2", "-extfile",
                          File("manager.ext"), "-out", File("manager.pem")}));
  WriteText(File("manager.key"), ReadText(File("manager.key")), 0600);
  std::vector<std::string> init = {"init",
                                   "--role",
                                   "manager",
                                   "--data",
                                   File("manager"),
                                   "--suite",
                                   suite,
                                   "--leaf-public-key",
                                   File("log/keys/leaf.key.pub"),
                                   "--operator-certificate",
                                   File("log/operator.pem"),
                                   "--listen",
                                   "127.0.0.1:0",
                                   "--tls-cert",
                                   File("manager.pem"),
                                   "--tls-key",
                                   File("manager.key"),
                                   "--epoch-ms",
                                   "50"};
  init.insert(init.end(), manager_options.begin(), manager_options.end());
  MustSucceed(ServerCommand(init));
  MustSucceed(ServerCommand(
      {"config", "--config", config(), "--import", File("manager/configuration.tls")}));
}

bool ManagedDeployment::StartManager() {
  const std::string log = File("manager." + std::to_string(manager_starts_++) + ".log");
  manager_ = std::make_unique<BackgroundProcess>(
      std::vector<std::string>{ServerProgram(), "run", "--config", manager_config()}, log);
  if (!manager_->WaitForLog(kServing)) return false;
  if (manager_port_ == 0) {
    const std::string text = manager_->Log();
    manager_port_ = std::stoi(text.substr(text.find(kServing) + sizeof(kServing) - 1));
    const std::string address = "\"127.0.0.1:" + std::to_string(manager_port_) + "\"";
    SetKey(manager_config(), "address", address);
    SetKey(config(), "manager", address);
  }
  return true;
}

void ManagedDeployment::StopManager() {
  manager_->Signal(SIGTERM);
  EXPECT_EQ(manager_->Wait(), 0) << manager_->Log();
}

void ManagedDeployment::SetManagerEpoch(int epoch_ms) {
  SetKey(manager_config(), "interval_ms", std::to_string(epoch_ms));
}

void ManagedDeployment::MakeClientCertificate(const std::string& file, bool is_ca) {
  MustSucceed(
      RunProcess({kOpenssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                  "-nodes", "-days", "2", "-keyout", File(file + ".key"), "-out",
                  File(file + ".pem"), "-subj", "/CN=client", "-addext",
                  std::string("basicConstraints=critical,CA:") + (is_ca ? "TRUE" : "FALSE")}));
}

}  // namespace kt::testing
