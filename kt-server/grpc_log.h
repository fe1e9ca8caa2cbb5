// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_GRPC_LOG_H_
#define KT_SERVER_GRPC_LOG_H_

#include "kt-server/event_log.h"

namespace kt::server {

// Sends gRPC's own log lines to `events` for as long as the object lives, and nowhere afterwards:
// by itself gRPC writes them to standard error with whatever bytes a peer sent in them. Only errors
// go through, shortened, and at most a few a minute ("grpc_error"). At most one object at a time;
// make it before gRPC is used. Borrows `events`.
class GrpcLogRedirect {
 public:
  explicit GrpcLogRedirect(EventLog& events);
  GrpcLogRedirect(const GrpcLogRedirect&) = delete;
  GrpcLogRedirect& operator=(const GrpcLogRedirect&) = delete;
  ~GrpcLogRedirect();
};

}  // namespace kt::server
#endif  // KT_SERVER_GRPC_LOG_H_
