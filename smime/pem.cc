// SPDX-License-Identifier: Apache-2.0
#include <openssl/pem.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"
#include "smime/certificate.h"
#include "smime/openssl_ptr.h"

namespace kt::smime {
namespace {

absl::Status Invalid(const std::string& reason) { return absl::InvalidArgumentError(reason); }

struct Block {
  std::string type;
  base::Bytes der;
};

// The next block of `bio`; a block without a type at the end of the text.
absl::StatusOr<Block> NextBlock(BIO* bio, size_t number) {
  const ErrorQueueGuard guard;
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  if (PEM_read_bio(bio, &name, &header, &data, &size) != 1) {
    const unsigned long error = ERR_peek_last_error();
    if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
      return Block{};
    }
    return Invalid(absl::StrCat("PEM block ", number,
                                " is damaged: its base64 text or its END line is wrong"));
  }
  const OpensslMemory<char> name_owner(name);
  const OpensslMemory<char> header_owner(header);
  Block block;
  block.type = name;
  // A block of another type may be a private key: it is neither copied nor left in memory.
  if (block.type == PEM_STRING_X509) block.der.assign(data, data + size);
  OPENSSL_clear_free(data, static_cast<size_t>(size));
  return block;
}

absl::Status RefuseType(const std::string& type, size_t number) {
  if (type.find("PRIVATE KEY") != std::string::npos) {
    return Invalid(absl::StrCat("PEM block ", number,
                                " is a private key, which must not leave its owner; "
                                "give a file that holds only certificates"));
  }
  if (type == PEM_STRING_PKCS7 || type == PEM_STRING_CMS) {
    return Invalid(absl::StrCat("PEM block ", number,
                                " is a PKCS #7 bundle; unpack it with "
                                "'openssl pkcs7 -print_certs' first"));
  }
  std::string shown = type.substr(0, 40);
  for (char& c : shown) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  return Invalid(absl::StrCat("PEM block ", number, " is of type '", shown,
                              "'; only CERTIFICATE is understood"));
}

}  // namespace

absl::StatusOr<std::vector<Certificate>> ParsePem(const std::string& pem) {
  if (pem.size() > kMaxPemSize) return Invalid("the PEM text is longer than 4 MiB");
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  KT_CHECK(bio != nullptr);
  std::vector<Certificate> certificates;
  for (size_t number = 1;; ++number) {
    KT_ASSIGN_OR_RETURN(const Block block, NextBlock(bio.get(), number));
    if (block.type.empty()) break;
    if (block.type != PEM_STRING_X509) return RefuseType(block.type, number);
    if (number > kMaxPemCertificates) return Invalid("the PEM text holds too many certificates");
    absl::StatusOr<Certificate> certificate = Certificate::Parse(block.der);
    if (!certificate.ok()) {
      return base::Annotate(certificate.status(), absl::StrCat("PEM block ", number));
    }
    certificates.push_back(*std::move(certificate));
  }
  if (certificates.empty()) {
    return Invalid(
        "no certificate found: PEM text begins with '-----BEGIN CERTIFICATE-----'; "
        "convert a DER file with 'openssl x509 -inform der' first");
  }
  return certificates;
}

std::string Certificate::ToPem() const {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  KT_CHECK(bio != nullptr);
  KT_CHECK(PEM_write_bio(bio.get(), PEM_STRING_X509, "", der().data(),
                         static_cast<long>(der().size())) > 0);
  const char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

std::string ToPem(std::span<const Certificate> certificates) {
  std::string pem;
  for (const Certificate& certificate : certificates) pem += certificate.ToPem();
  return pem;
}

}  // namespace kt::smime
