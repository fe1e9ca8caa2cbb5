// SPDX-License-Identifier: Apache-2.0
//
// Peers that want to do harm, and machines that go wrong: the server bounds what they cost, and
// goes on serving the others.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "kt-core/operations.h"
#include "kt-server/server.h"
#include "proto/kt.pb.h"
#include "tests/e2e/deployment.h"
#include "tests/support/fakes.h"
#include "tests/support/http2.h"
#include "tests/support/status_matchers.h"

namespace kt::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;
using ::testing::Not;

// A TCP connection from an address of the loopback network.
int Dial(int port, const std::string& from) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  KT_CHECK(fd >= 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  inet_pton(AF_INET, from.c_str(), &address.sin_addr);
  KT_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  address.sin_port = htons(static_cast<uint16_t>(port));
  KT_CHECK(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  return fd;
}

bool WaitReadable(int fd, int timeout_ms) {
  pollfd entry = {fd, POLLIN, 0};
  return poll(&entry, 1, timeout_ms) == 1;
}

// Whether the server has closed a connection on which nothing was sent.
bool IsClosed(int fd) {
  char byte = 0;
  return WaitReadable(fd, 0) && recv(fd, &byte, 1, MSG_PEEK) <= 0;
}

// Does what no HTTP/2 library would.
class RawClient {
 public:
  // `window`: how much of a response the server may send before it is told that more is welcome,
  // which it never is.
  RawClient(int port, uint32_t window, const std::string& from = "127.0.0.1")
      : fd_(Dial(port, from)), context_(SSL_CTX_new(TLS_client_method())) {
    static const unsigned char kAlpn[] = {2, 'h', '2'};
    ssl_ = SSL_new(context_);
    KT_CHECK(SSL_set_alpn_protos(ssl_, kAlpn, sizeof(kAlpn)) == 0);
    SSL_set_fd(ssl_, fd_);
    EXPECT_EQ(SSL_connect(ssl_), 1);
    Write(http2::Preface({{http2::kInitialWindowSize, window}}));
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    close(fd_);
  }

  // Calls a method with an encoded message; returns the stream.
  uint32_t Call(const std::string& path, const std::string& message = "",
                const std::string& te = "trailers") {
    const uint32_t stream = next_stream_;
    next_stream_ += 2;
    Write(http2::Call(stream, path, message, te));
    return stream;
  }

  // All frames that come until nothing more does for `quiet_ms`.
  std::vector<http2::Frame> Read(int quiet_ms) {
    char buffer[16384];
    while (SSL_pending(ssl_) > 0 || WaitReadable(fd_, quiet_ms)) {
      const int got = SSL_read(ssl_, buffer, sizeof(buffer));
      if (got <= 0) break;
      received_.append(buffer, static_cast<size_t>(got));
    }
    return http2::TakeFrames(&received_);
  }

 private:
  void Write(const std::string& bytes) {
    EXPECT_EQ(SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())),
              static_cast<int>(bytes.size()));
  }

  const int fd_;
  SSL_CTX* const context_;
  SSL* ssl_ = nullptr;
  uint32_t next_stream_ = 1;
  std::string received_;
};

constexpr char kGetConfiguration[] = "/kt.v1.KeyTransparency/GetConfiguration";
constexpr uint32_t kOpenWindow = 1 << 20;

size_t Count(const std::vector<http2::Frame>& frames, uint8_t type) {
  return static_cast<size_t>(std::count_if(frames.begin(), frames.end(),
                                           [&](const auto& frame) { return frame.type == type; }));
}

size_t CountWith(const std::vector<http2::Frame>& frames, const std::string& part) {
  return static_cast<size_t>(std::count_if(frames.begin(), frames.end(), [&](const auto& frame) {
    return frame.payload.find(part) != std::string::npos;
  }));
}

class Attack : public ::testing::Test {
 protected:
  Attack() : deployment_("ed25519") {}

  // Whether a client from elsewhere gets an answer.
  bool IsServed(const std::string& from) {
    RawClient client(deployment_.port(), kOpenWindow, from);
    client.Call(kGetConfiguration);
    return Count(client.Read(500), http2::kData) == 1;
  }

  void StartForUnread() {
    deployment_.SetLimit("requests_per_second", "100000");
    deployment_.SetLimit("max_response_bytes_per_client", "1048576");
    deployment_.SetLimit("response_timeout_ms", "3000");
    ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  }
  // 320 calls whose responses are never taken; there is room for fewer than 256.
  void ExpectBoundedAndGivenUp(const std::string& path, const std::string& message) {
    constexpr int kConnections = 40;
    constexpr int kCalls = 8;
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < kConnections; ++i) {
      clients.push_back(std::make_unique<RawClient>(deployment_.port(), 0));
      for (int call = 0; call < kCalls; ++call) clients.back()->Call(path, message);
    }
    size_t refused = 0;
    size_t given_up = 0;
    for (const auto& client : clients) {
      const auto frames = client->Read(100);
      EXPECT_EQ(Count(frames, http2::kData), 0u);
      refused += CountWith(frames, "wait to be read");
      given_up += Count(frames, http2::kRstStream);
    }
    EXPECT_GE(refused, static_cast<size_t>(kConnections * kCalls - 256));
    EXPECT_LT(refused, static_cast<size_t>(kConnections * kCalls));
    EXPECT_TRUE(IsServed("127.0.0.2")) << "others have room of their own";

    // What is not taken is given up, and makes room.
    const auto give_up = steady_clock::now() + std::chrono::seconds(10);
    while (given_up + refused < kConnections * kCalls && steady_clock::now() < give_up) {
      for (const auto& client : clients) {
        given_up += Count(client->Read(50), http2::kRstStream);
      }
    }
    EXPECT_GE(given_up + refused, static_cast<size_t>(kConnections * kCalls));
    EXPECT_TRUE(IsServed("127.0.0.1"));
  }

  Deployment deployment_;
};

TEST_F(Attack, UnreadResponsesAreBoundedAndGivenUp) {
  StartForUnread();
  ExpectBoundedAndGivenUp(kGetConfiguration, "");
  deployment_.StopServer();
}

// A stream holds no more than the one response that is not taken, and goes on when it is.
TEST_F(Attack, UnreadStreamsOfUpdatesAreBoundedAndGivenUp) {
  StartForUnread();
  deployment_.StartDns();
  for (const char* use : {"sign", "encr"}) {
    const ProcessResult published = deployment_.Publish(
        "alice@smime.example",
        {"--cert", deployment_.Vector("alice." + std::string(use) + ".crt.pem")});
    ASSERT_EQ(published.exit_code, 0) << published.err;
  }
  core::UpdateRequest request;
  request.label = base::ToBytes("alice@smime.example");
  v1::UpdateRequest body;
  body.set_request(base::ToText(base::codec::Encode(request)));
  ExpectBoundedAndGivenUp("/kt.v1.Publisher/Update", body.SerializeAsString());
  deployment_.StopServer();
}

TEST_F(Attack, OneConnectionHasABoundedNumberOfStreams) {
  deployment_.SetLimit("requests_per_second", "100000");
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  RawClient client(deployment_.port(), 0);
  const auto settings = client.Read(200);
  // SETTINGS_MAX_CONCURRENT_STREAMS (3) is 8.
  EXPECT_EQ(CountWith(settings, std::string("\0\3\0\0\0\x08", 6)), 1u);
  deployment_.StopServer();
}

TEST_F(Attack, ConnectionsBeyondTheFileDescriptorsDoNotEndTheServer) {
  constexpr int kConnections = 1200;
  rlimit files;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, kConnections + 200);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  deployment_.SetLimit("max_connections_per_client", "100000");
  deployment_.SetLimit("connections_per_second", "100000");
  deployment_.SetLimit("connections_per_second_per_client", "100000");
  ASSERT_TRUE(deployment_.StartServer({"/bin/sh", "-c", "ulimit -n 1024; exec \"$@\"", "sh"}))
      << deployment_.server().Log();
  std::vector<int> fds;
  for (int i = 0; i < kConnections; ++i) fds.push_back(Dial(deployment_.port(), "127.0.0.1"));
  std::this_thread::sleep_for(milliseconds(500));
  const auto closed = std::count_if(fds.begin(), fds.end(), IsClosed);
  EXPECT_GE(closed, kConnections - 512) << "half of the descriptors are for the database";
  EXPECT_LT(closed, kConnections);
  EXPECT_THAT(deployment_.server().Log(), HasSubstr("connections_refused"));
  for (const int fd : fds) close(fd);
  std::this_thread::sleep_for(milliseconds(500));
  EXPECT_TRUE(IsServed("127.0.0.1"));
  deployment_.StopServer();
}

TEST_F(Attack, ConnectionsOfOneClientLeaveRoomForOthers) {
  deployment_.SetLimit("connections_per_second_per_client", "1000");
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  std::vector<int> fds;
  for (int i = 0; i < 200; ++i) fds.push_back(Dial(deployment_.port(), "127.0.0.1"));
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(std::count_if(fds.begin(), fds.end(), IsClosed), 200 - 128);
  EXPECT_TRUE(IsServed("127.0.0.2"));
  for (const int fd : fds) close(fd);
  deployment_.StopServer();
}

// What a flood of TLS handshakes can cost is bounded, and those who are connected notice nothing.
TEST_F(Attack, NewConnectionsOfOneClientAreBoundedByTime) {
  deployment_.SetLimit("connections_per_second_per_client", "5");
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  RawClient connected(deployment_.port(), kOpenWindow);
  std::vector<int> fds;
  for (int i = 0; i < 40; ++i) fds.push_back(Dial(deployment_.port(), "127.0.0.1"));
  std::this_thread::sleep_for(milliseconds(300));
  const auto closed = std::count_if(fds.begin(), fds.end(), IsClosed);
  EXPECT_GE(closed, 40 - 8);
  EXPECT_LT(closed, 40);
  connected.Call(kGetConfiguration);
  EXPECT_EQ(Count(connected.Read(500), http2::kData), 1u);
  EXPECT_TRUE(IsServed("127.0.0.2"));
  for (const int fd : fds) close(fd);
  deployment_.StopServer();
}

// Every service draws on one rate; a request without a token too.
TEST_F(Attack, AllServicesShareTheRateOfAClient) {
  deployment_.SetLimit("requests_per_second", "0.001");
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  RawClient client(deployment_.port(), kOpenWindow);
  client.Call("/kt.v1.Publisher/Publish");
  EXPECT_EQ(CountWith(client.Read(500), "unknown publishing token"), 1u);
  client.Call("/kt.v1.Publisher/Publish");
  EXPECT_EQ(CountWith(client.Read(500), "too many requests"), 1u);
  client.Call(kGetConfiguration);
  EXPECT_EQ(CountWith(client.Read(500), "too many requests"), 1u);
  deployment_.StopServer();
}

TEST_F(Attack, PeersCannotWriteIntoTheLog) {
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  for (int i = 0; i < 30; ++i) {
    RawClient client(deployment_.port(), kOpenWindow);
    client.Call(kGetConfiguration, "",
                "x\n{\"event\":\"epoch_signed\",\"tree_size\":999}\n\x1b[31mred");
    client.Read(50);
  }
  deployment_.StopServer();
  const std::string log = deployment_.server().Log();
  EXPECT_THAT(log, Not(HasSubstr("\x1b")));
  std::istringstream lines(log);
  int from_grpc = 0;
  for (std::string line; std::getline(lines, line);) {
    ASSERT_TRUE(nlohmann::json::accept(line)) << line;
    const auto json = nlohmann::json::parse(line);
    ASSERT_TRUE(json.contains("level")) << line;
    if (json["event"] == "grpc_error") ++from_grpc;
  }
  EXPECT_GE(from_grpc, 1) << "it is not lost either";
  EXPECT_LE(from_grpc, 20);
}

// With a clock that a test can set.
class ServerClock : public Attack {
 protected:
  ServerClock() {
    auto config = server::LoadServerConfig(deployment_.config());
    EXPECT_THAT(config, IsOk());
    config_ = *std::move(config);
    config_.limits.requests_per_second = 1e6;
  }

  absl::Status Start(server::Server::ClockTrust trust = server::Server::ClockTrust::kCheck) {
    auto server = server::Server::Start(config_, events_, clock_, base::SystemRandom(), trust);
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    return absl::OkStatus();
  }
  // What grpc.health.v1 says of a service: 1 SERVING, 2 NOT_SERVING.
  bool HealthIs(const std::string& service, char status) {
    const std::string& address = server_->address();
    RawClient client(std::stoi(address.substr(address.rfind(':') + 1)), kOpenWindow);
    client.Call("/grpc.health.v1.Health/Check",
                std::string("\x0a") + static_cast<char>(service.size()) + service);
    const std::string response = std::string("\0\0\0\0\2\x08", 6) + status;
    return CountWith(client.Read(300), response) == 1;
  }
  bool AwaitHealth(const std::string& service, char status) {
    const auto give_up = steady_clock::now() + std::chrono::seconds(5);
    while (steady_clock::now() < give_up) {
      if (HealthIs(service, status)) return true;
    }
    return false;
  }

  server::ServerConfig config_;
  server::EventLog events_{"error"};
  FakeClock clock_;
  std::unique_ptr<server::Server> server_;
};

TEST_F(ServerClock, JumpForwardMakesThePublisherNotServing) {
  ASSERT_THAT(Start(), IsOk());
  EXPECT_TRUE(HealthIs("kt.v1.Publisher", 1));
  const uint64_t start_ms = clock_.NowMs();
  clock_.Set(start_ms + 3'600'000);
  EXPECT_TRUE(AwaitHealth("kt.v1.Publisher", 2));
  EXPECT_TRUE(HealthIs("kt.v1.KeyTransparency", 1)) << "lookups go on";
  clock_.Set(start_ms);
  EXPECT_TRUE(AwaitHealth("kt.v1.Publisher", 1));
}

// For people with a generic gRPC client.
TEST_F(ServerClock, ReflectionListsTheServices) {
  ASSERT_THAT(Start(), IsOk());
  const std::string& address = server_->address();
  RawClient client(std::stoi(address.substr(address.rfind(':') + 1)), kOpenWindow);
  const std::string list_services("\x3a\x00", 2);  // ServerReflectionRequest, field 7: ""
  client.Call("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", list_services);
  EXPECT_EQ(CountWith(client.Read(2'000), "kt.v1.KeyTransparency"), 1u);
}

TEST_F(ServerClock, StartAfterDaysNeedsTheFlag) {
  ASSERT_THAT(Start(), IsOk());
  server_ = nullptr;
  clock_.Advance(23 * 3'600'000);
  ASSERT_THAT(Start(), IsOk()) << "a day of downtime is nothing special";
  server_ = nullptr;
  clock_.Advance(30 * 24 * uint64_t{3'600'000});
  EXPECT_THAT(Start(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("clock")));
  EXPECT_THAT(Start(server::Server::ClockTrust::kAccept), IsOk());
  server_ = nullptr;
}

}  // namespace
}  // namespace kt::testing
