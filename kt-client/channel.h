// SPDX-License-Identifier: Apache-2.0
//
// From a list of servers to one gRPC channel over TLS.
#ifndef KT_CLIENT_CHANNEL_H_
#define KT_CLIENT_CHANNEL_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kt-client/discovery.h"

namespace kt::client {

inline constexpr int kMaxMessageBytes = 4 << 20;  // of one received message

struct ConnectOptions {
  // PEM certificates of the CAs to trust, as LoadRoots returns them. Empty: the system's.
  std::string roots_pem;
  // For all attempts together.
  int timeout_ms = 10'000;
};

struct FailedAttempt {
  enum class Kind {
    kNoAnswer,  // refused, unreachable, or silent until the attempt's time was over
    kRejected,  // a server answered, but TLS did not succeed: mostly its certificate
    kNotTried,  // the time was over, or the address had just been found not to answer
  };
  ConnectAttempt attempt;
  Kind kind;
  std::string reason;
};

struct Connection {
  std::shared_ptr<grpc::Channel> channel;  // ready when it is returned
  ConnectAttempt used;
  std::vector<FailedAttempt> failures;  // before that one, in order
};

// Reads CA certificates from a PEM file of at most 1 MiB. As base::ReadFile; kInvalidArgument if
// the file holds no certificate or one that cannot be read.
absl::StatusOr<std::string> LoadRoots(const std::string& path);

// Tries `attempts` in order until a channel is ready: connected, and the server's certificate
// valid for the attempt's tls_name under the trusted CAs. Each attempt may take an equal share of
// the time that is left, but at least 1.5 seconds; what it does not need is left to the others. A
// second name at an address is tried only if a server answered there.
//
// Failures (failure.h): kNoServer if no server answered, kTlsFailed if one did. The
// message names `domain` and lists for each server the name that was demanded and why.
// kInvalidArgument if `attempts` is empty or the time-out is not positive.
//
// The channel ignores proxies and service configurations, shares its connection with no other
// channel, accepts no compressed messages, and refuses messages beyond kMaxMessageBytes.
absl::StatusOr<Connection> Connect(const std::vector<ConnectAttempt>& attempts,
                                   const std::string& domain, const ConnectOptions& options);

}  // namespace kt::client
#endif  // KT_CLIENT_CHANNEL_H_
