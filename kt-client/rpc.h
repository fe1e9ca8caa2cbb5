// SPDX-License-Identifier: Apache-2.0
//
// What the calls of a session share: what is sent along, and what a status means.
#ifndef KT_CLIENT_RPC_H_
#define KT_CLIENT_RPC_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace kt::client {

// The server waits for the end of an epoch, up to a minute in any sane configuration, before it
// answers that something is published.
inline constexpr int kPublishTimeoutMs = 60'000;

void SetDeadline(grpc::ClientContext* context, int timeout_ms);

// kInvalidArgument if `token` is not one: gRPC aborts the process on what cannot be in metadata.
absl::Status SetToken(const std::string& token, grpc::ClientContext* context);

// What a failed call means to the caller of the library: see client.h.
absl::Status FromGrpc(const grpc::Status& status, const std::string& server);

// Verification failures. The log no longer has what it showed before; it calls a request wrong that
// is made of what it has proven.
absl::Status RolledBack(const grpc::Status& status);
absl::Status RequestRefused(const grpc::Status& status);

// The log says that it has erased the value that was asked for.
absl::Status Erased(const grpc::Status& status);

// A publication was sent and no answer came.
absl::Status NotAnsweredInTime(const std::string& server);

}  // namespace kt::client
#endif  // KT_CLIENT_RPC_H_
