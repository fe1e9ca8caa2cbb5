// SPDX-License-Identifier: Apache-2.0
//
// The files of a Service Operator whose log a Third-Party Manager hosts: leaf key, signing record,
// the certificate that the manager knows it by, and the log's configuration, which comes from the
// manager.
#ifndef KT_SERVER_OPERATOR_FILES_H_
#define KT_SERVER_OPERATOR_FILES_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/random.h"
#include "base/signature.h"
#include "kt-core/configuration.h"
#include "kt-server/server_config.h"
#include "kt-server/signing_record.h"

namespace kt::server {

// Where CreateOperatorFiles writes the leaf key's public half, for the manager.
std::string LeafPublicKeyPath(const ServerConfig& config);

// Makes leaf key, signing record and certificate where `config` says. kAlreadyExists if any of the
// files is there.
absl::Status CreateOperatorFiles(const ServerConfig& config, core::CipherSuite suite,
                                 uint64_t now_ms, base::Random& random);

// Takes over the configuration that the manager has made, a file at `path`. kInvalidArgument unless
// it is one of a log with a Third-Party Manager in which this operator's key signs the values;
// kAlreadyExists if there is another one already.
absl::Status ImportConfiguration(const ServerConfig& config, const std::string& path);

// What an operator signs with.
struct OperatorKeys {
  core::Configuration config;
  std::unique_ptr<base::Signer> leaf;
  std::unique_ptr<SigningRecord> record;
};

// kInvalidArgument if the leaf key is not the configuration's, and what the parts report.
absl::StatusOr<OperatorKeys> OpenOperatorKeys(const ServerConfig& config);

}  // namespace kt::server
#endif  // KT_SERVER_OPERATOR_FILES_H_
