// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_KT_CLIENT_TLS_FIXTURE_H_
#define TESTS_KT_CLIENT_TLS_FIXTURE_H_

#include <grpcpp/server.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kt-client/dns_message.h"
#include "proto/kt.grpc.pb.h"

namespace kt::client {

struct FreePkey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

// A server certificate with its key.
struct TlsIdentity {
  std::string certificate_pem;
  std::string key_pem;
};

struct TlsLifetime {
  int begins_days = -1;  // from now
  int ends_days = 30;
};

// A certification authority of its own.
class TestCa {
 public:
  explicit TestCa(const std::string& name);
  const std::string& root_pem() const { return root_pem_; }
  // `dns_names` become the subject alternative names. `usage` is an extended key usage.
  TlsIdentity Issue(const std::vector<std::string>& dns_names, TlsLifetime lifetime = {},
                    const std::string& usage = "serverAuth") const;

 private:
  std::unique_ptr<EVP_PKEY, FreePkey> key_;
  std::unique_ptr<X509, FreeX509> root_;
  std::string root_pem_;
};

// A gRPC server with TLS on a free port of `host`.
class TlsServer {
 public:
  explicit TlsServer(const TlsIdentity& identity, const std::string& host = "127.0.0.1");
  ~TlsServer();

  const HostPort& address() const { return address_; }
  // What GetConfiguration answers.
  void set_configuration(std::string bytes, bool compressed = false) {
    service_.configuration = std::move(bytes);
    service_.compressed = compressed;
  }
  // The name that the client put into the last call (":authority").
  std::string last_authority() const { return service_.last_authority; }

 private:
  class Service : public v1::KeyTransparency::Service {
   public:
    grpc::Status GetConfiguration(grpc::ServerContext* context,
                                  const v1::GetConfigurationRequest* request,
                                  v1::GetConfigurationResponse* response) override;
    std::string configuration = "configuration";
    bool compressed = false;
    std::string last_authority;
  };
  Service service_;
  HostPort address_;
  std::unique_ptr<grpc::Server> server_;
};

// Accepts TCP connections, sends `greeting`, and then keeps silent.
class RawTcpServer {
 public:
  explicit RawTcpServer(std::string greeting);
  RawTcpServer(const RawTcpServer&) = delete;
  RawTcpServer& operator=(const RawTcpServer&) = delete;
  ~RawTcpServer();
  const HostPort& address() const { return address_; }
  int connections() const { return connections_; }

 private:
  void Serve();
  const std::string greeting_;
  int listener_ = -1;
  HostPort address_;
  std::atomic<int> connections_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// An address of this machine where nobody listens.
HostPort ClosedPort();

}  // namespace kt::client
#endif  // TESTS_KT_CLIENT_TLS_FIXTURE_H_
