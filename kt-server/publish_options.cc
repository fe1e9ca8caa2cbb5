// SPDX-License-Identifier: Apache-2.0
#include "kt-server/publish_options.h"

#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "smime/admission.h"

namespace kt::server {

absl::StatusOr<PublishService::Options> LoadPublishOptions(const ServerConfig& config) {
  constexpr size_t kMaxPemBytes = 4 << 20;
  PublishService::Options options;
  options.domains = config.log.domains;
  options.publishes_per_second = config.limits.publishes_per_second;
  options.admission.min_rsa_bits = static_cast<unsigned>(config.admission.min_rsa_bits);
  const std::string& path = config.admission.trust_anchors;
  if (path.empty()) {
    return absl::InvalidArgumentError("the configuration does not say [admission] trust_anchors");
  }
  KT_ASSIGN_OR_RETURN(const base::Bytes pem, base::ReadFile(path, kMaxPemBytes));
  absl::StatusOr<smime::TrustAnchors> parsed = smime::TrustAnchors::FromPem(base::ToText(pem));
  if (!parsed.ok()) return base::Annotate(parsed.status(), path);
  options.admission.trust_anchors = *std::move(parsed);
  return options;
}

}  // namespace kt::server
