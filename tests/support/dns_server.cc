// SPDX-License-Identifier: Apache-2.0
#include "tests/support/dns_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/status.h"

namespace kt::testing {
namespace {

using std::chrono::steady_clock;

constexpr char kServerProgram[] = "/usr/sbin/knotd";
constexpr int kStartAttempts = 5;  // another process may take the port between choice and use
constexpr auto kStartTimeout = std::chrono::seconds(10);
constexpr auto kStopTimeout = std::chrono::seconds(5);
constexpr auto kPollInterval = std::chrono::milliseconds(10);
constexpr int kAnswerTimeoutMs = 100;

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

bool Bind(int fd, uint16_t port) {
  const sockaddr_in address = Loopback(port);
  return bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

// A port that is free for UDP and TCP at this moment; 0 if there is none.
uint16_t FreePort() {
  for (int i = 0; i < 20; ++i) {
    const int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    uint16_t port = 0;
    if (Bind(udp, 0) && getsockname(udp, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
        Bind(tcp, ntohs(address.sin_port))) {
      port = ntohs(address.sin_port);
    }
    close(udp);
    close(tcp);
    if (port != 0) return port;
  }
  return 0;
}

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

absl::Status WriteText(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) return absl::UnavailableError(absl::StrCat("cannot write ", path));
  return absl::OkStatus();
}

// A query for the zone's SOA record, RFC 1035 §4.1.
base::Bytes SoaQuery(const std::string& zone) {
  base::Bytes query = {0x4b, 0x54, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  std::istringstream labels(zone);
  for (std::string label; std::getline(labels, label, '.');) {
    query.push_back(static_cast<uint8_t>(label.size()));
    base::Append(query, base::AsBytes(label));
  }
  base::Append(query, base::Bytes{0, 0, 6, 0, 1});
  return query;
}

bool IsServing(uint16_t port, const std::string& zone) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  const base::Bytes query = SoaQuery(zone);
  std::array<uint8_t, 512> answer;
  bool serving = false;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      send(fd, query.data(), query.size(), 0) == static_cast<ssize_t>(query.size())) {
    pollfd readable{fd, POLLIN, 0};
    const bool answered =
        poll(&readable, 1, kAnswerTimeoutMs) == 1 && recv(fd, answer.data(), answer.size(), 0) > 12;
    serving = answered && (answer[3] & 0x0f) == 0;
  }
  close(fd);
  return serving;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DnsServer>> DnsServer::Start(const std::vector<DnsZone>& zones) {
  absl::Status status;
  for (int i = 0; i < kStartAttempts; ++i) {
    std::string directory = (std::filesystem::temp_directory_path() / "kt-dns-XXXXXX").string();
    if (mkdtemp(directory.data()) == nullptr) {
      return absl::UnavailableError(absl::StrCat("cannot create ", directory));
    }
    auto server = std::unique_ptr<DnsServer>(new DnsServer(directory, FreePort()));
    status = server->WriteFiles(zones);
    if (status.ok()) status = server->Spawn();
    if (status.ok()) status = server->WaitUntilServing(zones);
    if (status.ok()) return server;
  }
  return status;
}

DnsServer::~DnsServer() {
  Stop();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

absl::Status DnsServer::WriteFiles(const std::vector<DnsZone>& zones) const {
  std::string config =
      absl::StrCat("server:\n  rundir: \"", directory_, "\"\n  pidfile: \"", directory_, "/pid\"\n",
                   "  listen: [ 127.0.0.1@", port_, ", ::1@", port_, " ]\n",
                   "  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n",
                   "control:\n  listen: \"", directory_, "/control\"\n", "database:\n  storage: \"",
                   directory_, "\"\n", "log:\n  - target: \"", directory_,
                   "/log\"\n    any: info\n", "template:\n  - id: default\n    storage: \"",
                   directory_, "\"\n    zonefile-load: whole\n    journal-content: none\nzone:\n");
  for (const DnsZone& zone : zones) {
    absl::StrAppend(&config, "  - domain: ", zone.name, "\n    file: ", zone.name, ".zone\n");
    if (!zone.loadable) continue;
    KT_RETURN_IF_ERROR(
        WriteText(absl::StrCat(directory_, "/", zone.name, ".zone"),
                  absl::StrCat("$ORIGIN ", zone.name, ".\n$TTL 60\n",
                               "@ SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 60\n",
                               "@ NS ns.invalid.\n", zone.records, "\n")));
  }
  return WriteText(directory_ + "/knot.conf", config);
}

absl::Status DnsServer::Spawn() {
  const std::string config = directory_ + "/knot.conf";
  const std::string output = directory_ + "/output";
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) return absl::UnavailableError("cannot fork");
  if (pid_ > 0) return absl::OkStatus();
  // The child: other threads of the parent may hold locks, so nothing but system calls.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  const int fd = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(fd, STDOUT_FILENO);
  dup2(fd, STDERR_FILENO);
  execl(kServerProgram, kServerProgram, "-c", config.c_str(), static_cast<char*>(nullptr));
  _exit(127);
}

absl::Status DnsServer::WaitUntilServing(const std::vector<DnsZone>& zones) {
  const auto deadline = steady_clock::now() + kStartTimeout;
  for (const DnsZone& zone : zones) {
    while (zone.loadable && !IsServing(port_, zone.name)) {
      const bool is_gone = waitpid(pid_, nullptr, WNOHANG) == pid_;
      if (is_gone) pid_ = -1;
      if (is_gone || steady_clock::now() > deadline) {
        return absl::UnavailableError(absl::StrCat(kServerProgram, " does not serve ", zone.name,
                                                   ":\n", ReadText(directory_ + "/output"),
                                                   ReadText(directory_ + "/log")));
      }
      std::this_thread::sleep_for(kPollInterval);
    }
  }
  return absl::OkStatus();
}

void DnsServer::Stop() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  const auto deadline = steady_clock::now() + kStopTimeout;
  while (waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (steady_clock::now() > deadline) kill(pid_, SIGKILL);
    std::this_thread::sleep_for(kPollInterval);
  }
  pid_ = -1;
}

}  // namespace kt::testing
