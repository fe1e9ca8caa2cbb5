// SPDX-License-Identifier: Apache-2.0
#include "kt-server/operator_files.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/key_file.h"
#include "base/status.h"
#include "kt-server/key_files.h"
#include "kt-server/log_files.h"
#include "kt-server/tls_files.h"

namespace kt::server {
namespace {

constexpr mode_t kSecretMode = 0600;
constexpr mode_t kPublicMode = 0644;

absl::StatusOr<std::unique_ptr<base::Signer>> ReadLeafKey(const ServerConfig& config,
                                                          const core::Configuration& log) {
  KT_ASSIGN_OR_RETURN(const base::SecretBytes secret,
                      base::ReadSecretKey(config.management.leaf_key));
  KT_ASSIGN_OR_RETURN(auto leaf,
                      base::CreateSigner(core::SignatureAlgorithmOf(log.ciphersuite), secret));
  if (log.mode != core::DeploymentMode::kThirdPartyManagement ||
      log.leaf_public_key != leaf->public_key()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the log's values are not signed with ", config.management.leaf_key,
                     ": was the manager given another --leaf-public-key?"));
  }
  return leaf;
}

}  // namespace

std::string LeafPublicKeyPath(const ServerConfig& config) {
  return config.management.leaf_key + ".pub";
}

absl::Status CreateOperatorFiles(const ServerConfig& config, core::CipherSuite suite,
                                 uint64_t now_ms, base::Random& random) {
  const ServerConfig::Management& management = config.management;
  for (const std::string& path :
       {management.leaf_key, LeafPublicKeyPath(config), management.certificate,
        management.certificate_key, management.signing_record, management.manager_head,
        management.evidence, config.log.configuration}) {
    KT_RETURN_IF_ERROR(RefuseExisting(path));
    KT_RETURN_IF_ERROR(MakeParentDirectory(path));
  }
  const auto algorithm = core::SignatureAlgorithmOf(suite);
  const base::SecretBytes secret = base::GenerateSignatureSecret(algorithm, random);
  KT_ASSIGN_OR_RETURN(const auto leaf, base::CreateSigner(algorithm, secret));
  KT_ASSIGN_OR_RETURN(const TlsFiles tls, MakeClientCertificate(now_ms));
  KT_RETURN_IF_ERROR(base::WriteSecretKey(management.leaf_key, secret));
  KT_RETURN_IF_ERROR(WritePublicKey(LeafPublicKeyPath(config), leaf->public_key()));
  KT_RETURN_IF_ERROR(
      base::WriteFileAtomically(management.certificate_key, tls.key.Expose(), kSecretMode));
  KT_RETURN_IF_ERROR(base::WriteFileAtomically(management.certificate,
                                               base::AsBytes(tls.certificates), kPublicMode));
  return SigningRecord::Create(management.signing_record, leaf->public_key());
}

absl::Status ImportConfiguration(const ServerConfig& config, const std::string& path) {
  ServerConfig from = config;
  from.log.configuration = path;
  KT_ASSIGN_OR_RETURN(const core::Configuration log, ReadPublicConfiguration(from));
  KT_RETURN_IF_ERROR(ReadLeafKey(config, log).status());
  const absl::StatusOr<core::Configuration> known = ReadPublicConfiguration(config);
  if (absl::IsNotFound(known.status())) {
    return base::WriteFileAtomically(config.log.configuration, base::codec::Encode(log),
                                     kPublicMode);
  }
  KT_RETURN_IF_ERROR(known.status());
  if (*known == log) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat(config.log.configuration, " is another log's; clients have pinned it"));
}

absl::StatusOr<OperatorKeys> OpenOperatorKeys(const ServerConfig& config) {
  OperatorKeys keys;
  absl::StatusOr<core::Configuration> log = ReadPublicConfiguration(config);
  if (absl::IsNotFound(log.status())) {
    return absl::NotFoundError(
        absl::StrCat(config.log.configuration,
                     " is missing: get it from the manager and run kt-server config --import"));
  }
  KT_RETURN_IF_ERROR(log.status());
  keys.config = *std::move(log);
  KT_ASSIGN_OR_RETURN(keys.leaf, ReadLeafKey(config, keys.config));
  KT_ASSIGN_OR_RETURN(
      keys.record, SigningRecord::Open(config.management.signing_record, keys.leaf->public_key()));
  return keys;
}

}  // namespace kt::server
