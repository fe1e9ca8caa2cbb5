// SPDX-License-Identifier: Apache-2.0
#include "kt-server/grpc_util.h"

#include <string>
#include <string_view>

namespace kt::server {

grpc::Status ToGrpc(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return grpc::Status::OK;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnknown:
      return {grpc::StatusCode::INTERNAL,
              "the server has a problem; its operator's log says which"};
    default:
      return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
  }
}

std::string BearerToken(const grpc::CallbackServerContext& context) {
  constexpr std::string_view kPrefix = "Bearer ";
  const auto& metadata = context.client_metadata();
  const auto entry = metadata.find("authorization");
  if (entry == metadata.end()) return "";
  const std::string_view value(entry->second.data(), entry->second.size());
  if (!value.starts_with(kPrefix)) return "";
  return std::string(value.substr(kPrefix.size()));
}

grpc::Status TooFast() {
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "too many requests; try again later"};
}

grpc::Status Busy() {
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "the server is busy; try again later"};
}

}  // namespace kt::server
