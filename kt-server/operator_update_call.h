// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_OPERATOR_UPDATE_CALL_H_
#define KT_SERVER_OPERATOR_UPDATE_CALL_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kt-server/call_gate.h"
#include "kt-server/head_follower.h"
#include "kt-server/manager_client.h"
#include "kt-server/publish_service.h"
#include "kt-server/signing_queue.h"
#include "proto/kt.grpc.pb.h"

namespace kt::server {

// One call of kt.v1.Publisher/Update when a manager hosts the log. Values that may be published are
// signed and sent to the manager; otherwise the request goes there without values, which is what
// the manager would make of it. Its responses are passed on as they are. Deletes itself when the
// call is over.
class OperatorUpdateCall final : public grpc::ServerWriteReactor<v1::UpdateResponse> {
 public:
  // Borrows all; `context` is the call's own. `token`: the bearer token, or empty.
  OperatorUpdateCall(grpc::CallbackServerContext& context, CallGate& gate, PublishService& publish,
                     SigningQueue& queue, ManagerClient& manager, HeadFollower& follower,
                     std::string token)
      : call_(context, gate),
        publish_(publish),
        queue_(queue),
        manager_(manager),
        follower_(follower),
        secret_(std::move(token)) {}

  // Called once, by the method's handler. `body` is the encoded UpdateRequest.
  void Run(const std::string& body);

  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  ~OperatorUpdateCall() override = default;

  absl::Status Begin(const std::string& body);
  void Publish(const absl::StatusOr<std::optional<CurrentValue>>& current);
  absl::StatusOr<OwnerUpdate> Prepare(const std::optional<CurrentValue>& current) const;
  void Published(const absl::StatusOr<Submitter::Outcome>& outcome);
  void Forward();
  void Received(ManagerClient::Updates& updates, const absl::Status& checked,
                base::ByteView response);
  absl::Status Send(base::ByteView response);
  void End(const absl::Status& status);

  GatedCall call_;
  PublishService& publish_;
  SigningQueue& queue_;
  ManagerClient& manager_;
  HeadFollower& follower_;
  const std::string secret_;
  core::UpdateRequest request_;
  std::optional<Token> token_;
  v1::UpdateResponse response_;
  // The manager's stream, while it waits for a response to be written.
  ManagerClient::Updates* updates_ = nullptr;
  absl::Status failure_;  // why the stream was cancelled
};

}  // namespace kt::server
#endif  // KT_SERVER_OPERATOR_UPDATE_CALL_H_
