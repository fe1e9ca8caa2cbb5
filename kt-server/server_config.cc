// SPDX-License-Identifier: Apache-2.0
#include "kt-server/server_config.h"

#include <toml++/toml.h>

#include <filesystem>
#include <limits>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "smime/address.h"

namespace kt::server {
namespace {

constexpr size_t kMaxConfigBytes = 1 << 20;

// Reads the keys of one table and remembers which were asked for, so that Finish can refuse
// unknown ones: a misspelt limit must not be a limit that silently does not hold.
class Section {
 public:
  Section(const toml::table& file, const char* name) : name_(name) {
    const toml::node* node = file.get(name);
    if (node == nullptr) return;
    table_ = node->as_table();
    if (table_ == nullptr) Fail(name, "must be a table", *node);
  }

  void Text(const char* key, std::string* out) {
    if (const toml::node* node = Find(key)) {
      const auto value = node->value_exact<std::string>();
      if (!value.has_value()) return Fail(key, "must be a string", *node);
      *out = *value;
    }
  }

  void Texts(const char* key, std::vector<std::string>* out) {
    const toml::node* node = Find(key);
    if (node == nullptr) return;
    const toml::array* array = node->as_array();
    if (array == nullptr) return Fail(key, "must be an array of strings", *node);
    out->clear();
    for (const toml::node& element : *array) {
      const auto value = element.value_exact<std::string>();
      if (!value.has_value()) return Fail(key, "must be an array of strings", element);
      out->push_back(*value);
    }
  }

  void Integer(const char* key, int64_t min, int64_t max, int64_t* out) {
    if (const toml::node* node = Find(key)) {
      const auto value = node->value_exact<int64_t>();
      if (!value.has_value() || *value < min || *value > max) {
        return Fail(key, absl::StrCat("must be an integer from ", min, " to ", max), *node);
      }
      *out = *value;
    }
  }

  void Number(const char* key, double min, double* out) {
    if (const toml::node* node = Find(key)) {
      const auto value = node->value<double>();
      if (!value.has_value() || !(*value >= min)) {
        return Fail(key, absl::StrCat("must be a number of at least ", min), *node);
      }
      *out = *value;
    }
  }

  absl::Status Finish() {
    if (status_.ok() && table_ != nullptr) {
      for (const auto& [key, node] : *table_) {
        if (!known_.contains(std::string(key.str()))) {
          Fail(std::string(key.str()), "is not a known key", node);
          break;
        }
      }
    }
    return status_;
  }

 private:
  const toml::node* Find(const char* key) {
    known_.insert(key);
    return table_ == nullptr ? nullptr : table_->get(key);
  }

  void Fail(const std::string& key, const std::string& what, const toml::node& node) {
    if (!status_.ok()) return;
    status_ = absl::InvalidArgumentError(
        absl::StrCat("line ", node.source().begin.line, ": [", name_, "] ", key, " ", what));
  }

  const std::string name_;
  const toml::table* table_ = nullptr;
  std::set<std::string> known_;
  absl::Status status_;
};

std::string Resolve(const std::string& path, const std::string& directory) {
  if (path.empty() || path.front() == '/') return path;
  return (std::filesystem::path(directory) / path).string();
}

constexpr char kManagerRole[] = "manager";
constexpr char kOperatorRole[] = "operator";

absl::Status ReadManagement(const toml::table& file, ServerConfig::Management* management) {
  if (!file.contains("management")) return absl::OkStatus();
  Section section(file, "management");
  std::string role;
  section.Text("role", &role);
  section.Text("operators", &management->operators);
  section.Text("manager", &management->manager);
  section.Text("manager_ca", &management->manager_ca);
  section.Text("certificate", &management->certificate);
  section.Text("certificate_key", &management->certificate_key);
  section.Text("leaf_key", &management->leaf_key);
  section.Text("signing_record", &management->signing_record);
  section.Text("manager_head", &management->manager_head);
  section.Text("evidence", &management->evidence);
  KT_RETURN_IF_ERROR(section.Finish());
  if (role != kManagerRole && role != kOperatorRole) {
    return absl::InvalidArgumentError("[management] role must be manager or operator");
  }
  management->role =
      role == kManagerRole ? ServerConfig::Role::kManager : ServerConfig::Role::kOperator;
  return absl::OkStatus();
}

absl::Status ReadSections(const toml::table& file, ServerConfig* config) {
  constexpr int64_t kDayMs = 24 * 60 * 60 * 1000;
  static const std::set<std::string> kSections = {
      "log",     "listen", "epoch",   "admission",  "publishers", "limits",
      "pruning", "crypto", "logging", "management", "scrub"};
  for (const auto& [key, node] : file) {
    if (!kSections.contains(std::string(key.str()))) {
      return absl::InvalidArgumentError(absl::StrCat("line ", node.source().begin.line, ": ",
                                                     std::string(key.str()),
                                                     " is not a known section"));
    }
  }
  Section log(file, "log");
  log.Texts("domains", &config->log.domains);
  log.Text("configuration", &config->log.configuration);
  log.Text("signature_key", &config->log.signature_key);
  log.Text("vrf_key", &config->log.vrf_key);
  log.Text("database", &config->log.database);
  log.Text("head_guard", &config->log.head_guard);
  log.Integer("min_free_bytes", 0, int64_t{1} << 50, &config->log.min_free_bytes);
  log.Integer("cache_bytes", 8 << 20, int64_t{1} << 40, &config->log.cache_bytes);
  log.Integer("leaf_memory_bytes", 0, int64_t{1} << 40, &config->log.leaf_memory_bytes);
  log.Integer("proof_memory_bytes", 0, int64_t{1} << 40, &config->log.proof_memory_bytes);
  KT_RETURN_IF_ERROR(log.Finish());

  KT_RETURN_IF_ERROR(ReadManagement(file, &config->management));

  Section listen(file, "listen");
  listen.Text("address", &config->listen.address);
  listen.Text("tls_certificate", &config->listen.tls_certificate);
  listen.Text("tls_key", &config->listen.tls_key);
  KT_RETURN_IF_ERROR(listen.Finish());

  Section epoch(file, "epoch");
  epoch.Integer("interval_ms", kMinEpochMs, kMaxEpochMs, &config->epoch.interval_ms);
  epoch.Integer("max_idle_ms", 0, 365 * kDayMs, &config->epoch.max_idle_ms);
  KT_RETURN_IF_ERROR(epoch.Finish());

  Section admission(file, "admission");
  admission.Text("trust_anchors", &config->admission.trust_anchors);
  admission.Integer("min_rsa_bits", 2048, 16384, &config->admission.min_rsa_bits);
  KT_RETURN_IF_ERROR(admission.Finish());

  Section publishers(file, "publishers");
  publishers.Text("tokens", &config->publishers.tokens);
  KT_RETURN_IF_ERROR(publishers.Finish());

  Section limits(file, "limits");
  limits.Integer("max_request_bytes", 1024, 16 << 20, &config->limits.max_request_bytes);
  limits.Integer("max_concurrent_requests", 1, 100'000, &config->limits.max_concurrent_requests);
  limits.Integer("max_auditor_streams", 1, 64, &config->limits.max_auditor_streams);
  limits.Integer("max_head_streams", 1, 64, &config->limits.max_head_streams);
  constexpr int64_t kMostBytes = int64_t{1} << 40;
  limits.Integer("max_response_bytes", 1 << 20, kMostBytes, &config->limits.max_response_bytes);
  limits.Integer("max_response_bytes_per_client", 1 << 20, kMostBytes,
                 &config->limits.max_response_bytes_per_client);
  limits.Integer("response_timeout_ms", 100, 600'000, &config->limits.response_timeout_ms);
  limits.Integer("max_connections", 1, 1'000'000, &config->limits.max_connections);
  limits.Integer("max_connections_per_client", 1, 1'000'000,
                 &config->limits.max_connections_per_client);
  limits.Number("connections_per_second", 1, &config->limits.connections_per_second);
  limits.Number("connections_per_second_per_client", 0.001,
                &config->limits.connections_per_second_per_client);
  constexpr int64_t kMostPublishes = 10'000'000;
  limits.Integer("max_pending_publishes", 1, kMostPublishes, &config->limits.max_pending_publishes);
  // Room for the largest request, which counts twice.
  limits.Integer("max_pending_publish_bytes", 64 << 20, kMostBytes,
                 &config->limits.max_pending_publish_bytes);
  limits.Integer("max_pending_publishes_per_token", 1, kMostPublishes,
                 &config->limits.max_pending_publishes_per_token);
  limits.Integer("max_pending_publishes_per_address", 1, kMostPublishes,
                 &config->limits.max_pending_publishes_per_address);
  limits.Number("requests_per_second", 0.001, &config->limits.requests_per_second);
  limits.Number("publishes_per_second", 0.001, &config->limits.publishes_per_second);
  KT_RETURN_IF_ERROR(limits.Finish());

  Section pruning(file, "pruning");
  pruning.Integer("interval_ms", 100, 30 * kDayMs, &config->pruning.interval_ms);
  KT_RETURN_IF_ERROR(pruning.Finish());

  Section scrub(file, "scrub");
  scrub.Integer("interval_ms", 0, 365 * kDayMs, &config->scrub.interval_ms);
  scrub.Number("rows_per_second", 1, &config->scrub.rows_per_second);
  KT_RETURN_IF_ERROR(scrub.Finish());

  Section crypto(file, "crypto");
  crypto.Text("vrf_implementation", &config->crypto.vrf_implementation);
  KT_RETURN_IF_ERROR(crypto.Finish());

  Section logging(file, "logging");
  logging.Text("level", &config->logging.level);
  return logging.Finish();
}

absl::Status CheckValues(const ServerConfig& config) {
  if (config.log.domains.empty() && config.management.role != ServerConfig::Role::kManager) {
    return absl::InvalidArgumentError("[log] domains must name at least one domain");
  }
  for (const std::string& domain : config.log.domains) {
    const auto address = smime::ParseAddress("postmaster@" + domain);
    if (!address.ok() || address->domain != domain) {
      return absl::InvalidArgumentError(
          absl::StrCat("[log] domains: \"", domain, "\" is not a lower-case A-label domain"));
    }
  }
  KT_RETURN_IF_ERROR(ParseListenAddress(config.listen.address).status());
  static const std::set<std::string> kVrfImplementations = {"auto", "portable", "library"};
  if (!kVrfImplementations.contains(config.crypto.vrf_implementation)) {
    return absl::InvalidArgumentError(
        "[crypto] vrf_implementation must be auto, portable or library");
  }
  if (config.management.role == ServerConfig::Role::kOperator &&
      !ParseListenAddress(config.management.manager).ok()) {
    return absl::InvalidArgumentError("[management] manager must be HOST:PORT");
  }
  static const std::set<std::string> kLevels = {"debug", "info", "warn", "error"};
  if (!kLevels.contains(config.logging.level)) {
    return absl::InvalidArgumentError("[logging] level must be debug, info, warn or error");
  }
  return absl::OkStatus();
}

// getaddrinfo(3) takes any number, modulo 2^16.
bool IsPort(const std::string& text) {
  constexpr size_t kMaxDigits = 5;
  constexpr int kMaxPort = 65535;
  return !text.empty() && text.size() <= kMaxDigits &&
         text.find_first_not_of("0123456789") == std::string::npos && std::stoi(text) <= kMaxPort;
}

}  // namespace

absl::StatusOr<HostPort> ParseListenAddress(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || !IsPort(address.substr(colon + 1))) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", address, "\" is not HOST:PORT, which [listen] address must be"));
  }
  HostPort parts{address.substr(0, colon), address.substr(colon + 1)};
  if (parts.host.size() >= 2 && parts.host.front() == '[' && parts.host.back() == ']') {
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  }
  return parts;
}

absl::StatusOr<ServerConfig> ParseServerConfig(const std::string& text,
                                               const std::string& directory) {
  toml::table file;
  try {
    file = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("line ", error.source().begin.line, ": ", std::string(error.description())));
  }
  ServerConfig config;
  KT_RETURN_IF_ERROR(ReadSections(file, &config));
  KT_RETURN_IF_ERROR(CheckValues(config));
  for (std::string* path :
       {&config.log.configuration, &config.log.signature_key, &config.log.vrf_key,
        &config.log.database, &config.log.head_guard, &config.listen.tls_certificate,
        &config.listen.tls_key, &config.admission.trust_anchors, &config.publishers.tokens,
        &config.management.operators, &config.management.manager_ca, &config.management.certificate,
        &config.management.certificate_key, &config.management.leaf_key,
        &config.management.signing_record, &config.management.manager_head,
        &config.management.evidence}) {
    *path = Resolve(*path, directory);
  }
  return config;
}

absl::StatusOr<ServerConfig> LoadServerConfig(const std::string& path) {
  KT_ASSIGN_OR_RETURN(const base::Bytes text, base::ReadFile(path, kMaxConfigBytes));
  const std::string directory = std::filesystem::absolute(path).parent_path().string();
  absl::StatusOr<ServerConfig> config = ParseServerConfig(base::ToText(text), directory);
  if (!config.ok()) return base::Annotate(config.status(), path);
  return config;
}

namespace {

std::string Quoted(const std::string& text) {
  std::ostringstream out;
  out << toml::value<std::string>(text);
  return out.str();
}

void FormatLog(const ServerConfig& config, std::ostream& out) {
  std::string domains;
  for (const std::string& domain : config.log.domains) {
    absl::StrAppend(&domains, domains.empty() ? "" : ", ", Quoted(domain));
  }
  out << "[log]\n"
      << "# Whose addresses may be published, as lower-case A-labels.\n"
      << "domains = [" << domains << "]\n"
      << "# The log's public parameters and keys. They are part of every signature: never change\n"
      << "# this file; clients pin it.\n"
      << "configuration = " << Quoted(config.log.configuration) << "\n";
  if (config.management.role != ServerConfig::Role::kOperator) {
    out << "signature_key = " << Quoted(config.log.signature_key) << "  # secret\n"
        << "vrf_key = " << Quoted(config.log.vrf_key) << "  # secret\n"
        << "database = " << Quoted(config.log.database) << "\n"
        << "# Remembers the newest tree head that was ever released. Best kept on another disk "
           "than\n"
        << "# the database, and never restored from a backup.\n"
        << "head_guard = " << Quoted(config.log.head_guard) << "\n"
        << "# With less room on the database's disk nothing is signed, until there is more again.\n"
        << "min_free_bytes = " << config.log.min_free_bytes << "\n"
        << "# Of memory, for what was read from the database lately.\n"
        << "cache_bytes = " << config.log.cache_bytes << "\n"
        << "# Of memory, at most, for leaves of the prefix tree: best 80 bytes a version that the "
           "log\n"
        << "# has, so that they are never read.\n"
        << "leaf_memory_bytes = " << config.log.leaf_memory_bytes << "\n"
        << "# Of memory, at most, for proofs that were made before: some 8,000 bytes an address "
           "that\n"
        << "# is asked for again and again.\n"
        << "proof_memory_bytes = " << config.log.proof_memory_bytes << "\n";
  }
  out << "\n";
}

void FormatManagement(const ServerConfig::Management& management, std::ostream& out) {
  if (management.role == ServerConfig::Role::kWholeLog) return;
  if (management.role == ServerConfig::Role::kManager) {
    out << "[management]\n"
        << "role = \"manager\"\n"
        << "# The certificates with which the operator's servers show who they are (PEM); nobody\n"
        << "# else is let in.\n"
        << "operators = " << Quoted(management.operators) << "\n\n";
    return;
  }
  out << "[management]\n"
      << "role = \"operator\"\n"
      << "# Who hosts the log, and the CAs of its TLS certificate (PEM; empty: the system's).\n"
      << "manager = " << Quoted(management.manager) << "\n"
      << "manager_ca = " << Quoted(management.manager_ca) << "\n"
      << "# What this server shows to the manager.\n"
      << "certificate = " << Quoted(management.certificate) << "\n"
      << "certificate_key = " << Quoted(management.certificate_key) << "  # secret\n"
      << "# Signs every new version.\n"
      << "leaf_key = " << Quoted(management.leaf_key) << "  # secret\n"
      << "# Remembers every version that was signed, so that none is signed twice. Never restored\n"
      << "# from a backup.\n"
      << "signing_record = " << Quoted(management.signing_record) << "\n"
      << "# The newest tree head that this server has verified, and where it keeps what shows "
         "that\n"
      << "# the manager has lied.\n"
      << "manager_head = " << Quoted(management.manager_head) << "\n"
      << "evidence = " << Quoted(management.evidence) << "\n\n";
}

void FormatPublishing(const ServerConfig& config, std::ostream& out) {
  out << "[admission]\n"
      << "# Certification authorities at which the chain of a published certificate may end "
         "(PEM).\n"
      << "trust_anchors = " << Quoted(config.admission.trust_anchors) << "\n"
      << "min_rsa_bits = " << config.admission.min_rsa_bits << "\n\n"
      << "[publishers]\n"
      << "# Hashes of the tokens that allow publishing; see kt-server token --help.\n"
      << "tokens = " << Quoted(config.publishers.tokens) << "\n\n";
}

void FormatLimits(const ServerConfig& config, std::ostream& out) {
  out << "[limits]\n"
      << "max_request_bytes = " << config.limits.max_request_bytes << "\n"
      << "max_concurrent_requests = " << config.limits.max_concurrent_requests << "\n"
      << "# A client is an IPv4 address or an IPv6 /64.\n"
      << "max_connections = " << config.limits.max_connections << "\n"
      << "max_connections_per_client = " << config.limits.max_connections_per_client << "\n"
      << "connections_per_second = " << config.limits.connections_per_second
      << "  # new ones: each costs a TLS handshake\n"
      << "connections_per_second_per_client = " << config.limits.connections_per_second_per_client
      << "\n"
      << "# Of responses that clients have not taken; after the timeout they lose them.\n"
      << "max_response_bytes = " << config.limits.max_response_bytes << "\n"
      << "max_response_bytes_per_client = " << config.limits.max_response_bytes_per_client << "\n"
      << "response_timeout_ms = " << config.limits.response_timeout_ms << "\n"
      << "# Of publications that wait for their epoch to be signed.\n"
      << "max_pending_publishes = " << config.limits.max_pending_publishes << "\n"
      << "max_auditor_streams = " << config.limits.max_auditor_streams
      << "  # at once, of a log that is audited\n"
      << "max_head_streams = " << config.limits.max_head_streams
      << "  # at once, of users who watch the log grow\n"
      << "max_pending_publish_bytes = " << config.limits.max_pending_publish_bytes << "\n"
      << "max_pending_publishes_per_token = " << config.limits.max_pending_publishes_per_token
      << "\n"
      << "max_pending_publishes_per_address = " << config.limits.max_pending_publishes_per_address
      << "\n"
      << "requests_per_second = " << config.limits.requests_per_second << "  # for one client\n"
      << "publishes_per_second = " << config.limits.publishes_per_second << "  # for one token\n\n";
}

}  // namespace

std::string FormatServerConfig(const ServerConfig& config) {
  using Role = ServerConfig::Role;
  const Role role = config.management.role;
  std::ostringstream out;
  out << "# kt-server configuration. Relative paths start at this file's directory.\n"
      << "# Files that hold secrets must not be accessible to group and others (mode 0600).\n\n";
  FormatLog(config, out);
  FormatManagement(config.management, out);
  out << "[listen]\n"
      << "address = " << Quoted(config.listen.address) << "\n";
  if (role != Role::kManager) {
    out << "# The certificate must be valid for each of the domains above, because DNS without "
           "DNSSEC\n"
        << "# does not prove that they chose this host.\n";
  }
  out << "tls_certificate = " << Quoted(config.listen.tls_certificate) << "\n"
      << "tls_key = " << Quoted(config.listen.tls_key) << "  # secret\n\n";
  if (role != Role::kOperator) {
    out << "[epoch]\n"
        << "# How long publications are gathered before they are signed together.\n"
        << "interval_ms = " << config.epoch.interval_ms << "\n"
        << "# Without publications a log entry is added only this often; 0: half of max_behind.\n"
        << "max_idle_ms = " << config.epoch.max_idle_ms << "\n\n";
  }
  if (role != Role::kManager) FormatPublishing(config, out);
  FormatLimits(config, out);
  if (role != Role::kOperator) {
    out << "[pruning]\n"
        << "# How often what has passed the log's maximum lifetime is deleted, if it has one.\n"
        << "interval_ms = " << config.pruning.interval_ms << "\n\n"
        << "[scrub]\n"
        << "# How often all that is stored is checked beside everything else, and how fast; 0:\n"
        << "# never.\n"
        << "interval_ms = " << config.scrub.interval_ms << "\n"
        << "rows_per_second = " << config.scrub.rows_per_second << "\n\n";
  }
  out << "[crypto]\n"
      << "# auto takes the fastest that this processor has; all give the same bytes.\n"
      << "vrf_implementation = " << Quoted(config.crypto.vrf_implementation)
      << "  # auto, portable, library\n\n"
      << "[logging]\n"
      << "level = " << Quoted(config.logging.level) << "  # debug, info, warn, error\n";
  return out.str();
}

}  // namespace kt::server
