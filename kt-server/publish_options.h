// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_PUBLISH_OPTIONS_H_
#define KT_SERVER_PUBLISH_OPTIONS_H_

#include "absl/status/statusor.h"
#include "kt-server/publish_service.h"
#include "kt-server/server_config.h"

namespace kt::server {

// Who may publish what, as the configuration says; reads the trust anchors. kInvalidArgument if
// they are not named or not certificates.
absl::StatusOr<PublishService::Options> LoadPublishOptions(const ServerConfig& config);

}  // namespace kt::server
#endif  // KT_SERVER_PUBLISH_OPTIONS_H_
