// SPDX-License-Identifier: Apache-2.0
#include "kt-server/admin_grpc.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/status.h"
#include "kt-server/grpc_util.h"

namespace kt::server {

grpc::Status AdminGrpc::Erase(grpc::ServerContext*, const admin::EraseRequest* request,
                              admin::EraseResponse* response) {
  const std::optional<base::Version> version =
      request->has_version() ? std::optional(request->version()) : std::nullopt;
  const absl::StatusOr<ErasureReport> report = eraser_.Erase(request->address(), version);
  if (!report.ok()) return ToGrpc(report.status());
  response->set_versions(report->versions);
  response->set_erased(report->erased);
  if (!report->reclaimed.ok()) {
    response->set_unreclaimed(std::string(report->reclaimed.message()));
  }
  return grpc::Status::OK;
}

grpc::Status AdminGrpc::ListErasures(grpc::ServerContext*, const admin::ListErasuresRequest*,
                                     admin::ListErasuresResponse* response) {
  const auto list = [&]() -> absl::Status {
    KT_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot, store_.GetSnapshot());
    KT_ASSIGN_OR_RETURN(const std::vector<ErasureRow> rows, snapshot->ReadErasures());
    for (const ErasureRow& row : rows) {
      admin::ListErasuresResponse::Erasure* const out = response->add_erasures();
      out->mutable_vrf_output()->assign(base::AsText(row.vrf_output.bytes));
      out->set_version(row.version);
      out->set_position(row.position);
      out->set_erased_at_ms(row.erased_at_ms);
    }
    return absl::OkStatus();
  };
  return ToGrpc(list());
}

std::string AdminSocket(const std::string& database) {
  return absl::StrCat(database, "/admin.sock");
}

absl::StatusOr<std::unique_ptr<grpc::Server>> ServeAdmin(const std::string& database,
                                                         AdminGrpc& service) {
  const std::string path = AdminSocket(database);
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the path ", path, " is too long for a Unix socket"));
  }
  struct stat directory {};
  constexpr mode_t kOthers = 077;
  if (stat(database.c_str(), &directory) != 0 || (directory.st_mode & kOthers) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "whoever can enter ", database, " could erase for good: give the directory the mode 0700"));
  }
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("unix:", path), grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return absl::UnavailableError(absl::StrCat("cannot serve on ", path));
  return server;
}

}  // namespace kt::server
