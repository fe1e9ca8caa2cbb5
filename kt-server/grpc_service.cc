// SPDX-License-Identifier: Apache-2.0
#include "kt-server/grpc_service.h"

#include <arpa/inet.h>

#include <string_view>
#include <utility>

#include "base/status.h"

namespace kt::server {
namespace {

// The status codes of abseil and gRPC have the same numbers. What is wrong with our own data is not
// for a peer to read.
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

// Who is calling, for limiting rates: an IPv4 address, or the /64 of an IPv6 address, which is what
// one subscriber commands. `peer` is "ipv4:192.0.2.1:4711" or "ipv6:%5B2001:db8::1%5D:4711".
std::string RateKey(const std::string& peer) {
  constexpr std::string_view kIpv6 = "ipv6:%5B";
  const std::string host = peer.substr(0, peer.rfind(':'));
  if (!host.starts_with(kIpv6)) return host;
  const std::string text = host.substr(kIpv6.size(), host.rfind("%5D") - kIpv6.size());
  in6_addr address;
  if (inet_pton(AF_INET6, text.c_str(), &address) != 1) return host;
  constexpr size_t kPrefixBytes = 8;
  return base::ToHex(base::ByteView(address.s6_addr, kPrefixBytes));
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

absl::StatusOr<Publication> FromProto(const v1::PublishRequest& request) {
  Publication publication;
  publication.address = request.address();
  switch (request.operation()) {
    case v1::PublishRequest::REPLACE:
      publication.operation = Publication::Operation::kReplace;
      break;
    case v1::PublishRequest::ADD:
      publication.operation = Publication::Operation::kAdd;
      break;
    case v1::PublishRequest::REMOVE:
      publication.operation = Publication::Operation::kRemove;
      break;
    default:
      return absl::InvalidArgumentError("the operation must be REPLACE, ADD or REMOVE");
  }
  for (const v1::Certificate& certificate : request.certificates()) {
    smime::CertificateEntry& entry = publication.certificates.emplace_back();
    entry.der = base::ToBytes(certificate.der());
    for (const std::string& der : certificate.chain_der()) {
      entry.chain.push_back({base::ToBytes(der)});
    }
    entry.smime_capabilities = base::ToBytes(certificate.smime_capabilities());
  }
  if (request.has_expected_greatest_version()) {
    publication.expected_greatest_version = request.expected_greatest_version();
  }
  publication.expect_absent = request.expect_absent();
  return publication;
}

grpc::Status TooFast() {
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "too many requests; try again later"};
}

grpc::ServerUnaryReactor* FinishNow(grpc::CallbackServerContext* context, grpc::Status status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(std::move(status));
  return reactor;
}

}  // namespace

KeyTransparencyGrpc::KeyTransparencyGrpc(base::Bytes configuration, const SearchService& search,
                                         RateLimiter& limiter, ConcurrencyLimit& concurrency)
    : configuration_(std::move(configuration)),
      search_(search),
      limiter_(limiter),
      concurrency_(concurrency) {}

grpc::ServerUnaryReactor* KeyTransparencyGrpc::GetConfiguration(
    grpc::CallbackServerContext* context, const v1::GetConfigurationRequest*,
    v1::GetConfigurationResponse* response) {
  if (!limiter_.Allow(RateKey(context->peer()))) return FinishNow(context, TooFast());
  response->set_configuration(configuration_.data(), configuration_.size());
  return FinishNow(context, grpc::Status::OK);
}

grpc::ServerUnaryReactor* KeyTransparencyGrpc::Search(grpc::CallbackServerContext* context,
                                                      const v1::SearchRequest* request,
                                                      v1::SearchResponse* response) {
  return FinishNow(context, Answer(*context, *request, response));
}

grpc::Status KeyTransparencyGrpc::Answer(const grpc::CallbackServerContext& context,
                                         const v1::SearchRequest& request,
                                         v1::SearchResponse* response) {
  if (!limiter_.Allow(RateKey(context.peer()))) return TooFast();
  if (!concurrency_.Enter()) {
    return {grpc::StatusCode::RESOURCE_EXHAUSTED, "the server is busy; try again later"};
  }
  const absl::StatusOr<SearchAnswer> answer = search_.Search(base::AsBytes(request.request()));
  concurrency_.Leave();
  if (!answer.ok()) return ToGrpc(answer.status());
  std::string* const body = answer->found ? response->mutable_found() : response->mutable_absent();
  body->assign(base::AsText(answer->response));
  return grpc::Status::OK;
}

grpc::ServerUnaryReactor* PublisherGrpc::Publish(grpc::CallbackServerContext* context,
                                                 const v1::PublishRequest* request,
                                                 v1::PublishResponse* response) {
  absl::StatusOr<Publication> publication = FromProto(*request);
  if (!publication.ok()) return FinishNow(context, ToGrpc(publication.status()));
  // The reactor and the response live until Finish, which comes when the epoch is signed.
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  publish_.Publish(BearerToken(*context), *std::move(publication),
                   [reactor, response](const absl::StatusOr<Sequencer::Outcome>& outcome) {
                     if (outcome.ok()) {
                       response->set_version(outcome->version);
                       response->set_position(outcome->position);
                       response->set_tree_size(outcome->tree_size);
                     }
                     reactor->Finish(ToGrpc(outcome.status()));
                   });
  return reactor;
}

}  // namespace kt::server
