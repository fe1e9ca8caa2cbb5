// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CORE_CONFIGURATION_H_
#define KT_CORE_CONFIGURATION_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/codec.h"
#include "base/types.h"
#include "kt-core/cipher_suite.h"

namespace kt::core {

namespace codec = base::codec;
using base::Bytes;
using base::ByteView;

// enum { reserved(0), contactMonitoring(1), thirdPartyManagement(2), thirdPartyAuditing(3), (255) }
//   DeploymentMode;
enum class DeploymentMode : uint8_t {
  kContactMonitoring = 1,
  kThirdPartyManagement = 2,
  kThirdPartyAuditing = 3,
};
constexpr bool IsKnown(DeploymentMode mode) {
  return mode >= DeploymentMode::kContactMonitoring && mode <= DeploymentMode::kThirdPartyAuditing;
}

// draft-ietf-keytrans-protocol, "Tree Head Signature":
//
//   struct {
//     CipherSuite ciphersuite;
//     DeploymentMode mode;
//     opaque signature_public_key<0..2^16-1>;
//     opaque vrf_public_key<0..2^16-1>;
//     select (Configuration.mode) {
//       case thirdPartyManagement:
//         opaque leaf_public_key<0..2^16-1>;
//       case thirdPartyAuditing:
//         uint64 max_auditor_lag;
//         uint64 auditor_start_pos;
//         opaque auditor_public_key<0..2^16-1>;
//     };
//     uint64 max_ahead;
//     uint64 max_behind;
//     uint64 reasonable_monitoring_window;
//     optional<uint64> maximum_lifetime;
//   } Configuration;
//
// All durations are in milliseconds.
struct Configuration {
  CipherSuite ciphersuite = CipherSuite::kP256;
  DeploymentMode mode = DeploymentMode::kContactMonitoring;
  Bytes signature_public_key;
  Bytes vrf_public_key;
  Bytes leaf_public_key;           // thirdPartyManagement
  uint64_t max_auditor_lag = 0;    // thirdPartyAuditing
  uint64_t auditor_start_pos = 0;  // thirdPartyAuditing
  Bytes auditor_public_key;        // thirdPartyAuditing
  uint64_t max_ahead = 0;
  uint64_t max_behind = 0;
  uint64_t reasonable_monitoring_window = 0;
  std::optional<uint64_t> maximum_lifetime;

  bool operator==(const Configuration&) const = default;

  static constexpr auto Fields() {
    constexpr auto managed = [](const Configuration& c, const auto&) {
      return c.mode == DeploymentMode::kThirdPartyManagement;
    };
    constexpr auto audited = [](const Configuration& c, const auto&) {
      return c.mode == DeploymentMode::kThirdPartyAuditing;
    };
    return codec::List(
        &Configuration::ciphersuite, &Configuration::mode,
        codec::Opaque<uint16_t>(&Configuration::signature_public_key),
        codec::Opaque<uint16_t>(&Configuration::vrf_public_key),
        codec::If(managed, codec::Opaque<uint16_t>(&Configuration::leaf_public_key)),
        codec::If(audited, &Configuration::max_auditor_lag),
        codec::If(audited, &Configuration::auditor_start_pos),
        codec::If(audited, codec::Opaque<uint16_t>(&Configuration::auditor_public_key)),
        &Configuration::max_ahead, &Configuration::max_behind,
        &Configuration::reasonable_monitoring_window, &Configuration::maximum_lifetime);
  }
};

// Decodes a configuration and checks that it can be used: keys of the suite, and a maximum lifetime
// greater than zero, than the Reasonable Monitoring Window ("Maximum Lifetime") and than max_ahead.
// kInvalidArgument, with the offending field, otherwise.
absl::StatusOr<Configuration> DecodeConfiguration(ByteView bytes);
absl::Status ValidateConfiguration(const Configuration& config);

// SHA-256 of the encoded configuration: what a user compares to know that two parties mean the same
// log. docs/extensions.md.
base::Hash ConfigurationFingerprint(const Configuration& config);

}  // namespace kt::core
#endif  // KT_CORE_CONFIGURATION_H_
