// SPDX-License-Identifier: Apache-2.0
//
// What one call may cost the server, and all calls of one peer together.
#ifndef KT_SERVER_CALL_GATE_H_
#define KT_SERVER_CALL_GATE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/clock.h"
#include "kt-server/byte_budget.h"
#include "kt-server/concurrency_limit.h"
#include "kt-server/drain_watch.h"
#include "kt-server/rate_limiter.h"

namespace kt::server {

// A request that needs a VRF proof made takes about as long as five that do not.
inline constexpr double kRequestsPerVrfProof = 4;
// So many rows of a label are in a request's price; of the others, it takes as many requests more.
inline constexpr size_t kRowsPerRequest = 64;
inline constexpr double kRequestsPerRow = 1.0 / 16;

// Limits that all services share. Outlives all calls. Thread-safe.
struct CallGate {
  struct Options {
    double requests_per_second = 100;  // for one peer
    int64_t max_concurrent = 256;      // being worked on
    // Held by calls that are not over: the peer has not taken the whole response.
    size_t max_response_bytes = 256 << 20;
    size_t max_response_bytes_per_peer = 8 << 20;
    std::chrono::milliseconds response_timeout{10'000};
  };

  // Borrows `clock`.
  CallGate(const Options& options, const base::Clock& clock)
      : rate(options.requests_per_second, clock),
        concurrency(options.max_concurrent),
        responses(options.max_response_bytes, options.max_response_bytes_per_peer),
        drain(options.response_timeout) {}

  RateLimiter rate;
  ConcurrencyLimit concurrency;
  ByteBudget responses;
  DrainWatch drain;
};

// What one call takes of the limits. Gives everything back when it is destroyed.
class GatedCall {
 public:
  // Borrows `gate`; `context` is the call's own, and outlives this.
  GatedCall(grpc::CallbackServerContext& context, CallGate& gate);
  GatedCall(const GatedCall&) = delete;
  GatedCall& operator=(const GatedCall&) = delete;
  ~GatedCall();

  // Must succeed before anything else is done for the call, and again before more is done after
  // EndWork: counts as a request, and takes a place among those being worked on.
  // kResourceExhausted if a limit forbids it.
  absl::Status Begin();
  // Gives that place back. While the handler runs, another thread may do so.
  void EndWork();
  // Makes the call count as so many more for its peer's rate.
  void Charge(double requests) { gate_.rate.Charge(peer_, requests); }
  // Takes room for a response. kResourceExhausted if there is none; then it must not be sent.
  absl::Status TakeRoom(size_t response_bytes);
  // Gives back the room of responses that the peer has taken.
  void ReturnRoom();

  // From now on the peer has the time-out left to take what is sent, until Taken.
  void ExpectTaken();
  void Taken();

 private:
  bool Take(size_t bytes);

  grpc::CallbackServerContext& context_;
  CallGate& gate_;
  const std::string peer_;
  size_t held_bytes_ = 0;
  std::atomic<bool> working_ = false;
};

// One unary call, in place of gRPC's default reactor: that one does not tell when a response has
// been taken. Deletes itself when the call is over.
class UnaryCall : public grpc::ServerUnaryReactor {
 public:
  // As GatedCall.
  UnaryCall(grpc::CallbackServerContext& context, CallGate& gate) : call_(context, gate) {}

  // As GatedCall. End does EndWork too.
  absl::Status Begin() { return call_.Begin(); }
  void EndWork() { call_.EndWork(); }
  void Charge(double requests) { call_.Charge(requests); }
  absl::Status TakeRoom(size_t response_bytes) { return call_.TakeRoom(response_bytes); }

  // Sends the response, or only `status` if that is not OK. The object may be gone afterwards,
  // unless this is still the method's handler.
  void End(const grpc::Status& status);

  void OnDone() override;

 private:
  ~UnaryCall() override = default;

  GatedCall call_;
};

}  // namespace kt::server
#endif  // KT_SERVER_CALL_GATE_H_
