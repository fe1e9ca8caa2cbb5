// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CLIENT_OWNER_PUBLICATION_H_
#define KT_CLIENT_OWNER_PUBLICATION_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "kt-client/client.h"
#include "kt-client/log_session.h"

namespace kt::client {

// Publishes for a label that is owned in the session's state, through "Updating a Label": see
// Client::Publish. The set is made here, out of the greatest version as it was verified.
absl::StatusOr<PublishResult> PublishAsOwner(LogSession& session, base::ByteView label,
                                             const PublishRequest& request,
                                             const std::string& token);

}  // namespace kt::client
#endif  // KT_CLIENT_OWNER_PUBLICATION_H_
