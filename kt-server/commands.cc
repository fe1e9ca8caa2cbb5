// SPDX-License-Identifier: Apache-2.0
#include "kt-server/commands.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/status.h"
#include "kt-server/log_files.h"
#include "kt-server/operator_files.h"
#include "kt-server/server_config.h"
#include "kt-server/tokens.h"

namespace kt::server {

int ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return 0;
  std::cerr << "kt-server: " << std::string(status.message()) << "\n";
  return kExitFailure;
}

absl::Status CheckHoldsLog(const ServerConfig& config) {
  if (config.management.role != ServerConfig::Role::kOperator) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "this is an operator's configuration; the log is at its manager: run it there");
}

namespace {

// What to put into DNS. The host's name is the operator's choice.
absl::Status PrintDnsRecords(const ServerConfig& config, const std::string& fingerprint) {
  KT_ASSIGN_OR_RETURN(const HostPort listen, ParseListenAddress(config.listen.address));
  for (const std::string& domain : config.log.domains) {
    std::cout << "DNS           _sm._keytransparency._https." << domain << ". IN SRV 10 5 "
              << (listen.port == "0" ? "PORT" : listen.port) << " HOST.\n"
              << "DNS           _sm._keytransparency." << domain
              << ". IN TXT \"v=kt1; cfg=sha256:" << fingerprint << "\"\n";
  }
  return absl::OkStatus();
}

struct ConfigOptions {
  std::string config;
  std::string import;
  bool is_public = false;
  bool json = false;
  std::string out;
};

absl::Status ShowConfig(const ConfigOptions& options) {
  KT_ASSIGN_OR_RETURN(const ServerConfig config, LoadServerConfig(options.config));
  if (!options.import.empty()) {
    if (config.management.role != ServerConfig::Role::kOperator) {
      return absl::InvalidArgumentError(
          "--import is for the operator of a log that a manager hosts; this server makes its own");
    }
    KT_RETURN_IF_ERROR(ImportConfiguration(config, options.import));
  }
  KT_ASSIGN_OR_RETURN(const core::Configuration log, ReadPublicConfiguration(config));
  const base::Bytes encoded = base::codec::Encode(log);
  const std::string fingerprint = base::ToHex(core::ConfigurationFingerprint(log).bytes);
  if (options.is_public) {
    if (!options.out.empty()) return base::WriteFileAtomically(options.out, encoded, 0644);
    std::cout.write(reinterpret_cast<const char*>(encoded.data()),
                    static_cast<std::streamsize>(encoded.size()));
  } else if (options.json) {
    nlohmann::ordered_json json = {
        {"ciphersuite", core::NameOf(log.ciphersuite)},
        {"domains", config.log.domains},
        {"fingerprint", fingerprint},
        {"max_ahead_ms", log.max_ahead},
        {"max_behind_ms", log.max_behind},
        {"reasonable_monitoring_window_ms", log.reasonable_monitoring_window}};
    if (log.maximum_lifetime.has_value()) json["maximum_lifetime_ms"] = *log.maximum_lifetime;
    std::cout << json.dump() << "\n";
  } else {
    std::cout << "cipher suite  " << core::NameOf(log.ciphersuite) << "\n"
              << "fingerprint   sha256:" << fingerprint << "\n";
    return PrintDnsRecords(config, fingerprint);
  }
  return absl::OkStatus();
}

struct TokenOptions {
  std::string config;
  std::vector<std::string> scopes;
  std::string id;
  bool json = false;
};

// Perhaps the domain is about to be hosted, so this is no error.
void WarnOfForeignScopes(const Token& token, const std::vector<std::string>& hosted) {
  for (const std::string& scope : token.scopes) {
    const std::string domain = scope.substr(scope.rfind('@') + 1);
    if (std::find(hosted.begin(), hosted.end(), domain) != hosted.end()) continue;
    std::cerr << "kt-server: warning: this log does not host " << domain
              << ": the token is of no use there\n";
  }
}

absl::Status CreateToken(const TokenOptions& options) {
  KT_ASSIGN_OR_RETURN(const ServerConfig config, LoadServerConfig(options.config));
  Token token;
  std::string secret;
  KT_RETURN_IF_ERROR(Tokens::Edit(config.publishers.tokens, [&](Tokens& tokens) -> absl::Status {
    KT_ASSIGN_OR_RETURN(secret, tokens.Create(options.scopes, base::SystemRandom()));
    token = tokens.all().back();
    return absl::OkStatus();
  }));
  WarnOfForeignScopes(token, config.log.domains);
  if (options.json) {
    const nlohmann::ordered_json json = {{"id", token.id}, {"token", secret}};
    std::cout << json.dump() << "\n";
  } else {
    // Apart, so that standard output can become the file that publishers use.
    std::cerr << "kt-server: the token's id, for token revoke: " << token.id << "\n";
    std::cout << secret << "\n";
  }
  return absl::OkStatus();
}

absl::Status ListTokens(const TokenOptions& options) {
  KT_ASSIGN_OR_RETURN(const ServerConfig config, LoadServerConfig(options.config));
  KT_ASSIGN_OR_RETURN(const Tokens tokens, Tokens::Load(config.publishers.tokens));
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Token& token : tokens.all()) {
    list.push_back({{"id", token.id}, {"scopes", token.scopes}});
    if (options.json) continue;
    std::cout << token.id;
    for (const std::string& scope : token.scopes) std::cout << " " << scope;
    std::cout << "\n";
  }
  if (options.json) std::cout << list.dump() << "\n";
  return absl::OkStatus();
}

absl::Status RevokeToken(const TokenOptions& options) {
  KT_ASSIGN_OR_RETURN(const ServerConfig config, LoadServerConfig(options.config));
  return Tokens::Edit(config.publishers.tokens,
                      [&](Tokens& tokens) { return tokens.Revoke(options.id); });
}

struct GuardOptions {
  std::string config;
  bool sure = false;
};

absl::Status Rebuild(const GuardOptions& options) {
  KT_ASSIGN_OR_RETURN(const ServerConfig config, LoadServerConfig(options.config));
  KT_ASSIGN_OR_RETURN(const GuardedHead head, RebuildGuard(config));
  std::cout << "created " << config.log.head_guard << ", which guards tree size " << head.tree_size
            << "\n";
  return absl::OkStatus();
}

}  // namespace

void AddConfigCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<ConfigOptions>();
  CLI::App* const command = app.add_subcommand("config", "Show what clients must know of the log");
  command->add_option("--config", options->config, "Configuration file")->required();
  CLI::Option* const is_public =
      command->add_flag("--public", options->is_public,
                        "Write the draft's Configuration, TLS-encoded, to standard output");
  command->add_option("--out", options->out, "With --public: write it to this file instead")
      ->needs(is_public);
  command->add_flag("--json", options->json, "Print JSON")->excludes(is_public);
  command->add_option("--import", options->import,
                      "operator: first take over the Configuration that the manager's kt-server "
                      "init made");
  command->callback([=] { *exit_code = ExitCodeOf(ShowConfig(*options)); });
}

void AddGuardCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<GuardOptions>();
  CLI::App* const guard = app.add_subcommand("guard", "Repair the head guard");
  guard->require_subcommand(1);
  CLI::App* const rebuild = guard->add_subcommand(
      "rebuild",
      "Make a head guard that was lost anew from the database. The guard is what tells an old "
      "copy\n"
      "of the database from the newest. Without it nobody can: if this database is not the newest\n"
      "that ever served, or its disk lost what was written last, the log then signs a second\n"
      "history, every client that saw the first one reports a fork for good, and the log has to "
      "be\n"
      "replaced. Make sure first that the guard is not just on a disk that is not mounted. A "
      "guard\n"
      "that is there is left as it is; one that is damaged has to be moved away before.");
  rebuild->add_option("--config", options->config, "Configuration file")->required();
  rebuild->add_flag("--i-am-sure", options->sure, "The database is certainly the newest one")
      ->required();
  rebuild->callback([=] { *exit_code = ExitCodeOf(Rebuild(*options)); });
}

void AddTokenCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<TokenOptions>();
  CLI::App* const token = app.add_subcommand(
      "token", "Manage publishing tokens; a running server reads them again on SIGHUP");
  token->require_subcommand(1);
  const auto add = [&](const char* name, const char* description) {
    CLI::App* const command = token->add_subcommand(name, description);
    command->add_option("--config", options->config, "Configuration file")->required();
    return command;
  };
  CLI::App* const create = add("create", "Create a token and print it, once, and its id");
  create->add_option("--scope", options->scopes, "Domain or address that it may publish for")
      ->required();
  create->add_flag("--json", options->json, "Print JSON");
  create->callback([=] { *exit_code = ExitCodeOf(CreateToken(*options)); });
  CLI::App* const list = add("list", "List tokens by id and scopes");
  list->add_flag("--json", options->json, "Print JSON");
  list->callback([=] { *exit_code = ExitCodeOf(ListTokens(*options)); });
  CLI::App* const revoke = add("revoke", "Revoke a token");
  revoke->add_option("--id", options->id, "The token's id")->required();
  revoke->callback([=] { *exit_code = ExitCodeOf(RevokeToken(*options)); });
}

}  // namespace kt::server
