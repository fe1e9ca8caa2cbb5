// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_E2E_DEPLOYMENT_H_
#define TESTS_E2E_DEPLOYMENT_H_

#include <memory>
#include <string>
#include <vector>

#include "tests/support/dns_server.h"
#include "tests/support/process.h"

namespace kt::testing {

// A whole deployment on loopback, out of the real programs: kt-server for smime.example with TLS
// keys made by openssl, a DNS server that leads to it, and kt-client. The CAs of RFC 9216 are the
// trust anchors.
class Deployment {
 public:
  // `suite`: "p256" or "ed25519"; `init_options`: more of kt-server init. Aborts if a part cannot
  // be set up.
  explicit Deployment(const std::string& suite, int epoch_ms = 50,
                      const std::vector<std::string>& init_options = {});

  // Starts kt-server and waits until it serves; false if it ends instead. The port stays the same
  // from the first start on. `wrapper` is a command that runs the command after it.
  bool StartServer(const std::vector<std::string>& wrapper = {});

  // Sets a key that the configuration has, in `section`; before StartServer.
  void SetOption(const std::string& section, const std::string& key, const std::string& value);
  void SetLimit(const std::string& key, const std::string& value) {
    SetOption("limits", key, value);
  }
  BackgroundProcess& server() { return *server_; }
  void StopServer();

  // Starts the DNS server, whose zone names the running kt-server.
  void StartDns();

  // kt-client COMMAND [arguments], with DNS server, CA and state of this deployment
  // unless the arguments name others.
  ProcessResult Client(const std::string& command, const std::vector<std::string>& arguments);
  ProcessResult Publish(const std::string& address, const std::vector<std::string>& arguments);
  ProcessResult ServerCommand(const std::vector<std::string>& arguments);

  std::string Vector(const std::string& name) const;  // a file of RFC 9216
  std::string File(const std::string& name) const { return directory_.File(name); }
  std::string config() const { return File("log/kt-server.toml"); }
  std::string token_file() const { return File("token"); }
  std::string ca_file() const { return File("ca.pem"); }
  std::string state() const { return File("state"); }
  std::string dns() const { return dns_->address(); }
  int port() const { return port_; }

 private:
  void MakeTlsKeys();

  TemporaryDirectory directory_;
  std::unique_ptr<BackgroundProcess> server_;
  std::unique_ptr<DnsServer> dns_;
  int port_ = 0;
  int starts_ = 0;
};

}  // namespace kt::testing
#endif  // TESTS_E2E_DEPLOYMENT_H_
