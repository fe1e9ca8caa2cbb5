// SPDX-License-Identifier: Apache-2.0
#include "kt-server/update_call.h"

#include <utility>

#include "base/status.h"
#include "kt-server/grpc_util.h"

namespace kt::server {

void UpdateCall::Run(const std::string& body) {
  if (const absl::Status status = Begin(body); !status.ok()) End(status);
}

// Limits first, then who it is if anything is to be published.
absl::Status UpdateCall::Begin(const std::string& body) {
  KT_RETURN_IF_ERROR(call_.Begin());
  KT_ASSIGN_OR_RETURN(request_, Open(base::AsBytes(body)));
  KT_ASSIGN_OR_RETURN(const core::UpdateDecision decision, updates_.Decide(request_));
  if (decision == core::UpdateDecision::kCatchUp) return SendNext();
  // The object lives at least until the handler returns.
  Create(request_, [this](const absl::StatusOr<Submitter::Outcome>& outcome) { Created(outcome); });
  call_.EndWork();
  return absl::OkStatus();
}

void UpdateCall::Created(const absl::StatusOr<Submitter::Outcome>& outcome) {
  if (outcome.ok()) {
    created_ = outcome->position;
  } else if (!absl::IsAborted(outcome.status())) {
    return End(outcome.status());
  }
  // This is the sequencer's thread. The proof is made on one of gRPC's.
  call_.ExpectTaken();
  StartSendInitialMetadata();
}

void UpdateCall::OnSendInitialMetadataDone(bool ok) {
  call_.Taken();
  absl::Status status = ok ? call_.Begin() : absl::CancelledError("the caller has gone");
  if (status.ok()) status = SendNext();
  // Somebody else's versions are in the log, but may not be shown yet.
  if (absl::IsNotFound(status)) {
    status = absl::UnavailableError("the address is being published to; try again later");
  }
  if (!status.ok()) End(status);
}

absl::Status UpdateCall::SendNext() {
  KT_ASSIGN_OR_RETURN(UpdateAnswer answer, updates_.Answer(request_, created_));
  call_.Charge(kRequestsPerVrfProof * static_cast<double>(answer.vrf_proofs));
  KT_RETURN_IF_ERROR(call_.TakeRoom(answer.response.size()));
  call_.EndWork();
  // What was asked for is there; whatever came after it, the owner learns by asking again.
  last_ = answer.created || ++sent_ == kMaxResponses;
  request_ = std::move(answer.following);
  response_.mutable_response()->assign(base::AsText(answer.response));
  call_.ExpectTaken();
  StartWrite(&response_);
  return absl::OkStatus();
}

void UpdateCall::OnWriteDone(bool ok) {
  call_.Taken();
  call_.ReturnRoom();
  if (!ok || last_) return End(absl::OkStatus());
  created_.reset();
  absl::Status status = call_.Begin();
  if (status.ok()) status = SendNext();
  if (status.ok()) return;
  End(absl::IsNotFound(status) ? absl::OkStatus() : status);
}

void UpdateCall::End(const absl::Status& status) {
  call_.EndWork();
  call_.ExpectTaken();
  Finish(ToGrpc(status));
}

void UpdateCall::OnDone() {
  call_.Taken();
  delete this;
}

absl::StatusOr<core::UpdateRequest> OwnerUpdateCall::Open(base::ByteView body) {
  KT_ASSIGN_OR_RETURN(core::UpdateRequest request, UpdateService::Decode(body));
  if (!request.values.empty()) {
    KT_ASSIGN_OR_RETURN(token_, publish_.Authorize(secret_));
  }
  return request;
}

void OwnerUpdateCall::Create(const core::UpdateRequest& request, const Submitter::Done& done) {
  const absl::StatusOr<OwnerUpdate> update = updates().Prepare(request);
  if (!update.ok()) return done(update.status());
  publish_.Update(*token_, *update, done);
}

absl::StatusOr<core::UpdateRequest> ManagerUpdateCall::Open(base::ByteView body) {
  KT_ASSIGN_OR_RETURN(signed_request_, ManagedUpdates::Decode(body));
  const absl::Status checked = managed_.Check(signed_request_);
  if (base::IsVerificationFailure(checked)) {
    return absl::PermissionDeniedError(std::string(checked.message()));
  }
  KT_RETURN_IF_ERROR(checked);
  return ManagedUpdates::AsUpdateRequest(signed_request_);
}

void ManagerUpdateCall::Create(const core::UpdateRequest&, const Submitter::Done& done) {
  managed_.Create(std::move(signed_request_), done);
}

}  // namespace kt::server
