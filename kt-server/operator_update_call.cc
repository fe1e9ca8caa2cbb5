// SPDX-License-Identifier: Apache-2.0
#include "kt-server/operator_update_call.h"

#include "base/status.h"
#include "kt-core/update.h"
#include "kt-server/grpc_util.h"
#include "kt-server/update_service.h"

namespace kt::server {

void OperatorUpdateCall::Run(const std::string& body) {
  if (const absl::Status status = Begin(body); !status.ok()) End(status);
}

// Limits first, then who it is if anything is to be published.
absl::Status OperatorUpdateCall::Begin(const std::string& body) {
  KT_RETURN_IF_ERROR(call_.Begin());
  KT_ASSIGN_OR_RETURN(request_, UpdateService::Decode(base::AsBytes(body)));
  if (!request_.values.empty()) {
    KT_ASSIGN_OR_RETURN(token_, publish_.Authorize(secret_));
  }
  call_.EndWork();
  if (request_.values.empty()) {
    Forward();
  } else {
    queue_.FindCurrent(
        request_.label,
        [this](const absl::StatusOr<std::optional<CurrentValue>>& current) { Publish(current); });
  }
  return absl::OkStatus();
}

void OperatorUpdateCall::Publish(const absl::StatusOr<std::optional<CurrentValue>>& current) {
  if (!current.ok()) return End(current.status());
  std::optional<base::Version> greatest;
  if (current->has_value()) greatest = (*current)->version;
  // She is told of versions first that she does not know; one that does not exist the manager
  // refuses.
  if (request_.greatest_version != greatest) return Forward();
  const absl::StatusOr<OwnerUpdate> update = Prepare(*current);
  if (!update.ok()) return End(update.status());
  publish_.Update(*token_, *update, [this](const absl::StatusOr<Submitter::Outcome>& outcome) {
    Published(outcome);
  });
}

absl::StatusOr<OwnerUpdate> OperatorUpdateCall::Prepare(
    const std::optional<CurrentValue>& current) const {
  KT_RETURN_IF_ERROR(core::DecideUpdate(request_, request_.greatest_version).status());
  OwnerUpdate update;
  update.label = request_.label;
  update.last = request_.last;
  update.greatest_version = request_.greatest_version;
  // Of a set that was erased nothing has been admitted.
  if (current.has_value() && !current->erased) {
    KT_ASSIGN_OR_RETURN(update.current, smime::CertificateSet::Decode(current->value));
  }
  for (const core::LabelValue& value : request_.values) update.values.push_back(value.value);
  return update;
}

void OperatorUpdateCall::Published(const absl::StatusOr<Submitter::Outcome>& outcome) {
  if (absl::IsAborted(outcome.status())) return Forward();
  if (!outcome.ok()) return End(outcome.status());
  if (const absl::Status status = Send(outcome->update_response); !status.ok()) End(status);
}

// Without values, as if the manager had disregarded them.
void OperatorUpdateCall::Forward() {
  const core::ManagerUpdateRequest request{
      request_.last, request_.label, request_.greatest_version, {}, 0};
  ManagerClient::Updates::Handler handler;
  handler.on_response = [this](ManagerClient::Updates& updates, base::ByteView response) {
    follower_.Check(response, [this, &updates, response](const absl::Status& status) {
      Received(updates, status, response);
    });
  };
  handler.on_end = [this](const absl::Status& status) { End(failure_.ok() ? status : failure_); };
  const core::WireContext context{core::DeploymentMode::kThirdPartyManagement};
  manager_.Update(base::codec::Encode(request, context), std::move(handler));
}

void OperatorUpdateCall::Received(ManagerClient::Updates& updates, const absl::Status& checked,
                                  base::ByteView response) {
  failure_ = LastWord(checked);
  updates_ = &updates;
  if (failure_.ok()) failure_ = Send(response);
  if (!failure_.ok()) updates.Cancel();
}

absl::Status OperatorUpdateCall::Send(base::ByteView response) {
  KT_RETURN_IF_ERROR(call_.TakeRoom(response.size()));
  response_.mutable_response()->assign(base::AsText(response));
  call_.ExpectTaken();
  StartWrite(&response_);
  return absl::OkStatus();
}

void OperatorUpdateCall::OnWriteDone(bool ok) {
  call_.Taken();
  call_.ReturnRoom();
  if (updates_ == nullptr) return End(absl::OkStatus());
  if (ok) return updates_->Next();
  failure_ = absl::CancelledError("the caller has gone");
  updates_->Cancel();
}

void OperatorUpdateCall::End(const absl::Status& status) {
  call_.EndWork();
  call_.ExpectTaken();
  Finish(ToGrpc(status));
}

void OperatorUpdateCall::OnDone() {
  call_.Taken();
  delete this;
}

}  // namespace kt::server
