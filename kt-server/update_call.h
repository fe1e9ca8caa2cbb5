// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_UPDATE_CALL_H_
#define KT_SERVER_UPDATE_CALL_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kt-server/call_gate.h"
#include "kt-server/managed_updates.h"
#include "kt-server/publish_service.h"
#include "kt-server/update_service.h"
#include "proto/kt.grpc.pb.h"

namespace kt::server {

// One call that asks for an update: creates versions if it should, and then sends a response at a
// time, each made when the one before it has been taken. Deletes itself when the call is over.
class UpdateCall : public grpc::ServerWriteReactor<v1::UpdateResponse> {
 public:
  // More responses than this the caller asks for with a new call.
  static constexpr int kMaxResponses = 32;

  // Called once, by the method's handler. `body` is the encoded request.
  void Run(const std::string& body);

  void OnSendInitialMetadataDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

 protected:
  // Borrows all; `context` is the call's own.
  UpdateCall(grpc::CallbackServerContext& context, CallGate& gate, const UpdateService& updates)
      : call_(context, gate), updates_(updates) {}
  ~UpdateCall() override = default;

  // Decodes the request and checks whether the caller may make it.
  virtual absl::StatusOr<core::UpdateRequest> Open(base::ByteView body) = 0;
  // Creates what `request` asks for, in one log entry and all or none. kAborted if
  // UpdateService::Decide would say kCatchUp by now, or soon.
  virtual void Create(const core::UpdateRequest& request, const Submitter::Done& done) = 0;

  const UpdateService& updates() const { return updates_; }

 private:
  absl::Status Begin(const std::string& body);
  void Created(const absl::StatusOr<Submitter::Outcome>& outcome);
  absl::Status SendNext();
  void End(const absl::Status& status);

  GatedCall call_;
  const UpdateService& updates_;
  core::UpdateRequest request_;  // which the next response answers
  std::optional<base::LogPosition> created_;
  v1::UpdateResponse response_;
  int sent_ = 0;
  bool last_ = false;  // the response that is being sent
};

// kt.v1.Publisher/Update: the caller is the owner of an address, who has a token if she publishes.
class OwnerUpdateCall final : public UpdateCall {
 public:
  // As UpdateCall. `token`: the bearer token, or empty.
  OwnerUpdateCall(grpc::CallbackServerContext& context, CallGate& gate,
                  const UpdateService& updates, PublishService& publish, std::string token)
      : UpdateCall(context, gate, updates), publish_(publish), secret_(std::move(token)) {}

 private:
  ~OwnerUpdateCall() override = default;

  absl::StatusOr<core::UpdateRequest> Open(base::ByteView body) override;
  void Create(const core::UpdateRequest& request, const Submitter::Done& done) override;

  PublishService& publish_;
  const std::string secret_;
  std::optional<Token> token_;
};

// kt.v1.Manager/Update: the caller is the Service Operator, who has signed each value.
class ManagerUpdateCall final : public UpdateCall {
 public:
  // As UpdateCall.
  ManagerUpdateCall(grpc::CallbackServerContext& context, CallGate& gate,
                    const UpdateService& updates, ManagedUpdates& managed)
      : UpdateCall(context, gate, updates), managed_(managed) {}

 private:
  ~ManagerUpdateCall() override = default;

  absl::StatusOr<core::UpdateRequest> Open(base::ByteView body) override;
  void Create(const core::UpdateRequest& request, const Submitter::Done& done) override;

  ManagedUpdates& managed_;
  core::ManagerUpdateRequest signed_request_;
};

}  // namespace kt::server
#endif  // KT_SERVER_UPDATE_CALL_H_
