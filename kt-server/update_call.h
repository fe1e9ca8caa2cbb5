// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_UPDATE_CALL_H_
#define KT_SERVER_UPDATE_CALL_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "kt-server/call_gate.h"
#include "kt-server/publish_service.h"
#include "kt-server/update_service.h"
#include "proto/kt.grpc.pb.h"

namespace kt::server {

// One call of kt.v1.Publisher/Update: publishes if it should, and then sends a response at a time,
// each made when the one before it has been taken. Deletes itself when the call is over.
class UpdateCall : public grpc::ServerWriteReactor<v1::UpdateResponse> {
 public:
  // More responses than this the caller asks for with a new call.
  static constexpr int kMaxResponses = 32;

  // Borrows all; `context` is the call's own.
  UpdateCall(grpc::CallbackServerContext& context, CallGate& gate, UpdateService& updates,
             PublishService& publish)
      : call_(context, gate), updates_(updates), publish_(publish) {}

  // Called once, by the method's handler. `token`: the bearer token, or empty.
  void Run(const v1::UpdateRequest& request, const std::string& token);

  void OnSendInitialMetadataDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  ~UpdateCall() override = default;

  absl::Status Begin(const v1::UpdateRequest& request, const std::string& token);
  void Created(const absl::StatusOr<Sequencer::Outcome>& outcome);
  absl::Status SendNext();
  void End(const absl::Status& status);

  GatedCall call_;
  UpdateService& updates_;
  PublishService& publish_;
  core::UpdateRequest request_;  // which the next response answers
  std::optional<base::LogPosition> created_;
  v1::UpdateResponse response_;
  int sent_ = 0;
  bool last_ = false;  // the response that is being sent
};

}  // namespace kt::server
#endif  // KT_SERVER_UPDATE_CALL_H_
