// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_E2E_MANAGED_DEPLOYMENT_H_
#define TESTS_E2E_MANAGED_DEPLOYMENT_H_

#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/deployment.h"

namespace kt::testing {

// A Deployment whose kt-server is the operator of a log that a second kt-server hosts as its
// Third-Party Manager, each with its own keys.
class ManagedDeployment : public Deployment {
 public:
  // `manager_options`: more of the manager's kt-server init. Sets both up, and starts neither.
  explicit ManagedDeployment(const std::string& suite,
                             const std::vector<std::string>& manager_options = {});

  // As StartServer. The operator finds the manager there from its next start on.
  bool StartManager();
  BackgroundProcess& manager() { return *manager_; }
  void StopManager();
  int manager_port() const { return manager_port_; }
  std::string manager_config() const { return File("manager/kt-server.toml"); }

  // How long the manager gathers versions, from its next start on.
  void SetManagerEpoch(int epoch_ms);

  // A self-signed certificate for a client of TLS, and its key: FILE.pem and FILE.key.
  void MakeClientCertificate(const std::string& file, bool is_ca = false);

 private:
  std::unique_ptr<BackgroundProcess> manager_;
  int manager_port_ = 0;
  int manager_starts_ = 0;
};

}  // namespace kt::testing
#endif  // TESTS_E2E_MANAGED_DEPLOYMENT_H_
