// SPDX-License-Identifier: Apache-2.0
#include "tests/kt-client/tls_fixture.h"

#include <arpa/inet.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace kt::client {
namespace {

constexpr int kStopPollMs = 20;
constexpr long kSecondsPerDay = 86400;

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};

template <typename Write>
std::string ToPem(Write write) {
  const std::unique_ptr<BIO, FreeBio> bio(BIO_new(BIO_s_mem()));
  KT_CHECK(write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string CertificatePem(X509* certificate) {
  return ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

std::unique_ptr<EVP_PKEY, FreePkey> NewKey() {
  return std::unique_ptr<EVP_PKEY, FreePkey>(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  KT_CHECK(extension != nullptr);
  KT_CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

// Everything but the extensions and the signature; `issuer` null for a self-signed one.
std::unique_ptr<X509, FreeX509> NewCertificate(const std::string& common_name, EVP_PKEY* key,
                                               X509* issuer, TlsLifetime lifetime) {
  static std::atomic<long> serial{1};
  std::unique_ptr<X509, FreeX509> certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), lifetime.begins_days * kSecondsPerDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), lifetime.ends_days * kSecondsPerDay);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  KT_CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(common_name.c_str()),
                                      -1, -1, 0) == 1);
  X509_set_issuer_name(certificate.get(),
                       issuer == nullptr ? subject : X509_get_subject_name(issuer));
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

int Bind(const HostPort& wanted, HostPort* got) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(wanted.port);
  KT_CHECK(inet_pton(AF_INET, wanted.host.c_str(), &address.sin_addr) == 1);
  socklen_t size = sizeof(address);
  KT_CHECK(bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0);
  KT_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  *got = {wanted.host, ntohs(address.sin_port)};
  return fd;
}

}  // namespace

TestCa::TestCa(const std::string& name) : key_(NewKey()) {
  root_ = NewCertificate(name, key_.get(), nullptr, {});
  AddExtension(root_.get(), root_.get(), NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(root_.get(), root_.get(), NID_key_usage, "critical,keyCertSign");
  KT_CHECK(X509_sign(root_.get(), key_.get(), EVP_sha256()) > 0);
  root_pem_ = CertificatePem(root_.get());
}

TlsIdentity TestCa::Issue(const std::vector<std::string>& dns_names, TlsLifetime lifetime,
                          const std::string& usage) const {
  const auto key = NewKey();
  const auto certificate = NewCertificate("a server", key.get(), root_.get(), lifetime);
  std::string names;
  for (const std::string& name : dns_names) {
    absl::StrAppend(&names, names.empty() ? "DNS:" : ",DNS:", name);
  }
  AddExtension(certificate.get(), root_.get(), NID_subject_alt_name, names);
  AddExtension(certificate.get(), root_.get(), NID_ext_key_usage, usage);
  KT_CHECK(X509_sign(certificate.get(), key_.get(), EVP_sha256()) > 0);
  return {CertificatePem(certificate.get()), ToPem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

grpc::Status TlsServer::Service::GetConfiguration(grpc::ServerContext* context,
                                                  const v1::GetConfigurationRequest* /*request*/,
                                                  v1::GetConfigurationResponse* response) {
  last_authority = std::string(context->ExperimentalGetAuthority().data(),
                               context->ExperimentalGetAuthority().size());
  if (compressed) context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
  response->set_configuration(configuration);
  return grpc::Status::OK;
}

TlsServer::TlsServer(const TlsIdentity& identity, const std::string& host) : address_{host, 0} {
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({identity.key_pem, identity.certificate_pem});
  grpc::ServerBuilder builder;
  builder.SetMaxSendMessageSize(-1);
  int port = 0;
  builder.AddListeningPort(address_.ToString(), grpc::SslServerCredentials(options), &port);
  builder.RegisterService(&service_);
  server_ = builder.BuildAndStart();
  KT_CHECK(server_ != nullptr && port != 0);
  address_.port = static_cast<uint16_t>(port);
}

TlsServer::~TlsServer() {
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
}

RawTcpServer::RawTcpServer(std::string greeting) : greeting_(std::move(greeting)) {
  listener_ = Bind({"127.0.0.1", 0}, &address_);
  KT_CHECK(listen(listener_, 16) == 0);
  thread_ = std::thread([this] { Serve(); });
}

RawTcpServer::~RawTcpServer() {
  stop_ = true;
  thread_.join();
  close(listener_);
}

void RawTcpServer::Serve() {
  std::vector<int> accepted;
  while (!stop_) {
    pollfd readable{listener_, POLLIN, 0};
    if (poll(&readable, 1, kStopPollMs) <= 0) continue;
    const int fd = accept(listener_, nullptr, nullptr);
    ++connections_;
    send(fd, greeting_.data(), greeting_.size(), MSG_NOSIGNAL);
    accepted.push_back(fd);
  }
  for (const int fd : accepted) close(fd);
}

HostPort ClosedPort() {
  HostPort address;
  // Stays bound until the process ends. A port that was given back could be the next server's.
  Bind({"127.0.0.1", 0}, &address);
  return address;
}

}  // namespace kt::client
