// SPDX-License-Identifier: Apache-2.0
#include "kt-core/configuration.h"

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/signature.h"
#include "base/status.h"
#include "vrf/vrf.h"

namespace kt::core {
namespace {

absl::Status CheckSignatureKey(const Configuration& config, const Bytes& key, const char* field) {
  return base::Annotate(
      base::CreateVerifier(SignatureAlgorithmOf(config.ciphersuite), key).status(),
      absl::StrCat("configuration: ", field));
}

}  // namespace

absl::Status ValidateConfiguration(const Configuration& config) {
  KT_RETURN_IF_ERROR(
      CheckSignatureKey(config, config.signature_public_key, "signature_public_key"));
  KT_RETURN_IF_ERROR(base::Annotate(
      vrf::CreateVerifier(VrfSuiteOf(config.ciphersuite), config.vrf_public_key).status(),
      "configuration: vrf_public_key"));
  if (config.mode == DeploymentMode::kThirdPartyManagement) {
    KT_RETURN_IF_ERROR(CheckSignatureKey(config, config.leaf_public_key, "leaf_public_key"));
  }
  if (config.mode == DeploymentMode::kThirdPartyAuditing) {
    KT_RETURN_IF_ERROR(CheckSignatureKey(config, config.auditor_public_key, "auditor_public_key"));
  }
  // Also zero, as no window is smaller.
  if (config.maximum_lifetime.has_value() &&
      *config.maximum_lifetime <= config.reasonable_monitoring_window) {
    return absl::InvalidArgumentError(
        "configuration: maximum_lifetime must be greater than zero and than "
        "reasonable_monitoring_window");
  }
  // The rightmost entry may be ahead of a user's clock by max_ahead: otherwise a log could call
  // expired what the user has only just seen.
  if (config.maximum_lifetime.has_value() && *config.maximum_lifetime <= config.max_ahead) {
    return absl::InvalidArgumentError(
        "configuration: maximum_lifetime must be greater than max_ahead");
  }
  return absl::OkStatus();
}

absl::StatusOr<Configuration> DecodeConfiguration(ByteView bytes) {
  absl::StatusOr<Configuration> config = codec::Decode<Configuration>(bytes);
  if (!config.ok()) return base::Annotate(config.status(), "configuration");
  KT_RETURN_IF_ERROR(ValidateConfiguration(*config));
  return config;
}

base::Hash ConfigurationFingerprint(const Configuration& config) {
  return base::Sha256(codec::Encode(config));
}

}  // namespace kt::core
