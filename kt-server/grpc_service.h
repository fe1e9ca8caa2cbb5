// SPDX-License-Identifier: Apache-2.0
//
// The gRPC surface: translates between proto/kt.proto and the services, and bounds what a peer can
// make the server do at once.
#ifndef KT_SERVER_GRPC_SERVICE_H_
#define KT_SERVER_GRPC_SERVICE_H_

#include <atomic>
#include <string>

#include "base/bytes.h"
#include "kt-server/publish_service.h"
#include "kt-server/rate_limiter.h"
#include "kt-server/search_service.h"
#include "proto/kt.grpc.pb.h"

namespace kt::server {

// Counts requests in progress, over all services.
class ConcurrencyLimit {
 public:
  explicit ConcurrencyLimit(int64_t max) : max_(max) {}
  // Whether there was room; if so, Leave must follow.
  bool Enter() {
    if (in_progress_.fetch_add(1) < max_) return true;
    in_progress_.fetch_sub(1);
    return false;
  }
  void Leave() { in_progress_.fetch_sub(1); }

 private:
  const int64_t max_;
  std::atomic<int64_t> in_progress_ = 0;
};

// kt.v1.KeyTransparency. Borrows all references.
class KeyTransparencyGrpc : public v1::KeyTransparency::CallbackService {
 public:
  KeyTransparencyGrpc(base::Bytes configuration, const SearchService& search, RateLimiter& limiter,
                      ConcurrencyLimit& concurrency);

  grpc::ServerUnaryReactor* GetConfiguration(grpc::CallbackServerContext* context,
                                             const v1::GetConfigurationRequest* request,
                                             v1::GetConfigurationResponse* response) override;
  grpc::ServerUnaryReactor* Search(grpc::CallbackServerContext* context,
                                   const v1::SearchRequest* request,
                                   v1::SearchResponse* response) override;

 private:
  grpc::Status Answer(const grpc::CallbackServerContext& context, const v1::SearchRequest& request,
                      v1::SearchResponse* response);

  const base::Bytes configuration_;
  const SearchService& search_;
  RateLimiter& limiter_;
  ConcurrencyLimit& concurrency_;
};

// kt.v1.Publisher. Borrows all references.
class PublisherGrpc : public v1::Publisher::CallbackService {
 public:
  explicit PublisherGrpc(PublishService& publish) : publish_(publish) {}

  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context,
                                    const v1::PublishRequest* request,
                                    v1::PublishResponse* response) override;

 private:
  PublishService& publish_;
};

}  // namespace kt::server
#endif  // KT_SERVER_GRPC_SERVICE_H_
