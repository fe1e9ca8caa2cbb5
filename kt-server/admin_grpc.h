// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_ADMIN_GRPC_H_
#define KT_SERVER_ADMIN_GRPC_H_

#include <grpcpp/server.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "kt-server/eraser.h"
#include "kt-server/store.h"
#include "proto/admin.grpc.pb.h"

namespace kt::server {

namespace admin = ::kt::admin::v1;

// The operator's calls. Thread-safe.
class AdminGrpc final : public admin::Admin::Service {
 public:
  // Borrows both.
  AdminGrpc(Eraser& eraser, const Store& store) : eraser_(eraser), store_(store) {}

  grpc::Status Erase(grpc::ServerContext* context, const admin::EraseRequest* request,
                     admin::EraseResponse* response) override;
  grpc::Status ListErasures(grpc::ServerContext* context, const admin::ListErasuresRequest* request,
                            admin::ListErasuresResponse* response) override;

 private:
  Eraser& eraser_;
  const Store& store_;
};

// Where a server with this database takes the operator's calls: a Unix socket in the database's
// directory, which only the server's user may enter.
std::string AdminSocket(const std::string& database);

// Serves `service` there; a socket that an earlier server left behind is replaced.
// kInvalidArgument if the path is longer than a Unix socket's may be, kUnavailable if it cannot be
// made.
absl::StatusOr<std::unique_ptr<grpc::Server>> ServeAdmin(const std::string& database,
                                                         AdminGrpc& service);

}  // namespace kt::server
#endif  // KT_SERVER_ADMIN_GRPC_H_
