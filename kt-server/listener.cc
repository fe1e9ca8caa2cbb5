// SPDX-License-Identifier: Apache-2.0
#include "kt-server/listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-server/peer.h"
#include "kt-server/server_config.h"

namespace kt::server {
namespace {

using std::chrono::steady_clock;

constexpr auto kEventPause = std::chrono::seconds(10);

bool IsDue(steady_clock::time_point* last, steady_clock::duration pause) {
  const auto now = steady_clock::now();
  if (*last != steady_clock::time_point() && now - *last < pause) return false;
  *last = now;
  return true;
}

void SetOption(int fd, int level, int name, int value) {
  // Without these options connections work too, only less well.
  (void)setsockopt(fd, level, name, &value, sizeof(value));
}

absl::Status ErrnoStatus(const std::string& what, const std::string& address) {
  const std::string message = absl::StrCat("cannot ", what, " ", address, ": ", strerror(errno));
  if (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT) return absl::NotFoundError(message);
  return absl::UnavailableError(message);
}

}  // namespace

bool ConnectionTable::Add(int fd, const std::string& peer) {
  // The kernel gives out only descriptors that are free.
  if (const auto old = connections_.find(fd); old != connections_.end()) Remove(old);
  const auto full = [&] {
    const auto held = of_peer_.find(peer);
    return connections_.size() >= max_total_ ||
           (held != of_peer_.end() && held->second >= max_per_peer_);
  };
  if (full()) Sweep();
  struct stat info;
  if (full() || fstat(fd, &info) != 0) return false;
  connections_.emplace(fd, Connection{peer, info.st_dev, info.st_ino});
  ++of_peer_[peer];
  return true;
}

ConnectionTable::Connections::iterator ConnectionTable::Remove(Connections::iterator connection) {
  const auto held = of_peer_.find(connection->second.peer);
  if (--held->second == 0) of_peer_.erase(held);
  return connections_.erase(connection);
}

// Not at every connection of a flood.
void ConnectionTable::Sweep() {
  constexpr auto kPause = std::chrono::milliseconds(50);
  if (!IsDue(&last_sweep_, kPause)) return;
  for (auto it = connections_.begin(); it != connections_.end();) {
    struct stat info;
    const bool open = fstat(it->first, &info) == 0 && info.st_dev == it->second.device &&
                      info.st_ino == it->second.inode;
    it = open ? std::next(it) : Remove(it);
  }
}

Listener::Listener(const Options& options, EventLog& events, const base::Clock& clock)
    : options_(options),
      events_(events),
      table_(options.max_connections, options.max_connections_per_peer),
      rate_(options.connections_per_second, clock),
      rate_of_peer_(options.connections_per_second_per_peer, clock) {}

Listener::~Listener() {
  Stop();
  for (const int fd : wake_) {
    if (fd >= 0) close(fd);
  }
}

absl::StatusOr<std::unique_ptr<Listener>> Listener::Open(const Options& options, EventLog& events,
                                                         const base::Clock& clock) {
  std::unique_ptr<Listener> listener(new Listener(options, events, clock));
  if (pipe2(listener->wake_, O_CLOEXEC | O_NONBLOCK) != 0) {
    return ErrnoStatus("listen on", options.address);
  }
  KT_RETURN_IF_ERROR(listener->Bind());
  return listener;
}

absl::Status Listener::Bind() {
  KT_ASSIGN_OR_RETURN(const HostPort at, ParseListenAddress(options_.address));
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(at.host.empty() ? nullptr : at.host.c_str(), at.port.c_str(), &hints, &found);
  if (error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on ", options_.address, ": ", gai_strerror(error)));
  }
  const auto free_found = absl::MakeCleanup([found] { freeaddrinfo(found); });
  // A host name may have addresses that this machine does not: "localhost" where IPv6 is off.
  absl::Status missing;
  for (const addrinfo* it = found; it != nullptr; it = it->ai_next) {
    const absl::Status bound = BindTo(it->ai_family, it->ai_addr, it->ai_addrlen);
    if (bound.code() == absl::StatusCode::kNotFound) {
      missing = bound;
    } else {
      KT_RETURN_IF_ERROR(bound);
    }
  }
  return listening_.empty() ? missing : absl::OkStatus();
}

absl::Status Listener::BindTo(int family, const sockaddr* address, socklen_t size) {
  constexpr int kBacklog = 1024;
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return ErrnoStatus("listen on", options_.address);
  auto close_fd = absl::MakeCleanup([fd] { close(fd); });
  SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  sockaddr_storage bound = {};
  std::memcpy(&bound, address, size);
  if (family == AF_INET6) {
    auto* const ipv6 = reinterpret_cast<sockaddr_in6*>(&bound);
    // "[::]" is every address, those of IPv4 too.
    SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, IN6_IS_ADDR_UNSPECIFIED(&ipv6->sin6_addr) ? 0 : 1);
    if (ipv6->sin6_port == 0) ipv6->sin6_port = htons(static_cast<uint16_t>(port_));
  } else if (family == AF_INET) {
    auto* const ipv4 = reinterpret_cast<sockaddr_in*>(&bound);
    // Where port 0 was asked for, one free port on all addresses.
    if (ipv4->sin_port == 0) ipv4->sin_port = htons(static_cast<uint16_t>(port_));
  }
  if (bind(fd, reinterpret_cast<const sockaddr*>(&bound), size) != 0 || listen(fd, kBacklog) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return ErrnoStatus("listen on", options_.address);
  }
  port_ = ntohs(family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                                   : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
  std::move(close_fd).Cancel();
  listening_.push_back(fd);
  return absl::OkStatus();
}

void Listener::Start(Handler handler) {
  handler_ = std::move(handler);
  thread_ = std::thread([this] { Run(); });
}

void Listener::Stop() {
  if (thread_.joinable()) {
    const char byte = 0;
    (void)!write(wake_[1], &byte, 1);
    thread_.join();
  }
  for (const int fd : listening_) close(fd);
  listening_.clear();
}

void Listener::Run() {
  // How long to leave connections waiting that cannot be taken.
  constexpr int kPauseMs = 100;
  std::vector<pollfd> polled;
  polled.push_back({wake_[0], POLLIN, 0});
  for (const int fd : listening_) polled.push_back({fd, POLLIN, 0});
  for (bool paused = false;;) {
    for (pollfd& entry : polled) entry.revents = 0;
    // Meanwhile the listening sockets are readable all the time.
    const nfds_t count = paused ? 1 : polled.size();
    // If it fails, accepting finds out for itself what there is.
    (void)poll(polled.data(), count, paused ? kPauseMs : -1);
    if (polled[0].revents != 0) return;
    bool taken = true;
    for (const int fd : listening_) taken = AcceptAll(fd) && taken;
    paused = !taken;
  }
}

bool Listener::AcceptAll(int listening) {
  // Then it is the next socket's turn.
  constexpr int kMostAtOnce = 64;
  for (int i = 0; i < kMostAtOnce; ++i) {
    // To take them only to close them would cost a flood's victim more than to let them wait.
    if (!rate_.Allow("")) return false;
    sockaddr_storage address = {};
    socklen_t size = sizeof(address);
    const int fd = accept4(listening, reinterpret_cast<sockaddr*>(&address), &size,
                           SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      Take(fd, address);
      continue;
    }
    rate_.Charge("", -1);
    switch (errno) {
      case EAGAIN:
        return true;
      case EINTR:
      case ECONNABORTED:
      case EPROTO:
      case ENETDOWN:
      case ENETUNREACH:
      case EHOSTDOWN:
      case EHOSTUNREACH:
        continue;  // of that connection, which is gone (accept(2))
      default:
        if (IsDue(&failure_told_, kEventPause)) {
          events_.Error("accept_failed", {{"error", strerror(errno)}});
        }
        return false;
    }
  }
  return true;
}

void Listener::Take(int fd, const sockaddr_storage& address) {
  const std::string peer = RateKey(address);
  if (!rate_of_peer_.Allow(peer) || !table_.Add(fd, peer)) {
    close(fd);
    ++refused_;
    if (IsDue(&refusals_told_, kEventPause)) {
      events_.Write(EventLog::Level::kWarn, "connections_refused",
                    {{"count", std::exchange(refused_, 0)}, {"open", table_.size()}});
    }
    return;
  }
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  // Ends connections whose peer takes nothing of what has been sent to it.
  constexpr int kUserTimeoutMs = 30'000;
  SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
  handler_(fd);
}

}  // namespace kt::server
