// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_TLS_FILES_H_
#define KT_SERVER_TLS_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret.h"
#include "kt-server/server_config.h"

namespace kt::server {

// The server's certificate, those of its issuers after it, and its key.
struct TlsFiles {
  std::string certificates;  // PEM
  base::SecretBytes key;     // PEM
};

// kInvalidArgument unless the files are named, hold what they should, and certificate and key
// belong together; kPermissionDenied if others may read the key.
absl::StatusOr<TlsFiles> ReadTlsFiles(const ServerConfig::Listen& listen);

// The certificates (PEM) with which a manager's operator shows who it is, each one self-signed and
// no CA's, so that trusting them lets nobody else in. kInvalidArgument if the file holds others,
// or none.
absl::StatusOr<std::string> ReadOperatorCertificates(const std::string& path);

// A fresh P-256 key and a self-signed certificate over it, for a client of TLS, valid from
// `now_ms` for as long as certificates can be. Both PEM.
absl::StatusOr<TlsFiles> MakeClientCertificate(uint64_t now_ms);

// Why clients will refuse `certificates`, in words, one for each reason: a domain that the first of
// them is not valid for, or its validity that does not include `now_ms`. Empty if it is fine.
std::vector<std::string> TlsProblems(const std::string& certificates,
                                     const std::vector<std::string>& domains, uint64_t now_ms);

}  // namespace kt::server
#endif  // KT_SERVER_TLS_FILES_H_
