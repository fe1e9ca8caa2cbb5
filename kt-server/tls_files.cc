// SPDX-License-Identifier: Apache-2.0
#include "kt-server/tls_files.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
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
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
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

bool AddExtension(X509* certificate, int id, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, id, value));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// Self-signed, for a client of TLS that is no CA. RFC 5280 §4.1.2.5: without an end of its own.
bool FillClientCertificate(X509* certificate, EVP_PKEY* key, uint64_t now_ms) {
  constexpr char kNoEnd[] = "99991231235959Z";
  const auto* const name = reinterpret_cast<const unsigned char*>("kt-server operator");
  X509_NAME* const subject = X509_get_subject_name(certificate);
  return X509_set_version(certificate, X509_VERSION_3) == 1 &&
         ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, name, -1, -1, 0) == 1 &&
         X509_set_issuer_name(certificate, subject) == 1 &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), static_cast<time_t>(now_ms / 1000)) !=
             nullptr &&
         ASN1_TIME_set_string(X509_getm_notAfter(certificate), kNoEnd) == 1 &&
         X509_set_pubkey(certificate, key) == 1 &&
         AddExtension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
         AddExtension(certificate, NID_key_usage, "critical,digitalSignature") &&
         AddExtension(certificate, NID_ext_key_usage, "clientAuth") &&
         X509_sign(certificate, key, EVP_sha256()) > 0;
}

base::ByteView Written(BIO* bio) {
  char* data = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(bio, &data));
  return {reinterpret_cast<const uint8_t*>(data), size};
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

absl::StatusOr<std::string> ReadOperatorCertificates(const std::string& path) {
  KT_ASSIGN_OR_RETURN(const base::Bytes pem, base::ReadFile(path, kMaxPemBytes));
  const Owned<BIO> bio = ReadFrom(pem);
  int count = 0;
  for (;;) {
    const Owned<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
    if (certificate == nullptr) break;
    ++count;
    const Owned<EVP_PKEY> key(X509_get_pubkey(certificate.get()));
    const bool self_signed = key != nullptr && X509_verify(certificate.get(), key.get()) == 1;
    if (!self_signed || X509_check_ca(certificate.get()) != 0) {
      ERR_clear_error();
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": certificate ", count,
          " is not self-signed, or a CA's: with it others than the operator could be let in"));
    }
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (count > 0 && at_end) return base::ToText(pem);
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": certificate ", count + 1, " cannot be read; they are given in PEM"));
}

absl::StatusOr<TlsFiles> MakeClientCertificate(uint64_t now_ms) {
  const Owned<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  const Owned<X509> certificate(X509_new());
  const Owned<BIO> key_pem(BIO_new(BIO_s_secmem()));
  const Owned<BIO> certificate_pem(BIO_new(BIO_s_mem()));
  const bool made =
      key != nullptr && certificate != nullptr && key_pem != nullptr &&
      certificate_pem != nullptr && FillClientCertificate(certificate.get(), key.get(), now_ms) &&
      PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) ==
          1 &&
      PEM_write_bio_X509(certificate_pem.get(), certificate.get()) == 1;
  ERR_clear_error();
  if (!made) return absl::InternalError("a certificate for TLS could not be made");
  return TlsFiles{base::ToText(Written(certificate_pem.get())),
                  base::SecretBytes(Written(key_pem.get()))};
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
