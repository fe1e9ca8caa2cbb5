// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_AUDITING_GRPC_H_
#define KT_SERVER_AUDITING_GRPC_H_

#include <atomic>

#include "absl/status/status.h"
#include "kt-server/audit_service.h"
#include "kt-server/grpc_service.h"
#include "kt-server/rate_limiter.h"
#include "proto/kt.grpc.pb.h"

namespace kt::server {

// kt.v1.Auditing. Each stream holds a thread, so `streams` bounds how many there are. Borrows all
// references.
class AuditingGrpc : public v1::Auditing::Service {
 public:
  AuditingGrpc(AuditService& audit, RateLimiter& limiter, ConcurrencyLimit& streams)
      : audit_(audit), limiter_(limiter), streams_(streams) {}

  grpc::Status GetStart(grpc::ServerContext* context, const v1::GetStartRequest* request,
                        v1::GetStartResponse* response) override;
  grpc::Status StreamUpdates(grpc::ServerContext* context, const v1::StreamUpdatesRequest* request,
                             grpc::ServerWriter<v1::StreamUpdatesResponse>* writer) override;
  grpc::Status SubmitAuditorHead(grpc::ServerContext* context,
                                 const v1::SubmitAuditorHeadRequest* request,
                                 v1::SubmitAuditorHeadResponse* response) override;

  // Ends all streams, soon.
  void Stop() { stopping_ = true; }

 private:
  using Writer = grpc::ServerWriter<v1::StreamUpdatesResponse>;
  absl::Status Stream(const grpc::ServerContext& context, const v1::StreamUpdatesRequest& request,
                      Writer& writer) const;
  bool ShouldEnd(const grpc::ServerContext& context) const {
    return stopping_ || context.IsCancelled();
  }

  AuditService& audit_;
  RateLimiter& limiter_;
  ConcurrencyLimit& streams_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace kt::server
#endif  // KT_SERVER_AUDITING_GRPC_H_
