// SPDX-License-Identifier: Apache-2.0
#include "kt-client/discovery.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-client/failure.h"

namespace kt::client {
namespace {

constexpr char kSrvPrefix[] = "_sm._keytransparency._https.";
constexpr char kTxtPrefix[] = "_sm._keytransparency.";
constexpr std::string_view kPinTag = "v=kt1";
constexpr std::string_view kPinPrefix = "v=kt1; cfg=sha256:";
constexpr char kAdvice[] = "; ask the recipient's provider, or use --server";
constexpr size_t kMaxNameSize = 253;

// Uniform from 0 to `max` inclusive; `max` is far below 2^32, which leaves no bias worth a loop.
uint64_t RandomUpTo(uint64_t max, base::Random& random) {
  std::array<uint8_t, 8> raw;
  random.Fill(raw);
  uint64_t value = 0;
  for (const uint8_t byte : raw) value = value << 8 | byte;
  return value % (max + 1);
}

absl::Status CheckDomain(const std::string& domain) {
  if (!IsHostName(domain) || domain.size() + sizeof(kSrvPrefix) - 1 > kMaxNameSize) {
    return absl::InvalidArgumentError(absl::StrCat("\"", domain, "\" is not a mail domain"));
  }
  return absl::OkStatus();
}

absl::Status NotOffered(Failure failure, const std::string& domain, const std::string& reason) {
  return FailedBecause(
      failure, absl::StrCat(domain, " offers no Key Transparency service (", reason, ")", kAdvice));
}

// The status of a lookup as the answer to "does this domain offer the service?".
absl::Status Explain(const absl::Status& status, const std::string& domain,
                     const std::string& name) {
  const std::optional<Failure> failure = FailureOf(status);
  if (!failure.has_value()) return status;
  if (absl::IsNotFound(status)) {
    return NotOffered(*failure, domain, absl::StrCat("no SRV record at ", name));
  }
  return FailedBecause(
      *failure, absl::StrCat("cannot find out whether ", domain,
                             " offers a Key Transparency service: ", std::string(status.message()),
                             " when asked for ", name, "; try again later, or use --server"));
}

absl::Status ExplainPin(const absl::Status& status, const std::string& domain,
                        const std::string& name) {
  const std::optional<Failure> failure = FailureOf(status);
  if (!failure.has_value()) return status;
  return FailedBecause(
      *failure, absl::StrCat("cannot read the configuration pin of ", domain, " (TXT record at ",
                             name, "): ", std::string(status.message())));
}

absl::StatusOr<std::vector<SrvRecord>> ReadSrv(const absl::StatusOr<DnsAnswer>& answer) {
  if (!answer.ok()) return answer.status();
  return ParseSrvAnswer(answer->message);
}

// The pin that an answer to the TXT question holds; nullopt if the domain has none.
absl::StatusOr<std::optional<base::Hash>> ReadPin(const absl::StatusOr<DnsAnswer>& answer) {
  absl::StatusOr<std::vector<std::string>> texts =
      answer.ok() ? ParseTxtAnswer(answer->message) : answer.status();
  if (absl::IsNotFound(texts.status())) return std::nullopt;
  if (!texts.ok()) return texts.status();
  return ParsePin(*texts);
}

// Drops the records that nobody can connect to, with a note for each.
absl::StatusOr<std::vector<SrvRecord>> UsableTargets(std::vector<SrvRecord> records,
                                                     const std::string& domain,
                                                     std::vector<std::string>& notes) {
  const auto is_root = [](const SrvRecord& record) { return record.target.empty(); };
  if (std::all_of(records.begin(), records.end(), is_root)) {
    return NotOffered(Failure::kRootTarget, domain, "SRV target is \".\"");
  }
  std::erase_if(records, [&](const SrvRecord& record) {
    if (is_root(record)) {
      notes.push_back("SRV target \".\" stands beside others");
      return true;
    }
    if (!IsHostName(record.target)) {
      notes.push_back("an SRV target is not a host name");
      return true;
    }
    if (record.port == 0) {
      notes.push_back(absl::StrCat("SRV target ", record.target, " has port 0"));
      return true;
    }
    return false;
  });
  if (records.empty()) {
    return FailedBecause(
        Failure::kNoUsableTarget,
        absl::StrCat("the SRV records of ", domain, " name no server that can be connected to (",
                     notes.front(), ")", kAdvice));
  }
  return records;
}

// Appends attempts at each address of a host, one a TLS name, leaving out repetitions.
class AttemptList {
 public:
  struct TlsName {
    std::string name;
    std::string why;
  };
  explicit AttemptList(std::vector<ConnectAttempt>& attempts) : attempts_(attempts) {}

  void Add(const std::string& host, const std::vector<std::string>& addresses, uint16_t port,
           const std::vector<TlsName>& names) {
    for (const std::string& address : addresses) {
      for (const TlsName& tls : names) {
        if (attempts_.size() == kMaxConnectAttempts) return;
        if (!seen_.insert({address, port, tls.name}).second) continue;
        attempts_.push_back({{address, port}, host, tls.name, tls.why});
      }
    }
  }

 private:
  std::vector<ConnectAttempt>& attempts_;
  std::set<std::tuple<std::string, uint16_t, std::string>> seen_;
};

std::vector<AttemptList::TlsName> NamesToDemand(const std::string& domain,
                                                const std::string& target, bool authenticated) {
  if (target == domain) return {{domain, "it is both the mail domain and the SRV target"}};
  if (!authenticated) {
    return {{domain,
             "the SRV answer is not verified by DNSSEC, so the name of its target proves nothing"}};
  }
  return {{domain, "it is the mail domain"},
          {target, "it is the SRV target and the answer is verified by DNSSEC"}};
}

// Resolves the targets and fills discovery.attempts.
absl::Status AddTargets(const Resolver& resolver, const std::string& domain,
                        const std::vector<SrvRecord>& targets, Deadline deadline,
                        Discovery& discovery) {
  std::vector<std::string> hosts;
  for (const SrvRecord& target : targets) {
    if (std::find(hosts.begin(), hosts.end(), target.target) == hosts.end()) {
      hosts.push_back(target.target);
    }
  }
  const auto addresses = resolver.LookupAddresses(hosts, deadline);
  std::string reasons;
  for (size_t h = 0; h < hosts.size(); ++h) {
    if (addresses[h].ok()) continue;
    discovery.notes.push_back(
        absl::StrCat("SRV target ", hosts[h], ": ", std::string(addresses[h].status().message())));
    absl::StrAppend(&reasons, reasons.empty() ? "" : "; ", hosts[h], ": ",
                    std::string(addresses[h].status().message()));
  }
  AttemptList list(discovery.attempts);
  for (const SrvRecord& target : targets) {
    const auto at = std::find(hosts.begin(), hosts.end(), target.target) - hosts.begin();
    if (!addresses[at].ok()) continue;
    list.Add(target.target, *addresses[at], target.port,
             NamesToDemand(domain, target.target, discovery.srv_authenticated));
  }
  if (!discovery.attempts.empty()) return absl::OkStatus();
  return FailedBecause(Failure::kNoAddress,
                       absl::StrCat("none of the Key Transparency servers that ", domain,
                                    " names in DNS has an address (", reasons,
                                    "); try again later, or use --server"));
}

}  // namespace

absl::StatusOr<Discovery> Discover(const Resolver& resolver, const std::string& domain_in,
                                   base::Random& random) {
  const std::string domain = ToLower(domain_in);
  KT_RETURN_IF_ERROR(CheckDomain(domain));
  const Deadline deadline = resolver.NewDeadline();
  const std::vector<DnsQuestion> questions = {
      {absl::StrCat(kSrvPrefix, domain), DnsType::kSrv},
      {absl::StrCat(kTxtPrefix, domain), DnsType::kTxt},
  };
  const auto answers = resolver.Ask(questions, deadline);

  Discovery discovery;
  auto records = ReadSrv(answers[0]);
  if (!records.ok()) return Explain(records.status(), domain, questions[0].name);
  discovery.srv_authenticated = answers[0]->authenticated;
  KT_ASSIGN_OR_RETURN(const std::vector<SrvRecord> targets,
                      UsableTargets(*std::move(records), domain, discovery.notes));

  const auto pin = ReadPin(answers[1]);
  if (!pin.ok()) return ExplainPin(pin.status(), domain, questions[1].name);
  discovery.pinned_configuration = *pin;
  discovery.pin_authenticated = pin->has_value() && answers[1]->authenticated;

  KT_RETURN_IF_ERROR(
      AddTargets(resolver, domain, OrderSrvRecords(targets, random), deadline, discovery));
  return discovery;
}

absl::StatusOr<Discovery> UseServer(const Resolver& resolver, const std::string& server,
                                    const std::string& domain_in) {
  const std::string domain = ToLower(domain_in);
  KT_RETURN_IF_ERROR(CheckDomain(domain));
  KT_ASSIGN_OR_RETURN(const HostPort host_port, ParseHostPort(server, std::nullopt));
  Discovery discovery;
  AttemptList list(discovery.attempts);
  const std::string& host = host_port.host;
  if (IsIpAddress(host)) {
    list.Add(host, {host}, host_port.port,
             {{domain, "the server was given by its address, so it must prove the mail domain"}});
    return discovery;
  }
  const std::vector<std::string> hosts = {host};
  const auto addresses = resolver.LookupAddresses(hosts, resolver.NewDeadline()).front();
  if (!addresses.ok()) {
    const std::optional<Failure> failure = FailureOf(addresses.status());
    const bool is_open = failure.has_value() && !absl::IsNotFound(addresses.status());
    return FailedBecause(is_open ? *failure : Failure::kNoAddress,
                         absl::StrCat("no address is known for the server ", host, ": ",
                                      std::string(addresses.status().message())));
  }
  list.Add(host, *addresses, host_port.port,
           {{domain, "it is the mail domain"}, {host, "it is the server that was asked for"}});
  return discovery;
}

std::vector<SrvRecord> OrderSrvRecords(std::vector<SrvRecord> records, base::Random& random) {
  // "In any order" (RFC 2782), so at random: where all weights are 0 this is what spreads the load.
  for (size_t left = records.size(); left > 1; --left) {
    std::swap(records[left - 1], records[RandomUpTo(left - 1, random)]);
  }
  // By priority, and weight 0 first within each.
  std::stable_sort(records.begin(), records.end(), [](const SrvRecord& a, const SrvRecord& b) {
    return std::pair(a.priority, a.weight != 0) < std::pair(b.priority, b.weight != 0);
  });
  for (auto next = records.begin(); next != records.end(); ++next) {
    const auto end = std::find_if(next, records.end(), [&](const SrvRecord& record) {
      return record.priority != next->priority;
    });
    uint64_t sum = 0;
    for (auto it = next; it != end; ++it) sum += it->weight;
    const uint64_t drawn = RandomUpTo(sum, random);
    auto chosen = next;
    for (uint64_t running = chosen->weight; running < drawn; running += chosen->weight) ++chosen;
    // Moves it to the front of the rest and keeps the rest in order, weight 0 first.
    std::rotate(next, chosen, chosen + 1);
  }
  return records;
}

absl::StatusOr<std::optional<base::Hash>> ParsePin(const std::vector<std::string>& texts) {
  std::optional<base::Hash> pin;
  for (const std::string& text : texts) {
    const std::string_view view = text;
    const std::string_view tag = view.substr(0, view.find_first_of("; \t"));
    if (tag != kPinTag) continue;
    const auto raw =
        view.starts_with(kPinPrefix) ? base::FromHex(view.substr(kPinPrefix.size())) : std::nullopt;
    if (!raw.has_value() || raw->size() != base::kHashSize) {
      return FailedBecause(Failure::kMalformedPin,
                           absl::StrCat("the record is not \"", std::string(kPinPrefix),
                                        "\" and 64 hexadecimal digits"));
    }
    base::Hash hash;
    std::copy(raw->begin(), raw->end(), hash.bytes.begin());
    if (pin.has_value() && *pin != hash) {
      return FailedBecause(Failure::kConflictingPins, "several records contradict each other");
    }
    pin = hash;
  }
  return pin;
}

}  // namespace kt::client
