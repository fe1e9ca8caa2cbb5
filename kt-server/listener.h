// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_LISTENER_H_
#define KT_SERVER_LISTENER_H_

#include <sys/socket.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "kt-server/event_log.h"
#include "kt-server/rate_limiter.h"

namespace kt::server {

// Which connections are open, without being told when one is closed: a file descriptor that no
// longer leads to the socket that it led to is closed. Not thread-safe.
class ConnectionTable {
 public:
  ConnectionTable(size_t max_total, size_t max_per_peer)
      : max_total_(max_total), max_per_peer_(max_per_peer) {}

  // Whether there is room for the connection `fd` of `peer`; if so, it counts from now on.
  bool Add(int fd, const std::string& peer);
  size_t size() const { return connections_.size(); }

 private:
  struct Connection {
    std::string peer;
    dev_t device;
    ino_t inode;
  };
  using Connections = std::unordered_map<int, Connection>;

  Connections::iterator Remove(Connections::iterator connection);
  void Sweep();

  const size_t max_total_;
  const size_t max_per_peer_;
  Connections connections_;
  std::unordered_map<std::string, size_t> of_peer_;  // none is 0
  std::chrono::steady_clock::time_point last_sweep_;
};

// Takes TCP connections and bounds their number. gRPC 1.51 would do neither: it bounds nothing, and
// for good closes a listening socket whose accept(2) fails once for want of file descriptors.
class Listener {
 public:
  struct Options {
    std::string address;  // HOST:PORT or [HOST]:PORT; port 0 takes a free one
    size_t max_connections = 4096;
    size_t max_connections_per_peer = 128;
    // New ones, each of which costs a TLS handshake. Those beyond the first wait, those of a peer
    // beyond the second are closed.
    double connections_per_second = 500;
    double connections_per_second_per_peer = 50;
  };
  // Takes the connection over.
  using Handler = std::function<void(int fd)>;

  // Binds to all addresses that the host name has. kInvalidArgument for a malformed address,
  // kUnavailable if it cannot be bound. Borrows `events` and `clock`.
  static absl::StatusOr<std::unique_ptr<Listener>> Open(const Options& options, EventLog& events,
                                                        const base::Clock& clock);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  // As Stop.
  ~Listener();

  int port() const { return port_; }

  // Hands connections to `handler`, on a thread of its own, until Stop.
  void Start(Handler handler);
  // Takes no more connections.
  void Stop();

 private:
  Listener(const Options& options, EventLog& events, const base::Clock& clock);

  absl::Status Bind();
  absl::Status BindTo(int family, const sockaddr* address, socklen_t size);
  void Run();
  // False if connections wait that cannot be taken now.
  bool AcceptAll(int listening);
  void Take(int fd, const sockaddr_storage& address);

  const Options options_;
  EventLog& events_;
  Handler handler_;
  ConnectionTable table_;
  RateLimiter rate_;  // of all together, which have the key ""
  RateLimiter rate_of_peer_;
  std::vector<int> listening_;
  int port_ = 0;
  int wake_[2] = {-1, -1};  // a pipe
  std::thread thread_;

  // For events, which peers must not be able to cause without end.
  size_t refused_ = 0;
  std::chrono::steady_clock::time_point refusals_told_;
  std::chrono::steady_clock::time_point failure_told_;
};

}  // namespace kt::server
#endif  // KT_SERVER_LISTENER_H_
