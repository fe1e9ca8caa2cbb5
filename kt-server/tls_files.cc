// SPDX-License-Identifier: Apache-2.0
#include "kt-server/tls_files.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"

namespace kt::server {
namespace {

constexpr size_t kMaxPemBytes = 4 << 20;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

Owned<BIO> ReadFrom(base::ByteView bytes) {
  return Owned<BIO>(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

// Without it OpenSSL would ask on the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

// Null if there is none.
Owned<X509> FirstCertificate(const std::string& pem) {
  const Owned<BIO> bio = ReadFrom(base::AsBytes(pem));
  Owned<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  return certificate;
}

Owned<EVP_PKEY> FirstKey(base::ByteView pem) {
  const Owned<BIO> bio = ReadFrom(pem);
  Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  return key;
}

absl::Status NotSet(const char* key) {
  return absl::InvalidArgumentError(absl::StrCat("the configuration does not say [listen] ", key));
}

}  // namespace

absl::StatusOr<TlsFiles> ReadTlsFiles(const ServerConfig::Listen& listen) {
  if (listen.tls_certificate.empty()) return NotSet("tls_certificate");
  if (listen.tls_key.empty()) return NotSet("tls_key");
  KT_ASSIGN_OR_RETURN(const base::Bytes certificates,
                      base::ReadFile(listen.tls_certificate, kMaxPemBytes));
  KT_ASSIGN_OR_RETURN(base::SecretBytes key, base::ReadSecretFile(listen.tls_key, kMaxPemBytes));
  TlsFiles files{base::ToText(certificates), std::move(key)};
  const Owned<X509> certificate = FirstCertificate(files.certificates);
  if (certificate == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(listen.tls_certificate, " does not begin with a certificate (PEM)"));
  }
  const Owned<EVP_PKEY> private_key = FirstKey(files.key.Expose());
  if (private_key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(listen.tls_key, " holds no private key (PEM) without a password"));
  }
  const bool match = X509_check_private_key(certificate.get(), private_key.get()) == 1;
  ERR_clear_error();
  if (!match) {
    return absl::InvalidArgumentError(absl::StrCat(
        listen.tls_key, " is not the key of the first certificate in ", listen.tls_certificate));
  }
  return files;
}

std::vector<std::string> TlsProblems(const std::string& certificates,
                                     const std::vector<std::string>& domains, uint64_t now_ms) {
  const Owned<X509> certificate = FirstCertificate(certificates);
  if (certificate == nullptr) return {"there is no certificate"};
  std::vector<std::string> problems;
  auto now = static_cast<time_t>(now_ms / 1000);
  if (X509_cmp_time(X509_get0_notAfter(certificate.get()), &now) < 0) {
    problems.emplace_back("the certificate has expired");
  }
  if (X509_cmp_time(X509_get0_notBefore(certificate.get()), &now) > 0) {
    problems.emplace_back("the certificate is not valid yet");
  }
  constexpr unsigned kFlags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
  for (const std::string& domain : domains) {
    if (X509_check_host(certificate.get(), domain.data(), domain.size(), kFlags, nullptr) != 1) {
      problems.push_back(absl::StrCat(
          "the certificate is not valid for ", domain,
          ", so clients refuse it unless DNSSEC proves that the domain chose this host"));
    }
  }
  ERR_clear_error();
  return problems;
}

}  // namespace kt::server
