// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/load_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "tests/support/http2.h"

namespace kt::bench {
namespace {

namespace http2 = testing::http2;

constexpr uint32_t kWindow = 1 << 30;

double Milliseconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// The status in trailers: literal, since the server was told that there is no header table.
CallEnd EndOf(const std::string& trailers) {
  static const std::string kName = "grpc-status";
  const size_t at = trailers.find(kName);
  if (at == std::string::npos || at + kName.size() + 2 > trailers.size()) return CallEnd::kFailed;
  const std::string value = trailers.substr(at + kName.size(), 2);
  if (value == std::string("\1") + "0") return CallEnd::kAnswered;
  return value == std::string("\1") + "8" ? CallEnd::kRefused : CallEnd::kFailed;
}

}  // namespace

double Percentile(const std::vector<double>& sorted, double percent) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<size_t>(static_cast<double>(sorted.size()) * percent / 100);
  return sorted[std::min(at, sorted.size() - 1)];
}

class LoadClient::Connection {
 public:
  Connection(SSL_CTX* context, int port) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    KT_CHECK(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    static const unsigned char kAlpn[] = {2, 'h', '2'};
    ssl_ = SSL_new(context);
    KT_CHECK(SSL_set_alpn_protos(ssl_, kAlpn, sizeof(kAlpn)) == 0);
    SSL_set_fd(ssl_, fd_);
    KT_CHECK(SSL_connect(ssl_) == 1);
    KT_CHECK(fcntl(fd_, F_SETFL, O_NONBLOCK) == 0);
    SSL_set_mode(ssl_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    out_ = http2::Preface({{http2::kHeaderTableSize, 0}, {http2::kInitialWindowSize, kWindow}}) +
           http2::Encode(http2::kWindowUpdate, 0, 0, http2::Number(kWindow, 4));
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    SSL_free(ssl_);
    close(fd_);
  }

  size_t in_progress() const { return calls_.size(); }

  bool Send(const std::string& path, const std::string& message, Clock::time_point due) {
    const auto size = static_cast<int64_t>(message.size() + 5);
    if (closed_ || calls_.size() >= max_streams_ || send_window_ < size) return false;
    send_window_ -= size;
    out_ += http2::Call(next_stream_, path, message);
    calls_.emplace(next_stream_, due);
    next_stream_ += 2;
    return true;
  }

  void Poll(LoadResult* result) {
    Write(result);
    char buffer[65536];
    for (int got; !closed_ && (got = SSL_read(ssl_, buffer, sizeof(buffer))) != 0;) {
      if (got < 0) {
        if (SSL_get_error(ssl_, got) != SSL_ERROR_WANT_READ) Close(result);
        break;
      }
      in_.append(buffer, static_cast<size_t>(got));
    }
    if (in_.empty()) return;
    for (const http2::Frame& frame : http2::TakeFrames(&in_)) Take(frame, result);
  }

 private:
  void Write(LoadResult* result) {
    if (out_.empty() || closed_) return;
    const int put = SSL_write(ssl_, out_.data(), static_cast<int>(out_.size()));
    if (put > 0) {
      out_.erase(0, static_cast<size_t>(put));
    } else if (SSL_get_error(ssl_, put) != SSL_ERROR_WANT_WRITE) {
      Close(result);
    }
  }

  void Close(LoadResult* result) {
    closed_ = true;
    result->failed += calls_.size();
    calls_.clear();
  }

  void Take(const http2::Frame& frame, LoadResult* result) {
    switch (frame.type) {
      case http2::kSettings:
        if ((frame.flags & http2::kAck) == 0) TakeSettings(frame.payload);
        [[fallthrough]];
      case http2::kPing:
        if ((frame.flags & http2::kAck) == 0) {
          out_ += http2::Encode(frame.type, http2::kAck, 0,
                                frame.type == http2::kPing ? frame.payload : "");
        }
        break;
      case http2::kWindowUpdate:
        if (frame.stream == 0) send_window_ += Number(frame.payload);
        break;
      case http2::kData:
        received_ += frame.payload.size();
        if (received_ > kWindow / 2) {
          out_ +=
              http2::Encode(http2::kWindowUpdate, 0, 0,
                            http2::Number(static_cast<uint32_t>(std::exchange(received_, 0)), 4));
        }
        break;
      case http2::kHeaders:
        if ((frame.flags & http2::kEndStream) != 0) End(frame.stream, EndOf(frame.payload), result);
        break;
      case http2::kRstStream:
        End(frame.stream, CallEnd::kFailed, result);
        break;
      default:
        break;
    }
  }

  void TakeSettings(const std::string& payload) {
    constexpr size_t kSetting = 6;
    for (size_t at = 0; at + kSetting <= payload.size(); at += kSetting) {
      if (Number(payload.substr(at, 2)) != http2::kMaxConcurrentStreams) continue;
      max_streams_ = static_cast<size_t>(Number(payload.substr(at + 2, 4)));
    }
  }

  static int64_t Number(const std::string& bytes) {
    int64_t value = 0;
    for (const char c : bytes) value = value << 8 | static_cast<uint8_t>(c);
    return value;
  }

  void End(uint32_t stream, CallEnd end, LoadResult* result) {
    const auto call = calls_.find(stream);
    if (call == calls_.end()) return;
    const double ms = Milliseconds(Clock::now() - call->second);
    calls_.erase(call);
    if (end == CallEnd::kAnswered) result->answered_ms.push_back(ms);
    if (end == CallEnd::kRefused) {
      ++result->refused;
      result->refused_ms.push_back(ms);
    }
    if (end == CallEnd::kFailed) ++result->failed;
  }

  int fd_ = -1;
  SSL* ssl_ = nullptr;
  bool closed_ = false;
  std::string out_;
  std::string in_;
  std::unordered_map<uint32_t, Clock::time_point> calls_;
  uint32_t next_stream_ = 1;
  size_t max_streams_ = 1;  // until the server has told
  int64_t send_window_ = 65'535;
  uint64_t received_ = 0;  // not yet given back to the connection's window
};

LoadClient::LoadClient(int port, size_t connections) : context_(SSL_CTX_new(TLS_client_method())) {
  for (size_t i = 0; i < connections; ++i) {
    connections_.push_back(std::make_unique<Connection>(context_, port));
  }
}

LoadClient::~LoadClient() {
  connections_.clear();
  SSL_CTX_free(context_);
}

size_t LoadClient::in_progress() const {
  size_t calls = 0;
  for (const auto& connection : connections_) calls += connection->in_progress();
  return calls;
}

bool LoadClient::Send(const std::string& path, const std::string& message, Clock::time_point due) {
  for (size_t i = 0; i < connections_.size(); ++i) {
    Connection& connection = *connections_[next_connection_++ % connections_.size()];
    if (connection.Send(path, message, due)) return true;
  }
  return false;
}

void LoadClient::Poll(LoadResult* result) {
  for (const auto& connection : connections_) connection->Poll(result);
}

void LoadClient::Drain(LoadResult* result) {
  const auto give_up = Clock::now() + std::chrono::seconds(5);
  while (in_progress() > 0 && Clock::now() < give_up) Poll(result);
  result->failed += in_progress();
  std::sort(result->answered_ms.begin(), result->answered_ms.end());
  std::sort(result->refused_ms.begin(), result->refused_ms.end());
}

LoadResult LoadClient::RunClosed(const std::string& path, const NextMessage& next,
                                 size_t in_progress, double seconds) {
  LoadResult result;
  const auto begin = Clock::now();
  const auto end =
      begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  while (Clock::now() < end) {
    for (size_t calls = this->in_progress(); calls < in_progress; ++calls) {
      if (!Send(path, next(), Clock::now())) break;
      ++result.sent;
    }
    Poll(&result);
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  Drain(&result);
  return result;
}

LoadResult LoadClient::RunOpen(const std::string& path, const NextMessage& next, double per_second,
                               double seconds) {
  LoadResult result;
  const auto begin = Clock::now();
  const auto calls = static_cast<uint64_t>(per_second * seconds);
  for (uint64_t call = 0; call < calls;) {
    const auto due =
        begin + std::chrono::duration_cast<Clock::duration>(
                    std::chrono::duration<double>(static_cast<double>(call) / per_second));
    if (due <= Clock::now()) {
      ++(Send(path, next(), due) ? result.sent : result.unsent);
      // Not all that is late at once, so that what comes meanwhile is read in time.
      if (++call % 32 != 0) continue;
    }
    Poll(&result);
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  Drain(&result);
  return result;
}

}  // namespace kt::bench
