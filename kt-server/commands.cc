// SPDX-License-Identifier: Apache-2.0
#include "kt-server/commands.h"

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
#include "kt-server/server_config.h"
#include "kt-server/tokens.h"

namespace kt::server {

int ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return 0;
  std::cerr << "kt-server: " << std::string(status.message()) << "\n";
  return kExitFailure;
}

namespace {

struct ConfigOptions {
  std::string config;
  bool is_public = false;
  bool json = false;
  std::string out;
};

absl::Status ShowConfig(const ConfigOptions& options) {
  KT_ASSIGN_OR_RETURN(const ServerConfig config, LoadServerConfig(options.config));
  KT_ASSIGN_OR_RETURN(const core::Configuration log, ReadPublicConfiguration(config));
  const base::Bytes encoded = base::codec::Encode(log);
  const std::string fingerprint = base::ToHex(core::ConfigurationFingerprint(log).bytes);
  if (options.is_public) {
    if (!options.out.empty()) return base::WriteFileAtomically(options.out, encoded, 0644);
    std::cout.write(reinterpret_cast<const char*>(encoded.data()),
                    static_cast<std::streamsize>(encoded.size()));
  } else if (options.json) {
    const nlohmann::ordered_json json = {
        {"ciphersuite", core::NameOf(log.ciphersuite)},
        {"domains", config.log.domains},
        {"fingerprint", fingerprint},
        {"max_ahead_ms", log.max_ahead},
        {"max_behind_ms", log.max_behind},
        {"reasonable_monitoring_window_ms", log.reasonable_monitoring_window}};
    std::cout << json.dump() << "\n";
  } else {
    std::cout << "cipher suite  " << core::NameOf(log.ciphersuite) << "\n"
              << "fingerprint   sha256:" << fingerprint << "\n";
    for (const std::string& domain : config.log.domains) {
      std::cout << "DNS           _sm._keytransparency." << domain
                << ". TXT \"v=kt1; cfg=sha256:" << fingerprint << "\"\n";
    }
  }
  return absl::OkStatus();
}

struct TokenOptions {
  std::string config;
  std::vector<std::string> scopes;
  std::string id;
  bool json = false;
};

absl::Status CreateToken(const TokenOptions& options) {
  KT_ASSIGN_OR_RETURN(const ServerConfig config, LoadServerConfig(options.config));
  std::string id;
  std::string secret;
  KT_RETURN_IF_ERROR(Tokens::Edit(config.publishers.tokens, [&](Tokens& tokens) -> absl::Status {
    KT_ASSIGN_OR_RETURN(secret, tokens.Create(options.scopes, base::SystemRandom()));
    id = tokens.all().back().id;
    return absl::OkStatus();
  }));
  if (options.json) {
    const nlohmann::ordered_json json = {{"id", id}, {"token", secret}};
    std::cout << json.dump() << "\n";
  } else {
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

}  // namespace

void AddConfigCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<ConfigOptions>();
  CLI::App* const command = app.add_subcommand("config", "Show what clients must know of the log");
  command->add_option("--config", options->config, "Configuration file")->required();
  command->add_flag("--public", options->is_public,
                    "Write the draft's Configuration, TLS-encoded, to standard output");
  command->add_option("--out", options->out, "With --public: write it to this file instead");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([=] { *exit_code = ExitCodeOf(ShowConfig(*options)); });
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
  CLI::App* const create = add("create", "Create a token and print it, once");
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
