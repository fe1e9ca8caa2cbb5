// SPDX-License-Identifier: Apache-2.0
#include "kt-client/dns.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <climits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-client/failure.h"

namespace kt::client {
namespace {

constexpr uint16_t kDnsPort = 53;
constexpr size_t kMaxServers = 8;        // in a configuration
constexpr size_t kMaxSystemServers = 3;  // as the C library reads /etc/resolv.conf
constexpr int kTries = 3;                // a server; c-ares doubles its patience each time, so
constexpr int kTriesPatience = 7;        // three tries take 1 + 2 + 4 times the first one's
constexpr int kStragglersMs = 1000;
constexpr int kClassIn = 1;
constexpr uint8_t kWantAuthenticatedData = 0x20;  // byte 3: "tell me AD" (RFC 6840 §5.7)

// Once a process; c-ares counts, so others in the process may do it too.
void InitialiseAres() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  KT_CHECK(status == ARES_SUCCESS);
}

struct DestroyChannel {
  void operator()(ares_channel channel) const { ares_destroy(channel); }
};
using Channel = std::unique_ptr<ares_channeldata, DestroyChannel>;

// The machine's settings; a null pointer if they cannot be read.
Channel SystemChannel() {
  InitialiseAres();
  ares_channel channel = nullptr;
  return Channel(ares_init(&channel) == ARES_SUCCESS ? channel : nullptr);
}

bool IsLoopback(const std::string& address) {
  in_addr ipv4;
  if (inet_pton(AF_INET, address.c_str(), &ipv4) == 1) return (ntohl(ipv4.s_addr) >> 24) == 127;
  in6_addr ipv6;
  if (inet_pton(AF_INET6, address.c_str(), &ipv6) != 1) return false;
  return IN6_IS_ADDR_LOOPBACK(&ipv6) || (IN6_IS_ADDR_V4MAPPED(&ipv6) && ipv6.s6_addr[12] == 127);
}

std::vector<HostPort> SystemServers() {
  const Channel channel = SystemChannel();
  ares_addr_port_node* list = nullptr;
  if (channel == nullptr || ares_get_servers_ports(channel.get(), &list) != ARES_SUCCESS) return {};
  std::vector<HostPort> servers;
  for (const ares_addr_port_node* node = list; node != nullptr; node = node->next) {
    std::array<char, INET6_ADDRSTRLEN> text;
    inet_ntop(node->family, &node->addr, text.data(), text.size());
    const int port = node->udp_port == 0 ? kDnsPort : node->udp_port;
    servers.push_back({text.data(), static_cast<uint16_t>(port)});
    if (servers.size() == kMaxSystemServers) break;
  }
  ares_free_data(list);
  return servers;
}

absl::StatusOr<std::vector<HostPort>> ParseServers(const std::string& list) {
  std::vector<HostPort> servers;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    auto server = ParseHostPort(list.substr(begin, end - begin), kDnsPort);
    if (server.ok() && !IsIpAddress(server->host)) {
      server = absl::InvalidArgumentError(
          absl::StrCat("\"", server->host, "\": a DNS server is given by its IP address"));
    }
    if (!server.ok()) return base::Annotate(server.status(), "DNS server");
    servers.push_back(*std::move(server));
    begin = end + 1;
  }
  if (servers.size() > kMaxServers) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxServers, " DNS servers"));
  }
  return servers;
}

absl::Status NoAnswerInTime() {
  return FailedBecause(Failure::kTimeout, "no DNS server answered in time");
}

absl::StatusOr<DnsAnswer> ReadAnswer(int status, base::ByteView message, bool trusted) {
  switch (status) {
    case ARES_SUCCESS:
      break;
    case ARES_ETIMEOUT:
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
      return NoAnswerInTime();
    case ARES_ECONNREFUSED:
      return FailedBecause(Failure::kNoDnsServer, "the DNS server cannot be contacted");
    default:
      return FailedBecause(
          Failure::kMalformedAnswer,
          absl::StrCat("the DNS server's answer cannot be used (", ares_strerror(status), ")"));
  }
  KT_RETURN_IF_ERROR(CheckAnswer(message));
  return DnsAnswer{base::ToBytes(message), trusted && HasAuthenticatedDataBit(message)};
}

// Whether another server could know better.
bool IsFinal(const absl::StatusOr<DnsAnswer>& answer) {
  return answer.ok() || FailureOf(answer.status()) == Failure::kNoSuchName ||
         !FailureOf(answer.status()).has_value();
}

// Of two servers' failures, silence says less than an error.
bool IsSilence(const absl::StatusOr<DnsAnswer>& answer) {
  const auto failure = FailureOf(answer.status());
  return failure == Failure::kTimeout || failure == Failure::kNoDnsServer;
}

std::vector<std::string> HostsFileAddresses(ares_channel channel, const std::string& host) {
  std::vector<std::string> addresses;
  for (const int family : {AF_INET6, AF_INET}) {
    hostent* entry = nullptr;
    if (ares_gethostbyname_file(channel, host.c_str(), family, &entry) != ARES_SUCCESS) continue;
    for (size_t i = 0; i < kMaxAddresses && entry->h_addr_list[i] != nullptr; ++i) {
      std::array<char, INET6_ADDRSTRLEN> text;
      inet_ntop(entry->h_addrtype, entry->h_addr_list[i], text.data(), text.size());
      addresses.emplace_back(text.data());
    }
    ares_free_hostent(entry);
  }
  return addresses;
}

// a1 b1 a2 b2 ...: if one family is broken on this machine, the other's turn comes soon.
std::vector<std::string> Alternate(std::span<const std::string> a, std::span<const std::string> b) {
  std::vector<std::string> merged;
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    if (i < a.size()) merged.push_back(a[i]);
    if (i < b.size()) merged.push_back(b[i]);
  }
  return merged;
}

absl::StatusOr<std::vector<std::string>> Addresses(const absl::StatusOr<DnsAnswer>& answer,
                                                   DnsType type) {
  if (!answer.ok()) return answer.status();
  return ParseAddressAnswer(answer->message, type);
}

// Both families' outcomes as one. If neither has addresses, "does not exist" and "cannot be
// asked" may stand side by side, and the second is the one that leaves the question open.
absl::StatusOr<std::vector<std::string>> MergeFamilies(
    const absl::StatusOr<std::vector<std::string>>& ipv6,
    const absl::StatusOr<std::vector<std::string>>& ipv4) {
  if (ipv6.ok() && ipv4.ok()) return Alternate(*ipv6, *ipv4);
  if (ipv6.ok()) return ipv6;
  if (ipv4.ok()) return ipv4;
  return absl::IsNotFound(ipv4.status()) ? ipv6.status() : ipv4.status();
}

}  // namespace

Deadline DeadlineAfter(int ms) {
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
}

int RemainingMs(Deadline deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, INT_MAX));
}

// Several questions to one server, on one set of sockets.
class Resolver::Exchange {
 public:
  Exchange(const Server& server, int patience_ms) : server_(server) {
    InitialiseAres();
    ares_options options{};
    // Error answers are passed on: by itself c-ares reports them as a server that is not there.
    options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOCHECKRESP;
    options.timeout = std::max(1, patience_ms / kTriesPatience);
    options.tries = kTries;
    options.sock_state_cb = &Exchange::OnSocketState;
    options.sock_state_cb_data = this;
    // The machine's settings have been read already; its options must not change these.
    static char no_settings[] = "/dev/null";
    options.resolvconf_path = no_settings;
    ares_channel channel = nullptr;
    const int status = ares_init_options(&channel, &options,
                                         ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                             ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF);
    KT_CHECK(status == ARES_SUCCESS);
    channel_.reset(channel);
    KT_CHECK(ares_set_servers_ports_csv(channel, server.address.ToString().c_str()) ==
             ARES_SUCCESS);
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // `*result` is overwritten when the answer comes, or when the exchange ends without one; it
  // must outlive the exchange.
  void Send(const DnsQuestion& question, uint16_t id, absl::StatusOr<DnsAnswer>* result) {
    unsigned char* query = nullptr;
    int size = 0;
    const int status =
        ares_create_query(question.name.c_str(), kClassIn, static_cast<int>(question.type), id,
                          /*rd=*/1, &query, &size, /*max_udp_size=*/0);
    if (status == ARES_ENOTFOUND) {  // RFC 7686 §2
      *result = FailedBecause(Failure::kNoSuchName, "names under .onion are not in DNS");
      return;
    }
    if (status != ARES_SUCCESS) {
      *result = absl::InvalidArgumentError(
          absl::StrCat("\"", question.name, "\" cannot be asked of DNS"));
      return;
    }
    query[3] |= kWantAuthenticatedData;
    pending_.push_back(std::make_unique<Pending>(Pending{this, result}));
    ++unanswered_;
    ares_send(channel_.get(), query, size, &Exchange::OnAnswer, pending_.back().get());
    ares_free_string(query);
  }

  bool done() const { return unanswered_ == 0; }

  // Waits for something to happen, at most until the deadline.
  void Step(Deadline deadline) {
    const int left_ms = RemainingMs(deadline);
    timeval longest{left_ms / 1000, (left_ms % 1000) * 1000};
    timeval buffer;
    const timeval* wait = ares_timeout(channel_.get(), &longest, &buffer);
    std::vector<pollfd> polled;
    for (const auto& [fd, events] : sockets_) polled.push_back({fd, events, 0});
    const auto wait_ms = wait->tv_sec * 1000 + (wait->tv_usec + 999) / 1000;
    if (poll(polled.data(), polled.size(), static_cast<int>(wait_ms)) <= 0) {
      ares_process_fd(channel_.get(), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      return;
    }
    for (const pollfd& socket : polled) {
      const bool readable = (socket.revents & (POLLIN | POLLERR | POLLHUP)) != 0;
      const bool writable = (socket.revents & (POLLOUT | POLLERR | POLLHUP)) != 0;
      if (!readable && !writable) continue;
      ares_process_fd(channel_.get(), readable ? socket.fd : ARES_SOCKET_BAD,
                      writable ? socket.fd : ARES_SOCKET_BAD);
    }
  }

 private:
  struct Pending {
    Exchange* exchange;
    absl::StatusOr<DnsAnswer>* result;
  };

  static void OnAnswer(void* arg, int status, int /*timeouts*/, unsigned char* message, int size) {
    const Pending& pending = *static_cast<Pending*>(arg);
    const base::ByteView view(message, message == nullptr ? 0 : static_cast<size_t>(size));
    *pending.result = ReadAnswer(status, view, pending.exchange->server_.trusted);
    --pending.exchange->unanswered_;
  }

  static void OnSocketState(void* arg, ares_socket_t fd, int readable, int writable) {
    auto& sockets = static_cast<Exchange*>(arg)->sockets_;
    if (readable == 0 && writable == 0) {
      sockets.erase(fd);
    } else {
      sockets[fd] = static_cast<short>((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
    }
  }

  const Server& server_;
  std::vector<std::unique_ptr<Pending>> pending_;  // at fixed addresses for c-ares
  size_t unanswered_ = 0;
  std::map<int, short> sockets_;  // what to poll each for
  Channel channel_;               // last: its end still calls back
};

absl::StatusOr<std::unique_ptr<Resolver>> Resolver::Create(const ResolverConfig& config,
                                                           base::Random& random) {
  if (config.timeout_ms <= 0) {
    return absl::InvalidArgumentError("the time-out of DNS lookups must be positive");
  }
  std::vector<HostPort> addresses;
  if (config.servers.empty()) {
    addresses = SystemServers();
  } else {
    KT_ASSIGN_OR_RETURN(addresses, ParseServers(config.servers));
  }
  if (addresses.empty()) {
    return FailedBecause(Failure::kNoDnsServer,
                         "this machine names no DNS server; use --dns-server");
  }
  std::vector<Server> servers;
  for (HostPort& address : addresses) {
    const bool trusted = config.trust == DnsTrust::kAlways ||
                         (config.trust == DnsTrust::kLoopback && IsLoopback(address.host));
    servers.push_back({std::move(address), trusted});
  }
  return std::unique_ptr<Resolver>(new Resolver(config, std::move(servers), random));
}

std::vector<absl::StatusOr<DnsAnswer>> Resolver::Ask(std::span<const DnsQuestion> questions,
                                                     Deadline deadline) const {
  return AskUntil(questions, deadline, [](const auto&) { return false; });
}

std::vector<absl::StatusOr<DnsAnswer>> Resolver::AskUntil(std::span<const DnsQuestion> questions,
                                                          Deadline deadline,
                                                          const Progress& has_essentials) const {
  std::vector<absl::StatusOr<DnsAnswer>> results(questions.size(), NoAnswerInTime());
  bool hurried = false;
  for (size_t s = 0; s < servers_.size() && RemainingMs(deadline) > 0; ++s) {
    if (std::all_of(results.begin(), results.end(), IsFinal)) break;
    const int share_ms = RemainingMs(deadline) / static_cast<int>(servers_.size() - s);
    const Deadline share_end = DeadlineAfter(share_ms);
    auto answers = results;
    {
      Exchange exchange(servers_[s], share_ms);
      for (size_t q = 0; q < questions.size(); ++q) {
        std::array<uint8_t, 2> id;
        random_.Fill(id);
        if (!IsFinal(results[q])) {
          exchange.Send(questions[q], static_cast<uint16_t>(id[0] << 8 | id[1]), &answers[q]);
        }
      }
      while (!exchange.done() && RemainingMs(std::min(share_end, deadline)) > 0) {
        exchange.Step(std::min(share_end, deadline));
        if (!hurried && has_essentials(answers)) {
          deadline = std::min(deadline, DeadlineAfter(kStragglersMs));
          hurried = true;
        }
      }
    }
    for (size_t q = 0; q < questions.size(); ++q) {
      if (IsFinal(answers[q]) || IsSilence(results[q])) results[q] = std::move(answers[q]);
    }
  }
  return results;
}

std::vector<absl::StatusOr<std::vector<std::string>>> Resolver::LookupAddresses(
    std::span<const std::string> hosts, Deadline deadline) const {
  std::vector<absl::StatusOr<std::vector<std::string>>> results(hosts.size(), NoAnswerInTime());
  const Channel machine = SystemChannel();
  std::vector<DnsQuestion> questions;  // two for each host in `asked`
  std::vector<size_t> asked;
  for (size_t h = 0; h < hosts.size(); ++h) {
    std::vector<std::string> known;
    if (machine != nullptr) known = HostsFileAddresses(machine.get(), hosts[h]);
    if (!known.empty()) {
      results[h] = std::move(known);
      continue;
    }
    asked.push_back(h);
    questions.push_back({hosts[h], DnsType::kAaaa});
    questions.push_back({hosts[h], DnsType::kA});
  }
  if (asked.empty()) return results;

  const auto first_host_has_addresses = [&](const std::vector<absl::StatusOr<DnsAnswer>>& answers) {
    return asked.front() != 0 || Addresses(answers[0], DnsType::kAaaa).ok() ||
           Addresses(answers[1], DnsType::kA).ok();
  };
  const auto answers = AskUntil(questions, deadline, first_host_has_addresses);
  for (size_t i = 0; i < asked.size(); ++i) {
    results[asked[i]] = MergeFamilies(Addresses(answers[2 * i], DnsType::kAaaa),
                                      Addresses(answers[2 * i + 1], DnsType::kA));
  }
  return results;
}

}  // namespace kt::client
