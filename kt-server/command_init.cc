// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "base/status.h"
#include "kt-server/commands.h"
#include "kt-server/key_files.h"
#include "kt-server/log_files.h"
#include "kt-server/operator_files.h"
#include "kt-server/tls_files.h"
#include "kt-server/tokens.h"
#include "smime/address.h"

namespace kt::server {
namespace {

namespace fs = std::filesystem;

constexpr char kContactMonitoring[] = "contact-monitoring";
constexpr char kThirdPartyAuditing[] = "third-party-auditing";
constexpr char kManager[] = "manager";
constexpr char kOperator[] = "operator";
constexpr uint64_t kExpectedVersions = 10'000'000;
constexpr uint64_t kMinuteMs = 60 * 1000;
constexpr uint64_t kHourMs = 60 * kMinuteMs;

struct InitOptions {
  std::string data;
  std::vector<std::string> domains;
  std::string suite = "ed25519";
  std::string listen = ServerConfig().listen.address;
  std::string tls_certificate;
  std::string tls_key;
  std::string trust_anchors;
  int64_t epoch_ms = ServerConfig().epoch.interval_ms;
  uint64_t max_ahead_ms = 5 * kMinuteMs;
  uint64_t max_behind_ms = 2 * kHourMs;
  uint64_t reasonable_monitoring_window_ms = kDefaultMonitoringWindowMs;
  uint64_t maximum_lifetime_ms = 0;  // none
  std::optional<uint64_t> expected_versions;
  std::string mode = kContactMonitoring;
  std::string auditor_key;
  uint64_t max_auditor_lag_ms = kHourMs;
  std::string role;
  std::string leaf_public_key;
  std::string operator_certificate;
  std::string manager;
  std::string manager_ca;
};

core::CipherSuite SuiteOf(const InitOptions& options) {
  return options.suite == "p256" ? core::CipherSuite::kP256 : core::CipherSuite::kEd25519;
}

std::string AbsoluteOr(const std::string& path, const char* otherwise) {
  return path.empty() ? otherwise : fs::absolute(path).string();
}

// An option that belongs to `role` and is needed for it.
absl::Status CheckRoleOption(const InitOptions& options, const char* role, const char* option,
                             const std::string& value) {
  if ((options.role == role) == !value.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(value.empty() ? absl::StrCat("--role ", role, " needs ", option)
                                                  : absl::StrCat(option, " is for --role ", role));
}

absl::Status CheckRoleOptions(const InitOptions& options) {
  KT_RETURN_IF_ERROR(
      CheckRoleOption(options, kManager, "--leaf-public-key", options.leaf_public_key));
  KT_RETURN_IF_ERROR(
      CheckRoleOption(options, kManager, "--operator-certificate", options.operator_certificate));
  KT_RETURN_IF_ERROR(CheckRoleOption(options, kOperator, "--manager", options.manager));
  if (options.role == kOperator && options.expected_versions.has_value()) {
    return absl::InvalidArgumentError("--expected-versions is for --role manager, who has the log");
  }
  if (options.role != kOperator && !options.manager_ca.empty()) {
    return absl::InvalidArgumentError("--manager-ca is for --role operator");
  }
  if (!options.role.empty() && options.mode != kContactMonitoring) {
    return absl::InvalidArgumentError("--role and --mode exclude each other");
  }
  if ((options.role == kManager) == options.domains.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(options.domains.empty()
                                        ? "--domain is required"
                                        : "--domain is not for --role manager: the operator's "
                                          "users are not the manager's");
}

// All users' calls come from the operator, who bounds each user itself.
void LiftLimitsOfOneClient(ServerConfig::Limits* limits) {
  limits->requests_per_second = 100'000;
  limits->max_concurrent_requests = 4096;
  limits->max_connections_per_client = limits->max_connections;
  limits->max_response_bytes_per_client = limits->max_response_bytes;
  limits->max_pending_publishes_per_token = limits->max_pending_publishes;
}

void SetRole(const InitOptions& options, ServerConfig* config) {
  ServerConfig::Management& management = config->management;
  if (options.role == kManager) {
    management.role = ServerConfig::Role::kManager;
    LiftLimitsOfOneClient(&config->limits);
  } else if (options.role == kOperator) {
    management.role = ServerConfig::Role::kOperator;
    management.manager = options.manager;
    if (!options.manager_ca.empty()) {
      management.manager_ca = fs::absolute(options.manager_ca).string();
    }
  }
}

absl::StatusOr<ServerConfig> MakeConfig(const InitOptions& options) {
  ServerConfig config;
  KT_RETURN_IF_ERROR(CheckRoleOptions(options));
  SetRole(options, &config);
  for (const std::string& domain : options.domains) {
    const absl::StatusOr<smime::Address> address = smime::ParseAddress("postmaster@" + domain);
    if (!address.ok()) return base::Annotate(address.status(), absl::StrCat("--domain ", domain));
    config.log.domains.push_back(address->domain);
  }
  config.listen.address = options.listen;
  config.listen.tls_certificate = AbsoluteOr(options.tls_certificate, "tls/server.pem");
  config.listen.tls_key = AbsoluteOr(options.tls_key, "tls/server.key");
  config.admission.trust_anchors = AbsoluteOr(options.trust_anchors, "trust-anchors.pem");
  config.epoch.interval_ms = options.epoch_ms;
  return config;
}

// Creates the directory, for its owner only. One that exists keeps its mode: it may be shared on
// purpose. But whoever may write to it could put other keys and another configuration in.
absl::Status PrepareDirectory(const std::string& path) {
  std::error_code error;
  if (fs::create_directories(path, error)) {
    fs::permissions(path, fs::perms::owner_all, error);
  } else if (!error) {
    const fs::perms mode = fs::status(path, error).permissions();
    if (!error && (mode & (fs::perms::group_write | fs::perms::others_write)) != fs::perms::none) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, " may be written by its group or by others; run: chmod go-w ", path));
    }
  }
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot create ", path, ": ", error.message()));
}

// The auditor's public key: one line of hexadecimal digits, as kt-auditor writes it.
absl::Status SetAuditor(const InitOptions& options, core::Configuration* log) {
  if (options.mode == kContactMonitoring) {
    if (options.auditor_key.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("--auditor-key is for --mode ", kThirdPartyAuditing));
  }
  if (options.auditor_key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--mode ", kThirdPartyAuditing, " needs --auditor-key"));
  }
  KT_ASSIGN_OR_RETURN(log->auditor_public_key,
                      ReadPublicKey(options.auditor_key, log->ciphersuite));
  log->mode = core::DeploymentMode::kThirdPartyAuditing;
  log->max_auditor_lag = options.max_auditor_lag_ms;
  return absl::OkStatus();
}

// What the operator has handed over: who signs the values, and who is let in.
absl::Status SetManager(const InitOptions& options, core::Configuration* log) {
  if (options.role != kManager) return absl::OkStatus();
  KT_ASSIGN_OR_RETURN(log->leaf_public_key,
                      ReadPublicKey(options.leaf_public_key, log->ciphersuite));
  log->mode = core::DeploymentMode::kThirdPartyManagement;
  return ReadOperatorCertificates(options.operator_certificate).status();
}

// Everything but kt-server.toml. Prints what the other party needs.
absl::Status CreateFiles(const InitOptions& options, const ServerConfig& config,
                         const core::Configuration& log) {
  if (options.role == kOperator) {
    KT_RETURN_IF_ERROR(CreateOperatorFiles(config, log.ciphersuite, base::SystemClock().NowMs(),
                                           base::SystemRandom()));
    std::cout << "for the manager's kt-server init: --leaf-public-key " << LeafPublicKeyPath(config)
              << " --operator-certificate " << config.management.certificate << "\n";
    return absl::OkStatus();
  }
  if (options.role == kManager) {
    KT_ASSIGN_OR_RETURN(const std::string operators,
                        ReadOperatorCertificates(options.operator_certificate));
    KT_RETURN_IF_ERROR(RefuseExisting(config.management.operators));
    KT_RETURN_IF_ERROR(
        base::WriteFileAtomically(config.management.operators, base::AsBytes(operators), 0644));
  }
  return CreateLogFiles(config, log,
                        LayoutFor(options.expected_versions.value_or(kExpectedVersions)),
                        base::SystemRandom());
}

// What there is to know of a new log. The operator of a managed one gets it from the manager.
absl::Status DescribeLog(const ServerConfig& config) {
  if (config.management.role == ServerConfig::Role::kOperator) return absl::OkStatus();
  KT_ASSIGN_OR_RETURN(const core::Configuration log, ReadPublicConfiguration(config));
  std::cout << "cipher suite " << core::NameOf(log.ciphersuite)
            << ", fingerprint sha256:" << base::ToHex(core::ConfigurationFingerprint(log).bytes)
            << "\n";
  if (config.management.role == ServerConfig::Role::kManager) {
    std::cout << "for the operator's kt-server config: --import " << config.log.configuration
              << "\n";
  }
  return absl::OkStatus();
}

absl::Status Init(const InitOptions& options) {
  KT_ASSIGN_OR_RETURN(const ServerConfig config, MakeConfig(options));
  core::Configuration log;
  log.ciphersuite = SuiteOf(options);
  log.max_ahead = options.max_ahead_ms;
  log.max_behind = options.max_behind_ms;
  log.reasonable_monitoring_window = options.reasonable_monitoring_window_ms;
  if (options.maximum_lifetime_ms > 0) log.maximum_lifetime = options.maximum_lifetime_ms;
  KT_RETURN_IF_ERROR(SetAuditor(options, &log));
  KT_RETURN_IF_ERROR(SetManager(options, &log));
  const std::string text = FormatServerConfig(config);
  // What is written must be what `run` will accept.
  KT_ASSIGN_OR_RETURN(const ServerConfig resolved,
                      ParseServerConfig(text, fs::absolute(options.data).string()));
  KT_RETURN_IF_ERROR(CheckTiming(resolved, log));
  const std::string path = (fs::absolute(options.data) / "kt-server.toml").string();
  std::error_code error;
  if (fs::exists(path, error)) {
    return absl::AlreadyExistsError(
        absl::StrCat(path, " exists; choose an empty directory for --data"));
  }
  KT_RETURN_IF_ERROR(PrepareDirectory(options.data));
  KT_RETURN_IF_ERROR(CreateFiles(options, resolved, log));
  if (options.role != kManager) {
    // It is there from the start, so that it belongs to the server's user whoever adds tokens.
    KT_RETURN_IF_ERROR(
        Tokens::Edit(resolved.publishers.tokens, [](Tokens&) { return absl::OkStatus(); }));
  }
  KT_RETURN_IF_ERROR(base::WriteFileAtomically(path, base::AsBytes(text), 0644));
  std::cout << "created " << path << "\n";
  return DescribeLog(resolved);
}

void AddManagementOptions(CLI::App* command, InitOptions* options) {
  command
      ->add_option("--role", options->role,
                   "With a Third-Party Manager: operator for who faces users and signs values,\n"
                   "manager for who hosts the log. The operator is set up first; see\n"
                   "docs/operations.md")
      ->check(CLI::IsMember({kManager, kOperator}));
  command->add_option("--leaf-public-key", options->leaf_public_key,
                      "manager: the operator's key, as its kt-server init wrote it");
  command->add_option("--operator-certificate", options->operator_certificate,
                      "manager: the certificate by which the operator is let in, from there too");
  command->add_option("--manager", options->manager, "operator: HOST:PORT of the manager");
  command->add_option("--manager-ca", options->manager_ca,
                      "operator: CAs of the manager's TLS certificate (PEM) [the system's]");
}

}  // namespace

void AddInitCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<InitOptions>();
  CLI::App* const command =
      app.add_subcommand("init", "Create a log: keys, public parameters, configuration, database");
  command->add_option("--data", options->data, "Directory to create it in")->required();
  command->add_option("--domain", options->domains, "Domain to host; may be repeated");
  command->add_option("--suite", options->suite, "Cipher suite")
      ->check(CLI::IsMember({"p256", "ed25519"}))
      ->capture_default_str();
  command->add_option("--listen", options->listen, "HOST:PORT to serve on")->capture_default_str();
  command->add_option("--tls-cert", options->tls_certificate,
                      "TLS certificate (PEM) [DIR/tls/server.pem]");
  command->add_option("--tls-key", options->tls_key,
                      "Its key (PEM, mode 0600) [DIR/tls/server.key]");
  command->add_option("--trust-anchors", options->trust_anchors,
                      "CAs of published certificates (PEM) [DIR/trust-anchors.pem]");
  command->add_option("--epoch-ms", options->epoch_ms, "How long publications are gathered")
      ->check(CLI::Range(kMinEpochMs, kMaxEpochMs))
      ->capture_default_str();
  command
      ->add_option("--max-ahead-ms", options->max_ahead_ms,
                   "How far ahead of a client's clock a tree head may be")
      ->capture_default_str();
  command
      ->add_option("--max-behind-ms", options->max_behind_ms,
                   "How far behind a client's clock a tree head may be")
      ->check(CLI::Range(1000.0, 1e15))
      ->capture_default_str();
  command
      ->add_option("--rmw-ms", options->reasonable_monitoring_window_ms,
                   "Reasonable Monitoring Window")
      ->capture_default_str();
  command
      ->add_option(
          "--maximum-lifetime-ms", options->maximum_lifetime_ms,
          "How long log entries and replaced versions are kept at least, more than --rmw-ms;"
          "\n0: for ever")
      ->capture_default_str();
  command
      ->add_option(
          "--expected-versions", options->expected_versions,
          absl::StrCat("How many versions the log will have had in all its life, of all addresses "
                       "and\npruned ones included; fixes how its tree is stored, and need not be "
                       "exact\n[",
                       kExpectedVersions, "]"))
      ->check(CLI::Range(uint64_t{1}, uint64_t{2'000'000'000}));
  command
      ->add_option("--mode", options->mode,
                   "Deployment mode: who else watches over the log besides its users")
      ->check(CLI::IsMember({kContactMonitoring, kThirdPartyAuditing}))
      ->capture_default_str();
  command->add_option("--auditor-key", options->auditor_key,
                      "The auditor's public key, as kt-auditor init writes it");
  command
      ->add_option("--max-auditor-lag-ms", options->max_auditor_lag_ms,
                   "How far the auditor may be behind the newest entry shown to clients")
      ->capture_default_str();
  AddManagementOptions(command, options.get());
  command->callback([=] { *exit_code = ExitCodeOf(Init(*options)); });
}

}  // namespace kt::server
