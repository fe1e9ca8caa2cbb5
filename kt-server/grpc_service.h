// SPDX-License-Identifier: Apache-2.0
//
// The gRPC surface: translates between proto/kt.proto and the services, and bounds what a peer can
// make the server do at once.
#ifndef KT_SERVER_GRPC_SERVICE_H_
#define KT_SERVER_GRPC_SERVICE_H_

#include "absl/status/status.h"
#include "base/bytes.h"
#include "kt-server/call_gate.h"
#include "kt-server/managed_updates.h"
#include "kt-server/publish_service.h"
#include "kt-server/search_service.h"
#include "kt-server/update_service.h"
#include "proto/kt.grpc.pb.h"

namespace kt::server {

// kt.v1.KeyTransparency. Borrows all references.
class KeyTransparencyGrpc : public v1::KeyTransparency::CallbackService {
 public:
  KeyTransparencyGrpc(base::Bytes configuration, const SearchService& search, CallGate& gate);

  grpc::ServerUnaryReactor* GetConfiguration(grpc::CallbackServerContext* context,
                                             const v1::GetConfigurationRequest* request,
                                             v1::GetConfigurationResponse* response) override;
  grpc::ServerUnaryReactor* Search(grpc::CallbackServerContext* context,
                                   const v1::SearchRequest* request,
                                   v1::SearchResponse* response) override;

 private:
  absl::Status Configuration(UnaryCall& call, v1::GetConfigurationResponse* response);
  absl::Status Answer(UnaryCall& call, const v1::SearchRequest& request,
                      v1::SearchResponse* response);

  const base::Bytes configuration_;
  const SearchService& search_;
  CallGate& gate_;
};

// What kt.v1.Publisher is wherever the log is hosted. Borrows all references.
class PublisherBase : public v1::Publisher::CallbackService {
 public:
  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context,
                                    const v1::PublishRequest* request,
                                    v1::PublishResponse* response) override;

 protected:
  PublisherBase(PublishService& publish, CallGate& gate) : publish_(publish), gate_(gate) {}

  PublishService& publish() const { return publish_; }
  CallGate& gate() const { return gate_; }

 private:
  PublishService& publish_;
  CallGate& gate_;
};

// kt.v1.Publisher where the log is. Borrows all references.
class PublisherGrpc : public PublisherBase {
 public:
  PublisherGrpc(PublishService& publish, const UpdateService& updates, CallGate& gate)
      : PublisherBase(publish, gate), updates_(updates) {}

  grpc::ServerWriteReactor<v1::UpdateResponse>* Update(grpc::CallbackServerContext* context,
                                                       const v1::UpdateRequest* request) override;

 private:
  const UpdateService& updates_;
};

// kt.v1.Manager. Whether the caller is the operator is settled before, by TLS. Borrows all
// references.
class ManagerGrpc : public v1::Manager::CallbackService {
 public:
  ManagerGrpc(ManagedUpdates& managed, const UpdateService& updates, CallGate& gate)
      : managed_(managed), updates_(updates), gate_(gate) {}

  grpc::ServerWriteReactor<v1::UpdateResponse>* Update(
      grpc::CallbackServerContext* context, const v1::ManagerUpdateRequest* request) override;

 private:
  ManagedUpdates& managed_;
  const UpdateService& updates_;
  CallGate& gate_;
};

}  // namespace kt::server
#endif  // KT_SERVER_GRPC_SERVICE_H_
