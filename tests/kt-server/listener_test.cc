// SPDX-License-Identifier: Apache-2.0
#include "kt-server/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;

// A connection from an address of the loopback network; closed with the object.
class Peer {
 public:
  explicit Peer(int port, const std::string& from = "127.0.0.1")
      : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    EXPECT_GE(fd_, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, from.c_str(), &address.sin_addr);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    address.sin_port = htons(static_cast<uint16_t>(port));
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { close(fd_); }

  // Whether the other side sent its greeting; false if it closed the connection.
  bool IsServed() const {
    char byte = 0;
    return read(fd_, &byte, 1) == 1;
  }

 private:
  const int fd_;
};

class ListenerTest : public ::testing::Test {
 protected:
  ~ListenerTest() override {
    if (listener_ != nullptr) listener_->Stop();
    CloseAll();
  }

  void Start(size_t max, size_t max_per_peer) {
    Start({.address = "127.0.0.1:0",
           .max_connections = max,
           .max_connections_per_peer = max_per_peer,
           .connections_per_second = 1e6,
           .connections_per_second_per_peer = 1e6});
  }
  void Start(const Listener::Options& options) {
    auto listener = Listener::Open(options, events_, clock_);
    ASSERT_THAT(listener, IsOk());
    listener_ = *std::move(listener);
    listener_->Start([this](int fd) {
      EXPECT_EQ(write(fd, "!", 1), 1);
      absl::MutexLock lock(&mutex_);
      fds_.push_back(fd);
    });
  }
  int port() const { return listener_->port(); }
  // As gRPC does, behind the listener's back.
  void CloseAll() {
    absl::MutexLock lock(&mutex_);
    for (const int fd : fds_) close(fd);
    fds_.clear();
  }

  testing::FakeClock clock_;
  EventLog events_{"error"};
  std::unique_ptr<Listener> listener_;
  absl::Mutex mutex_;
  std::vector<int> fds_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(ListenerTest, OnePeerCannotTakeAllConnections) {
  Start(5, 3);
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(std::make_unique<Peer>(port()));
    EXPECT_TRUE(peers.back()->IsServed());
  }
  EXPECT_FALSE(Peer(port()).IsServed());
  for (int i = 0; i < 2; ++i) {
    peers.push_back(std::make_unique<Peer>(port(), "127.0.0.2"));
    EXPECT_TRUE(peers.back()->IsServed());
  }
  EXPECT_FALSE(Peer(port(), "127.0.0.3").IsServed()) << "five altogether";
}

TEST_F(ListenerTest, ClosedConnectionsMakeRoom) {
  Start(3, 3);
  for (int round = 0; round < 5; ++round) {
    std::vector<std::unique_ptr<Peer>> peers;
    for (int i = 0; i < 3; ++i) {
      peers.push_back(std::make_unique<Peer>(port()));
      EXPECT_TRUE(peers.back()->IsServed());
    }
    EXPECT_FALSE(Peer(port()).IsServed());
    CloseAll();
    // What was closed is looked for only now and then.
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
  }
}

TEST_F(ListenerTest, NewConnectionsOfOnePeerBeyondItsRateAreClosed) {
  Start({.address = "127.0.0.1:0", .connections_per_second_per_peer = 2});
  for (int second = 0; second < 2; ++second) {
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(Peer(port()).IsServed());
    EXPECT_FALSE(Peer(port()).IsServed());
    EXPECT_TRUE(Peer(port(), "127.0.0." + std::to_string(second + 2)).IsServed());
    clock_.Advance(1000);
  }
}

TEST_F(ListenerTest, NewConnectionsOfAllBeyondTheirRateWait) {
  Start({.address = "127.0.0.1:0", .connections_per_second = 2});
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(Peer(port()).IsServed());
  const Peer late(port(), "127.0.0.2");
  std::this_thread::sleep_for(std::chrono::milliseconds(250));
  {
    absl::MutexLock lock(&mutex_);
    EXPECT_EQ(fds_.size(), 2u);
  }
  clock_.Advance(1000);
  EXPECT_TRUE(late.IsServed());
}

class ListenerDeathTest : public ListenerTest {
 protected:
  // Empty if all went well.
  std::string RunOutOfFileDescriptors() {
    Start(100, 100);
    const Peer waiting(port());
    if (!waiting.IsServed()) return "the first connection is not served";
    // The undefined behaviour sanitizer opens a pipe to look at an object the first time.
    events_.Error("before_running_out", {});
    rlimit before;
    getrlimit(RLIMIT_NOFILE, &before);
    const int lowest_free = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(lowest_free);
    rlimit none = before;
    // Room for the peer's socket and none for the connection that is accepted.
    none.rlim_cur = static_cast<rlim_t>(lowest_free) + 1;
    setrlimit(RLIMIT_NOFILE, &none);
    const Peer late(port());
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    {
      absl::MutexLock lock(&mutex_);
      if (fds_.size() != 1) return "the limit does not work";
    }
    setrlimit(RLIMIT_NOFILE, &before);
    if (!late.IsServed()) return "the connection that waited is not served";
    return Peer(port()).IsServed() ? "" : "a connection afterwards is not served";
  }
};

// In a process of its own: other tests leave threads behind that close files when it suits them.
TEST_F(ListenerDeathTest, GoesOnAfterRunningOutOfFileDescriptors) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const std::string problem = RunOutOfFileDescriptors();
        std::cerr << problem << "\n";
        std::_Exit(problem.empty() ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_F(ListenerTest, RefusesAPortInUse) {
  Start(1, 1);
  EXPECT_THAT(Listener::Open({"127.0.0.1:" + std::to_string(port()), 1, 1}, events_, clock_),
              StatusIs(absl::StatusCode::kUnavailable, ::testing::HasSubstr("in use")));
}

TEST_F(ListenerTest, RefusesMalformedAddresses) {
  for (const char* address : {"", "127.0.0.1", "127.0.0.1:http:1", "no such host.invalid:1",
                              "127.0.0.1:99999999", "[::1:0"}) {
    EXPECT_THAT(Listener::Open({address, 1, 1}, events_, clock_),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << address;
  }
}

TEST_F(ListenerTest, ListensOnIpv6AndOnEverything) {
  for (const char* address : {"[::1]:0", "[::]:0", "0.0.0.0:0", "localhost:0"}) {
    const auto listener = Listener::Open({address, 1, 1}, events_, clock_);
    // Machines without IPv6 exist.
    if (listener.status().code() == absl::StatusCode::kNotFound) continue;
    ASSERT_THAT(listener, IsOk()) << address;
    EXPECT_GT((*listener)->port(), 0);
  }
}

}  // namespace
}  // namespace kt::server
