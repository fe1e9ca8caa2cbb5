// SPDX-License-Identifier: Apache-2.0
//
// What the gRPC services share.
#ifndef KT_SERVER_GRPC_UTIL_H_
#define KT_SERVER_GRPC_UTIL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace kt::server {

// The status codes of abseil and gRPC have the same numbers. What is wrong with our own data is not
// for a peer to read.
grpc::Status ToGrpc(const absl::Status& status);

// What the call's "authorization: Bearer" says; empty if there is none.
std::string BearerToken(const grpc::CallbackServerContext& context);

// RESOURCE_EXHAUSTED: this caller, or everybody together, asks for too much.
grpc::Status TooFast();
grpc::Status Busy();

}  // namespace kt::server
#endif  // KT_SERVER_GRPC_UTIL_H_
