// SPDX-License-Identifier: Apache-2.0
#include "kt-server/grpc_service.h"

#include <utility>

#include "base/status.h"
#include "kt-server/grpc_util.h"
#include "kt-server/update_call.h"

namespace kt::server {
namespace {

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

}  // namespace

KeyTransparencyGrpc::KeyTransparencyGrpc(base::Bytes configuration, const SearchService& search,
                                         CallGate& gate)
    : configuration_(std::move(configuration)), search_(search), gate_(gate) {}

grpc::ServerUnaryReactor* KeyTransparencyGrpc::GetConfiguration(
    grpc::CallbackServerContext* context, const v1::GetConfigurationRequest*,
    v1::GetConfigurationResponse* response) {
  auto* const call = new UnaryCall(*context, gate_);
  call->End(ToGrpc(Configuration(*call, response)));
  return call;
}

absl::Status KeyTransparencyGrpc::Configuration(UnaryCall& call,
                                                v1::GetConfigurationResponse* response) {
  KT_RETURN_IF_ERROR(call.Begin());
  KT_RETURN_IF_ERROR(call.TakeRoom(configuration_.size()));
  response->set_configuration(configuration_.data(), configuration_.size());
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* KeyTransparencyGrpc::Search(grpc::CallbackServerContext* context,
                                                      const v1::SearchRequest* request,
                                                      v1::SearchResponse* response) {
  auto* const call = new UnaryCall(*context, gate_);
  call->End(ToGrpc(Answer(*call, *request, response)));
  return call;
}

absl::Status KeyTransparencyGrpc::Answer(UnaryCall& call, const v1::SearchRequest& request,
                                         v1::SearchResponse* response) {
  KT_RETURN_IF_ERROR(call.Begin());
  KT_ASSIGN_OR_RETURN(const SearchAnswer answer, search_.Search(base::AsBytes(request.request())));
  call.Charge(kRequestsPerVrfProof * static_cast<double>(answer.vrf_proofs));
  KT_RETURN_IF_ERROR(call.TakeRoom(answer.response.size()));
  std::string* const body = answer.found ? response->mutable_found() : response->mutable_absent();
  body->assign(base::AsText(answer.response));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* PublisherBase::Publish(grpc::CallbackServerContext* context,
                                                 const v1::PublishRequest* request,
                                                 v1::PublishResponse* response) {
  auto* const call = new UnaryCall(*context, gate_);
  // Limits first, then who it is, and the body last.
  if (const absl::Status status = call->Begin(); !status.ok()) {
    call->End(ToGrpc(status));
    return call;
  }
  const absl::StatusOr<Token> token = publish_.Authorize(BearerToken(*context));
  if (!token.ok()) {
    call->End(ToGrpc(token.status()));
    return call;
  }
  absl::StatusOr<Publication> publication = FromProto(*request);
  if (!publication.ok()) {
    call->End(ToGrpc(publication.status()));
    return call;
  }
  // The call and the response live until End, which comes when the epoch is signed.
  publish_.Publish(*token, *std::move(publication),
                   [call, response](const absl::StatusOr<Submitter::Outcome>& outcome) {
                     if (outcome.ok()) {
                       response->set_version(outcome->version);
                       response->set_position(outcome->position);
                       response->set_tree_size(outcome->tree_size);
                     }
                     call->End(ToGrpc(outcome.status()));
                   });
  call->EndWork();
  return call;
}

grpc::ServerWriteReactor<v1::UpdateResponse>* PublisherGrpc::Update(
    grpc::CallbackServerContext* context, const v1::UpdateRequest* request) {
  auto* const call =
      new OwnerUpdateCall(*context, gate(), updates_, publish(), BearerToken(*context));
  call->Run(request->request());
  return call;
}

grpc::ServerWriteReactor<v1::UpdateResponse>* ManagerGrpc::Update(
    grpc::CallbackServerContext* context, const v1::ManagerUpdateRequest* request) {
  auto* const call = new ManagerUpdateCall(*context, gate_, updates_, managed_);
  call->Run(request->request());
  return call;
}

}  // namespace kt::server
