// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_MANAGER_CLIENT_H_
#define KT_SERVER_MANAGER_CLIENT_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/bytes.h"
#include "kt-server/server_config.h"
#include "proto/kt.grpc.pb.h"

namespace kt::server {

// A Service Operator's calls to its manager, over TLS by which both know each other. Thread-safe.
//
// What comes back is not verified here. Errors are those of the manager that users are to see;
// everything else, such as why it cannot be reached, is kUnavailable without details.
class ManagerClient {
 public:
  // kInvalidArgument if certificate or CAs cannot be used, kPermissionDenied if others may read the
  // key. Does not connect yet.
  static absl::StatusOr<std::unique_ptr<ManagerClient>> Create(
      const ServerConfig::Management& config);
  // For tests: over `channel`, as it is.
  static std::unique_ptr<ManagerClient> ForChannel(std::shared_ptr<grpc::Channel> channel);
  // As Shutdown.
  ~ManagerClient();

  // One query, as its user sent it. `done` is called exactly once, on a thread of gRPC's, or before
  // this returns if the client was shut down. The request is copied.
  template <typename Response>
  using Reply = std::function<void(absl::StatusOr<Response>)>;
  // What a query does while there is no connection: users are better off with a quick answer, a
  // publication with one that is late by the two seconds in which a manager that is back is found.
  enum class IfDown { kFail, kWait };
  void Search(const v1::SearchRequest& request, Reply<v1::SearchResponse> done,
              IfDown if_down = IfDown::kFail);
  enum class Query {
    kContactMonitor,
    kOwnerInit,
    kOwnerMonitor,
    kDistinguished,
    kUpdateCredential
  };
  void Monitor(Query query, const v1::MonitoringRequest& request,
               Reply<v1::MonitoringResponse> done);

  // Waits for the answer to a DistinguishedRequest.
  absl::StatusOr<base::Bytes> Distinguished(base::ByteView request);

  // A call of Manager/Update. Deletes itself after OnEnd.
  class Updates : public grpc::ClientReadReactor<v1::UpdateResponse> {
   public:
    struct Handler {
      // An encoded UpdateResponse. Next or Cancel must follow, from any thread; the bytes stay
      // until then.
      std::function<void(Updates& updates, base::ByteView response)> on_response;
      // The last thing that happens.
      std::function<void(const absl::Status& status)> on_end;
    };
    // Asks for the next response.
    void Next();
    // Takes no more.
    void Cancel();

    void OnReadDone(bool ok) override;
    void OnDone(const grpc::Status& status) override;

   private:
    friend class ManagerClient;
    Updates(ManagerClient& client, Handler handler);
    ~Updates() override = default;

    ManagerClient& client_;
    Handler handler_;
    grpc::ClientContext context_;
    v1::ManagerUpdateRequest request_;
    v1::UpdateResponse response_;
    bool cancelled_ = false;
  };
  // `request` is an encoded ManagerUpdateRequest. Fails without a connection: what waits for one
  // may be sent when its publisher has long given up.
  void Update(base::ByteView request, Updates::Handler handler);

  // Ends all calls and makes no more. Waits until every callback has returned.
  void Shutdown();

 private:
  explicit ManagerClient(std::shared_ptr<grpc::Channel> queries,
                         std::shared_ptr<grpc::Channel> updates);

  template <typename Request, typename Response>
  struct Call;

  // Whether a call may begin; it counts until Finished, and can be cancelled until Forget.
  bool Begin(grpc::ClientContext& context, int timeout_ms);
  // Before the context is destroyed.
  void Forget(grpc::ClientContext& context);
  // Afterwards, as the last thing that the call does: a context has a share in the channel, and
  // whoever destroys that last on a thread of gRPC's makes gRPC end that thread under its feet.
  void Finished();

  const std::unique_ptr<v1::KeyTransparency::Stub> key_transparency_;
  const std::unique_ptr<v1::Monitoring::Stub> monitoring_;
  const std::unique_ptr<v1::Manager::Stub> manager_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<grpc::ClientContext*> active_ ABSL_GUARDED_BY(mutex_);
  size_t unfinished_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace kt::server
#endif  // KT_SERVER_MANAGER_CLIENT_H_
